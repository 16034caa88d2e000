"""What the local cloud's API reports is true inside real machines."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hcloud import Client
from hcloud.firewalls.domain import FirewallResource, FirewallRule
from hcloud.images.domain import Image
from hcloud.volumes.client import BoundVolume

from localcloud import paths
from localcloud.machine import volumes
from localcloud.machine.network import host_end, namespace
from tests.machines import ANYWHERE, BOOT_SECONDS, PREFIX, Boot, Machine, host_reaches, settle

OUTSIDE = "198.51.100"  # a network of nobody's (RFC 5737)


def test_user_data_ran(one: Machine) -> None:
    assert one.run("cat /root/told; ls /root/ran") == "told/root/ran"
    assert one.run("hostname") == f"{PREFIX}one"


def test_all_units_of_a_fresh_machine_are_well(two: Machine) -> None:
    assert two.run("systemctl is-system-running --wait") == "running"


@pytest.mark.parametrize(
    "command", ["date --set 2001-01-01", "sysctl -w kernel.panic=77", "echo 77 > /proc/sys/vm/swappiness"]
)
def test_the_host_s_clock_and_kernel_are_out_of_reach(two: Machine, command: str) -> None:
    assert two.try_run(command).returncode != 0
    assert time.time() > 1_700_000_000
    assert Path("/proc/sys/kernel/panic").read_text() != "77\n"
    assert Path("/proc/sys/vm/swappiness").read_text() != "77\n"


def test_services_get_their_credentials(two: Machine) -> None:
    service = "systemd-run --quiet --wait --pipe --property=SetCredential=word:parrot"
    assert two.run(f"{service} sh -c 'cat $CREDENTIALS_DIRECTORY/word'") == "parrot"


def test_network_settings_are_the_machine_s_own(two: Machine) -> None:
    before = Path("/proc/sys/net/ipv4/ip_default_ttl").read_text()
    two.run("sysctl -w net.ipv4.ip_default_ttl=33")
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() == before != "33\n"


def test_the_metadata_service_knows_who_asks(one: Machine, two: Machine) -> None:
    for machine in (one, two):
        said = machine.run("curl -sf http://169.254.169.254/hetzner/v1/metadata/instance-id")
        assert said == str(machine.server.id)


def test_a_machine_cannot_ask_in_another_s_name(one: Machine, two: Machine) -> None:
    two.run(f"ip address add {one.ip}/32 dev eth0")
    ask = "curl -sf -m 2 --interface {} http://169.254.169.254/hetzner/v1/userdata"
    assert two.try_run(ask.format(one.ip)).returncode != 0
    assert two.run(ask.format(two.ip))
    two.run(f"ip address delete {one.ip}/32 dev eth0")


def test_the_registry_answers_machines(two: Machine) -> None:
    assert two.run(f"curl -sf http://{paths.GATEWAY}:{paths.REGISTRY_PORT}/v2/") == "{}"


def test_the_api_answers_machines_that_have_a_token(two: Machine) -> None:
    api = f"http://{paths.GATEWAY}:{paths.API_PORT}/v1/servers"
    right = (paths.TOKENS / "test").read_text()
    for token, status in ((right, "200"), ("wrong", "401")):
        assert two.run(f"curl -s -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {token}' {api}") == status


@pytest.fixture
def outsider() -> Iterator[list[str]]:
    """How to run a program on another host of the network that this host is in."""
    name = f"{PREFIX}outsider"
    batch = (
        f"link set lo up\naddress add {OUTSIDE}.2/30 dev eth0\nlink set eth0 up\nroute add default via {OUTSIDE}.1\n"
    )
    for command in (
        f"ip netns add {name}",
        f"ip link add outside0 type veth peer name eth0 netns {name}",
        f"ip address add {OUTSIDE}.1/30 dev outside0",
        "ip link set outside0 up",
    ):
        subprocess.run(command.split(), check=True)
    subprocess.run(["ip", "-n", name, "-batch", "-"], input=batch, text=True, check=True)
    yield ["ip", "netns", "exec", name]
    subprocess.run(["ip", "netns", "delete", name], check=True)


def test_from_outside_nobody_reaches_the_api_or_a_machine(outsider: list[str], two: Machine) -> None:
    def answers(ip: str, port: int) -> bool:
        probe = [*outsider, "timeout", "2", "bash", "-c", f"</dev/tcp/{ip}/{port}"]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0

    with socket.create_server((f"{OUTSIDE}.1", 0)) as host:
        assert answers(f"{OUTSIDE}.1", host.getsockname()[1])
    assert host_reaches(str(paths.GATEWAY), paths.API_PORT)
    assert not answers(str(paths.GATEWAY), paths.API_PORT)
    assert host_reaches(two.ip, 22)
    assert not answers(two.ip, 22)


def test_a_firewall_filters_and_goes_away_again(local_cloud: Client, one: Machine, two: Machine) -> None:
    one.run("systemd-run --quiet --unit=probe-80 python3 -m http.server 80")
    one.run("systemd-run --quiet --unit=probe-81 python3 -m http.server 81")
    deadline = time.monotonic() + 10
    while not (two.reaches(one.ip, 80) and two.reaches(one.ip, 81)):
        assert time.monotonic() < deadline
    rules = [
        FirewallRule(direction="in", protocol="tcp", port="22", source_ips=ANYWHERE),
        FirewallRule(direction="in", protocol="tcp", port="80", source_ips=[f"{two.ip}/32"]),
    ]
    target = FirewallResource(type="server", server=one.server)
    firewall = local_cloud.firewalls.create(f"{PREFIX}firewall", rules=rules, resources=[target]).firewall
    deadline = time.monotonic() + 10
    while two.reaches(one.ip, 81):
        assert time.monotonic() < deadline
    ping = f"ping -c 1 -W 1 {one.ip}"
    assert two.reaches(one.ip, 80)
    assert not host_reaches(one.ip, 80)
    assert host_reaches(one.ip, 22)
    assert two.try_run(ping).returncode != 0
    assert one.run(f"ping -c 1 -W 1 {two.ip}")  # going out, and the answer coming in

    rules.append(FirewallRule(direction="in", protocol="icmp", source_ips=ANYWHERE))
    rules.append(FirewallRule(direction="out", protocol="tcp", port="22", destination_ips=ANYWHERE))
    settle(*firewall.set_rules(rules))
    assert two.run(ping)
    assert one.reaches(two.ip, 22)
    assert one.try_run(f"ping -c 1 -W 1 {two.ip}").returncode != 0

    settle(*firewall.remove_from_resources([target]))
    assert two.reaches(one.ip, 81)
    assert host_reaches(one.ip, 80)
    firewall.delete()


def test_a_volume_holds_data_across_machines_and_grows(one: Machine, two: Machine, volume: BoundVolume) -> None:
    device = f"/dev/disk/by-id/scsi-0HC_Volume_{volume.id}"
    one.run(f"mount {device} /mnt && echo precious > /mnt/data && umount /mnt")
    settle(volume.detach())
    assert one.try_run(f"test -e {device}").returncode != 0
    settle(volume.attach(two.server))
    settle(volume.resize(11))
    assert two.run(f"blockdev --getsize64 {device}") == str(11 * 2**30)
    two.run(f"e2fsck -fp {device} && resize2fs {device}")
    assert two.run(f"mount {device} /mnt && cat /mnt/data && umount /mnt") == "precious"
    settle(volume.detach())
    settle(volume.attach(one.server))


@pytest.mark.parametrize("inside", [True, False])
def test_a_reboot_is_a_boot(one: Machine, volume: BoundVolume, inside: bool) -> None:
    before = one.await_boot()
    if inside:
        one.run("systemd-run --quiet sh -c 'sleep 1; systemctl reboot'")  # a second in which to say goodbye
    else:
        settle(one.server.reboot())
    assert one.await_boot(other_than=before) != before
    one.run(f"mount /dev/disk/by-id/scsi-0HC_Volume_{volume.id} /mnt && umount /mnt")
    one.run("test -e /root/told")
    assert "Journal stopped" in one.run("journalctl --quiet --no-pager --boot=-1")


def off_until_powered_on(machine: Machine) -> str:
    """See that a machine goes off and stays so, and that it boots when it is told to; return the id of that boot."""
    machine.await_status("off")
    time.sleep(3)  # the supervisor must leave it off
    machine.server.reload()
    assert machine.server.status == "off"
    settle(machine.server.power_on())
    return machine.await_boot()


def test_shutdown_is_a_request_that_a_machine_may_ignore(two: Machine) -> None:
    boot = two.await_boot()
    two.run("systemctl mask --runtime poweroff.target")
    settle(two.server.shutdown())
    time.sleep(3)
    two.server.reload()
    assert two.server.status == "running"
    assert two.await_boot() == boot
    two.run("systemctl unmask --runtime poweroff.target")
    settle(two.server.shutdown())
    assert off_until_powered_on(two) != boot


def test_a_machine_is_imaged_while_it_boots(two: Machine) -> None:
    for _ in range(5):
        settle(two.server.reset())
        answer = two.server.create_image(f"{PREFIX}booting", type="snapshot")
        settle(answer.action)
        answer.image.delete()
    two.await_boot()


def test_power_off_from_inside_is_seen_and_power_on_boots(two: Machine) -> None:
    before = two.await_boot()
    two.run("systemd-run --quiet sh -c 'sleep 1; systemctl poweroff'")
    assert off_until_powered_on(two) != before


@pytest.mark.parametrize("power", ["running", "off"])
def test_a_server_from_a_snapshot_has_its_files_and_is_another_machine(boot: Boot, one: Machine, power: str) -> None:
    one.run(f"mkdir -p /opt/deep && echo {power} > /opt/deep/file && rm -f /usr/bin/nano && sync")
    if power == "off":
        settle(one.server.shutdown())
        one.await_status("off")
    answer = one.server.create_image(f"{PREFIX}image", type="snapshot", labels={"power": power})
    settle(answer.action)
    if power == "off":
        settle(one.server.power_on())
        one.await_boot()
    three = boot(f"from-{power}", "runcmd: [touch /root/second]\n", image=str(answer.image.id))
    assert three.run("cat /opt/deep/file; ls /root/second; hostname") == f"{power}\n/root/second\n{PREFIX}from-{power}"
    one.run("echo later > /opt/deep/file")
    for machine in (one, three):
        assert machine.try_run("test -e /usr/bin/nano").returncode != 0
    answer.image.delete()
    assert three.run("cat /opt/deep/file") == power
    assert one.run("cat /opt/deep/file; cat /root/told") == "later\ntold"


def test_rebuild_brings_the_image_back_and_keeps_the_address(two: Machine) -> None:
    two.run("touch /root/before")
    before, address = two.await_boot(), two.ip
    settle(two.server.rebuild(Image(name="debian-13")).action)
    two.await_boot(other_than=before)
    assert two.try_run("test -e /root/before").returncode != 0
    two.server.reload()
    assert two.ip == address


def test_a_deleted_server_leaves_nothing(boot: Boot) -> None:
    four = boot("four")
    files = paths.MACHINES / f"server-{four.id}"
    places = (Path("/run/netns", namespace(four.id)), Path("/sys/class/net", host_end(four.ip)), files)

    def left() -> list[bool]:
        return [*(place.exists() for place in places), str(files) in Path("/proc/mounts").read_text()]

    assert all(left())
    settle(four.server.delete())
    assert not any(left())


def test_many_are_deleted_at_once(boot: Boot) -> None:
    machines = [boot(f"many-{number}") for number in range(4)]
    images = [each.server.create_image(f"{PREFIX}many", type="snapshot") for each in machines]
    settle(*(each.action for each in images))
    for each in images:
        each.image.delete()
    settle(*[each.server.delete() for each in machines])
    deadline = time.monotonic() + BOOT_SECONDS
    while left := [path for each in images for path in paths.IMAGES.glob(f"snapshot-{each.image.id}.json")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_a_deleted_volume_leaves_nothing(local_cloud: Client, two: Machine) -> None:
    answer = local_cloud.volumes.create(size=10, name=f"{PREFIX}short", server=two.server)
    settle(answer.action, *answer.next_actions)
    path = paths.VOLUMES / f"{answer.volume.id}.img"
    assert path.exists()
    assert path in volumes.devices()
    settle(answer.volume.detach())
    answer.volume.delete()
    assert not path.exists()
    assert path not in volumes.devices()
