"""The running stack as its users reach it: through TLS that is verified against its own CA, in a browser and by API."""

import json
import os
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import httpx2
import openai
import pytest
import testinfra
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as TooLate
from testinfra.host import Host

from parrotpark.control.answers import Messages, Unanswered, answer
from parrotpark.control.sign_in import sign_in
from parrotpark.control.verify import ANSWER_SECONDS, Endpoints, load
from tests.e2e.pages import enter
from tests.machines import Boot, Machine

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
# No sandbox, because Chromium's refuses to run as root; no calls home, because the tests are about one server.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHAT_BEGINS = 30  # seconds


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", default=str(ROOT / "inventories/local"), help="inventory of the stack to test")
    parser.addoption("--screenshots", type=Path, help="folder for the pictures of docs/people.md")


@pytest.fixture(scope="session")
def endpoints(pytestconfig: pytest.Config) -> Endpoints:
    """Where the stack answers."""
    path = Path(pytestconfig.getoption("stack"), ".state", "endpoints.json")
    if not path.exists():
        pytest.exit(f"There is no stack to test: {path} is missing, run `make up` first.", returncode=1)
    return load(path)


@pytest.fixture(scope="session")
def generate_model(endpoints: Endpoints) -> str:
    return endpoints.chat_model


@pytest.fixture(scope="session")
def embed_model(endpoints: Endpoints) -> str:
    return endpoints.embedding_model


@pytest.fixture(scope="session")
def tls(endpoints: Endpoints) -> ssl.SSLContext:
    """Trusts the stack's own CA, or the system's where the stack has a public certificate."""
    return ssl.create_default_context(cafile=endpoints.ca or None)


@pytest.fixture(scope="session")
def client(endpoints: Endpoints, tls: ssl.SSLContext) -> Iterator[openai.OpenAI]:
    """The client that programs use, with the key that users get."""
    with httpx2.Client(verify=tls, trust_env=False, timeout=ANSWER_SECONDS) as http:
        yield openai.OpenAI(base_url=endpoints.api, api_key=endpoints.api_key, http_client=http)


@pytest.fixture(scope="session")
def says(client: openai.OpenAI) -> Callable[[str, Messages], str]:
    """Tells what a model answers, past the chat."""

    def says(model: str, messages: Messages) -> str:
        answer = client.chat.completions.create(model=model, messages=messages, temperature=0)  # type: ignore[arg-type]
        return answer.choices[0].message.content or ""

    return says


@pytest.fixture(scope="session")
def browse(endpoints: Endpoints, tls: ssl.SSLContext) -> Iterator[httpx2.Client]:
    """Asks for the chat's pages, signed in as nobody."""
    with httpx2.Client(base_url=endpoints.chat, verify=tls, trust_env=False, timeout=ANSWER_SECONDS) as http:
        yield http


@pytest.fixture(scope="session")
def admin(entry: Host) -> Iterator[Mapping[str, str]]:
    """Login of an administrator of the tests' own: the password of the real one is nobody's business."""
    with people(entry) as person:
        yield person("tests@parrotpark.invalid", "administrators")


@pytest.fixture(scope="module")
def person(entry: Host) -> Iterator[Callable[..., Mapping[str, str]]]:
    """Makes somebody who may sign in, with a password for good; nothing of them is left in the end."""
    with people(entry) as person:
        yield person


@contextmanager
def people(entry: Host) -> Iterator[Callable[..., Mapping[str, str]]]:
    made: list[str] = []

    def person(email: str, group: str = "staff", name: str = "Somebody Made-Up") -> Mapping[str, str]:
        login = {"email": email, "password": token_urlsafe()}
        account = json.dumps([{**login, "name": name, "groups": [group] if group else []}])
        entry.check_output("parrotpark-people erase --at-once %s; echo %s | parrotpark-people ensure", email, account)
        made.append(email)
        return login

    yield person
    for email in made:
        entry.check_output("parrotpark-people erase --at-once %s", email)


@pytest.fixture(scope="session")
def browse_as_admin(endpoints: Endpoints, tls: ssl.SSLContext, admin: Mapping[str, str]) -> Iterator[httpx2.Client]:
    """Asks for the chat's pages, signed in as an administrator."""
    with httpx2.Client(base_url=endpoints.chat, verify=tls, trust_env=False, timeout=ANSWER_SECONDS) as http:
        token = sign_in(endpoints.chat, endpoints.ca, admin["email"], admin["password"])
        http.headers["Authorization"] = f"Bearer {token}"
        yield http


@pytest.fixture(scope="session")
def entry(pytestconfig: pytest.Config) -> Host:
    """The entry server, through the way that Ansible takes."""
    return only_host(pytestconfig.getoption("stack"), "entry")


@pytest.fixture(scope="session")
def gpu(pytestconfig: pytest.Config) -> Host:
    """The GPU host, through the way that Ansible takes."""
    return only_host(pytestconfig.getoption("stack"), "gpu")


def only_host(inventory: str, group: str) -> Host:
    (host,) = testinfra.get_hosts([f"ansible://{group}"], ansible_inventory=inventory)
    return host


@pytest.fixture(scope="session")
def state() -> Callable[[Host], Mapping[str, str]]:
    """Tells all that a run could have touched: contents of /etc, every path of ours, and each service's invocation."""
    # All that run, apart from systemd's own helpers, which come and go.
    running = "systemctl list-units --type=service --state=running --plain --no-legend | cut -d' ' -f1"
    commands = {
        "etc": "find /etc -xdev -type f -print0 | sort -z | xargs -0 sha256sum",
        "opt": "find /opt /usr/local -xdev -printf '%p %y %m %U %s %T@\\n' | sort | sha256sum",
        "services": f"systemctl show --property=Id,InvocationID,MainPID $({running} | grep -Ev '^(user@|systemd-)')",
    }
    return lambda host: {name: host.check_output(command) for name, command in commands.items()}


@pytest.fixture(scope="session")
def chromium(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """A browser that knows nobody, and trusts the stack's CA as a user would who imported it."""
    home = tmp_path_factory.mktemp("home")
    if endpoints.ca:
        trust(home, endpoints.ca)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            home / "profile",
            executable_path=CHROMIUM,
            args=FLAGS,
            env={**os.environ, "HOME": str(home)},
            locale="en-US",
        )
        context.set_default_timeout(ANSWER_SECONDS * 1000)
        expect.set_options(timeout=ANSWER_SECONDS * 1000)
        yield context
        context.close()


def trust(home: Path, ca: str) -> None:
    """Import a CA into the certificate store that Chromium reads in a home directory."""
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    certutil = ["certutil", "-d", f"sql:{store}"]
    subprocess.run([*certutil, "-N", "--empty-password"], check=True)
    subprocess.run([*certutil, "-A", "-n", "parrotpark", "-t", "C,,", "-i", ca], check=True)


@pytest.fixture
def screenshot(pytestconfig: pytest.Config, tmp_path: Path) -> Callable[[Page, str], None]:
    """Keeps what a page shows, under a name."""
    folder = pytestconfig.getoption("--screenshots") or tmp_path

    def screenshot(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.jpg", type="jpeg", quality=80, animations="disabled")

    return screenshot


@pytest.fixture
def page(chromium: BrowserContext, endpoints: Endpoints) -> Iterator[Page]:
    """The sign-in page in a browser that holds no session."""
    chromium.clear_cookies()
    page = chromium.new_page()
    page.goto(f"{endpoints.chat}/health")  # of the chat's origin, and no page of it
    page.evaluate("localStorage.clear()")
    page.goto(endpoints.chat)
    page.locator("#username").wait_for()
    yield page
    page.close()


@pytest.fixture
def chat(page: Page, admin: Mapping[str, str]) -> Page:
    """A new chat, signed in as an administrator through the page."""
    enter(page, admin)
    page.locator("#chat-input").wait_for()
    return page


@pytest.fixture(scope="session")
def answered(browse_as_admin: httpx2.Client, says: Callable[[str, Messages], str]) -> Callable[[Page, str], str]:
    """Waits until the question just asked on a page is answered, there and in the store; returns the answer."""

    def answered(page: Page, question: str) -> str:
        try:
            page.wait_for_url("**/c/*", timeout=CHAT_BEGINS * 1000)
        except TooLate as late:
            raise Unanswered("the page began no chat") from late
        url = f"/api/v1/chats/{page.url.rsplit('/', 1)[1]}"

        def read() -> Any:
            try:
                return browse_as_admin.get(url).raise_for_status().json()
            except httpx2.HTTPError as error:
                raise Unanswered(f"the chat does not tell what it stored: {error}") from error

        said = answer(question, read, says, ANSWER_SECONDS)
        words = re.findall(r"\w+", said.strip().splitlines()[0])  # what Markdown makes of the rest is the page's affair
        expect(page.locator(".chat-assistant").last).to_contain_text(re.compile(r"\W+".join(words)))
        return said

    return answered


@pytest.fixture(scope="module")
def stranger(boot: Boot) -> Machine:
    """Somebody else's machine on the same network."""
    return boot("stranger")
