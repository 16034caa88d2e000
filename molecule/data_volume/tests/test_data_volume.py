"""The disk is mounted, after a reboot too, and keeps what is on it."""

from testinfra.host import Host


def test_is_mounted(host: Host) -> None:
    mount = host.mount_point("/srv/data")
    assert mount.exists
    assert mount.filesystem == "ext4"
    assert {"noatime", "nodev", "nosuid"} <= set(mount.options)


def test_keeps_directories(host: Host) -> None:
    directory = host.file("/srv/data/archive/2026")
    assert directory.is_directory
    assert directory.mode == 0o700


def test_survives_a_remount(host: Host) -> None:
    host.check_output("touch /srv/data/here")
    host.check_output("systemctl stop srv-data.mount")
    assert not host.file("/srv/data/here").exists
    host.check_output("systemctl start srv-data.mount")
    assert host.file("/srv/data/here").exists
