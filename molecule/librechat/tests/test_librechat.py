"""LibreChat and its helpers as the host's owner meets them."""

from __future__ import annotations

import pytest
from testinfra.host import Host

UNITS = ("librechat", "librechat-rag", "librechat-search")
PORTS = {"librechat": 3080, "librechat-rag": 3081, "librechat-search": 7700}
SECRETS = (
    "the-password/of",
    "the-mongodb",
    "the-upstream-key",
    "the-client-secret",
    "the-session-secret",
    "the-s3-secret",
    "the-jwt-secret",
    "the-refresh-secret",
    "c0ffee01",
    "c0ffee02",
    "the-search-key",
)


@pytest.mark.parametrize("unit", UNITS)
def test_runs_now_and_at_boot(host: Host, unit: str) -> None:
    assert host.service(f"{unit}.service").is_running
    assert f"{unit}.service" in host.check_output("ls /run/systemd/generator/multi-user.target.wants")


@pytest.mark.parametrize("unit", UNITS)
def test_listens_on_loopback_only(host: Host, unit: str) -> None:
    sockets = host.socket.get_listening_sockets()
    port = PORTS[unit]
    assert [socket for socket in sockets if socket.endswith(f":{port}")] == [f"tcp://127.0.0.1:{port}"]


@pytest.mark.parametrize("unit", UNITS)
def test_is_an_unprivileged_process(host: Host, unit: str) -> None:
    pid = host.check_output("podman inspect --format '{{.State.Pid}}' %s", unit)
    status = dict(line.split(":", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines())
    assert status["Uid"].split() == ["8082"] * 4
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")


@pytest.mark.parametrize("unit", UNITS)
def test_writes_nowhere_but_into_its_data(host: Host, unit: str) -> None:
    assert "Read-only file system" in host.run("podman exec --user=0 %s touch /app/x", unit).stderr


def test_keeps_its_data_where_it_was_told(host: Host) -> None:
    for folder, unit in (("/app/uploads", "librechat"), ("/meili_data", "librechat-search")):
        host.check_output("podman exec %s touch %s/proof", unit, folder)
    assert host.file("/srv/data/librechat/uploads/proof").user == "librechat"
    assert host.file("/srv/data/librechat/search/proof").user == "librechat"


@pytest.mark.parametrize("unit", UNITS)
def test_reaches_nothing_but_loopback(host: Host, unit: str) -> None:
    program = "require('net').connect(process.argv[2], process.argv[1]).setTimeout(3000)"
    program += (
        ".on('connect', () => process.exit(0)).on('error', () => process.exit(2)).on('timeout', () => process.exit(2))"
    )
    reach = "podman exec %s node --eval %s %s %s"
    assert host.run(reach, unit, program, "127.0.0.1", "5432").rc == 0
    assert host.run(reach, unit, program, "10.77.0.1", "5000").rc == 2


def test_shows_its_secrets_to_nobody(host: Host) -> None:
    for name in ("secrets.env", "rag.env", "search.env"):
        file = host.file(f"/etc/librechat/{name}")
        assert (file.user, file.group, file.mode) == ("root", "root", 0o600)
    files = "/etc/containers/systemd/* /etc/librechat/settings.env /etc/librechat/librechat.yaml"
    seen = host.check_output(f"cat {files}; ps -eo args; journalctl")
    assert not [secret for secret in SECRETS if secret in seen]


def test_a_button_that_leads_nowhere_is_noticed_and_mended(host: Host) -> None:
    host.check_output("systemctl stop provider.service")
    assert host.run("systemctl restart librechat.service").failed
    host.check_output("systemctl start provider.service")
    host.check_output("timeout 120 sh -c 'until systemctl is-active --quiet librechat.service; do sleep 1; done'")
    assert host.run("curl --silent --fail --output /dev/null http://127.0.0.1:3080/oauth/openid").succeeded


def test_librechat_comes_after_its_helpers(host: Host) -> None:
    after = host.check_output("systemctl show --property=After --value librechat.service").split()
    assert {"librechat-rag.service", "librechat-search.service"} <= set(after)
