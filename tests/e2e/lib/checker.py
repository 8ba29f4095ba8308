"""The invariants of spec/protocol.md 7, checked on every change that the API server commits.

One thread watches Pods, one Nodes. Pods come in the order of their commits, so that the sums over a
card are those of a moment that really was. What lasts (a lock whose owner is gone, a Pod that waits) is
judged by how long it lasts. Also keeps the history of every Pod with cards: when it was created,
bound, started, how it ended.
"""

import datetime
import threading
import time

from . import protocol
from .kube import Watch

LOCK_LIMIT = 60.0  # seconds that a lock may stay without an owner that is being allocated
# Seconds after which a Pod that would fit counts as forgotten. The promised minute is a figure of the report,
# for it depends on the machine's load: a kill of kube-scheduler alone costs its Lease, 15 to 20 s.
WAIT_LIMIT = 300.0


class History:
    """One Pod's life, by the checker's monotonic clock."""

    def __init__(self, pod, now):
        meta = pod["metadata"]
        self.key, self.uid = f"{meta['namespace']}/{meta['name']}", meta["uid"]
        self.owner = (meta.get("ownerReferences") or [{}])[0].get("kind", "")
        self.created, self.bound, self.started, self.gone = now, None, None, None
        self.node, self.reason, self.message, self.phase = "", "", "", ""


def _parse_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Checker:
    def __init__(self, kube, namespaces="e2e-", log=print):
        """Pods of namespaces with that prefix; every other Pod is not ours to judge."""
        self.prefix, self.log = namespaces, log
        self.mutex = threading.RLock()
        self.pods, self.nodes, self.histories = {}, {}, {}
        self.violations = []
        self.loose_locks = {}  # (node, lock text) -> first seen
        self.events_seen = 0
        self.gap = False  # between a lost watch and the next list: sums may miss a change
        self.watches = [
            Watch(kube, "/api/v1/pods", self._list_pods, self._pod_event),
            Watch(kube, "/api/v1/nodes", self._list_nodes, self._node_event),
        ]
        self.ticker_stop = threading.Event()
        self.ticker = threading.Thread(target=self._tick, daemon=True)

    def start(self):
        for watch in self.watches:
            watch.start()
        self.ticker.start()

    def stop(self):
        self.ticker_stop.set()
        self.ticker.join()
        for watch in self.watches:
            watch.stop()

    def take_violations(self):
        with self.mutex:
            taken, self.violations = self.violations, []
            return taken

    def _violation(self, text):
        if text not in self.violations:
            self.violations.append(text)
            self.log(f"INVARIANT {text}")

    # --- Pods ---------------------------------------------------------------------------------------
    def _mine(self, pod):
        return pod["metadata"]["namespace"].startswith(self.prefix)

    def _list_pods(self, pods):
        with self.mutex:
            now = time.monotonic()
            present = {p["metadata"]["uid"] for p in pods}
            for uid in [u for u in self.pods if u not in present]:
                self._gone(uid, now)
            for pod in pods:
                if self._mine(pod):
                    self.pods[pod["metadata"]["uid"]] = pod
                    self._record(pod, now)
            for pod in self.pods.values():
                self._check_pod(pod)
            self._check_cards()

    def _pod_event(self, kind, pod):
        if not self._mine(pod):
            return
        with self.mutex:
            self.events_seen += 1
            now, uid = time.monotonic(), pod["metadata"]["uid"]
            if kind == "DELETED":
                self._record(pod, now)
                self._gone(uid, now)
                return
            self.pods[uid] = pod
            self._record(pod, now)
            self._check_pod(pod)
            self._check_cards(protocol.annotation(pod, protocol.VGPU_NODE))

    def _gone(self, uid, now):
        self.pods.pop(uid, None)
        if uid in self.histories:
            self.histories[uid].gone = now

    def _record(self, pod, now):
        h = self.histories.setdefault(pod["metadata"]["uid"], History(pod, now))
        status = pod.get("status", {})
        if pod["spec"].get("nodeName") and h.bound is None:
            h.bound, h.node = now, pod["spec"]["nodeName"]
        if protocol.started(pod) and h.started is None:
            h.started = now
        if status.get("reason") and not h.reason:
            h.reason, h.message = status["reason"], status.get("message", "")
        h.phase = status.get("phase", h.phase)

    def _check_pod(self, pod):
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        get = lambda key: protocol.annotation(pod, key)
        node, bound = get(protocol.VGPU_NODE), pod["spec"].get("nodeName", "")
        if bound and node and bound != node:
            self._violation(f"I1: {name} is on {bound}, its {protocol.VGPU_NODE} says {node}")
        if not node:
            owned = [k for k in protocol.OWNED if get(k)]
            if owned:
                self._violation(f"I7: {name} has {owned} without {protocol.VGPU_NODE}")
            return
        try:
            allocated = protocol.decode_allocation(get(protocol.ALLOCATED))
            rest = protocol.decode_allocation(get(protocol.TO_ALLOCATE))
        except ValueError as e:
            self._violation(f"I2: {name}: allocation does not decode: {e}")
            return
        count = len(protocol.containers_of(pod))
        if len(allocated) != count:
            self._violation(
                f"I2: {name}: {len(allocated)} entries for {count} containers: {get(protocol.ALLOCATED)}"
            )
        if not self._is_rest(allocated, rest):
            self._violation(
                f"I5: {name}: {get(protocol.TO_ALLOCATE)!r} is not what is left of {get(protocol.ALLOCATED)!r}"
            )
        if get(protocol.BIND_PHASE) == "success" and any(rest):
            self._violation(
                f"I6: {name}: bind-phase success, but {get(protocol.TO_ALLOCATE)!r} is left"
            )

    @staticmethod
    def _is_rest(allocated, rest):
        """rest is allocated with its first non-empty entries emptied."""
        if len(allocated) != len(rest):
            return False
        emptied = True
        for a, r in zip(allocated, rest):
            if not a:
                if r:
                    return False
            elif r:
                if r != a:
                    return False
                emptied = False
            elif not emptied:
                return False
        return True

    def _check_cards(self, only_node=None):
        for name, node in self.nodes.items():
            if only_node and name != only_node:
                continue
            cards = {c.uuid: c for c in node["cards"]}
            held = {}
            for pod in self.pods.values():
                if pod["spec"].get("nodeName") != name:
                    continue
                for uuid, usage in protocol.charge(pod).items():
                    held.setdefault(uuid, []).append((pod["metadata"]["name"], usage))
            for uuid, parts in held.items():
                card = cards.get(uuid)
                if card is None:
                    continue  # a card that is away for now; its Pods keep what they have
                total = protocol.sum_usage(u for _, u in parts)
                if (
                    total.memory > card.memory
                    or total.cores > card.cores
                    or total.slots > card.slots
                ):
                    self._violation(
                        f"I3: card {uuid} of {name} is promised twice: {total} of {card.memory} MiB, "
                        f"{card.cores} cores, {card.slots} shares: {sorted(n for n, _ in parts)}"
                    )

    # --- Nodes --------------------------------------------------------------------------------------
    def _list_nodes(self, nodes):
        with self.mutex:
            present = {n["metadata"]["name"] for n in nodes}
            for name in [n for n in self.nodes if n not in present]:
                del self.nodes[name]
            for node in nodes:
                self._node(node)

    def _node_event(self, kind, node):
        with self.mutex:
            if kind == "DELETED":
                self.nodes.pop(node["metadata"]["name"], None)
            else:
                self._node(node)

    def _node(self, node):
        name = node["metadata"]["name"]
        try:
            cards = protocol.cards_of_node(node)
        except (ValueError, KeyError, TypeError):
            cards = []  # a test breaks one on purpose
        # A card that shrank keeps its old size for what it had promised; ours never shrink.
        self.nodes[name] = {"cards": cards, "lock": protocol.annotation(node, protocol.LOCK)}

    def _tick(self):
        while not self.ticker_stop.wait(1.0):
            with self.mutex:
                self._check_locks(time.monotonic())

    def _check_locks(self, now):
        """I4: a lock's owner exists, is bound to that node or about to be, and is being allocated."""
        current = {}
        for name, node in self.nodes.items():
            lock = node["lock"]
            if not lock or lock.count(",") != 2:
                continue
            _, ns, pod_name = lock.split(",")
            owner = next(
                (
                    p
                    for p in self.pods.values()
                    if p["metadata"]["namespace"] == ns and p["metadata"]["name"] == pod_name
                ),
                None,
            )
            fine = (
                owner is not None
                and not protocol.ended(owner)
                and owner["spec"].get("nodeName", name) == name
                and protocol.annotation(owner, protocol.BIND_PHASE) in ("", "allocating")
            )
            if not fine:
                first = self.loose_locks.get((name, lock), now)
                current[(name, lock)] = first
                if now - first > LOCK_LIMIT:
                    self._violation(
                        f"I4: lock {lock!r} of {name} has had no Pod in allocation for {LOCK_LIMIT:.0f} s"
                    )
        self.loose_locks = current

    # --- what a test asks ---------------------------------------------------------------------------
    def charges(self):
        """{card UUID: Usage} of all live Pods."""
        with self.mutex:
            held = {}
            for pod in self.pods.values():
                for uuid, usage in protocol.charge(pod).items():
                    held.setdefault(uuid, []).append(usage)
            return {uuid: protocol.sum_usage(parts) for uuid, parts in held.items()}

    def find(self, ns, name):
        with self.mutex:
            return next(
                (
                    p
                    for p in self.pods.values()
                    if p["metadata"]["namespace"] == ns and p["metadata"]["name"] == name
                ),
                None,
            )

    def of(self, ns):
        with self.mutex:
            return [h for h in self.histories.values() if h.key.startswith(ns + "/")]
