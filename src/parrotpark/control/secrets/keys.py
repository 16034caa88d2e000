"""Makes passwords and key pairs, in the text form that programs read."""

from __future__ import annotations

import secrets
import string
from base64 import b64decode, b64encode
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

# Letters and digits only: a password then needs no quoting in a URL, a shell or a configuration file.
_ALPHABET = string.ascii_letters + string.digits


class KeyFormatError(ValueError):
    """A private key cannot be read; the message never contains it."""


@dataclass(frozen=True, slots=True)
class SshAlgorithm:
    """ed25519 keys in OpenSSH's formats."""

    def private(self) -> str:
        key = Ed25519PrivateKey.generate()
        return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()

    def public(self, private: str) -> str:
        """Derive the public key; raises `KeyFormatError`."""
        try:
            key = load_ssh_private_key(private.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyFormatError("is not an OpenSSH private key without a passphrase") from None
        return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@dataclass(frozen=True, slots=True)
class WireguardAlgorithm:
    """Curve25519 keys as base64, as `wg genkey` makes them."""

    def private(self) -> str:
        return b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()

    def public(self, private: str) -> str:
        """Derive the public key; raises `KeyFormatError`."""
        try:
            key = X25519PrivateKey.from_private_bytes(b64decode(private, validate=True))
        except ValueError:
            raise KeyFormatError("is not a WireGuard private key") from None
        return b64encode(key.public_key().public_bytes_raw()).decode()


def password() -> str:
    """Make a random password of 43 letters and digits, which are 256 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(43))
