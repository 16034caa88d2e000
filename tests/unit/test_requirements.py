"""requirements.yml names just the collections that the code uses, in the versions that the ansible package brings."""

import json
import re
from pathlib import Path

import ansible_collections
import yaml

ROOT = Path(__file__).parents[2]
INSTALLED = Path(next(iter(ansible_collections.__path__)))
NAME = re.compile(r"\b((?:amazon|ansible|community|containers|hetzner)\.(?!builtin)[a-z_]+)\.[a-z_]+\b")


def required() -> dict[str, str]:
    requirements = yaml.safe_load((ROOT / "requirements.yml").read_text())
    return {entry["name"]: entry["version"] for entry in requirements["collections"]}


def test_versions_are_those_of_the_installed_wheel() -> None:
    for name, version in required().items():
        manifest = json.loads((INSTALLED / name.replace(".", "/") / "MANIFEST.json").read_text())
        assert manifest["collection_info"]["version"] == version


def test_every_collection_in_use_is_required_and_none_else() -> None:
    files = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/handlers/*.yml"), *ROOT.glob("playbooks/*.yml")]
    files += [*ROOT.glob("molecule/**/*.yml"), ROOT / "ansible.cfg"]
    used = {match for file in files for match in NAME.findall(file.read_text())}
    assert used == set(required())
