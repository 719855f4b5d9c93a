{{/* (list root sidecar): the engine's container */}}
{{- define "va.engineContainer" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.engine -}}
- name: engine
  image: {{ include "va.engineImage" $root }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  {{- if index . "topology" | eq "sidecar" }}
  restartPolicy: Always # a native sidecar: it is stopped after the worker, whose calls it speaks
  {{- end }}
  command: ["tts-ops", "engine"]
  env:
    - {name: HOST, value: "0.0.0.0"} # for probes and Prometheus; the worker asks 127.0.0.1
    - {name: ENGINE_PORT, value: {{ $root.Values.ports.engine | quote }}}
    - {name: TTS_BACKEND, value: {{ .backend }}}
    {{- if .maxBatchSize }}
    - {name: TTS_MAX_BATCH_SIZE, value: {{ .maxBatchSize | quote }}}
    {{- end }}
    {{- if ne $root.Values.modelCache.mode "none" }}
    - {name: TTS_MODEL_PATH, value: /models/vibevoice}
    {{- end }}
    {{- include "va.writable" $root | nindent 4 }}
    {{- with .extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  envFrom:
    - configMapRef: {name: {{ include "va.fullname" $root }}-settings}
  ports:
    - {name: engine, containerPort: {{ $root.Values.ports.engine }}}
  {{- include "va.probes" (dict "port" "engine" "startup" .startupSeconds) | nindent 2 }}
  resources:
    {{- $gpu := ternary (dict .gpu.resource (.gpu.count | toString)) dict (gt (int .gpu.count) 0) }}
    requests:
      {{- toYaml (merge (dict) $gpu (.resources.requests | default dict)) | nindent 6 }}
    limits:
      {{- toYaml (merge (dict) $gpu (.resources.limits | default dict)) | nindent 6 }}
  securityContext:
    {{- include "va.containerSecurity" $root | nindent 4 }}
  volumeMounts:
    {{- include "va.writableMounts" "engine" | nindent 4 }}
    - {name: shm, mountPath: /dev/shm}
    {{- if ne $root.Values.modelCache.mode "none" }}
    - {name: models, mountPath: /models, readOnly: true}
    {{- end }}
{{- end }}
{{- end -}}

{{/* Fetches the model into the pod, before the engine starts. */}}
{{- define "va.modelInit" -}}
{{- if eq .Values.modelCache.mode "emptyDir" }}
{{ include "va.pullContainer" . }}
{{- end }}
{{- end -}}

{{- define "va.pullContainer" -}}
- name: pull
  image: {{ include "va.engineImage" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: ["tts-ops", "pull", "--to", "/models/vibevoice"]
  env:
    {{- include "va.writable" . | nindent 4 }}
  resources:
    requests: {cpu: 500m, memory: 512Mi}
    limits: {memory: 2Gi}
  securityContext:
    {{- include "va.containerSecurity" . | nindent 4 }}
  volumeMounts:
    {{- include "va.writableMounts" "pull" | nindent 4 }}
    - {name: models, mountPath: /models}
{{- end -}}

{{- define "va.modelVolume" -}}
{{- $cache := .Values.modelCache -}}
{{- if eq $cache.mode "emptyDir" }}
- name: models
  emptyDir: {sizeLimit: {{ $cache.sizeLimit }}}
{{- else if eq $cache.mode "image" }}
- name: models
  image:
    reference: {{ required "modelCache.image.reference is empty; mode image needs the image that holds the model" $cache.image.reference }}
    pullPolicy: {{ $cache.image.pullPolicy }}
{{- else if eq $cache.mode "pvc" }}
- name: models
  persistentVolumeClaim: {claimName: {{ include "va.modelClaim" . }}}
{{- end }}
{{- end -}}

{{- define "va.modelClaim" -}}
{{- .Values.modelCache.pvc.existingClaim | default (printf "%s-models" (include "va.fullname" .)) -}}
{{- end -}}

{{/* Engines as the worker reaches them. */}}
{{- define "va.engineUrls" -}}
{{- if eq .Values.engine.topology "sidecar" -}}
http://127.0.0.1:{{ .Values.ports.engine }}
{{- else if eq .Values.engine.topology "service" -}}
http://{{ include "va.fullname" . }}-engine:{{ .Values.ports.engine }}
{{- else -}}
{{- if not .Values.engine.urls -}}
{{- fail "engine.urls is empty; engine.topology none needs the engines that the workers ask" -}}
{{- end -}}
{{- join "," .Values.engine.urls -}}
{{- end -}}
{{- end -}}

{{/* Engines as the HTTP service reaches them: sidecars by a Service. */}}
{{- define "va.engineUrlsOfService" -}}
{{- if eq .Values.engine.topology "none" -}}
{{- include "va.engineUrls" . -}}
{{- else -}}
http://{{ include "va.fullname" . }}-engine:{{ .Values.ports.engine }}
{{- end -}}
{{- end -}}
