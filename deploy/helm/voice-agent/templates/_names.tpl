{{- define "va.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "va.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "va.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "va.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* (list root component) */}}
{{- define "va.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "va.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "va.labels" -}}
{{- $root := index . 0 -}}
{{ include "va.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (list root part): registry, repository, and tag or digest */}}
{{- define "va.image" -}}
{{- $image := (index . 0).Values.image -}}
{{- $tag := $image.tag | default (index . 0).Chart.AppVersion -}}
{{- $registry := ternary (printf "%s/" (trimSuffix "/" $image.registry)) "" (ne $image.registry "") -}}
{{- printf "%s%s%s%s" $registry (index $image.repositories (index . 1)) (ternary "@" ":" (hasPrefix "sha256:" $tag)) $tag -}}
{{- end -}}

{{- define "va.engineImage" -}}
{{- include "va.image" (list . (ternary "engine" "engineCpu" (gt (int .Values.engine.gpu.count) 0))) -}}
{{- end -}}

{{- define "va.apiKeysSecret" -}}
{{- .Values.service.apiKeys.existingSecret | default (printf "%s-api-keys" (include "va.fullname" .)) -}}
{{- end -}}

{{/* (list root grace name): seconds from SIGTERM to SIGKILL, never less than a drain takes */}}
{{- define "va.grace" -}}
{{- $calls := (index . 0).Values.calls -}}
{{- $least := add (int $calls.drainTimeout) 60 -}}
{{- $given := index . 1 -}}
{{- if lt (int $calls.drainTimeout) (int $calls.maxSeconds) -}}
{{- fail (printf "calls.drainTimeout is %d; it cannot be less than calls.maxSeconds (%d), or a stopping worker would cut calls off" (int $calls.drainTimeout) (int $calls.maxSeconds)) -}}
{{- end -}}
{{- if kindIs "invalid" $given -}}
{{- $least -}}
{{- else if lt (int $given) (int $least) -}}
{{- fail (printf "%s is %d; it cannot be less than calls.drainTimeout + 60 (%d), or Kubernetes would kill calls" (index . 2) (int $given) (int $least)) -}}
{{- else -}}
{{- int $given -}}
{{- end -}}
{{- end -}}
