"""Every breach that self_test.py tries.

One is: the rule that has to find it (one of `rules` by its name, or `schema`, `render`, `alerts`), the file, what is
replaced in it (each place where it stands) by what, and words of the error.
"""

INGEST, WORKER, SCALING = "base/ingest.yaml", "base/worker.yaml", "base/worker-scaling.yaml"
NETWORK, DASHBOARD = "base/network-policies.yaml", "components/dashboard/dashboard.yaml"
RABBITMQ, QUEUES = "components/rabbitmq/rabbitmq.yaml", "components/rabbitmq/kustomization.yaml"
TLS = "components/rabbitmq-tls/kustomization.yaml"
RIGHTS = "readOnlyRootFilesystem: true"

BREACHES = [
    ("render", INGEST, "kind: Deployment", "kind: [", "yaml"),
    ("render", "production/kustomization.yaml", "  - ../base", "  - ../bases", "bases"),
    ("render", "production/kustomization.yaml", "configMapGenerator:", "configMapGenerators:", "configMapGenerators"),
    ("schema", INGEST, "periodSeconds: 10", "periodSecond: 10", "periodSecond"),
    ("schema", INGEST, "sleep: { seconds: 10 }", "sleep: { seconds: ten }", "ten"),
    ("schema", INGEST, "apiVersion: autoscaling/v2", "apiVersion: autoscaling/v2beta2", "no schema"),
    ("schema", WORKER, "topologyKey: kubernetes.io/hostname", "topologyKeys: kubernetes.io/hostname", "topologyKeys"),
    ("schema", NETWORK, "policyTypes: [Egress]", "policyType: [Egress]", "policyType"),
    ("schema", SCALING, "pollingInterval: 15", "pollingIntervall: 15", "pollingIntervall"),
    ("schema", SCALING, "pollingInterval: 15", "pollingInterval: 15s", "15s"),
    ("schema", SCALING, 'queryValue: "128"', "queryValue: 128", "128"),
    ("schema", SCALING, 'queryValue: "128"', 'queryvalue: "128"', "queryvalue"),
    ("schema", SCALING, "type: mongodb", "type: mongo", "mongo"),
    ("schema", SCALING, "parameter: connectionString, ", "", "parameter"),
    ("schema", QUEUES, 'useRegex: "true"', 'useRegexp: "true"', "useRegexp"),
    ("schema", RABBITMQ, "additionalConfig: |", "additionalConf: |", "additionalConf"),
    (
        "schema",
        RABBITMQ,
        "            containers:\n              - name: rabbitmq\n",
        "            container:\n              - name: rabbitmq\n",
        "container",
    ),
    ("schema", "components/monitoring/pod-monitor.yaml", "interval: 15s", "interval: 15", "15"),
    ("schema", "components/monitoring/pod-monitor.yaml", "podMetricsEndpoints:", "endpoints:", "endpoints"),
    ("alerts", "prometheus-rule.sh", "sed 's/^\\(.\\)/  \\1/'", "sed -n '1,60s/^\\(.\\)/  \\1/p'", "not those of"),
    ("alerts", "prometheus-rule.sh", "kind: PrometheusRule", "kind: PrometheusRules", "no schema"),
    (
        "containers_have_no_rights",
        "base/namespace.yaml",
        "apiVersion: v1\n",
        "apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ name: p, image: 'p:1' }] }\n"
        "---\napiVersion: v1\n",
        "Pod/p: p: may be root",
    ),
    (
        "containers_have_no_rights",
        "base/namespace.yaml",
        "apiVersion: v1\n",
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: c }\nspec:\n  schedule: '@daily'\n  jobTemplate:\n"
        "    spec: { template: { spec: { containers: [{ name: c, image: 'c:1' }] } } }\n---\napiVersion: v1\n",
        "CronJob/c: c: may be root",
    ),
    ("containers_have_no_rights", INGEST, "runAsNonRoot: true", "runAsNonRoot: false", "may be root"),
    ("containers_have_no_rights", WORKER, "runAsUser: 65532", "runAsUser: 0", "may be root"),
    (
        "containers_have_no_rights",
        DASHBOARD,
        "        seccompProfile: { type: RuntimeDefault }\n",
        "",
        "seccompProfile",
    ),
    ("containers_have_no_rights", INGEST, RIGHTS, "readOnlyRootFilesystem: false", "readOnlyRootFilesystem"),
    ("containers_have_no_rights", WORKER, f"            {RIGHTS}\n", "", "readOnlyRootFilesystem"),
    ("containers_have_no_rights", INGEST, "allowPrivilegeEscalation: false", "privileged: false", "escalate"),
    ("containers_have_no_rights", INGEST, "drop: [ALL]", "drop: [NET_RAW]", "capabilities"),
    ("containers_have_no_rights", WORKER, "drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]", "capabilities"),
    ("containers_have_no_rights", WORKER, "      automountServiceAccountToken: false\n", "", "automount"),
    (
        "containers_have_no_rights",
        WORKER,
        "enableServiceLinks: false",
        "enableServiceLinks: true",
        "enableServiceLinks",
    ),
    (
        "containers_have_no_rights",
        INGEST,
        "      enableServiceLinks: false",
        "      enableServiceLinks: false\n      hostNetwork: true",
        "hostNetwork",
    ),
    (
        "containers_have_no_rights",
        DASHBOARD,
        "      volumes:\n",
        "      volumes:\n        - { name: root, hostPath: { path: / } }\n",
        "of the host",
    ),
    (
        "containers_have_no_rights",
        RABBITMQ,
        "              runAsNonRoot: true\n",
        "",
        "RabbitmqCluster: rabbitmq: may be root",
    ),
    ("containers_have_no_rights", RABBITMQ, f"                  {RIGHTS}\n", "", "RabbitmqCluster: setup-container"),
    (
        "containers_are_bounded",
        INGEST,
        'limits: { cpu: "2", memory: 512Mi }',
        'limits: { cpu: "2" }',
        "limits of memory",
    ),
    ("containers_are_bounded", WORKER, 'limits: { cpu: "2", memory: 2Gi }', "limits: { memory: 2Gi }", "limits of cpu"),
    ("containers_are_bounded", DASHBOARD, "            requests: { cpu: 50m, memory: 64Mi }\n", "", "requests of cpu"),
    (
        "containers_are_bounded",
        RABBITMQ,
        'requests: { cpu: "1", memory: 4Gi }',
        'requests: { cpu: "1", memory: 2Gi }',
        "request is not its limit",
    ),
    (
        "images_have_versions",
        "production/kustomization.yaml",
        "    newTag: 0.1.0\n",
        "    newTag: latest\n",
        "no tag of a version",
    ),
    ("images_have_versions", RABBITMQ, "rabbitmq:4.2.4-management", "rabbitmq", "no tag of a version"),
    ("images_have_versions", WORKER, "image: switchboard-worker", "image: registry:5000/worker", "no tag of a version"),
    (
        "containers_are_asked_how_they_are",
        INGEST,
        "          readinessProbe:\n"
        "            httpGet: { path: /readyz, port: metrics }\n"
        "            periodSeconds: 5\n"
        "            timeoutSeconds: 3\n"
        "            failureThreshold: 2\n",
        "",
        "readinessProbe",
    ),
    ("containers_are_asked_how_they_are", WORKER, "path: /readyz", "path: /healthz", "/readyz"),
    (
        "containers_are_asked_how_they_are",
        WORKER,
        "path: /healthz, port: metrics",
        "path: /healthz, port: 9100",
        "asks no port",
    ),
    ("variables_are_known", "base/worker.env", "MAX_CONVERSATIONS=256", "MAX_CONVERSATION=256", "MAX_CONVERSATION"),
    ("variables_are_known", INGEST, "name: RABBITMQ_URL_FILE", "name: RABBITMQ_URI_FILE", "RABBITMQ_URI_FILE"),
    ("variables_are_known", "base/settings.env", "LOG_FORMAT=json", "LOG_FORMAT_FILE=json", "LOG_FORMAT_FILE"),
    ("variables_are_known", "base/settings.env", "LOG_FORMAT=json", "MONGODB_DB_NAME=x", "not read by ingest"),
    ("variables_are_known", WORKER, "- name: GROQ_API_KEY\n", "- name: MONGODB_URI\n", "both set"),
    ("variables_are_known", WORKER, "- name: AI_API_KEY\n", "- name: GROQ_API_KEY\n", "twice"),
    ("variables_are_known", INGEST, 'value: "0.0.0.0:9100"', 'value: "127.0.0.1:9100"', "METRICS_ADDR"),
    (
        "variables_are_known",
        WORKER,
        "            - configMapRef: { name: switchboard-settings }\n",
        "            - secretRef: { name: switchboard }\n",
        "whole Secret",
    ),
    (
        "files_are_mounted",
        WORKER,
        "key: MONGODB_URI, path: MONGODB_URI",
        "key: MONGODB_URI, path: MONGODB",
        "no volume brings",
    ),
    ("files_are_mounted", INGEST, "mountPath: /run/secrets/switchboard", "mountPath: /run/secrets", "no volume brings"),
    (
        "secrets_are_only_referred_to",
        INGEST,
        "- { name: WHATSAPP_VERIFY_TOKEN_FILE, value: /run/secrets/switchboard/WHATSAPP_VERIFY_TOKEN }",
        "- { name: WHATSAPP_VERIFY_TOKEN, value: word }",
        "in plain",
    ),
    (
        "secrets_are_only_referred_to",
        "production/worker.env",
        "AI_CHAT_MODEL=",
        "GROQ_API_KEY=gsk_1234\nAI_CHAT_MODEL=",
        "is a secret",
    ),
    (
        "secrets_are_only_referred_to",
        "production/worker.env",
        "AI_CHAT_MODEL=",
        "AI_API_URL=https://me:secret@ai.example.com/\nAI_CHAT_MODEL=",
        "password in a URL",
    ),
    (
        "secrets_are_only_referred_to",
        "base/namespace.yaml",
        "apiVersion: v1\n",
        "apiVersion: v1\nkind: Secret\nmetadata: { name: s }\n---\napiVersion: v1\n",
        "do not belong here",
    ),
    (
        "secrets_are_only_referred_to",
        SCALING,
        "dbName: switchboard",
        "dbName: switchboard\n        password: word",
        "in plain",
    ),
    ("secrets_are_only_referred_to", SCALING, "name: switchboard-scaler", "name: switchboard-keda", "does not explain"),
    ("secrets_are_only_referred_to", WORKER, "key: ELEVENLABS_API_KEY", "key: ELEVENLABS", "does not explain"),
    (
        "pods_have_time_to_stop",
        INGEST,
        "terminationGracePeriodSeconds: 65",
        "terminationGracePeriodSeconds: 50",
        "not more than the 50 s",
    ),
    ("pods_have_time_to_stop", WORKER, "      terminationGracePeriodSeconds: 60\n", "", "not more than the 40 s"),
    (
        "pods_have_time_to_stop",
        "base/settings.env",
        "STOP_TIMEOUT_SECS=40",
        "STOP_TIMEOUT_SECS=60",
        "not more than the 60 s",
    ),
    ("pods_have_time_to_stop", INGEST, "sleep: { seconds: 10 }", "sleep: { seconds: 30 }", "not more than the 70 s"),
    ("pods_have_time_to_stop", INGEST, "sleep: { seconds: 10 }", 'exec: { command: [sleep, "10"] }', "image has none"),
    (
        "pods_have_time_to_stop",
        INGEST,
        "            preStop:\n              sleep: { seconds: 10 }\n",
        "            postStart: { sleep: { seconds: 1 } }\n",
        "no preStop",
    ),
    ("workers_and_ingests_scale", INGEST, "minReplicas: 2", "minReplicas: 1", "minimum of two"),
    ("workers_and_ingests_scale", SCALING, "minReplicaCount: 2", "minReplicaCount: 0", "minimum of two"),
    (
        "workers_and_ingests_scale",
        SCALING,
        "name: switchboard-worker }",
        "name: switchboard-workers }",
        "no Deployment",
    ),
    (
        "workers_and_ingests_scale",
        WORKER,
        "spec:\n  # No `replicas`",
        "spec:\n  replicas: 2\n  # No `replicas`",
        "set back",
    ),
    (
        "workers_and_ingests_scale",
        WORKER,
        "  maxUnavailable: 1\n"
        "  unhealthyPodEvictionPolicy: AlwaysAllow\n"
        "  selector:\n"
        "    matchLabels:\n"
        "      app.kubernetes.io/name: switchboard\n"
        "      app.kubernetes.io/component: worker\n",
        "  maxUnavailable: 1\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: switchboard-rabbitmq\n",
        "no PodDisruptionBudget",
    ),
    ("workers_and_ingests_scale", INGEST, "          topologyKey: kubernetes.io/hostname\n", "", "not spread"),
    ("triggers_fit_the_settings", "base/worker.env", "MONGODB_DB_NAME=switchboard", "MONGODB_DB_NAME=other", "dbName"),
    (
        "triggers_fit_the_settings",
        "base/worker.env",
        "MAX_CONVERSATIONS=256",
        "MAX_CONVERSATIONS=64",
        "more than MAX_CONVERSATIONS",
    ),
    ("triggers_fit_the_settings", SCALING, '"$exists": true}', '"$exists": true', "no JSON"),
    ("triggers_fit_the_settings", SCALING, '{"$exists": true}', '{"$gt": 0}', "canonical extended JSON"),
    (
        "triggers_fit_the_settings",
        SCALING,
        "authenticationRef: { name: switchboard-mongodb }",
        "authenticationRef: { name: mongodb }",
        "no TriggerAuthentication",
    ),
    ("triggers_fit_the_settings", "base/settings.env", "QUEUE_PREFIX=whatsapp", "QUEUE_PREFIX=meta", "QUEUE_PREFIX"),
    ("triggers_fit_the_settings", QUEUES, "(inbound|status)", "(inbound)", "does not take whatsapp.status.3"),
    ("triggers_fit_the_settings", QUEUES, r"\.(inbound|status)\.[0-9]+$", r"\.", "takes whatsapp.dead"),
    ("triggers_fit_the_settings", QUEUES, r"[0-9]+$", r"[0-9+$", "no expression"),
    ("triggers_fit_the_settings", QUEUES, "protocol: http", "protocol: amqp", "only http"),
    (
        "triggers_fit_the_settings",
        RABBITMQ,
        "kind: RabbitmqCluster\nmetadata:\n  name: switchboard-rabbitmq\n",
        "kind: RabbitmqCluster\nmetadata:\n  name: rabbitmq\n",
        "host is not",
    ),
    ("schema", TLS, "disableNonTLSListeners: true", "disableNonTLSListener: true", "disableNonTLSListener"),
    ("variables_are_known", TLS, "name: RABBITMQ_CA_FILE", "name: RABBITMQ_CA", "RABBITMQ_CA"),
    ("files_are_mounted", TLS, "key: ca.crt, path: RABBITMQ_CA", "key: ca.crt, path: CA", "no volume brings"),
    ("triggers_fit_the_settings", TLS, "value: https://", "value: http://", "host is not https://"),
    ("triggers_fit_the_settings", TLS, ", disableNonTLSListeners: true", "", "host is not http://"),
    ("references_lead_somewhere", TLS, "name: switchboard-rabbitmq-scaler", "name: scaler", "no ConfigMap scaler"),
    ("references_lead_somewhere", INGEST, "targetPort: webhooks", "targetPort: http", "no pod has the port http"),
    (
        "references_lead_somewhere",
        INGEST,
        "  selector:\n    app.kubernetes.io/name: switchboard\n    app.kubernetes.io/component: ingest\n",
        "  selector:\n    app: ingest\n",
        "no pod has the port",
    ),
    (
        "references_lead_somewhere",
        RABBITMQ,
        "  selector:\n    matchLabels: { app.kubernetes.io/name: switchboard-rabbitmq }\n",
        "  selector:\n    matchLabels: { app.kubernetes.io/name: rabbitmq }\n",
        "chooses no pod",
    ),
    ("references_lead_somewhere", NETWORK, "values: [worker, dashboard]", "values: [workers]", "chooses no pod"),
    (
        "references_lead_somewhere",
        "components/monitoring/pod-monitor.yaml",
        "values: [ingest, worker]",
        "values: [workers]",
        "chooses no pod",
    ),
    (
        "references_lead_somewhere",
        DASHBOARD,
        "name: switchboard-worker-settings",
        "name: switchboard-dashboard",
        "no ConfigMap",
    ),
    (
        "references_lead_somewhere",
        "production/ingress.yaml",
        "    - hosts: [whatsapp.example.com]",
        "    - hosts: [other.example.com]",
        "without TLS",
    ),
    ("references_lead_somewhere", "production/ingress.yaml", "name: webhooks", "name: http", "there is no port"),
    (
        "references_lead_somewhere",
        "production/ingress.yaml",
        "service: { name: switchboard-ingest",
        "service: { name: ingest",
        "there is no port",
    ),
    ("namespace_is_restricted", "base/namespace.yaml", "enforce: restricted", "enforce: baseline", "not restricted"),
    ("namespace_is_restricted", "base/kustomization.yaml", "  - namespace.yaml\n", "", "not one Namespace but 0"),
    (
        "network_is_closed",
        NETWORK,
        "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n",
        "  podSelector: {}\n  policyTypes: [Ingress]\n",
        "none denies everything",
    ),
    ("network_is_closed", NETWORK, "              - 169.254.0.0/16\n", "", "not closed to 169.254.0.0/16"),
    ("network_is_closed", NETWORK, "              - 10.0.0.0/8\n", "", "not closed to 10.0.0.0/8"),
    ("network_is_closed", NETWORK, ', "fc00::/7"', "", "not closed to fc00::/7"),
    ("network_is_closed", NETWORK, ", except: [169.254.0.0/16]", "", "not closed to 169.254.169.254/32"),
    ("network_is_closed", NETWORK, "100.64.0.0/10", "100.64.0.1/10", "host bits"),
    ("network_is_closed", NETWORK, 'except: ["fe80::/10"]', "except: [169.254.0.0/16]", "no part of"),
    ("network_is_closed", NETWORK, "      ports: [{ protocol: TCP, port: 443 }]\n", "", "at every port"),
    (
        "network_is_closed",
        NETWORK,
        "    - from: [{ namespaceSelector: { matchLabels: { switchboard/ingress: allowed } } }]\n      ports:",
        "    - ports:",
        "with everybody",
    ),
    ("network_is_closed", NETWORK, "port: webhooks", "port: http", "no pod has the port http"),
    ("rabbitmq_is_a_quorum", RABBITMQ, "replicas: 3", "replicas: 2", "not three nodes"),
    (
        "rabbitmq_is_a_quorum",
        RABBITMQ,
        "          topologyKey: kubernetes.io/hostname\n",
        "          topologyKey: topology.kubernetes.io/zone\n",
        "on one machine",
    ),
    ("rabbitmq_is_a_quorum", RABBITMQ, "    storage: 50Gi\n", "    storageClassName: fast\n", "size of its disk"),
    ("rabbitmq_is_a_quorum", RABBITMQ, "      disk_free_limit.absolute = 5GB\n", "", "disk_free_limit"),
    (
        "rabbitmq_is_a_quorum",
        RABBITMQ,
        "kind: PodDisruptionBudget\n"
        "metadata:\n"
        "  name: switchboard-rabbitmq\n"
        "  namespace: switchboard\n"
        "spec:\n"
        "  maxUnavailable: 1\n"
        "  selector:\n"
        "    matchLabels: { app.kubernetes.io/name: switchboard-rabbitmq }\n",
        "kind: PodDisruptionBudget\n"
        "metadata:\n"
        "  name: switchboard-rabbitmq\n"
        "  namespace: switchboard\n"
        "spec:\n"
        "  maxUnavailable: 1\n"
        "  selector:\n"
        "    matchLabels: { app.kubernetes.io/component: ingest }\n",
        "no PodDisruptionBudget",
    ),
]
