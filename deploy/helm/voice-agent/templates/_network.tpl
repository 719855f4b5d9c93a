{{- define "va.dns" }}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}

{{- define "va.livekitEgress" }}
- ports: # LiveKit, cloud models, collectors
    {{- range $port := .livekitTcpPorts }}
    - {port: {{ $port }}, protocol: TCP}
    {{- end }}
    {{- range .livekitUdpPorts }}
    - {port: {{ .port }}, {{ with .endPort }}endPort: {{ . }}, {{ end }}protocol: UDP}
    {{- end }}
{{- with .extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}
