"""What an inventory says of machines that are always there is judged in lines that say what to do."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePath
from typing import Any

import pytest

from parrotpark.cloud import Account
from parrotpark.cloud.box import Box
from parrotpark.cloud.errors import InvalidRequest
from parrotpark.control.boxes import connection, lan_open_ports, problems
from parrotpark.control.inventory import boxes, list_servers

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
ATTIC = {"name": "attic", "slot": "gpu-1", "address": "192.0.2.7", "host_key": KEY}
CELLAR = {**ATTIC, "name": "cellar", "slot": "gpu-2"}
LAN = {"lan_address": "10.0.0.1", "lan_interface": "eno1"}
SHED = {"name": "shed", "address": "192.0.2.8", "host_key": KEY, "lan_address": "10.0.0.2", "lan_interface": "eno2"}
TOGETHER = {**ATTIC, **LAN, "helpers": [SHED]}
ENTRY = {"name": "entry", "provider": "hetzner", "credential_file": "/t"}
GPU = {"name": "gpu", "provider": "hetzner", "credential_file": "/t"}
HERE = {"cloud": "gpu", "location": "fsn1", "server_type": "gpu-l4"}


def offer(box: str, **changes: str) -> dict[str, str]:
    return {"cloud": "home", "location": box, "server_type": "static", **changes}


def judge(
    hosts: list[dict[str, Any]],
    *,
    offers: list[dict[str, str]] | None = None,
    slots: int = 2,
    entry: str = "entry",
    **home: Any,
) -> list[str]:
    clouds = [ENTRY, GPU, {"name": "home", "provider": "static", "hosts": hosts, **home}]
    return problems(clouds, offers or [offer("attic"), HERE], slots, entry)


def test_what_is_right_passes() -> None:
    full = {**ATTIC, "port": 2222, "user": "ada", "then": "suspend.target", "wake_mac": "02:00:5e:10:00:01"}
    assert judge([full]) == []
    assert judge([TOGETHER]) == []
    assert judge([ATTIC, CELLAR], offers=[offer("attic"), offer("cellar")]) == []
    assert problems([ENTRY, GPU], [HERE], 2, "entry") == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "Attic"}, "name must be a name in small letters, digits and '-'"),
        ({"address": "attic; true"}, "address must be a name or an address"),
        ({"user": "-oProxyCommand"}, "user must be the name of a user"),
        (
            {"host_key": f"{KEY} root@attic"},
            "host_key must be the first two words of /etc/ssh/",
        ),
        ({"host_key": KEY.replace("ed25519", "rsa")}, "host_key must be the first two words of"),
        ({"port": 0}, "port must be a number from 1 to 65535"),
        ({"then": "suspend"}, "then must be the name of a target or a service"),
        ({"wake_mac": "02:00:5e"}, "wake_mac must be an address of a network card"),
    ],
)
def test_what_is_malformed_is_named_and_never_becomes_part_of_a_command(change: dict[str, Any], problem: str) -> None:
    name = change.get("name", "attic")
    (line,) = judge([ATTIC | change], offers=[offer(name), HERE])
    assert line.startswith(f"parrotpark_clouds: box {name}: {problem}")
    with pytest.raises(InvalidRequest, match="box "):
        connection(Box.of(ATTIC | change), PurePath("/ssh"))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"hosts": []}, "parrotpark_clouds: home names no hosts: "),
        ({"hosts": [ATTIC], "credential_file": "/t"}, "parrotpark_clouds: home has a credential_file or an endpoint"),
        ({"hosts": [ATTIC], "entry": "home"}, "parrotpark_entry_cloud is home, where no server can be made"),
        ({"hosts": [ATTIC | {"slot": "gpu-3"}]}, "parrotpark_clouds: box attic: slot gpu-3 is none of gpu-1, gpu-2, "),
        (
            {"hosts": [ATTIC], "offers": [HERE]},
            "parrotpark_gpu_offers lacks {cloud: home, location: attic, ",
        ),
        ({"hosts": [ATTIC], "offers": [offer("attic"), offer("garage"), HERE]}, "parrotpark_gpu_offers: there is no "),
        (
            {"hosts": [ATTIC], "offers": [offer("attic"), offer("attic", server_type="l4"), HERE]},
            "parrotpark_gpu_offers",
        ),
        ({"hosts": [ATTIC, ATTIC | {"slot": "gpu-2"}]}, "parrotpark_clouds: two boxes have the name attic"),
        (
            {"hosts": [ATTIC, CELLAR | {"slot": "gpu-1"}], "offers": [offer("attic"), offer("cellar"), HERE]},
            "parrotpark_clouds: two boxes have the slot gpu-1",
        ),
        ({"hosts": [ATTIC], "offers": [offer("attic")]}, "parrotpark_gpu_slots: nothing can serve in gpu-2: "),
        ({"hosts": [TOGETHER | {"lan_address": None}]}, "parrotpark_clouds: box attic: lan_address must be its IPv4 "),
        (
            {"hosts": [{**ATTIC, **LAN, "helpers": [SHED | {"lan_interface": "eno 1"}]}]},
            "parrotpark_clouds: box shed: lan_interface must be the name of its interface there, such as eno1",
        ),
        (
            {"hosts": [TOGETHER | {"helpers": [SHED | {"user": "-o"}]}]},
            "parrotpark_clouds: box shed: user must be the name of a user",
        ),
        ({"hosts": [TOGETHER | {"name": "shed"}]}, "parrotpark_clouds: two boxes have the name shed"),
        (
            {"hosts": [TOGETHER | {"lan_address": "10.0.0.2"}]},
            "parrotpark_clouds: two boxes have the lan_address 10.0.0.2",
        ),
    ],
)
def test_what_does_not_fit_together_is_named(given: dict[str, Any], problem: str) -> None:
    lines = judge(**given)
    assert any(line.startswith(problem) for line in lines), lines
    assert all("\n" not in line for line in lines)


def test_other_clouds_need_what_opens_them_and_have_no_hosts() -> None:
    strange = "parrotpark_clouds: gpu has hosts, but is not a static cloud: its servers are created"
    assert problems([ENTRY, {**GPU, "hosts": [ATTIC]}], [HERE], 2, "entry") == [strange]
    closed = "parrotpark_clouds: gpu lacks credential_file, the file with its token"
    assert problems([ENTRY, {**GPU, "credential_file": None}], [HERE], 2, "entry") == [closed]


def test_a_box_is_reached_directly_by_the_host_key_that_its_owner_gave(tmp_path: Path) -> None:
    variables = connection(Box.of(ATTIC | {"port": "2222", "user": "ada"}), tmp_path)
    arguments = shlex.split(str(variables.pop("ansible_ssh_common_args")))
    settings = dict(text.split("=", 1) for text in arguments if text != "-o")
    assert settings["KnownHostsCommand"] == f"/bin/echo attic {KEY}"
    assert (settings["HostKeyAlias"], settings["StrictHostKeyChecking"]) == ("attic", "yes")
    assert settings["UserKnownHostsFile"] == "/dev/null"
    assert "ProxyCommand" not in settings
    assert variables == {
        "ansible_host": "192.0.2.7",
        "ansible_port": 2222,
        "ansible_user": "ada",
        "ansible_become": True,
        "ansible_ssh_private_key_file": f"{tmp_path}/id_ed25519",
    }


def test_a_key_of_the_owners_is_used_and_root_needs_no_sudo(home: Path) -> None:
    variables = connection(Box.of(ATTIC | {"ssh_key_file": "~/key"}), PurePath("/ssh"))
    assert variables["ansible_ssh_private_key_file"] == f"{home}/key"
    assert variables["ansible_become"] is False


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


ACCOUNT = Account.of({"name": "home", "provider": "static", "hosts": [ATTIC, CELLAR]})


def test_boxes_are_hosts_of_the_inventory_without_asking_anybody() -> None:
    assert list_servers([ACCOUNT]) == ()
    found = boxes([ACCOUNT], PurePath("/ssh"), ["entry-server"])
    assert [(host.name, host.groups) for host in found] == [
        ("attic", ("gpu_static", "cloud_home")),
        ("cellar", ("gpu_static", "cloud_home")),
    ]
    box = found[1].variables["parrotpark_box"]
    assert isinstance(box, dict)
    assert (box["slot"], box["harden"], box["then"]) == ("gpu-2", True, "")


def test_those_that_compute_together_know_one_another_and_open_their_ports_to_nobody_else() -> None:
    account = Account.of({"name": "home", "provider": "static", "hosts": [TOGETHER]})
    assert Account.of(account.to_dict()) == account
    found = boxes([account], PurePath("/ssh"), [])
    assert [(host.name, host.groups, host.variables["ansible_host"]) for host in found] == [
        ("attic", ("gpu_static", "gpu_ray", "cloud_home"), "192.0.2.7"),
        ("shed", ("gpu_helper", "gpu_ray", "cloud_home"), "192.0.2.8"),
    ]
    attic, shed = (host.variables["parrotpark_lan"] for host in found)
    assert attic == {"hosts": ["10.0.0.1", "10.0.0.2"], "address": "10.0.0.1", "interface": "eno1"}
    assert shed == {"hosts": ["10.0.0.1", "10.0.0.2"], "address": "10.0.0.2", "interface": "eno2"}
    assert isinstance(shed, dict)
    opened = lan_open_ports(shed)
    assert [(rule["sources"], rule["interface"]) for rule in opened] == [(["10.0.0.1"], "eno2")] * 2


@pytest.mark.parametrize("taken", [["cellar"], ["gpu-1", "attic"]])
def test_a_box_has_the_name_of_no_other_host(taken: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="two hosts are named"):
        boxes([ACCOUNT], PurePath("/ssh"), taken)


def test_an_account_is_written_as_it_was_read() -> None:
    assert Account.of(ACCOUNT.to_dict()) == ACCOUNT
    assert "credential_file" not in ACCOUNT.to_dict()
    assert [account.makes for account in (ACCOUNT, Account.of(GPU))] == [False, True]
