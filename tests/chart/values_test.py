"""Values: what is refused, what must render, every option on every version."""

import itertools
import json
import re
import unittest

import yaml

import helm
from helm import deployment, env, extender, plugin, render, sets

VERSIONS = ["1.18.20", "1.22.0", "1.25.0", "1.30.0", "1.35.4"]


class FailingCasesOfTheReference(unittest.TestCase):
    """spec/helm.md 9: what breaks there must render here."""

    def test_service_labels_render(self):
        service = render(*sets("scheduler.service.labels.a=b")).one("Service", "hami-scheduler")
        self.assertEqual(service["metadata"]["labels"]["a"], "b")

    def test_liveness_without_kube_scheduler_renders(self):
        objects = render(
            *sets("scheduler.livenessProbe=true", "scheduler.kubeScheduler.enabled=false")
        )
        self.assertEqual(len(deployment(objects)["spec"]["template"]["spec"]["containers"]), 1)
        self.assertEqual(extender(objects)["livenessProbe"]["httpGet"]["path"], "/healthz")
        self.assertFalse([a for a in extender(objects)["command"] if "extender-bind" in a])

    def test_extra_environment_may_be_a_map_or_a_list(self):
        as_map = render(*sets("devicePlugin.extraEnvs.FOO=bar"))
        as_list = render(values={"devicePlugin": {"extraEnvs": [{"name": "FOO", "value": "bar"}]}})
        for objects in (as_map, as_list):
            self.assertEqual(env(plugin(objects))["FOO"], "bar")

    def test_without_the_webhook_the_service_leads_where_the_extender_listens(self):
        objects = render(*sets("scheduler.admissionWebhook.enabled=false"))
        (http,) = [
            p
            for p in objects.one("Service", "hami-scheduler")["spec"]["ports"]
            if p["name"] == "http"
        ]
        (port,) = [p for p in extender(objects)["ports"] if p["name"] == "http"]
        self.assertEqual((http["targetPort"], port["containerPort"]), (80, 80))
        self.assertIn("--http_bind=0.0.0.0:80", extender(objects)["command"])
        self.assertFalse(
            [o for o in objects if o["kind"] in ("Job", "MutatingWebhookConfiguration")]
        )

    def test_a_pod_security_policy_is_left_out_where_the_kind_is_gone(self):
        enabled = sets("podSecurityPolicy.enabled=true")
        self.assertFalse(
            [o for o in render(*enabled, kube="1.30.0") if o["kind"] == "PodSecurityPolicy"]
        )
        self.assertTrue(
            [o for o in render(*enabled, kube="1.24.0") if o["kind"] == "PodSecurityPolicy"]
        )

    def test_service_monitors_need_the_kind_or_force_and_their_absence_is_told(self):
        enabled = sets(
            "prometheus.enabled=true",
            "prometheus.serviceMonitor.labels.release=prom",
            "prometheus.serviceMonitor.interval=15s",
        )
        kinds = lambda objects: [o["kind"] for o in objects]
        self.assertNotIn("ServiceMonitor", kinds(render(*enabled)))
        self.assertIn("none was made", helm.notes(*enabled))
        for more in (
            ["--api-versions", "monitoring.coreos.com/v1/ServiceMonitor"],
            sets("prometheus.force=true"),
        ):
            monitor = render(*enabled, *more).one(
                "ServiceMonitor", "hami-scheduler-metrics-monitor"
            )
            self.assertEqual(monitor["metadata"]["labels"]["release"], "prom")
            self.assertEqual(
                monitor["spec"]["endpoints"],
                [{"port": "monitor", "path": "/metrics", "interval": "15s"}],
            )


class Values(unittest.TestCase):
    def test_unknown_keys_are_refused_with_their_path(self):
        for key, path in (
            ("scheduler.replicaCount=3", "/scheduler"),
            ("global.typoKey=1", "/global"),
            ("mluResourceName=x", "''"),
            ("devicePlugin.image.pulPolicy=Never", "/devicePlugin/image"),
            (
                "scheduler.admissionWebhook.customURL.prot=1",
                "/scheduler/admissionWebhook/customURL",
            ),
        ):
            name = key.split("=")[0].split(".")[-1]
            with self.assertRaises(helm.RenderError) as caught:
                render(*sets(key))
            self.assertIn(path, str(caught.exception), key)
            self.assertIn(f"'{name}' not allowed", str(caught.exception), key)

    def test_wrong_types_and_values_are_refused(self):
        for value in (
            "devicePlugin.deviceSplitCount=many",
            "devicePlugin.deviceSplitCount=0",
            "scheduler.replicas=0",
            "scheduler.leaderElect=maybe",
            "scheduler.defaultSchedulerPolicy.nodeSchedulerPolicy=tight",
            "scheduler.defaultSchedulerPolicy.gpuSchedulerPolicy=binpack\\,tight",
            "devicePlugin.deviceListStrategy=cdi",
            "devicePlugin.migStrategy=mixed",
            "devicePlugin.cdiExtraMounts={relative:/x}",
            "devicePlugin.deviceMemoryScaling=lots",
            "scheduler.service.httpPort=99999",
            "scheduler.metricsBindAddress=localhost",
            "scheduler.nodeLockExpire=five",
            "devices.nvidia.gpuCorePolicy=strict",
            "resourceName=gpu",
            "scheduler.admissionWebhook.failurePolicy=Maybe",
        ):
            with self.assertRaises(helm.RenderError, msg=value):
                render(*sets(value))

    def test_every_object_of_the_schema_is_closed_and_names_exactly_the_keys_of_values_yaml(self):
        schema = json.loads((helm.CHART / "values.schema.json").read_text())
        values = yaml.safe_load((helm.CHART / "values.yaml").read_text())

        def resolve(node):
            return schema["$defs"][node["$ref"].split("/")[-1]] if "$ref" in node else node

        def compare(node, value, path):
            node = resolve(node)
            if "properties" not in node:
                return
            self.assertIs(node["additionalProperties"], False, path)
            if path and value == {}:
                return
            self.assertEqual(set(node["properties"]), set(value), path)
            for key, child in node["properties"].items():
                compare(child, value[key], f"{path}.{key}")

        compare(schema, values, "")

    def test_the_table_in_the_operations_manual_is_the_one_that_values_yaml_gives(self):
        import values_table

        self.assertEqual(
            values_table.current(),
            values_table.generated(),
            "stale; run tests/chart/values_table.py --write",
        )


class Matrix(unittest.TestCase):
    OPTIONS = [
        [],
        ["scheduler.admissionWebhook.enabled=false"],
        ["scheduler.certManager.enabled=true"],
        ["scheduler.patch.enabled=false"],
        ["scheduler.kubeScheduler.enabled=false"],
        ["scheduler.leaderElect=false"],
        ["scheduler.replicas=2"],
        ["devicePlugin.enabled=false"],
        ["prometheus.enabled=true", "prometheus.force=true"],
        ["scheduler.livenessProbe=true"],
        ["podSecurityPolicy.enabled=true"],
        ["cleanup.enabled=true"],
        ["devicePlugin.createRuntimeClass=true", "devicePlugin.runtimeClassName=nvidia"],
        [
            "devicePlugin.gpuOperatorToolkitReady.enabled=true",
            "devicePlugin.nvidiaDriverRoot=/run/nvidia/driver",
        ],
    ]

    def test_every_version_with_every_option_gives_well_formed_objects(self):
        for kube, options in itertools.product(VERSIONS, self.OPTIONS):
            with self.subTest(kube=kube, options=options):
                objects = render(*sets(*options), kube=kube)
                keys = [
                    (
                        o["apiVersion"],
                        o["kind"],
                        o["metadata"].get("namespace"),
                        o["metadata"]["name"],
                        helm.hook_of(o),
                    )
                    for o in objects
                ]
                self.assertEqual(len(keys), len(set(keys)))
                for o in objects:
                    for key in (o["metadata"].get("annotations") or {}, o["metadata"]["labels"]):
                        self.assertTrue(
                            all(isinstance(v, str) for v in key.values()), (o["kind"], key)
                        )

    def test_notes_tell_what_to_do_next(self):
        text = helm.notes()
        for words in (
            "kubectl label node NODE gpu=on",
            "nvidia.com/gpumem: 3000",
            "--set scheduler.replicas=2",
        ):
            self.assertIn(words, text)
        self.assertNotIn("replicas=2", helm.notes(*sets("scheduler.replicas=2")))
        self.assertIn(
            "replicas=2 is ignored",
            helm.notes(*sets("scheduler.replicas=2", "scheduler.leaderElect=false")),
        )
        self.assertIn(
            "webhook is off", helm.notes(*sets("scheduler.admissionWebhook.enabled=false"))
        )

    def test_lint_is_strict_and_clean(self):
        out = helm.run("lint", "--strict", str(helm.CHART))
        self.assertIn("0 chart(s) failed", out)
        self.assertNotRegex(out, re.compile(r"\[(WARNING|ERROR)\]"))
