"""Which release series an image is of, and when it is not of that of the data. LibreChat #11154."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).parents[3] / "roles/mongodb"
(STOP,) = (
    task
    for task in yaml.safe_load((ROLE / "tasks/install.yml").read_text())
    if "__mongodb_image_series != __mongodb_data_series" in task.get("when", [])
)


def evaluate(expression: str, image: str, data: str | None) -> Any:
    loader = DataLoader()
    variables = {
        **loader.load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True),
        "ansible_check_mode": False,
        "mongodb_data_directory": "/srv/data",
        "__mongodb_release": {"rc": 0, "stdout": image},
        "__mongodb_marked": {"stat": {"exists": data is not None}},
        "__mongodb_series": {"content": b64encode((data or "").encode()).decode()},
    }
    return Templar(loader, variables=variables).template(trust_as_template(expression))


@pytest.mark.parametrize(
    ("environment", "series"),
    [
        ("PATH=/usr/bin\nMONGO_MAJOR=8.0\nMONGO_VERSION=8.0.20\nHOME=/data/db\n", "8.0"),
        ("MONGO_VERSION=10.2.3", "10.2"),
        ("NOT_MONGO_VERSION=8.0.20\nPATH=/bin", ""),
    ],
)
def test_an_image_says_its_series(environment: str, series: str) -> None:
    assert evaluate("{{ __mongodb_image_series }}", environment, None) == series


@pytest.mark.parametrize(
    ("image", "data", "stops"),
    [("8.0.20", "8.0\n", False), ("8.0.20", None, False), ("8.0.20", "7.0\n", True), ("7.0.31", "8.0\n", True)],
)
def test_an_image_of_another_series_than_the_data_stops_the_run(image: str, data: str | None, stops: bool) -> None:
    conditions = [evaluate(f"{{{{ {condition} }}}}", f"MONGO_VERSION={image}", data) for condition in STOP["when"]]
    assert all(conditions) is stops
    said = evaluate(STOP["ansible.builtin.fail"]["msg"], f"MONGO_VERSION={image}", data)
    assert said.startswith(
        f"/srv/data holds data of MongoDB {(data or '').strip()}, and mongodb_image is of {image[:3]}"
    )
