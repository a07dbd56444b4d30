"""Prometheus as the chart's ServiceMonitor wants it, without an operator that translates it.

What a ServiceMonitor means is in prometheus-operator's `promcfg.go`; here it is done for one endpoint. Debian builds
Prometheus without the discovery of Kubernetes objects, so the labels that it would find are written down for it, those
of every endpoint in the namespace; choosing among them is left to the monitor. Prometheus runs beside the pods, in the
cluster's network, with a service account's token to show.
"""

from __future__ import annotations

import itertools
import json
import re
import ssl
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.chart.place import Object, Place
from tools.cluster.node import ADDRESS
from tools.controlplane.process import Process
from tools.image.debian import find_program
from tools.manifests.chart import NAMESPACE

READER = "prometheus"
_TOKEN_IN_PODS = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_SERVICE_LABEL = "__meta_kubernetes_service_label_"
_PORT = 9090


def reader(place: Place) -> str:
    """The token of an account that may read metrics, by the role that the chart ships."""
    bound: Object = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "e2e-prometheus"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "autobackup-metrics-reader",
        },
        "subjects": [{"kind": "ServiceAccount", "name": READER, "namespace": NAMESPACE}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": READER, "namespace": NAMESPACE}}
    place.apply(account, bound)
    return place.kubectl("create", "token", READER, "-n", NAMESPACE).strip()


def read_metrics(place: Place, pod: Object) -> str:
    """What one replica tells who may ask."""
    local = place.own.forward(pod["status"]["podIP"], 8080)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it made its certificate itself
    request = urllib.request.Request(
        f"https://127.0.0.1:{local}/metrics", headers={"Authorization": f"Bearer {reader(place)}"}
    )
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        text: str = answer.read().decode()
    return text


def discovered(place: Place, namespaces: list[str]) -> list[Object]:
    """What Kubernetes discovery would find in these namespaces, in the role `endpoints`."""
    found = []
    for namespace in namespaces:
        services = {service["metadata"]["name"]: service for service in place.list("services", namespace=namespace)}
        for each in place.list("endpointslices.discovery.k8s.io", namespace=namespace):
            service = services[each["metadata"]["labels"]["kubernetes.io/service-name"]]
            labels = {
                f"{_SERVICE_LABEL}{sanitized(key)}": value for key, value in service["metadata"]["labels"].items()
            }
            for port, endpoint in itertools.product(each["ports"], each["endpoints"]):
                meta = {"namespace": namespace, "endpoint_port_name": port["name"]}
                meta["pod_name"] = endpoint["targetRef"]["name"]
                named = {f"__meta_kubernetes_{key}": value for key, value in meta.items()}
                found.append({"targets": [f"{endpoint['addresses'][0]}:{port['port']}"], "labels": {**labels, **named}})
    return found


def scrape_config(monitor: Object, *, discovery: list[Object], token_file: Path) -> Object:
    """What is asked of Prometheus: the monitor's settings, but every second."""
    spec = monitor["spec"]
    (endpoint,) = spec["endpoints"]
    assert endpoint["bearerTokenFile"] == _TOKEN_IN_PODS
    keep = [
        {"action": "keep", "source_labels": [_SERVICE_LABEL + sanitized(key)], "regex": re.escape(value)}
        for key, value in spec["selector"]["matchLabels"].items()
    ]
    named = {"action": "keep", "source_labels": ["__meta_kubernetes_endpoint_port_name"], "regex": endpoint["port"]}
    return {
        "job_name": f"serviceMonitor/{monitor['metadata']['name']}",
        "static_configs": discovery,
        "metrics_path": endpoint["path"],
        "scheme": endpoint["scheme"],
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "authorization": {"credentials_file": str(token_file)},
        "tls_config": {"insecure_skip_verify": endpoint["tlsConfig"]["insecureSkipVerify"]},
        "relabel_configs": [
            *keep,
            named,
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": [_SERVICE_LABEL + sanitized(spec["jobLabel"])], "target_label": "job"},
        ],
    }


def sanitized(key: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


class Prometheus:
    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str, **query: str) -> Any:
        text = urllib.parse.urlencode(query)
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/{path}?{text}", timeout=20) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    def query(self, expression: str) -> list[Object]:
        found: list[Object] = self.ask("query", query=expression)["result"]
        return found


@contextmanager
def prometheus(place: Place, monitor: Object, rule: Object, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes what the monitor says and evaluates the rule."""
    cluster = place.own
    token_file, config, rules = (folder / name for name in ("token", "config.yml", "rules.yml"))
    token_file.write_text(reader(place))
    discovery = discovered(place, monitor["spec"]["namespaceSelector"]["matchNames"])
    rules.write_text(yaml.safe_dump({"groups": rule["spec"]["groups"]}))
    settings = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [scrape_config(monitor, discovery=discovery, token_file=token_file)],
    }
    config.write_text(yaml.safe_dump(settings))
    enter, program = find_program("nsenter"), find_program("prometheus")
    assert enter is not None
    assert program is not None
    command = [enter, f"--net=/proc/{cluster.pid}/ns/net", program, f"--config.file={config}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={ADDRESS}:{_PORT}"]
    process = Process("prometheus", command, log=folder / "prometheus.log")
    process.start()
    try:
        found = Prometheus(cluster.forward(ADDRESS, _PORT))

        def answers() -> bool:
            assert process.running, process.last_lines(20)
            try:
                return bool(found.ask("status/runtimeinfo"))
            except OSError as error:
                raise AssertionError(str(error)) from None

        place.wait(answers, 30, what="Prometheus to answer")
        yield found
    finally:
        process.kill()
