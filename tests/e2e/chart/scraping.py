"""Prometheus as the chart's monitors want it, without an operator that translates them.

What a ServiceMonitor and a PodMonitor mean is in prometheus-operator's `promcfg.go`; here it is done for one endpoint.
Debian builds Prometheus without the discovery of Kubernetes objects, so the labels that it would find are written down
for it, those of everything in the namespace; choosing among them is left to the monitor. Prometheus runs beside the
pods, in the cluster's network, with a service account's token to show.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import ssl
import urllib.error
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
_META = "__meta_kubernetes_"
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


def discovered(place: Place, monitor: Object) -> list[Object]:
    """What Kubernetes discovery would find in the monitor's namespaces, in the role that it takes."""
    find = {"ServiceMonitor": _endpoints, "PodMonitor": _pods}[monitor["kind"]]
    found = []
    for namespace in monitor["spec"]["namespaceSelector"]["matchNames"]:
        for address, labels in find(place, namespace):
            meta = {f"{_META}{key}": value for key, value in {**labels, "namespace": namespace}.items()}
            found.append({"targets": [address], "labels": meta})
    return found


def _endpoints(place: Place, namespace: str) -> Iterator[tuple[str, dict[str, str]]]:
    services = {service["metadata"]["name"]: service for service in place.list("services", namespace=namespace)}
    for each in place.list("endpointslices.discovery.k8s.io", namespace=namespace):
        service = services[each["metadata"]["labels"]["kubernetes.io/service-name"]]
        labels = {f"service_label_{sanitized(key)}": value for key, value in service["metadata"]["labels"].items()}
        for port, endpoint in itertools.product(each["ports"], each["endpoints"]):
            address = f"{endpoint['addresses'][0]}:{port['port']}"
            named = {"endpoint_port_name": port["name"], "pod_name": endpoint["targetRef"]["name"]}
            yield address, {**labels, **named}


def _pods(place: Place, namespace: str) -> Iterator[tuple[str, dict[str, str]]]:
    for pod in place.list("pods", namespace=namespace):
        metadata = pod["metadata"]
        labels = {f"pod_label_{sanitized(key)}": value for key, value in metadata["labels"].items()}
        for container in pod["spec"]["containers"]:
            for port in container["ports"]:
                address = f"{pod['status']['podIP']}:{port['containerPort']}"
                named = {"pod_container_port_name": port["name"], "pod_container_name": container["name"]}
                named |= {"pod_name": metadata["name"], "pod_phase": pod["status"]["phase"]}
                yield address, {**labels, **named}


def shown_token(place: Place, endpoint: Object) -> str:
    """The token that the endpoint says Prometheus should show: of its own account, or out of a Secret."""
    if "bearerTokenFile" in endpoint:
        assert endpoint["bearerTokenFile"] == _TOKEN_IN_PODS
        return reader(place)
    chosen = endpoint["authorization"]["credentials"]
    secret = place.get("secret", chosen["name"], namespace=NAMESPACE)
    return base64.b64decode(secret["data"][chosen["key"]]).decode()


def scrape_config(monitor: Object, *, discovery: list[Object], token_file: Path) -> Object:
    """What is asked of Prometheus: the monitor's settings, but every second."""
    spec = monitor["spec"]
    of_pods = monitor["kind"] == "PodMonitor"
    label = f"{_META}{'pod' if of_pods else 'service'}_label_"
    (endpoint,) = spec["podMetricsEndpoints" if of_pods else "endpoints"]
    keep = [
        {"action": "keep", "source_labels": [label + sanitized(key)], "regex": re.escape(value)}
        for key, value in spec["selector"]["matchLabels"].items()
    ]
    port = f"{_META}{'pod_container_port_name' if of_pods else 'endpoint_port_name'}"
    keep.append({"action": "keep", "source_labels": [port], "regex": endpoint["port"]})
    if of_pods:
        keep.append({"action": "drop", "source_labels": [f"{_META}pod_phase"], "regex": "(Failed|Succeeded)"})
    return {
        "job_name": f"{monitor['kind']}/{monitor['metadata']['name']}",
        "static_configs": discovery,
        "metrics_path": endpoint["path"],
        "scheme": endpoint["scheme"],
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "authorization": {"credentials_file": str(token_file)},
        "tls_config": {"insecure_skip_verify": endpoint["tlsConfig"]["insecureSkipVerify"]},
        "relabel_configs": [
            *keep,
            {"source_labels": [f"{_META}pod_name"], "target_label": "pod"},
            {"source_labels": [f"{_META}namespace"], "target_label": "namespace"},
            {"source_labels": [label + sanitized(spec["jobLabel"])], "target_label": "job"},
        ],
    }


def sanitized(key: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


class Prometheus:
    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str, **query: str) -> Any:
        text = urllib.parse.urlencode(query)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/{path}?{text}", timeout=20) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as refused:
            refused.close()  # otherwise a warning about it meets whichever test runs when it is collected
            raise
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
    (endpoint,) = monitor["spec"].get("podMetricsEndpoints") or monitor["spec"]["endpoints"]
    token_file.write_text(shown_token(place, endpoint))
    discovery = discovered(place, monitor)
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
