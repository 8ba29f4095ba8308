"""The cluster under test: the testbed's commands, the installed release, and what they show."""

import json
import os
import pathlib
import signal
import subprocess

from . import protocol
from .kube import Kube
from .wait import eventually

REPO = pathlib.Path(__file__).resolve().parents[3]
RELEASE, NAMESPACE = "hami", "hami-system"
SCHEDULER = "app.kubernetes.io/component=hami-scheduler"
PLUGIN = "app.kubernetes.io/component=hami-device-plugin"


class CommandFailed(Exception):
    pass


class Process:
    """A process of the host's view, so sure that a reused pid is never meant."""

    def __init__(self, pid):
        self.pid, self.born = pid, _born(pid)

    def alive(self):
        return self.born is not None and _born(self.pid) == self.born

    def kill(self):
        if self.alive():
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def _born(pid):
    """Start time in clock ticks; None for no process, or one that is dead and not yet collected."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


class Cluster:
    def __init__(self, state, net, nodes, cards, log):
        """log: function(text) that receives what commands print."""
        self.state, self.nodes, self.cards_file, self.log = pathlib.Path(state), nodes, cards, log
        self.env = dict(
            os.environ,
            HAMI_TESTBED_DIR=str(state),
            HAMI_TESTBED_NET=net,
            HAMI_TESTBED_CRASH_BACKOFF="1s",  # the kill tests would wait for kubelet otherwise
        )
        self.env.pop("KUBECONFIG", None)
        self.kube = None

    # --- commands -----------------------------------------------------------------------------------
    def run(self, *command, timeout=600, input=None, check=True):
        """Output of a command of the tree; CommandFailed with the end of it otherwise."""
        words = [str(w) for w in command]
        self.log("+ " + " ".join(words))
        done = subprocess.run(
            words,
            cwd=REPO,
            env=self.env,
            input=input,
            text=True,
            timeout=timeout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.stdout:
            self.log(done.stdout.rstrip())
        if check and done.returncode != 0:
            raise CommandFailed(
                f"{' '.join(words)}: exit status {done.returncode}: {done.stdout.strip()[-600:]}"
            )
        return done.stdout

    def kubectl(self, *arguments, **kw):
        return self.run("testbed/kubectl", *arguments, **kw)

    def on_node(self, n, *command, **kw):
        return self.run("testbed/node", n, "--", *command, **kw)

    def restart(self, *arguments, **kw):
        return self.run("testbed/restart", *arguments, **kw)

    def node_path(self, n, path):
        """Where the host sees a path of node n: /run, /tmp, /usr/local/vgpu and kubelet's folder are its own."""
        for inner, outer in (
            ("/var/lib/kubelet", "kubelet"),
            ("/usr/local/vgpu", "vgpu"),
            ("/run", "run"),
            ("/var/run", "run"),
            ("/tmp", "tmp"),
        ):
            if path == inner or path.startswith(inner + "/"):
                return self.state / f"node{n}" / outer / path[len(inner) :].lstrip("/")
        raise ValueError(f"{path} is not a path of the node's own")

    # --- up, install, down --------------------------------------------------------------------------
    def up(self):
        self.run("testbed/up", "--nodes", self.nodes, "--cards", self.cards_file, timeout=1800)
        self.kube = Kube(
            json.loads(self.run_quiet("testbed/kubectl", "config", "view", "--raw", "-o", "json"))
        )

    def ask(self, *command):
        """Its output, not logged, whatever it says."""
        done = subprocess.run(
            command, cwd=REPO, env=self.env, capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr

    def run_quiet(self, *command):
        return subprocess.run(
            command, cwd=REPO, env=self.env, check=True, capture_output=True, text=True
        ).stdout

    def images(self):
        self.run("images/build", "hami", "sample", "kube-scheduler")
        folder = pathlib.Path(self.env.get("HAMI_IMAGES_DIR", REPO / "build/images"))
        self.run(
            "testbed/load", *(folder / f"{i}.tar" for i in ("hami", "sample", "kube-scheduler"))
        )
        self.sample_image = self.image_name("sample")
        self.image_key = (folder / "hami.tar.key").read_text().strip()[:16]

    def image_name(self, image):
        return self.run_quiet("images/build", "--names", image).strip()

    def install(self, *more):
        hami, scheduler = self.image_name("hami"), self.image_name("kube-scheduler")
        self.kubectl("label", "nodes", "--all", "gpu=on", "--overwrite")
        status = self.run(
            "testbed/helm", "status", RELEASE, "-n", NAMESPACE, "-o", "json", check=False
        )
        if '"status":"pending-' in status.replace(" ", ""):
            # What an interrupted run left half made can only be made anew.
            self.run("testbed/helm", "uninstall", RELEASE, "-n", NAMESPACE, "--no-hooks", "--wait")
        self.run(
            "testbed/helm",
            "upgrade",
            "--install",
            RELEASE,
            "charts/hami",
            "--namespace",
            NAMESPACE,
            "--create-namespace",
            "--timeout",
            "4m",
            "--values",
            "demo/values.yaml",
            "--values",
            "tests/e2e/values.yaml",
            "--set",
            f"scheduler.extender.image.registry={hami.rpartition('/')[0]}",
            "--set",
            f"devicePlugin.image.registry={hami.rpartition('/')[0]}",
            "--set",
            f"global.imageTag={hami.rpartition(':')[2]}",
            "--set",
            f"scheduler.kubeScheduler.image.registry={scheduler.rpartition('/')[0]}",
            "--set",
            f"scheduler.kubeScheduler.image.tag={scheduler.rpartition(':')[2]}",
            # The tag stays when our programs change: this rolls the Pods then.
            "--set-string",
            f"scheduler.podAnnotations.e2e-image=x{self.image_key}",
            "--set-string",
            f"devicePlugin.podAnnotations.e2e-image=x{self.image_key}",
            *more,
        )

    def wait_installed(self):
        for workload in ("deployment/hami-scheduler", "daemonset/hami-device-plugin"):
            self.kubectl("-n", NAMESPACE, "rollout", "status", workload, "--timeout=90s")
        eventually("cards and shares of every node", self.all_registered, 90)
        eventually("ledger knows every card", lambda: len(self.ledger()) == len(self.cards()), 60)

    def all_registered(self):
        nodes = self.kube.items("/api/v1/nodes")
        return len(nodes) == self.nodes and all(
            protocol.cards_of_node(n)
            and all(c.healthy for c in protocol.cards_of_node(n))
            and int(n["status"].get("allocatable", {}).get("nvidia.com/gpu", "0"))
            == sum(c.slots for c in protocol.cards_of_node(n))
            for n in nodes
        )

    def uninstall(self):
        self.run("testbed/helm", "uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "4m")

    def down(self):
        self.run("testbed/down", timeout=180)

    # --- what the release shows ---------------------------------------------------------------------
    def pods(self, selector):
        return self.kube.items(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={selector}")

    def scheduler_pod(self):
        pods = [p for p in self.pods(SCHEDULER) if "deletionTimestamp" not in p["metadata"]]
        assert (
            len(pods) == 1
        ), f"expected 1 scheduler Pod, got {[p['metadata']['name'] for p in pods]}"
        return pods[0]

    def proxy(self, pod, port, path, scheme="http", timeout=10):
        """GET through the API server. pod: object."""
        name = f"{'https:' if scheme == 'https' else ''}{pod['metadata']['name']}:{port}"
        ns = pod["metadata"]["namespace"]
        return self.kube.call(
            "GET", f"/api/v1/namespaces/{ns}/pods/{name}/proxy{path}", timeout=timeout
        ).body.decode()

    def metrics(self):
        return protocol.parse_metrics(self.proxy(self.scheduler_pod(), 9395, "/metrics"))

    def ledger(self, scheduler=None):
        """{card UUID: Usage} as the scheduler's /metrics say."""
        text = self.proxy(scheduler or self.scheduler_pod(), 9395, "/metrics")
        families = protocol.parse_metrics(text)
        cores = {l["device_uuid"]: v for l, v in families["hami_gpu_core_allocated_ratio"]}
        slots = {l["device_uuid"]: v for l, v in families["hami_gpu_shared_count"]}
        return {
            l["device_uuid"]: protocol.Usage(
                int(v) >> 20, int(cores[l["device_uuid"]]), int(slots[l["device_uuid"]])
            )
            for l, v in families["hami_gpu_memory_allocated_bytes"]
        }

    def scheduler_leads(self):
        """The extender is in step and decides."""
        families = self.metrics()
        return all(
            families[n] and families[n][0][1] == 1
            for n in ("hami_scheduler_leader", "hami_scheduler_synced")
        )

    def cards(self):
        return [c for n in self.kube.items("/api/v1/nodes") for c in protocol.cards_of_node(n)]

    def card(self, uuid):
        return next(c for c in self.cards() if c.uuid == uuid)

    def locks(self):
        nodes = self.kube.items("/api/v1/nodes")
        return {
            n["metadata"]["name"]: protocol.annotation(n, protocol.LOCK)
            for n in nodes
            if protocol.annotation(n, protocol.LOCK)
        }

    # --- processes ----------------------------------------------------------------------------------
    def processes(self, pod_uid, name=None):
        """Processes of a Pod's containers, its sandbox left out; with `name`, those whose program or
        script is called so."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                if pod_uid not in pathlib.Path(f"/proc/{entry}/cgroup").read_text():
                    continue
                words = (
                    pathlib.Path(f"/proc/{entry}/cmdline")
                    .read_bytes()
                    .decode(errors="replace")
                    .split("\0")
                )
            except OSError:
                continue
            if words[0] in ("/pause", "") or (
                name and not any(w.rpartition("/")[2] == name for w in words)
            ):
                continue
            process = Process(int(entry))
            if process.alive():
                found.append(process)
        return found

    def release_processes(self, selector, name):
        """Processes of the release's own Pods: [(Pod, Process)]."""
        return [
            (p, q) for p in self.pods(selector) for q in self.processes(p["metadata"]["uid"], name)
        ]

    # --- the simulated cards' own account -----------------------------------------------------------
    def sim(self, n, *command):
        """What the simulated machine of node n says of itself (sim/README.md)."""
        root = self.node_path(n, "/run/nvidia/driver/run/fakegpu")
        build = pathlib.Path(self.env.get("HAMI_BUILD_DIR", REPO / "build/release"))
        out = subprocess.run(
            [
                build / "bin/hami-sim",
                *command,
                "-o",
                "json",
                "--config",
                root / "cards.yaml",
                "--state",
                root / "state",
            ],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert out.returncode == 0, f"hami-sim {' '.join(command)}: {out.stderr.strip()}"
        return out.stdout

    def reset_peaks(self):
        for n in range(1, self.nodes + 1):
            self.sim(n, "state", "reset-peak")

    def card_account(self, node_name, uuid):
        """Bytes in use on the card and their peak, by the card itself: (used, peak)."""
        cards = json.loads(self.sim(int(node_name.removeprefix("node")), "state"))["cards"]
        card = next(c for c in cards if c["uuid"] == uuid)
        return card["used_bytes"], card["peak_bytes"]
