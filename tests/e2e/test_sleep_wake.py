"""The GPU host goes and comes back from its golden image; on the entry server nothing notices, and the chat stays."""

import re
import subprocess
from collections.abc import Callable

import httpx2
import openai
import pytest
from playwright.sync_api import Page, WebSocket
from testinfra.host import Host

from parrotpark.control.sign_in import sign_in
from parrotpark.control.verify import Endpoints
from tests.machines import client as client_of


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def gpu_hosts() -> tuple[list[str], list[str | None]]:
    """Name those that the inventory knows, and those that the cloud bills."""
    known = run("ansible", "gpu", "--list-hosts").splitlines()[1:]
    return [name.strip() for name in known], [server.name for server in client_of("gpu").servers.get_all()]


def test_sleep_and_wake(
    entry: Host,
    state: Callable[[Host], object],
    chat: Page,
    browse_as_admin: httpx2.Client,
    endpoints: Endpoints,
    client: openai.OpenAI,
    generate_model: str,
) -> None:
    def ask() -> str:
        question = "What is the capital of France?"
        answer = client.with_options(max_retries=0).chat.completions.create(
            model=generate_model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=24
        )
        return answer.choices[0].message.content or ""

    def history() -> list[str]:
        return [entry["id"] for entry in browse_as_admin.get("/api/v1/chats/").raise_for_status().json()]

    sockets: list[WebSocket] = []
    chat.on("websocket", lambda socket: sockets.append(socket))  # Playwright marks the function, which a method forbids
    chat.reload()
    chat.locator("#chat-input").wait_for()
    assert sockets, "the chat opened no WebSocket"
    browse_as_admin.post("/api/v1/chats/new", json={"chat": {"title": "Before the night"}}).raise_for_status()
    before, said, chats = state(entry), ask(), history()
    assert "Paris" in said
    assert chats
    assert gpu_hosts() == (["gpu-1"], ["gpu-1"])

    run("make", "sleep")
    assert gpu_hosts() == ([], [])
    with pytest.raises(openai.APIStatusError, match="asleep"):
        ask()
    assert history() == chats
    assert sign_in(endpoints.chat, endpoints.ca, endpoints.check_email, endpoints.check_password)
    # The part of site.yml that the wish concerns; a drill runs all of it.
    converge = ("ansible-playbook", "playbooks/gpu.yml")
    assert set(re.findall(r"changed=(\d+)", run(*converge))) == {"0"}
    assert "asleep; image current" in run(*converge, "--check")
    assert gpu_hosts() == ([], [])

    run("make", "wake")
    assert gpu_hosts() == (["gpu-1"], ["gpu-1"])
    assert ask() == said
    assert state(entry) == before
    assert not [socket.url for socket in sockets if socket.is_closed()]
    assert chat.locator("#chat-input").is_editable()
