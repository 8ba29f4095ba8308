"""The chart against a real kube-apiserver and kube-scheduler: what helm renders, they accept."""

import base64
import http.server
import json
import pathlib
import ssl
import subprocess
import tempfile
import threading
import unittest

import yaml

import helm
from api_server import ApiServer
from helm import CHART, program, render, sets

api = None


def setUpModule():
    global api
    api = ApiServer()


def tearDownModule():
    api.close()


def pod(name, annotations=None, resources=None, init_resources=None, scheduler=None):
    spec = {"containers": [{"name": "c", "image": "i", "resources": resources or {}}]}
    if init_resources:
        spec["initContainers"] = [{"name": "i", "image": "i", "resources": init_resources}]
    if scheduler:
        spec["schedulerName"] = scheduler
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations or {}},
        "spec": spec,
    }


class Accepted(unittest.TestCase):
    def test_the_api_server_accepts_every_object_without_a_word_about_unknown_fields(self):
        for options in (
            [],
            ["scheduler.replicas=2", "cleanup.enabled=true"],
            ["scheduler.admissionWebhook.enabled=false"],
            [
                "devicePlugin.createRuntimeClass=true",
                "devicePlugin.runtimeClassName=nvidia",
                "devicePlugin.nvidiaDriverRoot=/",
                "devicePlugin.extraEnvs.A=b",
                "devicePlugin.gpuOperatorToolkitReady.enabled=true",
            ],
        ):
            with self.subTest(options=options):
                # Two hooks may bear the name of an object that is there at another time.
                for wanted in (
                    lambda hook: not hook or "delete" not in hook,
                    lambda hook: hook and "delete" in hook,
                ):
                    objects = [
                        o for o in render(*sets(*options), kube="1.35.4") if wanted(helm.hook_of(o))
                    ]
                    if objects:
                        done = api.run(
                            "kubectl",
                            "apply",
                            "--dry-run=server",
                            "--validate=strict",
                            "-f",
                            "-",
                            stdin=yaml.safe_dump_all(objects),
                        )
                        self.assertNotIn("Warning", done.stderr)

    def test_kube_scheduler_reads_the_configuration_as_it_was_meant(self):
        config = render(kube="1.35.4").one("ConfigMap", "hami-scheduler")["data"]["config.yaml"]
        flags = [
            a
            for a in helm.container(
                render(kube="1.35.4").one("Deployment", "hami-scheduler"), "kube-scheduler"
            )["command"][1:]
            if not a.startswith("--config")
        ]
        with tempfile.TemporaryDirectory() as folder:
            given, read = pathlib.Path(folder, "given.yaml"), pathlib.Path(folder, "read.yaml")
            given.write_text(config)
            done = subprocess.run(
                [
                    program("kube-scheduler"),
                    f"--config={given}",
                    f"--write-config-to={read}",
                    "--master=http://127.0.0.1:1",
                    "--secure-port=0",
                    *flags,
                ],
                capture_output=True,
                text=True,
                timeout=60,
            )
            self.assertEqual(done.returncode, 0, done.stderr)
            got = yaml.safe_load(read.read_text())
        want = yaml.safe_load(config)
        self.assertEqual(got["percentageOfNodesToScore"], 100)
        self.assertEqual(
            got["leaderElection"]["resourceName"], want["leaderElection"]["resourceName"]
        )
        self.assertEqual(
            sorted(r["name"] for r in got["extenders"][0]["managedResources"]),
            sorted(r["name"] for r in want["extenders"][0]["managedResources"]),
        )
        self.assertNotIn("enableHTTPS", {k: v for k, v in got["extenders"][0].items() if v})


class Life(unittest.TestCase):
    """What helm does itself; hooks that need running Pods are proved on the testbed (tests/e2e)."""

    KINDS = (
        "deployments,daemonsets,services,configmaps,secrets,serviceaccounts,jobs,leases,roles,"
        "rolebindings,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,runtimeclasses,"
        "poddisruptionbudgets"
    )

    def ours(self):
        everything = api.get(self.KINDS, "--all-namespaces")["items"]
        return sorted(
            f"{o['kind']} {o['metadata']['name']}"
            for o in everything
            if "hami" in o["metadata"]["name"]
            or o["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "hami"
        )

    def test_install_upgrade_and_uninstall_leave_nothing_of_ours(self):
        base = [
            "--namespace",
            "kube-system",
            *sets("scheduler.patch.enabled=false", "devicePlugin.enabled=false"),
        ]
        api.run("helm", "install", "hami", str(CHART), *base)
        self.assertIn("Deployment hami-scheduler", self.ours())
        # What programs make while the release lives.
        made = [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "hami-scheduler-tls", "namespace": "kube-system"},
                "data": {"tls.crt": "YQ=="},
            },
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": "hami-scheduler", "namespace": "kube-system"},
                "spec": {"holderIdentity": "x"},
            },
        ]
        api.run("kubectl", "apply", "-f", "-", stdin=yaml.safe_dump_all(made))
        bundle = base64.b64encode(b"authority").decode()
        patch = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]
        # The API server wants a PEM block.
        pem = subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-keyout",
                "/dev/null",
                "-subj",
                "/CN=a",
            ],
            check=True,
            capture_output=True,
        ).stdout
        patch[0]["value"] = base64.b64encode(pem).decode()
        api.run(
            "kubectl",
            "patch",
            "mutatingwebhookconfiguration",
            "hami-webhook",
            "--type=json",
            "-p",
            json.dumps(patch),
        )

        api.run("helm", "upgrade", "hami", str(CHART), *base, *sets("scheduler.replicas=2"))
        webhook = api.get("mutatingwebhookconfiguration", "hami-webhook")["webhooks"][0]
        self.assertEqual(
            webhook["clientConfig"]["caBundle"],
            patch[0]["value"],
            "an upgrade must keep the caBundle",
        )
        self.assertIn("PodDisruptionBudget hami-scheduler", self.ours())
        self.assertEqual(
            base64.b64decode(
                api.get("secret", "hami-scheduler-tls", "-n", "kube-system")["data"]["tls.crt"]
            ),
            b"a",
        )

        api.run("helm", "uninstall", "hami", "--namespace", "kube-system")
        self.assertEqual(self.ours(), [])

    def test_a_dry_run_on_a_server_shows_the_cleaning_hooks_that_an_installation_would_have(self):
        done = api.run(
            "helm", "install", "hami", str(CHART), "--namespace", "kube-system", "--dry-run=server"
        )
        self.assertIn("name: hami-cleanup", done.stdout)
        self.assertIn("helm.sh/hook: pre-delete", done.stdout)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Admits every Pod unchanged and notes its name."""

    seen = []
    operations = set()

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(review["request"]["name"])
        self.operations.add(review["request"]["operation"])
        body = json.dumps(
            {
                "apiVersion": review["apiVersion"],
                "kind": "AdmissionReview",
                "response": {"uid": review["request"]["uid"], "allowed": True},
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class MatchConditions(unittest.TestCase):
    def setUp(self):
        """The chart's webhooks, called at a receiver of this process."""
        with tempfile.TemporaryDirectory() as folder:
            cert, key = pathlib.Path(folder, "crt"), pathlib.Path(folder, "key")
            subprocess.run(
                [
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-nodes",
                    "-keyout",
                    key,
                    "-out",
                    cert,
                    "-subj",
                    "/CN=127.0.0.1",
                    "-addext",
                    "subjectAltName=IP:127.0.0.1",
                ],
                check=True,
                capture_output=True,
            )
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            bundle = base64.b64encode(cert.read_bytes()).decode()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

        webhook = render(
            *sets(
                "scheduler.admissionWebhook.customURL.enabled=true",
                f"scheduler.admissionWebhook.customURL.port={server.server_port}",
                "scheduler.admissionWebhook.failurePolicy=Fail",
            ),
            kube="1.35.4",
        ).one("MutatingWebhookConfiguration", "hami-webhook")
        webhook["metadata"]["name"] = "match-conditions"
        for one in webhook["webhooks"]:
            one["clientConfig"]["caBundle"] = bundle
        api.run("kubectl", "apply", "-f", "-", stdin=json.dumps(webhook))
        self.addCleanup(
            api.run, "kubectl", "delete", "mutatingwebhookconfiguration", "match-conditions"
        )
        Receiver.seen.clear()
        Receiver.operations.clear()

    def test_the_webhook_sees_the_pods_that_concern_us_and_no_others(self):
        limits = lambda name, value="1": {"limits": {name: value}}
        ours = [
            pod("count", resources=limits("nvidia.com/gpu")),
            pod("memory-only", resources=limits("nvidia.com/gpumem", "3000")),
            pod("in-an-init-container", init_resources=limits("nvidia.com/gpucores", "30")),
            pod(
                "requests",
                resources={"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}},
            ),
            pod("forged", annotations={"hami.io/vgpu-devices-allocated": "x"}),
            pod("by-scheduler", scheduler="hami-scheduler"),
        ]
        others = [
            pod("plain"),
            pod("cpu", resources=limits("cpu")),
            pod("foreign-card", resources=limits("amd.com/gpu")),
            pod("foreign-annotation", annotations={"example.com/a": "b"}),
            pod("other-scheduler", scheduler="x"),
        ]
        labelled = pod("left-alone", resources=limits("nvidia.com/gpu"))
        labelled["metadata"]["labels"] = {"hami.io/webhook": "ignore"}

        def create(one):
            return api.run(
                "kubectl",
                "create",
                "--dry-run=server",
                "-f",
                "-",
                stdin=json.dumps(one),
                check=False,
            )

        # A new configuration reaches the API server's own cache a moment later: the first Pod that
        # must be seen is offered until it is.
        for _ in range(100):
            create(ours[0])
            if Receiver.seen:
                break
        self.assertTrue(Receiver.seen, "the API server never called the webhook")
        Receiver.seen.clear()
        for one in ours + others + [labelled]:
            done = create(one)
            self.assertEqual(done.returncode, 0, (one["metadata"]["name"], done.stderr))
        self.assertEqual(sorted(Receiver.seen), sorted(o["metadata"]["name"] for o in ours))

    def test_changes_of_decisions_by_strangers_are_seen_and_no_other_updates(self):
        name = "living"
        account = "system:serviceaccount:kube-system:"
        one = pod(name, annotations={"hami.io/vgpu-devices-allocated": "x", "mine": "1"})
        # Out of the webhook's sight, so that it does not count; the guard asks for no label.
        one["metadata"]["labels"] = {"hami.io/webhook": "ignore"}
        api.run("kubectl", "create", "-f", "-", stdin=json.dumps(one))
        self.addCleanup(api.run, "kubectl", "delete", "pod", name, "--grace-period=0", "--force")

        def annotate(value, user="alice", groups=("system:masters",), *more):
            patch = json.dumps({"metadata": {"annotations": value}})
            who = [f"--as={user}"] + [f"--as-group={g}" for g in groups]
            api.run("kubectl", "patch", "pod", name, "--type=merge", "-p", patch, *who, *more)

        forged = {"hami.io/vgpu-devices-allocated": "y"}
        for _ in range(100):  # until the API server's own cache knows the configuration
            annotate(forged, "alice", ("system:masters",), "--dry-run=server")
            if Receiver.seen:
                break
        self.assertTrue(Receiver.seen, "the API server never called the webhook")
        self.assertEqual(Receiver.operations, {"UPDATE"})

        def calls(*args):
            Receiver.seen.clear()
            annotate(*args)
            return len(Receiver.seen)

        self.assertEqual(calls(forged), 1)
        self.assertEqual(calls({"hami.io/bind-phase": "success"}), 1)
        self.assertEqual(calls({"hami.io/vgpu-devices-allocated": None}), 1)
        self.assertEqual(calls(forged, "alice", ("system:masters",), "--subresource=status"), 1)
        self.assertEqual(calls({"mine": "2"}), 0)
        self.assertEqual(calls({"mine": None}), 0)
        # Everything of ours away, and the map with it.
        self.assertEqual(calls(None), 1)
        masters = ("system:masters",)
        for user in ("hami-scheduler", "hami-device-plugin"):
            self.assertEqual(calls({"hami.io/vgpu-node": user}, account + user, masters), 0)
        self.assertEqual(
            calls({"hami.io/vgpu-node": "z"}, "system:node:n1", ("system:nodes", *masters)), 0
        )
        self.assertEqual(calls({"hami.io/vgpu-node": "w"}, account + "other", masters), 1)
