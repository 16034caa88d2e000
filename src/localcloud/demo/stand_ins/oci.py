"""Turn a root file system into a container image of one layer and put it into a registry, without a container engine.

What is written here is specified by the OCI image format and the OCI distribution API. An engine's import and push
would write and read the gigabytes three times more.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import platform
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from localcloud.core.backend import BackendError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CHUNK = 1 << 20
TIMEOUT = 120  # seconds


@dataclass(frozen=True, slots=True)
class Layer:
    """A compressed archive: its digest, that of the archive before compression, and its size in bytes."""

    path: Path
    digest: str
    uncompressed: str
    size: int


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of a registry that speaks plain HTTP."""

    registry: str | Path  # host:port, or a socket of this host
    name: str

    def digest(self, tag: str) -> str | None:
        """Return the digest behind a tag, or None where there is no such tag. Raises `BackendError`."""
        return self._ask("HEAD", f"manifests/{tag}", {"Accept": MANIFEST}, expect=(200, 404)).get(
            "Docker-Content-Digest"
        )

    def push(self, tag: str, layer: Layer, config: Mapping[str, Any]) -> str:
        """Upload an image of one layer and return its digest. Raises `BackendError`."""
        content = render(config_of(layer, config))
        with layer.path.open("rb") as archive:
            self._upload(archive, layer.digest, layer.size)
        self._upload(content, sha256(content), len(content))
        manifest = render(manifest_of(layer, content))
        self._ask("PUT", f"manifests/{tag}", {"Content-Type": MANIFEST}, body=manifest, expect=(201,))
        return sha256(manifest)

    def _upload(self, content: IO[bytes] | bytes, digest: str, size: int) -> None:
        started = self._ask("POST", "blobs/uploads/", expect=(202,))
        place = urlsplit(started["Location"])
        self._ask(
            "PUT",
            f"{place.path}?{place.query}&digest={digest}",
            {"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            body=content,
            expect=(201,),
        )

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: IO[bytes] | bytes | None = None,
        expect: Sequence[int],
    ) -> http.client.HTTPMessage:
        url = path if path.startswith("/") else f"/v2/{self.name}/{path}"
        try:
            with closing(connect(self.registry)) as connection:
                connection.request(method, url, body, dict(headers or {}))
                answer = connection.getresponse()
                said = answer.read().decode(errors="replace")
        except OSError as error:
            raise BackendError(f"registry {self.registry} does not answer: {error}") from error
        if answer.status not in expect:
            raise BackendError(f"registry {self.registry} answered {answer.status} to {method} {url}: {said}")
        return answer.headers


class LocalConnection(http.client.HTTPConnection):
    """HTTP at a socket of this host."""

    def __init__(self, path: Path) -> None:
        """Name the socket."""
        super().__init__("localhost", timeout=TIMEOUT, blocksize=CHUNK)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def connect(registry: str | Path) -> http.client.HTTPConnection:
    """Make the connection to a registry that speaks plain HTTP."""
    if isinstance(registry, Path):
        return LocalConnection(registry)
    return http.client.HTTPConnection(registry, timeout=TIMEOUT, blocksize=CHUNK)


def pack(root: Path, path: Path) -> Layer:
    """Archive and compress a root file system. Raises `BackendError` where `tar` or `zstd` is missing or fails."""
    archive = ["tar", "--create", "--numeric-owner", "--xattrs", "--sort=name", f"--directory={root}", "."]
    uncompressed = hashlib.sha256()
    try:
        with (
            path.open("wb") as target,
            subprocess.Popen(archive, stdout=subprocess.PIPE) as tar,
            subprocess.Popen(["zstd", "-q", "-T0"], stdin=subprocess.PIPE, stdout=target) as zstd,
        ):
            assert tar.stdout is not None
            assert zstd.stdin is not None
            while chunk := tar.stdout.read(CHUNK):
                uncompressed.update(chunk)
                zstd.stdin.write(chunk)
    except OSError as error:
        raise BackendError(f"packing {root}: {error}") from error
    if tar.returncode != 0 or zstd.returncode != 0:
        raise BackendError(f"packing {root}: tar ended with {tar.returncode}, zstd with {zstd.returncode}")
    with path.open("rb") as packed:
        digest = hashlib.file_digest(packed, "sha256").hexdigest()
    return Layer(path, f"sha256:{digest}", f"sha256:{uncompressed.hexdigest()}", path.stat().st_size)


def config_of(layer: Layer, config: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the image: for which machines it is, and how a container of it starts (the keys of `docker inspect`)."""
    return {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.uncompressed]},
    }


def manifest_of(layer: Layer, config: bytes) -> dict[str, Any]:
    """List the parts of the image."""
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": sha256(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size}],
    }


def render(document: Mapping[str, Any]) -> bytes:
    """Write JSON that is the same for the same content: digests are made of it."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def sha256(content: bytes) -> str:
    """Name content as registries do."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
