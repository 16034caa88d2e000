"""Secrets are made once, stay what they are, and reach no message."""

from __future__ import annotations

import base64
import re
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.control.secrets import ssh_folder, store
from parrotpark.control.secrets.catalogue import SECRETS, KeyPair, Password, SecretsError, fill_gaps
from parrotpark.control.secrets.keys import KeyFormatError, SshAlgorithm, WireguardAlgorithm, password

FULL = fill_gaps({}, ["gpu-1"]).values


# ---- Keys -------------------------------------------------------------------------------------------------------


def test_a_password_needs_no_quoting_anywhere() -> None:
    assert re.fullmatch(r"[A-Za-z0-9]{43}", password())
    assert password() != password()


def test_ssh_keys_are_what_ssh_keygen_reads(tmp_path: Path) -> None:
    private = SshAlgorithm().private()
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(private)
    public = subprocess.run(["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True).stdout
    assert public.split()[:2] == SshAlgorithm().public(private).split()


def test_wireguard_keys_follow_the_published_vector() -> None:
    """RFC 7748, section 5.2: the scalar 9 times the base point, which is 9."""
    private = base64.b64encode(b"\x09" + bytes(31)).decode()
    public = bytes.fromhex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")
    assert base64.b64decode(WireguardAlgorithm().public(private)) == public


def test_wireguard_keys_are_32_bytes_as_base64() -> None:
    assert len(base64.b64decode(WireguardAlgorithm().private(), validate=True)) == 32


@pytest.mark.parametrize("algorithm", [SshAlgorithm(), WireguardAlgorithm()])
def test_a_broken_private_key_is_not_quoted(algorithm: SshAlgorithm | WireguardAlgorithm) -> None:
    with pytest.raises(KeyFormatError) as caught:
        algorithm.public("topsecret")
    assert "topsecret" not in str(caught.value)


# ---- Gaps -------------------------------------------------------------------------------------------------------


def test_from_nothing_everything_is_made() -> None:
    names = {f"vault_{secret.name}" for secret in SECRETS if isinstance(secret, Password)}
    pairs = {f"vault_{secret.name}" for secret in SECRETS if isinstance(secret, KeyPair)}
    halves = {f"{name}_{half}_key" for name in pairs for half in ("private", "public")}
    assert {"vault_litellm_master_key", "vault_user_api_key"} < names
    assert FULL.keys() == {*names, *halves, "vault_slots"}
    slots = FULL["vault_slots"]
    assert isinstance(slots, dict)
    assert slots.keys() == {"gpu-1"}
    assert slots["gpu-1"].keys() == {
        "wireguard_private_key",
        "wireguard_public_key",
        "ssh_host_private_key",
        "ssh_host_public_key",
    }
    assert str(FULL["vault_litellm_master_key"]).startswith("sk-")


def test_every_secret_says_what_it_is_for() -> None:
    assert all(secret.purpose for secret in SECRETS)
    assert len({secret.name for secret in SECRETS}) == len(SECRETS)


def test_a_full_file_has_no_gaps() -> None:
    assert fill_gaps(FULL, ["gpu-1"]) == fill_gaps(FULL, [])
    assert fill_gaps(FULL, ["gpu-1"]).made == ()


@given(st.sets(st.sampled_from(sorted(FULL.keys() - {"vault_slots"}))), st.integers(0, 3))
def test_gaps_are_filled_and_nothing_else_is_touched(gaps: set[str], count: int) -> None:
    existing = {name: value for name, value in FULL.items() if name not in gaps} | {"mine": ["kept"]}
    names = [f"gpu-{number}" for number in range(1, count + 1)]
    filled = fill_gaps(existing, names)
    # The public half of a pair follows from its private one, so a new private key changes both.
    remade = gaps | {name.replace("private_key", "public_key") for name in gaps if name.endswith("private_key")}
    assert filled.values.keys() == FULL.keys() | {"mine"}
    assert {name for name in existing if filled.values[name] != existing[name]} <= remade | {"vault_slots"}
    slots = filled.values["vault_slots"]
    assert isinstance(slots, dict)
    assert slots["gpu-1"] == FULL["vault_slots"]["gpu-1"]  # type: ignore[index]
    assert slots.keys() == {"gpu-1", *names}
    again = fill_gaps(filled.values, names)
    assert (again.made, again.values) == ((), filled.values)


def test_a_lost_public_key_comes_back_the_same() -> None:
    rest = {name: value for name, value in FULL.items() if name != "vault_entry_wireguard_public_key"}
    filled = fill_gaps(rest, ["gpu-1"])
    assert filled.made == ("vault_entry_wireguard_public_key",)
    assert filled.values == FULL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vault_vllm_api_key": 1234}, "vault_vllm_api_key is not text"),
        ({"vault_slots": ["topsecret"]}, "vault_slots is not a mapping"),
        ({"vault_slots": {"gpu-1": "topsecret"}}, r"vault_slots\.gpu-1 is not a mapping"),
        ({"vault_slots": {"gpu-1": {"wireguard_private_key": "topsecret"}}}, "is not a WireGuard private key"),
        ({"vault_deploy_ssh_private_key": "topsecret"}, "vault_deploy_ssh_private_key is not an OpenSSH private key"),
    ],
)
def test_what_is_no_secret_is_named_but_not_shown(change: dict[str, object], message: str) -> None:
    with pytest.raises(SecretsError, match=message) as caught:
        fill_gaps({**FULL, **change}, ["gpu-1"])
    assert "topsecret" not in str(caught.value)


# ---- The file ---------------------------------------------------------------------------------------------------


class Backwards:
    """Not a good cipher, but one whose work can be seen."""

    def encrypt(self, text: str) -> bytes:
        return text[::-1].encode()

    def decrypt(self, content: bytes) -> str:
        return content.decode()[::-1]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secrets.yml"
    store.write(path, FULL, Backwards())
    assert store.read(path, Backwards()) == FULL
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "vault_vllm_api_key" not in path.read_text()
    assert [entry.name for entry in path.parent.iterdir()] == ["secrets.yml"]


def test_keys_are_written_as_people_read_them(tmp_path: Path) -> None:
    store.write(tmp_path / "s.yml", FULL, Backwards())
    text = Backwards().decrypt((tmp_path / "s.yml").read_bytes())
    assert "vault_deploy_ssh_private_key: |\n  -----BEGIN OPENSSH PRIVATE KEY-----\n" in text


def test_a_file_that_is_not_there_or_empty_holds_nothing(tmp_path: Path) -> None:
    assert store.read(tmp_path / "s.yml", Backwards()) == {}
    (tmp_path / "s.yml").write_bytes(Backwards().encrypt("# nothing yet\n"))
    assert store.read(tmp_path / "s.yml", Backwards()) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [topsecret", "is not YAML: repair"), ("[topsecret]", "is not a mapping: repair")],
)
def test_a_file_that_cannot_be_understood_is_named_but_not_shown(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.yml").write_bytes(Backwards().encrypt(text))
    with pytest.raises(SecretsError, match=message) as caught:
        store.read(tmp_path / "s.yml", Backwards())
    assert "topsecret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_folder_in_the_way_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SecretsError, match="cannot be read: Is a directory"):
        store.read(tmp_path, Backwards())
    (tmp_path / "file").touch()
    with pytest.raises(SecretsError, match="cannot be written"):
        store.write(tmp_path / "file" / "s.yml", FULL, Backwards())


# ---- What ssh needs ---------------------------------------------------------------------------------------------


def keys_of(slots: list[str]) -> dict[str, str]:
    return ssh_folder.host_keys(FULL, entry_names=["entry", "192.0.2.1"], bake_names=["gpu-bake"], slot_names=slots)


def test_the_folder_is_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "ssh"
    keys = keys_of(["gpu-1"])
    assert ssh_folder.update(folder, FULL, keys, check=True) == ["id_ed25519", "id_ed25519.pub", "known_hosts"]
    assert not folder.exists()
    assert ssh_folder.update(folder, FULL, keys, check=False) == ["id_ed25519", "id_ed25519.pub", "known_hosts"]
    assert ssh_folder.update(folder, FULL, keys, check=False) == []
    assert stat.S_IMODE((folder / "id_ed25519").stat().st_mode) == 0o600
    (folder / "id_ed25519").chmod(0o640)
    assert ssh_folder.update(folder, FULL, keys, check=False) == ["id_ed25519"]
    assert stat.S_IMODE((folder / "id_ed25519").stat().st_mode) == 0o600


def test_ssh_finds_every_host_by_address_and_alias(tmp_path: Path) -> None:
    ssh_folder.update(tmp_path, FULL, keys_of(["gpu-1"]), check=False)

    def known(name: str) -> set[str]:
        found = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", tmp_path / "known_hosts"], check=True, capture_output=True, text=True
        )
        return {line.split(" ", 1)[1] for line in found.stdout.splitlines() if not line.startswith("#")}

    assert known("entry") == known("192.0.2.1") == {FULL["vault_entry_ssh_host_public_key"]}
    slot = FULL["vault_slots"]["gpu-1"]["ssh_host_public_key"]  # type: ignore[index]
    assert known("gpu-1") == {slot}
    assert known("gpu-bake") == {FULL["vault_bake_ssh_host_public_key"]}


def test_known_hosts_is_the_same_whatever_names_were_given_last() -> None:
    everything = ssh_folder.known_hosts("", {"entry": "key e", "192.0.2.1": "key e", "gpu-1": "key s"})
    assert ssh_folder.known_hosts(everything, {"entry": "key e"}) == everything
    assert ssh_folder.known_hosts(everything, {"entry": "key new"}).splitlines() == [
        "192.0.2.1 key e",
        "entry key new",
        "gpu-1 key s",
    ]
