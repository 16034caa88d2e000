"""Settings of the chat take effect on every run, though Open WebUI would rather keep its first ones in its database."""

import subprocess
from pathlib import Path

import httpx2
import pytest

PLAYBOOK = Path(__file__).parents[2] / "playbooks" / "entry.yml"


def converge(inventory: str, *arguments: str) -> None:
    command = ["ansible-playbook", "-i", inventory, str(PLAYBOOK), "--tags", "open_webui", *arguments]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_a_changed_notice_is_shown(pytestconfig: pytest.Config, browse_as_admin: httpx2.Client) -> None:
    def notices() -> list[str]:
        banners = browse_as_admin.get("/api/v1/configs/banners").raise_for_status().json()
        return [banner["content"] for banner in banners]

    before, inventory = notices(), pytestconfig.getoption("stack")
    try:
        converge(inventory, "-e", '{"parrotpark_chat_notice": "Closed for the holidays"}')
        assert notices() == ["Closed for the holidays"]
    finally:
        converge(inventory)
    assert notices() == before
