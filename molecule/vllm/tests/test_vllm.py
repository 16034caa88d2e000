"""A host is prepared without a key, and serves from the moment it has one."""

import json

import pytest
from testinfra.host import Host

UNIT = "vllm@parrot.service"
KEY = "a-key-of-the-model-server"
URL = "http://127.0.0.1:8001"


@pytest.fixture(scope="module")
def serving(host: Host) -> None:
    host.check_output("install --mode=0600 /dev/null /etc/vllm/api_key")
    host.check_output("printf %s > /etc/vllm/api_key", KEY)
    host.check_output("systemctl start %s", UNIT)
    host.check_output("curl --silent --fail --retry 60 --retry-all-errors --retry-delay 5 %s", f"{URL}/health")


def ask(host: Host, path: str, key: str, request: object = None) -> tuple[int, str]:
    """Ask for a path; returns status and body."""
    result = host.run(
        "curl --silent --max-time 120 --write-out '\\n%%{http_code}' --header %s %s "
        + ("--json %s" if request else ""),
        *[f"Authorization: Bearer {key}", f"{URL}{path}", *([json.dumps(request)] if request else [])],
    )
    body, _, status = result.stdout.rpartition("\n")
    return int(status), body


def chat(host: Host, key: str, **more: object) -> tuple[int, str]:
    """Ask for the capital of France; returns status and body."""
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    request = {"model": "parrot", "temperature": 0, "max_tokens": 32, "messages": messages, **more}
    return ask(host, "/v1/chat/completions", key, request)


def test_nothing_starts_without_a_key(host: Host) -> None:
    service = host.service(UNIT)
    assert service.is_enabled
    assert host.run("systemctl start %s", UNIT).rc == 0
    assert not service.is_running


def test_nothing_is_left_of_a_model_that_is_no_longer_served(host: Host) -> None:
    enabled = host.check_output("ls /etc/systemd/system/multi-user.target.wants").split()
    assert [name for name in enabled if name.startswith("vllm")] == [UNIT]
    assert host.check_output("ls /opt/models").split() == ["parrot"]
    assert not [name for name in host.check_output("ls /etc/vllm").split() if name.startswith("former")]


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


@pytest.mark.usefixtures("serving")
def test_likelihoods_need_no_compiler(host: Host) -> None:
    status, body = chat(host, KEY, logprobs=True, top_logprobs=2)
    assert status == 200
    assert len(json.loads(body)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 2
    assert not host.exists("g++")


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/docs", "/openapi.json", "/invocations", "/tokenize", "/"])
def test_without_the_key_nothing_but_health_answers(host: Host, path: str) -> None:
    assert ask(host, path, "another")[0] == 401
    assert ask(host, "/health", "another")[0] == 200


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/tokenize", "/v1/models/", "//v1/models", "/V1/models"])
def test_with_the_key_there_is_no_more_than_is_needed(host: Host, path: str) -> None:
    assert ask(host, path, KEY)[0] == 404
    assert ask(host, "/v1/models", KEY)[0] == ask(host, "/metrics", KEY)[0] == 200


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize(
    "more",
    [
        {"n": 5},
        {"max_tokens": 32769},
        {"top_logprobs": 21, "logprobs": True},
        {"prompt_logprobs": 1},
        {"use_beam_search": True},
        {"chat_template": "{% for a in range(10**9) %}a{% endfor %}"},
        {"structured_outputs": {"regex": "(a|b){1,9999}"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"pattern": "(a+)+$"}}}},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://localhost/"}}]}]},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_request_that_asks_too_much_is_refused_in_a_line(host: Host, more: dict[str, object]) -> None:
    status, body = chat(host, KEY, **more)
    assert status == 400
    assert next(iter(more)) in json.loads(body)["error"]["message"]


@pytest.mark.usefixtures("serving")
def test_models_connect_to_themselves_and_to_nothing_else(host: Host) -> None:
    connect = "python3 -c 'import socket; socket.create_connection((\"%s\", %d), 5)'"
    ssh = host.interface.default().addresses[0]
    for address, port in ((ssh, 22), ("127.0.0.1", 22), ("127.0.0.1", 80), ("192.0.2.1", 443)):
        as_model = host.run(f"runuser --user=vllm -- {connect % (address, port)}")
        assert "Connection refused" in as_model.stderr, (address, port)
    assert host.run(connect % (ssh, 22)).rc == 0
    # The watch asks its model.
    assert host.run(f"runuser --user=vllm -- {connect % ('127.0.0.1', 8001)}").rc == 0
