"""What bad input gets from the real API server, and what happens to forged annotations."""

import json
import re
import time

from lib import protocol
from lib.framework import test
from lib.pods import limits
from lib.wait import eventually

WEBHOOK = 'admission webhook "vgpu.hami.io" denied the request: '


@test("wrong values are denied with container, resource, value and what is expected")
def wrong_values(t):
    cases = {
        "gib": (
            limits(memory="3Gi"),
            'container "main": nvidia.com/gpumem "3Gi": unit is MiB, use 3072',
        ),
        "negative": (
            limits(memory="-1"),
            'container "main": nvidia.com/gpumem "-1": expected a whole number of MiB '
            "from 0 to 2147483647",
        ),
        "fraction": (
            limits(memory="1.5"),
            'container "main": nvidia.com/gpumem "1500m": expected a whole number of '
            "MiB from 0 to 2147483647",
        ),
        "huge": (
            limits(memory="2147483648"),
            'container "main": nvidia.com/gpumem "2147483648": expected a whole '
            "number of MiB from 0 to 2147483647",
        ),
        # The reference's text, unchanged and first.
        "percent": (
            limits(percent="101"),
            "invalid nvidia.com/gpumem-percentage value 101 in container main: "
            "must be an integer between 0 and 100",
        ),
        "percent-negative": (
            limits(percent="-1"),
            "invalid nvidia.com/gpumem-percentage value -1 in container main: "
            "must be an integer between 0 and 100",
        ),
        "cores": (
            limits(cores="101"),
            'container "main": nvidia.com/gpucores "101": expected a whole percentage of '
            "one card from 0 to 100",
        ),
        "cards": (
            limits(gpus="-1"),
            'container "main": nvidia.com/gpu "-1": expected a whole number of cards from '
            "1 to 1024",
        ),
        "no-card": (
            limits(gpus="0", memory="3001"),
            'container "main": nvidia.com/gpu "0": expected a whole number of cards from '
            '1 to 1024 beside nvidia.com/gpumem "3001", or no nvidia.com/gpumem',
        ),
    }
    wrong = []
    for name, (resources, expected) in cases.items():
        refusal = t.denied(t.pods.pod(name, t.pods.container(resources=resources)))
        # A quantity reaches the webhook as the API server writes it (1.5 -> 1500m).
        message = refusal.message.replace('"1.5"', '"1500m"')
        if not message.startswith(WEBHOOK + expected):
            wrong.append(f"{name}: expected {WEBHOOK + expected!r}, got {refusal.message!r}")
    assert not wrong, "\n".join(wrong)
    assert not t.kube.items(t.path("pods"))
    families = t.cluster.metrics()
    invalid = [v for labels, v in families["hami_admission_reviews_total"] if labels["outcome"] == "invalid"]
    assert invalid[0] >= len(cases), f"{invalid} counted, {len(cases)} seen"
    assert families["hami_tls_cert_expiry_seconds"][0][1] > time.time()


@test(
    "privileged with a share, and a Pod with its node named, are denied with the reference's words first"
)
def forbidden_shapes(t):
    pods = t.pods
    privileged = pods.container(resources=limits(memory=100), securityContext={"privileged": True})
    refusal = t.denied(pods.pod("privileged", privileged))
    assert refusal.status == 403, refusal
    assert refusal.message.startswith(WEBHOOK + "container main is privileged; "), refusal.message
    # Also when it is an init container that is privileged, beside an ordinary one with the share.
    init = pods.container(name="setup", securityContext={"privileged": True})
    mixed = pods.pod("mixed", pods.container(resources=limits(memory=100)), init=[init])
    assert t.denied(mixed).message.startswith(WEBHOOK + "container setup is privileged; ")
    bound = pods.pod("bound", pods.container(resources=limits(memory=100)), nodeName="node1")
    refusal = t.denied(bound)
    assert refusal.message.startswith(WEBHOOK + "pod has node assigned; "), refusal.message
    assert "use nodeSelector or affinity instead" in refusal.message, refusal.message
    # Privileged without our resources is nobody's business.
    t.create(pods.pod("plain", pods.container(securityContext={"privileged": True})))
    assert t.pod("plain")["spec"]["schedulerName"] == "default-scheduler"


@test("forged allocation annotations are removed with a warning that names them")
def forged(t):
    real = t.cluster.cards()[0]
    manifest = t.pods.gpu(
        "forged",
        memory=1000,
        annotations={
            protocol.VGPU_NODE: "node2",
            protocol.ALLOCATED: f"{real.uuid},NVIDIA,{real.memory},100:;",
            protocol.TO_ALLOCATE: f"{real.uuid},NVIDIA,{real.memory},100:;",
            protocol.BIND_PHASE: "allocating",
            "hami.io/vgpu-time": "1",
            protocol.BIND_TIME: "1",
            "example.com/mine": "stays",
        },
    )
    answer = t.create(manifest)
    warnings = " ".join(answer.warnings)
    t.log(f"warnings: {answer.warnings}")
    for key in protocol.OWNED:
        assert re.search(
            rf"annotation {re.escape(key)} removed", warnings
        ), f"no warning about {key}: {warnings}"
    created = answer.json()["metadata"]["annotations"]
    assert not set(created) & set(protocol.OWNED), created
    assert created["example.com/mine"] == "stays", created
    t.running("forged")
    (share,) = t.shares("forged")[0]
    assert share.memory == 1000, share

    # Under another scheduler's name as well: the plugin would believe them.
    other = t.pods.pod(
        "foreign", t.pods.container(), annotations={protocol.ALLOCATED: "x"}, schedulerName="other"
    )
    answer = t.create(other)
    assert protocol.ALLOCATED not in answer.json()["metadata"].get("annotations", {}), answer.json()
    assert any(protocol.ALLOCATED in w for w in answer.warnings), answer.warnings


@test("a living Pod's allocation annotations stay as they are, with a warning, whoever changes them")
def changed_later(t):
    real = t.cluster.cards()[0]
    t.create(t.pods.gpu("living", memory=1000))
    t.running("living")
    before = t.pod("living")["metadata"]["annotations"]
    for change in (
        {protocol.ALLOCATED: f"{real.uuid},NVIDIA,1,0:;"},
        {protocol.ALLOCATED: "garbage"},
        {protocol.ALLOCATED: None, protocol.VGPU_NODE: None},
        {protocol.VGPU_NODE: "elsewhere"},
    ):
        t.kube.patch(
            t.path("pods", "living"), json.dumps({"metadata": {"annotations": change}})
        )
        after = t.pod("living")["metadata"]["annotations"]
        for key in change:
            assert after[key] == before[key], f"{key}: {before[key]!r} became {after[key]!r}"
    # A Pod without a card takes none this way either; what is the user's own may change.
    t.create(t.pods.pod("plain", t.pods.container()))
    whole = {
        protocol.VGPU_NODE: real.node,
        protocol.ALLOCATED: f"{real.uuid},NVIDIA,{real.memory},100:;",
        "example.com/mine": "changes",
    }
    t.kube.patch(t.path("pods", "plain"), json.dumps({"metadata": {"annotations": whole}}))
    after = t.pod("plain")["metadata"]["annotations"]
    assert not set(after) & set(protocol.OWNED), after
    assert after["example.com/mine"] == "changes", after


@test("a Pod with our resource under a foreign scheduler is refused by the plugin, not served")
def foreign_scheduler(t):
    t.create(
        t.pods.gpu(
            "foreign",
            memory=None,
            schedulerName="default-scheduler",
            labels={"hami.io/webhook": "ignore"},
            restart="Never",
        )
    )
    pod = t.phase("foreign", "Failed", seconds=90)
    assert pod["status"]["reason"] == "UnexpectedAdmissionError", pod["status"]
    assert "scheduler" in pod["status"]["message"], pod["status"]["message"]


@test("what a Pod does not concern us is left as it was written")
def untouched(t):
    answer = t.create(t.pods.pod("plain", t.pods.container()))
    spec = answer.json()["spec"]
    assert spec["schedulerName"] == "default-scheduler", spec
    assert "env" not in spec["containers"][0], spec["containers"][0]
    assert not answer.warnings, answer.warnings
    # Memory alone asks for one card; the count is filled in.
    answer = t.create(
        t.pods.pod("counted", t.pods.container(resources={"nvidia.com/gpumem": "500"}))
    )
    spec = answer.json()["spec"]
    assert spec["schedulerName"] == "hami-scheduler", spec
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1", spec[
        "containers"
    ][0]
    t.running("counted")
    eventually("plain runs", lambda: t.pod("plain")["status"]["phase"] == "Running", 60)
