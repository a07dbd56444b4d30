"""What the namespace of a target has to say about it."""

from __future__ import annotations

from collections.abc import Sequence

from reconcilers import marks, origins
from reconcilers.errors import Refusal
from reconcilers.layers import Annotations, Layer
from reconcilers.ports import TargetView
from reconcilers.reasons import Reason
from reconcilers.rows import ConfigurationRow, TargetRow


def annotations_around(view: TargetView, row: TargetRow, live: Sequence[ConfigurationRow] = ()) -> Annotations:
    """The annotations of the target's namespace; none where Namespaces are not seen.

    What it decided before, as the `live` objects say, is not taken back because it is not seen now: raises Refusal.
    """
    namespace = view.namespace(row.namespace)
    if namespace is None and any(Layer.NAMESPACE in origins.recall(each.overrides).values() for each in live):
        raise Refusal(
            Reason.NAMESPACE_UNSEEN,
            f"Namespace {row.namespace}",
            "decided some settings, and cannot be seen now",
            hint=f"let the operator watch Namespaces, or remove {marks.OVERRIDES} from the BackupConfiguration",
        )
    return namespace.annotations if namespace is not None else ()
