"""A sealed host boots as another one, and does what it did."""

import pytest
from testinfra.host import Host

CANARY = "a-canary-of-the-test"


def test_it_is_another_host(host: Host) -> None:
    machine_id, host_key = host.check_output("cat /srv/before").splitlines()
    assert len(host.check_output("cat /etc/machine-id")) == len(machine_id)
    assert host.check_output("cat /etc/machine-id") != machine_id
    assert host.check_output("cat /etc/ssh/ssh_host_ed25519_key.pub") != host_key
    assert host.run("grep --recursive --quiet %s /etc /root /var", machine_id).rc == 1
    assert host.check_output("find / -xdev -name %s", f"*{machine_id}*") == ""


@pytest.mark.parametrize("folder", ["etc", "root", "tmp", "var"])
def test_the_past_is_gone(host: Host, folder: str) -> None:
    assert host.run("grep --recursive --quiet %s /%s", CANARY, folder).rc == 1


def test_nothing_has_failed(host: Host) -> None:
    assert host.check_output("systemctl --failed --no-legend") == ""


def test_it_can_fetch_packages_again(host: Host) -> None:
    assert host.run("apt-get --quiet update").rc == 0
