{{/* What more than one template needs: names, labels, and the values computed from others. */}}

{{- define "salver.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 54 | trimSuffix "-" -}}
{{- end -}}

{{/* The base of all names. 54 + "-headless" = 63, the longest name a Service may have. */}}
{{- define "salver.fullname" -}}
{{- $name := include "salver.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 54 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 54 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 54 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* All pods of the release: what Services and budgets select. */}}
{{- define "salver.selectorLabels" -}}
app.kubernetes.io/name: {{ include "salver.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/*
The pods of one Deployment. Its selector cannot be changed after the install, so it names a track
from the start: a second Deployment (another track) can then join the same Services without its
pods being claimed by the first.
*/}}
{{- define "salver.deploymentLabels" -}}
{{ include "salver.selectorLabels" . }}
app.kubernetes.io/component: server
salver/track: stable
{{- end -}}

{{/* Labels of an object's own metadata; components tell the three Services apart. */}}
{{- define "salver.labels" -}}
{{- $root := .root -}}
{{ include "salver.selectorLabels" $root }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "salver.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "salver.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "salver.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Time for the hook, for the drain, and five seconds to exit: less means SIGKILL amid answers. */}}
{{- define "salver.terminationGracePeriodSeconds" -}}
{{- $needed := add (int .Values.preStopSleepSeconds) (int .Values.server.drainTimeoutSeconds) 5 -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{- $needed -}}
{{- else if lt (int $given) (int $needed) -}}
{{- fail (printf "terminationGracePeriodSeconds: %d is less than preStopSleepSeconds + server.drainTimeoutSeconds + 5 = %d" (int $given) (int $needed)) -}}
{{- else -}}
{{- int $given -}}
{{- end -}}
{{- end -}}

{{/* Time to load and settle; 300 s more for scheduling, pulling the image and mounting. */}}
{{- define "salver.progressDeadlineSeconds" -}}
{{- $loading := add (int .Values.modelLoadTimeoutSeconds) (int .Values.rollout.minReadySeconds) -}}
{{- $given := .Values.progressDeadlineSeconds -}}
{{- if kindIs "invalid" $given -}}
{{- add $loading 300 -}}
{{- else if le (int $given) (int $loading) -}}
{{- fail (printf "progressDeadlineSeconds: %d must be more than modelLoadTimeoutSeconds + rollout.minReadySeconds = %d" (int $given) (int $loading)) -}}
{{- else -}}
{{- int $given -}}
{{- end -}}
{{- end -}}

{{/*
salver.toml. Text, because toToml would turn every number into a float. Of extraConfig the part
before its first table is searched for the chart's own keys: TOML forbids a key twice, and the
server would refuse to start.
*/}}
{{- define "salver.config" -}}
{{- $extra := .Values.server.extraConfig -}}
{{- $top := regexReplaceAll "(?ms)^[ \\t]*\\[.*" $extra "" -}}
{{- range $key := list "model_repository" "host" "http_port" "grpc_port" "metrics_port" "drain_timeout_s" "log_format" -}}
{{- if regexMatch (printf "(?m)^[ \\t]*%s[ \\t]*=" $key) $top -}}
{{- fail (printf "server.extraConfig: %s is written by the chart from other values" $key) -}}
{{- end -}}
{{- end -}}
model_repository = "/models"
host = "0.0.0.0"
http_port = {{ int .Values.ports.http }}
grpc_port = {{ int .Values.ports.grpc }}
metrics_port = {{ int .Values.ports.metrics }}
drain_timeout_s = {{ int .Values.server.drainTimeoutSeconds }}
log_format = {{ .Values.server.logFormat | quote }}
{{- with trim $extra }}

{{ . }}
{{- end }}
{{- end -}}

{{/* The volume "models" without its name. The schema allows at most one source. */}}
{{- define "salver.modelsVolume" -}}
{{- $source := .Values.models.source -}}
{{- if hasKey $source "pvc" -}}
persistentVolumeClaim:
  {{- toYaml $source.pvc | nindent 2 }}
{{- else if hasKey $source "image" -}}
image:
  {{- toYaml $source.image | nindent 2 }}
{{- else if hasKey $source "configMap" -}}
configMap:
  {{- toYaml $source.configMap | nindent 2 }}
{{- else -}}
emptyDir:
  {{- toYaml (default dict $source.emptyDir) | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Faults that a schema cannot see. */}}
{{- define "salver.validate" -}}
{{- $ports := list (int .Values.ports.http) (int .Values.ports.grpc) (int .Values.ports.metrics) -}}
{{- if ne (len (uniq $ports)) 3 -}}
{{- fail (printf "ports: http, grpc and metrics must differ, got %v" $ports) -}}
{{- end -}}
{{- $surge := toString .Values.rollout.maxSurge | trimSuffix "%" -}}
{{- $unavailable := toString .Values.rollout.maxUnavailable | trimSuffix "%" -}}
{{- if and (eq $surge "0") (eq $unavailable "0") -}}
{{- fail "rollout: maxSurge and maxUnavailable cannot both be 0" -}}
{{- end -}}
{{- end -}}
