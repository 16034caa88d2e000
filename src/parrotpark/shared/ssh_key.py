"""The public half of an SSH host key, with nothing but the standard library."""

from __future__ import annotations

import base64
import binascii

BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----"
END = "-----END OPENSSH PRIVATE KEY-----"


def public_key(private: str) -> str:
    """Return the public half, as in a `.pub` file, or an empty text if `private` is not an OpenSSH ed25519 key.

    The format (PROTOCOL.key in OpenSSH) keeps it in the clear: a magic word, three strings about the cipher, the
    number of keys, and then the public key; numbers are 32 bit, and a string begins with its length.
    """
    lines = private.strip().splitlines()
    if not private.endswith("\n") or len(lines) < 3 or lines[0] != BEGIN or lines[-1] != END:
        return ""
    try:
        blob = base64.b64decode("".join(lines[1:-1]), validate=True)
    except (ValueError, binascii.Error):
        return ""
    magic, rest = blob[:15], blob[15:]
    cipher, rest = _string(rest)
    _, rest = _string(rest)
    _, rest = _string(rest)
    count, rest = rest[:4], rest[4:]
    public, _ = _string(rest)
    kind, key = _string(public)
    if magic != b"openssh-key-v1\0" or cipher != b"none" or count != b"\0\0\0\1" or kind != b"ssh-ed25519":
        return ""
    return f"ssh-ed25519 {base64.b64encode(public).decode()}" if len(key) == 36 else ""


def _string(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4])
    return data[4 : 4 + length], data[4 + length :]
