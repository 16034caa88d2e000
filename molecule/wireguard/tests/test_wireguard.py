"""Alice and Bob talk through the tunnel, and a third peer may come without cutting them off."""

from testinfra.host import Host

UNIT = "wg-quick@wg0.service"
ALICE_AND_BOB = ("10.79.0.1", "10.79.0.2")


def both_answer(host: Host) -> bool:
    """Ask both by their addresses in the tunnel; one of them is this host."""
    return all(host.run(f"ping -c 1 -W 2 {address}").succeeded for address in ALICE_AND_BOB)


def test_runs_now_and_at_boot(host: Host) -> None:
    service = host.service(UNIT)
    assert service.is_running
    assert service.is_enabled


def test_configuration_is_roots_alone(host: Host) -> None:
    file = host.file("/etc/wireguard/wg0.conf")
    assert (file.user, file.mode) == ("root", 0o600)


def test_the_other_end_has_shaken_hands(host: Host) -> None:
    [line] = host.check_output("wg show wg0 latest-handshakes").splitlines()
    assert int(line.split()[1]) > 0
    assert both_answer(host)


def test_a_peer_comes_without_a_restart(host: Host) -> None:
    before = host.check_output(f"systemctl show --property=InvocationID {UNIT}")
    kept = host.check_output("cat /etc/wireguard/wg0.conf")
    peer = "\n[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nAllowedIPs = 10.79.0.3/32\n"
    try:
        host.check_output("printf %s >> /etc/wireguard/wg0.conf", peer)
        host.check_output(f"systemctl reload {UNIT}")
        assert len(host.check_output("wg show wg0 peers").splitlines()) == 2
        assert host.check_output(f"systemctl show --property=InvocationID {UNIT}") == before
        assert both_answer(host)
    finally:
        host.check_output("printf %s > /etc/wireguard/wg0.conf", f"{kept}\n")
        host.check_output(f"systemctl reload {UNIT}")


def test_no_log_holds_the_key(host: Host) -> None:
    key = host.check_output("wg show wg0 private-key")
    assert host.run("journalctl --no-pager | grep --quiet --fixed-strings %s", key).rc == 1


def test_unit_is_sandboxed(host: Host) -> None:
    host.check_output(f"systemd-analyze security --threshold=20 {UNIT}")
