"""A site whose certificate comes by ACME, as a browser meets it that trusts the authority."""

from testinfra.host import Host


def test_the_authority_signed_for_the_name(host: Host) -> None:
    said = host.check_output(
        "curl --silent --show-error --retry 30 --retry-all-errors --retry-delay 1 --output /dev/null "
        "--write-out '%{http_code} %{certs}' https://chat.test/"
    )
    # Nobody answers behind it: the gateway's own 502, by TLS that curl has verified.
    assert said.startswith("502 ")
    assert "Subject:" in said
    assert "chat.test" in said
    assert "Caddy Local Authority" in said


def test_browsers_must_insist_on_it(host: Host) -> None:
    assert "strict-transport-security: max-age=31536000" in host.check_output("curl --silent --head https://chat.test/")


def test_plain_http_leads_to_it(host: Host) -> None:
    said = host.check_output("curl --silent --head http://chat.test/page").lower()
    assert said.startswith("http/1.1 308 ")
    assert "location: https://chat.test/page" in said


def test_the_account_has_the_address(host: Host) -> None:
    assert "it@chat.test" in host.check_output(
        "cat /srv/data/caddy/acme/acme.test-9443-acme-local-directory/users/*/*.json"
    )
