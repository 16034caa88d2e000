"""What the requests library tells of a call that failed on its way."""

from __future__ import annotations

import requests
from urllib3.exceptions import ProtocolError, ReadTimeoutError

_BROKEN = (requests.exceptions.ChunkedEncodingError, ProtocolError, ReadTimeoutError)


def was_answering(error: BaseException) -> bool:
    """Say whether there was a connection, so that the request may have been carried out."""
    return any(isinstance(each, _BROKEN) for each in (error, *error.args))
