{{/* The name of the run. The names of all objects begin with it. */}}
{{- define "mirror.run" -}}
{{- if or (gt (len .Release.Name) 30) (not (regexMatch "^[a-z][-a-z0-9]*[a-z0-9]$|^[a-z]$" .Release.Name)) -}}
{{- fail (printf "the release `%s` has a name that no run can have: use at most 30 lowercase letters, digits and `-`, with a letter at the beginning" .Release.Name) -}}
{{- end -}}
{{- .Release.Name -}}
{{- end -}}

{{- define "mirror.coordinator" -}}
{{ include "mirror.run" . }}-coordinator
{{- end -}}

{{- define "mirror.selector" -}}
app.kubernetes.io/name: mirror-neuron
app.kubernetes.io/instance: {{ include "mirror.run" . | quote }}
app.kubernetes.io/component: coordinator
{{- end -}}

{{- define "mirror.labels" -}}
{{ include "mirror.selector" . }}
app.kubernetes.io/part-of: mirror-neuron
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "mirror.account" -}}
{{ .Values.settings.serviceAccount | default (include "mirror.coordinator" .) }}
{{- end -}}
