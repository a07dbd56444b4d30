"""`backend`: where the snapshots of one restic repository are kept.

Field names and required fields are Stash's (kmodules.xyz/objectstore-api). A blueprint's backend is a template of one.
"""

from __future__ import annotations

from tools.crds import core, rules
from tools.crds.schema import PATH, Schema, boolean, integer, record, rule, string

PROVIDERS = ("local", "s3", "gcs", "azure", "swift", "b2", "rest")
PREFIX = 1024


def backend(*, templated: bool) -> Schema:
    return record(
        "Storage of the repository: exactly one provider, and the Secret with its credentials.",
        {
            "storageSecretName": string(
                "Name of the Secret, in the namespace of the Repository, that holds RESTIC_PASSWORD and the provider's "
                "credentials.",
                rules=[
                    rules.object_name("storageSecretName", templated=templated),
                    *_template_rules("storageSecretName", templated=templated),
                ],
            ),
            "local": _local(templated=templated),
            "s3": _s3(templated=templated),
            "gcs": _bucket("Google Cloud Storage.", "bucket", templated=templated),
            "azure": _bucket("Azure Blob Storage.", "container", templated=templated),
            "swift": _bucket("OpenStack Swift.", "container", templated=templated, connections=False),
            "b2": _bucket("Backblaze B2.", "bucket", templated=templated),
            "rest": _rest(templated=templated),
        },
        rules=[
            rules.exactly_one(PROVIDERS, f"name exactly one storage provider: one of {', '.join(PROVIDERS)}"),
            rule(
                "has(self.storageSecretName) && self.storageSecretName != ''",
                "storageSecretName is missing: name the Secret that holds RESTIC_PASSWORD and the credentials",
            ),
        ],
    )


def storage_secret() -> Schema:
    """Of a blueprint: where the storage Secrets come from. No field of Stash's."""
    return record(
        "Makes the storage Secrets: a managed copy of one Secret in the namespace of each Repository.",
        {
            "source": record(
                "The Secret that is copied. It consents by its label autobackup.stash.appscode.com/may-be-copied=true, "
                "limited by the annotation autobackup.stash.appscode.com/may-be-copied-for to some blueprints.",
                {
                    "namespace": string(
                        "Namespace of the Secret.", most=63, least=1, rules=[rules.namespace_name("namespace")]
                    ),
                    "name": string("Name of the Secret.", least=1, rules=[rules.object_name("name")]),
                },
                required=["namespace", "name"],
            ),
            "passwordPerRepository": boolean(
                "Give each repository a password of its own, derived from RESTIC_PASSWORD of the source, which stays "
                "there. Off by default: a repository opens only with the password that it was made with."
            ),
        },
        required=["source"],
    )


def copy_rules() -> list[Schema]:
    """Roles name copies, so their name is known beforehand; one with a password of its own is for one target."""
    own = "has(self.storageSecret.passwordPerRepository) && self.storageSecret.passwordPerRepository"
    name = "self.backend.storageSecretName"
    given = f"!has(self.storageSecret) || !has({name})"
    return [
        rule(
            f"{given} || ({own}) || !{name}.contains('${{')",
            "backend.storageSecretName must be one name without variables where storageSecret makes copies: write one "
            "name, or ask for passwordPerRepository",
        ),
        rule(
            f"{given} || !({own}) || {name}.contains('${{TARGET_UID}}') || ({name}.contains('${{TARGET_NAME}}') && "
            f"({name}.contains('${{TARGET_KIND}}') || {name}.contains('${{TARGET_RESOURCE}}')))",
            "backend.storageSecretName must differ for each repository where passwordPerRepository is set: put "
            "${TARGET_KIND} and ${TARGET_NAME} into it",
        ),
    ]


def _bucket(description: str, where: str, *, templated: bool, connections: bool = True) -> Schema:
    fields = {where: _place(where, templated=templated), "prefix": _prefix(where, templated=templated)}
    if connections:
        fields["maxConnections"] = integer(
            "The most connections to the storage at a time; restic's own number when 0 or unset.", bits=64, least=0
        )
    return record(description, fields, required=[where])


def _s3(*, templated: bool) -> Schema:
    return record(
        "Amazon S3 and storage that speaks its protocol.",
        {
            "endpoint": string(
                "Host of the service, for example s3.amazonaws.com; with http:// or https:// for other services.",
                most=1024,
                rules=[
                    rules.form(
                        r"self.matches(r'^(https?://)?([^\s/:]+|\[[0-9a-fA-F:.]+\])(:[0-9]+)?(/\S*)?$')",
                        "endpoint must be a host or an http(s) URL without blanks: for example 's3.amazonaws.com' or "
                        "'https://minio.example.com:9000'",
                        templated=templated,
                    ),
                    *_template_rules("endpoint", templated=templated),
                ],
            ),
            "bucket": _place("bucket", templated=templated),
            "prefix": _prefix("bucket", templated=templated),
            "region": string("Region of the bucket; asked from the service when empty."),
            "insecureTLS": boolean("Do not check the certificate of the endpoint."),
        },
        required=["endpoint", "bucket"],
    )


def _rest(*, templated: bool) -> Schema:
    return record(
        "restic's own REST server.",
        {
            "url": string(
                "URL of the server with the path of the repository. Credentials go into the storage Secret.",
                most=2048,
                rules=[
                    rules.form(
                        r"self.matches(r'^(https?|http[+]unix)://\S+$')",
                        "url must start with 'http://' or 'https://' and contain no blanks",
                        templated=templated,
                    ),
                    *rules.location("url"),
                    *_template_rules("url", templated=templated),
                ],
            )
        },
        rules=[rule("has(self.url) && self.url != ''", "url is missing: give the address of the REST server")],
    )


def _local(*, templated: bool) -> Schema:
    sources = core.fields_of("Volume", without=frozenset({"name"}))
    return record(
        "A volume of Kubernetes as storage: one volume source and where to mount it.",
        {
            **sources,
            "mountPath": string(
                "Where the volume is mounted in the pod that backs up.",
                most=PATH,
                rules=[
                    rules.absolute("mountPath", templated=templated),
                    rule(
                        "!self.matches('^/+stash(/|$)')",
                        "mountPath must not be /stash or below, Stash keeps its program there: use for example "
                        "/stash-backup",
                    ),
                    rule("!self.matches('^/+$')", "mountPath must not be the root directory: use for example /backup"),
                    rules.no_parent("mountPath"),
                    *_template_rules("mountPath", templated=templated),
                ],
            ),
            "subPath": string(
                "Directory within the volume that holds the repository; its root when empty.",
                most=PATH,
                rules=[*rules.location("subPath"), *_template_rules("subPath", templated=templated)],
            ),
        },
        required=["mountPath"],
        rules=[
            rules.exactly_one(
                sorted(sources),
                "name exactly one volume source beside mountPath: for example nfs, persistentVolumeClaim or hostPath",
            ),
            rule(
                "!has(self.hostPath) || self.hostPath.path.contains('${') || (self.hostPath.path.startsWith('/') && "
                "!self.hostPath.path.matches('(^|/)[.][.](/|$)'))",
                "hostPath.path must be an absolute path on the node without '..'",
            ),
            rule(
                "!has(self.nfs) || self.nfs.path.contains('${') || self.nfs.path.startsWith('/')",
                "nfs.path must be an absolute path that the server exports: start it with '/'",
            ),
        ],
    )


def _place(where: str, *, templated: bool) -> Schema:
    return string(
        f"Name of the {where}. It must exist.",
        least=1,
        rules=[*rules.location(where), *_template_rules(where, templated=templated)],
    )


def _prefix(where: str, *, templated: bool) -> Schema:
    text = f"Directory within the {where} that holds the repository; the whole {where} when empty."
    if templated:
        text += (
            " Use variables so that every target gets a place of its own, for example "
            "${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}."
        )
    return string(text, most=PREFIX, rules=[*rules.location("prefix"), *_template_rules("prefix", templated=templated)])


def _template_rules(what: str, *, templated: bool) -> list[Schema]:
    return [rules.closed_braces(what)] if templated else []
