"""A new service is one folder, one wiring file, one line in a playbook and one in the catalogue of secrets.

The checks of a whole copy of the repository take a made-up one, and miss each of the four.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COPIED = ["ansible.cfg", "pyproject.toml", "site.yml", "docs", "inventories", "playbooks", "plugins", "roles", "src"]
COPIED += ["tests/roles", "tests/unit/wiring"]

SPEC = """---
argument_specs:
  main:
    short_description: A parrot
    description: Repeats what it is told.
    author: Parrotpark
    options:
      parrot_url:
        type: str
        required: true
        description: Where it repeats.
      parrot_password:
        type: str
        required: true
        no_log: true
        description: What it never repeats.
    examples: |
      - hosts: cage
        roles:
          - role: parrot
            parrot_url: https://parrot.example.org
            parrot_password: "{{ vault_parrot_password }}"
"""
MAIN = """---
- name: Check the arguments and the host
  ansible.builtin.import_tasks: preflight.yml
  tags: [parrot]
"""
PREFLIGHT = """---
- name: Reject an address that nobody could listen to
  ansible.builtin.assert:
    that: parrot_url is match('^https://')
    fail_msg: "parrot_url: '{{ parrot_url }}' must be a URL that begins with https://"
    quiet: true
"""
WIRING = """---
# A parrot
parrot_url: "{{ public_url }}"
parrot_password: "{{ vault_parrot_password }}"
"""


def insert(file: Path, after: str, line: str) -> None:
    text = file.read_text()
    assert text.count(after) == 1
    file.write_text(text.replace(after, after + line))


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def folder(checkout: Path) -> None:
    write(checkout / "roles/parrot/meta/argument_specs.yml", SPEC)
    write(checkout / "roles/parrot/meta/main.yml", (checkout / "roles/wish/meta/main.yml").read_text())
    write(checkout / "roles/parrot/tasks/main.yml", MAIN)
    write(checkout / "roles/parrot/tasks/preflight.yml", PREFLIGHT)


def wiring_file(checkout: Path) -> None:
    write(checkout / "playbooks/group_vars/all/parrot.yml", WIRING)


def line_in_a_playbook(checkout: Path) -> None:
    insert(checkout / "playbooks/entry.yml", "    - role: litellm\n", "    - role: parrot\n")


def line_in_the_catalogue(checkout: Path) -> None:
    secret = '    Password("parrot_password", "what the parrot never repeats"),\n'
    last = '    Password("user_api_key", "virtual key of the first person who calls the gateway", prefix="sk-"),\n'
    insert(checkout / "src/parrotpark/control/secrets/catalogue.py", last, secret)


STEPS = [folder, wiring_file, line_in_a_playbook, line_in_the_catalogue]


def run(checkout: Path, *command: str) -> tuple[int, str]:
    """Run a program of this environment on the copy."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTEST_"))}
    environment = {**inherited, "PYTHONPATH": str(checkout / "src"), "ANSIBLE_CONFIG": str(checkout / "ansible.cfg")}
    done = subprocess.run(
        [sys.executable, *command], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", ".*")
    for name in COPIED:
        source, copy = ROOT / name, tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=ignored)
        else:
            shutil.copy(source, copy)
    yield tmp_path
    shutil.rmtree(tmp_path)  # pytest would keep three of them


def test_the_checks_take_a_service_with_all_four(checkout: Path) -> None:
    for step in STEPS:
        step(checkout)
    run(checkout, "-m", "parrotpark.docs.roles")  # the role's page, and its place in the picture
    site = [str(Path(sys.executable).with_name("ansible-playbook")), "--syntax-check", "site.yml"]
    for check in (
        ["-m", "pytest", "tests/unit/wiring/test_subjects.py"],
        ["-m", "pytest", "tests/roles", "-k", "parrot or every_role or every_entry_point"],
        ["-m", "parrotpark.docs.roles", "--check"],
        site,
    ):
        code, said = run(checkout, *check)
        assert code == 0, said


@pytest.mark.parametrize(
    ("left_out", "complaint"),
    [
        (folder, "test_every_role_is_there_and_used"),
        (wiring_file, "test_a_role_gets_what_it_requires[parrot]"),
        (line_in_a_playbook, "test_every_role_is_there_and_used"),
        (line_in_the_catalogue, "test_a_file_reads_inputs_secrets_shared_facts_and_its_own[all/parrot.yml]"),
    ],
)
def test_the_checks_miss_each_of_the_four(checkout: Path, left_out: Callable[[Path], None], complaint: str) -> None:
    for step in STEPS:
        if step is not left_out:
            step(checkout)
    code, said = run(checkout, "-m", "pytest", "tests/unit/wiring/test_subjects.py")
    assert code == 1
    assert f"test_subjects.py::{complaint}" in said
