{{- define "vqc.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "vqc.selector" -}}
app.kubernetes.io/name: vqc
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "vqc.labels" -}}
{{ include "vqc.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "vqc.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* No root, no privilege escalation, no writable root. */}}
{{- define "vqc.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "vqc.containerSecurity" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end }}

{{- define "vqc.scraped" -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ . | quote }}
prometheus.io/path: /metrics
{{- end }}

{{- define "vqc.engineUrl" -}}
{{- if .Values.router.enabled -}}
http://{{ include "vqc.name" . }}-router:8000
{{- else if .Values.engine.enabled -}}
http://{{ include "vqc.name" . }}-engine:8000
{{- else -}}
{{ required "engine.url is needed where engine.enabled is false" .Values.engine.url }}
{{- end -}}
{{- end }}

{{- define "vqc.claim" -}}
{{ .Values.state.claim | default (printf "%s-state" (include "vqc.name" .)) }}
{{- end }}

{{/* Environment that API and worker share. */}}
{{- define "vqc.environment" -}}
- {name: VQC_SECRETS_DIR, value: /run/secrets/vqc}
- {name: VQC_ENGINE_URL, value: {{ include "vqc.engineUrl" . | quote }}}
- {name: VQC_MODEL_ALIAS, value: {{ .Values.model.alias | quote }}}
- {name: VQC_MODEL_DIGEST, value: {{ .Values.model.digest | default "unknown" | quote }}}
- {name: VQC_STATE_DIR, value: /var/lib/vqc/state}
{{- with .Values.state.blobs }}
- {name: VQC_BLOBS, value: {{ . | quote }}}
{{- end }}
- {name: VQC_TIMEOUT_S, value: {{ .Values.drain.requestSeconds | quote }}}
- {name: VQC_DRAIN_TIMEOUT_S, value: {{ .Values.drain.requestSeconds | quote }}}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "vqc.environmentFrom" -}}
{{- with .Values.state.environmentSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{- define "vqc.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Spreads the pods of a component over nodes. */}}
{{- define "vqc.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "vqc.selector" . | nindent 8 }}
{{- end }}
