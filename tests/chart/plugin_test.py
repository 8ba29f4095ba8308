"""The node plugin's DaemonSet (spec/helm.md 3.2) and what cleans up behind it."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import helm
from helm import NVIDIA, container, device_config, env, extender, plugin, render, sets


class DevicePlugin(unittest.TestCase):
    def test_arguments_environment_and_mounts_are_those_of_the_reference(self):
        got = plugin(render())
        self.assertEqual(
            got["command"],
            [
                "hami-device-plugin",
                "--config-file=/device-config/device-config.yaml",
                "--mig-strategy=none",
                "-v=4",
            ],
        )
        strict = render(*sets("devicePlugin.allowDisableControl=false"))
        for command in (plugin(strict)["command"], extender(strict)["command"]):
            self.assertIn("--allow-disable-control=false", command)
        unlimited = plugin(render(*sets("devicePlugin.disablecorelimit=true")))["command"]
        self.assertEqual(unlimited[2:4], ["--mig-strategy=none", "--disable-core-limit=true"])
        self.assertEqual(
            env(got),
            {
                "NODE_NAME": {"fieldRef": {"fieldPath": "spec.nodeName"}},
                "NVIDIA_MIG_MONITOR_DEVICES": "all",
                "DEVICE_LIST_STRATEGY": "envvar",
                "HOOK_PATH": "/usr/local",
                "PASS_DEVICE_SPECS": "false",
                "SCHEDULER_NAME": "hami-scheduler",
            },
        )
        self.assertEqual(
            [m["mountPath"] for m in got["volumeMounts"]],
            [
                "/var/lib/kubelet/device-plugins",
                "/var/lib/kubelet/pod-resources",
                "/var/lib/kubelet/plugins_registry",
                "/usr/local/vgpu",
                "/config",
                "/tmp",
                "/device-config",
                "/var/run/cdi",
            ],
        )

    def test_kubelets_other_folders_follow_the_plugin_folder(self):
        objects = render(*sets("devicePlugin.pluginPath=/data/kubelet/device-plugins"))
        pod = objects.one("DaemonSet", "hami-device-plugin")["spec"]["template"]["spec"]
        paths = {v["hostPath"]["path"] for v in pod["volumes"] if "hostPath" in v}
        self.assertLessEqual(
            {"/data/kubelet/pod-resources", "/data/kubelet/plugins_registry"}, paths
        )

    def test_pods_of_a_scheduler_outside_the_chart_are_not_refused_by_name(self):
        objects = render(*sets("scheduler.kubeScheduler.enabled=false"))
        self.assertNotIn("SCHEDULER_NAME", env(plugin(objects)))

    def test_the_demos_options_reach_the_plugin(self):
        objects = render(
            values={
                "devicePlugin": {
                    "deviceListStrategy": "cdi-cri",
                    "nvidiaDriverRoot": "/drivers/sim",
                    "cdiRoot": "/etc/cdi",
                    "cdiExtraMounts": ["/a:/b:ro", "/c:/d"],
                    "gdsEnabled": True,
                }
            }
        )
        got = env(plugin(objects))
        self.assertEqual(got["DEVICE_LIST_STRATEGY"], "cdi-cri")
        self.assertEqual(got["NVIDIA_DRIVER_ROOT"], "/drivers/sim")
        self.assertEqual(got["CDI_EXTRA_MOUNTS"], "/a:/b:ro,/c:/d")
        self.assertEqual(got["GDS_ENABLED"], "true")
        self.assertNotIn("MOFED_ENABLED", got)
        volumes = {
            v["name"]: v
            for v in objects.one("DaemonSet", "hami-device-plugin")["spec"]["template"]["spec"][
                "volumes"
            ]
        }
        self.assertEqual(volumes["driver-root"]["hostPath"]["path"], "/drivers/sim")
        self.assertEqual(volumes["cdi-root"]["hostPath"]["path"], "/etc/cdi")
        (mount,) = [m for m in plugin(objects)["volumeMounts"] if m["name"] == "driver-root"]
        self.assertEqual((mount["mountPath"], mount["readOnly"]), ("/driver-root", True))

    def test_every_volume_mount_has_its_volume_and_every_volume_is_mounted(self):
        for values in (
            {},
            {
                "devicePlugin": {
                    "nvidiaDriverRoot": "/",
                    "gpuOperatorToolkitReady": {"enabled": True},
                },
                "cleanup": {"enabled": True},
            },
            {"scheduler": {"admissionWebhook": {"enabled": False}}},
        ):
            for o in render(values=values):
                if o["kind"] not in ("Deployment", "DaemonSet", "Job"):
                    continue
                spec = o["spec"]["template"]["spec"]
                mounts = {
                    m["name"]
                    for c in spec["containers"] + spec.get("initContainers", [])
                    for m in c.get("volumeMounts", [])
                }
                self.assertEqual(
                    mounts, {v["name"] for v in spec.get("volumes", [])}, o["metadata"]["name"]
                )

    def test_scalings_may_be_numbers_or_the_text_that_helm_makes_of_set(self):
        for args in (
            sets("devicePlugin.deviceMemoryScaling=1.8"),
            ["--set-string", "devicePlugin.deviceMemoryScaling=1.8"],
        ):
            self.assertEqual(device_config(render(*args))["nvidia"]["deviceMemoryScaling"], 1.8)

    def test_large_numbers_are_never_written_as_floats(self):
        config = render(values={"devicePlugin": {"preConfiguredDeviceMemory": 13107200}})
        text = config.one("ConfigMap", "hami-scheduler-device")["data"]["device-config.yaml"]
        self.assertIn("preConfiguredDeviceMemory: 13107200\n", text)

    def test_the_library_folder_follows_the_hook_path_and_a_contradiction_is_refused(self):
        objects = render(*sets("global.gpuHookPath=/opt/hami"))
        self.assertEqual(env(plugin(objects))["HOOK_PATH"], "/opt/hami")
        self.assertIn("/opt/hami/vgpu", [m["mountPath"] for m in plugin(objects)["volumeMounts"]])
        render(*sets("devicePlugin.libPath=/usr/local/vgpu"))
        with self.assertRaisesRegex(
            helm.RenderError, 'devicePlugin.libPath: expected "/opt/hami/vgpu"'
        ):
            render(*sets("global.gpuHookPath=/opt/hami", "devicePlugin.libPath=/usr/local/vgpu"))

    def test_an_edit_of_the_per_node_settings_rolls_the_pods(self):
        def checksum(*args):
            daemonset = render(*args).one("DaemonSet", "hami-device-plugin")
            return daemonset["spec"]["template"]["metadata"]["annotations"][
                "checksum/hami-device-plugin-config"
            ]

        base = checksum()
        self.assertNotEqual(
            base, checksum("--set-string", "devicePlugin.nodeConfiguration.config=\\{\\}")
        )
        self.assertNotEqual(
            base, checksum(*sets("devicePlugin.nodeConfiguration.externalConfigName=mine"))
        )

    def test_an_external_config_map_replaces_ours(self):
        objects = render(*sets("devicePlugin.nodeConfiguration.externalConfigName=mine"))
        self.assertFalse(
            [
                o
                for o in objects
                if o["kind"] == "ConfigMap" and o["metadata"]["name"] == "hami-device-plugin"
            ]
        )
        volumes = objects.one("DaemonSet", "hami-device-plugin")["spec"]["template"]["spec"][
            "volumes"
        ]
        self.assertIn({"name": "deviceconfig", "configMap": {"name": "mine"}}, volumes)

    def test_the_default_per_node_settings_are_json(self):
        config = render().one("ConfigMap", "hami-device-plugin")["data"]["config.json"]
        self.assertEqual(json.loads(config)["nodeconfig"][0]["name"], "your-node-name")

    def test_per_node_settings_that_are_no_json_are_refused(self):
        with self.assertRaisesRegex(
            helm.RenderError, "devicePlugin.nodeConfiguration.config: expected JSON"
        ):
            render(values={"devicePlugin": {"nodeConfiguration": {"config": '{"nodeconfig": ['}}})

    def test_without_the_plugin_nothing_of_it_is_left(self):
        names = {
            o["metadata"]["name"]
            for o in render(*sets("devicePlugin.enabled=false", "cleanup.enabled=true"))
        }
        self.assertFalse([n for n in names if n.startswith("hami-device-plugin")])


class Cleanup(unittest.TestCase):
    def test_the_output_of_helm_template_never_holds_cleaning_hooks(self):
        self.assertFalse([o for o in render() if "delete" in (helm.hook_of(o) or "")])

    def test_the_plugins_daemon_set_gives_way_to_one_that_cleans_under_its_name(self):
        objects = render(*sets("cleanup.enabled=true"))
        cleaner = objects.one("DaemonSet", "hami-device-plugin", "pre-delete")
        regular = objects.one("DaemonSet", "hami-device-plugin")
        self.assertNotEqual(cleaner["spec"]["selector"], regular["spec"]["selector"])
        for key in ("nodeSelector", "hostPID"):
            self.assertEqual(
                cleaner["spec"]["template"]["spec"][key], regular["spec"]["template"]["spec"][key]
            )
        self.assertIn("--host-files", container(cleaner, "cleanup")["args"][0])
        weight = "helm.sh/hook-weight"
        job = objects.one("Job", "hami-cleanup", "pre-delete")
        order = [
            int(o["metadata"]["annotations"][weight])
            for o in (objects.one("ServiceAccount", "hami-cleanup", "pre-delete"), cleaner, job)
        ]
        self.assertEqual(order, sorted(order))
        script = container(job, "wait")["args"][0]
        subprocess.run(["sh", "-n", "-c", script], check=True)

    def test_the_waiting_job_ends_when_no_node_registers_cards_and_helps_those_that_cannot(self):
        job = render(*sets("cleanup.enabled=true")).one("Job", "hami-cleanup", "pre-delete")
        script = container(job, "wait")["args"][0]
        programs = {
            "hamictl": 'read -r code <"$PLAY/answers"; sed -i 1d "$PLAY/answers"; '
            'cat "$PLAY/table"; exit "$code"',
            "hami-device-plugin": 'echo "$NODE_NAME" >>"$PLAY/cleaned"',
            "sleep": ":",
        }
        for answers, cleaned in (("1", ""), ("0 3 1", ""), ("0 " * 61, "node2\n")):
            with self.subTest(answers=answers), tempfile.TemporaryDirectory() as folder:
                play = pathlib.Path(folder)
                (play / "answers").write_text(answers.strip().replace(" ", "\n") + "\n")
                (play / "table").write_text("NODE CARD\nnode2 0\nnode2 1\n! a remark\n")
                (play / "cleaned").write_text("")
                for name, text in programs.items():
                    (play / name).write_text(f"#!/bin/sh\n{text}\n")
                    (play / name).chmod(0o755)
                done = subprocess.run(
                    ["sh", "-c", script],
                    env={"PATH": f"{folder}:{os.environ['PATH']}", "PLAY": folder},
                    capture_output=True,
                    text=True,
                )
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual((play / "answers").read_text(), "", "not asked often enough")
                self.assertEqual((play / "cleaned").read_text(), cleaned)

    def test_host_files_stay_if_the_user_says_so(self):
        cleaner = render(*sets("cleanup.enabled=true", "cleanup.hostFiles=false")).one(
            "DaemonSet", "hami-device-plugin", "pre-delete"
        )
        self.assertNotIn("--host-files", container(cleaner, "cleanup")["args"][0])

    def test_what_programs_made_is_deleted_after_the_release(self):
        objects = render(
            *sets(
                "cleanup.enabled=true",
                "devicePlugin.createRuntimeClass=true",
                "devicePlugin.runtimeClassName=nvidia",
            )
        )
        for kind, name in (
            ("Secret", "hami-scheduler-tls"),
            ("Lease", "hami-scheduler"),
            ("RuntimeClass", "nvidia"),
        ):
            policy = objects.one(kind, name, "post-delete")["metadata"]["annotations"][
                "helm.sh/hook-delete-policy"
            ]
            self.assertEqual(policy, "before-hook-creation,hook-succeeded")

    def test_every_hook_that_is_not_a_runtime_class_is_deleted_again(self):
        for o in render(*sets("cleanup.enabled=true")):
            if helm.hook_of(o):
                self.assertIn(
                    "hook-succeeded", o["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
                )
