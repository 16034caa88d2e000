"""A LiteLLM callback: a model whose server cannot be reached is asleep, and clients are told so in words.

Without it they would read the HTTP client's own error. LiteLLM loads it from beside its configuration.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from fastapi import HTTPException
from litellm.integrations.custom_logger import CustomLogger

MESSAGE = Path(__file__).with_name("asleep.txt").read_text().strip()
GATEWAY_ERRORS = {502, 503, 504}  # what a load balancer answers when no server stands behind it


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def asleep(error: Exception) -> bool:
    return getattr(error, "status_code", None) in GATEWAY_ERRORS or any(
        isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout) for cause in causes(error)
    )


class Asleep(CustomLogger):
    async def async_post_call_failure_hook(self, *, original_exception: Exception, **_: Any) -> HTTPException | None:
        """The error to answer in place of the original one, or None to leave that as it is."""
        return HTTPException(status_code=503, detail=MESSAGE) if asleep(original_exception) else None


handler = Asleep()
