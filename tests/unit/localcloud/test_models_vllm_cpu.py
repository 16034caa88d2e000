"""The wheel that lets vLLM find out that it was built for processors."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

from localcloud.demo.stand_ins import vllm_cpu

LOCK = Path(__file__).parents[3] / "roles/vllm/files/requirements-cpu.txt"


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    assert vllm_cpu.build(tmp_path / "a").read_bytes() == vllm_cpu.build(tmp_path / "b").read_bytes()


def test_the_version_follows_the_lock() -> None:
    assert f"\nvllm-cpu=={vllm_cpu.VERSION.removesuffix('+cpu')} " in LOCK.read_text()


def test_metadata_is_found_under_the_name_that_vllm_looks_up(tmp_path: Path) -> None:
    with zipfile.ZipFile(vllm_cpu.build(tmp_path)) as wheel:
        wheel.extractall(tmp_path)
    distribution = PathDistribution(tmp_path / vllm_cpu.DIST_INFO)
    assert (distribution.name, distribution.version) == ("vllm", vllm_cpu.VERSION)


def test_every_file_is_recorded_with_its_hash(tmp_path: Path) -> None:
    with zipfile.ZipFile(vllm_cpu.build(tmp_path)) as wheel:
        record = wheel.read(f"{vllm_cpu.DIST_INFO}/RECORD").decode().splitlines()
        assert sorted(line.split(",")[0] for line in record) == sorted(wheel.namelist())
        for name, recorded, size in (line.split(",") for line in record[:-1]):
            content = wheel.read(name)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (recorded, size) == (f"sha256={digest}", str(len(content)))
