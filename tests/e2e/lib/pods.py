"""Manifests of the tests' Pods."""

# Ends at once on SIGTERM, so that removing a Pod takes no grace period.
SLEEP = "trap 'exit 0' TERM; sleep infinity & wait"


def limits(gpus=1, memory=None, percent=None, cores=None, **more):
    found = {
        "nvidia.com/gpu": gpus,
        "nvidia.com/gpumem": memory,
        "nvidia.com/gpumem-percentage": percent,
        "nvidia.com/gpucores": cores,
        **more,
    }
    return {k: str(v) for k, v in found.items() if v is not None}


class Factory:
    """Knows the sample image; everything else is said per Pod."""

    def __init__(self, image):
        self.image = image

    def container(self, name="main", script=SLEEP, command=None, resources=None, **more):
        return {
            "name": name,
            "image": self.image,
            "imagePullPolicy": "Never",
            "command": command or ["bash", "-c", script],
            "resources": {"limits": resources or {}},
            **more,
        }

    def pod(
        self,
        name,
        *containers,
        annotations=None,
        node=None,
        card=None,
        init=(),
        restart="Always",
        grace=30,
        labels=None,
        **spec
    ):
        """node: pinned by label; card: pinned by UUID annotation."""
        annotations = dict(annotations or {})
        if card:
            annotations["nvidia.com/use-gpuuuid"] = card
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": annotations, "labels": labels or {}},
            "spec": {
                "restartPolicy": restart,
                "terminationGracePeriodSeconds": grace,
                "automountServiceAccountToken": False,
                "containers": list(containers),
                **spec,
            },
        }
        if init:
            manifest["spec"]["initContainers"] = list(init)
        if node:
            manifest["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
        return manifest

    def gpu(
        self, name, script=SLEEP, command=None, gpus=1, memory=3000, percent=None, cores=None, **pod
    ):
        """A Pod of one container with a share."""
        resources = limits(gpus, memory, percent, cores)
        return self.pod(
            name, self.container(script=script, command=command, resources=resources), **pod
        )

    def template(self, manifest, labels):
        """The Pod as the template of a Job or a Deployment."""
        return {
            "metadata": {"labels": labels, "annotations": manifest["metadata"]["annotations"]},
            "spec": manifest["spec"],
        }

    def deployment(self, name, manifest, replicas):
        labels = {"app": name}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1},
                },
                "template": self.template(manifest, labels),
            },
        }

    def job(self, name, manifest, pods, at_once):
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {
                "completions": pods,
                "parallelism": at_once,
                "backoffLimit": 1000,
                "template": self.template(manifest, {"job": name}),
            },
        }
