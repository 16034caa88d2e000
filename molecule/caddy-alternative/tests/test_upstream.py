"""The package of Caddy's makers, production's default: prepare.yml has made a repository that stands for theirs."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from testinfra.host import Host

SOURCES = "/etc/apt/sources.list.d/caddy.sources"
TRUSTED = "/etc/apt/keyrings/caddy.asc"
INSTALLED = "dpkg-query --show --showformat='${db:Status-Abbrev}${Version}' caddy"
PLAY = "- hosts: all\n  roles: [caddy]\n"


@pytest.fixture
def apply(host: Host, tmp_path: Path) -> "Apply":
    return Apply(tmp_path, host.check_output("cat /srv/repository/fingerprint"))


class Apply:
    """Applies the role with the makers' package."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.play = folder / "play.yml"
        self.play.write_text(PLAY)
        self.fingerprint = fingerprint

    def __call__(self, *options: str, fingerprint: str = "") -> subprocess.CompletedProcess[str]:
        given = {
            "caddy_package_source": "upstream",
            "__caddy_repository_host": "packages.test:9443",
            "__caddy_key_fingerprint": fingerprint or self.fingerprint,
        }
        command = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], *options, "--extra-vars"]
        return subprocess.run([*command, json.dumps(given), self.play], check=False, capture_output=True, text=True)


def test_a_plan_shows_the_change_from_debians(host: Host, apply: Apply) -> None:
    done = apply("--check", "--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert SOURCES in done.stdout
    assert not host.file(SOURCES).exists


def test_another_key_ends_it_before_anything_is_installed(host: Host, apply: Apply) -> None:
    host.check_output("apt-get -qq remove caddy gpg")
    done = apply(fingerprint="0" * 40)
    assert done.returncode == 2, done.stdout
    assert "holds another key than 0000" in done.stderr
    assert [path for path in (SOURCES, TRUSTED, "/usr/bin/caddy") if host.file(path).exists] == []


def test_theirs_is_installed_once(host: Host, apply: Apply) -> None:
    done = apply()
    assert done.returncode == 0, done.stdout + done.stderr
    assert host.check_output(INSTALLED) == "ii 99.0"
    assert host.service("caddy.service").is_running
    again = apply()
    assert re.search(r"changed=0 .* failed=0 ", again.stdout), again.stdout


def test_upgrades_of_theirs_come_by_themselves(host: Host) -> None:
    host.check_output("apt-get -qq install --allow-downgrades caddy/stable")
    assert host.check_output(INSTALLED) != "ii 99.0"
    said = host.check_output("unattended-upgrade --dry-run --debug 2>&1")
    assert re.search(r"Packages that will be upgraded: .*\bcaddy\b", said), said
