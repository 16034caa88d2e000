"""Filters that give the wiring what the Python heart works out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

from parrotpark.fingerprint import FingerprintError, fingerprint
from parrotpark.slots import Slot, SlotError, slot_document, slots


def parrotpark_slots(count: int, network: str, first: int = 11) -> list[dict[str, str]]:
    """List the slots in the overlay network as dictionaries with `name` and `address`."""
    try:
        return [asdict(slot) for slot in slots(int(count), network, first)]
    except SlotError as error:
        raise AnsibleFilterError(str(error)) from error


def parrotpark_slot_document(slot: Mapping[str, str], **values: Any) -> dict[str, object]:
    """Build the slot document of a slot from `parrotpark_slots`; the rest as in `parrotpark.slots.slot_document`."""
    try:
        return slot_document(Slot(**slot), **values)
    except TypeError as error:
        raise AnsibleFilterError(f"parrotpark_slot_document: {error}") from error


def parrotpark_fingerprint(paths: Sequence[str], root: str, values: Mapping[str, object]) -> str:
    """Hash files and folders below `root` together with values."""
    try:
        return fingerprint(Path(root).resolve(), paths, values)
    except FingerprintError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {
            "parrotpark_slots": parrotpark_slots,
            "parrotpark_slot_document": parrotpark_slot_document,
            "parrotpark_fingerprint": parrotpark_fingerprint,
        }
