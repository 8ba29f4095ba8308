{{/* The per-node settings' content, from our ConfigMap or from the user's own where the cluster can
     be asked: an edit must roll the Pods. */}}
{{- define "hami.nodeConfigChecksum" -}}
{{- $external := .Values.devicePlugin.nodeConfiguration.externalConfigName -}}
{{- if $external -}}
{{- $found := lookup "v1" "ConfigMap" (include "hami.namespace" .) $external -}}
{{- printf "%s%s" $external (toJson (get (default dict $found) "data")) | sha256sum }}
{{- else -}}
{{- include (print $.Template.BasePath "/device-plugin/configmap.yaml") . | sha256sum }}
{{- end -}}
{{- end }}

{{- define "hami.devicePlugin.env" -}}
{{- $d := .Values.devicePlugin -}}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: NVIDIA_MIG_MONITOR_DEVICES
  value: all
- name: DEVICE_LIST_STRATEGY
  value: {{ $d.deviceListStrategy | quote }}
- name: HOOK_PATH
  value: {{ trimSuffix "/" .Values.global.gpuHookPath | quote }}
{{- if kindIs "bool" $d.passDeviceSpecsEnabled }}
- name: PASS_DEVICE_SPECS
  value: {{ $d.passDeviceSpecsEnabled | quote }}
{{- end }}
{{- if kindIs "string" $d.nvidiaDriverRoot }}
- name: NVIDIA_DRIVER_ROOT
  value: {{ $d.nvidiaDriverRoot | quote }}
{{- end }}
{{- range $env, $value := dict "GDRCOPY_ENABLED" $d.gdrcopyEnabled "GDS_ENABLED" $d.gdsEnabled "MOFED_ENABLED" $d.mofedEnabled }}
{{- if kindIs "bool" $value }}
- name: {{ $env }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- if .Values.scheduler.kubeScheduler.enabled }}
# A Pod that another scheduler placed has no share that anybody counted: the plugin refuses it.
- name: SCHEDULER_NAME
  value: {{ .Values.schedulerName | quote }}
{{- end }}
{{- with $d.cdiExtraMounts }}
- name: CDI_EXTRA_MOUNTS
  value: {{ join "," . | quote }}
{{- end }}
{{- if kindIs "map" $d.extraEnvs }}
{{- range $name, $value := $d.extraEnvs }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- else }}
{{- with $d.extraEnvs }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}
