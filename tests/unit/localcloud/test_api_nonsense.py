"""Whatever is sent to whichever path: the answer is one of the API's, and what is stored stays whole."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.api.app import _ROUTES
from localcloud.api.rate_limit import RateLimits
from localcloud.core.store import from_json, to_json
from localcloud.machine import firewall
from tests.cloud_in_memory import PUBLIC_KEY, TOKENS, LocalCloud, MemoryBackend

LISTS = ("servers", "ssh_keys", "firewalls", "volumes", "primary_ips", "images", "servers/actions")
RULE = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["0.0.0.0/0"]}

# What makes sense somewhere is sent everywhere, between what makes sense nowhere.
SENSE: tuple[Any, ...] = (
    *("x", "debian-13", "cx23", "fsn1", "ext4", "ipv4", "snapshot", "server", PUBLIC_KEY, "any", "", "ü" * 20_000),
    *(True, False, None, 0, -1, 10, 13, 114, 2**63, 10**400, 1.5, 1e400, [], {}),
    *([RULE], [{**RULE, "port": "٢٢"}], [{**RULE, "source_ips": [[]]}], {"a": "b"}, {"a": 1}, {"": ""}),
    *([{"type": "server", "server": {"id": 1}}], [{"type": "label_selector", "label_selector": {"selector": "a b"}}]),
    *([[[[]]]], {"enable_ipv4": False}, {"enable_ipv6": True, "ipv4": "x"}, "\ud800", ["\udfff"], "\0"),
)
FIELDS = (
    *("apply_to", "assignee_id", "assignee_type", "auto_delete", "automount", "delete", "description", "firewalls"),
    *("format", "image", "labels", "location", "name", "networks", "placement_group", "public_key", "public_net"),
    *("rebuild", "remove_from", "rules", "server", "server_type", "size", "ssh_keys", "start_after_create", "type"),
    *("user_data", "volumes"),
)
TARGETS = [{"type": "server", "server": {"id": 1000}}, {"type": "label_selector", "label_selector": {"selector": "a"}}]
VALID: dict[str, dict[str, Any]] = {
    "/servers": {"name": "t", "server_type": "cx23", "image": "debian-13"},
    "/servers/{id:id}/actions/rebuild": {"image": "debian-13"},
    "/servers/{id:id}/actions/change_protection": {"delete": True, "rebuild": True},
    "/volumes": {"name": "w", "size": 10, "location": "fsn1"},
    "/volumes/{id:id}/actions/attach": {"server": 1001},
    "/volumes/{id:id}/actions/resize": {"size": 20},
    "/firewalls": {"name": "g", "rules": [RULE], "apply_to": TARGETS},
    "/firewalls/{id:id}/actions/set_rules": {"rules": [RULE]},
    "/firewalls/{id:id}/actions/apply_to_resources": {"apply_to": TARGETS},
    "/firewalls/{id:id}/actions/remove_from_resources": {"remove_from": TARGETS},
    "/primary_ips": {"name": "q", "type": "ipv4", "location": "fsn1"},
    "/ssh_keys": {"name": "l", "public_key": PUBLIC_KEY.replace("GJl", "GJm")},
}
QUERIES = ("sort", "page", "per_page", "label_selector", "name", "status", "type", "id", "bound_to", "x")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


HEADERS = {"Authorization": f"Bearer {next(iter(TOKENS))}"}

type Start = Callable[[], LocalCloud]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Gives a cloud with something of each kind, always the same, and no limit of calls."""
    seconds = itertools.count()
    cloud = LocalCloud(tmp_path_factory.mktemp("cloud"), MemoryBackend(), RateLimits(lambda: float(next(seconds))))
    with cloud.client:
        for name in ("s", "r"):
            server = {"name": name, "server_type": "cx23", "image": "debian-13", "location": "fsn1"}
            id_ = cloud.do("/servers", server)["server"]["id"]
            cloud.do(f"/servers/{id_}/actions/create_image")
            cloud.do("/volumes", {"name": name, "size": 10, "location": "fsn1"})
            cloud.do("/firewalls", {"name": name, "rules": [RULE]})
            cloud.do("/primary_ips", {"name": name, "type": "ipv4", "location": "fsn1"})
        cloud.do("/ssh_keys", {"name": "k", "public_key": PUBLIC_KEY})
        state, machines = cloud.store.state, tables(cloud.backend)

        def begin() -> LocalCloud:
            cloud.store.state = state
            vars(cloud.backend).update({name: copy.copy(table) for name, table in machines.items()})
            return cloud

        yield begin


def tables(backend: MemoryBackend) -> dict[str, Any]:
    """What the backend holds, as it is now."""
    return {name: copy.copy(value) for name, value in vars(backend).items() if name != "gate"}


IDS = st.sampled_from([*range(1000, 1025), 0, 13, 4711])  # those of the fixture among them
VALUES = st.sampled_from(SENSE) | IDS | st.lists(IDS, max_size=2) | ANYTHING
WORDS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["id", "labels:asc", "created:desc", "a in (b)", "!a", "1", "0", "9" * 5000, "running"]
)
QUERY = st.lists(st.tuples(st.sampled_from(QUERIES), WORDS), max_size=3).map(urlencode)


def bodies(path: str) -> st.SearchStrategy[bytes]:
    """Often one that is granted but for a field or two, else anything."""
    valid = VALID.get(path, {})
    fields = st.sampled_from(FIELDS) | st.sampled_from([*valid] or FIELDS)
    nearly = st.dictionaries(fields, VALUES, max_size=2).map(lambda wrong: {**valid, **wrong})
    return st.binary(max_size=9) | st.one_of(nearly, nearly, nearly, ANYTHING).map(
        lambda body: json.dumps(body).encode()
    )


def requests() -> st.SearchStrategy[tuple[str, str, bytes]]:
    """Method, address and body."""

    def address(path: str, id_: int, action: int, query: str) -> str:
        return f"/v1{path}?{query}".replace("{id:id}", str(id_)).replace("{action:id}", str(action))

    def request(route: tuple[str, str, object]) -> st.SearchStrategy[tuple[str, str, bytes]]:
        method, path, _ = route
        asks = method == "GET"
        ids = IDS if asks else st.sampled_from(range(1000, 1025))
        query = st.builds(address, st.just(path), ids, IDS, QUERY if asks else st.just(""))
        return st.tuples(st.just(method), query, st.just(b"") if asks else bodies(path))

    writes = [route for route in _ROUTES if route[0] != "GET"]
    return (st.sampled_from(_ROUTES) | st.sampled_from(writes)).flatmap(request)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(calls=st.lists(requests(), min_size=1, max_size=4))
def test_nonsense_is_refused_and_never_a_fault(start: Start, calls: list[tuple[str, str, bytes]]) -> None:
    cloud = start()
    before = cloud.store.state
    for method, address, body in calls:
        answer = cloud.client.request(method, address, content=body, headers=HEADERS)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.json()["error"].keys() == {"code", "message", "details"}
        cloud.settle()
    if cloud.store.state is not before:
        assert from_json(to_json(cloud.store.state)) == cloud.store.state
        assert "server_error" not in to_json(cloud.store.state)
        assert firewall.render(cloud.backend.rules).isascii()
        for kind in LISTS:
            cloud.get(f"/{kind}?per_page=50")
