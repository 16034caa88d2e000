"""The front door: the URL that people use, the names it answers to, and who signs for it."""

from __future__ import annotations

HTTPS = 443


def url(domain: str, port: int) -> str:
    """Write the URL that people use, with the port where it says something."""
    return f"https://{domain}" if port == HTTPS else f"https://{domain}:{port}"


def addresses(domain: str) -> list[str]:
    """List the names that the front door answers to: people behind a tunnel may write either of the machine's own."""
    return [domain, "127.0.0.1"] if domain == "localhost" else [domain]


def publicly_trusted(tls: str) -> bool:
    """Say whether browsers trust the certificate as it comes."""
    return tls == "acme"


def own_ca(tls: str, store: str) -> str:
    """Name the certificate of our own CA below Caddy's store; empty where a public CA signs."""
    return "" if publicly_trusted(tls) else f"{store}/pki/authorities/local/root.crt"
