"""A GPU host steps into its slot: once, again, after a crash, and never from a wrong document."""

from __future__ import annotations

import io
import json
import stat
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.control.secrets.keys import SshAlgorithm
from parrotpark.control.slots import Slot, slot_document, slots
from parrotpark.gpu_host import join
from parrotpark.gpu_host.join import HostError
from parrotpark.shared.slot_document import DocumentError, SlotDocument

NOW = 1_800_000_000
SSH_KEY = SshAlgorithm().private()
KEY = b64encode(bytes(range(32))).decode()
PEER = b64encode(bytes(range(1, 33))).decode()
SECRETS = (KEY, "topsecret", SSH_KEY.splitlines()[2])


def document(**changes: Any) -> dict[str, Any]:
    return {
        **slot_document(
            Slot("gpu-1", "10.78.0.11"),
            network="10.78.0.0/24",
            listen_port=51820,
            wireguard_private_key=KEY,
            peer_public_key=PEER,
            peer_endpoint="192.0.2.1:51820",
            allowed_ips=["10.78.0.1/32"],
            ssh_host_key=SSH_KEY,
            vllm_api_key="topsecret",
        ).to_dict(),
        "lease": {"until": NOW + 3600},
        **changes,
    }


class FakeHost:
    """Remembers what was asked of it, and fails at one systemctl verb if told so."""

    def __init__(self) -> None:
        self.name = "debian"
        self.up = {join.SSH_UNIT}
        self.calls: list[str] = []
        self.fails_at = ""

    def hostname(self) -> str:
        return self.name

    def set_hostname(self, name: str) -> None:
        self.name = name

    def active(self, unit: str) -> bool:
        return unit in self.up

    def systemctl(self, *arguments: str) -> None:
        if arguments[0] == self.fails_at:
            raise HostError(f"systemctl {' '.join(arguments)}: it broke")
        self.calls.append(" ".join(arguments))
        self.up.add(arguments[-1])


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


def step_in(root: Path, host: FakeHost, values: dict[str, Any] | None = None, *, check: bool = False) -> list[str]:
    parsed = join.load(json.dumps(values or document()), NOW)
    return join.join(parsed, host, root=root, check=check)


def tree(root: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(root)): (stat.S_IMODE(path.stat().st_mode), path.read_text())
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_new_host_gets_its_whole_identity(tmp_path: Path, host: FakeHost) -> None:
    changes = step_in(tmp_path, host)
    written = tree(tmp_path)
    assert written["etc/parrotpark/credentials/vllm_api_key"] == (0o600, "topsecret")
    assert written["etc/parrotpark/credentials/lease_until"] == (0o600, f"{NOW + 3600}\n")
    assert written["etc/ssh/ssh_host_ed25519_key"] == (0o600, SSH_KEY)
    assert written["etc/ssh/ssh_host_ed25519_key.pub"] == (0o644, SshAlgorithm().public(SSH_KEY) + "\n")
    assert written["etc/hostname"] == (0o644, "gpu-1\n")
    assert stat.S_IMODE((tmp_path / "etc/parrotpark/credentials").stat().st_mode) == 0o700
    assert host.name == "gpu-1"
    assert host.calls == [
        "enable --now wg-quick@wg0.service",
        "reload ssh.service",
        "start --no-block parrotpark-models.target",
    ]
    assert changes[-3:] == host.calls
    assert not (tmp_path / "run/parrotpark-join.pending").exists()


def test_the_overlay_is_configured_for_wg_quick(tmp_path: Path, host: FakeHost) -> None:
    step_in(tmp_path, host)
    assert tree(tmp_path)["etc/wireguard/wg0.conf"] == (
        0o600,
        f"""# Written by parrotpark-join from the slot document.
[Interface]
PrivateKey = {KEY}
Address = 10.78.0.11/24
ListenPort = 51820

[Peer]
PublicKey = {PEER}
Endpoint = 192.0.2.1:51820
AllowedIPs = 10.78.0.1/32
PersistentKeepalive = 25
""",
    )


def test_the_second_time_changes_nothing(tmp_path: Path, host: FakeHost) -> None:
    step_in(tmp_path, host)
    before, host.calls = tree(tmp_path), []
    assert step_in(tmp_path, host) == []
    assert (tree(tmp_path), host.calls) == (before, [])


def test_check_says_what_the_real_run_does_and_does_nothing(tmp_path: Path, host: FakeHost) -> None:
    said = step_in(tmp_path, host, check=True)
    assert (tree(tmp_path), host.calls, host.name) == ({}, [], "debian")
    assert step_in(tmp_path, host) == said
    assert step_in(tmp_path, host, check=True) == []


def test_only_what_changed_is_written_and_only_its_unit_hears_of_it(tmp_path: Path, host: FakeHost) -> None:
    step_in(tmp_path, host)
    host.calls = []
    changes = step_in(tmp_path, host, document(credentials={"vllm_api_key": "other"}))
    assert changes == [
        "write /etc/parrotpark/credentials/vllm_api_key",
        "restart --no-block parrotpark-models.target",
    ]
    host.calls = []
    assert step_in(tmp_path, host, document(credentials={"vllm_api_key": "other"}, lease={"until": NOW + 9})) == [
        "write /etc/parrotpark/credentials/lease_until"
    ]
    assert host.calls == []


def test_wrong_permissions_are_repaired(tmp_path: Path, host: FakeHost) -> None:
    step_in(tmp_path, host)
    (tmp_path / "etc/wireguard/wg0.conf").chmod(0o644)
    assert step_in(tmp_path, host)[0] == "write /etc/wireguard/wg0.conf"
    assert tree(tmp_path)["etc/wireguard/wg0.conf"][0] == 0o600


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_a_join_that_broke_off_is_finished_by_the_next(tmp_path: Path, host: FakeHost, verb: str) -> None:
    step_in(tmp_path, host)
    changed = document(ssh_host_ed25519_key=SshAlgorithm().private())
    changed["wireguard"] = {**changed["wireguard"], "listen_port": 51821}
    host.fails_at = verb
    with pytest.raises(HostError, match=f"systemctl {verb} .*: it broke"):
        step_in(tmp_path, host, changed)
    host.fails_at, host.calls = "", []
    assert step_in(tmp_path, host, changed) == ["restart wg-quick@wg0.service", "reload ssh.service"]
    assert host.calls == ["restart wg-quick@wg0.service", "reload ssh.service"]
    assert step_in(tmp_path, host, changed) == []


def test_a_unit_that_is_down_is_started_again(tmp_path: Path, host: FakeHost) -> None:
    step_in(tmp_path, host)
    host.up.discard(join.WIREGUARD_UNIT)
    assert step_in(tmp_path, host) == ["enable --now wg-quick@wg0.service"]


def test_a_socket_activated_ssh_server_needs_no_reload(tmp_path: Path, host: FakeHost) -> None:
    host.up.clear()
    assert "reload ssh.service" not in step_in(tmp_path, host)


# ---- Documents --------------------------------------------------------------------------------------------------


keys = st.binary(min_size=32, max_size=32).map(lambda raw: b64encode(raw).decode())


@given(
    number=st.integers(1, 200),
    private_key=keys,
    public_key=keys,
    port=st.integers(1, 65535),
    keepalive=st.integers(0, 65535),
    api_key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    until=st.integers(NOW + 1, 10**12),
)
def test_every_document_that_we_build_is_read_back_as_it_was_meant(
    number: int, private_key: str, public_key: str, port: int, keepalive: int, api_key: str, until: int
) -> None:
    slot = slots(number, "10.78.0.0/24")[-1]
    built = slot_document(
        slot,
        network="10.78.0.0/24",
        wireguard_private_key=private_key,
        peer_public_key=public_key,
        peer_endpoint=f"entry.example.org:{port}",
        allowed_ips=["10.78.0.1/32"],
        ssh_host_key=SSH_KEY,
        vllm_api_key=api_key,
        listen_port=port,
        keepalive=keepalive,
    )
    values = replace(built, lease_until=until).to_dict()
    assert join.load(json.dumps(values), NOW) == SlotDocument(
        name=slot.name,
        wireguard_private_key=private_key,
        wireguard_address=f"{slot.address}/24",
        wireguard_listen_port=port,
        peer_public_key=public_key,
        peer_endpoint=f"entry.example.org:{port}",
        peer_allowed_ips=("10.78.0.1/32",),
        peer_keepalive=keepalive,
        ssh_host_key=SSH_KEY,
        vllm_api_key=api_key,
        lease_until=until,
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
paths = st.sampled_from(
    [
        *((key,) for key in document()),
        *(("wireguard", key) for key in document()["wireguard"]),
        *(("wireguard", "peer", key) for key in document()["wireguard"]["peer"]),
        ("credentials", "vllm_api_key"),
        ("lease", "until"),
    ]
)


def refusal_of(values: object) -> str | None:
    try:
        join.load(json.dumps(values), NOW)
    except DocumentError as error:
        return str(error)
    return None


@given(paths, json_values)
def test_whatever_stands_in_a_document_it_is_read_or_refused_by_name(path: tuple[str, ...], value: object) -> None:
    values = json.loads(json.dumps(document()))
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    problem = refusal_of(values)
    assert problem is None or path[-1] in problem
    assert problem is None or not any(secret in problem for secret in SECRETS)


def without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        for key in path[:-1]:
            values = values[key]
        del values[path[-1]]

    return change


def with_value(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without("slot"), "slot must be a name of lower-case letters"),
        (with_value("hostname", value="gpu-2"), "hostname 'gpu-2' must be the slot's name 'gpu-1'"),
        (with_value("wireguard", value=[]), "wireguard must be an object"),
        (with_value("wireguard", "private_key", value=KEY[:-4]), "wireguard.private_key must be 32 bytes as base64"),
        (with_value("wireguard", "private_key", value=KEY + "\n"), "wireguard.private_key must be"),
        (with_value("wireguard", "address", value="10.78.0.11"), "wireguard.address must be an address with prefix"),
        (with_value("wireguard", "listen_port", value=True), "wireguard.listen_port must be a whole number"),
        (with_value("wireguard", "listen_port", value=65536), "wireguard.listen_port must be a whole number"),
        (with_value("wireguard", "peer", "endpoint", value="192.0.2.1"), "wireguard.peer.endpoint must be host:port"),
        (with_value("wireguard", "peer", "endpoint", value="h:1\nX = y"), "wireguard.peer.endpoint must be host:port"),
        (with_value("wireguard", "peer", "allowed_ips", value=[]), "wireguard.peer.allowed_ips must be a list"),
        (with_value("wireguard", "peer", "allowed_ips", value=["10.78.0.1/24"]), "wireguard.peer.allowed_ips must be"),
        (with_value("ssh_host_ed25519_key", value=SSH_KEY.strip()), "ssh_host_ed25519_key must be an ed25519 key"),
        (with_value("ssh_host_ed25519_key", value=SSH_KEY.replace("b3Blbn", "AAAAAA")), "ssh_host_ed25519_key must be"),
        (with_value("credentials", "vllm_api_key", value="top secret"), "credentials.vllm_api_key must be text"),
        (with_value("credentials", "vllm_api_kye", value="x"), "credentials.vllm_api_kye is unknown"),
        (with_value("lease", "until", value=NOW - 10), "lease.until was 10 s ago"),
        (with_value("lease", "until", value="soon"), "lease.until must be a whole number"),
    ],
)
def test_a_problem_is_named_with_its_place(change: Callable[[dict[str, Any]], None], problem: str) -> None:
    values = json.loads(json.dumps(document()))
    change(values)
    with pytest.raises(DocumentError) as caught:
        join.load(json.dumps(values), NOW)
    (line,) = caught.value.problems
    assert line.startswith(problem)


def test_all_problems_are_named_at_once() -> None:
    values = document(slot="GPU 1", lease={})
    with pytest.raises(DocumentError) as caught:
        join.load(json.dumps(values), NOW)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '"topsecret"'])
def test_what_is_no_document_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(DocumentError, match=r"the document (is not JSON|must be an object)") as caught:
        join.load(text, NOW)
    assert "topsecret" not in str(caught.value)


def test_a_document_hides_its_secrets_when_printed() -> None:
    shown = repr(join.load(json.dumps(document()), NOW))
    assert not any(secret in shown for secret in SECRETS)


# ---- The command ------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: FakeHost) -> FakeHost:
    """Lets `main` act on a folder and a fake host instead of this machine."""
    real = join.join
    monkeypatch.setattr(join, "Machine", lambda: host)
    joined_until = join.joined_until
    monkeypatch.setattr(join, "joined_until", lambda path: joined_until(tmp_path / path.relative_to("/")))
    monkeypatch.setattr(join, "join", lambda doc, on, *, check: real(doc, on, root=tmp_path, check=check))
    return host


def run(monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return join.main(arguments)


def living_document() -> str:
    return json.dumps(document(lease={"until": int(time.time()) + 3600}))


@pytest.mark.usefixtures("machine")
def test_the_command_prints_one_line_of_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = living_document()
    assert run(monkeypatch, text, "--check") == 0
    assert run(monkeypatch, text) == 0
    assert run(monkeypatch, text) == 0
    check, first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert check == first
    assert first["changed"] is True
    assert second == {"changed": False, "changes": []}


@pytest.mark.usefixtures("machine")
def test_a_host_that_boots_again_keeps_its_slot_though_its_first_lease_is_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = living_document()
    assert run(monkeypatch, text) == 0
    monkeypatch.setattr(time, "time", lambda: NOW * 2.0)
    assert run(monkeypatch, text) == 0
    (tmp_path / "etc/parrotpark/credentials/lease_until").write_text("soon")
    assert run(monkeypatch, text) == 2


@pytest.mark.usefixtures("machine")
def test_the_command_reads_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "document.json").write_text(living_document())
    assert join.main(["--document", str(tmp_path / "document.json")]) == 0


@pytest.mark.usefixtures("machine")
def test_the_command_says_each_problem_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, json.dumps(document(lease={}, slot=1))) == 2
    assert capsys.readouterr().err.splitlines() == [
        "parrotpark-join: slot must be a name of lower-case letters, digits and '-'",
        "parrotpark-join: lease.until must be a whole number from 0 to 1000000000000",
    ]
    assert join.main(["--document", str(tmp_path / "gone.json")]) == 1
    assert "gone.json" in capsys.readouterr().err


def test_the_command_says_what_systemd_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], machine: FakeHost
) -> None:
    machine.fails_at = "enable"
    assert run(monkeypatch, living_document()) == 1
    assert capsys.readouterr().err == "parrotpark-join: systemctl enable --now wg-quick@wg0.service: it broke\n"
