"""Until the GPU hosts are converged the entry server may wake them from an older image: only then is one pruned."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_pruning_is_the_very_last_task_and_only_after_the_scheduler_has_converged() -> None:
    *_, scheduler, last = yaml.safe_load((ROOT / "playbooks/gpu.yml").read_text())
    (*_, converge), (finish,) = scheduler["tasks"], last["tasks"]
    assert converge["ansible.builtin.import_role"] == {"name": "scheduler", "tasks_from": "converge"}
    assert (last["hosts"], finish["ansible.builtin.import_role"]) == (
        "localhost",
        {"name": "golden_image", "tasks_from": "finish"},
    )
    (registered,) = {
        task["register"]
        for task in yaml.safe_load((ROOT / "roles/scheduler/tasks/converge.yml").read_text())
        if "parrotpark_wish" in task
    }
    assert finish["when"] == f"entry_server.{registered} is defined"


def test_nothing_else_prunes() -> None:
    pruning = {
        path.name
        for path in (ROOT / "roles/golden_image/tasks").iterdir()
        if any("prune" in task.get("parrotpark_golden_image", {}) for task in yaml.safe_load(path.read_text()))
    }
    assert pruning == {"finish.yml"}


def test_the_scheduler_is_there_before_the_first_server_to_sweep() -> None:
    plays = yaml.safe_load((ROOT / "playbooks/gpu.yml").read_text())
    imported = [
        tuple(task["ansible.builtin.import_role"].values())
        for play in plays
        for task in play.get("tasks", [])
        if "ansible.builtin.import_role" in task
    ]
    assert imported.index(("scheduler", "first")) < imported.index(("golden_image", "server"))
    making = {
        path.name
        for path in (ROOT / "roles/golden_image/tasks").iterdir()
        if any("parrotpark_bake_server" in task for task in yaml.safe_load(path.read_text()))
    }
    assert making == {"server.yml"}
