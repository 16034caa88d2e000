"""What the role makes of what it found: with NVSwitch and without, on Debian and on Ubuntu."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.programs import ROOT
from tests.unit.nvidia.test_survey import LOADED, VERSION, findings

ROLE = ROOT / "roles/nvidia"
TASKS = {task["name"]: task for task in yaml.safe_load((ROLE / "tasks/install.yml").read_text())}
SWITCHED = replace(LOADED, switches=4)
DRIVER = ["nvidia-kernel-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced"]


def evaluate(expression: str, host: Any, distribution: str = "Debian", release: str = "trixie") -> Any:
    """Evaluate as on this host, once the role has looked at it."""
    loader = DataLoader()
    variables = {
        **loader.load_from_file(str(ROLE / "defaults/main.yml"), trusted_as_template=True),
        **loader.load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True),
        "ansible_managed": "",
        "ansible_facts": {"distribution": distribution, "distribution_release": release},
        "__nvidia_found": asdict(findings(host)),
    }
    return Templar(loader, variables=variables).template(trust_as_template(expression))


def repositories(host: Any, distribution: str, release: str) -> list[dict[str, str]]:
    """Return the stanzas of apt's sources."""
    # As Ansible's own module sets Jinja up
    text = "#jinja2: trim_blocks: True\n" + (ROLE / "templates/nvidia.sources.j2").read_text()
    rendered = evaluate(text, host, distribution, release)
    stanzas = ([line for line in part.splitlines() if line[:1] not in ("", "#")] for part in rendered.split("\n\n"))
    return [dict(line.split(": ", 1) for line in stanza) for stanza in stanzas if stanza]


@pytest.mark.parametrize(
    ("host", "units", "held"),
    [
        (LOADED, ["nvidia-persistenced.service"], DRIVER),
        (SWITCHED, ["nvidia-persistenced.service", "nvidia-fabricmanager.service"], [*DRIVER, "nvidia-fabricmanager"]),
    ],
    ids=["none", "four"],
)
def test_a_fabric_manager_runs_and_is_held_only_where_there_is_a_switch(
    host: Any, units: list[str], held: list[str]
) -> None:
    assert evaluate("{{ __nvidia_units }}", host) == units
    assert evaluate(TASKS["Hold them"]["loop"], host) == held
    installs = TASKS["Install the fabric manager of the very same version"]
    assert evaluate("{{ " + installs["when"] + " }}", host) is (host is SWITCHED)


def test_the_fabric_manager_is_installed_by_its_version() -> None:
    name = TASKS["Install the fabric manager of the very same version"]["ansible.builtin.apt"]["name"]
    assert evaluate(name, SWITCHED) == f"nvidia-fabricmanager={VERSION}-*"


def test_debian_takes_what_the_driver_rests_on_from_contrib() -> None:
    nvidia, debian = repositories(LOADED, "Debian", "trixie")
    assert nvidia["URIs"].endswith("/cuda/repos/debian13/x86_64/")
    assert (debian["Suites"], debian["Components"]) == ("trixie", "contrib")
    assert debian["Signed-By"] == "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_ubuntu_takes_nothing_of_debian() -> None:
    host = replace(LOADED, suite="ubuntu2404", running="6.8.0-101-generic")
    (nvidia,) = repositories(host, "Ubuntu", "noble")
    assert nvidia["URIs"].endswith("/cuda/repos/ubuntu2404/x86_64/")
    assert (nvidia["Suites"], nvidia["Signed-By"]) == ("/", "/etc/apt/keyrings/nvidia.asc")
