"""Repack Debian's Caddy with a higher version, in a repository as that of Caddy's makers.

Usage: repository.py CADDY.deb FOLDER   The fingerprint of the key is in FOLDER/fingerprint.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "99.0"
GPG = ("gpg", "--batch")
RELEASE = """Origin: cloudsmith/caddy/stable
Label: cloudsmith/caddy/stable
Suite: any-version
Codename: any-version
Components: main
Architectures: amd64
SHA256:
 {digest} {size} {path}
"""


def repack(package: Path, folder: Path) -> Path:
    """Build the package again: all that is in it, and another version."""
    with tempfile.TemporaryDirectory() as root:
        run("dpkg-deb", "--raw-extract", str(package), root)
        control = Path(root, "DEBIAN/control")
        control.write_text(re.sub("(?m)^Version: .*", f"Version: {VERSION}", control.read_text()))
        repacked = folder / f"caddy_{VERSION}_amd64.deb"
        run("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, str(repacked))
    return repacked


def index(folder: Path, package: Path) -> None:
    """Write what apt reads of the suite, and sign it."""
    content = package.read_bytes()
    fields = {
        "Filename": str(package.relative_to(folder)),
        "Size": len(content),
        "SHA256": hashlib.sha256(content).hexdigest(),
    }
    told = run("dpkg-deb", "--field", str(package)) + "".join(f"{key}: {fields[key]}\n" for key in fields)
    suite, path = folder / "dists/any-version", "main/binary-amd64/Packages"
    (suite / path).parent.mkdir(parents=True)
    (suite / path).write_text(told)
    digest = hashlib.sha256(told.encode()).hexdigest()
    (suite / "Release").write_text(RELEASE.format(digest=digest, size=len(told.encode()), path=path))
    run(*GPG, "--clearsign", "--output", str(suite / "InRelease"), str(suite / "Release"))


def run(*command: str) -> str:
    """Run a program; return what it says."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Make the repository."""
    stable = Path(sys.argv[2], "public/caddy/stable")
    folder = stable / "deb/debian"
    folder.mkdir(parents=True)
    run(*GPG, "--passphrase", "", "--quick-generate-key", "test")
    run(*GPG, "--armor", "--output", str(stable / "gpg.key"), "--export")
    index(folder, repack(Path(sys.argv[1]), folder))
    keys = run(*GPG, "--list-keys", "--with-colons").splitlines()
    Path(sys.argv[2], "fingerprint").write_text(next(line for line in keys if line.startswith("fpr:")).split(":")[9])


if __name__ == "__main__":
    main()
