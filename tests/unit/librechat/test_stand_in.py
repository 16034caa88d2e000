"""The stand-in reads the very variables that the role writes, and without any one of them it does not start."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.librechat.conftest import FILES, SIGN_ON

STAND_IN = Path(__file__).parents[3] / "src/localcloud/demo/stand_ins/librechat"
# What Node itself heeds.
NODES_OWN = {"HOME", "NODE_EXTRA_CA_CERTS"}
TRY_WITHOUT_EACH = """
import { readSettings } from 'STAND_IN/server/settings.js'
const [environment, file] = JSON.parse(process.argv[1])
const said = (given) => { try { readSettings(given, file); return '' } catch (error) { return error.message } }
const without = (name) => { const { [name]: _, ...others } = environment; return said(others) }
const names = Object.keys(environment)
const each = Object.fromEntries(names.map((name) => [name, without(name)]))
console.log(JSON.stringify({ all: said(environment), ...each }))
"""


OPTIONS: dict[str, dict[str, Any]] = {
    "the least": {},
    "sign-on": SIGN_ON,
    "files in a bucket": FILES,
    "both": {**SIGN_ON, **FILES},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_missing_variable_is_named(render: Callable[..., Any], tmp_path: Path, options: dict[str, Any]) -> None:
    environment = render("__librechat_environment", **options) | render("__librechat_secrets", **options)
    environment = {name: str(value) for name, value in environment.items() if name not in NODES_OWN}
    file = tmp_path / "librechat.yaml"
    file.write_text(render("librechat.yaml.j2", **options))
    program = TRY_WITHOUT_EACH.replace("STAND_IN", str(STAND_IN))
    command = ["node", "--input-type=module", "--eval", program, json.dumps([environment, str(file)])]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert said == {"all": "", **{name: f"{name} is not set" for name in environment}}


@pytest.mark.parametrize(("program", "part"), [("rag.js", "__librechat_rag"), ("search.js", "__librechat_search")])
def test_so_do_those_of_its_helpers(render: Callable[..., Any], program: str, part: str) -> None:
    environment = {name: str(value) for name, value in render(part).items()}
    for name in environment.keys() - {"HOME", "SSL_CERT_FILE"}:
        others = {key: value for key, value in environment.items() if key != name}
        command = [
            "/usr/bin/env",
            "-i",
            *(f"{key}={value}" for key, value in others.items()),
            "node",
            f"server/{program}",
        ]
        done = subprocess.run(command, cwd=STAND_IN, capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, done.stderr) == (1, f"{name} is not set\n")
