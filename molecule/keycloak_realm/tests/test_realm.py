"""The realm as its people, their applications and our programs meet it, after it was changed by hand and repaired."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from testinfra.host import Host

LOCAL = "http://localhost:8180"
PEOPLE = "https://auth.parrotpark.example"
REALM = "/realms/aviary"
OIDC = f"{REALM}/protocol/openid-connect"
CALLBACK = "https://chat.parrotpark.example/callback"
CHAT = {"client_id": "chat", "client_secret": "the-secret-of-the-chat-of-the-test"}
VERBS = {"client_id": "parrotpark", "client_secret": "the-secret-of-our-verbs-of-the-test"}
ADMIN = {"client_id": "automation", "client_secret": "the-automation-secret-of-the-test"}
FOREIGN = {"client_id": "foreign", "client_secret": "a-foreign-secret"}
ADA = {"username": "ada", "password": "Correct-Horse-9"}
VERIFIER = "a-verifier-has-at-least-forty-three-characters"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
JAR = "/run/cookies"
DECLARED = {
    "": {
        "sslRequired": "external",
        "registrationAllowed": False,
        "loginWithEmailAllowed": True,
        "editUsernameAllowed": False,
        "rememberMe": False,
        "resetPasswordAllowed": True,
        "bruteForceProtected": True,
        "permanentLockout": False,
        "failureFactor": 10,
        "waitIncrementSeconds": 900,
        "maxFailureWaitSeconds": 3600,
        "maxDeltaTimeSeconds": 43200,
        "quickLoginCheckMilliSeconds": 0,
        "webAuthnPolicyPasswordlessRpEntityName": r'The "Aviary" & Sons: 100 % {fun} \n',
        "webAuthnPolicyPasswordlessResidentKey": "required",
        "webAuthnPolicyPasswordlessUserVerificationRequirement": "required",
        "accessTokenLifespan": 420,
        "ssoSessionIdleTimeout": 18000,
        "ssoSessionMaxLifespan": 39600,
        "offlineSessionMaxLifespanEnabled": True,
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 1,
        "eventsEnabled": True,
        "eventsExpiration": 259200,
    },
    "/clients?clientId=pages": {
        "enabled": True,
        "publicClient": False,
        "standardFlowEnabled": True,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": False,
        "frontchannelLogout": False,
        "fullScopeAllowed": True,
        "consentRequired": False,
        "webOrigins": [],
        "attributes": {
            "backchannel.logout.session.required": "true",
            "oauth2.device.authorization.grant.enabled": "false",
            "oidc.ciba.grant.enabled": "false",
        },
    },
    "/identity-provider/instances/county": {
        "enabled": True,
        "trustEmail": False,
        "config": {
            "clientAuthMethod": "client_secret_post",
            "tokenUrl": "https://id.parrotpark.example/token",
            "useJwksUrl": "true",
            "validateSignature": "true",
            "pkceEnabled": "true",
            "pkceMethod": "S256",
            "defaultScope": "openid profile email",
            "syncMode": "FORCE",
        },
    },
}


@dataclass(frozen=True)
class Answer:
    status: int
    location: str
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(host: Host, path: str, *options: str, form: dict[str, str] | None = None) -> Answer:
    """Ask as the reverse proxy does for a browser; what it does not publish, as the host itself."""
    for name, value in (form or {}).items():
        options += ("--data-urlencode", f"{name}={value}")
    if path.startswith(REALM):
        options += ("--header", "X-Forwarded-Proto: https", "--header", "X-Forwarded-For: 192.0.2.7")
    command = f"curl --silent --max-time 60 --cookie {JAR} --cookie-jar {JAR} --write-out %s" + " %s" * (
        len(options) + 1
    )
    text = host.check_output(command, r"\n%{http_code} %{redirect_url}", *options, LOCAL + path)
    body, _, last = text.rpartition("\n")
    status, _, location = last.partition(" ")
    return Answer(int(status), location, body)


def token(host: Host, client: dict[str, str], realm: str = REALM) -> str:
    form = {"grant_type": "client_credentials", **client}
    return str(ask(host, f"{realm}/protocol/openid-connect/token", form=form).json["access_token"])


def admin(host: Host, path: str, *options: str, client: dict[str, str] = ADMIN) -> Answer:
    realm = REALM if client is VERBS else "/realms/master"
    return ask(
        host, f"/admin/realms/aviary{path}", "--header", f"Authorization: Bearer {token(host, client, realm)}", *options
    )


def sign_in_page(host: Host, **parameters: str) -> Answer:
    host.run("rm --force %s", JAR)
    asked = {"client_id": "chat", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid", **parameters}
    return ask(host, f"{OIDC}/auth?{urlencode(asked)}")


def give_password(host: Host, who: dict[str, str]) -> str:
    """Give name and password on the page of the chat, as a browser does; returns where it is sent then."""
    page = sign_in_page(host, **PKCE).body
    (action,) = re.findall(r'id="kc-form-login"[^>]* action="([^"]+)"', page)
    assert action.startswith(f"{PEOPLE}{REALM}/login-actions/authenticate")
    return ask(host, html.unescape(action).removeprefix(PEOPLE), form=who).location


def sign_in(host: Host) -> Any:
    """Sign Ada in to the chat through the page, as her browser and the chat do."""
    sent_back = give_password(host, ADA)
    assert sent_back.startswith(f"{CALLBACK}?")
    code = parse_qs(urlsplit(sent_back).query)["code"][0]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        **CHAT,
    }
    return ask(host, f"{OIDC}/token", form=form).json


def claims(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))


def test_keycloak_warns_of_nothing(host: Host) -> None:
    """Of what was declared, that is; events are of those whom it refused, as it does below."""
    said = host.check_output("journalctl --unit=keycloak.service --output=cat").splitlines()
    assert [line for line in said if "Profile prod activated" in line]
    warnings = [line for line in said if re.search(" (WARN|ERROR) ", line)]
    assert [line for line in warnings if "[org.keycloak.events]" not in line] == []


def test_ada_signs_in_and_the_chat_learns_what_she_may(host: Host) -> None:
    tokens = sign_in(host)
    info = ask(host, f"{OIDC}/userinfo", "--header", f"Authorization: Bearer {tokens['access_token']}").json
    for said in (claims(tokens["id_token"]), claims(tokens["access_token"]), info):
        assert set(said["groups"]) == {"Keepers", "Choir"}
        assert {"admin", "user"} <= set(said["roles"])
    assert claims(tokens["id_token"])["iss"] == PEOPLE + REALM
    assert info["email"] == "ada@parrotpark.example"


def test_who_is_new_has_to_set_up_a_second_factor(host: Host) -> None:
    cyd = {"username": "cyd", "password": "Correct-Horse-9"}
    password = {"type": "password", "value": cyd["password"], "temporary": False}
    body = json.dumps({"username": "cyd", "enabled": True, "credentials": [password]})
    assert admin(host, "/users", "--json", body).status == 201
    (made,) = admin(host, "/users?username=cyd").json
    try:
        sent = urlsplit(give_password(host, cyd))
        assert sent.path.endswith("/login-actions/required-action")
        assert parse_qs(sent.query)["execution"] == ["CONFIGURE_TOTP"]
    finally:
        admin(host, f"/users/{made['id']}", "--request", "DELETE")


@pytest.mark.parametrize("path", DECLARED)
def test_what_was_changed_by_hand_is_as_declared(host: Host, path: str) -> None:
    kept = admin(host, path).json
    kept = kept[0] if isinstance(kept, list) else kept
    assert {key: part(value, kept[key]) for key, value in DECLARED[path].items()} == DECLARED[path]


def part(declared: Any, kept: Any) -> Any:
    """Leave out of what Keycloak keeps what was not declared."""
    return {key: kept.get(key) for key in declared} if isinstance(declared, dict) else kept


def test_after_signing_out_no_token_is_worth_anything(host: Host) -> None:
    tokens = sign_in(host)
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], **CHAT}
    assert ask(host, f"{OIDC}/logout", form={"refresh_token": tokens["refresh_token"], **CHAT}).status == 204
    assert ask(host, f"{OIDC}/token", form=refresh).json["error"] == "invalid_grant"
    assert ask(host, f"{OIDC}/userinfo", "--header", f"Authorization: Bearer {tokens['access_token']}").status == 401


def test_a_refresh_token_serves_two_tabs_and_nobody_else(host: Host) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": sign_in(host)["refresh_token"], **CHAT}
    assert [ask(host, f"{OIDC}/token", form=form).status for _ in range(3)] == [200, 200, 400]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({**PKCE, "redirect_uri": "https://elsewhere.example/callback"}, "Invalid parameter: redirect_uri"),
        ({**PKCE, "redirect_uri": f"{CALLBACK}/more"}, "Invalid parameter: redirect_uri"),
    ],
)
def test_people_are_sent_nowhere_else(host: Host, parameters: dict[str, str], said: str) -> None:
    answer = sign_in_page(host, **parameters)
    assert answer.status == 400
    assert said in answer.body


@pytest.mark.parametrize("pkce", [{}, {"code_challenge": VERIFIER, "code_challenge_method": "plain"}])
def test_nobody_signs_in_without_pkce(host: Host, pkce: dict[str, str]) -> None:
    answer = sign_in_page(host, **pkce)
    assert answer.location.startswith(f"{CALLBACK}?error=invalid_request")


@pytest.mark.parametrize("client", ["chat", "pages"])
def test_no_application_takes_passwords_itself(host: Host, client: str) -> None:
    secret = f"the-secret-of-the-{client}-of-the-test"
    form = {"grant_type": "password", "client_id": client, "client_secret": secret, **ADA}
    assert ask(host, f"{OIDC}/token", form=form).json["error"] == "unauthorized_client"


def test_those_who_administer_come_by_no_public_way(host: Host) -> None:
    form = {"grant_type": "client_credentials", **ADMIN}
    outside = ("--header", "X-Forwarded-For: 192.0.2.7", "--header", "X-Forwarded-Proto: https")
    answer = ask(host, "/realms/master/protocol/openid-connect/token", *outside, form=form)
    assert (answer.status, answer.json["error_description"]) == (403, "HTTPS required")


def test_a_foreign_client_is_kept(host: Host) -> None:
    assert ask(host, f"{OIDC}/token", form={"grant_type": "password", **FOREIGN, **ADA}).status == 200


def test_groups_are_there_and_those_of_others_too(host: Host) -> None:
    groups = {each["name"]: each["realmRoles"] for each in admin(host, "/groups?briefRepresentation=false").json}
    assert {name: set(roles) for name, roles in groups.items()} == {
        "Keepers": {"admin", "user"},
        "Visitors": {"user"},
        "Nobody": set(),
        "Guests": set(),  # what Visitors was called by hand: its people are in it
        "Choir": set(),
    }


def test_ten_wrong_passwords_lock(host: Host) -> None:
    (ada,) = admin(host, "/users?username=ada").json
    form = {"grant_type": "password", **FOREIGN, **ADA}
    for _ in range(9):
        said = ask(host, f"{OIDC}/token", form={**form, "password": "wrong"}).json
        assert said["error_description"] == "Invalid user credentials"
    assert ask(host, f"{OIDC}/token", form=form).status == 200  # which forgives the nine
    for _ in range(10):
        ask(host, f"{OIDC}/token", form={**form, "password": "wrong"})
    assert ask(host, f"{OIDC}/token", form=form).json["error"] == "invalid_grant"
    admin(host, f"/attack-detection/brute-force/users/{ada['id']}", "--request", "DELETE")
    assert ask(host, f"{OIDC}/token", form=form).status == 200


def test_a_short_password_is_refused(host: Host) -> None:
    (ada,) = admin(host, "/users?username=ada").json
    body = json.dumps({"type": "password", "value": "elevenchars", "temporary": False})
    answer = admin(host, f"/users/{ada['id']}/reset-password", "--request", "PUT", "--json", body)
    assert (answer.status, answer.json["error"]) == (400, "invalidPasswordMinLengthMessage")


def test_our_verbs_keep_people_and_touch_nothing_else(host: Host) -> None:
    assert [each["username"] for each in admin(host, "/users", client=VERBS).json] == ["ada"]
    bob = json.dumps({"username": "bob", "groups": ["Visitors"]})
    assert admin(host, "/users", "--json", bob, client=VERBS).status == 201
    (made,) = admin(host, "/users?username=bob", client=VERBS).json
    assert admin(host, f"/users/{made['id']}", "--request", "DELETE", client=VERBS).status == 204
    rest = {path: admin(host, path, client=VERBS).status for path in ("/clients", "/identity-provider/instances")}
    assert rest == {"/clients": 403, "/identity-provider/instances": 403}
    assert admin(host, "", "--request", "PUT", "--json", "{}", client=VERBS).status == 403


@pytest.mark.parametrize(("language", "word"), [("de", "Passwort"), ("en", "Password")])
def test_the_page_speaks_both_languages_and_shows_the_organisation(host: Host, language: str, word: str) -> None:
    page = sign_in_page(host, **PKCE, ui_locales=language).body
    assert word in page
    assert '<img src="https://parrotpark.example/logo.svg" alt="The Aviary  Sons 100  fun n" />' in page
    assert "The county" in page


def test_mail_and_other_secrets_are_what_was_declared(host: Host) -> None:
    psql = "runuser --user=postgres -- psql --tuples-only --no-align --command=%s keycloak"
    assert host.check_output(psql, "SELECT value FROM realm_smtp_config WHERE name = 'password'").splitlines() == [
        "the-mail-password-of-the-test"
    ]
    assert host.check_output(psql, "SELECT value FROM component_config WHERE name = 'bindCredential'").splitlines() == [
        "the-directory-password-of-the-test"
    ]
