"""The metadata service's answers, as Hetzner documents them."""

from __future__ import annotations

import pytest
import yaml
from starlette.testclient import TestClient

from localcloud import daemon
from localcloud.api import metadata
from tests.cloud_in_memory import PUBLIC_KEY, LocalCloud

ABOUT = metadata.Facts("web", 42, "10.77.0.10", "hel1", (PUBLIC_KEY,), "#cloud-config\n")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("metadata/hostname", "web"),
        ("metadata/instance-id", "42"),
        ("metadata/public-ipv4", "10.77.0.10"),
        ("metadata/region", "eu-central"),
        ("metadata/availability-zone", "hel1-dc1"),
        ("metadata/public-keys", f'["{PUBLIC_KEY}"]'),
        ("userdata", "#cloud-config\n"),
        ("metadata/private-networks", None),
    ],
)
def test_each_path_has_its_answer(path: str, text: str | None) -> None:
    assert metadata.answer(ABOUT, path) == text


def test_the_whole_is_yaml() -> None:
    whole = yaml.safe_load(metadata.answer(ABOUT, "metadata") or "")
    assert whole["instance-id"] == 42
    assert whole["public-keys"] == [PUBLIC_KEY]


def test_a_server_is_known_by_its_address(cloud: LocalCloud) -> None:
    cloud.do("/servers", {"name": "web", "server_type": "cx23", "image": "debian-13", "user_data": "#!/bin/sh\n"})
    own = TestClient(metadata.create_app(cloud.store), client=("10.77.0.10", 1))
    assert own.get("/hetzner/v1/metadata/hostname").text == "web"
    assert own.get("/hetzner/v1/userdata").text == "#!/bin/sh\n"
    stranger = TestClient(metadata.create_app(cloud.store), client=("10.77.0.99", 1))
    assert stranger.get("/hetzner/v1/metadata").status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_server_is_not_known_by_what_a_header_says(cloud: LocalCloud, header: str) -> None:
    cloud.do("/servers", {"name": "web", "server_type": "cx23", "image": "debian-13", "user_data": "#!/bin/sh\n"})
    config = daemon.uvicorn_config(metadata.create_app(cloud.store))
    config.load()
    local_user = TestClient(config.loaded_app, client=("127.0.0.1", 1))
    said = "for=10.77.0.10" if header == "Forwarded" else "10.77.0.10"
    assert local_user.get("/hetzner/v1/userdata", headers={header: said}).status_code == 404
