"""The small files in which the scheduler remembers something between two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def recall(path: Path) -> Any:
    """Return what the file says; None if there is none, or it is no JSON: whoever reads it can do without."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
