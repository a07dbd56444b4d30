"""All defects, in the order of the study: by the library in which each was found."""

from __future__ import annotations

from dataclasses import dataclass

from tools.mutations.catalogue.aiowatch import AIO_WATCH
from tools.mutations.catalogue.election import ELECTION
from tools.mutations.catalogue.gaps import GAPS
from tools.mutations.catalogue.informer import INFORMER
from tools.mutations.catalogue.kopf import KOPF
from tools.mutations.mutation import Mutation


@dataclass(frozen=True, slots=True)
class Origin:
    """A library, at the version that was looked at, and what was found in it."""

    title: str
    mutations: tuple[Mutation, ...]


ORIGINS = (
    Origin("kubernetes.informer 37.0.2", INFORMER),
    Origin("kubernetes.aio.watch 37.0.2", AIO_WATCH),
    Origin("kubernetes.aio.leaderelection 37.0.2", ELECTION),
    Origin("kopf 1.45.2", KOPF),
    Origin("Gaps of client-go and kube-rs", GAPS),
)

SPECIFIED = (
    *(f"P{number}" for number in range(1, 17)),
    *(f"A{number}" for number in range(1, 11)),
    *(f"L-{letter}" for letter in "abcdefgh"),
    *(f"K{number}" for number in range(1, 7)),
)
"""Every defect that has to be in the catalogue, in one form at least."""


def every_mutation() -> list[Mutation]:
    return [mutation for origin in ORIGINS for mutation in origin.mutations]


def defect_of(mutation: Mutation) -> str:
    """The id of the defect without the letter of its form: P5b is a form of P5, L-ga one of L-g."""
    return mutation.id[:3] if mutation.id.startswith("L-") else mutation.id.rstrip("abcdefghij")
