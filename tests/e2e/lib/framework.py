"""Tests as functions: registration, one log per test, checks after each, `ok` and `not ok` lines.

    @test("two Pods of 3000 MiB share one card")
    def two_pods(t): ...

In share_test.py its short name is share.two_pods. A test gets a Test: its own namespace, the cluster,
the log. Whatever it leaves is removed behind it, and then the ledger must be empty again: every test
also proves that no share is lost.
"""

import json
import os
import re
import shutil
import time
import traceback

from . import protocol
from .cluster import NAMESPACE, PLUGIN, SCHEDULER
from .kube import ApiError
from .wait import NotInTime, eventually

REGISTRY = []


def test(name):
    def register(function):
        subject = function.__module__.removesuffix("_test")
        REGISTRY.append((f"{subject}.{function.__name__}", name, function))
        return function

    return register


def environment(name, default):
    return os.environ.get(name) or default


class Report:
    """Timings and counts that a reader wants to see, not assert: build/log/e2e/report.json."""

    def __init__(self, path, resume=False):
        self.path = path
        self.values = json.loads(path.read_text()) if resume and path.exists() else {}

    def note(self, short, **values):
        self.values.setdefault(short, {}).update(values)
        self.path.write_text(json.dumps(self.values, indent=2, sort_keys=True) + "\n")


class Test:
    def __init__(self, short, cluster, checker, report, folder):
        self.short, self.cluster, self.checker, self.report = short, cluster, checker, report
        self.kube = cluster.kube
        self.log_file = folder / f"{short}.log"
        self.log_file.write_text("")
        self.started = time.monotonic()
        # The number keeps repeated runs apart: a namespace takes its time to go.
        self.ns = f"e2e-{re.sub('[._]', '-', short)}-{int(time.time()) % 100000}"

    # --- words --------------------------------------------------------------------------------------
    def log(self, text):
        stamp = f"[{time.monotonic() - self.started:7.2f}] "
        with self.log_file.open("a") as f:
            f.write(stamp + str(text).replace("\n", "\n" + " " * len(stamp)) + "\n")

    def note(self, **values):
        self.log(f"report: {values}")
        self.report.note(self.short, **values)

    # --- objects ------------------------------------------------------------------------------------
    def path(self, kind, name="", ns=None):
        group = {
            "pods": "api/v1",
            "events": "api/v1",
            "jobs": "apis/batch/v1",
            "deployments": "apis/apps/v1",
            "replicasets": "apis/apps/v1",
        }[kind]
        return f"/{group}/namespaces/{ns or self.ns}/{kind}" + (f"/{name}" if name else "")

    def open(self):
        self.kube.create("/api/v1/namespaces", {"metadata": {"name": self.ns}})
        account = f"/api/v1/namespaces/{self.ns}/serviceaccounts/default"
        eventually("default service account", lambda: self.kube.find(account), 60)

    def create(self, *manifests):
        """Creates Pods, Jobs, Deployments; the last one's answer."""
        for manifest in manifests:
            kind = manifest.get("kind", "Pod").lower() + "s"
            self.log(f"create {kind} {manifest['metadata']['name']}")
            answer = self.kube.create(self.path(kind), manifest)
        return answer

    def delete(self, kind, name, grace=None):
        self.log(f"delete {kind} {name}")
        body = {"propagationPolicy": "Background"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        self.kube.delete(self.path(kind, name), body)

    def pod(self, name):
        found = self.kube.pod(self.ns, name)
        assert found, f"Pod {name} is not there"
        return found

    def gone(self, name, seconds=90):
        eventually(f"Pod {name} gone", lambda: self.kube.pod(self.ns, name) is None, seconds)

    def delete_and_wait(self, *names):
        for name in names:
            self.delete("pods", name)
        for name in names:
            self.gone(name)

    def phase(self, name, *phases, seconds=120):
        """Waits for one of the phases; fails at once in another final one. Returns the Pod."""

        def ask():
            pod = self.pod(name)
            now = pod["status"].get("phase")
            if now in ("Succeeded", "Failed") and now not in phases:
                raise Failure(
                    f"Pod {name} is {now}: {pod['status'].get('reason', '')} "
                    f"{pod['status'].get('message', '')} {self.tail(name)}"
                )
            return pod if now in phases else None

        return eventually(f"Pod {name} {' or '.join(phases)}", ask, seconds, pause=0.2)

    def running(self, *names):
        return [self.phase(n, "Running") for n in names]

    def tail(self, name, container=None):
        try:
            return self.kube.log(self.ns, name, container)[-1500:]
        except ApiError as e:
            return f"(no log: {e.message})"

    def log_has(self, name, pattern, container=None, seconds=60):
        """Waits until the container's log matches; returns the match."""

        def ask():
            text = self.tail(name, container)
            match = re.search(pattern, text)
            assert match, f"log: {text!r}"
            return match

        return eventually(f"/{pattern}/ in the log of {name}", ask, seconds, pause=0.3)

    def exec(self, name, *command, container=None, check=True):
        where = ["-c", container] if container else []
        return self.cluster.kubectl(
            "-n", self.ns, "exec", name, *where, "--", *command, check=check
        )

    def shares(self, name):
        """[[Share]] per container, from what the scheduler wrote."""
        return protocol.decode_allocation(protocol.annotation(self.pod(name), protocol.ALLOCATED))

    def card_of(self, name):
        return next(s.uuid for container in self.shares(name) for s in container)

    def refusal(self, name, pattern="", seconds=60):
        """The newest FilteringFailed Event of a waiting Pod that matches; its text."""

        def ask():
            texts = [e["message"] for e in self.kube.events(self.ns, name, "FilteringFailed")]
            assert texts, "no FilteringFailed Event"
            matching = [text for text in texts if re.search(pattern, text)]
            assert matching, f"Events: {texts}"
            return matching[-1]

        text = eventually(f"refusal of {name}", ask, seconds, pause=0.2)
        pod = self.pod(name)
        assert pod["status"]["phase"] == "Pending" and not pod["spec"].get(
            "nodeName"
        ), "expected a waiting Pod"
        self.log(f"Event of {name}: {text}")
        return text

    def denied(self, manifest):
        """The API server's refusal of this Pod (ApiError)."""
        try:
            self.kube.create(self.path("pods"), manifest)
        except ApiError as e:
            self.log(f"denied: {e}")
            return e
        raise Failure(f"Pod {manifest['metadata']['name']} was admitted")

    # --- after the test -----------------------------------------------------------------------------
    def empty(self):
        """Removes what the test made and waits until its containers are gone."""
        for kind in ("deployments", "jobs", "pods"):
            for item in self.kube.items(self.path(kind)):
                self.delete(kind, item["metadata"]["name"])
        eventually(
            "Pods of the test gone", lambda: not self.kube.items(self.path("pods")), 120, pause=0.3
        )
        self.kube.delete(f"/api/v1/namespaces/{self.ns}")

    def nothing_held(self):
        """The ledger is empty, no lock is held, every share is back."""

        def ask():
            held = {u: v for u, v in self.cluster.ledger().items() if v != protocol.NOTHING}
            assert not held, f"ledger still holds {held}"
            locks = self.cluster.locks()
            assert not locks, f"node locks {locks}"
            return True

        eventually("ledger empty, no node lock", ask, 60)
        eventually("every card registered and healthy", self.cluster.all_registered, 60)


class Failure(Exception):
    """A verdict that no waiting will change (eventually() passes it on)."""


def dump(cluster, folder, log):
    """The cluster's state beside a failed test's log."""
    folder.mkdir(parents=True, exist_ok=True)

    def keep(name, *command):
        try:
            (folder / name).write_text(cluster.ask(*command))
        except Exception as e:  # a dump is a help, never a second failure
            (folder / name).write_text(f"{e}\n")

    keep("pods.txt", "testbed/kubectl", "get", "pods", "-A", "-o", "wide")
    keep("pods.json", "testbed/kubectl", "get", "pods", "-A", "-o", "json")
    keep("nodes.json", "testbed/kubectl", "get", "nodes", "-o", "json")
    keep("events.txt", "testbed/kubectl", "get", "events", "-A", "--sort-by=.lastTimestamp")
    for selector in (SCHEDULER, PLUGIN):
        name = selector.rpartition("-")[2]
        for suffix, previous in (("", []), (".previous", ["--previous"])):
            keep(
                f"{name}{suffix}.log",
                "testbed/kubectl",
                "-n",
                NAMESPACE,
                "logs",
                "-l",
                selector,
                "--all-containers",
                "--prefix",
                "--tail=20000",
                *previous,
            )
    try:
        (folder / "metrics.txt").write_text(
            cluster.proxy(cluster.scheduler_pod(), 9395, "/metrics")
        )
    except Exception as e:
        (folder / "metrics.txt").write_text(f"{e}\n")
    log(f"state of the cluster: {folder}")


class Runner:
    def __init__(self, cluster, checker, report, folder, repeat, say):
        self.cluster, self.checker, self.report, self.folder = cluster, checker, report, folder
        self.repeat, self.say = repeat, say
        self.passed = self.failed = 0

    def run(self, number, entry):
        short, name, function = entry
        t = Test(short, self.cluster, self.checker, self.report, self.folder)
        previous, self.cluster.log = self.cluster.log, t.log
        trouble, dump_folder = [], self.folder / f"{short}.dump"
        shutil.rmtree(dump_folder, ignore_errors=True)

        def guard(what, action):
            try:
                action()
                return True
            except KeyboardInterrupt:
                raise
            except Exception as e:
                text = str(e) if isinstance(e, (AssertionError, NotInTime, Failure)) else repr(e)
                t.log(f"{what}: {traceback.format_exc()}")
                trouble.append(f"{what}: {text}" if what else text)
                return False

        try:
            guard("", lambda: (t.open(), function(t)))
            trouble += self.checker.take_violations()
            if trouble:
                dump(self.cluster, dump_folder, t.log)
            guard("afterwards", t.empty)
            guard("afterwards", t.nothing_held)
            trouble += self.checker.take_violations()
        finally:
            self.cluster.log = previous
        took = time.monotonic() - t.started
        if not trouble:
            self.passed += 1
            self.say(f"ok {number} {name} ({took:.1f} s)")
            return
        self.failed += 1
        if not dump_folder.exists():
            dump(self.cluster, dump_folder, t.log)
        self.say(f"not ok {number} {name} ({took:.1f} s)")
        for line in trouble:
            self.say("  reason: " + line.replace("\n", "\n    ")[:2000])
        self.say(f"  log:    {t.log_file}   state: {dump_folder}")
        self.say("  repeat: " + self.repeat.format(short=short))
