"""What the documentation promises about the daemon's size."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[3] / "docs/local.md"
ASK = "import sys, localcloud.daemon; print(*{m.__file__ for m in sys.modules.values() if 'localcloud' in m.__name__})"


def test_the_daemon_is_as_small_as_the_documentation_says() -> None:
    promised = re.search(r"less than ([0-9,]+) lines", DOCUMENT.read_text())
    assert promised
    modules = subprocess.run([sys.executable, "-c", ASK], check=True, capture_output=True, text=True).stdout.split()
    lines = sum(len(Path(module).read_text().splitlines()) for module in modules)
    assert 0 <= int(promised[1].replace(",", "")) - lines < 1000, f"it has {lines}"
