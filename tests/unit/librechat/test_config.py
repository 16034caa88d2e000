"""LibreChat's own schema takes librechat.yaml whatever the options are, and it says what they mean.

There is no package of the schema of the release that the role is for, but those of the releases before and after it:
what both take is right for the one between.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.librechat.conftest import FILES, ROLE, SIGN_ON

PACKAGES = Path(__file__).parents[3] / "src/localcloud/demo/stand_ins/librechat/node_modules"
SCHEMAS = ("librechat-data-provider", "librechat-data-provider-before")
# What is in the source of the release, and not yet in the package before it.
NEWER = re.compile(
    r"(interface\.retentionMode|modelSpecs\.list\.\d+\.hideBadgeRow): LibreChat knows no such key(; |\n)"
)
FEATURES = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"][
    "librechat_features"
]["choices"]
STRANGE = 'It\'s "small": 100 % wrong # {not} [x]\n- y: z'
VARIANTS: dict[str, dict[str, Any]] = {
    "the least": {},
    "sign-on": SIGN_ON,
    "files in a bucket": FILES,
    "everything that a model can": {
        "librechat_models": [
            {"name": "all", "label": STRANGE, "context": 4096, "tools": True, "pictures": True, "reasoning": True},
            {"name": "none", "tools": False, "pictures": False, "reasoning": False},
        ],
        "librechat_default_model": "none",
    },
    "headers": {"librechat_user_headers": {"X-User": "id", "X-Mail": "email"}},
    "a tool": {
        "librechat_mcp_servers": {"calendar": {"type": "streamable-http", "url": "http://127.0.0.1:9000/mcp"}},
        "librechat_models": [{"name": "assistant", "tools": True}],
    },
    "every feature": {"librechat_features": FEATURES},
    "no feature": {"librechat_features": [], "librechat_titles": False},
    "every text": {
        "librechat_name": STRANGE,
        "librechat_welcome": STRANGE,
        "librechat_terms": STRANGE,
        "librechat_terms_url": "https://example.org/terms",
        "librechat_privacy_url": "https://example.org/privacy",
    },
    "a link to terms": {"librechat_terms_url": "https://example.org/terms"},
    "everything goes": {"librechat_retain": "all", "librechat_retention_hours": 8760},
}


@pytest.fixture(params=SCHEMAS)
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Says what the role's program says of a file, with one of the two schemas; nothing where it is right."""
    assert PACKAGES.exists(), f"there are no packages: npm --prefix {PACKAGES.parent} ci --ignore-scripts"
    (tmp_path / "node_modules").mkdir()
    for name, package in (("librechat-data-provider", request.param), ("js-yaml", "js-yaml")):
        (tmp_path / "node_modules" / name).symlink_to(PACKAGES / package)

    def judge(text: str) -> str:
        (tmp_path / "librechat.yaml").write_text(text)
        command = ["node", str(ROLE / "files/validate.js"), "librechat.yaml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is (done.stderr == "")
        said = NEWER.sub("", done.stderr) if request.param.endswith("before") else done.stderr
        return said.removesuffix("\n").removesuffix("librechat.yaml: ")

    return judge


@pytest.mark.parametrize("variant", VARIANTS)
def test_librechat_takes_what_is_written(render: Callable[..., Any], judge: Callable[[str], str], variant: str) -> None:
    assert judge(render("librechat.yaml.j2", **VARIANTS[variant])) == ""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"surprise": 1}, "surprise"),
        ({"fileStrategy": "floppy"}, "fileStrategy"),
        # What LibreChat's schema lets pass, and LibreChat then ignores.
        ({"interface": {"surprise": True}}, "interface.surprise: LibreChat knows no such key"),
        ({"modelSpecs": {"list": [{"name": "x", "label": "x", "preset": {"endpoint": "y"}, "z": 1}]}}, "list.0.z"),
    ],
)
def test_what_librechat_does_not_know_is_named(judge: Callable[[str], str], wrong: dict[str, Any], said: str) -> None:
    assert said in judge(yaml.safe_dump({"version": "1.3.13", **wrong}))


def test_text_comes_through_as_it_is(config: Callable[..., Any]) -> None:
    interface = config(**VARIANTS["every text"])["interface"]
    assert interface["customWelcome"] == interface["termsOfService"]["modalContent"] == STRANGE


def test_headers_say_who_asks(config: Callable[..., Any]) -> None:
    assert config(**VARIANTS["headers"])["endpoints"]["custom"][0]["headers"] == {
        "X-User": "{{LIBRECHAT_USER_ID}}",
        "X-Mail": "{{LIBRECHAT_USER_EMAIL}}",
    }


def test_the_file_holds_no_secret(render: Callable[..., Any]) -> None:
    text = render("librechat.yaml.j2", librechat_api_key="the-key", **SIGN_ON, **FILES)
    assert "the-key" not in text
    assert "${GATEWAY_KEY}" in text
    assert render("__librechat_secrets", librechat_api_key="the-key")["GATEWAY_KEY"] == "the-key"


def test_a_model_that_calls_no_tools_is_offered_none(config: Callable[..., Any]) -> None:
    servers = VARIANTS["a tool"]["librechat_mcp_servers"]
    models = [{"name": "with", "tools": True}, {"name": "without"}]
    specs = config(librechat_models=models, librechat_mcp_servers=servers)["modelSpecs"]["list"]
    assert [(spec["hideBadgeRow"], spec["mcpServers"]) for spec in specs] == [(False, ["calendar"]), (True, [])]


def test_pictures_can_be_attached_where_a_model_reads_them(config: Callable[..., Any]) -> None:
    def takes(**model: Any) -> bool:
        types = config(librechat_models=[{"name": "x", **model}])["fileConfig"]["endpoints"]["default"]
        return any("image" in kind for kind in types["supportedMimeTypes"])

    assert (takes(), takes(pictures=False), takes(pictures=True)) == (False, False, True)


def test_the_context_is_the_models(config: Callable[..., Any]) -> None:
    specs = config(librechat_models=[{"name": "x", "context": 4096}, {"name": "y"}])["modelSpecs"]["list"]
    assert [spec["preset"].get("maxContextTokens") for spec in specs] == [4096, None]


def test_one_model_is_the_default(config: Callable[..., Any]) -> None:
    models = [{"name": "x"}, {"name": "y"}]
    for wanted, found in (("", "x"), ("y", "y")):
        specs = config(librechat_models=models, librechat_default_model=wanted)["modelSpecs"]["list"]
        assert [spec["name"] for spec in specs if spec["default"]] == [found]
