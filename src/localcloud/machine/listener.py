"""The listening socket of our servers, and whether one answers."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException


def listen(address: str, port: int) -> socket.socket:
    """Listen on the address; port 0 means any free one.

    It names its protocol: asyncio sets TCP_NODELAY only then, and without it every answer waits 40 ms for an
    acknowledgement.

    Raises:
        OSError: the address is taken, or not ours.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def answers(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Tell whether the URL answers now."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 # the URL is ours
    with suppress(OSError, HTTPException), urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
        return bool(reply.status == 200)
    return False
