"""AppBinding: how to reach a database. For clusters where no other operator has brought its definition.

Deliberately loose, and without a status subresource: whoever owns the real definition decides what an AppBinding may
hold, and `parameters` is an addon's or an operator's own object.
"""

from __future__ import annotations

from tools.crds import core
from tools.crds.definition import AGE, Column, Kind
from tools.crds.schema import NAME, PATH, Schema, anything, boolean, integer, listing, record, string


def _secret(description: str) -> Schema:
    return record(
        description,
        {
            "name": string("Name of the Secret."),
            "kind": string("Kind of the object, Secret.", default="Secret"),
            "apiGroup": string("API group of the object; empty for a Secret."),
        },
        required=["name"],
        atomic=True,
    )


def _transform() -> Schema:
    return record(
        "",
        {
            "renameKey": record(
                "Give a key another name.",
                {"from": string("Key as it is."), "to": string("Key as it is to be.")},
                required=["from", "to"],
            ),
            "addKey": record(
                "Add a key.",
                {
                    "key": string("Key to add."),
                    "value": string("Its value, base64.", most=1048576, format="byte"),
                    "stringValue": string("Its value as text; wins over value.", most=1048576),
                },
                required=["key"],
            ),
            "addKeysFrom": record(
                "Add all keys of another Secret.",
                {"secretRef": core.embed("LocalObjectReference", "The other Secret, in the same namespace.")},
            ),
            "removeKey": record("Remove a key.", {"key": string("Key to remove.")}, required=["key"]),
        },
    )


APP_BINDING = Kind(
    group="appcatalog.appscode.com",
    version="v1alpha1",
    kind="AppBinding",
    plural="appbindings",
    categories=("catalog", "appscode", "all"),
    description="How to reach an application, for example a database: address, credentials, parameters.",
    spec=record(
        "The application and the way to it.",
        {
            "type": string("Type of the application as group/resource, for example kubedb.com/postgres."),
            "version": string("Version of the application."),
            "appRef": record(
                "Object that describes the application.",
                {
                    "apiGroup": string("API group of the object."),
                    "kind": string("Kind of the object."),
                    "name": string("Name of the object."),
                    "namespace": string("Namespace of the object; that of the AppBinding when empty."),
                },
                required=["name"],
            ),
            "clientConfig": record(
                "Address of the application and how to trust it.",
                {
                    "url": string("URL of the application, for one that no Service leads to.", most=PATH),
                    "service": record(
                        "Service that leads to the application.",
                        {
                            "scheme": string("Scheme of the URL, for example postgresql.", most=NAME),
                            "namespace": string("Namespace of the Service; that of the AppBinding when empty."),
                            "name": string("Name of the Service."),
                            "port": integer("Port of the Service."),
                            "path": string("Path of the URL.", most=PATH),
                            "query": string("Query of the URL.", most=PATH),
                        },
                        required=["scheme", "name", "port"],
                    ),
                    "insecureSkipTLSVerify": boolean("Do not check the certificate of the application."),
                    "caBundle": string("Certificates to check it with, PEM in base64.", most=1048576, format="byte"),
                    "serverName": string("Name the certificate must be for; that of the address when empty."),
                },
            ),
            "secret": _secret("Secret with the credentials, in the namespace of the AppBinding."),
            "secretTransforms": listing(
                "Changes to the Secret's keys, in order, before it is used.", _transform(), most=64
            ),
            "tlsSecret": _secret("Secret with the client certificate, in the namespace of the AppBinding."),
            "parameters": anything(
                "Parameters of the application; an addon reads its tasks from `stash.addon` in here."
            ),
        },
        required=["clientConfig"],
    ),
    status=None,
    spec_required=False,
    columns=(
        Column("Type", ".spec.type"),
        Column("Version", ".spec.version"),
        AGE,
        Column("Secret", ".spec.secret.name", wide=True),
    ),
    selectable=(".spec.type", ".spec.version"),
)
