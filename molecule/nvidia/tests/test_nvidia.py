"""After a boot the driver is there as it was installed: one branch, built for the kernel, held."""

from __future__ import annotations

import pytest
from testinfra.host import Host

DRIVER = "580.105.08"
PACKAGES = ["nvidia-kernel-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced", "nvidia-fabricmanager"]


@pytest.mark.parametrize("unit", ["nvidia-persistenced", "nvidia-fabricmanager"])
def test_daemons_run_now_and_at_boot(host: Host, unit: str) -> None:
    service = host.service(f"{unit}.service")
    assert service.is_running
    assert service.is_enabled


@pytest.mark.parametrize("name", PACKAGES)
def test_all_are_of_one_version_though_there_is_a_newer_one(host: Host, name: str) -> None:
    assert "590.48.01-1" in host.check_output("apt-cache madison %s", name)
    assert host.package(name).version == f"{DRIVER}-1"


def test_an_upgrade_by_hand_leaves_the_driver_as_it_is(host: Host) -> None:
    host.check_output("apt-get --quiet update")
    assert "nvidia" not in host.check_output("apt-get --simulate dist-upgrade | grep ^Inst || test $? = 1")
    assert set(PACKAGES) <= set(host.check_output("apt-mark showhold").split())


def test_unattended_upgrades_leave_driver_and_kernel_alone(host: Host) -> None:
    listed = host.check_output("apt-config dump Unattended-Upgrade::Package-Blacklist")
    for names in ("nvidia", "libnvidia", "libcuda", "cuda", "linux-(image|headers|modules)"):
        assert f'"^{names}";' in listed


def test_the_module_is_built_for_the_kernel_and_loaded(host: Host) -> None:
    kernel = host.file("/srv/host/osrelease").content_string.strip()
    assert f"nvidia/{DRIVER}, {kernel}, x86_64: installed" in host.check_output("dkms status")
    assert f"  {DRIVER}  " in host.file("/proc/driver/nvidia/version").content_string
    host.check_output("nvidia-smi")


def test_nouveau_stays_away(host: Host) -> None:
    assert "blacklist nouveau" in host.check_output("/usr/sbin/modprobe --showconfig")


def test_nothing_that_only_shows_is_there(host: Host) -> None:
    assert not host.package("nvidia-container-toolkit").is_installed
