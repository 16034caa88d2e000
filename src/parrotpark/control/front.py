"""The front door: the URL that people use, the names it answers to, and who signs its certificate."""

from __future__ import annotations

HTTPS = 443


def url(domain: str, port: int) -> str:
    """Write the URL that people use, with the port if it is not the usual one."""
    return f"https://{domain}" if port == HTTPS else f"https://{domain}:{port}"


def addresses(domain: str, port: int) -> list[str]:
    """List where the front door answers.

    Where something in front of the entry server changes the port, its own services use the port that people do, too.
    """
    return [domain] if port == HTTPS else [domain, f"{domain}:{port}"]


def names(domain: str, sign_on_domain: str, port: int, issuer: str) -> list[str]:
    """List the DNS names that shall lead to the entry server: none where something in front of it changes the port."""
    if port != HTTPS:
        return []
    return [domain] if issuer else [domain, sign_on_domain]


def other_addresses(domain: str) -> list[str]:
    """List what people may take for the same: through a tunnel either of the machine's own names."""
    return ["127.0.0.1"] if domain == "localhost" else []


def publicly_trusted(tls: str) -> bool:
    """Say whether browsers trust the certificate without further ado."""
    return tls == "acme"


def own_ca(tls: str, store: str) -> str:
    """Name the certificate of our own CA below Caddy's store; empty if a public CA signs."""
    return "" if publicly_trusted(tls) else f"{store}/pki/authorities/local/root.crt"
