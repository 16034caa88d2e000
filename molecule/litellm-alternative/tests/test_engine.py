"""LiteLLM with the engine that Prisma downloads."""

import json

from testinfra.host import Host

FOLDER = "/opt/litellm/prisma/native"


def test_the_database_answers_through_it(host: Host) -> None:
    key = "Authorization: Bearer sk-the-chat-key-of-the-test"
    said = host.check_output("curl --silent --show-error --fail --header %s http://127.0.0.1:4000/v1/models", key)
    assert [model["id"] for model in json.loads(said)["data"]] == ["absent"]


def test_only_prisma_says_where_its_engine_is(host: Host) -> None:
    pid = host.check_output("systemctl show --property=MainPID --value litellm.service")
    assert "PRISMA_QUERY_ENGINE_BINARY" not in host.check_output(f"cat /proc/{pid}/environ")


def test_each_engine_was_downloaded_once(host: Host) -> None:
    # Also not by a script of npm's packages, which would have asked for a library.
    asked = host.check_output("cat /srv/asked").splitlines()
    assert {line.split()[1].partition(".")[0] for line in asked} == {"query-engine", "schema-engine"}
    assert len(asked) == len(set(asked))


def test_npm_took_what_the_lock_names(host: Host) -> None:
    locked = json.loads(host.check_output(f"cat {FOLDER}/package-lock.json"))["packages"]
    taken = json.loads(host.check_output(f"cat {FOLDER}/node_modules/.package-lock.json"))["packages"]
    assert {name: package["version"] for name, package in locked.items() if name} == {
        name: package["version"] for name, package in taken.items()
    }
