"""MongoDB as its users and the host's owner meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from testinfra.host import Host

UNIT = "mongodb.service"
ADMIN = 'the-admin\'s "password" of {the} test'
RIGHT = "the-password/of the:test@ü"
PROGRAM = Path(__file__).parents[3] / "roles/mongodb/files/users.py"
INSERT = """
import sys
from pymongo import MongoClient
who = {"username": sys.argv[1], "password": sys.argv[2], "authSource": sys.argv[3]} if sys.argv[1] else {}
collection = MongoClient(directConnection=True, **who)[sys.argv[4]].proof
collection.insert_one({"kept": True})
print(collection.count_documents({"kept": True}))
"""


def insert(name: str, password: str, source: str, database: str) -> tuple[str, ...]:
    return ("python3 -c %s %s %s %s %s", INSERT, name, password, source, database)


def keep(host: Host, admin: str = ADMIN, given: str = RIGHT, option: str = "") -> str:
    """Have the users kept as the playbook does."""
    user = {"name": "chat", "database": "LibreChat", "password": given}
    wanted = json.dumps({"port": 27017, "password": admin, "users": [user]})
    return str(host.check_output(f"echo %s | python3 -c %s {option}", wanted, PROGRAM.read_text()))


def test_runs_now_and_at_boot(host: Host) -> None:
    assert host.service(UNIT).is_running
    assert UNIT in host.check_output("ls /run/systemd/generator/multi-user.target.wants")


def test_listens_on_loopback_only(host: Host) -> None:
    listening = [socket for socket in host.socket.get_listening_sockets() if socket.endswith(":27017")]
    assert listening == ["tcp://127.0.0.1:27017"]


def test_a_user_writes_what_survives_a_kill(host: Host) -> None:
    before = int(host.check_output(*insert("chat", RIGHT, "LibreChat", "LibreChat")))
    # The journal is written ten times a second; until then what it has said yes to is in its memory alone.
    host.check_output("sleep 1; podman kill --signal KILL mongodb")
    host.check_output("timeout 120 sh -c 'sleep 1; until systemctl is-active --quiet mongodb; do sleep 1; done'")
    assert int(host.check_output(*insert("chat", RIGHT, "LibreChat", "LibreChat"))) == before + 1
    assert host.file("/srv/data/mongodb/db/WiredTiger").user == "mongodb"


@pytest.mark.parametrize(
    ("name", "password", "source", "database"),
    [
        ("", "", "", "LibreChat"),
        ("chat", "wrong", "LibreChat", "LibreChat"),
        ("chat", RIGHT, "LibreChat", "other"),
    ],
)
def test_nobody_else_gets_in(host: Host, name: str, password: str, source: str, database: str) -> None:
    refused = host.run(*insert(name, password, source, database))
    assert refused.rc == 1
    assert "OperationFailure" in refused.stderr


def test_a_changed_password_is_set_back(host: Host) -> None:
    assert keep(host) == ""
    assert keep(host, given="another", option="--check") == "user chat"
    assert keep(host) == ""
    assert keep(host, given="another") == "user chat"
    assert host.run(*insert("chat", RIGHT, "LibreChat", "LibreChat")).rc == 1
    assert keep(host) == "user chat"
    host.check_output(*insert("chat", RIGHT, "LibreChat", "LibreChat"))


def test_another_password_of_the_administrator_is_told_in_one_line(host: Host) -> None:
    with pytest.raises(AssertionError, match="mongodb_admin_password: MongoDB knows another password"):
        keep(host, admin="another")


def test_the_series_of_the_data_is_noted(host: Host) -> None:
    assert host.file("/srv/data/mongodb/RELEASE").content_string == "8.0\n"


def test_is_an_unprivileged_process(host: Host) -> None:
    pid = host.check_output("podman inspect --format '{{.State.Pid}}' mongodb")
    status = dict(line.split(":", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines())
    assert status["Uid"].split() == ["8083"] * 4
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert "Read-only file system" in host.run("podman exec --user=0 mongodb touch /etc/x").stderr


def test_shows_its_secrets_to_nobody(host: Host) -> None:
    seen = host.check_output("cat /etc/containers/systemd/*; podman inspect mongodb; ps -eo args; journalctl")
    assert not [secret for secret in (ADMIN, RIGHT, "the-admin", "the-password") if secret in seen]
