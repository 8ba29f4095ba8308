"""A real etcd and kube-apiserver on loopback for one test run, nothing else of Kubernetes."""

import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request

from helm import program


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class ApiServer:
    """Starts in the constructor, is gone after close(). Everybody may do everything in it."""

    TOKEN = "chart-test"

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hami-chart-"))
        self.processes = []
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _spawn(self, name, *args):
        with open(self.folder / f"{name}.log", "wb") as log:
            clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
            self.processes.append(
                subprocess.Popen([program(name), *args], stdout=log, stderr=log, env=clean)
            )

    def _start(self):
        client, peer, secure = free_port(), free_port(), free_port()
        key = self.folder / "sa.key"
        subprocess.run(
            ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key],
            check=True,
        )
        (self.folder / "tokens").write_text(f'{self.TOKEN},admin,admin,"system:masters"\n')
        etcd = f"http://127.0.0.1:{client}"
        self._spawn(
            "etcd",
            "--data-dir",
            self.folder / "etcd",
            "--listen-client-urls",
            etcd,
            "--advertise-client-urls",
            etcd,
            "--listen-peer-urls",
            f"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls",
            f"http://127.0.0.1:{peer}",
            "--initial-cluster",
            f"default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        )
        self._spawn(
            "kube-apiserver",
            "--etcd-servers",
            etcd,
            "--secure-port",
            str(secure),
            "--bind-address",
            "127.0.0.1",
            "--cert-dir",
            self.folder / "pki",
            "--token-auth-file",
            self.folder / "tokens",
            "--authorization-mode",
            "AlwaysAllow",
            "--service-account-issuer",
            "https://kubernetes.default.svc",
            "--allow-privileged",
            "--service-account-key-file",
            key,
            "--service-account-signing-key-file",
            key,
            "--service-cluster-ip-range",
            "10.96.0.0/16",
            "--disable-admission-plugins",
            "ServiceAccount",
        )
        self.url = f"https://127.0.0.1:{secure}"
        self.kubeconfig = self.folder / "kubeconfig"
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "clusters": [
                        {
                            "name": "c",
                            "cluster": {"server": self.url, "insecure-skip-tls-verify": True},
                        }
                    ],
                    "users": [{"name": "u", "user": {"token": self.TOKEN}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        self._wait()

    def _wait(self):
        context = ssl._create_unverified_context()
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        request = urllib.request.Request(
            self.url + "/readyz", headers={"Authorization": f"Bearer {self.TOKEN}"}
        )
        deadline = time.monotonic() + 60
        while True:
            for process in self.processes:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args[0]} ended:\n" + self.log_tail())
            try:
                opener.open(request, timeout=2).read()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"kube-apiserver not ready after 60 s: {error}\n" + self.log_tail()
                    )
                time.sleep(0.2)  # polls a process that has no way to tell us

    def log_tail(self):
        return "\n".join(
            line
            for log in self.folder.glob("*.log")
            for line in log.read_text(errors="replace").splitlines()[-8:]
        )

    def run(self, name, *args, stdin=None, check=True):
        """helm or kubectl on this server; returns the finished process."""
        done = subprocess.run(
            [program(name), "--kubeconfig", self.kubeconfig, *args],
            input=stdin,
            capture_output=True,
            text=True,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{name} {' '.join(map(str, args))}: {done.stderr.strip()}")
        return done

    def get(self, kind, *args):
        return json.loads(self.run("kubectl", "get", kind, "-o", "json", *args).stdout)

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
