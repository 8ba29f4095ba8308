"""The main job: a share of a card, seen from inside, and which card it is."""

from lib import protocol
from lib.framework import test
from lib.pods import SLEEP

BINPACK = {"hami.io/gpu-scheduler-policy": "binpack"}
SPREAD = {"hami.io/gpu-scheduler-policy": "spread"}
SHOW = "nvidia-smi; nvidia-smi --query-gpu=uuid,memory.total --format=csv,noheader; " + SLEEP


@test("two Pods of 3000 MiB share one card, a Pod of policy spread takes another")
def two_pods(t):
    pods = t.pods
    t.create(*(pods.gpu(n, SHOW, memory=3000, cores=30, annotations=BINPACK) for n in ("a", "b")))
    t.running("a", "b")
    card = t.card_of("a")
    assert t.card_of("b") == card, f"a is on {card}, b on {t.card_of('b')}"
    for name in ("a", "b"):
        # The real nvidia-smi: the table, and the query; one card, of the size of the share.
        t.log_has(name, r"\b\d+MiB / +3000MiB \|")
        t.log_has(name, rf"{card}, 3000 MiB")
        assert t.tail(name).count(", 3000 MiB") == 1, f"more than one card: {t.tail(name)}"
        env = t.exec(name, "env")
        assert "CUDA_DEVICE_MEMORY_LIMIT_0=3000m" in env, env
        assert "CUDA_DEVICE_SM_LIMIT=30" in env, env
        pod = t.pod(name)
        assert protocol.annotation(pod, protocol.BIND_PHASE) == "success"
        assert pod["metadata"]["labels"][protocol.VGPU_NODE] == pod["spec"]["nodeName"]
    usage = t.cluster.ledger()[card]
    assert usage == protocol.Usage(6000, 60, 2), f"ledger says {usage} of {card}"

    node = t.pod("a")["spec"]["nodeName"]
    t.create(pods.gpu("c", SHOW, memory=3000, annotations=SPREAD, node=node))
    t.running("c")
    assert t.card_of("c") != card, f"spread took {card} of a and b"
    t.log_has("c", rf"{t.card_of('c')}, 3000 MiB")


@test("programs of the container see the limit: python, bash, static programs load nothing loud")
def loads_quietly(t):
    """libvgpu.so is in every dynamic program by ld.so.preload; none of them says a word about it."""
    t.create(t.pods.gpu("quiet", memory=1000))
    t.running("quiet")
    for command in (["true"], ["bash", "-c", ":"], ["python3", "-c", "pass"]):
        out = t.exec("quiet", *command)
        assert out == "", f"{command} prints {out!r}"
    maps = t.exec("quiet", "bash", "-c", "cat /proc/self/maps")
    assert "libvgpu.so" in maps, "libvgpu.so is not loaded"


@test("percent of a card, whole card by default, two cards in one container")
def shapes(t):
    pods, node = t.pods, "node1"
    card = next(c for c in t.cluster.cards() if c.node == node)
    t.create(
        pods.gpu("percent", SHOW, memory=None, percent=50, node=node),
        pods.gpu("whole", SHOW, memory=None, node=node),
        pods.gpu("two", SHOW, gpus=2, memory=2000, node=node, annotations=SPREAD),
    )
    t.running("percent", "whole", "two")
    t.log_has("percent", rf"{t.card_of('percent')}, {card.memory // 2} MiB")
    t.log_has("whole", rf"{t.card_of('whole')}, {card.memory} MiB")
    (two,) = t.shares("two")
    assert len({s.uuid for s in two}) == 2, two
    for share in two:
        t.log_has("two", rf"{share.uuid}, 2000 MiB")
    # Nobody shares the card of the exclusive one.
    usage = t.cluster.ledger()[t.card_of("whole")]
    assert usage == protocol.Usage(card.memory, 100, 1), usage
