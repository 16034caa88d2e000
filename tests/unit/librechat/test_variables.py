"""Every variable that the role sets is one that the program of that release reads.

The lists are what the sources read at the tag in their first line, `process.env` and its like, and `.env.example`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.librechat.conftest import FILES, ROLE, SIGN_ON

LISTS = Path(__file__).parent / "variables"
# What any program of Node or Python heeds.
OF_THE_LANGUAGE = {"HOME", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"}
IS_OF = {
    "librechat": ("__librechat_environment", "__librechat_secrets"),
    "rag": ("__librechat_rag",),
    "search": ("__librechat_search",),
}


@pytest.mark.parametrize("program", IS_OF)
def test_a_variable_that_is_set_is_one_that_is_read(render: Callable[..., Any], program: str) -> None:
    known = set((LISTS / f"{program}.txt").read_text().split("\n")[1:])
    options = {**SIGN_ON, **FILES, "librechat_features": ["agents"]}
    names = {name for part in IS_OF[program] for name in render(part, **options)}
    own = set(re.findall(r"\$\{(\w+)\}", render("librechat.yaml.j2", **options))) if program == "librechat" else set()
    assert names - known - OF_THE_LANGUAGE - own == set()


@pytest.mark.parametrize(
    ("program", "option"),
    [
        ("librechat", "librechat_image"),
        ("rag", "librechat_rag_image"),
        ("search", "librechat_search_image"),
    ],
)
def test_the_list_is_of_the_release_that_the_role_is_for(program: str, option: str) -> None:
    spec = (ROLE / "meta/argument_specs.yml").read_text().partition(f"{option}:")[2]
    release = re.search(r"version\s+(\d+\.\d+\.\d+)", spec)
    assert release
    assert (LISTS / f"{program}.txt").read_text().splitlines()[0].endswith(f" v{release[1]}")


def test_what_is_not_asked_for_is_not_set(render: Callable[..., Any]) -> None:
    for part in IS_OF["librechat"]:
        assert [name for name in render(part) if name.startswith(("OPENID_", "AWS_", "S3_"))] == []


def test_local_passwords_are_off_where_people_sign_on(render: Callable[..., Any]) -> None:
    names = ("ALLOW_EMAIL_LOGIN", "ALLOW_SOCIAL_LOGIN", "ALLOW_SOCIAL_REGISTRATION", "ALLOW_REGISTRATION")
    assert [render("__librechat_environment")[name] for name in names] == ["true", "false", "false", "false"]
    assert [render("__librechat_environment", **SIGN_ON)[name] for name in names] == ["false", "true", "true", "false"]


def test_signing_out_ends_the_session_of_the_provider(render: Callable[..., Any]) -> None:
    """LibreChat #5506, #12997."""
    said = render("__librechat_environment", **SIGN_ON)
    assert (said["OPENID_USE_END_SESSION_ENDPOINT"], said["OPENID_REUSE_TOKENS"]) == ("true", "true")
    assert said["OPENID_POST_LOGOUT_REDIRECT_URI"] == "https://chat.example/login"


def test_people_come_back_from_the_provider(render: Callable[..., Any]) -> None:
    """LibreChat #10482."""
    assert render("__librechat_environment", **SIGN_ON)["OPENID_CALLBACK_URL"] == "/oauth/openid/callback"


def test_links_to_files_live_as_long_as_s3_lets_them(render: Callable[..., Any]) -> None:
    """LibreChat #13751 and #11894."""
    said = render("__librechat_environment", **FILES)
    assert (int(said["S3_URL_EXPIRY_SECONDS"]), said["AWS_FORCE_PATH_STYLE"]) == (7 * 24 * 3600, "true")


def test_documents_are_embedded_at_the_gateway(render: Callable[..., Any]) -> None:
    """LibreChat #3253, #7069."""
    said = render("__librechat_rag")
    assert said["RAG_OPENAI_BASEURL"] == "http://127.0.0.1:4000/v1"
    assert said["RAG_CHECK_EMBEDDING_CTX_LENGTH"] == "false"
    assert int(said["CHUNK_SIZE"]) == 240


def test_librechat_starts_after_the_rag_api(render: Callable[..., Any]) -> None:
    """LibreChat #6161."""
    unit = render("librechat.container.j2").splitlines()
    after = next(line for line in unit if line.startswith("After="))
    assert {"librechat-rag.service", "librechat-search.service"} <= set(after.partition("=")[2].split())


def test_a_button_that_leads_nowhere_is_no_start(render: Callable[..., Any]) -> None:
    assert "/oauth/openid" not in render("librechat.container.j2")
    assert "http://127.0.0.1:3080/oauth/openid\n" in render("librechat.container.j2", **SIGN_ON)
