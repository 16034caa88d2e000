"""The picture shows what the playbooks place and the wiring connects, and goes stale nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from parrotpark.docs import picture, roles

ROOT = Path(__file__).parents[4]
FILES = {
    "site.yml": "- {name: All, ansible.builtin.import_playbook: playbooks/all.yml}\n",
    "playbooks/all.yml": """
- hosts: localhost
  roles: [{role: project}]
- hosts: entry
  roles: [{role: caddy}, shed]
  tasks: [{ansible.builtin.import_role: {name: store}}]
- hosts: bake
  roles: [{role: vllm}, {role: deadman}]
- hosts: bake
  connection: local
  roles: [{role: project}]
- hosts: chat
  roles: [{role: parrot}]
""",
    "playbooks/group_vars/all/one.yml": """
cloud_project_firewall_rules:
  - {protocol: icmp}
  - {protocol: tcp, port: "443"}
  - {protocol: udp, port: "{{ overlay_port | string }}"}
gpu_project:
  firewall_rules:
    - {protocol: tcp, port: "22", source_ips: ["{{ entry_address }}/32"]}
    - {protocol: udp, port: "{{ overlay_port }}", source_ips: [0.0.0.0/0]}
""",
    "playbooks/group_vars/all/two.yml": """
overlay_port: 51820
lease_port: 8000
caddy_sites: [{upstream: "127.0.0.1:7000"}, {upstream: "127.0.0.1:9"}]
""",
    "roles/shed/defaults/main.yml": "shed_port: 7000\nshed_store_port: 5432\n",
    "roles/store/defaults/main.yml": "store_port: 5432\n",
    "docs/architecture.md": f"Before\n{picture.BEGIN}\nold\n{picture.END}\nAfter\n",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_role_stands_on_its_machine_once(site: Path) -> None:
    assert picture.placed(site) == {
        "localhost": ["project"],
        "entry": ["caddy", "shed", "store"],
        "gpu": ["vllm", "deadman"],
        "chat": ["parrot"],
    }


def test_arrows_follow_from_ports(site: Path) -> None:
    assert list(picture.edges(site)) == [
        'people -->|"tcp 443, udp 51820"| entry',
        'people -->|"udp 51820"| gpu',
        'entry -->|"tcp 22"| gpu',
        'entry_caddy -->|"7000"| entry_shed',
        'entry_shed -->|"5432"| entry_store',
        'entry_caddy -->|"overlay, 8001 and up"| gpu_vllm',
        'gpu_deadman -->|"overlay, 8000"| entry_caddy',
    ]


def test_the_page_drifts_when_a_playbook_changes(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert roles.main(["--check"]) == 1
    assert roles.main([]) == 0
    assert roles.main(["--check"]) == 0
    text = (site / "docs/architecture.md").read_text()
    assert text.startswith("Before\n")
    assert text.endswith("After\n")
    assert "    chat_parrot[parrot]\n" in text
    playbook = site / "playbooks/all.yml"
    playbook.write_text(playbook.read_text().replace("parrot}", "pigeon}"))
    capsys.readouterr()
    assert roles.main(["--check"]) == 1
    assert capsys.readouterr().out == "docs/architecture.md\n"


@pytest.mark.parametrize("mark", [picture.BEGIN, picture.END])
def test_a_page_without_its_marks_is_named(site: Path, mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = site / "docs/architecture.md"
    page.write_text(page.read_text().replace(mark, ""))
    with pytest.raises(SystemExit):
        roles.main(["--check"])
    assert f"docs/architecture.md lacks {mark}" in capsys.readouterr().err


def test_every_role_is_in_the_picture() -> None:
    drawn = {role for roles in picture.placed(ROOT).values() for role in roles}
    assert drawn == {path.name for path in (ROOT / "roles").iterdir()}


def test_the_chat_is_where_the_front_door_sends_people() -> None:
    """By the ports of today: what is renamed in the wiring must not make arrows vanish unseen."""
    found = set(picture.edges(ROOT))
    ports = {
        role: yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())[f"{role}_port"]
        for role in ("litellm", "open_webui", "postgresql")
    }
    for asking, answering in (
        ("caddy", "litellm"),
        ("caddy", "open_webui"),
        ("open_webui", "litellm"),
        ("litellm", "postgresql"),
        ("open_webui", "postgresql"),
    ):
        assert f'entry_{asking} -->|"{ports[answering]}"| entry_{answering}' in found
