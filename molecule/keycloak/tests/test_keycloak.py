"""Keycloak as people's browsers, programs and the host's owner meet it."""

from __future__ import annotations

import json
import time
from typing import Any

from testinfra.host import Host

UNIT = "keycloak.service"
SECRETS = ("the-password/of", "the-automation-secret/of")
READY = "curl --silent --fail http://127.0.0.1:9000/health/ready"
CONFIG = ".well-known/openid-configuration"
# As the role gives it to Keycloak.
READ_SECRET = "set -a; . /etc/keycloak/secrets.env"
PEOPLE = "https://auth.parrotpark.example"


def ask(host: Host, *arguments: str) -> Any:
    """Ask Keycloak on its port, as the reverse proxy and a tunnel do."""
    command = "curl --silent --max-time 30 " + " ".join(["%s"] * len(arguments))
    said = host.check_output(command, *arguments)
    return json.loads(said) if said else None


def test_runs_now_and_at_boot(host: Host) -> None:
    service = host.service(UNIT)
    assert service.is_running
    assert service.is_enabled


def test_listens_on_loopback_only(host: Host) -> None:
    java = host.check_output("ss --no-header --listening --tcp --udp --numeric --processes | grep java").splitlines()
    addresses = {line.split()[4] for line in java}
    assert {"[::ffff:127.0.0.1]:8180", "[::ffff:127.0.0.1]:9000"} <= addresses
    assert [address for address in addresses if not address.startswith("[::ffff:127.0.0.1]:")] == []
