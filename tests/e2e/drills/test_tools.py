"""A model that can call tools calls one, by the API and in the chat, and says what it returned."""

import base64
import io
import json
import random
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from playwright.sync_api import Page
from testinfra.host import Host

from parrotpark.control.answers import answer
from parrotpark.control.verify import ANSWER_SECONDS, Endpoints
from tests.e2e.pages import ask

TEACH = Path(__file__).with_name("teach.py")
QUESTION = "Which parrot lives in the town hall?"
NAMES = ("Amalia", "Bruno", "Carla", "Dora", "Emil", "Frieda", "Gustav", "Hedwig")
TOOL = {
    "type": "function",
    "function": {"name": "parrot_name", "description": "Names the parrot.", "parameters": {"type": "object"}},
}
IN_CHAT = '''\
class Tools:
    def parrot_name(self) -> str:
        """Names the parrot that lives in the town hall."""
        return "{name}"
'''


def site(*arguments: str) -> None:
    done = subprocess.run(["ansible-playbook", "site.yml", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def taught(gpu: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model that can call one tool, served in place of the one that chats; the stack is put back afterwards."""
    folder = tmp_path_factory.mktemp("models") / "taught"
    there = gpu.check_output("mktemp -d")
    run = gpu.run(
        f"cd %s && CUDA_VISIBLE_DEVICES= HF_HUB_OFFLINE=1 /opt/vllm/bin/python -c %s model {' '.join(NAMES)}",
        there,
        TEACH.read_text(),
    )
    assert run.succeeded, run.stderr
    archive = base64.b64decode(gpu.check_output("tar -C %s/model -c . | base64 -w0", there))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    models = [
        {
            "source": str(folder),
            "purpose": "chat",
            "context_length": 4096,
            "tools": "hermes",
            "sampling": {"temperature": 0},
        },
        {
            "source": "/var/lib/parrotpark/localcloud/models/all-MiniLM-L6-v2",
            "purpose": "embedding",
            "context_length": 256,
        },
    ]
    catalogue = folder.parent / "catalogue.json"
    catalogue.write_text(json.dumps({"parrotpark_models": models}))
    try:
        site("--extra-vars", f"@{catalogue}")
        yield folder.name
    finally:
        site()


def test_by_the_api(client: openai.OpenAI, taught: str) -> None:
    name = random.choice(NAMES)
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    ask: Any = client.chat.completions.create
    (call,) = ask(model=taught, messages=messages, tools=[TOOL]).choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("parrot_name", {})
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": name},
    ]
    said = ask(model=taught, messages=messages, tools=[TOOL]).choices[0].message.content
    assert said == f"The parrot is called {name}."


def test_in_the_chat(browse_as_admin: httpx2.Client, chat: Page, endpoints: Endpoints, taught: str) -> None:
    name = random.choice(NAMES)
    tool = {
        "id": "parrots",
        "name": "Parrots",
        "content": IN_CHAT.format(name=name),
        "meta": {"description": "Parrots"},
    }
    browse_as_admin.post("/api/v1/tools/create", json=tool).raise_for_status()
    try:
        # The address takes tools, too, but loses them where the page has not loaded their list yet.
        chat.goto(f"{endpoints.chat}/?models={taught}")
        chat.get_by_label("Integrations").click()
        chat.get_by_role("menuitem", name="Tools").click()
        chat.get_by_role("menuitemcheckbox", name="Parrots").click()
        chat.keyboard.press("Escape")
        ask(chat, QUESTION)
        chat.wait_for_url("**/c/*")
        url = f"/api/v1/chats/{chat.url.rsplit('/', 1)[1]}"
        stored = answer(
            QUESTION,
            lambda: browse_as_admin.get(url).raise_for_status().json(),
            lambda *_: f"The parrot is called {name}.",
            ANSWER_SECONDS,
        )
        assert name in stored
    finally:
        browse_as_admin.delete("/api/v1/tools/id/parrots/delete").raise_for_status()
