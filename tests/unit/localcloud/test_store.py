"""The store: what is written is what is read again, and what raises leaves nothing."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.core.model import Action, Firewall, FirewallRule, Image, PrimaryIp, Reference, Server, SshKey, Volume
from localcloud.core.store import State, Store, from_json, to_json

RULE = FirewallRule("in", "tcp", "22", ("0.0.0.0/0",), (), None)
STATE = State(
    next_id=2000,
    servers={1: Server(1, "p", "s", "now", {"a": "b"}, "cx23", "fsn1", "debian-13", "ü\n", ("k",), 5, "running", True)},
    ssh_keys={2: SshKey(2, "p", "k", "now", {}, "ssh-ed25519 AAAA", "00:11")},
    firewalls={3: Firewall(3, "p", "f", "now", {}, (RULE, RULE), (1,), ("a=b",))},
    volumes={4: Volume(4, "p", "v", "now", {}, "fsn1", 10, "ext4", server=1)},
    primary_ips={5: PrimaryIp(5, "p", "i", "now", {}, "fsn1", "10.77.0.10", auto_delete=False)},
    images={6: Image(6, "p", "golden", "now", {}, 1, "s", 40, size_bytes=None)},
    actions={
        7: Action(7, "p", "create_server", (Reference("server", 1),), "now"),
        8: Action(8, "p", "resize_volume", (), "now", 12, "error", "later", ("action_failed", "no space")),
    },
)


def test_everything_survives_json() -> None:
    assert from_json(to_json(STATE)) == STATE


@given(st.builds(Server, id=st.integers(), labels=st.dictionaries(st.text(), st.text())))
def test_any_server_survives_json(server: Server) -> None:
    state = State(servers={server.id: server})
    assert from_json(to_json(state)) == state


def test_a_new_store_reads_what_an_old_one_wrote(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "folder")
    with store.change() as state:
        state.servers.update(STATE.servers)
    assert Store(tmp_path / "new" / "folder").state == store.state
    assert stat.S_IMODE((tmp_path / "new/folder/state.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new/folder").stat().st_mode) == 0o700


def test_what_raises_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = store.state

    def change() -> None:
        with store.change() as state:
            state.servers.update(STATE.servers)
            state.new_id()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()
    assert store.state is before
    assert not (tmp_path / "state.json").exists()


def test_a_crash_while_writing_leaves_the_old_state(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.change() as state:
        state.new_id()
    (tmp_path / "state.new").write_text('{"next_id": 99')
    assert Store(tmp_path).state == store.state


def test_changes_from_many_threads_all_count(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def take_ids() -> None:
        for _ in range(20):
            with store.change() as state:
                state.new_id()

    threads = [threading.Thread(target=take_ids) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads((tmp_path / "state.json").read_text())["next_id"] == State().next_id + 160


def test_old_actions_are_forgotten_but_not_unfinished_ones(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.change() as state:
        for id_ in range(2000):
            state.actions[id_] = Action(id_, "p", "start_server", (), "now", status="success" if id_ else "running")
    kept = store.state.actions
    assert len(kept) == 1001
    assert 0 in kept
    assert 1999 in kept
    assert 999 not in kept
