"""Turns what openstacksdk raises into our typed errors, each with one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from keystoneauth1 import exceptions as auth
from openstack import exceptions as sdk

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
from parrotpark.cloud.transport import was_answering

# Said with different statuses: 403 by nova, 409 by neutron, 413 by cinder.
_QUOTA = re.compile(r"quota exceeded for|exceeded for quota", re.IGNORECASE)
# Why nova gives up a server: https://opendev.org/openstack/nova, nova/exception.py.
_CAPACITY = re.compile(r"no valid host|exhausted all hosts|insufficient compute resources", re.IGNORECASE)
_LIMIT = re.compile(r"maximum number of", re.IGNORECASE)
# A complaint about a field repeats its value, which may be user data and so hold secrets.
_VALUE = re.compile(r"Value: .*", re.DOTALL)
_LONGEST = 300  # characters of a message


@dataclass(frozen=True, slots=True)
class ErrorTranslator:
    """Knows the endpoint, the region and the file of the credential, which the messages must mention."""

    endpoint: str
    region: str
    credential_file: str

    @contextmanager
    def typed(self) -> Iterator[None]:
        """Raise `CloudError`s in place of what openstacksdk and keystoneauth raise in the block."""
        try:
            yield
        except sdk.HttpException as error:
            raise self.answered(error.status_code or 500, str(error.details or error.message)) from error
        except auth.HttpError as error:  # while it logs in
            raise self.answered(error.http_status, error.message or str(error)) from error
        except auth.ConnectTimeout as error:
            raise Transient(f"{self.endpoint} does not answer in time: try again") from error
        except (auth.ConnectFailure, requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise self._broken(error) from error
        except auth.UnknownConnectionError as error:
            if _was_answering(error.original):
                raise self._broken(error.original) from error
            raise InvalidRequest(f"the endpoint {self.endpoint!r} cannot be called: {_line(str(error))}") from error
        except auth.SSLError as error:
            raise InvalidRequest(f"the endpoint {self.endpoint!r} cannot be called: {_line(str(error))}") from error
        except (sdk.ConfigException, auth.CatalogException) as error:
            raise InvalidRequest(
                f"openstack: {_line(str(error))}: check the region {self.region!r} and the services of the project"
            ) from error
        except (
            sdk.SDKException,
            auth.ClientException,
            requests.RequestException,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            # openstacksdk takes an answer apart without checking what it is.
            raise Transient(
                f"{self.endpoint} does not answer as OpenStack does ({type(error).__name__}: {_line(str(error))}): "
                "check the endpoint, and try again"
            ) from error

    def answered(self, status: int, message: str) -> CloudError:
        """Return the error for an answer of that HTTP status."""
        kind = _kind(status, message)
        advice = {
            AuthFailed: f": check the credential in {self.credential_file}, and what its user may do in the project",
            QuotaExceeded: ": ask the provider to raise the project's quota",
            RateLimited: ": wait a few minutes",
            Transient: ": try again",
        }
        return kind(f"openstack: {_line(message)} ({status}){advice.get(kind, '')}")

    def given_up(self, name: str, code: int, reason: str) -> CloudError:
        """Return the error for a server that nova has accepted and then given up, for that reason."""
        if _CAPACITY.search(reason):
            return OutOfCapacity(f"openstack: {_line(reason)}: try another flavour or availability zone, or later")
        if _QUOTA.search(reason):
            return self.answered(403, reason)
        return Transient(f"openstack: server {name} was given up: {_line(reason) or 'no reason'} ({code}): try again")

    def _broken(self, error: Exception) -> CloudError:
        if _was_answering(error):
            return Transient(f"{self.endpoint} broke off in the middle of its answer: try again")
        return Unreachable(f"nothing answers at {self.endpoint}: check the endpoint and the network")


def _kind(status: int, message: str) -> type[CloudError]:
    if _QUOTA.search(message):
        return QuotaExceeded
    if status == 403 and _LIMIT.search(message):
        return InvalidRequest
    known = {401: AuthFailed, 403: AuthFailed, 404: NotFound, 408: Transient, 409: Transient, 429: RateLimited}
    return known.get(status, InvalidRequest if 400 <= status < 500 else Transient)


def _was_answering(error: BaseException | None) -> bool:
    """Ask of the error and of what it came from, as keystoneauth hides that."""
    while error is not None:
        if was_answering(error):
            return True
        error = error.__context__
    return False


def _line(message: str) -> str:
    line = one_line(_VALUE.sub("", message)).rstrip(".")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
