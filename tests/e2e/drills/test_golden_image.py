"""The golden image holds no secret and nobody's identity: its files are searched where the local cloud keeps them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from localcloud import paths
from localcloud.core.model import snapshot_name
from tests.e2e import vault
from tests.machines import client


@pytest.fixture(scope="module")
def files() -> Path:
    """The layer that the bake has put upon the system image, with all that the image has of its own."""
    (image,) = client("gpu").images.get_all(type=["snapshot"], label_selector="parrotpark-role=gpu-image")
    assert image.id
    record = json.loads((paths.IMAGES / f"{snapshot_name(image.id)}.json").read_text())
    return paths.LAYERS / str(record["layers"][-1]) / "root"


def test_it_holds_no_secret(files: Path, tmp_path: Path) -> None:
    secrets = vault.read()
    patterns = tmp_path / "patterns"
    patterns.write_text("".join(f"{text}\n" for text in secrets.values()))
    search = ["grep", "--recursive", "--fixed-strings", "--files-with-matches", f"--file={patterns}"]
    (tmp_path / "canary").write_text(f"some text and {secrets['vault_vllm_api_key']}\n")
    assert subprocess.run([*search, tmp_path / "canary"], capture_output=True, check=False).returncode == 0
    found = subprocess.run([*search, files], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")


@pytest.mark.parametrize(
    "pattern",
    [
        "etc/ssh/ssh_host_*",
        "root/.ssh/*",
        "var/lib/cloud/*",
        "etc/parrotpark/credentials/*",
        "etc/parrotpark/slot.json",
        "etc/wireguard/*.conf",
        "var/log/journal/*",
        "var/lib/systemd/random-seed",
        "root/.ansible/*",
    ],
)
def test_it_is_nobody(files: Path, pattern: str) -> None:
    # What was there below and is no more, is a character device 0:0 in the layer above.
    assert [path for path in files.glob(pattern) if not path.is_char_device()] == []


def test_it_has_no_machine_id(files: Path) -> None:
    assert not re.search(r"[0-9a-f]{32}", (files / "etc/machine-id").read_text())


def test_it_is_warm(files: Path) -> None:
    assert list(files.glob("opt/vllm/lib/python3*/site-packages/vllm/__pycache__/*.pyc"))
    assert list((files / "var/cache/vllm").rglob(".warm-*"))
    assert list((files / "opt/models").rglob("*.safetensors"))
