"""Turns what hcloud-python raises into our typed errors, each with one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from hcloud import APIException
from hcloud.actions import ActionFailedException, ActionTimeoutException

from parrotpark.cloud.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    NotFound,
    OutOfCapacity,
    QuotaExceeded,
    RateLimited,
    Transient,
    Unfinished,
    Unreachable,
    one_line,
)
from parrotpark.cloud.transport import was_answering

# https://docs.hetzner.cloud/reference/cloud#errors; a code that is not here is the request's own fault.
_TYPES: Mapping[str, type[CloudError]] = {
    "unauthorized": AuthFailed,
    "forbidden": AuthFailed,
    "token_readonly": AuthFailed,
    "resource_unavailable": OutOfCapacity,
    "placement_error": OutOfCapacity,
    "resource_limit_exceeded": QuotaExceeded,
    "rate_limit_exceeded": RateLimited,
    "not_found": NotFound,
    "locked": Transient,
    "conflict": Transient,
    "maintenance": Transient,
    "service_error": Transient,
    "server_error": Transient,
    "unavailable": Transient,
    "bad_gateway": Transient,
    "timeout": Transient,
}


@dataclass(frozen=True, slots=True)
class ErrorTranslator:
    """Knows the endpoint and the file of the credential, which the messages must mention."""

    endpoint: str
    credential_file: str

    @contextmanager
    def typed(self) -> Iterator[None]:
        """Raise `CloudError`s in place of what hcloud-python raises in the block."""
        try:
            yield
        except APIException as error:
            raise self._typed(str(error.code), _with_fields(error), InvalidRequest) from error
        except ActionFailedException as error:
            # The request was fine, so whatever made the cloud fail may be gone next time.
            failure = error.action.error
            code, message = (failure["code"], failure["message"]) if failure else ("action_failed", str(error))
            raise self._typed(code, message, Transient) from error
        except ActionTimeoutException as error:
            raise Unfinished(f"hetzner: {error}: try again") from error
        except requests.Timeout as error:
            raise Transient(f"{self.endpoint} does not answer in time: try again") from error
        except requests.exceptions.SSLError as error:
            raise InvalidRequest(f"the endpoint {self.endpoint!r} cannot be called: {error}") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            if was_answering(error):
                raise Transient(f"{self.endpoint} broke off in the middle of its answer: try again") from error
            raise Unreachable(
                f"nothing answers at {self.endpoint}: start the local cloud, or check the endpoint and the network"
            ) from error
        except requests.RequestException as error:
            raise InvalidRequest(f"the endpoint {self.endpoint!r} cannot be called: {error}") from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # hcloud-python takes an answer apart without checking what it is.
            raise Transient(
                f"{self.endpoint} does not answer as this API does ({type(error).__name__}: {error}): "
                "check the endpoint, and try again"
            ) from error

    def _typed(self, code: str, message: str, otherwise: type[CloudError]) -> CloudError:
        # An answer without the API's error envelope is known by its HTTP status alone, and is not the API's.
        if code.isdecimal():
            return Transient(
                f"{self.endpoint} does not answer as this API does ({one_line(message)}, status {code}): "
                "check the endpoint, and try again"
            )
        kind = _TYPES.get(code, otherwise)
        advice = {
            AuthFailed: f": check the token in {self.credential_file}, and that it may write",
            OutOfCapacity: ": try another location or server type, or later",
            QuotaExceeded: ": ask the provider to raise the project's limit",
            RateLimited: ": wait a few minutes",
            Transient: ": try again",
        }
        return kind(f"hetzner: {one_line(message)} ({code}){advice.get(kind, '')}")


def _with_fields(error: APIException) -> str:
    """Add what is wrong with each field, as the message may only name the field."""
    fields = error.details.get("fields", []) if isinstance(error.details, Mapping) else []
    reasons = [reason for field in fields for reason in field.get("messages", []) if reason not in error.message]
    return ": ".join([error.message, *reasons])
