"""Pods that fit nowhere stay Pending and say why, with numbers; they start when there is room."""

import re

from lib.framework import test
from lib.wait import eventually


@test(
    "a Pod that fits nowhere stays Pending; its Event gives numbers per reason and the closest miss"
)
def nowhere(t):
    pods, cards = t.pods, t.cluster.cards()
    large = max(cards, key=lambda c: c.memory)
    second = max(c.memory for c in cards if c.uuid != large.uuid)
    free = second + 1000
    assert free < large.memory, "the test's cards: one must be larger than all others"
    t.create(pods.gpu("holder", memory=large.memory - free, card=large.uuid))
    t.running("holder")
    want = free + 500
    t.create(pods.gpu("waiter", memory=want))
    text = t.refusal("waiter")
    assert "no fit on 2 nodes" in text and f"asks {want} MiB on 1 card" in text, text
    found = re.search(
        r"CardInsufficientMemory: (\d+) of (\d+) cards on 2 nodes \(node1, node2\)", text
    )
    assert found and int(found[1]) == int(found[2]) == len(cards), text
    closest = f"closest: {large.node} lacks 500 MiB ({free} MiB free on its best card)"
    assert closest in text, text

    # Another reason beside it: cards of the wrong type are counted apart.
    t.create(
        pods.gpu("choosy", memory=want, annotations={"nvidia.com/use-gputype": "A100-SXM4-80GB"})
    )
    text = t.refusal("choosy")
    assert re.search(
        rf"CardTypeMismatch: {len(cards) - 1} of {len(cards)} cards on 2 nodes", text
    ), text
    assert re.search(r"CardInsufficientMemory: 1 of \d+ cards on 1 node", text), text

    # kube-scheduler's own Event carries the fixed words only (no numbers, so that it can be folded).
    folded = t.kube.events(t.ns, "waiter", "FailedScheduling")
    assert any("CardInsufficientMemory" in e["message"] for e in folded), [
        e["message"] for e in folded
    ]

    # Room for the first of them: it starts by itself.
    t.delete("pods", "choosy")
    t.delete_and_wait("holder")
    t.phase("waiter", "Running", seconds=60)


@test("more than the largest card stays Pending, and the Event names the largest card")
def too_large(t):
    large = max(t.cluster.cards(), key=lambda c: c.memory)
    t.create(t.pods.gpu("giant", memory=large.memory + 1))
    text = t.refusal("giant", "largest card")
    expected = f"more than the largest card: {large.type} on {large.node} has {large.memory} MiB"
    assert expected in text, f"expected {expected!r} in {text!r}"


@test("more cards than any node has, and a taken core share, have reasons of their own")
def other_reasons(t):
    pods = t.pods
    t.create(pods.gpu("many", gpus=9, memory=100))
    text = t.refusal("many")
    assert "NodeInsufficientDevice" in text, text
    card = t.cluster.cards()[0]
    t.create(pods.gpu("cores", memory=100, cores=60, card=card.uuid))
    t.running("cores")
    t.create(pods.gpu("more-cores", memory=100, cores=60, card=card.uuid))
    text = t.refusal("more-cores")
    assert "CardInsufficientCore: 1 of" in text and "CardUuidMismatch" in text, text
    t.delete_and_wait("cores")
    t.phase("more-cores", "Running", seconds=60)
    eventually("still waiting", lambda: t.pod("many")["status"]["phase"] == "Pending")
