"""The key of Caddy's repository is taken only if it is the pinned one, and comes alone."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from testinfra.host import Host

TRUSTED = "/etc/apt/keyrings/caddy.asc"
PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: caddy
        tasks_from: key
"""


@pytest.fixture(scope="module")
def fingerprints(host: Host) -> list[str]:
    """Makes two key pairs on the machine; their public halves lie in /root/0.asc and /root/1.asc."""
    host.check_output("DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends gpg gpg-agent")
    for number in range(2):
        gpg = f"gpg --homedir /root/keys-{number} --batch --passphrase '' "
        host.check_output(f"install --directory --mode=0700 /root/keys-{number} && {gpg} --quick-generate-key {number}")
        host.check_output(f"{gpg} --armor --export > /root/{number}.asc")
    said = [host.check_output(f"gpg --show-keys --with-colons /root/{number}.asc") for number in range(2)]
    return [next(line for line in text.splitlines() if line.startswith("fpr:")).split(":")[9] for text in said]


@pytest.mark.parametrize(("fetched", "trusted"), [("0", True), ("1", False), ("0 1", False), ("1 0", False)])
def test_only_the_pinned_key_is_trusted(
    host: Host, fingerprints: list[str], fetched: str, trusted: bool, tmp_path: Path
) -> None:
    host.check_output(f"rm -f {TRUSTED}")
    host.check_output(f"cat {' '.join(f'/root/{number}.asc' for number in fetched.split())} > /root/fetched.asc")
    play = tmp_path / "play.yml"
    play.write_text(PLAY)
    pinned = {"__caddy_key_url": "file:///root/fetched.asc", "__caddy_key_fingerprint": fingerprints[0]}
    command = ["ansible-playbook", "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], "--extra-vars"]
    done = subprocess.run([*command, json.dumps(pinned), play], check=False, capture_output=True, text=True)
    assert (done.returncode == 0, host.file(TRUSTED).exists) == (trusted, trusted), done.stdout
    assert trusted or "holds another key" in done.stderr  # where Molecule has failures shown
