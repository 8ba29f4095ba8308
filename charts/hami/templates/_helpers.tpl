{{/* Names: docs/compat.md promises them to users' scripts. */}}
{{- define "hami.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "hami.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "hami.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "hami.scheduler" -}}{{ include "hami.fullname" . }}-scheduler{{- end }}
{{- define "hami.scheduler.webhookService" -}}{{ include "hami.scheduler" . }}-webhook{{- end }}
{{- define "hami.scheduler.tls" -}}{{ include "hami.scheduler" . }}-tls{{- end }}
{{- define "hami.webhook" -}}{{ include "hami.fullname" . }}-webhook{{- end }}
{{- define "hami.admission" -}}{{ include "hami.fullname" . }}-admission{{- end }}
{{- define "hami.devicePlugin" -}}{{ include "hami.fullname" . }}-device-plugin{{- end }}
{{- define "hami.cleanup" -}}{{ include "hami.fullname" . }}-cleanup{{- end }}

{{- define "hami.selectorLabels" -}}
app.kubernetes.io/name: {{ include "hami.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hami.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "hami.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Kubernetes' minor version as a number; providers write "27+". */}}
{{- define "hami.minor" -}}
{{- regexFind "^[0-9]+" (toString .Capabilities.KubeVersion.Minor) }}
{{- end }}

{{/* hami.image (dict "root" $ "image" <values> "tag" <tag>): registry/repository:tag */}}
{{- define "hami.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry -}}
{{- if $registry }}{{ trimSuffix "/" $registry }}/{{ end }}{{ .image.repository }}:{{ .tag }}
{{- end }}

{{/* hami.ownImage (dict "root" $ "image" <values>): one of our images, with our tag rules */}}
{{- define "hami.ownImage" -}}
{{- $tag := .image.tag | trim | default (.root.Values.global.imageTag | trim) | default (printf "v%s" .root.Chart.AppVersion) -}}
{{- include "hami.image" (dict "root" .root "image" .image "tag" $tag) }}
{{- end }}

{{- define "hami.kubeSchedulerImage" -}}
{{- $image := .Values.scheduler.kubeScheduler.image -}}
{{- $version := regexReplaceAll "^(v\\d+\\.\\d+\\.\\d+).*$" .Capabilities.KubeVersion.Version "${1}" -}}
{{- include "hami.image" (dict "root" . "image" $image "tag" ($image.tag | trim | default $version)) }}
{{- end }}

{{/* The certificate jobs: an image that the user names, else our own. */}}
{{- define "hami.patchImageValues" -}}
{{- $p := .Values.scheduler.patch -}}
{{- toYaml (ternary $p.imageNew $p.image (ge (include "hami.minor" . | int) 22)) }}
{{- end }}

{{/* hami.pullSecrets (dict "root" $ "images" (list <values>...)): of all images of one Pod */}}
{{- define "hami.pullSecrets" -}}
{{- $names := .root.Values.global.imagePullSecrets -}}
{{- range .images }}{{ $names = concat $names (default list .pullSecrets) }}{{ end -}}
{{- with uniq $names }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* device-config.yaml as the programs will read it: the user's text, a packaged file, or ours. */}}
{{- define "hami.deviceConfig" -}}
{{- $content := index .Values "device-config" "content" -}}
{{- $packaged := .Files.Get "files/device-config.yaml" -}}
{{- if $content -}}
{{ $content }}
{{- else if $packaged -}}
{{ $packaged }}
{{- else -}}
{{ include "hami.deviceConfigDefault" . }}
{{- end -}}
{{- end }}

{{- define "hami.deviceConfigDefault" -}}
nvidia:
  resourceCountName: {{ .Values.resourceName }}
  resourceMemoryName: {{ .Values.resourceMem }}
  resourceMemoryPercentageName: {{ .Values.resourceMemPercentage }}
  resourceCoreName: {{ .Values.resourceCores }}
  resourcePriorityName: {{ .Values.resourcePriority }}
  overwriteEnv: {{ .Values.scheduler.overwriteEnv }}
  defaultMemory: 0
  defaultCores: 0
  defaultGPUNum: 1
  memoryFactor: 1
  preConfiguredDeviceMemory: {{ int64 .Values.devicePlugin.preConfiguredDeviceMemory }}
  deviceSplitCount: {{ int64 .Values.devicePlugin.deviceSplitCount }}
  deviceMemoryScaling: {{ .Values.devicePlugin.deviceMemoryScaling }}
  deviceCoreScaling: {{ .Values.devicePlugin.deviceCoreScaling }}
  enableNumaTopology: {{ .Values.devicePlugin.enableNumaTopology }}
  gpuCorePolicy: {{ .Values.devices.nvidia.gpuCorePolicy }}
  libCudaLogLevel: {{ int64 .Values.devices.nvidia.libCudaLogLevel }}
  runtimeClassName: {{ .Values.devicePlugin.runtimeClassName | quote }}
  migProfileAllowlist:
  {{- range include "hami.migProfiles" . | fromYamlArray }}
  - models: {{ toJson .models }}
    profiles: {{ toJson .profiles }}
  {{- end }}
{{- end }}

{{- define "hami.migProfiles" -}}
- {models: [A30], profiles: [1g.6gb, 2g.12gb, 4g.24gb]}
- {models: [A100-SXM4-40GB, A100-40GB-PCIe, A100-PCIE-40GB], profiles: [1g.5gb, 2g.10gb, 3g.20gb, 7g.40gb]}
- {models: [A100-SXM4-80GB, A100-80GB-PCIe, A100-PCIE-80GB], profiles: [1g.10gb, 2g.20gb, 3g.40gb, 7g.79gb]}
- {models: [H100-PCIE-80GB, H100-SXM5-80GB], profiles: [1g.10gb, 2g.20gb, 3g.40gb, 7g.80gb]}
- {models: [H100-PCIE-94GB, H100-SXM5-94GB], profiles: [1g.12gb, 2g.24gb, 3g.47gb, 7g.94gb]}
- {models: [H20, H100 on GH200], profiles: [1g.12gb, 2g.24gb, 3g.48gb, 7g.96gb]}
- {models: [H200 NVL, H200-SXM5], profiles: [1g.18gb, 2g.35gb, 3g.71gb, 7g.141gb]}
- {models: [B200], profiles: [1g.23gb, 2g.45gb, 3g.90gb, 7g.180gb]}
- {models: [RTX PRO 6000 Blackwell Server Edition], profiles: [1g.24gb, 2g.48gb, 4g.96gb]}
{{- end }}

{{/* The resources of the effective device config, in kube-scheduler's order: one home of the names,
     so that kube-scheduler asks the extender about exactly what the extender handles. */}}
{{- define "hami.managedResources" -}}
{{- $config := include "hami.deviceConfig" . | fromYaml -}}
{{- if hasKey $config "Error" }}{{ fail (printf "device-config.content: expected YAML, got an error: %s" $config.Error) }}{{ end -}}
{{- $nvidia := default dict $config.nvidia -}}
{{- $names := list -}}
{{- range list
      (list "resourceCountName" "nvidia.com/gpu") (list "resourceMemoryName" "nvidia.com/gpumem")
      (list "resourceCoreName" "nvidia.com/gpucores") (list "resourceMemoryPercentageName" "nvidia.com/gpumem-percentage")
      (list "resourcePriorityName" "nvidia.com/priority") -}}
{{- $names = append $names (get $nvidia (first .) | default (last .)) -}}
{{- end -}}
{{- uniq $names | toJson }}
{{- end }}

{{/* Ports. The metrics port is what follows the last colon of the bind address. */}}
{{- define "hami.metricsPort" -}}
{{- $port := regexFind "[0-9]+$" .Values.scheduler.metricsBindAddress | int -}}
{{- $target := .Values.scheduler.service.monitorTargetPort | int -}}
{{- if and (ne $target $port) (ne $target 9395) -}}
{{- fail (printf "scheduler.service.monitorTargetPort: expected %d as in scheduler.metricsBindAddress %q, got %d" $port .Values.scheduler.metricsBindAddress $target) -}}
{{- end -}}
{{- $port }}
{{- end }}

{{- define "hami.httpPort" -}}
{{- $port := .Values.scheduler.service.httpTargetPort | int -}}
{{- ternary 80 $port (and (not .Values.scheduler.admissionWebhook.enabled) (eq $port 443)) }}
{{- end }}

{{/* The Lease is kube-scheduler's, and the extender beside it follows. Without kube-scheduler nobody would
     hold it, no replica would lead, and the Service would have no endpoint: then one replica decides. */}}
{{- define "hami.leaderElect" -}}
{{- if and .Values.scheduler.leaderElect .Values.scheduler.kubeScheduler.enabled }}true{{ end }}
{{- end }}

{{- define "hami.replicas" -}}
{{- ternary (int .Values.scheduler.replicas) 1 (eq (include "hami.leaderElect" .) "true") }}
{{- end }}

{{/* The library's folder: the plugin answers kubelet with host paths below gpuHookPath, so another
     host folder behind the same mount would make every limit vanish without a word. */}}
{{- define "hami.libPath" -}}
{{- $path := printf "%s/vgpu" (trimSuffix "/" .Values.global.gpuHookPath) -}}
{{- if and .Values.devicePlugin.libPath (ne (trimSuffix "/" .Values.devicePlugin.libPath) $path) -}}
{{- fail (printf "devicePlugin.libPath: expected %q, derived from global.gpuHookPath, got %q; set global.gpuHookPath alone" $path .Values.devicePlugin.libPath) -}}
{{- end -}}
{{- $path }}
{{- end }}

{{/* Users that may change the allocation annotations of a living Pod, as a JSON list. */}}
{{- define "hami.decisionWriters" -}}
{{- $account := printf "system:serviceaccount:%s:" (include "hami.namespace" .) -}}
{{- $own := list (printf "%s%s" $account (include "hami.scheduler" .)) (printf "%s%s" $account (include "hami.devicePlugin" .)) -}}
{{- concat $own .Values.scheduler.admissionWebhook.decisionWriters | uniq | toJson }}
{{- end }}

{{/* Names under which the webhook is reached; all go into the certificate. */}}
{{- define "hami.webhookHosts" -}}
{{- $ns := include "hami.namespace" . -}}
{{- $hosts := list (printf "%s.%s.svc" (include "hami.scheduler" .) $ns) "127.0.0.1" (printf "%s.%s.svc" (include "hami.scheduler.webhookService" .) $ns) -}}
{{- with .Values.scheduler.admissionWebhook.customURL }}{{ if .enabled }}{{ $hosts = append $hosts .host }}{{ end }}{{ end -}}
{{- uniq $hosts | join "," }}
{{- end }}

{{- define "hami.certManager" -}}
{{- if and .Values.scheduler.admissionWebhook.enabled .Values.scheduler.certManager.enabled }}true{{ end }}
{{- end }}
{{- define "hami.certJobs" -}}
{{- if and .Values.scheduler.admissionWebhook.enabled .Values.scheduler.patch.enabled (not .Values.scheduler.certManager.enabled) }}true{{ end }}
{{- end }}
