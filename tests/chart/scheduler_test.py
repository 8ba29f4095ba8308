"""The scheduler: Deployment, kube-scheduler configuration, Services (spec/helm.md 3.1, 5)."""

import json
import unittest

import helm
from helm import (
    NVIDIA,
    container,
    deployment,
    device_config,
    extender,
    plugin,
    render,
    scheduler_config,
    sets,
)


class Scheduler(unittest.TestCase):
    def test_the_arguments_stand_in_the_order_of_the_reference(self):
        objects = render(
            values={
                "scheduler": {
                    "nodeLabelSelector": {"gpu": "on", "a": "b"},
                    "annotateAtFilter": True,
                    "admissionWebhook": {"allowPrivileged": True, "denyForgedAnnotations": True},
                }
            }
        )
        self.assertEqual(
            extender(objects)["command"],
            [
                "hami-scheduler",
                "--http_bind=0.0.0.0:443",
                "--cert_file=/tls/tls.crt",
                "--key_file=/tls/tls.key",
                "--scheduler-name=hami-scheduler",
                "--metrics-bind-address=:9395",
                "--node-scheduler-policy=binpack",
                "--gpu-scheduler-policy=spread",
                "--force-overwrite-default-scheduler=true",
                "--device-config-file=/device-config/device-config.yaml",
                "--leader-elect=true",
                "--leader-elect-resource-name=hami-scheduler",
                "--leader-elect-resource-namespace=kube-system",
                "--node-label-selector=a=b,gpu=on",
                "--extender-bind=127.0.0.1:8080",
                "--allow-privileged=true",
                "--decision-writers=system:serviceaccount:kube-system:hami-scheduler,"
                "system:serviceaccount:kube-system:hami-device-plugin",
                "--deny-forged-annotations=true",
                "--annotate-at-filter=true",
                "--debug",
                "-v=4",
            ],
        )

    def test_kube_scheduler_asks_our_extender_on_loopback_in_plain_http(self):
        config = scheduler_config(render())
        self.assertEqual(config["apiVersion"], "kubescheduler.config.k8s.io/v1")
        self.assertEqual(config["percentageOfNodesToScore"], 100)
        self.assertEqual(
            config["leaderElection"],
            {
                "leaderElect": True,
                "resourceName": "hami-scheduler",
                "resourceNamespace": "kube-system",
            },
        )
        self.assertEqual(config["profiles"], [{"schedulerName": "hami-scheduler"}])
        (one,) = config["extenders"]
        self.assertEqual(
            one.pop("managedResources"), [{"name": n, "ignoredByScheduler": True} for n in NVIDIA]
        )
        self.assertEqual(
            one,
            {
                "urlPrefix": "http://127.0.0.1:8080",
                "enableHTTPS": False,
                "filterVerb": "filter",
                "bindVerb": "bind",
                "nodeCacheCapable": True,
                "weight": 1,
                "httpTimeout": "30s",
            },
        )

    def test_the_configuration_version_follows_the_cluster(self):
        for kube, version in (
            ("1.22.0", "v1beta2"),
            ("1.25.9", "v1beta2"),
            ("1.26.0", "v1"),
            ("1.35.4", "v1"),
        ):
            config = scheduler_config(render(kube=kube))
            self.assertEqual(config["apiVersion"], f"kubescheduler.config.k8s.io/{version}", kube)

    def test_clusters_before_1_22_get_the_policy_file_with_the_same_content(self):
        objects = render(kube="1.21.5")
        policy = json.loads(objects.one("ConfigMap", "hami-scheduler")["data"]["config.json"])
        self.assertEqual([r["name"] for r in policy["extenders"][0]["managedResources"]], NVIDIA)
        self.assertEqual(policy["extenders"][0]["httpTimeout"], 30_000_000_000)
        command = container(deployment(objects), "kube-scheduler")["command"]
        self.assertEqual(
            command,
            [
                "kube-scheduler",
                "--scheduler-name=hami-scheduler",
                "--leader-elect=true",
                "--leader-elect-resource-name=hami-scheduler",
                "--leader-elect-resource-namespace=kube-system",
                "--policy-config-file=/config/config.json",
                "-v=4",
            ],
        )

    def test_the_requeue_flag_is_kept_from_schedulers_that_do_not_know_it(self):
        flag = "--pod-max-in-unschedulable-pods-duration=60s"
        for kube, there in (("1.23.17", False), ("1.24.0", True), ("1.35.4", True)):
            command = container(deployment(render(kube=kube)), "kube-scheduler")["command"]
            self.assertEqual(flag in command, there, kube)

    def test_managed_resources_equal_the_names_in_the_effective_device_config(self):
        custom = {
            "device-config": {
                "content": "nvidia:\n  resourceCountName: example.com/card\n"
                "  resourceMemoryName: example.com/mem\n"
            }
        }
        for values in (
            {},
            {"resourceName": "hami.io/gpu", "resourceCores": "hami.io/cores"},
            custom,
        ):
            objects = render(values=values)
            nvidia = device_config(objects)["nvidia"]
            defaults = dict(
                zip(
                    (
                        "resourceCountName",
                        "resourceMemoryName",
                        "resourceCoreName",
                        "resourceMemoryPercentageName",
                        "resourcePriorityName",
                    ),
                    NVIDIA,
                )
            )
            names = [nvidia.get(key, default) for key, default in defaults.items()]
            managed = scheduler_config(objects)["extenders"][0]["managedResources"]
            self.assertEqual([r["name"] for r in managed], names)
            (condition,) = objects.one("MutatingWebhookConfiguration", "hami-webhook")["webhooks"][
                0
            ]["matchConditions"]
            for name in names:
                self.assertIn(f"'{name}'", condition["expression"])

    def test_a_device_config_that_is_no_yaml_is_refused_by_name(self):
        with self.assertRaisesRegex(helm.RenderError, "device-config.content: expected YAML"):
            render(values={"device-config": {"content": "nvidia: [unclosed"}})

    def test_the_scheduler_tag_is_the_clusters_version_without_the_providers_suffix(self):
        for kube, tag in (
            ("v1.31.1+k3s1", "v1.31.1"),
            ("v1.30.8-eks-2d5f260", "v1.30.8"),
            ("1.35.4", "v1.35.4"),
        ):
            image = container(deployment(render(kube=kube)), "kube-scheduler")["image"]
            self.assertTrue(image.endswith(":" + tag), image)
        given = render(*sets("scheduler.kubeScheduler.image.tag=v1.29.0"))
        self.assertTrue(
            container(deployment(given), "kube-scheduler")["image"].endswith(":v1.29.0")
        )

    def test_images_follow_global_registry_and_tag_and_the_components_own_tag_wins(self):
        objects = render(
            *sets(
                "global.imageRegistry=reg.example/x",
                "global.imageTag=t1",
                "devicePlugin.image.tag=t2",
            )
        )
        self.assertEqual(extender(objects)["image"], "reg.example/x/hami:t1")
        self.assertEqual(plugin(objects)["image"], "reg.example/x/hami:t2")
        self.assertTrue(
            container(deployment(objects), "kube-scheduler")["image"].startswith(
                "reg.example/x/kube-scheduler:"
            )
        )
        bare = render(
            *sets("scheduler.extender.image.registry=", "scheduler.extender.image.tag=  ")
        )
        self.assertEqual(extender(bare)["image"], "hami:v0.1.0")

    def test_pull_secrets_of_all_images_of_a_pod_are_joined(self):
        objects = render(
            values={
                "global": {"imagePullSecrets": ["a"]},
                "scheduler": {
                    "extender": {"image": {"pullSecrets": ["b"]}},
                    "kubeScheduler": {"image": {"pullSecrets": ["c", "a"]}},
                },
            }
        )
        secrets = deployment(objects)["spec"]["template"]["spec"]["imagePullSecrets"]
        self.assertEqual(secrets, [{"name": "a"}, {"name": "b"}, {"name": "c"}])

    def test_replicas_count_only_with_leader_election(self):
        two = render(*sets("scheduler.replicas=2"))
        self.assertEqual(deployment(two)["spec"]["replicas"], 2)
        self.assertEqual(
            two.one("PodDisruptionBudget", "hami-scheduler")["spec"]["minAvailable"], 1
        )
        alone = render(*sets("scheduler.replicas=2", "scheduler.leaderElect=false"))
        self.assertEqual(deployment(alone)["spec"]["replicas"], 1)
        self.assertNotIn(
            "hami.io/scheduler-role", alone.one("Service", "hami-scheduler")["spec"]["selector"]
        )
        self.assertFalse(any("leader-elect" in a for a in extender(alone)["command"]))
        self.assertFalse(scheduler_config(alone)["leaderElection"]["leaderElect"])

    def test_of_two_replicas_one_whose_extender_stays_away_gives_the_lead_away(self):
        def probe(objects):
            containers = deployment(objects)["spec"]["template"]["spec"]["containers"]
            return next(c for c in containers if c["name"] == "kube-scheduler").get("livenessProbe")

        two = probe(render(*sets("scheduler.replicas=2")))
        self.assertEqual(two["httpGet"], {"path": "/healthz", "port": 443, "scheme": "HTTPS"})
        self.assertIsNone(probe(render()))
        one = probe(render(*sets("scheduler.livenessProbe=true")))
        self.assertEqual(one["httpGet"]["port"], 10259)

    def test_without_kube_scheduler_nobody_waits_for_a_lease_that_no_one_holds(self):
        objects = render(*sets("scheduler.kubeScheduler.enabled=false", "scheduler.replicas=3"))
        self.assertEqual(deployment(objects)["spec"]["replicas"], 1)
        self.assertFalse(any("leader-elect" in a for a in extender(objects)["command"]))
        selector = objects.one("Service", "hami-scheduler")["spec"]["selector"]
        self.assertNotIn("hami.io/scheduler-role", selector)

    def test_a_change_of_either_configuration_rolls_the_pods(self):
        keys = ("checksum/hami-scheduler-config", "checksum/hami-scheduler-device-config")

        def sums(objects, workload, name):
            annotations = objects.one(workload, name)["spec"]["template"]["metadata"]["annotations"]
            return [annotations[k] for k in keys]

        base, other = render(), render(*sets("resourceName=hami.io/gpu"))
        for workload, name in (
            ("Deployment", "hami-scheduler"),
            ("DaemonSet", "hami-device-plugin"),
        ):
            for before, after in zip(sums(base, workload, name), sums(other, workload, name)):
                self.assertNotEqual(before, after)

    def test_the_metrics_port_follows_the_bind_address(self):
        objects = render(*sets("scheduler.metricsBindAddress=0.0.0.0:9999"))
        (port,) = [p for p in extender(objects)["ports"] if p["name"] == "metrics"]
        self.assertEqual(port["containerPort"], 9999)
        (monitor,) = [
            p
            for p in objects.one("Service", "hami-scheduler")["spec"]["ports"]
            if p["name"] == "monitor"
        ]
        self.assertEqual(
            (monitor["port"], monitor["nodePort"], monitor["targetPort"]), (31993, 31993, 9999)
        )
        with self.assertRaisesRegex(helm.RenderError, "monitorTargetPort: expected 9395"):
            render(*sets("scheduler.service.monitorTargetPort=1234"))

    def test_service_ports_are_those_of_the_reference(self):
        ports = render().one("Service", "hami-scheduler")["spec"]["ports"]
        self.assertEqual(
            [(p["name"], p["port"], p["targetPort"], p["nodePort"]) for p in ports],
            [("http", 443, 443, 31998), ("monitor", 31993, 9395, 31993)],
        )
        cluster = render(*sets("scheduler.service.type=ClusterIP")).one("Service", "hami-scheduler")
        self.assertFalse(any("nodePort" in p for p in cluster["spec"]["ports"]))
