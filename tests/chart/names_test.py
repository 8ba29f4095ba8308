"""Names, labels, selectors and access rights: what users' scripts and clusters rely on."""

import unittest

import helm
from helm import container, render, sets


class Names(unittest.TestCase):
    DEFAULTS = {
        ("Deployment", "hami-scheduler"),
        ("DaemonSet", "hami-device-plugin"),
        ("Service", "hami-scheduler"),
        ("Service", "hami-scheduler-webhook"),
        ("ConfigMap", "hami-scheduler"),
        ("ConfigMap", "hami-scheduler-device"),
        ("ConfigMap", "hami-device-plugin"),
        ("MutatingWebhookConfiguration", "hami-webhook"),
        ("ServiceAccount", "hami-scheduler"),
        ("ServiceAccount", "hami-device-plugin"),
        ("ServiceAccount", "hami-admission"),
        ("ClusterRole", "hami-scheduler"),
        ("ClusterRole", "hami-device-plugin-monitor"),
        ("ClusterRole", "hami-admission"),
        ("ClusterRoleBinding", "hami-scheduler"),
        ("ClusterRoleBinding", "hami-scheduler-kube"),
        ("ClusterRoleBinding", "hami-scheduler-volume"),
        ("ClusterRoleBinding", "hami-device-plugin"),
        ("ClusterRoleBinding", "hami-admission"),
        ("Role", "hami-scheduler"),
        ("Role", "hami-admission"),
        ("RoleBinding", "hami-scheduler"),
        ("RoleBinding", "hami-admission"),
        ("Job", "hami-admission-create"),
        ("Job", "hami-admission-patch"),
    }

    def test_the_release_named_hami_gives_exactly_the_names_that_scripts_know(self):
        self.assertEqual({(o["kind"], o["metadata"]["name"]) for o in render()}, self.DEFAULTS)

    def test_a_release_that_contains_the_chart_name_keeps_its_own(self):
        render(release="my-hami").one("Deployment", "my-hami-scheduler")

    def test_another_release_is_put_before_the_chart_name(self):
        render(release="prod").one("DaemonSet", "prod-hami-device-plugin")

    def test_overrides_of_name_and_namespace_reach_every_object(self):
        objects = render(
            *sets("fullnameOverride=gpu", "namespaceOverride=gpu-system", "cleanup.enabled=true")
        )
        objects.one("MutatingWebhookConfiguration", "gpu-webhook")
        for o in objects:
            self.assertIn(
                o["metadata"].get("namespace", "gpu-system"), "gpu-system", o["metadata"]["name"]
            )
            for subject in o.get("subjects", []):
                self.assertEqual(subject["namespace"], "gpu-system")
        self.assertIn(
            "--namespace=gpu-system",
            container(
                objects.one("Job", "gpu-admission-create", "pre-install,pre-upgrade"), "create"
            )["args"],
        )

    def test_a_very_long_release_name_stays_within_63_characters(self):
        for o in render(release="r" * 53):
            if o["kind"] == "Service":
                self.assertLessEqual(len(o["metadata"]["name"]), 63 + len("-scheduler-webhook"))

    def test_every_object_carries_the_common_labels(self):
        for o in render(
            *sets("cleanup.enabled=true", "prometheus.enabled=true", "prometheus.force=true")
        ):
            labels = o["metadata"]["labels"]
            self.assertEqual(labels["app.kubernetes.io/name"], "hami", o["metadata"]["name"])
            self.assertEqual(labels["app.kubernetes.io/instance"], "hami")
            self.assertEqual(labels["app.kubernetes.io/managed-by"], "Helm")
            self.assertIn("app.kubernetes.io/component", labels, o["metadata"]["name"])
            self.assertRegex(labels["helm.sh/chart"], r"^hami-\d")

    def test_selectors_select_the_pods_that_the_workloads_make(self):
        objects = render()
        leader = {"hami.io/scheduler-role": "leader"}
        pods = {
            w: objects.one(w, n)["spec"]["template"]["metadata"]["labels"]
            for w, n in (("Deployment", "hami-scheduler"), ("DaemonSet", "hami-device-plugin"))
        }
        for service, extra in (("hami-scheduler", leader), ("hami-scheduler-webhook", {})):
            selector = objects.one("Service", service)["spec"]["selector"]
            self.assertEqual(selector, selector | extra)
            self.assertEqual({**pods["Deployment"], **extra}, {**pods["Deployment"], **selector})
        self.assertNotIn(
            "hami.io/scheduler-role",
            objects.one("Service", "hami-scheduler-webhook")["spec"]["selector"],
        )
        for kind, labels in pods.items():
            self.assertEqual(labels["hami.io/webhook"], "ignore", kind)


class Access(unittest.TestCase):
    def rules(self, name):
        return {
            (group, resource): set(rule["verbs"])
            for rule in render().one("ClusterRole", name)["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }

    def test_the_scheduler_may_do_what_it_does_and_no_more(self):
        rules = self.rules("hami-scheduler")
        self.assertEqual(rules[("", "pods")], {"get", "list", "watch", "patch"})
        self.assertEqual(rules[("", "nodes")], {"get", "list", "watch", "patch"})
        self.assertEqual(rules[("", "pods/binding")], {"create"})
        self.assertLessEqual({"create", "patch"}, rules[("", "events")])
        self.assertNotIn(("", "secrets"), rules)

    def test_the_plugin_may_neither_create_nor_update_pods(self):
        rules = self.rules("hami-device-plugin-monitor")
        self.assertEqual(
            rules,
            {
                ("", "pods"): {"get", "list", "watch", "patch"},
                ("", "nodes"): {"get", "list", "watch", "patch"},
                ("", "events"): {"create", "patch"},
            },
        )

    def test_the_certificate_job_reaches_our_secret_and_our_webhook_only(self):
        objects = render()
        hook = "pre-install,pre-upgrade,post-install,post-upgrade"
        for rule in (
            objects.one("Role", "hami-admission", hook)["rules"]
            + objects.one("ClusterRole", "hami-admission", hook)["rules"]
        ):
            if rule["verbs"] != ["create"]:
                self.assertEqual(len(rule["resourceNames"]), 1, rule)
