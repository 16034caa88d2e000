"""The wheel that lets vLLM's build for processors take part in Ray."""

from __future__ import annotations

import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

from localcloud.demo.stand_ins import ray_on_cpu


def test_the_plugin_names_what_the_wheel_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(ray_on_cpu.build(tmp_path)) as wheel:
        wheel.extractall(tmp_path)
    (plugin,) = PathDistribution(tmp_path / ray_on_cpu.DIST_INFO).entry_points
    assert plugin.group == "vllm.platform_plugins"
    loaded: dict[str, object] = {}
    exec((tmp_path / f"{plugin.module}.py").read_text(), loaded)
    function = loaded[plugin.attr]
    assert callable(function)
    module, _, name = function().rpartition(".")
    text = (tmp_path / f"{module}.py").read_text()
    assert f"class {name}(" in text
    assert (tmp_path / "ray_on_cpu_communicator.py").exists()
    assert '"ray_on_cpu_communicator.Communicator"' in text
