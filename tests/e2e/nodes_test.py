"""Nodes and the API server that misbehave: only what is broken is out, and work resumes by itself."""

import json
import re

from lib import protocol
from lib.cluster import NAMESPACE, PLUGIN
from lib.framework import test
from lib.wait import eventually

LABEL = '{"metadata":{"labels":{"gpu":%s}}}'


def complaints(t):
    """Warnings and errors of the scheduler about node2, so far."""
    pod = t.cluster.scheduler_pod()["metadata"]["name"]
    log = t.kube.log(NAMESPACE, pod, "vgpu-scheduler-extender")
    return [
        line
        for line in log.splitlines()
        if re.search("level=(warn|error)", line) and "node=node2" in line
    ]


@test("a node whose annotation does not decode is out alone, with a metric and one log line")
def undecodable(t):
    kube, node = t.kube, "/api/v1/nodes/node2"
    large = max(t.cluster.cards(), key=lambda c: c.memory)
    assert large.node == "node2"
    # Without its plugin, which would repair the annotation.
    kube.patch(node, LABEL % "null")
    try:
        eventually(
            "plugin of node2 gone",
            lambda: all(p["spec"].get("nodeName") != "node2" for p in t.cluster.pods(PLUGIN)),
            90,
        )
        good = protocol.annotation(kube.get(node), protocol.REGISTER)
        assert json.loads(good), "the registration is gone with the plugin"
        broken, known = good[:-2], len(complaints(t))
        kube.patch(node, json.dumps({"metadata": {"annotations": {protocol.REGISTER: broken}}}))
        eventually(
            "metric", lambda: t.cluster.metrics()["hami_scheduler_undecodable_nodes"][0][1] == 1, 30
        )
        t.create(
            t.pods.gpu("elsewhere", memory=1000),
            t.pods.gpu("only-there", memory=1000, node="node2"),
        )
        t.running("elsewhere")
        assert t.pod("elsewhere")["spec"]["nodeName"] == "node1"
        t.refusal("only-there")
        lines = complaints(t)[known:]
        t.log("\n".join(lines))
        assert len(lines) == 1, f"expected one log line about node2, got {lines}"
    finally:
        kube.patch(node, LABEL % '"on"')

    t.running("only-there")
    eventually(
        "metric back",
        lambda: t.cluster.metrics()["hami_scheduler_undecodable_nodes"][0][1] == 0,
        60,
    )


def readyz(t, address):
    """What /readyz of the scheduler says, asked beside the API server: status and text."""
    ask = (
        "import ssl,sys,urllib.request as u,urllib.error as e\n"
        "c=ssl._create_unverified_context()\n"
        "try: r=u.urlopen(sys.argv[1],context=c,timeout=3); print(r.status, r.read().decode())\n"
        "except e.HTTPError as x: print(x.code, x.read().decode())\n"
        "except OSError as x: print(0, x)"
    )
    out = t.cluster.on_node(
        1, "/usr/bin/python3", "-c", ask, f"https://{address}:443/readyz", timeout=20, check=False
    )
    code, _, text = out.strip().partition(" ")
    return int(code or 0), text


@test("the API server goes away: readiness says so; it comes back: work resumes by itself")
def api_server_away(t):
    cluster, pods = t.cluster, t.pods
    t.create(pods.gpu("before", memory=3000))
    t.running("before")
    address = cluster.scheduler_pod()["status"]["podIP"]
    code, text = readyz(t, address)
    assert code == 200, text
    cluster.restart("--kill", "--stop", "kube-apiserver")
    try:

        def not_ready():
            code, text = readyz(t, address)
            assert code == 503, f"/readyz answers {code} {text}"
            return text

        t.note(readyz_while_away=eventually("readiness false", not_ready, 120, pause=0.5))
    finally:
        cluster.restart("kube-apiserver")
    eventually("API server", lambda: t.kube.call("GET", "/readyz").body, 90)
    eventually("readiness true", lambda: readyz(t, address)[0] == 200, 90, pause=0.5)
    t.create(pods.gpu("after", memory=3000))
    t.phase("after", "Running", seconds=120)
    held = protocol.sum_usage(cluster.ledger().values())
    assert held == protocol.Usage(6000, 0, 2), held


@test("a cordoned card gets nothing new and keeps what it has")
def cordon(t):
    card = next(c for c in t.cluster.cards() if c.node == "node1")
    node = "/api/v1/nodes/node1"
    t.create(t.pods.gpu("old", memory=1000, card=card.uuid))
    t.running("old")
    t.kube.patch(
        node, json.dumps({"metadata": {"annotations": {"hami.io/device-cordon": card.uuid}}})
    )
    try:
        t.create(t.pods.gpu("new", memory=1000, card=card.uuid))
        assert "CardCordoned: 1 of" in t.refusal("new")
        assert t.pod("old")["status"]["phase"] == "Running"
    finally:
        t.kube.patch(
            node, json.dumps({"metadata": {"annotations": {"hami.io/device-cordon": None}}})
        )
    t.phase("new", "Running", seconds=60)
