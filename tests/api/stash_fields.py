"""The names of the fields of Stash's API, for the test that our kinds have them all.

`a{b c[]{d}}` reads: field a with b and the list c of objects with d. A field without braces is a leaf here, whatever
it holds: Kubernetes' own types are not spelled out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_VOLUMES = (
    "awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI emptyDir ephemeral fc flexVolume "
    "flocker gcePersistentDisk gitRepo glusterfs hostPath image iscsi nfs persistentVolumeClaim photonPersistentDisk "
    "portworxVolume projected quobyte rbd scaleIO secret storageos vsphereVolume"
)
_REPOSITORY = f"""
    backend{{
        storageSecretName
        local{{mountPath subPath {_VOLUMES}}}
        s3{{endpoint bucket prefix region insecureTLS}}
        gcs{{bucket prefix maxConnections}}
        azure{{container prefix maxConnections}}
        swift{{container prefix}}
        b2{{bucket prefix maxConnections}}
        rest{{url}}
    }}
    wipeOut
    usagePolicy{{allowedNamespaces{{from selector{{matchLabels matchExpressions}}}}}}
"""
_RETENTION = """
    retentionPolicy{name keepLast keepHourly keepDaily keepWeekly keepMonthly keepYearly keepTags prune dryRun}
"""
_CLAIM = "{apiVersion kind metadata{name generateName namespace labels annotations ownerReferences} spec status}"
_REF = "ref{apiVersion kind name namespace}"
_CONDITIONS = "conditions[]{type status observedGeneration lastTransitionTime severity reason message}"
_RULES = "rules[]{targetHosts sourceHost snapshots paths exclude include}"
_EXECUTION = f"""
    task{{name params[]{{name value}}}}
    runtimeSettings{{
        pod{{
            podLabels podAnnotations nodeSelector serviceAccountName serviceAccountAnnotations
            automountServiceAccountToken nodeName securityContext imagePullSecrets affinity schedulerName tolerations
            priorityClassName priority readinessGates runtimeClassName enableServiceLinks topologySpreadConstraints
        }}
        container{{
            resources livenessProbe readinessProbe lifecycle securityContext env envFrom nice{{adjustment}}
            ionice{{class classData}}
        }}
    }}
    tempDir{{medium sizeLimit disableCaching}}
    interimVolumeTemplate{_CLAIM}
"""
_HANDLER = """
    exec{command} httpGet{host path port scheme httpHeaders} tcpSocket{host port}
    httpPost{host path port scheme httpHeaders body form[]{key values}} containerName
"""
_BACKUP = f"""
    {_RETENTION} {_EXECUTION}
    hooks{{preBackup{{{_HANDLER}}} postBackup{{{_HANDLER} executionPolicy}}}}
    schedule backupHistoryLimit timeOut retryConfig{{maxRetry delay}}
"""
_SECRET = "{name kind apiGroup}"

KINDS = {
    "Repository": f"""
        spec{{{_REPOSITORY}}}
        status{{
            observedGeneration firstBackupTime lastBackupTime integrity totalSize snapshotCount
            snapshotsRemovedOnLastCleanup references[]{{apiGroup kind namespace name}}
        }}
    """,
    "BackupBlueprint": f"spec{{{_REPOSITORY} {_BACKUP} backupNamespace repoNamespace}}",
    "BackupConfiguration": f"""
        spec{{
            {_BACKUP} driver repository{{name namespace}} paused
            target{{alias {_REF} paths volumeMounts replicas snapshotClassName exclude args}}
        }}
        status{{observedGeneration {_CONDITIONS} phase}}
    """,
    "BackupSession": f"""
        spec{{invoker{{apiGroup kind name}} retryLeft}}
        status{{
            phase sessionDuration sessionDeadline retried nextRetry {_CONDITIONS}
            targets[]{{
                {_REF} totalHosts phase preBackupActions postBackupActions {_CONDITIONS}
                stats[]{{
                    hostname phase duration error
                    snapshots[]{{
                        name path totalSize uploaded processingTime
                        fileStats{{totalFiles newFiles modifiedFiles unmodifiedFiles}}
                    }}
                }}
            }}
        }}
    """,
    "RestoreSession": f"""
        spec{{
            driver repository{{name namespace}} timeOut {_EXECUTION} {_RULES}
            hooks{{preRestore{{{_HANDLER}}} postRestore{{{_HANDLER} executionPolicy}}}}
            target{{alias {_REF} volumeMounts replicas volumeClaimTemplates[]{_CLAIM} {_RULES} args}}
        }}
        status{{
            phase totalHosts sessionDuration sessionDeadline stats[]{{hostname phase duration error}} {_CONDITIONS}
        }}
    """,
    "AppBinding": f"""
        spec{{
            type version appRef{{apiGroup kind namespace name}}
            clientConfig{{
                url service{{scheme namespace name port path query}} insecureSkipTLSVerify caBundle serverName
            }}
            secret{_SECRET} tlsSecret{_SECRET} parameters
            secretTransforms[]{{
                renameKey{{from to}} addKey{{key value stringValue}} addKeysFrom{{secretRef{{name}}}} removeKey{{key}}
            }}
        }}
    """,
}


def paths(kind: str) -> Iterator[str]:
    """`spec`, `spec.target`, `status.targets[]`, ... for every field of the kind."""
    prefixes: list[str] = []
    path = ""
    for token in re.findall(r"[{}]|[A-Za-z0-9]+(?:\[\])?", KINDS[kind]):
        if token == "{":
            prefixes.append(path)
        elif token == "}":
            prefixes.pop()
        else:
            path = ".".join([*prefixes[-1:], token])
            yield path
