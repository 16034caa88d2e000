"""parrotpark_buckets shows what it would do, does it, and says in one line why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from parrotpark.control.object_storage import Endpoint
from tests.s3_in_memory import FakeS3

type Run = Callable[..., dict[str, Any]]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    fake = FakeS3()
    fake.reaches = {"files": {"files"}, "books": {"books"}}
    monkeypatch.setattr(Endpoint, "client", lambda _, key: fake.client(key))
    return fake


@pytest.fixture
def run(run_module: Run, load_module: Callable[[str], ModuleType], s3: FakeS3, tmp_path: Path) -> Run:  # noqa: ARG001
    secret = tmp_path / "secret"
    secret.write_text("correct-horse-battery-staple\n")
    module = load_module("parrotpark_buckets")

    def run(*buckets: dict[str, Any], **changes: Any) -> dict[str, Any]:
        arguments = {
            "endpoint": "https://s3.example.org",
            "region": "r1",
            "access_key_id": "admin",
            "secret_key_file": str(secret),
            "buckets": [
                {"access_key_id": bucket["name"], "secret_key_file": str(secret), **bucket} for bucket in buckets
            ],
            **changes,
        }
        return run_module(module, **arguments)

    return run


FILES, BOOKS = {"name": "files", "cors_origins": ["https://a.x"]}, {"name": "books"}


def test_in_check_mode_it_shows_all_and_makes_nothing(run: Run, s3: FakeS3) -> None:
    result = run(FILES, BOOKS, _ansible_check_mode=True)
    assert result["changed"] is True
    assert result["diff"]["before"] == {"files": "absent", "books": "absent"}
    assert sorted(result["diff"]["after"]["files"]) == ["cors", "policy"]
    assert s3.calls == []
    assert s3.buckets == {}


def test_it_makes_what_it_showed_once(run: Run, s3: FakeS3) -> None:
    shown = run(FILES, BOOKS, _ansible_check_mode=True)
    assert run(FILES, BOOKS)["diff"] == shown["diff"]
    assert s3.buckets.keys() == {"files", "books"}
    again = run(FILES, BOOKS)
    assert (again["changed"], again["diff"]) == (False, {"before": {}, "after": {}})


def test_a_diff_shows_what_differs_alone(run: Run, s3: FakeS3) -> None:
    run(FILES, BOOKS)
    s3.buckets["files"].pop("cors")
    result = run(FILES, BOOKS, _ansible_check_mode=True)
    assert result["diff"]["before"] == {"files": {"cors": []}}
    assert result["diff"]["after"]["files"]["cors"][0]["AllowedOrigins"] == ["https://a.x"]


def test_versions_that_stay_for_ever_are_warned_of(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _, warning: said.append(warning))
    run({**FILES, "versioning": True, "noncurrent_days": 7})
    assert said == []
    run({**FILES, "versioning": True})
    assert said == ["bucket files keeps what people delete for ever: set noncurrent_days"]


def test_a_key_that_reaches_too_much_ends_the_run(run: Run, s3: FakeS3) -> None:
    s3.reaches["books"] = {"files", "books"}
    result = run(FILES, BOOKS)
    assert result["msg"].startswith("access key books of books also reaches bucket files")
    assert run(FILES, BOOKS, _ansible_check_mode=True)["failed"]


def test_scaleway_needs_to_be_told_who_is_the_administrator(run: Run) -> None:
    assert "admin_principal" in run(FILES, policy="scaleway")["msg"]
