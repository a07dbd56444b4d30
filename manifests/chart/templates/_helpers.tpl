{{- define "autobackup.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Long enough to be told apart, short enough for what is added to it. */}}
{{- define "autobackup.fullname" -}}
{{- $name := include "autobackup.name" . -}}
{{- $full := .Values.fullnameOverride | default (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) -}}
{{- $full | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "autobackup.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "autobackup.selectorLabels" -}}
app.kubernetes.io/name: {{ include "autobackup.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "autobackup.labels" -}}
{{ include "autobackup.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of an object: (dict "root" $ "name" ... "cluster" true "labels" {} "annotations" {}) */}}
{{- define "autobackup.metadata" -}}
name: {{ .name }}
{{- if not .cluster }}
namespace: {{ .namespace | default (include "autobackup.namespace" .root) }}
{{- end }}
labels:
  {{- $common := include "autobackup.labels" .root | fromYaml }}
  {{- toYaml (merge (dict) (.labels | default dict) $common) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "autobackup.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "autobackup.fullname" .) "default") }}
{{- end }}

{{- define "autobackup.subject" -}}
- kind: ServiceAccount
  name: {{ include "autobackup.serviceAccountName" . }}
  namespace: {{ include "autobackup.namespace" . }}
{{- end }}

{{- define "autobackup.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "autobackup.leaseNamespace" -}}
{{- .Values.leaderElection.namespace | default (include "autobackup.namespace" .) }}
{{- end }}

{{- define "autobackup.leaseName" -}}
{{- .Values.leaderElection.leaseName | default (include "autobackup.fullname" .) }}
{{- end }}

{{/* The operator's configuration file. */}}
{{- define "autobackup.config" -}}
{{- $election := dict "enabled" "never" -}}
{{- with .Values.leaderElection }}
{{- if .enabled }}
{{- $election = dict "enabled" "always" "leaseName" (include "autobackup.leaseName" $) "namespace" (include "autobackup.leaseNamespace" $) "leaseDurationSeconds" .leaseDurationSeconds "renewDeadlineSeconds" .renewDeadlineSeconds "retryPeriodSeconds" .retryPeriodSeconds }}
{{- end }}
{{- end }}
{{- $config := dict "namespaces" .Values.namespaces "logLevel" .Values.logLevel "logFormat" .Values.logFormat -}}
{{- $_ := set $config "healthAddress" (printf ":%v" .Values.health.port) -}}
{{- $_ := set $config "metricsAddress" (.Values.metrics.enabled | ternary (printf ":%v" .Values.metrics.port) "off") -}}
{{- $_ := set $config "leaderElection" $election -}}
{{- if .Values.metrics.enabled }}
{{- $metrics := dict "secure" .Values.metrics.secure }}
{{- if and .Values.metrics.secure .Values.metrics.certificateSecret }}
{{- $_ := set $metrics "certFile" "/etc/autobackup-tls/tls.crt" }}
{{- $_ := set $metrics "keyFile" "/etc/autobackup-tls/tls.key" }}
{{- end }}
{{- $_ := set $config "metrics" $metrics }}
{{- end }}
{{- toYaml (mustMergeOverwrite $config (deepCopy .Values.config)) }}
{{- end }}

{{/* Contradictions between values, which the schema cannot tell. */}}
{{- define "autobackup.check" -}}
{{- $election := (.Values.config.leaderElection | default dict).enabled | default (.Values.leaderElection.enabled | ternary "always" "never") }}
{{- if and (gt (int .Values.replicaCount) 1) (eq $election "never") }}
{{- fail (printf "replicaCount is %d and leaderElection is off: two operators would work at the same time. Set leaderElection.enabled=true, or replicaCount=1." (int .Values.replicaCount)) }}
{{- end }}
{{- $grace := .Values.config.shutdownGraceSeconds | default 8 | float64 }}
{{- if le (float64 .Values.terminationGracePeriodSeconds) (addf $grace 2.0) }}
{{- fail (printf "terminationGracePeriodSeconds is %v and config.shutdownGraceSeconds %v: work in progress would be killed. Let the first be more than 2 seconds longer." .Values.terminationGracePeriodSeconds $grace) }}
{{- end }}
{{- with .Values.leaderElection }}
{{- if and .enabled (not (and (gt (float64 .leaseDurationSeconds) (float64 .renewDeadlineSeconds)) (gt (float64 .renewDeadlineSeconds) (mulf 1.2 (float64 .retryPeriodSeconds))))) }}
{{- fail (printf "leaderElection has leaseDurationSeconds %v, renewDeadlineSeconds %v and retryPeriodSeconds %v: no replica would start. It must be lease > renew > 1.2 x retry (default: 15, 10, 2)." .leaseDurationSeconds .renewDeadlineSeconds .retryPeriodSeconds) }}
{{- end }}
{{- end }}
{{- if and .Values.metrics.enabled (eq (int .Values.metrics.port) (int .Values.health.port)) }}
{{- fail (printf "metrics.port and health.port are both %d: give each a port of its own." (int .Values.health.port)) }}
{{- end }}
{{- with .Values.metrics }}
{{- if and (not .enabled) (or .serviceMonitor.enabled .podMonitor.enabled) }}
{{- fail "metrics.enabled is false, and a ServiceMonitor or PodMonitor would find nothing: set metrics.enabled=true, or take the monitor away." }}
{{- end }}
{{- if and .enabled .secure .podMonitor.enabled (not .podMonitor.bearerTokenSecret) }}
{{- fail "metrics.secure asks for a token, and a PodMonitor cannot use Prometheus' own: name a Secret in metrics.podMonitor.bearerTokenSecret, or use metrics.serviceMonitor." }}
{{- end }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if and .enabled (not (kindIs "invalid" .minAvailable)) (not (kindIs "invalid" .maxUnavailable)) }}
{{- fail "podDisruptionBudget has minAvailable and maxUnavailable: Kubernetes takes one of them. Set the other to null." }}
{{- end }}
{{- end }}
{{- end }}

{{/* A binding that puts a policy to work: (dict "root" $ "name" ... "mode" Deny|Warn|Audit) */}}
{{- define "autobackup.policyBinding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  {{- include "autobackup.metadata" (dict "root" .root "name" .name "cluster" true) | nindent 2 }}
spec:
  policyName: {{ .name }}
  # A refusal is in the audit log as well.
  validationActions: {{ ternary (list "Audit") (list .mode "Audit") (eq .mode "Audit") | toJson }}
{{- end }}

{{/* What may carry our annotations. Kinds that a cluster does not have are fine. */}}
{{- define "autobackup.targetRules" -}}
- apiGroups: [apps]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE]
  resources: [deployments, statefulsets, daemonsets, replicasets]
- apiGroups: [""]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE]
  resources: [persistentvolumeclaims, replicationcontrollers]
- apiGroups: [appcatalog.appscode.com]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE]
  resources: [appbindings]
- apiGroups: [apps.openshift.io]
  apiVersions: ["*"]
  operations: [CREATE, UPDATE]
  resources: [deploymentconfigs]
{{- end }}

{{/*
Kubernetes' own controllers copy annotations: a Deployment's to its ReplicaSets, those of a StatefulSet's claim templates
to claims. What people wrote is judged where they wrote it; a copy of what was there before is not held up.
*/}}
{{- define "autobackup.byPeople" -}}
request.userInfo.username != 'system:kube-controller-manager' &&
!('system:serviceaccounts:kube-system' in request.userInfo.groups && request.userInfo.username.endsWith('-controller'))
{{- end }}

{{/* How an endpoint is scraped: (dict "root" $ "monitor" values) */}}
{{- define "autobackup.scrape" -}}
path: /metrics
interval: {{ .monitor.interval }}
scrapeTimeout: {{ .monitor.scrapeTimeout }}
{{- if .root.Values.metrics.secure }}
scheme: https
{{- with .monitor.bearerTokenSecret }}
authorization:
  credentials:
    {{- toYaml . | nindent 4 }}
{{- else }}
bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
{{- end }}
tlsConfig:
  {{- if .root.Values.metrics.certificateSecret }}
  ca:
    secret:
      name: {{ .root.Values.metrics.certificateSecret }}
      key: ca.crt
  serverName: {{ printf "%s-metrics.%s.svc" (include "autobackup.fullname" .root) (include "autobackup.namespace" .root) }}
  {{- else }}
  # Each replica makes a certificate for itself, which nobody can know beforehand; who scrapes is known by the token.
  insecureSkipVerify: true
  {{- end }}
{{- end }}
{{- end }}
