"""What every list has in common: projects, pages, order and filters; and what is refused everywhere."""

from __future__ import annotations

import pytest

from tests.cloud_in_memory import PUBLIC_KEY, TOKENS, LocalCloud, MemoryBackend


@pytest.fixture(scope="module")
def firewalls(tmp_path_factory: pytest.TempPathFactory) -> LocalCloud:
    """Sixty firewalls named f00 to f59, every third with the label `third`; only to be read."""
    cloud = LocalCloud(tmp_path_factory.mktemp("cloud"), MemoryBackend())
    for number in range(60):
        cloud.do("/firewalls", {"name": f"f{number:02}", "labels": {} if number % 3 else {"third": "yes"}})
    return cloud


def names(cloud: LocalCloud, query: str) -> list[str]:
    return [each["name"] for each in cloud.get(f"/firewalls?{query}")["firewalls"]]


def test_pages(firewalls: LocalCloud) -> None:
    first = firewalls.get("/firewalls")
    assert first["meta"]["pagination"] == {
        "page": 1,
        "per_page": 25,
        "previous_page": None,
        "next_page": 2,
        "last_page": 3,
        "total_entries": 60,
    }
    assert names(firewalls, "page=3&per_page=25") == [f"f{number:02}" for number in range(50, 60)]
    assert len(names(firewalls, "per_page=1000")) == 50
    assert firewalls.get("/firewalls?page=3")["meta"]["pagination"]["next_page"] is None
    assert names(firewalls, "page=4") == []
    assert firewalls.refusal("GET", "/firewalls?page=0") == (422, "invalid_input")
    for wrong in ("ten", "-1", "", "1" * 5000):
        assert firewalls.refusal("GET", f"/firewalls?per_page={wrong}") == (422, "invalid_input")


def test_filters(firewalls: LocalCloud) -> None:
    assert names(firewalls, "name=f07") == ["f07"]
    assert names(firewalls, "name=f07&name=f09") == ["f07", "f09"]
    assert names(firewalls, "name=none") == []
    assert names(firewalls, "label_selector=third%3Dyes&per_page=2") == ["f00", "f03"]
    assert len(names(firewalls, "label_selector=!third&per_page=50")) == 40
    assert firewalls.refusal("GET", "/firewalls?label_selector=a%20b") == (422, "invalid_input")


def test_order(firewalls: LocalCloud) -> None:
    assert names(firewalls, "sort=name:desc&per_page=2") == ["f59", "f58"]
    assert names(firewalls, "sort=id:desc&per_page=1") == ["f59"]
    for wrong in ("colour", "labels", "rules", "applied_to:desc", ""):
        assert firewalls.refusal("GET", f"/firewalls?sort={wrong}") == (422, "invalid_input")
    assert firewalls.refusal("GET", "/firewalls?sort=name:up") == (422, "invalid_input")


def test_projects_see_only_their_own(cloud: LocalCloud) -> None:
    firewall = cloud.do("/firewalls", {"name": "mine"})["firewall"]["id"]
    assert cloud.get("/firewalls", project="gpu")["firewalls"] == []
    for method in ("GET", "PUT", "DELETE"):
        assert cloud.refusal(method, f"/firewalls/{firewall}", {}, project="gpu") == (404, "not_found")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {next(iter(TOKENS))}"])
def test_no_token_no_answer(cloud: LocalCloud, header: str | None) -> None:
    answer = cloud.client.get("/v1/servers", headers={} if header is None else {"Authorization": header})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("method", "path", "refusal"),
    [
        ("GET", "/nonsense", (404, "not_found")),
        ("GET", "/servers/none", (404, "not_found")),
        ("GET", "/servers/4711", (404, "not_found")),
        ("GET", f"/servers/{'9' * 5000}", (404, "not_found")),
        ("GET", "/server_types/4711", (404, "not_found")),
        ("GET", "/images/4711", (404, "not_found")),
        ("PATCH", "/servers", (405, "method_not_allowed")),
        ("POST", "/load_balancers", (405, "method_not_allowed")),
        ("POST", "/servers/4711/actions/enable_rescue", (404, "not_found")),
        ("GET", "/datacenters", (410, "deprecated_api_endpoint")),
        ("GET", "/actions", (422, "invalid_input")),
        ("DELETE", "/images/13", (404, "not_found")),
    ],
)
def test_what_is_not_there(cloud: LocalCloud, method: str, path: str, refusal: tuple[int, str]) -> None:
    assert cloud.refusal(method, path) == refusal


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        '"text"',
        "\xff",
        '{"name": NaN}',
        '{"name": "\\ud800"}',
        '{"name": ' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"size": ' + "9" * 5000 + "}",
    ],
    ids=range(8),
)
def test_body_has_to_be_an_object(cloud: LocalCloud, body: str) -> None:
    headers = {"Authorization": f"Bearer {next(iter(TOKENS))}"}
    answer = cloud.client.post("/v1/ssh_keys", content=body.encode("latin-1"), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "json_error")


@pytest.mark.parametrize("kind", ["isos", "load_balancers", "networks", "placement_groups", "certificates", "zones"])
def test_kinds_that_are_missing_are_empty_lists(cloud: LocalCloud, kind: str) -> None:
    assert cloud.get(f"/{kind}?name=x")[kind] == []


@pytest.mark.parametrize("kind", ["locations", "server_types", "isos"])
def test_what_has_no_labels_is_not_selected_by_them(cloud: LocalCloud, kind: str) -> None:
    assert cloud.get(f"/{kind}?label_selector=a") | {"meta": 0} == cloud.get(f"/{kind}") | {"meta": 0}


def test_offers(cloud: LocalCloud) -> None:
    types = {each["name"]: each for each in cloud.get("/server_types")["server_types"]}
    assert "no GPU" in types["gpu-l4"]["description"]
    assert types["gpu-l4"]["prices"][0]["price_hourly"] == {"net": "0.7500000000", "gross": "0.8925000000"}
    for each in types.values():
        assert [place["name"] for place in each["locations"]] == [price["location"] for price in each["prices"]]
        assert cloud.get(f"/server_types/{each['id']}")["server_type"] == each
    assert [each["name"] for each in cloud.get("/locations")["locations"]] == ["fsn1", "nbg1", "hel1"]
    assert [each["name"] for each in cloud.get("/images?type=system")["images"]] == ["debian-13"]
    assert cloud.get("/pricing")["pricing"]["currency"] == "EUR"


def test_ssh_keys(cloud: LocalCloud) -> None:
    key = cloud.do("/ssh_keys", {"name": "me", "public_key": f"{PUBLIC_KEY}\n"})["ssh_key"]
    assert key["public_key"] == PUBLIC_KEY
    assert len(key["fingerprint"]) == 47
    assert cloud.get(f"/ssh_keys?fingerprint={key['fingerprint']}")["ssh_keys"] == [key]
    again = {"name": "again", "public_key": PUBLIC_KEY}
    assert cloud.refusal("POST", "/ssh_keys", again) == (409, "uniqueness_error")
    other = PUBLIC_KEY.replace("ssh-ed25519 ", "ssh-rsa ")
    for nonsense in ("", "x", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 ÄÖÜ", other, 7):
        refused = {"name": "x", "public_key": nonsense}
        assert cloud.refusal("POST", "/ssh_keys", refused) == (422, "invalid_input")
    cloud.do(f"/ssh_keys/{key['id']}", {"name": "renamed"}, method="PUT")
    cloud.do(f"/ssh_keys/{key['id']}", method="DELETE")
    assert cloud.get("/ssh_keys")["ssh_keys"] == []


def test_a_fault_is_told_in_the_envelope(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud.backend, "running", lambda: 1 / 0)
    assert cloud.refusal("GET", "/servers") == (500, "server_error")


def test_a_backend_that_fails_is_told(cloud: LocalCloud) -> None:
    volume = cloud.do("/volumes", {"name": "v", "size": 10, "location": "fsn1"})["volume"]["id"]
    cloud.backend.fails = {"delete_volume"}
    status, answer = cloud.call("DELETE", f"/volumes/{volume}")
    assert (status, answer["error"]["code"]) == (503, "unavailable")
    assert answer["error"]["message"] == "delete_volume does not work today"
    assert cloud.get(f"/volumes/{volume}")
