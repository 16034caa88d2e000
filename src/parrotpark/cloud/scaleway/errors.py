"""Turns what Scaleway's API and the way to it answer into our typed errors, each with one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

from parrotpark.cloud.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    NotFound,
    OutOfCapacity,
    QuotaExceeded,
    RateLimited,
    Transient,
    Unreachable,
    one_line,
)
from parrotpark.cloud.scaleway.client import Refused, Unreadable
from parrotpark.cloud.transport import was_answering

# By `type`, as scaleway-sdk-go reads them (scw/errors.go, api/instance/v1/instance_sdk_errors.go)
_TYPES: Mapping[str, type[CloudError]] = {
    "denied_authentication": AuthFailed,
    "permissions_denied": AuthFailed,
    "out_of_stock": OutOfCapacity,
    "quotas_exceeded": QuotaExceeded,
    "too_many_requests": RateLimited,
    "not_found": NotFound,
    "unknown_resource": NotFound,
    "resource_expired": NotFound,
    "transient_state": Transient,
    "precondition_failed": Transient,  # as a snapshot that its image still holds
    "conflict": Transient,
    "invalid_arguments": InvalidRequest,
}
# What has another type or none
_STATUSES: Mapping[int, type[CloudError]] = {
    401: AuthFailed,
    403: AuthFailed,
    404: NotFound,
    409: Transient,
    429: RateLimited,
}
# Where Instance says everything in its text
_TEXTS: Mapping[str, type[CloudError]] = {
    "quota exceeded": QuotaExceeded,
    "out of stock": OutOfCapacity,
    "should be": Transient,  # "server should be running": it will be
}


@dataclass(frozen=True, slots=True)
class ErrorTranslator:
    """Knows the endpoint and the file of the credential, which the messages must mention."""

    endpoint: str
    credential_file: str

    @contextmanager
    def typed(self) -> Iterator[None]:
        """Raise `CloudError`s in place of what the SDK raises in the block."""
        try:
            yield
        except Refused as error:
            raise self._typed(error.status, error.body) from None
        except requests.Timeout as error:
            raise Transient(f"{self.endpoint} does not answer in time: try again") from error
        except requests.exceptions.SSLError as error:
            raise InvalidRequest(f"the endpoint {self.endpoint!r} cannot be called: {error}") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            if was_answering(error):
                raise Transient(f"{self.endpoint} broke off in the middle of its answer: try again") from error
            raise Unreachable(f"nothing answers at {self.endpoint}: check the endpoint and the network") from error
        except requests.RequestException as error:
            raise InvalidRequest(f"the endpoint {self.endpoint!r} cannot be called: {error}") from error
        except (Unreadable, AttributeError, LookupError, TypeError, ValueError) as error:
            # The SDK takes an answer apart without checking what it is.
            raise Transient(
                f"{self.endpoint} does not answer as this API does ({type(error).__name__}: {one_line(str(error))}): "
                "check the endpoint, and try again"
            ) from error

    def _typed(self, status: int, body: Mapping[str, Any]) -> CloudError:
        code, text = str(body.get("type") or status), _text(body)
        kind = _kind(status, code, text)
        advice = {
            OutOfCapacity: ": try another zone or server type, or later",
            QuotaExceeded: ": ask the provider to raise the project's limit",
            RateLimited: ": wait a few minutes",
            Transient: ": try again",
        }.get(kind, "")
        if code == "permissions_denied":
            advice = (
                f": give the owner of the key in {self.credential_file} a policy with InstancesFullAccess, "
                "BlockStorageFullAccess, SSHKeysFullAccess and IPAMReadOnly for the project"
            )
        elif kind is AuthFailed:
            advice = f": check the secret key in {self.credential_file}"
        elif code == "locked":
            advice = ": ask the provider why it has locked it"
        return kind(f"scaleway: {text} ({code}){advice}")


def _kind(status: int, code: str, text: str) -> type[CloudError]:
    if code in _TYPES:
        return _TYPES[code]
    for words, kind in _TEXTS.items():
        if words in text.lower():
            return kind
    if code == "locked":
        return InvalidRequest
    return _STATUSES.get(status, Transient if status >= HTTPStatus.INTERNAL_SERVER_ERROR else InvalidRequest)


def _text(body: Mapping[str, Any]) -> str:
    """Join the message and what says more than it: which argument, quota, permission or thing is meant."""
    parts = [body["message"]]
    parts += [body[key] for key in ("resource", "resource_id", "current_state", "help_message") if body.get(key)]
    for detail in body.get("details") or ():
        parts.append(" ".join(str(value) for value in detail.values() if value not in (None, "")))
    fields = body.get("fields") or {}
    parts += [f"{name} {' '.join(map(str, reasons))}" for name, reasons in fields.items()]
    return one_line(": ".join(map(str, parts)))
