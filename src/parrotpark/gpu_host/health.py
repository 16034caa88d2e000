"""Whether a host's cards may serve, judged by what nvidia-smi and the kernel say; nothing here has an effect.

A host that fails never serves. It is replaced if a cloud rents it out, and repaired by the advice if somebody owns it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from parrotpark.gpu_host.nvidia_smi import NO_RECOVERY, Card, DriverNotRunning, Facts, NvidiaSmiError, VersionMismatch
from parrotpark.gpu_host.xid import Blame, Xid, parse

_REPLACE = "take another host; if this one is yours, reset the card, and have it replaced if that does not help"
_RESET = "reset the card or reboot"
_RESTART = "restart the model; if it comes back, report it with the model's journal"
_FABRIC = "install nvidia-fabricmanager of exactly the driver's version, start it, and reboot"


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that is wrong, and what to do about it."""

    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.advice}"


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict."""

    reasons: tuple[Reason, ...]
    """Why the host may not serve."""
    notes: tuple[Reason, ...]
    """What a program did wrong; the host is not to blame."""

    @property
    def healthy(self) -> bool:
        return not self.reasons


def examine(told: Facts | NvidiaSmiError, kernel_log: str, module: str | None, library: str | None) -> Health:
    """Judge a host by what nvidia-smi told, or by how it failed, and by the kernel's log since boot.

    `module` is the version of the driver that the kernel has loaded, None if it has none; `library` is that of the
    driver's libraries, None if it is not known.
    """
    counted = Counter(parse(kernel_log))
    return Health(
        reasons=(*_driver(told, module, library), *_cards(told), *_xids(counted, Blame.HOST, _REPLACE)),
        notes=tuple(_xids(counted, Blame.PROGRAM, _RESTART)),
    )


def same_version(one: str, other: str) -> bool:
    """Tell whether two versions are the same, as far as both are told: libraries leave out the last part of theirs."""
    return all(left == right for left, right in zip(one.split("."), other.split("."), strict=False))


def _xids(counted: Mapping[Xid, int], blame: Blame, advice: str) -> Iterator[Reason]:
    for xid, times in counted.items():
        if xid.blame is blame:
            often = f", {times} times" if times > 1 else ""
            yield Reason(f"Xid {xid.code} of {xid.slot}{often}: {xid.words}", advice)


def _driver(told: Facts | NvidiaSmiError, module: str | None, library: str | None) -> Iterator[Reason]:
    if module is None:
        yield Reason("the kernel has no NVIDIA driver loaded", DriverNotRunning.advice)
    elif library is not None and not same_version(module, library):
        yield Reason(
            f"the kernel has loaded driver {module}, and the libraries are of {library}", VersionMismatch.advice
        )
    elif isinstance(told, NvidiaSmiError):
        yield Reason(str(told), told.advice)


def _cards(told: Facts | NvidiaSmiError) -> Iterator[Reason]:
    if isinstance(told, NvidiaSmiError):
        return
    if not told.cards or told.attached != len(told.cards):
        yield Reason(f"the driver counts {told.attached} cards, and tells of {len(told.cards)}", _REPLACE)
    for card in told.cards:
        for problem, advice in _problems(card):
            yield Reason(f"{card.name or 'the card'} at {card.slot} {problem}", advice)


def _problems(card: Card) -> Iterator[tuple[str, str]]:
    if card.lost:
        yield "is lost", _REPLACE
        return
    if card.recovery not in (None, NO_RECOVERY):
        yield f"needs recovery, by its driver: {card.recovery}", _REPLACE
    if card.uncorrectable:
        yield f"has had {card.uncorrectable} ECC errors that nothing corrected", _REPLACE
    if card.worn_out:
        yield "has had more errors of on-chip memory than NVIDIA allows", _REPLACE
    if card.remapping_failed:
        yield "has no spare memory left for what is bad", _REPLACE
    if card.remapping:
        yield "has bad memory, which is replaced at its next reset", _RESET
    if card.repair_pending:
        yield "is repaired at its next reset", _RESET
    if card.mig is not None and card.mig_pending is not None and card.mig != card.mig_pending:
        yield f"has MIG {_switched(card.mig)}, and {_switched(card.mig_pending)} after its next reset", _RESET
    if card.mig and not card.instances:
        yield "has MIG on and no instance, so nothing can use it", f"nvidia-smi --mig 0, then {_RESET}"
    if card.fabric is not None and card.fabric != "Completed":
        yield f"has not joined its NVSwitch fabric: {card.fabric}", _FABRIC
    elif card.fabric_status not in (None, "Success"):
        yield f"failed to join its NVSwitch fabric: {card.fabric_status}", _FABRIC
    elif card.fabric_health not in (None, "Healthy"):
        yield f"has an NVSwitch fabric that is not well: {card.fabric_health}", _REPLACE


def _switched(on: bool) -> str:
    return "on" if on else "off"
