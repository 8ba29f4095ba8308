"""How the chart's tests render it: the testbed's helm, one call per case, parsed YAML back."""

import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

import yaml

REPO = pathlib.Path(__file__).resolve().parents[2]
CHART = REPO / "charts" / "hami"
# The resources of the default device config, in kube-scheduler's order (spec/helm.md 5.2).
NVIDIA = [
    "nvidia.com/gpu",
    "nvidia.com/gpumem",
    "nvidia.com/gpucores",
    "nvidia.com/gpumem-percentage",
    "nvidia.com/priority",
]


@functools.lru_cache(maxsize=None)
def program(name):
    """Path of one of the testbed's programs; a missing one is an error, never a skipped test."""
    override = os.environ.get(name.upper().replace("-", "_") + "_PROGRAM")
    if override:
        return override
    out = subprocess.run(
        [REPO / "testbed/programs/build", "--print-bin"], check=True, capture_output=True, text=True
    )
    path = pathlib.Path(out.stdout.strip()) / name
    if not path.exists():
        raise RuntimeError(f"no {name} at {path}; build it with testbed/programs/build")
    return str(path)


class RenderError(Exception):
    pass


def run(*args, values=None):
    command = [program("helm"), *args]
    if values is not None:
        command += ["--values", "-"]
    done = subprocess.run(
        command,
        input=yaml.safe_dump(values) if values is not None else None,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RenderError(done.stderr.strip())
    return done.stdout


def template(*args, release="hami", kube="1.30.0", namespace="kube-system", values=None):
    """The objects that the chart gives, in order."""
    text = run(
        "template",
        release,
        str(CHART),
        "--kube-version",
        kube,
        "--namespace",
        namespace,
        *args,
        values=values,
    )
    return [o for o in yaml.safe_load_all(text) if o]


def notes(*args, values=None):
    """What helm tells the user after an installation. helm shows it only with a cluster at hand,
    so the notes become a ConfigMap of a copy of the chart."""
    with tempfile.TemporaryDirectory() as folder:
        chart = pathlib.Path(folder) / "hami"
        shutil.copytree(CHART, chart)
        (chart / "templates" / "NOTES.txt").rename(chart / "notes.tpl")
        (chart / "templates" / "notes.yaml").write_text(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\n"
            'data:\n  text: {{ tpl (.Files.Get "notes.tpl") . | quote }}\n'
        )
        text = run(
            "template",
            "hami",
            str(chart),
            "--namespace",
            "kube-system",
            "--show-only",
            "templates/notes.yaml",
            *args,
            values=values,
        )
    return yaml.safe_load(text)["data"]["text"]


class Objects(list):
    """Rendered objects with a way to pick one."""

    def one(self, kind, name, hook=None):
        found = [
            o
            for o in self
            if o["kind"] == kind and o["metadata"]["name"] == name and hook_of(o) == hook
        ]
        if len(found) != 1:
            raise AssertionError(f"expected one {kind} {name} (hook {hook}), got {len(found)}")
        return found[0]


def hook_of(obj):
    return (obj["metadata"].get("annotations") or {}).get("helm.sh/hook")


def render(*args, **kwargs):
    return Objects(template(*args, **kwargs))


def sets(*pairs):
    """["--set", "a=1", ...]"""
    return [word for pair in pairs for word in ("--set", pair)]


def container(workload, name):
    found = [c for c in workload["spec"]["template"]["spec"]["containers"] if c["name"] == name]
    if len(found) != 1:
        raise AssertionError(f"expected one container {name}, got {len(found)}")
    return found[0]


def env(one_container):
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in one_container.get("env", [])}


def deployment(objects, name="hami-scheduler"):
    return objects.one("Deployment", name)


def extender(objects):
    return container(deployment(objects), "vgpu-scheduler-extender")


def plugin(objects):
    return container(objects.one("DaemonSet", "hami-device-plugin"), "device-plugin")


def scheduler_config(objects):
    return yaml.safe_load(objects.one("ConfigMap", "hami-scheduler")["data"]["config.yaml"])


def device_config(objects):
    text = objects.one("ConfigMap", "hami-scheduler-device")["data"]["device-config.yaml"]
    return yaml.safe_load(text)
