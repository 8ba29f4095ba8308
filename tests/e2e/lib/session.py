"""From nothing to a cluster with the release installed, and back: what tests/e2e and tests/chaos share."""

import signal
import time
import traceback

from . import framework
from .checker import Checker
from .pods import Factory


def say(text):
    print(text, flush=True)


def interruptible():
    """SIGTERM ends the run as Ctrl-C does: everything is taken down."""

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


class Session:
    """with Session(...) as s: s.prepare(), then s.runner. Takes the testbed down at the end, whatever
    happened, unless `keep`."""

    def __init__(self, cluster, folder, setup_log, command, keep, repeat, resume=False):
        """command: ours, repeat: how one test is repeated ("{short}" is its name), resume: the report is
        continued."""
        self.cluster, self.folder, self.setup_log = cluster, folder, setup_log
        self.command, self.keep, self.repeat, self.resume = command, keep, repeat, resume
        self.began, self.checker = time.monotonic(), None

    def progress(self, what):
        say(f"# [{time.monotonic() - self.began:5.0f} s] {what}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.checker:
            self.checker.stop()
        if self.keep:
            say(
                f"# left up: export KUBECONFIG={self.cluster.state}/kubeconfig   ({self.command} --down removes it)"
            )
            return False
        # A second interrupt must not leave half of it behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self.progress("taking the testbed down")
        self.cluster.down()
        if kind is KeyboardInterrupt:
            say("interrupted")
        return False

    def prepare(self):
        """True when the release stands and every card is registered."""
        cluster = self.cluster
        steps = [
            (f"testbed with {cluster.nodes} nodes", cluster.up),
            ("images", cluster.images),
            ("leftovers of an earlier run", self._leftovers),
            ("chart", cluster.install),
            ("scheduler, plugins, cards", cluster.wait_installed),
        ]
        for what, action in steps:
            self.progress(what)
            try:
                action()
            except Exception as e:
                self.setup_log(traceback.format_exc())
                say(f"not ok 0 set-up: {what}")
                say(f"  reason: {e}")
                say(f"  log:    {self.folder}/setup.log")
                say(f"  repeat: {self.command} --keep")
                if cluster.kube:
                    framework.dump(cluster, self.folder / "setup.dump", say)
                return False
        framework.Test.pods = Factory(cluster.sample_image)
        self.checker = Checker(cluster.kube, log=self.setup_log)
        self.checker.start()
        report = framework.Report(self.folder / "report.json", self.resume)
        self.runner = framework.Runner(cluster, self.checker, report, self.folder, self.repeat, say)
        return True

    def _leftovers(self):
        for ns in self.cluster.kube.items("/api/v1/namespaces"):
            name = ns["metadata"]["name"]
            if name.startswith("e2e-"):
                self.cluster.kubectl("delete", "namespace", name, "--wait", "--timeout=120s")
