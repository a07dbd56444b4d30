"""How much is seen of each kind: annotated objects only, or all of them because a Namespace asks for its objects.

Most clusters have many objects and few that are annotated, and those are all that is decoded. When the first Namespace
names a blueprint, the kinds that this blueprint lists are read again, whole. It stays like that until the process ends:
to forget them again would be worth little, and a Namespace that goes in and out would have everything read each time.

The caches of targets begin after that of Namespaces, so a process that starts reads each kind once.
"""

from __future__ import annotations

from collections.abc import Mapping

from informers import Added, Deleted, Delta, SharedInformer, Updated
from informers.resource import ObjectKey
from reconcilers import inheritance
from reconcilers.namespace import NamespaceRow
from reconcilers.rows import BlueprintRow, TargetRow, target_projection


class Reach:
    """Widens caches of targets as Namespaces and blueprints ask for it."""

    def __init__(
        self,
        *,
        targets: Mapping[str, SharedInformer[TargetRow]],
        blueprints: SharedInformer[BlueprintRow],
        namespaces: SharedInformer[NamespaceRow],
    ) -> None:
        self._targets = targets
        self._blueprints = blueprints
        self._namespaces = namespaces
        self.whole: set[str] = set()
        namespaces.add_handler(self._on_namespace, name="namespace-reach")
        blueprints.add_handler(self._on_blueprint, name="blueprint-reach")

    def _on_namespace(self, delta: Delta[NamespaceRow]) -> None:
        match delta:
            case Added(row=row) | Updated(new=row):
                for name in inheritance.known_names(row):
                    self._widen(self._blueprints.store.get(ObjectKey("", name)))
            case Deleted():
                pass

    def _on_blueprint(self, delta: Delta[BlueprintRow]) -> None:
        match delta:
            case Added(row=row) | Updated(new=row):
                if self._namespaces.store.index("blueprint", row.name):
                    self._widen(row)
            case Deleted():
                pass

    def _widen(self, blueprint: BlueprintRow | None) -> None:
        for kind in inheritance.kinds_of(blueprint):
            informer = self._targets.get(kind)
            if informer is not None and kind not in self.whole:
                self.whole.add(kind)
                informer.widen(target_projection(kind, whole=True))
