"""A LiteLLM callback: what clients read when a model's server cannot be reached, or refuses what they ask, or when a
person's budget is used up.

Without it they would read the HTTP client's own error, or LiteLLM's account of it. LiteLLM loads it from beside its
configuration.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import litellm
from fastapi import HTTPException
from litellm.integrations.custom_logger import CustomLogger

MESSAGES = json.loads(Path(__file__).with_name("messages.json").read_text())
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


async def over_budget(person: str) -> str:
    """What somebody reads whose budget is used up: the one of their own, or that of everybody who has none."""
    from litellm.proxy.proxy_server import prisma_client

    tables = prisma_client.db
    row = await tables.litellm_endusertable.find_unique(where={"user_id": person})
    budget = (row and row.budget_id) or litellm.max_end_user_budget_id
    found = await tables.litellm_budgettable.find_unique(where={"budget_id": budget})
    return str(MESSAGES["over_budget"]).replace("{date}", f"{found.budget_reset_at:%Y-%m-%d}")


class Messages(CustomLogger):
    async def async_post_call_failure_hook(self, *, original_exception: Exception, **_: Any) -> HTTPException | None:
        """The error to answer in place of the original one, or None to leave that as it is."""
        if getattr(original_exception, "entity_type", None) == "end_user":  # of litellm.BudgetExceededError
            person: str = getattr(original_exception, "entity_id")  # noqa: B009 - as above
            return HTTPException(status_code=429, detail=await over_budget(person))
        if asleep(original_exception):
            return HTTPException(status_code=503, detail=MESSAGES["asleep"])
        if words := refusal(original_exception):
            status: int = getattr(original_exception, "status_code")  # noqa: B009 - of some of LiteLLM's exceptions
            return HTTPException(status_code=status, detail=words)
        if unexpected := UNEXPECTED.search(str(original_exception)):
            return HTTPException(status_code=400, detail=f'"{unexpected[1]}" is not a parameter here')
        if unreadable(original_exception):
            return HTTPException(status_code=400, detail="the request cannot be read: a parameter has a wrong type")
        return None


handler = Messages()
