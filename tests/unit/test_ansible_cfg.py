"""What ansible.cfg makes of a run, by what Ansible itself says."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_sockets_of_ssh_lie_where_only_their_user_writes() -> None:
    dump = ["ansible-config", "dump", "--type", "connection", "--format", "json"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    told = subprocess.run(dump, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    ssh = next(kind["ssh"] for kind in json.loads(told) if "ssh" in kind)
    (folder,) = (setting["value"] for setting in ssh if setting["name"] == "control_path_dir")
    assert folder.startswith("~/")
