"""Make a repository of tiny packages as NVIDIA's are: names, versions, dependencies, a signature.

Usage: repository.py FOLDER   It prints the fingerprint of the key, whose public half is FOLDER/test.pub.

Two branches: 580, and a newer one whose module does not build. What a module is made of is real, and so is DKMS.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

GOOD, BAD = "580.105.08", "590.48.01"
GPG = ("gpg", "--batch")

MODULE = """#include <linux/module.h>
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("{version}");
"""
BROKEN = "static int missing(void) { return pci_resize_resource(0); }\n"
DKMS = """PACKAGE_NAME="nvidia"
PACKAGE_VERSION="{version}"
BUILT_MODULE_NAME[0]="nvidia"
DEST_MODULE_LOCATION[0]="/kernel/drivers/char"
AUTOINSTALL="yes"
"""
# For every kernel whose headers are there, as no kernel runs here that DKMS could build for.
POSTINST = """#!/bin/sh -e
if [ "$1" = configure ]; then
  dkms status -m nvidia -v {version} | grep -q . || dkms add -m nvidia -v {version}
  for build in /lib/modules/*/build; do
    kernel=$(basename "$(dirname "$build")")
    dkms install -m nvidia -v {version} -k "$kernel"
  done
fi
"""
PRERM = """#!/bin/sh -e
dkms remove -m nvidia -v {version} --all
"""
SMI = """#!/bin/sh -eu
loaded=$(sed --quiet 's/.*x86_64  \\([0-9.]*\\) .*/\\1/p' /proc/driver/nvidia/version 2>/dev/null)
if [ -z "$loaded" ]; then
  echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
  exit 9
elif [ "$loaded" != {version} ]; then
  echo "Failed to initialize NVML: Driver/library version mismatch"
  exit 18
fi
mig=$(cat /srv/host/mig 2>/dev/null || echo Disabled)
echo '<?xml version="1.0" ?><nvidia_smi_log><gpu id="00000000:17:00.0"><mig_mode>'
echo "<current_mig>Disabled</current_mig><pending_mig>$mig</pending_mig>"
echo '</mig_mode></gpu></nvidia_smi_log>'
"""
UNIT = """[Service]
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""
PINNING = """Package: *nvidia* libcuda*
Pin: version {branch}.*
Pin-Priority: 1001
"""


def package(
    folder: Path, name: str, version: str, files: Mapping[str, str], fields: Mapping[str, str], **scripts: str
) -> None:
    """Build one, with further fields and scripts of its maintainer."""
    common = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "Test <test@localhost>"}
    control = {**common, "Description": "stands for NVIDIA's", **fields}
    told = {"control": "".join(f"{field}: {value}\n" for field, value in control.items()), **scripts}
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**files, **{f"DEBIAN/{file}": text for file, text in told.items()}}.items():
            file = Path(root, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755 if text.startswith("#!") else 0o644)
        Path(root).chmod(0o755)
        run("dpkg-deb", "--root-owner-group", "--build", root, str(folder))


def driver(folder: Path, version: str, broken: str = "") -> None:
    """Build all packages of a version."""
    branch, source = version.partition(".")[0], f"usr/src/nvidia-{version}"
    module = {
        f"{source}/dkms.conf": DKMS.format(version=version),
        f"{source}/Makefile": "obj-m := nvidia.o\n",
        f"{source}/nvidia.c": MODULE.format(version=version) + broken,
    }
    scripts = {"postinst": POSTINST.format(version=version), "prerm": PRERM.format(version=version)}
    package(folder, "nvidia-kernel-open-dkms", f"{version}-1", module, {"Depends": "dkms"}, **scripts)
    package(folder, "libcuda1", f"{version}-1", {}, {})
    smi = {"usr/bin/nvidia-smi": SMI.format(version=version)}
    package(folder, "nvidia-driver-cuda", f"{version}-1", smi, {"Depends": f"libcuda1 (= {version}-1)"})
    for name in ("nvidia-persistenced", "nvidia-fabricmanager"):
        package(folder, name, f"{version}-1", {f"usr/lib/systemd/system/{name}.service": UNIT}, {})
    name = f"nvidia-driver-pinning-{branch}"
    pin = {f"etc/apt/preferences.d/{name}": PINNING.format(branch=branch)}
    only = {"Provides": "nvidia-driver-pinning", "Conflicts": "nvidia-driver-pinning"}
    package(folder, name, f"{branch}-1", pin, only)


def index(folder: Path) -> None:
    """Write what apt reads of a flat repository, and sign it; leave the key's public half beside it."""
    told = []
    for file in sorted(folder.glob("*.deb")):
        content = file.read_bytes()
        fields = {"Filename": f"./{file.name}", "Size": len(content), "SHA256": hashlib.sha256(content).hexdigest()}
        told.append(run("dpkg-deb", "--field", str(file)) + "".join(f"{key}: {fields[key]}\n" for key in fields))
    packages = "\n".join(told).encode()
    (folder / "Packages").write_bytes(packages)
    release = f"Origin: NVIDIA\nSHA256:\n {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n"
    (folder / "Release").write_text(release)
    run(*GPG, "--passphrase", "", "--quick-generate-key", "test")
    run(*GPG, "--armor", "--output", str(folder / "test.pub"), "--export")
    run(*GPG, "--clearsign", "--output", str(folder / "InRelease"), str(folder / "Release"))


def run(*command: str) -> str:
    """Run a program; return what it says."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Make the repository."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    driver(folder, GOOD)
    driver(folder, BAD, BROKEN)
    index(folder)
    keys = run(*GPG, "--list-keys", "--with-colons").splitlines()
    print(next(line for line in keys if line.startswith("fpr:")).split(":")[9])


if __name__ == "__main__":
    main()
