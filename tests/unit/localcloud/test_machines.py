"""What Podman and cloud-init are told about a machine."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from localcloud import paths
from localcloud.core.backend import BackendError, Machine
from localcloud.machine import images, machines, network, podman, roots, seed, volumes

MACHINE = Machine(
    id=7,
    name="entry",
    image="debian-13",
    ipv4="10.77.0.10",
    cores=2,
    memory_gb=4,
    user_data="#cloud-config\nruncmd: [id]\n",
    ssh_public_keys=("ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"),
)
HOST = podman.Host(unified_cgroups=True, systemd=True, open_files=524_288, processes=95_000, process_ids=4_194_304)


def arguments(machine: Machine = MACHINE, host_cores: int = 8) -> list[str]:
    """What Podman is told."""
    return machines.container_arguments(machine, Path("/state/server-7"), Path("/run/netns/parrotpark-7"), host_cores)


def test_a_machine_is_not_privileged() -> None:
    told = arguments()
    assert "--privileged" not in told
    assert {"--cap-drop=SYS_TIME", "--cap-drop=SYS_MODULE", "--cap-drop=SYS_RAWIO"} <= set(told)
    assert "--cgroupns=private" in told


@pytest.mark.parametrize(("most_partitions", "minor"), [(0, 160), (7, 1280)])
def test_a_machine_has_devices_of_its_own(
    most_partitions: int, minor: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "max_part").write_text(f"{most_partitions}\n")
    monkeypatch.setattr(volumes, "MAX_PART", tmp_path / "max_part")
    own, neighbour = machines.devices(MACHINE), machines.devices(replace(MACHINE, ipv4="10.77.0.11"))
    assert own[2] == f"b 7:{minor} rwm"

    assert {rule for rule in own if rule in neighbour} == {"c 5:* rwm", "c 10:229 rwm"}


def test_what_a_snapshot_links_to_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "hosts").write_text("the host's")
    (tmp_path / "root/etc").symlink_to(tmp_path)
    with pytest.raises(BackendError, match="symbolic link"):
        machines.replace_file(tmp_path / "root/etc/hosts", "127.0.0.1 localhost\n")
    assert (tmp_path / "hosts").read_text() == "the host's"


def test_a_machine_has_the_size_of_its_type() -> None:
    told = arguments(replace(MACHINE, memory_gb=0.5))
    assert {"--memory=512m", "--cpus=2"} <= set(told)


def test_a_machine_larger_than_the_host_has_all_its_cores() -> None:
    assert not any(argument.startswith("--cpus") for argument in arguments(host_cores=2))


class Podman:
    """Fails as often as it is told; what was asked of it counts."""

    def __init__(self, failures: int) -> None:
        self.asked: list[str] = []
        self._failures = failures

    def __call__(self, *arguments: str) -> str:
        self.asked.append(arguments[0])
        if arguments[0] == "unpause" or self.asked.count(arguments[0]) > self._failures:
            return ""
        raise BackendError("podman failed: unable to freeze")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> machines.PodmanBackend:
    """Runs the machine, and makes snapshots of how many bytes they have: 1 at rest, 2 in use."""
    monkeypatch.setattr(podman, "configure", lambda: None)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(roots, "snapshot", lambda *_: 1)
    monkeypatch.setattr(roots, "snapshot_in_use", lambda *_: 2)
    monkeypatch.setattr(machines.PodmanBackend, "running", lambda _: frozenset({7}))
    return machines.PodmanBackend()


def test_a_booting_machine_is_frozen_at_last(backend: machines.PodmanBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman, "podman", told := Podman(failures=3))
    assert backend.snapshot(MACHINE, "snapshot-1") == 2
    assert told.asked == [*["pause"] * 4, "unpause"]


def test_a_machine_that_cannot_be_frozen_is_not_imaged(
    backend: machines.PodmanBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podman, "podman", told := Podman(failures=99))
    monkeypatch.setattr(machines, "PAUSE_SECONDS", -1.0)
    with pytest.raises(BackendError, match="unable to freeze"):
        backend.snapshot(MACHINE, "snapshot-1")
    assert "unpause" not in told.asked


def test_a_machine_that_goes_off_meanwhile_is_imaged_at_rest(
    backend: machines.PodmanBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podman, "podman", told := Podman(failures=99))
    monkeypatch.setattr(backend, "running", lambda: frozenset() if told.asked else frozenset({7}), raising=False)
    assert backend.snapshot(MACHINE, "snapshot-1") == 1


@pytest.mark.parametrize(("runs_on", "refused"), [(True, True), (False, False)])
def test_a_machine_that_is_off_is_not_shut_down(
    backend: machines.PodmanBackend, monkeypatch: pytest.MonkeyPatch, runs_on: bool, refused: bool
) -> None:
    monkeypatch.setattr(podman, "podman", told := Podman(failures=99))
    gone = frozenset[int]()
    monkeypatch.setattr(backend, "running", lambda: gone if told.asked and not runs_on else frozenset({7}))
    with pytest.raises(BackendError) if refused else nullcontext():
        backend.shutdown(MACHINE)
    assert told.asked == ["kill"]


def test_the_command_comes_last() -> None:
    assert arguments()[-4:] == ["--rootfs", "/state/server-7/root", "/bin/sh", "/run/localcloud/first-process"]


def test_the_journal_of_earlier_boots_is_not_laid_over() -> None:
    script = (machines.GUEST / "first-process").read_text()
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    unmounts, _, init = script.partition("exec /sbin/init")
    assert "umount /var/log/journal\n" in unmounts
    assert not init.strip()


def test_the_seed_carries_name_keys_and_user_data() -> None:
    files = seed.render(MACHINE)
    assert json.loads(files["meta-data"]) == {
        "instance-id": "7",
        "local-hostname": "entry",
        "public-keys": ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"],
    }
    assert files["user-data"] == MACHINE.user_data


def test_only_root_reads_the_seed(tmp_path: Path) -> None:
    seed.write(MACHINE, tmp_path / "seed")
    assert (tmp_path / "seed").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "seed").iterdir()} == {0o600}


def test_cloud_init_asks_nobody_else() -> None:
    config = yaml.safe_load(images.CLOUD_CONFIG)
    assert config["datasource_list"] == ["NoCloud"]


def test_an_image_is_built_anew_when_an_authority_or_a_proxy_is_added() -> None:
    recipes = [
        images.recipe("debian-13", certificates, proxies)
        for certificates, proxies in (([], []), ([b"CA"], []), ([], ['Acquire::http::Proxy "http://proxy:3142";']))
    ]
    assert len(set(recipes)) == 3
    assert images.recipe("debian-13", [], []) == recipes[0]


def test_apt_s_proxies_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = 'Acquire::http::Proxy "http://proxy:3142";'
    monkeypatch.setattr(images, "run", lambda *_: f'{proxy}\nAcquire::https::Proxy "";\nAPT::Architecture "amd64";\n')
    assert images.own_proxies() == [proxy]


@pytest.mark.parametrize(("unified", "runtime"), [(True, False), (False, True)])
def test_the_runtime_is_named_only_where_the_default_fails(unified: bool, runtime: bool) -> None:
    config = podman.render_config(replace(HOST, unified_cgroups=unified))
    assert ('runtime = "runc"' in config) is runtime


@pytest.mark.parametrize(
    ("host", "limits"),
    [
        (HOST, '"nofile=524288:524288", "nproc=95000:95000"'),
        (replace(HOST, process_ids=32_768), '"nofile=524288:524288", "nproc=32768:32768"'),
        (replace(HOST, open_files=-1, processes=-1), '"nofile=1048576:1048576", "nproc=4194304:4194304"'),
    ],
)
def test_limits_are_what_the_host_allows(host: podman.Host, limits: str) -> None:
    assert f"default_ulimits = [{limits}]" in podman.render_config(host)


def test_podman_shares_neither_locks_nor_runtime_directory_with_the_user() -> None:
    config = podman.render_config(HOST)
    assert 'lock_type = "file"' in config
    assert 'tmp_dir = "/run/parrotpark/libpod"' in config


def test_a_machine_cannot_stage_a_kernel() -> None:
    profile = json.loads(podman.render_seccomp())
    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"
    assert {"kexec_load", "kexec_file_load"} <= set(profile["syscalls"][0]["names"])


def test_every_address_has_an_interface_and_a_mac_of_its_own() -> None:
    hosts = [str(host) for host in paths.NETWORK.hosts()]
    assert len({network.mac(host) for host in hosts}) == len(hosts)
    names = {network.host_end(host) for host in hosts}
    assert len(names) == len(hosts)
    assert max(map(len, names)) <= 15  # as the kernel has it
    assert paths.BRIDGE not in names
    assert network.mac("10.77.0.10") == "02:00:0a:4d:00:0a"
