"""Images go into a registry as the distribution API has it, and what fails on the way is said."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from localcloud.core.backend import BackendError
from localcloud.demo.stand_ins import oci


class Registry(ThreadingHTTPServer):
    """Keeps blobs and manifests as a registry must: under the digest of what really arrived."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RegistryHandler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.broken = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class RegistryHandler(BaseHTTPRequestHandler):
    server: Registry

    def log_message(self, *_: object) -> None:
        pass

    def respond(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        manifest = self.server.manifests.get(self.path.rpartition("/")[2])
        if self.server.broken:
            self.respond(500)
        elif manifest is None:
            self.respond(404)
        else:
            self.respond(200, Docker_Content_Digest=oci.sha256(manifest))

    def do_POST(self) -> None:
        self.respond(202, Location="http://elsewhere.invalid/v2/chat/blobs/uploads/1?_state=secret")

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if "/manifests/" in self.path:
            self.server.manifests[self.path.rpartition("/")[2]] = content
            self.respond(201)
            return
        place, _, digest = self.path.partition("&digest=")
        if place == "/v2/chat/blobs/uploads/1?_state=secret" and oci.sha256(content) == digest:
            self.server.blobs[digest] = content
            self.respond(201)
        else:
            self.respond(400)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        threading.Thread(target=registry.serve_forever, daemon=True).start()
        yield registry
        registry.shutdown()


@pytest.fixture
def layer(tmp_path: Path) -> oci.Layer:
    root = tmp_path / "root"
    (root / "app").mkdir(parents=True)
    (root / "app" / "start.sh").write_text("#!/bin/sh\n")
    return oci.pack(root, tmp_path / "layer.tar.zst")


def test_a_layer_is_named_by_what_is_in_it(layer: oci.Layer) -> None:
    content = layer.path.read_bytes()
    assert (layer.digest, layer.size) == (oci.sha256(content), len(content))
    archive = subprocess.run(["zstd", "-dc", layer.path], check=True, capture_output=True).stdout
    assert layer.uncompressed == oci.sha256(archive)
    with tarfile.open(fileobj=io.BytesIO(archive)) as unpacked:
        assert unpacked.getnames() == [".", "./app", "./app/start.sh"]


def test_packing_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="tar ended with 2"):
        oci.pack(tmp_path / "absent", tmp_path / "layer")


def test_a_pushed_image_is_complete_and_found_by_its_tag(registry: Registry, layer: oci.Layer) -> None:
    repository = oci.Repository(registry.address, "chat")
    assert repository.digest("1.0") is None
    digest = repository.push("1.0", layer, {"Cmd": ["sh", "start.sh"]})
    assert repository.digest("1.0") == digest
    manifest = json.loads(registry.manifests["1.0"])
    config = json.loads(registry.blobs[manifest["config"]["digest"]])
    assert config["config"]["Cmd"] == ["sh", "start.sh"]
    assert config["rootfs"]["diff_ids"] == [layer.uncompressed]
    (described,) = manifest["layers"]
    assert hashlib.sha256(registry.blobs[described["digest"]]).hexdigest() == layer.digest.removeprefix("sha256:")
    assert described["size"] == layer.size


def test_the_same_content_has_the_same_digest(registry: Registry, layer: oci.Layer) -> None:
    repository = oci.Repository(registry.address, "chat")
    assert repository.push("1.0", layer, {}) == repository.push("1.1", layer, {})


def test_a_registry_that_fails_is_quoted(registry: Registry) -> None:
    registry.broken = True
    with pytest.raises(BackendError, match="answered 500 to HEAD"):
        oci.Repository(registry.address, "chat").digest("1.0")


def test_a_registry_that_is_not_there_is_named(registry: Registry) -> None:
    address = registry.address
    registry.server_close()
    with pytest.raises(BackendError, match=f"registry {address} does not answer"):
        oci.Repository(address, "chat").digest("1.0")
