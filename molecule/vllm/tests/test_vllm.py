"""A host is prepared without a key, and serves from the moment it has one."""

import json

import pytest
from testinfra.host import Host

UNIT = "vllm@generate.service"
KEY = "a-key-of-the-model-server"
URL = "http://127.0.0.1:8001"


@pytest.fixture(scope="module")
def serving(host: Host) -> None:
    host.run_test("install --mode=0600 /dev/null /etc/vllm/api_key")
    host.run_test("printf %s > /etc/vllm/api_key", KEY)
    host.run_test("systemctl start %s", UNIT)
    host.run_test("curl --silent --fail --retry 60 --retry-all-errors --retry-delay 5 %s", f"{URL}/health")


def chat(host: Host, key: str) -> tuple[int, str]:
    """Ask for the capital of France; returns status and body."""
    request = {
        "model": "parrot",
        "temperature": 0,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
    }
    result = host.run(
        "curl --silent --write-out '\\n%%{http_code}' --json %s --header %s %s",
        json.dumps(request),
        f"Authorization: Bearer {key}",
        f"{URL}/v1/chat/completions",
    )
    body, _, status = result.stdout.rpartition("\n")
    return int(status), body


def test_nothing_starts_without_a_key(host: Host) -> None:
    service = host.service(UNIT)
    assert service.is_enabled
    assert host.run("systemctl start %s", UNIT).rc == 0
    assert not service.is_running


@pytest.mark.usefixtures("serving")
def test_answers_the_question(host: Host) -> None:
    status, body = chat(host, KEY)
    assert status == 200
    assert "Paris" in json.loads(body)["choices"][0]["message"]["content"]


@pytest.mark.usefixtures("serving")
def test_refuses_another_key(host: Host) -> None:
    assert chat(host, "another")[0] == 401


@pytest.mark.usefixtures("serving")
def test_the_key_is_in_no_command_line(host: Host) -> None:
    assert KEY not in host.run("ps -eo args").stdout
