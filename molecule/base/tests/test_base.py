"""A host that has gone through base, as it looks from within and from the network."""

import socket
from collections.abc import Iterator

import pytest
from testinfra.host import Host

METADATA = "timeout 3 bash -c '</dev/tcp/{}/80'"
OFFERS = {"kexalgorithms", "ciphers", "macs", "hostkeyalgorithms"}


def reachable(host: Host, port: int) -> str:
    """Knock at a port from the control machine; returns what happened."""
    address = host.interface("eth0").addresses[0]
    try:
        socket.create_connection((address, port), timeout=2).close()
    except ConnectionRefusedError:
        return "refused"  # the firewall let us in and nobody listens
    except TimeoutError:
        return "dropped"
    return "answered"


@pytest.fixture(scope="module")
def neighbour(host: Host) -> Iterator[str]:
    """Somebody behind another interface, wg0; yields how to run a program there."""
    for command in (
        "ip netns add neighbour",
        "ip link add wg0 type veth peer name eth0 netns neighbour",
        "ip address add 192.0.2.1/24 dev wg0",
        "ip link set wg0 up",
        "ip -n neighbour address add 192.0.2.2/24 dev eth0",
        "ip -n neighbour link set eth0 up",
        "ip -n neighbour route add default via 192.0.2.1",
    ):
        host.check_output(command)
    yield "nsenter --net=/run/netns/neighbour"
    host.check_output("ip netns delete neighbour")


def test_nothing_has_failed(host: Host) -> None:
    assert host.check_output("systemctl --failed --no-legend") == ""


def test_what_ansible_sends_is_compiled_once_since_the_boot(host: Host) -> None:
    folder = host.file("/run/ansible")
    assert (folder.user, folder.mode) == ("root", 0o700)
    assert len(folder.listdir()) > 20


@pytest.mark.parametrize(
    ("port", "happened"),
    [
        *((22, "answered"), (8443, "refused"), (9100, "dropped")),
        *((7997, "refused"), (7999, "refused"), (8000, "dropped")),
        *((9300, "dropped"), (9301, "dropped")),
    ],
)
def test_firewall_lets_in_what_options_open(host: Host, port: int, happened: str) -> None:
    assert reachable(host, port) == happened


@pytest.mark.parametrize(
    ("port", "happened"), [(22, "dropped"), (9100, "refused"), (9300, "refused"), (9301, "refused")]
)
def test_firewall_knows_neighbours_from_others(host: Host, neighbour: str, port: int, happened: str) -> None:
    said = host.run(f"{neighbour} timeout 2 bash -c '</dev/tcp/192.0.2.1/{port}'")
    outcome = "refused" if "Connection refused" in said.stderr else {0: "answered", 124: "dropped"}[said.rc]
    assert outcome == happened


def test_firewall_lets_in_who_is_named(host: Host) -> None:
    rules = host.check_output("nft list chain inet host input").splitlines()
    assert [rule.split(" counter")[0].strip() for rule in rules if "9100" in rule] == [
        "ip saddr 192.0.2.0/24 tcp dport 9100 accept",
        "ip6 saddr 2001:db8::/32 tcp dport 9100 accept",
    ]


def test_a_restarting_firewall_leaves_other_tables_alone(host: Host) -> None:
    host.check_output("nft add table inet neighbour")
    host.check_output("systemctl restart nftables.service")
    assert set(host.check_output("nft list tables").splitlines()) == {"table inet host", "table inet neighbour"}
    host.check_output("nft delete table inet neighbour")


def test_only_root_reaches_the_metadata_service(host: Host) -> None:
    assert host.run(METADATA.format("169.254.169.254")).rc == 0
    for address in ("169.254.169.254", "169.254.42.42"):
        assert "Connection refused" in host.run(f"runuser --user=nobody -- {METADATA.format(address)}").stderr


def test_who_is_behind_the_host_does_not_reach_the_metadata_service(host: Host, neighbour: str) -> None:
    host.check_output("sysctl --write net.ipv4.conf.wg0.forwarding=1")
    for address in ("169.254.169.254", "169.254.42.42"):
        assert "Connection refused" in host.run(f"{neighbour} {METADATA.format(address)}").stderr


@pytest.mark.parametrize(
    "setting",
    [
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin without-password",
        "maxauthtries 3",
        "clientaliveinterval 300",
        "clientalivecountmax 2",
    ],
)
def test_ssh_takes_keys_only_and_waits_for_nobody(host: Host, setting: str) -> None:
    assert setting in host.check_output("sshd -T").splitlines()


@pytest.mark.parametrize("old", ["diffie-hellman", "-cbc", "hmac-sha1", "ecdsa"])
def test_ssh_offers_nothing_old(host: Host, old: str) -> None:
    offers = [line for line in host.check_output("sshd -T").splitlines() if line.split()[0] in OFFERS]
    assert len(offers) == len(OFFERS)
    assert not [offer for offer in offers if old in offer]


def test_every_key_exchange_resists_quantum_computers(host: Host) -> None:
    [offer] = [line for line in host.check_output("sshd -T").splitlines() if line.startswith("kexalgorithms ")]
    assert {name.split("-")[0] for name in offer.split()[1].split(",")} == {"mlkem768x25519", "sntrup761x25519"}


def test_the_firewalls_unit_is_sandboxed(host: Host) -> None:
    host.check_output("systemd-analyze security --threshold=20 nftables.service")


def test_nothing_writes_its_memory_to_disk(host: Host) -> None:
    assert host.check_output("systemctl show --property=DefaultLimitCORE --value") == "0"


@pytest.mark.parametrize("module", ["dccp", "rds", "sctp", "tipc", "firewire-ohci", "firewire-sbp2", "usb-storage"])
def test_the_kernel_does_not_load_what_no_server_needs(host: Host, module: str) -> None:
    assert f"install {module} /bin/false" in host.file("/etc/modprobe.d/ansible.conf").content_string.splitlines()


def test_uv_installs_through_what_the_system_trusts(host: Host) -> None:
    host.check_output("uv venv --quiet --clear /tmp/tried")
    host.check_output("UV_SYSTEM_CERTS=1 uv pip install --quiet --python /tmp/tried six")
    host.check_output("rm -r /tmp/tried")


def test_journal_outlives_a_reboot_and_is_limited(host: Host) -> None:
    assert len(host.check_output("journalctl --list-boots --quiet --no-pager").splitlines()) >= 2
    lines = host.check_output("systemd-analyze cat-config systemd/journald.conf").splitlines()
    assert {"SystemMaxUse=500M", "MaxRetentionSec=30day", "MaxFileSec=1day"} <= {*lines}


def test_updates_install_themselves(host: Host) -> None:
    assert 'APT::Periodic::Unattended-Upgrade "1";' in host.check_output("apt-config dump").splitlines()
    assert host.service("apt-daily-upgrade.timer").is_enabled
    assert host.service("apt-daily-upgrade.timer").is_running
    assert "Debian-Security" in host.check_output("unattended-upgrade --dry-run --debug 2>&1 | grep 'Allowed origins'")
