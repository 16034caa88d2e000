"""A GPU machine of its owner's that is always there: what an inventory says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

SERVER_TYPE = "static"  # what its offer calls it
MAC = "an address of a network card, like 02:00:5e:10:00:01"


@dataclass(frozen=True, slots=True)
class Box:
    """One machine, for one slot for ever: its keys in the overlay are those of the slot, and nobody else has them."""

    name: str
    slot: str
    # How the control machine gets there. The entry server never does, and is not told.
    address: str = ""
    port: int = 22
    user: str = "root"
    host_key: str = field(default="", repr=False)  # the public one, in OpenSSH notation, without a name
    ssh_key_file: str | None = None  # the deploy key if there is none
    harden: bool = True  # whether it is ours alone
    then: str = ""  # unit that it starts once its models have been stopped
    # Where one model computes on several: the others, and how each of them reaches the rest
    helpers: tuple[Box, ...] = ()
    lan_address: str = ""
    lan_interface: str = ""
    # How the entry server wakes it
    wake_mac: str | None = None
    wake_address: str = "255.255.255.255"  # where the magic packet goes
    wake_command: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Take what an inventory says; what it leaves out, or None, has its default."""
        said = {key: value for key, value in values.items() if value is not None}
        helpers = tuple(cls.of({**helper, "slot": said.get("slot", "")}) for helper in said.get("helpers", ()))
        said |= {"port": int(said.get("port", 22)), "wake_command": tuple(said.get("wake_command", ()))}
        return cls(**{**said, "helpers": helpers})

    @property
    def machines(self) -> tuple[Box, ...]:
        """Return itself, which serves, and its helpers."""
        return (self, *self.helpers)

    def for_entry_server(self) -> dict[str, Any]:
        """Write what the entry server has to know of it."""
        known = {
            "name": self.name,
            "slot": self.slot,
            "wake_mac": self.wake_mac,
            "wake_address": self.wake_address,
            "wake_command": list(self.wake_command),
        }
        return {key: value for key, value in known.items() if value is not None}


def is_mac(text: str) -> bool:
    """Say whether a magic packet can be made of the text."""
    return re.fullmatch(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}", text) is not None
