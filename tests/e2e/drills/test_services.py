"""What people stand on is killed: who needs it waits some seconds, the others notice nothing, and nobody mends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx2
import openai
import pytest
from testinfra.host import Host

from localcloud.machine import podman, s3
from parrotpark.control.sign_in import SignInFailed, sign_in
from parrotpark.control.verify import Endpoints

PATIENCE = 180  # seconds
ASK, READ, SIGN_IN, UPLOAD = "a question by the API", "an old chat", "a sign-in", "an upload"


@pytest.fixture
def session(browse: httpx2.Client, endpoints: Endpoints) -> Iterator[httpx2.Client]:
    """Somebody who was signed in before."""
    token = sign_in(endpoints.chat, endpoints.ca, endpoints.check_email, endpoints.check_password)
    browse.headers["Authorization"] = f"Bearer {token}"
    yield browse
    del browse.headers["Authorization"]


@pytest.fixture
def deeds(
    session: httpx2.Client, endpoints: Endpoints, client: openai.OpenAI, generate_model: str
) -> dict[str, Callable[[], object]]:
    """What people do, each once; it fails where it does not work."""
    question = "What is the capital of France?"
    complete = client.with_options(max_retries=0, timeout=20).completions.create
    chat = session.post("/api/v1/chats/new", json={"chat": {"title": "Old"}}).raise_for_status().json()["id"]

    def upload() -> None:
        file = {"file": ("parrot.txt", "A parrot.", "text/plain")}
        sent = session.post("/api/v1/files/", params={"process": "false"}, files=file, timeout=20).raise_for_status()
        session.delete(f"/api/v1/files/{sent.json()['id']}").raise_for_status()

    return {
        ASK: lambda: complete(model=generate_model, prompt=question, max_tokens=4),
        READ: lambda: session.get(f"/api/v1/chats/{chat}", timeout=20).raise_for_status(),
        SIGN_IN: lambda: sign_in(endpoints.chat, endpoints.ca, endpoints.check_email, endpoints.check_password),
        UPLOAD: upload,
    }


def works(deed: Callable[[], object]) -> bool:
    with suppress(openai.APIError, httpx2.HTTPError, SignInFailed):
        deed()
        return True
    return False


@pytest.mark.parametrize(
    ("service", "stays"),
    [("keycloak", {ASK, READ, UPLOAD}), ("s3", {ASK, READ, SIGN_IN}), ("open-webui", {ASK}), ("postgresql", set())],
)
def test_what_is_killed_comes_back(
    entry: Host,
    deeds: dict[str, Callable[[], object]],
    service: str,
    stays: set[str],
    record_property: Callable[..., None],
) -> None:
    killed = time.monotonic()
    if service == "s3":
        podman.podman("kill", s3.NAME)
    else:
        unit = "postgresql@17-main" if service == "postgresql" else service
        entry.check_output("systemctl kill --signal=KILL %s.service", unit)
    assert {deed for deed in stays if works(deeds[deed])} == stays
    missing = dict.fromkeys(deeds.keys() - stays, 0.0)
    while left := [deed for deed, after in missing.items() if not after]:
        assert time.monotonic() - killed < PATIENCE, f"{left} work no more"
        for deed in left:
            if works(deeds[deed]):
                missing[deed] = time.monotonic() - killed
        time.sleep(0.5)
    for deed, seconds in missing.items():
        record_property(deed, round(seconds))
        print(f"{service} killed: {deed} works again after {seconds:.0f} s")
    assert [deed for deed in deeds if not works(deeds[deed])] == []
