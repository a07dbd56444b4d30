"""The chapter about the storage Secret that nobody has to copy: it appears, follows a rotation, and goes."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable

from reconcilers.secretcopy import CONSENT, SOURCE, SOURCE_VERSION
from tools.controlplane import ApiClient
from tools.controlplane.client import Object
from tools.demo import cast
from tools.demo.cast import Target
from tools.demo.lookout import Lookout
from tools.demo.narration import Narrator
from tools.demo.stage import BLUEPRINT, SHARED_COPY, SHARED_SOURCE, STORAGE_SECRET, Names
from tools.demo.witness import Witness

_SECRET = "v1/Secret"
_KEY = "AWS_SECRET_ACCESS_KEY"


class Sharing:
    """One performance of the chapter."""

    def __init__(
        self, names: Names, *, admin: ApiClient, lookout: Lookout, narrator: Narrator, witness: Witness
    ) -> None:
        self._names = names
        self._admin = admin
        self._lookout = lookout
        self._tell = narrator
        self._witness = witness

    def play(self, targets: Iterable[Target]) -> None:
        everybody = tuple(targets)
        self._tell.chapter("One storage Secret for all, copied by the operator where it is needed")
        source = self._make_source()
        copy = self._appear(everybody)
        self._rotate(source, copy)
        self._disappear(everybody)

    def _make_source(self) -> Object:
        source = cast.shared_source(self._names)
        where = f"{self._names.vault}/{SHARED_SOURCE}"
        self._tell.act(f"create Secret {where}, which its owner lets be copied: label {CONSENT}=true")
        created: Object = self._admin.create(source)
        return created

    def _appear(self, targets: tuple[Target, ...]) -> Object:
        source = {"namespace": self._names.vault, "name": SHARED_SOURCE}
        edit = {"storageSecret": {"source": source}, "backend": {"storageSecretName": SHARED_COPY}}
        began = self._edit(edit)
        copy = self._wait(f"Secret {self._names.namespace}/{SHARED_COPY} to appear", lambda found: found)
        self._tell.seen(
            f"{1000 * (time.monotonic() - began):.0f} ms later Secret {self._names.namespace}/{SHARED_COPY} is there: "
            f"type {copy['type']}, the keys {', '.join(sorted(copy['data']))} and nothing else of the source"
        )
        annotations = copy["metadata"]["annotations"]
        self._tell.objects({"metadata": {"annotations": {key: annotations[key] for key in (SOURCE, SOURCE_VERSION)}}})
        self._witness.wait_for_blueprint(matched=len(targets))
        return copy

    def _rotate(self, source: Object, copy: Object) -> None:
        name = f"{self._names.vault}/{SHARED_SOURCE}"
        self._tell.act(f"patch Secret {name}: another {_KEY}")
        wanted = base64.b64encode(b"rotated-in-the-demo").decode()
        began = time.monotonic()
        self._admin.patch(_SECRET, SHARED_SOURCE, {"data": {_KEY: wanted}}, namespace=self._names.vault)
        uid = copy["metadata"]["uid"]
        self._wait(
            "the copy to follow", lambda found: found["metadata"]["uid"] == uid and found["data"][_KEY] == wanted
        )
        self._tell.seen(f"{1000 * (time.monotonic() - began):.0f} ms later the copy has it, still the same Secret")

    def _disappear(self, targets: tuple[Target, ...]) -> None:
        self._edit({"storageSecret": None, "backend": {"storageSecretName": STORAGE_SECRET}})
        self._lookout.wait(f"Secret {SHARED_COPY} to go", lambda: self._copy() is None)
        self._tell.seen("nobody needs the copy any more, and it is gone")
        self._witness.wait_for_blueprint(matched=len(targets))

    def _edit(self, spec: Object) -> float:
        self._tell.act(f"patch BackupBlueprint {self._names.blueprint}:")
        self._tell.objects({"spec": spec})
        began = time.monotonic()
        self._admin.patch(BLUEPRINT, self._names.blueprint, {"spec": spec})
        return began

    def _copy(self) -> Object | None:
        found: Object | None = self._admin.find(_SECRET, SHARED_COPY, namespace=self._names.namespace)
        return found

    def _wait(self, what: str, condition: Callable[[Object], object]) -> Object:
        def met() -> Object | None:
            found = self._copy()
            return found if found is not None and condition(found) else None

        return self._lookout.wait(what, met)
