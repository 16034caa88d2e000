"""What can go wrong with a cloud, as types: callers distinguish by type, people read the one-line message."""

from __future__ import annotations

from collections.abc import Iterable


class CloudError(Exception):
    """Base of all cloud errors; the message is one line that says what to do."""


class AuthFailed(CloudError):
    """The credential is missing, wrong or may not do this."""


class OutOfCapacity(CloudError):
    """The cloud has no machine of this kind left there now; another offer may work."""


class QuotaExceeded(CloudError):
    """The project's own limit is reached; only a person can raise it."""


class RateLimited(CloudError):
    """Too many calls in the last hour."""


class NotFound(CloudError):
    """What was named does not exist (any more)."""


class InvalidRequest(CloudError):
    """The request itself is wrong; repeating it is useless."""


class NameTaken(CloudError):
    """A server of this name, with other labels, exists: somebody else was first."""


class Transient(CloudError):
    """A temporary fault; the same call may work soon."""


class Unfinished(Transient):
    """The cloud has accepted the work, but does not finish it in time."""


class Unreachable(Transient):
    """Nothing answers at the endpoint: the cloud does not run (yet)."""


def refuse_unknown(what: str, wanted: Iterable[str], known: Iterable[str | None]) -> None:
    """Hold names against those that a cloud has.

    Raises:
        InvalidRequest: it does not have one of them, with those that it has.
    """
    names = sorted({name for name in known if name})
    for name in wanted:
        if name not in names:
            raise InvalidRequest(f"{what} {name!r} is unknown to the cloud; it knows: {', '.join(names) or 'none'}")


def one_line(message: str) -> str:
    """Write what an API says in one line."""
    return " ".join(message.split())
