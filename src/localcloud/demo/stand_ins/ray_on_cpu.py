"""Builds the wheel that lets vLLM's build for processors compute on several hosts by Ray, which it refuses.

It is a platform plugin, as vLLM calls them: the processors' own platform but for two answers. Ray is to take each of
its workers for one with a GPU; and workers never share memory, which vLLM's build concludes from a port that all of
them have been told, whichever host they are on. Nothing is compiled ahead, for which such a host has no compiler.

`python -m localcloud.demo.stand_ins.ray_on_cpu FOLDER` writes it there and prints its path.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from localcloud.demo.stand_ins import vllm_cpu

DIST_INFO = "ray_on_cpu-1.dist-info"
FILES = {
    # Three modules, as vLLM imports each of them at a moment when it cannot yet import the next.
    "ray_on_cpu.py": """\
import os


def platform():
    os.environ["VLLM_USE_AOT_COMPILE"] = "0"
    return "ray_on_cpu_platform.Platform"
""",
    "ray_on_cpu_platform.py": """\
from vllm.platforms.cpu import CpuPlatform


class Platform(CpuPlatform):
    ray_device_key = "GPU"

    @classmethod
    def get_device_communicator_cls(cls):
        return "ray_on_cpu_communicator.Communicator"
""",
    "ray_on_cpu_communicator.py": """\
from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator


class Communicator(CpuCommunicator):
    def _all_group_ranks_share_shm_group_name(self):
        return False
""",
    f"{DIST_INFO}/METADATA": "Metadata-Version: 2.1\nName: ray-on-cpu\nVersion: 1\n",
    f"{DIST_INFO}/WHEEL": vllm_cpu.FILES[f"{vllm_cpu.DIST_INFO}/WHEEL"],
    f"{DIST_INFO}/entry_points.txt": "[vllm.platform_plugins]\nray_on_cpu = ray_on_cpu:platform\n",
}


def build(folder: Path) -> Path:
    """Write the wheel into the folder."""
    return vllm_cpu.write(folder / "ray_on_cpu-1-py3-none-any.whl", FILES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud.demo.stand_ins.ray_on_cpu", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the wheel is written")
    print(build(parser.parse_args().folder))


if __name__ == "__main__":
    main()
