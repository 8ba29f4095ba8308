"""Pods of Jobs and Deployments come and go while components are killed; then the books must agree.

Used by tests/e2e (a few minutes) and tests/chaos (hours). What it asserts: the invariants of checker.py
at every moment, no Pod that waits longer than a minute, every UnexpectedAdmissionError with an
explanation, and at the end a ledger equal to the live Pods' charges.
"""

import collections
import json
import random
import re
import threading
import time

from . import protocol
from .checker import WAIT_LIMIT
from .cluster import PLUGIN, SCHEDULER
from .framework import Failure
from .kube import ApiError
from .wait import eventually

# Keeps a program of ours alive in the container: killed, it is started again, as a training job's
# workers are by their launcher.
SERVE = (
    "trap 'kill $! 2>/dev/null; exit 0' TERM; "
    "while :; do gpu-alloc --max 500 --step 100 --hold 3600 >/dev/null 2>&1 & wait $!; done"
)
WORK = "gpu-alloc --max 300 --step 100 --hold {seconds} >/dev/null"

# Why kubelet refuses a Pod that was bound: (pattern in its message, what it means).
EXPLANATIONS = [
    (
        r"no healthy devices present|unhealthy devices|Unavailable|transport is closing|connection refused|"
        r"connection error|EOF|Canceled|endpoint .*stopped|no such file",
        "the plugin was being restarted when kubelet admitted the Pod: nobody could serve Allocate",
    ),
    (
        r"unregistered device|unregistered resource|Unregistered",
        "kubelet had just started and admitted the Pod before the plugin had registered again",
    ),
    (
        r"Requested: \d+, Available: 0|Insufficient nvidia|devices unavailable",
        "kubelet had no share of the plugin at hand: one of the two had just started",
    ),
]
KINDS = ("extender", "kube-scheduler", "plugin", "program", "kubelet")


def explain(message):
    for pattern, meaning in EXPLANATIONS:
        if re.search(pattern, message):
            return meaning
    return None


class Workload(threading.Thread):
    """Creates Jobs and scales, restarts and prunes Deployments until told to stop."""

    def __init__(self, t, rng, at_once):
        super().__init__(daemon=True)
        self.t, self.rng, self.at_once = t, rng, at_once
        self.stopping = threading.Event()
        self.jobs = 0
        self.failure = None
        self.deployments = {"serve-a": 3, "serve-b": 3, "serve-c": 2, "serve-d": 2}

    def manifest(self, script, restart="Always"):
        rng = self.rng
        policy = rng.choice(["binpack", "spread"])
        return self.t.pods.gpu(
            "unnamed",
            script,
            memory=rng.choice([1000, 2000, 3000, 5000]),
            cores=rng.choice([None, 10, 20]),
            annotations={"hami.io/gpu-scheduler-policy": policy},
            restart=restart,
            grace=10,
        )

    def begin(self):
        for name, replicas in self.deployments.items():
            self.t.create(self.t.pods.deployment(name, self.manifest(SERVE), replicas))

    def run(self):
        # The pauses are the load's pace; nothing is synchronised by them.
        while not self.stopping.wait(self.rng.uniform(0.3, 1.2)):
            try:
                self.step()
            except (ApiError, OSError) as e:
                self.t.log(f"workload: {e!r}; goes on")
            except Exception as e:
                self.failure = e
                return

    def step(self):
        t, rng = self.t, self.rng
        live = [p for p in t.kube.items(t.path("pods")) if not protocol.ended(p)]
        action = rng.random()
        if action < 0.5 and len(live) < self.at_once:
            self.jobs += 1
            work = self.manifest(WORK.format(seconds=rng.randint(1, 4)), restart="Never")
            t.create(t.pods.job(f"job-{self.jobs}", work, pods=3, at_once=3))
        elif action < 0.75:
            name = rng.choice(list(self.deployments))
            self.scale(name, rng.randint(1, 4))
        elif live:
            serving = [p for p in live if p["metadata"]["labels"].get("app")]
            if serving:
                t.delete("pods", rng.choice(serving)["metadata"]["name"])
        self.prune()

    def scale(self, name, replicas):
        self.t.kube.patch(
            self.t.path("deployments", name), json.dumps({"spec": {"replicas": replicas}})
        )
        self.deployments[name] = replicas

    def prune(self):
        """Finished Jobs go, their Pods with them."""
        for job in self.t.kube.items(self.t.path("jobs")):
            if job.get("status", {}).get("succeeded", 0) >= 3:
                self.t.delete("jobs", job["metadata"]["name"])


class Churn:
    def __init__(self, t, seed, kills, at_once=26):
        """kills: {kind: how often}; the order is random, by the seed."""
        self.t, self.rng, self.cluster = t, random.Random(seed), t.cluster
        self.kills, self.killed = kills, collections.Counter()
        self.blows = []  # (when, kind), by the monotonic clock
        self.workload = Workload(t, random.Random(seed + 1), at_once)
        self.scheduler_killed = 0.0

    # --- killing ------------------------------------------------------------------------------------
    def victims(self, kind):
        if kind == "extender":
            return [q for _, q in self.cluster.release_processes(SCHEDULER, "hami-scheduler")]
        if kind == "kube-scheduler":
            return [q for _, q in self.cluster.release_processes(SCHEDULER, "kube-scheduler")]
        if kind == "plugin":
            return [q for _, q in self.cluster.release_processes(PLUGIN, "hami-device-plugin")]
        live = [h for h in self.t.checker.of(self.t.ns) if h.started and not h.gone]
        self.rng.shuffle(live)
        for history in live:
            found = self.cluster.processes(history.uid, "gpu-alloc")
            if found:
                return found
        return []

    def kill(self, kind):
        self.blows.append((time.monotonic(), kind))
        if kind == "kubelet":
            node = self.rng.randint(1, self.cluster.nodes)
            self.cluster.restart("--kill", f"kubelet@{node}")
            self.killed[kind] += 1
            return
        victims = eventually(f"a {kind} to kill", lambda: self.victims(kind), 60, pause=0.3)
        victim = self.rng.choice(victims)
        self.t.log(f"kill -9 {kind} {victim.pid}")
        victim.kill()
        self.killed[kind] += 1
        if kind == "program":
            return
        # The next kill comes when the victim is back, not when it has recovered: kills overlap with that.
        eventually(
            f"{kind} started again",
            lambda: len([v for v in self.victims(kind) if v.pid != victim.pid]) >= len(victims),
            90,
            pause=0.3,
        )

    def scheduler_recovered(self):
        """It leads again, and every Pod that waited when it was killed last has a node. Kills that come
        faster than that would only show that a dead scheduler does not schedule."""
        try:
            leads = self.cluster.scheduler_leads()
        except (ApiError, OSError, AssertionError):
            return False
        waiting = [
            h
            for h in self.t.checker.of(self.t.ns)
            if h.created < self.scheduler_killed and not h.bound and not h.gone
        ]
        return leads and not waiting

    def next_kill(self, order):
        """The first of the list that may come now."""
        for i, kind in enumerate(order):
            if kind not in ("extender", "kube-scheduler"):
                return order.pop(i)
            if self.scheduler_recovered():
                self.scheduler_killed = time.monotonic()
                return order.pop(i)
        return None

    def run(self, pods=0):
        """Kills by the list, in random order, then goes on until `pods` Pods have come."""
        order = [kind for kind, n in self.kills.items() for _ in range(n)]
        self.rng.shuffle(order)
        self.workload.begin()
        self.workload.start()
        try:
            while order:
                if self.workload.failure:
                    raise self.workload.failure
                kind = eventually("a kill", lambda: self.next_kill(order), 90, pause=0.3)
                self.kill(kind)
                time.sleep(self.rng.uniform(0.0, 1.5))  # the kills' pace
            eventually(
                f"{pods} Pods have come",
                lambda: len(self.t.checker.of(self.t.ns)) >= pods,
                300,
                pause=0.5,
            )
        finally:
            self.workload.stopping.set()
            self.workload.join()
        if self.workload.failure:
            raise self.workload.failure
        self.settle()

    # --- the reckoning ------------------------------------------------------------------------------
    def settle(self):
        """The load ends; what should run runs, what should end has ended, and the books agree."""
        t = self.t
        for name in self.workload.deployments:
            self.workload.scale(name, 3)

        def jobs_done():
            self.workload.prune()
            left = t.kube.items(t.path("jobs"))
            assert not left, f"Jobs that do not end: {[j['metadata']['name'] for j in left]}"
            return True

        # A Job replaces a failed Pod only after a pause that doubles (10 s, 20 s, ...): Kubernetes' own.
        eventually("Jobs done", jobs_done, 240, pause=0.5)

        def serving():
            self.nudge_refused()
            for item in t.kube.items(t.path("deployments")):
                assert (
                    item["status"].get("readyReplicas", 0) == 3 == item["status"].get("replicas")
                ), f"{item['metadata']['name']}: {item['status']}"
            return True

        # Once a ReplicaSet had no Pod and its controller did nothing for minutes. Not proved: it still expected to see
        # Pods that it had made, which it gives up after five minutes.
        eventually("Deployments whole", serving, 330, pause=2)
        eventually("scheduler in step", self.cluster.scheduler_leads, 60)

        def books_agree():
            ledger = {u: v for u, v in self.cluster.ledger().items() if v != protocol.NOTHING}
            charges = t.checker.charges()
            assert ledger == charges, f"ledger {ledger}, live Pods {charges}"
            return True

        eventually("ledger equals the live Pods' charges", books_agree, 60, pause=0.5)
        self.judge()

    def nudge_refused(self):
        """A ReplicaSet whose Pods were refused while the webhook was dead tries again after a pause that doubles, up to
        minutes: Kubernetes' own. A change of the object makes it try now."""
        t = self.t
        for item in t.kube.items(t.path("replicasets")):
            if item["status"].get("replicas", 0) < item["spec"].get("replicas", 0):
                nudge = {"metadata": {"annotations": {"hami.test/nudged": str(time.monotonic())}}}
                t.kube.patch(t.path("replicasets", item["metadata"]["name"]), json.dumps(nudge))

    def story(self, h, waited):
        """Why that Pod waited so long: the kills meanwhile and what kube-scheduler said of it, in seconds since it was
        created."""
        kills = [
            f"{at - h.created:.1f} {kind}"
            for at, kind in self.blows
            if -20 < at - h.created < waited
        ]
        field = f"?fieldSelector=involvedObject.uid={h.uid}"
        said = [
            f"{e.get('firstTimestamp') or e.get('eventTime')} to {e.get('lastTimestamp')} x{e.get('count', 1)} "
            f"{e['reason']}: {e['message'][:300]}"
            for e in self.t.kube.items(self.t.path("events") + field)
        ]
        return {"pod": h.key, "waited_s": round(waited, 1), "kills": kills, "events": said}

    def judge(self):
        t, now = self.t, time.monotonic()
        histories = t.checker.of(t.ns)
        # How long each waited for a card, the longest first.
        waits = sorted(
            (((h.bound or h.gone or now) - h.created, h) for h in histories),
            key=lambda wait: -wait[0],
        )
        slow = [f"{h.key} waited {s:.1f} s for a card" for s, h in waits if s > WAIT_LIMIT]
        starting = []
        for h in histories:
            if h.bound and h.reason != "UnexpectedAdmissionError":
                to_start = (h.started or h.gone or now) - h.bound
                starting.append(to_start)
                if to_start > WAIT_LIMIT:
                    slow.append(
                        f"{h.key} was bound to {h.node} and not started for {to_start:.1f} s"
                    )
        refused = [h for h in histories if h.reason == "UnexpectedAdmissionError"]
        meanings = collections.Counter(explain(h.message) or "UNEXPLAINED" for h in refused)
        failures = collections.Counter(h.reason for h in histories if h.phase == "Failed")
        t.note(
            pods=len(histories),
            kills=dict(self.killed),
            jobs=self.workload.jobs,
            longest_wait_for_a_card_s=round(waits[0][0], 2),
            longest_start_s=round(max(starting), 2),
            longest_waits=[self.story(h, seconds) for seconds, h in waits[:3]],
            median_wait_for_a_card_s=round(waits[len(waits) // 2][0], 2),
            median_start_s=round(sorted(starting)[len(starting) // 2], 2),
            unexpected_admission_errors=len(refused),
            explained=dict(meanings),
            failed_by_reason=dict(failures),
            messages=sorted({h.message for h in refused})[:20],
            changes_checked=t.checker.events_seen,
        )
        if slow:
            raise Failure("; ".join(slow[:10]))
        unexplained = [h for h in refused if not explain(h.message)]
        if unexplained:
            raise Failure(
                "UnexpectedAdmissionError without an explanation: "
                + "; ".join(f"{h.key}: {h.message}" for h in unexplained[:5])
            )
