{{/* A secret is no setting of a ConfigMap, and what the chart says itself is not said twice. */}}
{{- define "va.refuseSettings" -}}
{{- range $name, $_ := .Values.settings -}}
{{- if not (regexMatch "^[A-Z][A-Z0-9_]*$" $name) -}}
{{- fail (printf "settings has %q; a setting is called as docs/settings.md has it, such as LLM_PROVIDER" $name) -}}
{{- else if regexMatch "(_KEY|_SECRET|_PASSWORD|_TOKEN)$|^(REDIS_URL|CALLS_DATABASE)$" $name -}}
{{- fail (printf "settings has %s, which is a secret; put it into a Secret that extraSecrets names" $name) -}}
{{- else if regexMatch "^(HOST|ENGINE_PORT|MODELS_PORT|HTTP_PORT|METRICS_PORT|WORKER_HEALTH_PORT|ENGINE_URLS?|MODELS_URL|WORKER_URLS|LIVEKIT_URL|LIVEKIT_PUBLIC_URL|MAX_CALL_S|DRAIN_TIMEOUT|MAX_CALLS|LOG_LEVEL|LOG_FORMAT|AGENT_FILE|API_KEYS_FILE|CACHE_DIR|TTS_BACKEND|TTS_MODEL_PATH|TTS_MAX_BATCH_SIZE|SECRETS_DIR|TRUSTED_PROXIES|CORS_ORIGINS|OPEN_ON_LOOPBACK|FLEET_SOCKET)$" $name -}}
{{- fail (printf "settings has %s, which the chart sets itself from another value" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
