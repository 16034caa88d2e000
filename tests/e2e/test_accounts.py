"""Ways in: while sign-on is down, and by whichever address of the tunnel."""

import asyncio
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Thread

import httpx2
import pytest
from playwright.sync_api import Page, expect
from testinfra.host import Host

from localcloud.machine.relays import Relays
from parrotpark.control.sign_in import sign_in
from parrotpark.control.verify import Endpoints
from tests.e2e.pages import ask, enter

PLAYBOOK = Path(__file__).parents[2] / "playbooks" / "password.yml"
PORT = 18443


def test_there_is_a_way_in_while_sign_on_is_down(
    pytestconfig: pytest.Config,
    entry: Host,
    browse: httpx2.Client,
    endpoints: Endpoints,
    person: Callable[..., Mapping[str, str]],
) -> None:
    owner = person("owner@parrotpark.invalid", "administrators")
    sign_in(endpoints.chat, endpoints.ca, owner["email"], owner["password"])  # with it the chat has an account
    settings = "/etc/open-webui/settings.env"
    closed = entry.check_output("sha256sum %s", settings)
    entry.check_output("systemctl stop keycloak.service")
    try:
        command = ["ansible-playbook", "-i", pytestconfig.getoption("stack"), str(PLAYBOOK), "-e"]
        said = subprocess.run([*command, f"person={owner['email']}"], check=True, capture_output=True, text=True).stdout
        (password,) = re.findall(r"signs in at \S+ with\s+(\S+?)[\s'\"]", said)
        login = {"email": owner["email"], "password": password}
        assert browse.post("/api/v1/auths/signin", json=login).json()["role"] == "admin"
        browse.cookies.clear()  # others share it
        nobody = subprocess.run(
            [*command, "person=nobody@parrotpark.invalid"], check=False, capture_output=True, text=True
        )
        assert nobody.returncode != 0
        assert "there is no account nobody@parrotpark.invalid" in nobody.stdout
    finally:
        entry.check_output("systemctl start keycloak.service")
        site = ["ansible-playbook", "-i", pytestconfig.getoption("stack"), "site.yml", "--tags", "open_webui"]
        subprocess.run(site, check=True, capture_output=True)
    assert entry.check_output("sha256sum %s", settings) == closed
    assert browse.post("/api/v1/auths/signin", json=login).status_code == 403


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


def test_answers_come_by_whatever_port_the_page_was_opened(chat: Page, tunnel: int) -> None:
    chat.goto(f"https://localhost:{tunnel}")
    ask(chat, "What is the capital of France?")
    expect(chat.locator(".chat-assistant")).to_contain_text("Paris")


def test_the_machines_other_address_leads_to_the_chat(
    page: Page, admin: Mapping[str, str], endpoints: Endpoints
) -> None:
    page.goto(endpoints.chat.replace("localhost", "127.0.0.1"))
    enter(page, admin)
    page.locator("#chat-input").wait_for()
    assert page.url.startswith(endpoints.chat)


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
