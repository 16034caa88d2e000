"""The socket that a server of ours accepts on."""

from __future__ import annotations

import socket


def listen(address: str, port: int) -> socket.socket:
    """Listen on the address; port 0 stands for a free one.

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
