"""Conditions: what an object's controller knows about it, in the form that `kubectl wait` and kstatus read."""

from __future__ import annotations

from tools.crds.schema import LONG, Schema, integer, listing, record, string, time


def conditions(
    description: str = "What is known about the object, one entry a type.", *, strict: bool = False
) -> Schema:
    """`strict` is metav1.Condition. Stash's own conditions may lack reason and message and may carry a severity."""
    fields = {
        "type": string("Type of the condition, in CamelCase.", most=316),
        "status": string("True, False or Unknown.", enum=("True", "False", "Unknown")),
        "observedGeneration": integer("Generation of the object that the condition is about.", bits=64, least=0),
        "lastTransitionTime": time("When the status last changed."),
        "reason": string("One CamelCase word that says why.", most=1024, least=1 if strict else None),
        "message": string("Details for a reader: what is wrong and what to do.", most=LONG),
    }
    required = ["type", "status", "lastTransitionTime"]
    if strict:
        required += ["reason", "message"]
    else:
        fields["severity"] = string(
            "Error, Warning or Info, for conditions that are not True; Error when empty.", most=64
        )
    return listing(description, record("", fields, required=required), most=64, by=["type"])


def observed_generation() -> Schema:
    return integer("Generation of the object that the status is about.", bits=64, least=0)
