{{/* What restricted Pod Security asks of a pod. */}}
{{- define "va.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "va.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "va.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where a process may write: the image itself is read-only. */}}
{{- define "va.writable" -}}
- {name: HOME, value: /cache/home}
- {name: CACHE_DIR, value: /cache/tts-ops}
- {name: HF_HOME, value: /cache/huggingface}
- {name: TORCHINDUCTOR_CACHE_DIR, value: /cache/inductor}
- {name: TRITON_CACHE_DIR, value: /cache/triton}
{{- end -}}

{{/* (list name): its own /tmp and /cache within the pod's volumes */}}
{{- define "va.writableMounts" -}}
- {name: tmp, mountPath: /tmp, subPath: {{ . }}}
- {name: cache, mountPath: /cache, subPath: {{ . }}}
{{- end -}}

{{- define "va.writableVolumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
- name: cache
  emptyDir: {sizeLimit: 4Gi}
{{- end -}}

{{/* Settings, then secrets: worker and service. */}}
{{- define "va.envFrom" -}}
- configMapRef: {name: {{ include "va.fullname" . }}-settings}
- secretRef: {name: {{ .Values.livekit.existingSecret }}}
{{- range .Values.extraSecrets }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- define "va.agentVolume" -}}
{{- if or .Values.agent.file .Values.agent.existingConfigMap }}
- name: agent
  configMap: {name: {{ .Values.agent.existingConfigMap | default (printf "%s-agent" (include "va.fullname" .)) }}}
{{- end }}
{{- end -}}

{{- define "va.agentMount" -}}
{{- if or .Values.agent.file .Values.agent.existingConfigMap }}
- {name: agent, mountPath: /etc/tts-ops, readOnly: true}
{{- end }}
{{- end -}}

{{/* Pods are rolled when what they read changes. */}}
{{- define "va.checksums" -}}
checksum/settings: {{ include (print $.Template.BasePath "/settings.yaml") . | sha256sum }}
{{- with .Values.restartedAt }}
voice-agent/restarted-at: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* (list root component given): over nodes where that is possible */}}
{{- define "va.spread" -}}
{{- if kindIs "invalid" (index . 2) -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "va.selector" (list (index . 0) (index . 1)) | nindent 6 }}
{{- else -}}
{{- toYaml (index . 2) -}}
{{- end -}}
{{- end -}}

{{/* (dict port startup): has it started, does it live, may it be sent work */}}
{{- define "va.probes" -}}
startupProbe:
  httpGet: {path: /startupz, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 4
  failureThreshold: {{ div (add (int .startup) 4) 5 }}
livenessProbe:
  httpGet: {path: /livez, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 4
  failureThreshold: 2
{{- end -}}
