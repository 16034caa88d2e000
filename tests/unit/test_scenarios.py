"""A change runs the scenarios that it concerns, and all of them where everything rests on it."""

from __future__ import annotations

import pytest

from tests.scenarios import SCENARIOS, concerned


@pytest.mark.parametrize(
    ("changed", "chosen"),
    [
        (["roles/caddy/tasks/install.yml", "docs/models.md"], ["caddy", "caddy-alternative"]),
        (["molecule/caddy-alternative/prepare.yml"], ["caddy-alternative"]),
        (["molecule/vllm/tests/test_vllm.py", "roles/seal/README.md"], ["seal", "vllm", "vllm-alternative"]),
        (["roles/wish/tasks/main.yml", "README.md"], []),  # it has no scenario
        (
            ["roles/postgresql/vars/main.yml"],  # the others begin with a database
            [
                "keycloak",
                "keycloak_realm",
                "librechat",
                "litellm",
                "litellm-alternative",
                "open_webui",
                "open_webui-alternative",
                "postgresql",
            ],
        ),
        (["roles/keycloak/vars/main.yml"], ["keycloak", "keycloak_realm"]),
        ([], []),
        (["roles/base/files/uv.txt"], sorted(SCENARIOS)),
        (["molecule/shared/create.yml"], sorted(SCENARIOS)),
        ([".config/molecule/config.yml"], sorted(SCENARIOS)),
        (["plugins/filter/parrotpark.py"], sorted(SCENARIOS)),
        (["requirements/dev.txt"], sorted(SCENARIOS)),
        (["src/localcloud/daemon.py"], sorted(SCENARIOS)),
        (["tests/machines.py"], sorted(SCENARIOS)),
        (["Makefile"], sorted(SCENARIOS)),
    ],
)
def test_a_change_concerns(changed: list[str], chosen: list[str]) -> None:
    assert concerned(changed, SCENARIOS) == chosen


def test_there_are_scenarios() -> None:
    assert {"base", "caddy", "vllm"} <= SCENARIOS
