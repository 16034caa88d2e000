"""No pin without somebody who moves it: every version, commit and digest of the repository is Renovate's to find."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONFIG: Mapping[str, Any] = json.loads((ROOT / ".github/renovate.json").read_text())
# Renovate's own patterns of the managers that read a file by its format, as its documentation has them.
MANAGERS = {
    "ansible-galaxy": [r"/(^|/)(galaxy|requirements)(\.ansible)?\.ya?ml$/"],
    "github-actions": [r"/(^|/)\.(?:github|gitea|forgejo)/(?:workflows|actions)/.+\.ya?ml$/"],
    "gomod": [r"/(^|/)go\.mod$/"],
    "npm": [r"/(^|/)package\.json$/"],
    "pip_requirements": [r"/(^|/)[\w-]*requirements([-.]\w+)?\.(txt|pip)$/"],
}
# Written by the manager of the file beside it.
LOCKS = re.compile(r"(^|/)(package-lock\.json|go\.sum)$")
# Texts about versions, examples, and what machines have measured.
PROSE = re.compile(r"^(LICENSE|CHANGELOG\.md|tests/|docs/(audit\.md|benchmarks/))")
PIN = re.compile(
    r"(?<![\w.-])v?\d+\.\d+\.\d+(?!\.?\d)|(?<=-)\d+\.\d+\.\d+(?=\+)|\b[0-9a-f]{40}\b|\b[0-9A-F]{40}\b|sha256:[0-9a-f]{64}"
)
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
# What nothing outside renews, and why.
OUR_OWN = {
    ("pyproject.toml", VERSION): "our own version",
    ("inventories/local/group_vars/all.yml", VERSION): "our own version",
    ("src/parrotpark/control/upgrade.py", "0.1.0"): "our own version",
    ("src/localcloud/demo/doctor.py", "10.77.0"): "three bytes of an address",
    ("roles/librechat/vars/main.yml", "1.3.13"): "the form of a file, which comes with LibreChat's release",
    ("roles/librechat/meta/argument_specs.yml", "0.8.7"): "what was run by hand",
    ("roles/librechat/README.md", "0.8.7"): "what was run by hand",
    ("src/parrotpark/control/fit.py", "0.32.0"): "what was read by hand",
    ("src/parrotpark/control/model_shape.py", "0.32.0"): "what was read by hand",
    ("src/parrotpark/gpu_host/gpu.py", "0.0.4"): "a form of text, by Prometheus",
    ("molecule/gpu_health/prepare.yml", "580.105.08"): "the version of a stand-in",
    ("roles/caddy/vars/main.yml", "65760C51EDEA2017CEA2CA15155B6D79CA56EA34"): "a key that is trusted by decision",
    **{
        (f"roles/nvidia/{file}", key): "a key that is trusted by decision"
        for file in ("README.md", "defaults/main.yml", "meta/argument_specs.yml")
        for key in ("02182E60104FCDC26EAE1B8597A5D4CB8793F200", "EB693B3035CD5710E231E123A4B469963BF863CC")
    },
    **{
        (f"molecule/nvidia/{file}", version): "a release that the test imitates"
        for file, versions in {
            "repository.py": ("580.105.08", "590.48.01"),
            "side_effect.yml": ("580.105.08", "580.95.05", "590.48.01"),
            "tests/test_nvidia.py": ("580.105.08", "590.48.01"),
        }.items()
        for version in versions
    },
}


def covers(patterns: list[str], file: str) -> bool:
    assert all(pattern[0] == pattern[-1] == "/" for pattern in patterns)
    return any(re.search(pattern[1:-1], file) for pattern in patterns)


def by_format(file: str) -> list[str]:
    """Name the managers that read a file by its format; Renovate adds our patterns to its own."""
    return [
        name
        for name, patterns in MANAGERS.items()
        if covers(patterns + CONFIG.get(name, {}).get("managerFilePatterns", []), file)
    ]


def by_expression(file: str, text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield what the expressions of our own managers find in a file, each with the manager's number."""
    for number, manager in enumerate(CONFIG["customManagers"]):
        if covers(manager["managerFilePatterns"], file):
            for expression in manager["matchStrings"]:
                yield from ((number, match) for match in re.finditer(expression.replace("(?<", "(?P<"), text))


def tracked() -> dict[str, str]:
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {name: (ROOT / name).read_text(errors="replace") for name in names if (ROOT / name).is_file()}


FILES = tracked()


def unwatched(file: str, text: str) -> list[str]:
    if PROSE.match(file) or LOCKS.search(file) or by_format(file):
        return []
    spans = [match.span() for _, match in by_expression(file, text)]
    return [
        pin[0]
        for pin in PIN.finditer(text)
        if (file, pin[0]) not in OUR_OWN and not any(start <= pin.start() and pin.end() <= end for start, end in spans)
    ]


def test_every_pin_has_a_manager() -> None:
    assert {file: pins for file, text in FILES.items() if (pins := unwatched(file, text))} == {}


@pytest.mark.parametrize(
    ("file", "text", "pins"),
    [
        ("roles/new/vars/main.yml", "__new_version: 1.2.3\n", ["1.2.3"]),
        ("roles/new/vars/main.yml", f"image: a/b@sha256:{'0' * 64}\n", [f"sha256:{'0' * 64}"]),
        ("src/new.py", f"COMMIT = '{'a' * 40}'", ["a" * 40]),
        ("src/new.py", "URL = 'https://127.0.0.1:80/v2.1.0/x'", ["v2.1.0"]),
        ("inventories/mine/group_vars/all.yml", f"source: org/name@{'a' * 40}", []),
        ("roles/new/files/requirements.in", "a==1.2.3", []),
    ],
)
def test_a_new_pin_is_missed_where_nobody_watches_it(file: str, text: str, pins: list[str]) -> None:
    assert unwatched(file, text) == pins


def test_every_manager_finds_something_and_every_exception_is_still_there() -> None:
    assert {name for file in FILES for name in by_format(file)} == MANAGERS.keys()
    found = {number for file, text in FILES.items() for number, _ in by_expression(file, text)}
    assert found == set(range(len(CONFIG["customManagers"])))
    assert [(file, pin) for file, pin in OUR_OWN if pin not in FILES[file]] == []


def test_the_digest_of_an_inventory_moves_with_its_release() -> None:
    """Production ships a placeholder, so none stands in the repository."""
    digest = f"sha256:{'1' * 64}"
    file = "inventories/production/group_vars/all.yml"
    text = FILES[file].replace("sha256:put-the-digest-here", digest)
    found = [match.groupdict() for _, match in by_expression(file, text) if "docker://" in match[0]]
    assert {match["currentDigest"] for match in found} == {digest}
    assert {match["depName"]: match["currentValue"] for match in found} == {
        "docker.io/getmeili/meilisearch": "v1.35.1",
        "docker.io/library/mongo": "8.0.20",
        "ghcr.io/danny-avila/librechat": "v0.8.7",
        "ghcr.io/danny-avila/librechat-rag-api-dev-lite": "v0.9.0",
    }
    assert unwatched(file, text) == []


def test_everything_cools_off_for_days() -> None:
    assert re.fullmatch(r"\d+ days", CONFIG["minimumReleaseAge"])
    assert int(CONFIG["minimumReleaseAge"].split()[0]) >= 14
    assert CONFIG["internalChecksFilter"] == "strict"
    for rule in CONFIG["packageRules"]:
        assert "minimumReleaseAge" not in rule
        # What tells no dates comes when somebody asks for it.
        assert rule.get("minimumReleaseAgeBehaviour") is None or rule["dependencyDashboardApproval"] is True


def test_the_locks_that_are_made_anew_are_there() -> None:
    made = [
        lock
        for rule in CONFIG["packageRules"]
        for command in rule.get("postUpgradeTasks", {}).get("commands", [])
        for lock in command.removeprefix("make lock LOCKS=").split()
    ]
    locks = {file for file, text in FILES.items() if file.endswith(".txt") and "--hash=sha256:" in text}
    assert sorted(made) == sorted(locks)
