"""A LiteLLM callback: what clients read when a model's server cannot be reached, or refuses what they ask.

Without it they would read the HTTP client's own error, or LiteLLM's account of it. LiteLLM loads it from beside its
configuration.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from fastapi import HTTPException
from litellm.integrations.custom_logger import CustomLogger

MESSAGE = Path(__file__).with_name("asleep.txt").read_text().strip()
GATEWAY_ERRORS = {502, 503, 504}  # what a load balancer answers when no server stands behind it
REFUSALS = {400, 404, 413, 422}
# LiteLLM's account of an error: what the server answered, after the name of LiteLLM's own error and before its advice.
QUOTED = re.compile(r"Exception - (\{.*\})", re.DOTALL)
# What its client says of a parameter that this path does not have.
UNEXPECTED = re.compile(r"got an unexpected keyword argument '(\w+)'")
NAMED = re.compile(r"litellm\.\w+: (.+)")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def asleep(error: Exception) -> bool:
    return getattr(error, "status_code", None) in GATEWAY_ERRORS or any(
        isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout) for cause in causes(error)
    )


def refusal(error: Exception) -> str | None:
    """What the model's server, or LiteLLM, said is wrong with the request, in one line."""
    named = NAMED.match(str(error)) if getattr(error, "status_code", None) in REFUSALS else None
    if named is None:
        return None
    quoted = QUOTED.search(str(error))
    try:
        return " ".join(json.loads(quoted[1] if quoted else "")["error"]["message"].split())
    except (ValueError, LookupError, TypeError, AttributeError):
        return named[1]


def unreadable(error: Exception) -> bool:
    """Whether LiteLLM stumbled over the request before it asked anybody."""
    first = list(causes(error))[-1]
    return isinstance(first, TypeError | AttributeError | KeyError) or type(first) is Exception


class Asleep(CustomLogger):
    async def async_post_call_failure_hook(self, *, original_exception: Exception, **_: Any) -> HTTPException | None:
        """The error to answer in place of the original one, or None to leave that as it is."""
        if asleep(original_exception):
            return HTTPException(status_code=503, detail=MESSAGE)
        if words := refusal(original_exception):
            status: int = getattr(original_exception, "status_code")  # noqa: B009 - of some of LiteLLM's exceptions
            return HTTPException(status_code=status, detail=words)
        if unexpected := UNEXPECTED.search(str(original_exception)):
            return HTTPException(status_code=400, detail=f'"{unexpected[1]}" is not a parameter here')
        if unreadable(original_exception):
            return HTTPException(status_code=400, detail="the request cannot be read: a parameter has a wrong type")
        return None


handler = Asleep()
