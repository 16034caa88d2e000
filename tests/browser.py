"""A browser on a machine, as far as curl is one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from testinfra.host import Host

type Curl = Callable[..., Answer]


@dataclass(frozen=True)
class Answer:
    """What a server has said."""

    status: int
    headers: dict[str, str]
    cookies: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())


@pytest.fixture(scope="module")
def curl(host: Host) -> Curl:
    """Asks for an address."""

    def curl(url: str, *arguments: str, given: str = "") -> Answer:
        command = shlex.join(["curl", "--silent", "--show-error", "--max-time", "60", "-i", *arguments, url])
        said = host.check_output(f"printf %s {shlex.quote(given)} | {command}")
        head, _, body = said.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.splitlines()
        headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
        set_cookies = [value.partition(";")[0].partition("=") for name, value in headers if name == "set-cookie"]
        cookies = {name: value for name, _, value in set_cookies}
        return Answer(int(first.split()[1]), dict(headers), cookies, body)

    return curl


def come_back(curl: Curl, way_in: str, person: str, *there: str) -> Answer:
    """Let somebody sign in at molecule/shared/provider.py, by the arguments `there`, and come back to the chat."""
    sent = curl(way_in)
    back = urlsplit(curl(sent.headers["location"], *there, "--cookie", f"person={person}").headers["location"])
    chat = urlsplit(way_in)
    return curl(f"{chat.scheme}://{chat.netloc}{back.path}?{back.query}", "--cookie", sent.cookie)
