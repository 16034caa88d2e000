"""Keycloak as people's browsers, programs and the host's owner meet it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from testinfra.host import Host

UNIT = "keycloak.service"
LOCAL = "http://127.0.0.1:8180"
TUNNEL = "http://localhost:8180"
PEOPLE = "https://auth.parrotpark.example"
AUTOMATION = {"client_id": "automation", "client_secret": 'the-automation-secret/of the:test ${x} \\ "#'}
# The reverse proxy says where people are, and who asks.
FORWARDED = ["--header", "X-Forwarded-Proto: https", "--header", "X-Forwarded-Host: auth.parrotpark.example"]


def ask(host: Host, url: str, *options: str) -> str:
    command = " ".join(["curl --silent --show-error --fail-with-body --max-time 60", *["%s"] * (len(options) + 1)])
    return str(host.check_output(command, *options, url))


def sign_in(host: Host) -> str:
    """Return a token of the account of programs."""
    form = [part for name, value in AUTOMATION.items() for part in ("--data-urlencode", f"{name}={value}")]
    said = ask(
        host, f"{LOCAL}/realms/master/protocol/openid-connect/token", "--data", "grant_type=client_credentials", *form
    )
    return str(json.loads(said)["access_token"])


def signs_in(host: Host) -> bool:
    try:
        return bool(sign_in(host))
    except AssertionError:
        return False


@pytest.fixture
def realm(host: Host) -> Iterator[str]:
    """A realm whose people reach Keycloak elsewhere than those who administer it."""
    name = str(uuid4())
    body = {"realm": name, "enabled": True, "attributes": {"frontendUrl": PEOPLE}}
    as_admin = ["--header", f"Authorization: Bearer {sign_in(host)}"]
    ask(host, f"{LOCAL}/admin/realms", *as_admin, "--json", json.dumps(body))
    yield name
    ask(host, f"{LOCAL}/admin/realms/{name}", *as_admin, "--request", "DELETE")


def test_runs_now_and_at_boot(host: Host) -> None:
    service = host.service(UNIT)
    assert service.is_running
    assert service.is_enabled


def test_listens_on_loopback_only(host: Host) -> None:
    java = host.check_output("ss --no-header --listening --tcp --udp --numeric --processes | grep java").splitlines()
    addresses = {line.split()[4] for line in java}
    assert {"[::ffff:127.0.0.1]:8180", "[::ffff:127.0.0.1]:9000"} <= addresses
    assert [address for address in addresses if not address.startswith("[::ffff:127.0.0.1]:")] == []


def test_says_how_it_is(host: Host) -> None:
    said = json.loads(ask(host, "http://127.0.0.1:9000/health/ready"))
    assert {"name": "Keycloak Initialized", "status": "UP"} in said["checks"]


def test_those_who_administer_and_people_have_an_address_each(host: Host, realm: str) -> None:
    """Whatever the request says of itself: addresses are in mail, too."""
    for name, address in (("master", TUNNEL), (realm, PEOPLE)):
        for options in ([], FORWARDED):
            said = json.loads(ask(host, f"{LOCAL}/realms/{name}/.well-known/openid-configuration", *options))
            assert said["issuer"] == f"{address}/realms/{name}"
            elsewhere = [url for url in said.values() if str(url).startswith("http") and not url.startswith(address)]
            assert elsewhere == []
    assert f'"authServerUrl": "{TUNNEL}"' in ask(host, f"{TUNNEL}/admin/master/console/")


def test_the_sign_in_page_needs_two_paths_only(host: Host, realm: str) -> None:
    form = f"{LOCAL}/realms/{realm}/protocol/openid-connect/auth?client_id=account&response_type=code&scope=openid"
    page = ask(host, f"{form}&redirect_uri={PEOPLE}/realms/{realm}/account/", *FORWARDED)
    linked = re.findall(r'(?:href|src|action)="([^"]+)"', page)
    assert f"{PEOPLE}/realms/{realm}/login-actions/authenticate" in " ".join(linked)
    paths = {link.removeprefix(PEOPLE) for link in linked if link.removeprefix(PEOPLE).startswith("/")}
    assert len(paths) > 3
    assert [path for path in paths if not path.startswith((f"/realms/{realm}/", "/resources/"))] == []


def test_survives_a_restart_of_its_database(host: Host) -> None:
    process = host.check_output("systemctl show --property=MainPID --value %s", UNIT)
    host.check_output("systemctl restart postgresql@17-main.service")
    # Each connection that it still holds is noticed when it is used, by somebody who then has to try again.
    deadline = time.monotonic() + 15
    while not signs_in(host):
        assert time.monotonic() < deadline
    assert host.check_output("systemctl show --property=MainPID --value %s", UNIT) == process


def test_starts_without_its_database_as_soon_as_it_comes(host: Host) -> None:
    host.check_output("systemctl stop postgresql@17-main.service %s", UNIT)
    host.check_output("systemctl start --no-block %s", UNIT)
    deadline = time.monotonic() + 60
    while int(host.check_output("systemctl show --property=NRestarts --value %s", UNIT)) == 0:
        assert time.monotonic() < deadline
        time.sleep(1)
    host.check_output("systemctl start postgresql@17-main.service")
    host.check_output("timeout 120 sh -c 'until systemctl --quiet is-active %s; do sleep 1; done'", UNIT)
    assert sign_in(host)


def test_its_program_is_not_its_own(host: Host) -> None:
    writable = r"find /opt/keycloak /etc/keycloak -not -type l '(' -perm /022 -or -not -user root ')'"
    assert host.check_output(writable) == ""


def test_no_other_version_is_left(host: Host) -> None:
    (home,) = host.check_output("ls /opt/keycloak").splitlines()
    assert f"/opt/keycloak/{home}/bin/kc.sh" in host.check_output("systemctl cat %s", UNIT)


def test_warns_of_nothing_at_start(host: Host) -> None:
    said = host.check_output("journalctl --unit=%s --invocation=0 --output=cat", UNIT)
    assert "Profile prod activated" in said
    assert [line for line in said.splitlines() if " WARN " in line or " ERROR " in line] == []


def test_shows_its_secrets_to_nobody(host: Host) -> None:
    secrets = host.file("/etc/keycloak/secrets.env")
    assert (secrets.user, secrets.group, secrets.mode) == ("root", "root", 0o600)
    seen = host.check_output("cat /etc/keycloak/keycloak.conf; systemctl cat %s; ps -eo args; journalctl", UNIT)
    assert "db-username" in seen
    assert [secret for secret in ("the-password/of", "the-automation-secret/of") if secret in seen] == []
    readable = "find /etc /opt/keycloak /var/cache /var/lib /tmp -xdev -type f -perm /004 -size -10M -print0"
    found = host.run(f"{readable} | xargs --null grep --files-with-matches --no-messages 'the-[a-z-]*/of the:test'")
    assert found.stdout == ""


def test_stays_within_its_memory(host: Host) -> None:
    peak = host.check_output("ps --no-headers -o rss -C java")
    assert int(peak) < 800_000


def test_unit_is_sandboxed(host: Host) -> None:
    host.check_output("systemd-analyze security --threshold=20 %s", UNIT)


def test_a_value_that_keycloak_does_not_know_is_refused(host: Host) -> None:
    judge = "/opt/keycloak/*/bin/kc.sh --config-file=$f update-compatibility metadata --file=/dev/null --optimized"
    spoil = "sed 's/^proxy-headers=.*/proxy-headers=sideways/' /etc/keycloak/keycloak.conf > $f"
    judged = host.run(f"f=$(mktemp --suffix=.conf) && {spoil} && {judge}; code=$?; rm $f; exit $code")
    assert judged.failed
    assert "Invalid value for option 'kc.proxy-headers'" in judged.stderr
