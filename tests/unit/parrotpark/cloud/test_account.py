"""A cloud is named once, with what its provider has of its own; what opens it is read late, and not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from parrotpark.cloud import Account, connect
from parrotpark.cloud.account import named
from parrotpark.cloud.errors import AuthFailed, InvalidRequest

GIVEN = {"name": "gpu", "provider": "hetzner", "credential_file": "/gpu.token"}


@pytest.mark.parametrize(
    ("provider", "own"),
    [
        ("hetzner", {"endpoint": "https://api.hetzner.cloud/v1", "image": "debian-13"}),
        ("openstack", {"image": "Debian 13"}),
        ("scaleway", {"endpoint": "https://api.scaleway.com", "image": "debian_trixie"}),
        ("moon", {}),
    ],
)
def test_what_is_left_out_is_the_providers_own(provider: str, own: dict[str, str]) -> None:
    given = {**GIVEN, "provider": provider}
    assert Account.of(given).to_dict() == {**given, **own}
    nothing = dict.fromkeys(("endpoint", "image", "region", "project"))
    assert Account.of({**given, **nothing}) == Account.of(given)
    said = {"endpoint": "https://cloud.example", "image": "debian-14", "region": "r", "project": "p"}
    assert Account.of({**given, **said}).to_dict() == {**given, **said}


def test_what_is_written_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    account = Account.of({**GIVEN, "credential_file": "~/gpu.token", "region": "r"})
    assert account.to_dict()["credential_file"] == f"{tmp_path}/gpu.token"
    assert Account.of(account.to_dict()).to_dict() == account.to_dict()


def test_a_credential_is_the_text_of_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "gpu.token").write_text(" topsecret\n")
    account = Account.of({**GIVEN, "credential_file": "~/gpu.token"})
    assert account.credential() == "topsecret"
    assert "topsecret" not in repr(account)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "does not exist: put the API token of the project there, or start the local cloud, which makes its own"),
        (b"\n", "is empty: put the API token there"),
        (b"\xff\xfe\xfa", "cannot be read: "),
    ],
)
def test_a_credential_that_is_none_is_one_line(tmp_path: Path, content: bytes | None, what: str) -> None:
    file = tmp_path / "gpu.token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(AuthFailed) as caught:
        connect(Account("gpu", "hetzner", str(file)))
    assert str(caught.value).startswith(f"the credential file {file} of cloud gpu {what}")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_credential(tmp_path: Path) -> None:
    with pytest.raises(AuthFailed, match="of cloud gpu cannot be read"):
        Account("gpu", "hetzner", str(tmp_path)).credential()


def test_a_cloud_is_found_by_its_name_alone() -> None:
    gpu, other = Account.of(GIVEN), Account.of({**GIVEN, "name": "other"})
    assert named([gpu, other], "other") is other
    with pytest.raises(InvalidRequest, match=r"^cloud 'moon' is not in parrotpark_clouds, which has: gpu, other$"):
        named([gpu, other], "moon")
    with pytest.raises(InvalidRequest, match="which has: none"):
        named([], "moon")


def test_a_provider_that_we_do_not_know_is_named(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    with pytest.raises(InvalidRequest, match=r"^provider 'moon' is unknown; known: hetzner"):
        connect(Account("gpu", "moon", str(tmp_path / "token")))
