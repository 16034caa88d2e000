"""The doctor, who must speak before anything is installed."""

from __future__ import annotations

import ast
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from localcloud import paths
from localcloud.demo import doctor

SOURCE = Path(doctor.__file__)


def test_it_needs_only_the_system_s_python() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 11))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_it_looks_where_the_local_cloud_will_be() -> None:
    assert doctor.STATE == paths.STATE
    assert doctor.API_PORT == paths.API_PORT
    assert str(paths.GATEWAY).startswith(f"{doctor.NETWORK}.")


def test_not_being_root_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert list(doctor.check_root()) == [doctor.Finding("error", "not root", "run it with sudo")]


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED", {"/nowhere/mmdebstrap": "mmdebstrap", "sh": "dash"})
    monkeypatch.setattr(doctor, "unified_cgroups", lambda: True)
    assert doctor.missing_packages() == ["mmdebstrap"]
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)  # no apt either
    assert list(doctor.check_packages()) == [
        doctor.Finding("error", "missing, and there is no apt: mmdebstrap dash", "install them yourself")
    ]


def test_a_small_disk_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "STATE", tmp_path / "parrotpark" / "localcloud")
    monkeypatch.setattr(doctor, "DISK_GIB", 10**9)
    assert [finding.level for finding in doctor.check_room()][1] == "error"


def test_a_taken_port_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "STATE", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(doctor, "API_PORT", other.getsockname()[1])
        finding = next(doctor.check_network())
    assert finding.level == "error"
    assert "ss -ltnp" in finding.fix


DOCKER = "-P INPUT ACCEPT\n-P FORWARD DROP\n-N DOCKER-USER\n"
ACCEPTING = "-A DOCKER-USER -i parrotpark+ -j ACCEPT\n-A DOCKER-USER -o parrotpark+ -j ACCEPT\n"


@pytest.mark.parametrize(
    ("rules", "fix"),
    [
        ("-P INPUT ACCEPT\n-P FORWARD ACCEPT\n", ""),
        (
            DOCKER,
            "iptables -I DOCKER-USER -i parrotpark+ -j ACCEPT && iptables -I DOCKER-USER -o parrotpark+ -j ACCEPT",
        ),
        (DOCKER + ACCEPTING, ""),
        ("-P INPUT DROP\n-P FORWARD ACCEPT\n", "iptables -I INPUT -i parrotpark+ -j ACCEPT"),
    ],
)
def test_a_packet_filter_in_the_way_is_an_error_until_mended(
    rules: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_is_there", lambda _: True)
    monkeypatch.setattr(doctor, "_output", lambda *_: rules)
    (finding,) = doctor.check_filters()
    assert (finding.level, finding.fix) == ("error" if fix else "ok", fix)


@pytest.mark.parametrize(("level", "status"), [("ok", 0), ("warning", 0), ("error", 1)])
def test_only_an_error_fails(
    level: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([doctor.Finding(level, "text", "fix")]),))
    assert doctor.main(["--json"]) == status
    assert json.loads(capsys.readouterr().out) == [{"level": level, "text": "text", "fix": "fix"}]


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get that is locked as often as the file `locked` has lines, and dpkg-query, both as scripts."""
    (tmp_path / "apt-get").write_text(
        f"""#!/bin/sh
cd {tmp_path}
echo "$*" >>calls
if [ -s locked ]; then
  sed -i 1d locked
  echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)' >&2
  exit 100
fi
"""
    )
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\nprintf 'ii  git\\nrc  npm\\n'\n")
    for name in ("apt-get", "dpkg-query"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(doctor, "APT_PAUSE", 0)
    return tmp_path


def test_apts_lock_is_waited_for(apt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (apt / "locked").write_text("1\n2\n")
    assert doctor.install(["git", "npm"]) == 0
    assert [call.split()[3] for call in (apt / "calls").read_text().splitlines()] == ["update"] * 3 + ["install"]
    assert "npm" in (apt / "calls").read_text()
    assert "git" not in (apt / "calls").read_text()
    assert "another package manager is running: waiting for it" in capsys.readouterr().err


def test_with_nothing_missing_apt_is_not_asked(apt: Path) -> None:
    assert doctor.install(["git"]) == 0
    assert not (apt / "calls").exists()


def test_a_lock_that_stays_is_not_blamed_on_the_network(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (apt / "locked").write_text("1\n" * 99)
    monkeypatch.setattr(doctor, "APT_SECONDS", 0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # no pip
    (finding,) = doctor.check_indexes()
    assert (finding.level, finding.fix) == ("error", "end it, then run this again")
    assert finding.text.startswith("another package manager keeps running: E: Could not get lock")
