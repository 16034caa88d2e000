"""Weights of the hub are downloaded once a revision, and count as there only once all of them are."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.roles.test_bare_host import play

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the files are root's")

OLD, NEW = "a" * 40, "b" * 40
HF = f"""#!{sys.executable}
import json, pathlib, sys

here = pathlib.Path(__file__).parent
with (here / "asked").open("a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
options = dict(word.split("=") for word in sys.argv[1:] if "=" in word)
revision, into = options.get("--revision", "main"), pathlib.Path(options["--local-dir"])
into.mkdir(parents=True, exist_ok=True)
(into / "config.json").write_text(revision)
if (here / "ill").exists():
    sys.exit("the connection was lost")
(into / "model.safetensors").write_text(revision)
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the host's /opt, with a program in place of the hub's."""
    monkeypatch.setenv("HF_TOKEN", "topsecret")
    program = tmp_path / "vllm/bin/hf"
    program.parent.mkdir(parents=True)
    program.write_text(HF)
    program.chmod(0o755)
    return tmp_path


def bring(host: Path, large: str, small: str, *arguments: str, status: int = 0) -> tuple[list[list[str]], set[str]]:
    """Let the role bring these revisions; return what the hub's program was asked, and which tasks change something."""
    revisions = {"large": large, "small": small}
    models = [
        {"name": name, "port": 8001, "source": {"hub": f"parrots/{name}-8B", "revision": revision}}
        for name, revision in revisions.items()
    ]
    here = {
        "__vllm_environment_directory": str(host / "vllm"),
        "__vllm_models_directory": str(host / "models"),
        "__vllm_may_start": False,
    }
    role = {"name": "vllm", "tasks_from": "weights"}
    tasks = [{"ansible.builtin.import_role": role, "vars": {"vllm_models": models}}]
    (host / "play.yml").write_text(json.dumps([{"hosts": "entry", "gather_facts": False, "tasks": tasks}]))
    asked = host / "vllm/bin/asked"
    asked.write_text("")
    results = play(host / "play.yml", host / "hosts.yml", "-e", json.dumps(here), *arguments, status=status)
    assert "topsecret" not in asked.read_text() + str(results)
    changing = {name.removeprefix("vllm : ") for name, result in results.items() if result["changed"]}
    return [json.loads(line) for line in asked.read_text().splitlines()], changing


def wanted(host: Path, name: str, revision: str) -> list[str]:
    into = host / "models" / name
    return ["download", f"parrots/{name}-8B", f"--revision={revision}", f"--local-dir={into}", "--quiet"]


def there(host: Path, name: str) -> set[str]:
    """Return of which revisions the files of a model are."""
    return {file.read_text() for file in (host / "models" / name).iterdir()}


def test_a_revision_is_downloaded_once(host: Path) -> None:
    asked, changing = bring(host, OLD, OLD)
    assert asked == [wanted(host, "large", OLD), wanted(host, "small", OLD)]
    assert {"Download the models that are on the hub", "Record the revisions"} <= changing
    assert bring(host, OLD, OLD) == ([], set())
    assert bring(host, OLD, NEW)[0] == [wanted(host, "small", NEW)]
    assert (there(host, "large"), there(host, "small")) == ({OLD}, {NEW})


def test_what_was_cut_off_does_not_count(host: Path) -> None:
    ill = host / "vllm/bin/ill"
    ill.touch()
    bring(host, OLD, OLD, status=2)
    ill.unlink()
    assert wanted(host, "large", OLD) in bring(host, OLD, OLD)[0]
    # It leaves files of two revisions, and neither is whole: not even the former one, for who goes back to it.
    ill.touch()
    bring(host, NEW, OLD, status=2)
    ill.unlink()
    assert bring(host, OLD, OLD)[0] == [wanted(host, "large", OLD)]
    assert there(host, "large") == {OLD}


def test_a_plan_downloads_nothing(host: Path) -> None:
    (host / "models/large").mkdir(parents=True)
    (host / "models/large/.revision").write_text(OLD)
    asked, changing = bring(host, NEW, OLD, "--check")
    assert (asked, there(host, "large"), (host / "models/small").exists()) == ([], {OLD}, False)
    assert "Record the revisions" in changing
