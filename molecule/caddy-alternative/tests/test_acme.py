"""A site whose certificate comes by ACME, as a browser meets it that trusts the authority."""

from collections.abc import Iterator

import pytest
from testinfra.host import Host

PAGE = "https://chat.test/"


@pytest.fixture(autouse=True, scope="module")
def page(host: Host) -> Iterator[None]:
    """Answer behind Caddy, and wait until it has its certificate."""
    host.check_output("systemd-run --quiet --unit=page python3 -m http.server --bind 127.0.0.1 8080")
    host.check_output(f"curl --silent --show-error --fail --retry 30 --retry-all-errors --retry-delay 1 {PAGE}")
    yield
    host.check_output("systemctl stop page.service")


def test_the_authority_signed_for_the_name(host: Host) -> None:
    said = host.check_output(
        "openssl s_client -connect chat.test:443 -servername chat.test </dev/null 2>/dev/null"
        " | openssl x509 -noout -issuer -ext subjectAltName"
    )
    assert "Caddy Local Authority" in said
    assert "DNS:chat.test" in said


def test_browsers_must_insist_on_it(host: Host) -> None:
    said = host.check_output(f"curl --silent --show-error --fail --dump-header - --output /dev/null {PAGE}")
    assert "strict-transport-security: max-age=31536000" in said.lower()


def test_plain_http_leads_to_it(host: Host) -> None:
    said = host.check_output("curl --silent --head http://chat.test/page").lower()
    assert said.startswith("http/1.1 308 ")
    assert "location: https://chat.test/page" in said


def test_the_account_has_the_address(host: Host) -> None:
    assert "it@chat.test" in host.check_output("cat /srv/data/caddy/acme/*/users/*/*.json")
