"""What the front door is called, and who signs for it."""

from __future__ import annotations

import pytest

from parrotpark.control.front import addresses, other_addresses, own_ca, publicly_trusted, url


@pytest.mark.parametrize(
    ("domain", "port", "written"),
    [("ai.example.org", 443, "https://ai.example.org"), ("localhost", 8443, "https://localhost:8443")],
)
def test_the_url_names_a_port_only_where_it_says_something(domain: str, port: int, written: str) -> None:
    assert url(domain, port) == written


@pytest.mark.parametrize(
    ("domain", "port", "names"),
    [
        ("ai.example.org", 443, ["ai.example.org"]),
        ("ai.example.org", 8443, ["ai.example.org", "ai.example.org:8443"]),
    ],
)
def test_where_the_port_is_changed_both_are_answered(domain: str, port: int, names: list[str]) -> None:
    assert addresses(domain, port) == names


def test_behind_a_tunnel_the_machine_has_two_names() -> None:
    assert (other_addresses("localhost"), other_addresses("ai.example.org")) == (["127.0.0.1"], [])


def test_our_own_ca_is_known_by_its_certificate_alone() -> None:
    assert not publicly_trusted("internal")
    assert own_ca("internal", "/srv/data/caddy") == "/srv/data/caddy/pki/authorities/local/root.crt"
    assert publicly_trusted("acme")
    assert own_ca("acme", "/srv/data/caddy") == ""
