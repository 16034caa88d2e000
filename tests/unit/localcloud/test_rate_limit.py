"""The rate limit: a client that asks too often fails here as it would at the provider."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from localcloud.api.rate_limit import HOURLY_OF, RateLimits
from tests.cloud_in_memory import TOKENS, LocalCloud, MemoryBackend

HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cloud(tmp_path: Path, clock: Clock) -> Iterator[LocalCloud]:
    """A local cloud that lives by the clock."""
    cloud = LocalCloud(tmp_path, MemoryBackend(), RateLimits(clock))
    with cloud.client:
        yield cloud


def asked(cloud: LocalCloud, method: str = "GET", path: str = "/locations", project: str = "entry") -> tuple[int, ...]:
    """Status and numbers of the limit."""
    token = next(token for token, owner in TOKENS.items() if owner == project)
    answer = cloud.client.request(method, f"/v1{path}", headers={"Authorization": f"Bearer {token}"})
    headers = Headers(dict(answer.headers))
    return answer.status_code, *(int(headers[name]) for name in HEADERS)


def test_every_answer_says_what_is_left(cloud: LocalCloud, clock: Clock) -> None:
    assert asked(cloud) == (200, 3600, 3599, 1_000_001)
    assert asked(cloud, "GET", "/servers/4711") == (404, 3600, 3598, 1_000_002)
    assert asked(cloud, "POST", "/servers") == (422, 3600, 3597, 1_000_003)
    clock.now += 2
    assert asked(cloud) == (200, 3600, 3598, 1_000_004)
    clock.now += 3600
    assert asked(cloud) == (200, 3600, 3599, 1_003_603)
    clock.now -= 60  # somebody set it back
    assert asked(cloud) == (200, 3600, 3598, 1_003_544)


def test_who_used_it_up_is_refused_until_a_second_later(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HOURLY_OF, "entry", 3)
    cloud = LocalCloud(tmp_path, MemoryBackend(), RateLimits(clock))
    assert [asked(cloud)[0] for _ in range(3)] == [200, 200, 200]
    assert asked(cloud) == (429, 3, 0, 1_003_600)
    assert cloud.refusal("GET", "/servers") == (429, "rate_limit_exceeded")
    assert asked(cloud, project="gpu")[0] == 200
    clock.now += 1200
    assert asked(cloud) == (200, 3, 0, 1_004_800)
    assert asked(cloud)[0] == 429


def test_who_has_no_token_uses_nothing_up(cloud: LocalCloud) -> None:
    for _ in range(3):
        assert cloud.client.get("/v1/locations").status_code == 401
    assert asked(cloud)[2] == 3599


def test_tests_share_a_project_and_have_more_of_it(clock: Clock) -> None:
    assert RateLimits(clock).take("test").limit == 36_000
