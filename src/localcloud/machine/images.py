"""The system images that machines are made from; each is built here, from its distribution's own packages."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from localcloud.core.backend import BackendError
from localcloud.machine import roots
from localcloud.machine.process import run

SUITES = {"debian-13": "trixie"}

PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "curl",
    "dbus",
    "e2fsprogs",
    "iproute2",
    "iputils-ping",
    "less",
    "libpam-systemd",
    "locales",
    "nano",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd-sysv",
    "tzdata",
)

CLOUD_CONFIG = """\
# The host tells cloud-init what it needs to know, and sets up the network.
datasource_list: [NoCloud]
datasource:
  NoCloud:
    seedfrom: file:///run/localcloud/seed/
network:
  config: disabled
disable_root: false
users: []
"""

# The kernel is the host's: a machine may load no modules, and its root is no ext4 to be scrubbed.
MASKED_UNITS = ("systemd-modules-load.service", "e2scrub_reap.service")


def own_certificates() -> list[Path]:
    """List the authorities that this host trusts beside the distribution's: its machines must trust them too."""
    return sorted(Path("/usr/local/share/ca-certificates").rglob("*.crt"))


def own_proxies() -> list[str]:
    """List the proxies that this host's apt goes through: its machines' apt must go through them too."""
    settings = run("apt-config", "dump").splitlines()
    return [line for line in settings if re.fullmatch(r'Acquire::https?::Proxy(::\S+)? "[^"]+";', line)]


def recipe(name: str, certificates: list[bytes], proxies: list[str]) -> str:
    """Hash all that shapes an image, so that it is built anew when that changes."""
    parts = [name.encode(), Path(__file__).read_bytes(), *certificates, *(proxy.encode() for proxy in proxies)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def ensure(name: str, progress: Callable[[str], None]) -> None:
    """Build a system image unless it is there.

    Raises:
        BackendError: the distribution's packages cannot be had.
    """
    proxies = own_proxies()
    wanted = recipe(name, [path.read_bytes() for path in own_certificates()], proxies)
    if roots.image_facts(name).get("recipe") == wanted:
        return
    progress(f"building the image {name} from its distribution's packages (about 40 s, 110 MB to download)")
    with roots.unfinished_layer() as unfinished:
        root = unfinished / "root"
        options = [f"--include={','.join(PACKAGES)}", *(f"--aptopt={setting}" for setting in proxies)]
        try:
            run("mmdebstrap", "--quiet", "--variant=minbase", "--format=directory", *options, SUITES[name], root)
        except BackendError as error:
            raise BackendError(f"cannot build {name}: can this machine reach its packages? ({error})") from error
        _finish(root)
        roots.add_image(name, [], unfinished, recipe=wanted)


def _finish(root: Path) -> None:
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # cloud-init makes them, per machine
    (root / "etc/machine-id").write_text("")  # made at the first boot
    (root / "etc/cloud/cloud.cfg.d/90_localcloud.cfg").write_text(CLOUD_CONFIG)
    for unit in MASKED_UNITS:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    for certificate in own_certificates():
        shutil.copy(certificate, root / "usr/local/share/ca-certificates")
    run("chroot", root, "update-ca-certificates")
    # The package lists are empty: they must not look fresh, or nobody would fetch them.
    os.utime(root / "var/lib/apt/lists", (0, 0))
