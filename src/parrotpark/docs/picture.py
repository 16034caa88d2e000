"""Draws which roles run where, and who connects to which port, from what the playbooks and the wiring say.

`python -m parrotpark.docs.roles` puts the picture into docs/architecture.md; `make lint` fails if it is out of date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from parrotpark.control.models import FIRST_PORT

PAGE = Path("docs/architecture.md")
BEGIN, END = "<!-- drawn by python -m parrotpark.docs.roles -->", "<!-- end of the drawing -->"
WIRING = "playbooks/group_vars/all"
# Where plays run, and what the picture calls it
MACHINES = {"localhost": "control machine", "entry": "entry server", "gpu": "GPU host, as baked", "gpu_static": "box"}
_ALIASES = {"bake": "gpu", "gpu_static:gpu_helper": "gpu_static"}
_ANYWHERE = "0.0.0.0/0"
_LOOPBACK = re.compile(r"\b(?:127\.0\.0\.1|localhost):(\d+)")
_NAME = re.compile(r"\{\{ ([\w.]+)(?: \| \w+)* \}\}")
_IMPORT_PLAYBOOK, _IMPORT_ROLE = "ansible.builtin.import_playbook", "ansible.builtin.import_role"


class PictureError(Exception):
    """The page has no place for the picture."""


def page(root: Path) -> str:
    """Return the text of the page with the picture as it should be.

    Raises:
        PictureError: the page does not have the two marks that the picture belongs between.
    """
    text = (root / PAGE).read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PictureError(f"{PAGE} lacks {BEGIN if not begin else END}")
    return f"{before}{BEGIN}\n```mermaid\n{picture(root)}```\n{END}{after}"


def picture(root: Path) -> str:
    """Return the picture as Mermaid text."""
    lines = ["flowchart LR", "  people([anywhere])"]
    for machine, roles in placed(root).items():
        lines.append(f'  subgraph {machine}["{MACHINES.get(machine, machine)}"]')
        lines += [f"    {machine}_{role}[{role}]" for role in roles]
        lines.append("  end")
    return "\n".join([*lines, *(f"  {edge}" for edge in edges(root))]) + "\n"


def placed(root: Path) -> dict[str, list[str]]:
    """Return the roles of each machine, in the order in which site.yml runs them."""
    found: dict[str, list[str]] = {}
    for imported in _yaml(root / "site.yml"):
        for play in _yaml(root / imported[_IMPORT_PLAYBOOK]):
            where = "localhost" if play.get("connection") == "local" else play.get("hosts", "")
            for role in _roles(play):
                roles = found.setdefault(_ALIASES.get(where, where), [])
                if role not in roles:
                    roles.append(role)
    return {machine: found[machine] for machine in sorted(found, key=lambda name: [*MACHINES, name].index(name))}


def edges(root: Path) -> Iterator[str]:
    """Yield an arrow for each client and server, with the ports."""
    wired = wiring(root)
    servers = {machine: roles for machine, roles in placed(root).items() if machine != "localhost"}

    def box(role: str) -> str:
        return next(f"{machine}_{role}" for machine, roles in servers.items() if role in roles)

    yield _arrow("people", "entry", ports(wired["cloud_project_firewall_rules"], wired))
    rules = wired["gpu_project"]["firewall_rules"]
    yield _arrow("people", "gpu", ports([rule for rule in rules if _ANYWHERE in rule["source_ips"]], wired))
    yield _arrow("entry", "gpu", ports([rule for rule in rules if _ANYWHERE not in rule["source_ips"]], wired))
    for asking, answering, port in _loopback(root, wired, {role for roles in servers.values() for role in roles}):
        yield _arrow(box(asking), box(answering), str(port))
    yield _arrow(box("caddy"), box("vllm"), f"overlay, {FIRST_PORT} and up")
    yield _arrow(box("deadman"), box("caddy"), f"overlay, {wired['lease_port']}")


def _arrow(start: str, end: str, text: str) -> str:
    return f'{start} -->|"{text}"| {end}'


def wiring(root: Path) -> dict[str, Any]:
    """Return all that the wiring sets for all hosts, as it is written."""
    return dict(chain.from_iterable(_yaml(file).items() for file in sorted((root / WIRING).glob("*.yml"))))


def ports(rules: list[Mapping[str, Any]], wired: Mapping[str, Any]) -> str:
    """Say briefly which ports the rules of a cloud's firewall open."""
    said: dict[str, list[str]] = {}
    for rule in rules:
        if "port" in rule:
            said.setdefault(rule["protocol"], []).append(_filled(rule["port"], wired))
    return ", ".join(f"{protocol} {' '.join(numbers)}" for protocol, numbers in said.items())


def _filled(value: object, wired: Mapping[str, Any]) -> str:
    """Return the text with the values of the names in it."""

    def found(name: re.Match[str]) -> str:
        value: Any = wired
        for part in name[1].split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return name[0] if value is None else str(value)

    return _NAME.sub(found, str(value))


def _loopback(root: Path, wired: Mapping[str, Any], roles: set[str]) -> Iterator[tuple[str, str, int]]:
    """Yield client, server and port on one machine: a client's variables name the port in the server's defaults."""
    defaults = {role: _yaml(root / f"roles/{role}/defaults/main.yml") for role in sorted(roles)}
    owners = {value[f"{role}_port"]: role for role, value in defaults.items() if f"{role}_port" in value}
    for role, values in defaults.items():
        # Whichever chat is chosen
        texts = " ".join(
            _filled(value, {**wired, "chat": chat})
            for name, value in wired.items()
            if name.startswith(f"{role}_")
            for chat in wired.get("chats", {"": {}}).values()
        )
        asked = {int(port) for port in _LOOPBACK.findall(texts)}
        asked |= {value for name, value in values.items() if name.endswith("_port") and isinstance(value, int)}
        yield from ((role, owners[port], port) for port in sorted(asked) if owners.get(port, role) != role)


def _roles(play: Mapping[str, Any]) -> Iterator[str]:
    for role in play.get("roles", []):
        yield role["role"] if isinstance(role, Mapping) else role
    for task in chain(play.get("pre_tasks", []), play.get("tasks", []), play.get("post_tasks", [])):
        if _IMPORT_ROLE in task:
            yield task[_IMPORT_ROLE]["name"]


def _yaml(file: Path) -> Any:
    return (yaml.safe_load(file.read_text()) if file.exists() else None) or {}
