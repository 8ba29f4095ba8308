"""The webhook configuration and where its certificate comes from (spec/helm.md 3.3, 3.4)."""

import unittest

from helm import container, extender, render, sets


class Webhook(unittest.TestCase):
    def one(self, *args, **kwargs):
        webhooks = render(*args, **kwargs).one("MutatingWebhookConfiguration", "hami-webhook")[
            "webhooks"
        ]
        self.assertEqual(webhooks[0]["name"], "vgpu.hami.io")
        return webhooks[0]

    def test_it_speaks_both_review_versions_and_calls_the_service_of_all_replicas(self):
        webhook = self.one()
        self.assertEqual(webhook["name"], "vgpu.hami.io")
        self.assertEqual(webhook["admissionReviewVersions"], ["v1", "v1beta1"])
        self.assertEqual(
            webhook["clientConfig"]["service"],
            {
                "name": "hami-scheduler-webhook",
                "namespace": "kube-system",
                "path": "/webhook",
                "port": 443,
            },
        )
        self.assertEqual(
            webhook["rules"],
            [
                {
                    "operations": ["CREATE"],
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "resources": ["pods"],
                    "scope": "*",
                }
            ],
        )
        self.assertEqual(
            (webhook["failurePolicy"], webhook["reinvocationPolicy"], webhook["timeoutSeconds"]),
            ("Ignore", "Never", 10),
        )

    def test_its_selectors_leave_alone_what_is_labelled_so_and_what_the_user_names(self):
        ignore = {"key": "hami.io/webhook", "operator": "NotIn", "values": ["ignore"]}
        webhook = self.one(
            values={
                "scheduler": {
                    "admissionWebhook": {
                        "whitelistNamespaces": ["a", "b"],
                        "namespaceSelector": {
                            "matchLabels": {"team": "x"},
                            "matchExpressions": [{"key": "k", "operator": "Exists"}],
                        },
                        "objectSelector": {"matchLabels": {"tier": "z"}},
                    }
                }
            }
        )
        self.assertEqual(
            webhook["namespaceSelector"],
            {
                "matchLabels": {"team": "x"},
                "matchExpressions": [
                    ignore,
                    {
                        "key": "kubernetes.io/metadata.name",
                        "operator": "NotIn",
                        "values": ["a", "b"],
                    },
                    {"key": "k", "operator": "Exists"},
                ],
            },
        )
        self.assertEqual(
            webhook["objectSelector"], {"matchLabels": {"tier": "z"}, "matchExpressions": [ignore]}
        )
        self.assertNotIn(
            "namespaceSelector",
            self.one(*sets("scheduler.admissionWebhook.manageNamespaceSelector=false")),
        )

    def test_match_conditions_exist_only_where_the_cluster_knows_them_and_nothing_else_is_meant(
        self,
    ):
        self.assertIn("matchConditions", self.one(kube="1.28.0"))
        self.assertNotIn("matchConditions", self.one(kube="1.27.9"))
        self.assertNotIn("matchConditions", self.one(*sets("scheduler.overwriteEnv=true")))
        self.assertNotIn(
            "matchConditions", self.one(*sets("scheduler.admissionWebhook.onlyManagedPods=false"))
        )

    def test_changes_of_decisions_are_guarded_where_conditions_exist_and_only_for_strangers(self):
        objects = render(
            *sets("fullnameOverride=gpu", "scheduler.admissionWebhook.decisionWriters={alice}")
        )
        guard = objects.one("MutatingWebhookConfiguration", "gpu-webhook")["webhooks"][1]
        self.assertEqual(guard["name"], "decisions.hami.io")
        self.assertEqual(guard["rules"][0]["operations"], ["UPDATE"])
        self.assertEqual(guard["rules"][0]["resources"], ["pods", "pods/status"])
        # A label of the user's must not open the way.
        self.assertNotIn("objectSelector", guard)
        writers = ["gpu-scheduler", "gpu-device-plugin"]
        users = [f"system:serviceaccount:kube-system:{w}" for w in writers] + ["alice"]
        self.assertIn(
            ",".join(f"'{u}'" for u in users), guard["matchConditions"][0]["expression"]
        )
        deployment = objects.one("Deployment", "gpu-scheduler")
        command = container(deployment, "vgpu-scheduler-extender")["command"]
        self.assertIn("--decision-writers=" + ",".join(users), command)
        old = render(kube="1.27.9").one("MutatingWebhookConfiguration", "hami-webhook")
        self.assertEqual([w["name"] for w in old["webhooks"]], ["vgpu.hami.io"])

    def test_a_custom_url_replaces_the_service_and_enters_the_certificate(self):
        args = sets(
            "scheduler.admissionWebhook.customURL.enabled=true",
            "scheduler.admissionWebhook.customURL.host=10.1.2.3",
        )
        self.assertEqual(self.one(*args)["clientConfig"], {"url": "https://10.1.2.3:31998/webhook"})
        job = render(*args).one("Job", "hami-admission-create", "pre-install,pre-upgrade")
        self.assertIn(
            "--host=hami-scheduler.kube-system.svc,127.0.0.1,"
            "hami-scheduler-webhook.kube-system.svc,10.1.2.3",
            container(job, "create")["args"],
        )

    def test_the_certificate_jobs_run_our_own_image(self):
        objects = render()
        create = container(
            objects.one("Job", "hami-admission-create", "pre-install,pre-upgrade"), "create"
        )
        patch = container(
            objects.one("Job", "hami-admission-patch", "post-install,post-upgrade"), "patch"
        )
        self.assertEqual(create["image"], extender(objects)["image"])
        self.assertEqual(
            create["command"] + create["args"],
            [
                "hami-scheduler",
                "certgen",
                "create",
                "--cert-name=tls.crt",
                "--key-name=tls.key",
                "--host=hami-scheduler.kube-system.svc,127.0.0.1,"
                "hami-scheduler-webhook.kube-system.svc",
                "--namespace=kube-system",
                "--secret-name=hami-scheduler-tls",
            ],
        )
        self.assertEqual(
            patch["command"] + patch["args"],
            [
                "hami-scheduler",
                "certgen",
                "patch",
                "--webhook-name=hami-webhook",
                "--namespace=kube-system",
                "--patch-validating=false",
                "--secret-name=hami-scheduler-tls",
            ],
        )

    def test_a_foreign_certificate_image_runs_its_own_program_with_the_same_arguments(self):
        create = container(
            render(
                *sets(
                    "scheduler.patch.imageNew.registry=r.example",
                    "scheduler.patch.imageNew.repository=certgen",
                    "scheduler.patch.imageNew.tag=v1",
                )
            ).one("Job", "hami-admission-create", "pre-install,pre-upgrade"),
            "create",
        )
        self.assertEqual(create["image"], "r.example/certgen:v1")
        self.assertNotIn("command", create)
        self.assertEqual(create["args"][0], "create")

    def test_openshift_may_choose_the_user_of_the_jobs(self):
        job = render(*sets("scheduler.patch.runAsUser=null")).one(
            "Job", "hami-admission-create", "pre-install,pre-upgrade"
        )
        self.assertEqual(job["spec"]["template"]["spec"]["securityContext"], {"runAsNonRoot": True})

    def test_cert_manager_gets_every_name_under_which_the_webhook_is_called(self):
        objects = render(
            *sets(
                "scheduler.certManager.enabled=true",
                "scheduler.admissionWebhook.customURL.enabled=true",
                "scheduler.admissionWebhook.customURL.host=gpu.example",
            )
        )
        spec = objects.one("Certificate", "hami-scheduler-serving-cert")["spec"]
        self.assertEqual(spec["secretName"], "hami-scheduler-tls")
        self.assertEqual(
            spec["dnsNames"],
            [
                "hami-scheduler.kube-system.svc",
                "hami-scheduler.kube-system.svc.cluster.local",
                "hami-scheduler-webhook.kube-system.svc",
                "hami-scheduler-webhook.kube-system.svc.cluster.local",
                "gpu.example",
            ],
        )
        self.assertEqual(spec["ipAddresses"], ["127.0.0.1"])
        objects.one("Issuer", "hami-scheduler-selfsigned-issuer")
        webhook = objects.one("MutatingWebhookConfiguration", "hami-webhook")
        self.assertEqual(
            webhook["metadata"]["annotations"]["cert-manager.io/inject-ca-from"],
            "kube-system/hami-scheduler-serving-cert",
        )
        self.assertFalse([o for o in objects if o["kind"] == "Job"])
