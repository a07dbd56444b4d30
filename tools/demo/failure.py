"""Why a demo ends early."""

from __future__ import annotations


class DemoFailed(Exception):
    """A step was not observed, or could not be made. The text is for people."""


class DemoRefused(Exception):
    """The demo does not begin: what it was told cannot be used, or nobody agreed to it."""
