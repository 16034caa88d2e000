"""A LiteLLM callback: a model whose server cannot be reached is asleep, and clients are told so in words.

Without it they would read the HTTP client's own error. Loaded by LiteLLM from beside its configuration.
"""

from pathlib import Path
from typing import Any

from fastapi import HTTPException
from litellm.exceptions import APIConnectionError, InternalServerError, ServiceUnavailableError, Timeout
from litellm.integrations.custom_logger import CustomLogger

MESSAGE = Path(__file__).with_name("asleep.txt").read_text().strip()
UNREACHABLE = (APIConnectionError, ServiceUnavailableError, Timeout)


def unreachable(error: Exception) -> bool:
    """A refused connection arrives as an InternalServerError that the HTTP client's own error caused."""
    return isinstance(error, UNREACHABLE) or (
        isinstance(error, InternalServerError) and "Connection error" in str(error)
    )


class Asleep(CustomLogger):  # type: ignore[misc]
    async def async_post_call_failure_hook(
        self, request_data: dict[str, Any], original_exception: Exception, *_: Any, **__: Any
    ) -> HTTPException | None:
        """Answer 503 in place of the original error, or leave that as it is."""
        return HTTPException(status_code=503, detail=MESSAGE) if unreachable(original_exception) else None


handler = Asleep()
