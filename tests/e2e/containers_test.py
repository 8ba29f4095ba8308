"""Pods of several containers: each gets its own share, the Pod keeps its init containers' as well."""

from lib import protocol
from lib.framework import test
from lib.pods import SLEEP, limits
from lib.wait import eventually

SHOW = "nvidia-smi --query-gpu=uuid,memory.total --format=csv,noheader; "


def gate(name):
    """A container's script that goes on when /gate/<name> exists."""
    return SHOW + f"until [[ -e /gate/{name} ]]; do sleep 0.2; done"


@test(
    "several containers: a share each, a sidecar without one sees no card, entries in their places"
)
def several(t):
    pods = t.pods
    t.create(
        pods.pod(
            "several",
            pods.container("plain", script=SLEEP),
            pods.container("first", script=SHOW + SLEEP, resources=limits(memory=3000, cores=20)),
            pods.container("second", script=SHOW + SLEEP, resources=limits(memory=5000, cores=30)),
        )
    )
    t.running("several")
    shares = t.shares("several")
    assert [len(s) for s in shares] == [0, 1, 1], shares
    assert [s[0].memory for s in shares[1:]] == [3000, 5000], shares
    for name, share in (("first", shares[1][0]), ("second", shares[2][0])):
        t.log_has("several", rf"{share.uuid}, {share.memory} MiB", container=name)
    out = t.exec(
        "several",
        "bash",
        "-c",
        "ls /dev/nvidia* 2>&1; type nvidia-smi 2>&1",
        container="plain",
        check=False,
    )
    assert "nvidia0" not in out and "/usr/bin/nvidia-smi" not in out, out
    pod = t.pod("several")
    assert protocol.annotation(pod, protocol.BIND_PHASE) == "success"
    assert not any(protocol.decode_allocation(protocol.annotation(pod, protocol.TO_ALLOCATE)))


# An init container runs again when its Pod's sandbox is made anew, as after a restart of the node.
@test("an init container's larger share stays its Pod's as long as that lives")
def init(t):
    pods, card = t.pods, next(c for c in t.cluster.cards() if c.node == "node1")
    gates = {"volumes": [{"name": "gate", "emptyDir": {}}]}
    mount = {"volumeMounts": [{"name": "gate", "mountPath": "/gate"}]}
    t.create(
        pods.pod(
            "init",
            pods.container("plain", script=SLEEP, **mount),
            pods.container("app", script=SHOW + SLEEP, resources=limits(memory=2000), **mount),
            init=[
                pods.container(
                    "setup", script=gate("open"), resources=limits(memory=20000), **mount
                )
            ],
            card=card.uuid,
            **gates,
        )
    )
    t.log_has("init", rf"{card.uuid}, 20000 MiB", container="setup", seconds=90)
    assert [len(s) for s in t.shares("init")] == [1, 0, 1], t.shares("init")
    assert t.cluster.ledger()[card.uuid].memory == 20000, t.cluster.ledger()[card.uuid]
    t.create(pods.gpu("waiter", memory=card.memory - 10000, card=card.uuid))
    t.refusal("waiter")
    t.exec("init", "touch", "/gate/open", container="setup")
    t.phase("init", "Running")
    t.log_has("init", rf"{card.uuid}, 2000 MiB", container="app")
    assert t.cluster.ledger()[card.uuid].memory == 20000, t.cluster.ledger()[card.uuid]
    assert not t.pod("waiter")["spec"].get("nodeName"), t.pod("waiter")["spec"]
    t.delete_and_wait("init")
    t.phase("waiter", "Running", seconds=60)
    assert t.cluster.ledger()[card.uuid].memory == card.memory - 10000


@test("a restarted container gets the same share again")
def restarted(t):
    t.create(t.pods.gpu("again", SHOW + SLEEP, memory=3000))
    t.running("again")
    card, uid = t.card_of("again"), t.pod("again")["metadata"]["uid"]
    for process in t.cluster.processes(uid):
        process.kill()

    def restarts():
        status = t.pod("again")["status"]["containerStatuses"][0]
        return status["restartCount"] >= 1 and status["ready"]

    eventually("container restarted", restarts, 60)
    t.log_has("again", rf"{card}, 3000 MiB")
    assert t.card_of("again") == card
