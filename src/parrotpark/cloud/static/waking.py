"""Wakes a box: by a magic packet to its network card, and by a command of its owner's."""

from __future__ import annotations

import socket
import subprocess

from parrotpark.cloud.box import Box
from parrotpark.cloud.errors import OutOfCapacity

PORT = 9  # discard: nobody listens, the network card only looks at the frame
PACKETS = 3  # UDP promises nothing
TIMEOUT = 20.0  # seconds for the command; the leases of other hosts run on


def wake(box: Box) -> None:
    """Do what the inventory says to wake the box; nothing if it says nothing.

    Raises:
        OutOfCapacity: it could not be done, or the command says by its exit status that the box is not to be had.
    """
    try:
        if box.wake_mac:
            _send(magic_packet(box.wake_mac), box.wake_address)
        if box.wake_command:
            _run(box.wake_command)
    except subprocess.TimeoutExpired:
        raise OutOfCapacity(f"box {box.name}: its wake_command did not end within {TIMEOUT:.0f} s") from None
    except OSError as error:
        raise OutOfCapacity(f"box {box.name} cannot be woken: {error}") from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())[-200:] or f"exit status {error.returncode}"
        raise OutOfCapacity(f"box {box.name}: its wake_command says: {said}") from None


def magic_packet(mac: str) -> bytes:
    """Write what a sleeping network card waits for: six bytes of ones, and its address sixteen times."""
    return b"\xff" * 6 + bytes.fromhex(mac.replace(":", "").replace("-", "")) * 16


def _send(packet: bytes, address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for _ in range(PACKETS):
            sender.sendto(packet, (address, PORT))


def _run(command: tuple[str, ...]) -> None:
    subprocess.run(
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=TIMEOUT,
    )
