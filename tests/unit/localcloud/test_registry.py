"""What the registry is told; that it takes nothing from machines is shown by tests/conformance."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from localcloud.core.backend import BackendError
from localcloud.machine import podman, registry, roots


def test_machines_only_pull() -> None:
    config = yaml.safe_load(registry.PULL_ONLY)
    assert config["http"] == {"addr": "10.77.0.1:5000"}
    assert config["storage"]["maintenance"] == {"readonly": {"enabled": True}}
    assert "delete" not in config["storage"]


def test_pushing_takes_a_socket() -> None:
    assert yaml.safe_load(registry.PUSH)["http"]["net"] == "unix"


@pytest.mark.parametrize(
    ("alive", "config", "runs"),
    [(True, registry.PULL_ONLY, True), (True, "version: 0.1\n", False), (False, registry.PULL_ONLY, False)],
)
def test_a_registry_of_another_configuration_is_started_anew(
    alive: bool, config: str, runs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yml").write_text(config)
    monkeypatch.setattr(roots, "directory", lambda _: tmp_path)
    monkeypatch.setattr(podman, "alive", lambda _: alive)
    assert registry.runs() is runs


def test_a_start_waits_for_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, False, True])
    monkeypatch.setattr(registry, "answers", lambda _: next(answers))
    registry.wait()
    assert list(answers) == []


def test_a_registry_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "START_SECONDS", 0.0)
    monkeypatch.setattr(registry, "answers", lambda _: False)
    with pytest.raises(BackendError, match=r"^the registry does not answer on 10\.77\.0\.1:5000"):
        registry.wait()
