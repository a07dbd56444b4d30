"""Shared informers for Kubernetes in asyncio: list, watch, store, index, and tell handlers what changed.

What is exported here is the public surface; see README.md for its contract. `AiohttpTransport` and `load_credentials`
are imported on first use: who only needs the types does not pay for an HTTP library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from informers.clock import Clock, RealClock
from informers.consistency import Inconsistent
from informers.consistency import check as check_consistency
from informers.delta import Added, Deleted, Delta, Updated
from informers.errors import (
    ApiError,
    BadRequest,
    Conflict,
    CredentialsError,
    DecodeError,
    Expired,
    Forbidden,
    IdleTimeout,
    Invalid,
    NotFound,
    NotSynced,
    ResourceVersionTooLarge,
    Rewound,
    ServerError,
    TooManyRequests,
    TransportError,
    Unauthorized,
    Unfinished,
    error_from_response,
)
from informers.factory import InformerFactory
from informers.index import IndexFunction
from informers.observer import InformerObserver
from informers.projection import MetaRow, Projection, Row, project_meta
from informers.registration import FailureHandler, Handler, Registration
from informers.resource import ObjectKey, Resource
from informers.revision import parse_revision
from informers.shared import InformerStatus, SharedInformer
from informers.store import Store
from informers.transport import Body, Response, Transport

if TYPE_CHECKING:
    from informers.credentials import Credentials
    from informers.credentials import load as load_credentials
    from informers.http import AiohttpTransport

__all__ = [
    "Added",
    "AiohttpTransport",
    "ApiError",
    "BadRequest",
    "Body",
    "Clock",
    "Conflict",
    "Credentials",
    "CredentialsError",
    "DecodeError",
    "Deleted",
    "Delta",
    "Expired",
    "FailureHandler",
    "Forbidden",
    "Handler",
    "IdleTimeout",
    "Inconsistent",
    "IndexFunction",
    "InformerFactory",
    "InformerObserver",
    "InformerStatus",
    "Invalid",
    "MetaRow",
    "NotFound",
    "NotSynced",
    "ObjectKey",
    "Projection",
    "RealClock",
    "Registration",
    "Resource",
    "ResourceVersionTooLarge",
    "Response",
    "Rewound",
    "Row",
    "ServerError",
    "SharedInformer",
    "Store",
    "TooManyRequests",
    "Transport",
    "TransportError",
    "Unauthorized",
    "Unfinished",
    "Updated",
    "check_consistency",
    "error_from_response",
    "load_credentials",
    "parse_revision",
    "project_meta",
]

_LATE = {
    "AiohttpTransport": ("informers.http", "AiohttpTransport"),
    "Credentials": ("informers.credentials", "Credentials"),
    "load_credentials": ("informers.credentials", "load"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'informers' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only needed here

    module, attribute = _LATE[name]
    return getattr(import_module(module), attribute)
