"""An organisation that names its issuer gets none of ours; everybody else gets our own Keycloak."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.unit.plugins.test_wiring import ROOT, SECRETS, inputs, wired

type Run = Callable[..., dict[str, Any]]

ISSUER = "https://id.parrotpark.example/realms/county"
PLAYS = yaml.safe_load((ROOT / "playbooks/entry.yml").read_text())


@pytest.fixture
def ours(home: Path) -> dict[str, Any]:
    """Good inputs that say nothing of an issuer."""
    given = {name: value for name, value in inputs(str(home)).items() if name != "parrotpark_oidc_client_secret_file"}
    # The schema's default is a template, which only an inventory fills in.
    domain = {"parrotpark_sign_on_domain": "auth.localhost"}
    chat = {"parrotpark_chat": "open_webui", "parrotpark_open_webui_image": f"chat@sha256:{'0' * 64}"}
    return {**given, **domain, **chat}


@pytest.fixture
def theirs(home: Path, ours: dict[str, Any]) -> dict[str, Any]:
    """The same with an issuer."""
    (home / "secret").write_text("the secret of theirs\n")
    return {
        **ours,
        "parrotpark_oidc_issuer": ISSUER,
        "parrotpark_oidc_client_id": "assistant",
        "parrotpark_oidc_client_secret_file": "~/secret",
    }


def oidc(given: dict[str, Any]) -> dict[str, Any]:
    values = wired(given)
    prefix = "open_webui_oidc_"
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def test_the_chat_asks_our_own_keycloak(ours: dict[str, Any]) -> None:
    assert oidc({**ours, "parrotpark_oidc_roles_claim": "groups"}) == {
        "issuer": "https://auth.localhost:8443/realms/parrotpark",
        "client_id": "open-webui",
        "client_secret": SECRETS["vault_open_webui_oidc_secret"],
        "name": "Parrotpark",
        "address": "127.0.0.1",
        "roles_claim": "roles",
        "user_roles": ["user"],
        "admin_roles": ["admin"],
    }


def test_the_chat_asks_the_issuer_that_is_named(theirs: dict[str, Any]) -> None:
    groups = {
        "parrotpark_oidc_address": "192.0.2.7",
        "parrotpark_oidc_roles_claim": "groups",
        "parrotpark_oidc_user_roles": ["everybody"],
        "parrotpark_oidc_admin_roles": ["it"],
    }
    assert oidc({**theirs, **groups}) == {
        "issuer": ISSUER,
        "client_id": "assistant",
        "client_secret": "the secret of theirs",
        "name": "Parrotpark",
        "address": "192.0.2.7",
        "roles_claim": "groups",
        "user_roles": ["everybody"],
        "admin_roles": ["it"],
    }


def test_an_issuer_is_looked_up_unless_its_address_is_given(theirs: dict[str, Any]) -> None:
    assert oidc(theirs)["address"] == ""


def test_an_empty_file_gives_no_secret_of_ours_away(home: Path, theirs: dict[str, Any]) -> None:
    (home / "secret").write_text("")
    assert oidc(theirs)["client_secret"] == ""


def answering(values: dict[str, Any]) -> list[str]:
    return [address for site in values["caddy_sites"] for address in site["addresses"]]


def test_sign_on_has_a_name_and_a_database_only_where_it_is_ours(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    own, other = wired(ours), wired(theirs)
    assert answering(own) == ["localhost", "localhost:8443", "auth.localhost", "auth.localhost:8443"]
    assert answering(other) == ["localhost", "localhost:8443"]
    others = ["open_webui", "librechat", "litellm"]
    for values, names in ((own, ["keycloak", *others]), (other, others)):
        assert [database["name"] for database in values["postgresql_databases"]] == names
        assert [database["name"] for database in values["people_databases"]] == names
        assert [database.keys() for database in values["people_databases"]] == [{"name", "password"}] * len(names)
    assert own["postgresql_databases"][1]["extensions"] == other["postgresql_databases"][0]["extensions"] == ["vector"]


def test_the_verbs_and_the_check_know_whose_people_they_are(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for given, issuer in ((ours, ""), (theirs, ISSUER)):
        values = wired(given)
        assert (values["people_issuer"], values["endpoints_content"]["issuer"]) == (issuer, issuer)


def roles_run(given: dict[str, Any]) -> list[str]:
    """The roles of the entry server that are not skipped."""
    (play,) = [play for play in PLAYS if play["name"] == "Converge the entry server"]
    return [role["role"] for role in done(play["roles"], given, play["vars"])]


def roles_stopped(given: dict[str, Any]) -> list[str]:
    """The roles of the entry server whose service is ended."""
    (play,) = [play for play in PLAYS if play["name"] == "Stop what is not chosen"]
    stops = [task["ansible.builtin.import_role"] for task in done(play["tasks"], given, {})]
    assert {stop["tasks_from"] for stop in stops} == {"stopped"}
    return [stop["name"] for stop in stops]


def done(steps: list[dict[str, Any]], given: dict[str, Any], own: dict[str, str]) -> list[dict[str, Any]]:
    """Those of the steps whose condition holds."""
    trusted = {name: trust_as_template(value) for name, value in own.items()}
    templar = Templar(DataLoader(), variables={**given, **wired(given), **trusted})
    return [step for step in steps if templar.evaluate_conditional(trust_as_template(str(step.get("when", "true"))))]


def test_with_an_issuer_the_entry_server_gets_no_keycloak(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert [role for role in roles_run(ours) if role not in roles_run(theirs)] == ["keycloak", "keycloak_realm"]
    assert {"people", "open_webui"} < {*roles_run(theirs)}
    assert [role for role in roles_stopped(theirs) if role not in roles_stopped(ours)] == ["keycloak"]


def judged(run_action: Run, given: dict[str, Any]) -> Iterator[str]:
    """What the real schema says to inputs."""
    files = {
        "schema": ROOT / "inventories/inputs.yml",
        "renamed": ROOT / "inventories/renamed.yml",
        "changelog": ROOT / "CHANGELOG.md",
    }
    variables = {**given, "ansible_inventory_sources": []}
    result = run_action("parrotpark_preflight", {name: str(file) for name, file in files.items()}, variables=variables)
    yield from str(result["msg"]).splitlines() if result.get("failed") else []


def test_with_and_without_an_issuer_the_inputs_are_good(
    run_action: Run, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    assert [*judged(run_action, ours), *judged(run_action, theirs)] == []


@pytest.mark.parametrize("left_out", ["issuer", "client_id", "client_secret_file"])
def test_issuer_client_and_secret_need_each_other(run_action: Run, theirs: dict[str, Any], left_out: str) -> None:
    del theirs[f"parrotpark_oidc_{left_out}"]
    assert [*judged(run_action, theirs)] == [
        "parameters are required together: "
        "parrotpark_oidc_issuer, parrotpark_oidc_client_id, parrotpark_oidc_client_secret_file"
    ]


@pytest.mark.parametrize(
    "issuer", [f"{ISSUER}/", ISSUER.replace("https", "http"), "id.parrotpark.example", "https://", f"{ISSUER} ", ""]
)
def test_what_could_be_no_issuer_is_refused_in_a_line(run_action: Run, theirs: dict[str, Any], issuer: str) -> None:
    (line,) = judged(run_action, {**theirs, "parrotpark_oidc_issuer": issuer})
    assert line.startswith(f"parrotpark_oidc_issuer is {issuer!r}: ")
    assert "without a slash at its end" in line


def test_a_secret_that_is_not_there_is_missed(run_action: Run, theirs: dict[str, Any]) -> None:
    (line,) = judged(run_action, {**theirs, "parrotpark_oidc_client_secret_file": "/nowhere"})
    assert line.startswith("parrotpark_oidc_client_secret_file names /nowhere, which does not exist: ")
