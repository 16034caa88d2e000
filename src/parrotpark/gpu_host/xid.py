"""Xids: what NVIDIA's driver writes into the kernel's log about a card, and who is to blame.

Meanings and blame follow NVIDIA's catalogue for Ampere and newer cards,
https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html. What it answers by a reset, a reboot or a look at
the machine is the host's: one that is rented by the hour is cheaper to replace than to repair. What it answers by a
restart of the application, or calls the end of one, is the program's. There is one exception, 94: NVIDIA would restart
the application and reset the card when convenient, but its memory has just failed, and a new host is that reset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Blame(StrEnum):
    """Whose fault it is."""

    HOST = "host"
    """It is to be thrown away."""
    PROGRAM = "program"
    """It is to be restarted, and its bug to be found; the card is well."""
    NOBODY = "nobody"
    """Nothing is to be done, or we do not know it."""


_HOST = {
    46: "the card stopped working",
    48: "an ECC error of two bits that nothing corrected",
    54: "the card has no auxiliary power",
    62: "a micro-controller of the card has halted",
    64: "a bad row of memory could not be replaced",
    74: "an NVLink has failed",
    79: "the card has fallen off the bus",
    94: "an error of memory that nothing corrected, contained in one program",
    95: "an error of memory that nothing corrected, which may have reached every program",
    109: "the card did not switch to another program in time",
    110: "a security fault",
    119: "the card's own processor (GSP) does not answer",
    120: "the card's own processor (GSP) has failed",
    136: "an NVLink could not be trained",
    140: "an ECC error that kept the driver from replacing the memory",
    143: "the card could not be initialized",
    **dict.fromkeys(range(144, 151), "an NVLink has failed"),
    151: "keys of confidential computing could not be renewed",
    155: "an NVLink is down",
    156: "a part of the card is replaced at its next reset",
    158: "the card did not answer in time",
}
_PROGRAM = {
    8: "it kept the card busy for too long",
    11: "it sent a damaged stream of commands",
    13: "it failed within a kernel, such as by an index out of bounds",
    25: "it sent an illegal stream of commands",
    31: "it used an illegal address",
    32: "its stream of commands arrived damaged",
    **dict.fromkeys((39, 40, 41, 70, 71, 72, 75, 76, 77, 85, *range(126, 136)), "its copy failed"),
    43: "it failed, and its work was stopped",
    45: "it ended, and its work was cleared away",
    60: "its work on video failed",
    **dict.fromkeys((68, 82, 83, 84, 86, 88, 89, *range(96, 106), 139), "its work on video or pictures failed"),
    69: "it used the card's engine wrongly",
    80: "its commands arrived damaged",
}
CHANGED = 154  # names the action that other Xids ask for
_NO_ACTION = "None"

_LINE = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9A-Fa-f:.]+)[^)]*\): (\d+)\b(.*)")
_ACTION = re.compile(r"changed from 0x[0-9a-f]+ \([^)]*\) to 0x[0-9a-f]+ \(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Xid:
    """One line of the log."""

    code: int
    slot: str
    """PCI address of the card, such as 0000:06:00."""
    blame: Blame
    words: str


def parse(log: str) -> tuple[Xid, ...]:
    """Find the Xids in a kernel's log, in their order."""
    return tuple(_xid(int(code), slot, rest) for slot, code, rest in _LINE.findall(log))


def _xid(code: int, slot: str, rest: str) -> Xid:
    if code == CHANGED:
        action = _ACTION.search(rest)
        if action and action[1] == _NO_ACTION:
            return Xid(code, slot, Blame.NOBODY, "the driver asks for nothing any more")
        return Xid(code, slot, Blame.HOST, f"the driver asks for: {action[1] if action else rest.strip(' ,')}")
    for blame, words in ((Blame.HOST, _HOST), (Blame.PROGRAM, _PROGRAM)):
        if code in words:
            return Xid(code, slot, blame, words[code])
    return Xid(code, slot, Blame.NOBODY, "NVIDIA's catalogue says what it means")
