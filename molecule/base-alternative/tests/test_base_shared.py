"""On a machine that its owner uses, too, packages and uv are installed, and nothing is closed."""

from __future__ import annotations

import pytest
from testinfra.host import Host


def test_what_later_roles_need_is_there(host: Host) -> None:
    host.check_output("/usr/local/bin/uv --version")
    assert host.package("nftables").is_installed


@pytest.mark.parametrize(
    "path",
    [
        "/etc/ssh/sshd_config.d/00-ansible.conf",
        "/etc/sysctl.d/90-ansible.conf",
        "/etc/modprobe.d/ansible.conf",
        "/etc/profile.d/ansible-timeout.sh",
        "/etc/systemd/journald.conf.d/limit.conf",
        "/etc/apt/apt.conf.d/20auto-upgrades",
    ],
)
def test_its_settings_are_its_owners(host: Host, path: str) -> None:
    assert not host.file(path).exists


def test_nothing_filters_its_packets(host: Host) -> None:
    assert "table inet host" not in host.check_output("nft list tables")
    assert not host.service("nftables").is_running
    assert not host.service("nftables").is_enabled
