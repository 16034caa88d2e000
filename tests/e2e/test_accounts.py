"""Ways in: a new password from the command line, whichever address of the tunnel, and out again."""

import asyncio
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Thread

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from testinfra.host import Host

from localcloud.machine.relays import Relays
from parrotpark.control.verify import Endpoints

PLAYBOOK = Path(__file__).parents[2] / "playbooks" / "password.yml"
PORT = 18443


def test_a_forgotten_password_is_replaced(
    pytestconfig: pytest.Config, browse: httpx2.Client, browse_as_admin: httpx2.Client
) -> None:
    person = {"name": "Ada", "email": "ada@parrotpark.invalid", "password": "forgotten-for-ever", "role": "user"}
    number = browse_as_admin.post("/api/v1/auths/add", json=person).raise_for_status().json()["id"]
    try:
        command = ["ansible-playbook", "-i", pytestconfig.getoption("stack"), str(PLAYBOOK), "-e"]
        said = subprocess.run(
            [*command, f"account={person['email']}"], check=True, capture_output=True, text=True
        ).stdout
        (password,) = re.findall(rf"{person['email']} signs in with (\S+)", said)
        assert browse.post("/api/v1/auths/signin", json=person).status_code == 400
        assert browse.post("/api/v1/auths/signin", json={**person, "password": password}).status_code == 200
        nobody = subprocess.run(
            [*command, "account=nobody@parrotpark.invalid"], check=False, capture_output=True, text=True
        )
        assert nobody.returncode != 0
        assert "there is no account nobody@parrotpark.invalid" in nobody.stdout
    finally:
        browse_as_admin.delete(f"/api/v1/users/{number}").raise_for_status()


@pytest.fixture
def tunnel(entry: Host) -> Iterator[int]:
    """Another port on this machine that leads to the entry server."""
    loop, relays = asyncio.new_event_loop(), Relays()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    address = entry.check_output("hostname -I").split()[0]
    asyncio.run_coroutine_threadsafe(relays.converge({PORT: address}), loop).result(10)
    yield PORT
    loop.call_soon_threadsafe(relays.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_answers_come_by_whatever_address_the_page_was_opened(
    chromium: BrowserContext, tunnel: int, admin: Mapping[str, str], name: str
) -> None:
    page = chromium.new_page()
    page.goto(f"https://{name}:{tunnel}")
    page.get_by_label("Email").fill(admin["email"])
    page.get_by_label("Password", exact=True).fill(admin["password"])
    page.get_by_role("button", name="Sign in").click()
    page.locator("#chat-input").fill("What is the capital of France?")
    page.keyboard.press("Enter")
    expect(page.locator(".chat-assistant")).to_contain_text("Paris")
    page.close()


def test_the_admin_panel_says_where_settings_live(chat: Page, endpoints: Endpoints) -> None:
    chat.goto(f"{endpoints.chat}/admin/settings/general")
    chat.locator("#tab-admin-general").wait_for()
    notice = "getComputedStyle(document.querySelector('#tab-admin-general'), '::before').content"
    assert "in the inventory" in chat.evaluate(notice)


def test_a_foreign_page_opens_no_socket(endpoints: Endpoints) -> None:
    def knock(origin: str) -> str:
        socket = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        headers = [*socket, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"Origin: {origin}"]
        command = [
            "curl",
            "--silent",
            "--http1.1",
            "--max-time",
            "5",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ]
        command += ["--cacert", endpoints.ca] if endpoints.ca else []
        command += [part for header in headers for part in ("--header", header)]
        address = f"{endpoints.chat}/ws/socket.io/?EIO=4&transport=websocket"
        return subprocess.run([*command, address], check=False, capture_output=True, text=True).stdout

    assert (knock(endpoints.chat), knock("https://evil.example")) == ("101", "403")
