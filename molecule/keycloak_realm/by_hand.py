"""What an administrator does in the console: `people` fills the realm, `changes` spoils what is declared."""

import json
import os
import sys
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

URL = "http://127.0.0.1:8180"
REALM = "/admin/realms/aviary"
FORM = {"grant_type": "client_credentials", "client_id": "automation", "client_secret": os.environ["SECRET"]}


def ask(path: str, method: str = "GET", body: Any = None, data: bytes | None = None, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} if token else {}
    data = data if body is None else json.dumps(body).encode()
    with urlopen(Request(URL + path, data, headers, method=method)) as answer:  # noqa: S310
        return json.loads(answer.read() or "null")


TOKEN = ask("/realms/master/protocol/openid-connect/token", "POST", data=urlencode(FORM).encode())["access_token"]


def realm(path: str, method: str = "GET", body: Any = None) -> Any:
    return ask(REALM + path, method, body, token=TOKEN)


def change(path: str, **values: Any) -> None:
    there = realm(path)
    realm(
        path, "PUT", {**there, **{key: {**there[key], **v} if isinstance(v, dict) else v for key, v in values.items()}}
    )


def client(name: str) -> Any:
    return realm(f"/clients?clientId={name}")[0]


def group(name: str) -> Any:
    return next(each for each in realm("/groups") if each["name"] == name)


def people() -> None:
    """Somebody with a password and a group, another group, and a client that is nobody's here."""
    realm("/groups", "POST", {"name": "Choir"})
    password = {"type": "password", "value": "Correct-Horse-9", "temporary": False}
    ada = {"username": "ada", "enabled": True, "email": "ada@parrotpark.example", "emailVerified": True}
    ada |= {"firstName": "Ada", "lastName": "Finch", "credentials": [password], "groups": ["Keepers", "Choir"]}
    realm("/users", "POST", ada)
    change(f"/users/{realm('/users?username=ada')[0]['id']}", requiredActions=[])
    foreign = {"clientId": "foreign", "secret": "a-foreign-secret", "directAccessGrantsEnabled": True}
    realm("/clients", "POST", {**foreign, "publicClient": False})


# Each of them the other way round, or another number.
LOOSER = {
    "sslRequired": "none",
    "registrationAllowed": True,
    "loginWithEmailAllowed": False,
    "editUsernameAllowed": True,
    "rememberMe": True,
    "resetPasswordAllowed": False,
    "permanentLockout": True,
    "failureFactor": 99,
    "waitIncrementSeconds": 1,
    "maxFailureWaitSeconds": 2,
    "maxDeltaTimeSeconds": 3,
    "quickLoginCheckMilliSeconds": 4,
    "webAuthnPolicyPasswordlessRpEntityName": "elsewhere",
    "webAuthnPolicyPasswordlessResidentKey": "discouraged",
    "webAuthnPolicyPasswordlessUserVerificationRequirement": "discouraged",
    "ssoSessionIdleTimeout": 600,
    "ssoSessionMaxLifespan": 900,
    "offlineSessionMaxLifespanEnabled": False,
    "revokeRefreshToken": False,
    "refreshTokenMaxReuse": 9,
    "eventsEnabled": False,
    "eventsExpiration": 7,
}
LOOSER_CLIENT = {
    "enabled": False,
    "standardFlowEnabled": False,
    "implicitFlowEnabled": True,
    "frontchannelLogout": True,
    "fullScopeAllowed": False,
    "consentRequired": True,
    "webOrigins": ["*"],
    "attributes": {
        "backchannel.logout.session.required": "false",
        "oauth2.device.authorization.grant.enabled": "true",
        "oidc.ciba.grant.enabled": "true",
    },
}
LOOSER_PROVIDER = {
    "trustEmail": True,
    "config": {
        "tokenUrl": "https://elsewhere.example",
        "useJwksUrl": "false",
        "validateSignature": "false",
        "pkceEnabled": "false",
        "pkceMethod": "plain",
        "defaultScope": "openid",
        "syncMode": "IMPORT",
    },
}


def changes() -> None:
    """Change by hand what people change by hand, and what an intruder would."""
    change("", **LOOSER)
    change("", passwordPolicy="length(4)", bruteForceProtected=False, accessTokenLifespan=3600, supportedLocales=["de"])
    change("", smtpServer={"host": "elsewhere.example"}, attributes={"frontendUrl": "https://elsewhere.example"})
    chat, pages = client("chat"), client("pages")
    elsewhere = [*chat["redirectUris"], "https://elsewhere.example/*"]
    change(f"/clients/{chat['id']}", redirectUris=elsewhere, attributes={"pkce.code.challenge.method": ""})
    looser = {**LOOSER_CLIENT, "directAccessGrantsEnabled": True, "secret": "another-secret-of-the-test"}
    change(f"/clients/{pages['id']}", **looser)
    (mapper,) = [each for each in pages["protocolMappers"] if each["name"] == "groups"]
    realm(f"/clients/{pages['id']}/protocol-mappers/models/{mapper['id']}", "DELETE")
    realm("/roles/user", "DELETE")
    change(f"/groups/{group('Visitors')['id']}", name="Guests")
    realm(f"/groups/{group('Nobody')['id']}/role-mappings/realm", "POST", [realm("/roles/admin")])
    account = realm(f"/clients/{client('parrotpark')['id']}/service-account-user")["id"]
    management = client("realm-management")["id"]
    everything = [realm(f"/clients/{management}/roles/realm-admin")]
    realm(f"/users/{account}/role-mappings/clients/{management}", "POST", everything)
    change("/authentication/required-actions/CONFIGURE_TOTP", enabled=False, defaultAction=False)
    change("/identity-provider/instances/county", **LOOSER_PROVIDER)
    change(f"/components/{realm('/components?name=directory')[0]['id']}", config={"editMode": ["WRITABLE"]})


{"people": people, "changes": changes}[sys.argv[1]]()
