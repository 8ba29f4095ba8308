"""helm upgrade leaves running Pods alone; helm uninstall leaves nothing of ours behind."""

from lib import protocol
from lib.cluster import NAMESPACE
from lib.framework import test
from lib.wait import eventually


@test("helm upgrade: running Pods keep their shares, new settings reach the nodes")
def upgrade(t):
    t.create(t.pods.gpu("stays", memory=3000))
    t.running("stays")
    before = t.pod("stays")
    t.cluster.install("--set", "devicePlugin.deviceSplitCount=5")
    try:
        eventually(
            "new share count", lambda: {c.slots for c in t.cluster.cards()} == {5}, 120, pause=0.3
        )
        t.cluster.wait_installed()
        after = t.pod("stays")
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        status = after["status"]["containerStatuses"][0]
        assert after["status"]["phase"] == "Running" and status["restartCount"] == 0, after[
            "status"
        ]
        assert t.cluster.ledger()[t.card_of("stays")].memory == 3000
        t.create(t.pods.gpu("new", memory=1000))
        t.running("new")
    finally:
        t.cluster.install()
        t.cluster.wait_installed()


def ours(objects):
    return [o["metadata"]["name"] for o in objects if "hami" in o["metadata"]["name"].lower()]


@test("helm uninstall leaves nothing of ours behind, and installing again works")
def uninstall(t):
    kube, cluster = t.kube, t.cluster
    t.create(t.pods.gpu("last", "nvidia-smi", memory=1000, restart="Never"))
    t.phase("last", "Succeeded")
    t.delete_and_wait("last")
    cluster.uninstall()
    left = []
    for node in kube.items("/api/v1/nodes"):
        meta = node["metadata"]
        for what in ("annotations", "labels"):
            left += [
                f"node {meta['name']}: {what[:-1]} {k}" for k in meta.get(what, {}) if "hami" in k
            ]
    for path in (
        "apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        "apis/rbac.authorization.k8s.io/v1/clusterroles",
        "apis/node.k8s.io/v1/runtimeclasses",
        "apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    ):
        left += [f"{path.rpartition('/')[2]} {name}" for name in ours(kube.items("/" + path))]
    ns = f"namespaces/{NAMESPACE}"

    def pods_gone():
        found = kube.items(f"/api/v1/{ns}/pods")
        assert not found, [p["metadata"]["name"] for p in found]
        return True

    eventually("Pods of the release gone", pods_gone, 60)
    for path in (
        f"api/v1/{ns}/secrets",
        f"api/v1/{ns}/configmaps",
        f"api/v1/{ns}/services",
        f"api/v1/{ns}/serviceaccounts",
        f"apis/batch/v1/{ns}/jobs",
        f"apis/apps/v1/{ns}/daemonsets",
        f"apis/apps/v1/{ns}/deployments",
        f"apis/coordination.k8s.io/v1/{ns}/leases",
        f"apis/rbac.authorization.k8s.io/v1/{ns}/roles",
        f"apis/policy/v1/{ns}/poddisruptionbudgets",
        f"apis/rbac.authorization.k8s.io/v1/{ns}/rolebindings",
    ):
        names = [o["metadata"]["name"] for o in kube.items("/" + path)]
        left += [
            f"{path.rpartition('/')[2]} {n}"
            for n in names
            if n not in ("default", "kube-root-ca.crt")
        ]
    for n in range(1, cluster.nodes + 1):
        vgpu = cluster.node_path(n, "/usr/local/vgpu")
        left += [f"node{n}: {p}" for p in (vgpu.iterdir() if vgpu.exists() else [])]
        cdi = cluster.node_path(n, "/run/cdi")
        left += [f"node{n}: {p}" for p in (cdi.iterdir() if cdi.exists() else [])]
        sockets = cluster.node_path(n, "/var/lib/kubelet/device-plugins")
        left += [
            f"node{n}: {p}" for p in sockets.iterdir() if "hami" in p.name or "nvidia" in p.name
        ]
        left += [
            f"node{n}: {p}"
            for p in cluster.node_path(n, "/tmp").iterdir()
            if "vgpu" in p.name or "hami" in p.name
        ]
    try:
        assert not left, "left behind:\n" + "\n".join(left)
        # The cluster is an ordinary one again.
        answer = t.create(t.pods.pod("plain", t.pods.container()))
        assert answer.json()["spec"]["schedulerName"] == "default-scheduler"
        t.running("plain")
    finally:
        cluster.install()
        cluster.wait_installed()
    t.create(t.pods.gpu("again", memory=1000))
    t.running("again")
