"""What opens a project of OpenStack: a `clouds.yaml` with one cloud in it, in openstacksdk's own form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from parrotpark.cloud.account import Account
from parrotpark.cloud.errors import AuthFailed

_PASSWORDS = (None, "password", "v3password")
_APPLICATIONS = ("v3applicationcredential",)


def settings(account: Account, text: str) -> dict[str, Any]:
    """Return what openstacksdk needs for a connection; where the account says something, the account is right.

    Raises:
        AuthFailed: the text is no such file, or names something other than one region of one project.
    """
    file = account.credential_file
    cloud = dict(_only_cloud(file, text))
    auth = dict(cloud.get("auth") or {})
    kind = cloud.get("auth_type")
    if kind in _APPLICATIONS or "application_credential_id" in auth:
        wanted = ["application_credential_id", "application_credential_secret"]
        cloud["auth_type"] = _APPLICATIONS[0]
    elif kind in _PASSWORDS:
        wanted = ["password"]
        if account.project:
            auth = {key: value for key, value in auth.items() if not key.startswith("project_")}
            auth["project_id"] = account.project
    else:
        raise AuthFailed(f"{file} opens its cloud by {kind!r}: give a password or an application credential")
    if account.endpoint:
        auth["auth_url"] = account.endpoint
    if missing := [key for key in ("auth_url", *wanted) if not auth.get(key) and "profile" not in cloud]:
        raise AuthFailed(f"{file} lacks {' and '.join(missing)} in `auth`: download it anew from the provider")
    cloud["auth"] = auth
    cloud["region_name"] = account.region or _only_region(file, cloud)
    cloud.pop("regions", None)
    return cloud


def network_named(cloud: Mapping[str, Any]) -> str | None:
    """Return the network that the file names for hosts, in openstacksdk's own key `networks`."""
    networks = cloud.get("networks") or []
    named = [each for each in networks if each.get("default_interface")] or networks
    return str(named[0]["name"]) if len(named) == 1 else None


def _only_cloud(file: str, text: str) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        content = None  # what is wrong with it may be quoted from a secret
    clouds = content.get("clouds") if isinstance(content, Mapping) else None
    if not isinstance(clouds, Mapping):
        raise AuthFailed(f"{file} is not a clouds.yaml: download it from the provider")
    if len(clouds) != 1:
        raise AuthFailed(f"{file} has {len(clouds)} clouds ({', '.join(map(str, clouds))}): leave only one in it")
    cloud = next(iter(clouds.values()))
    if not isinstance(cloud, Mapping) or not isinstance(cloud.get("auth"), Mapping):
        raise AuthFailed(f"{file} has no `auth` in its cloud: download it anew from the provider")
    return cloud


def _only_region(file: str, cloud: Mapping[str, Any]) -> str:
    regions = [cloud["region_name"]] if cloud.get("region_name") else list(cloud.get("regions") or [])
    names = [str(each["name"] if isinstance(each, Mapping) else each) for each in regions]
    if len(names) != 1:
        raise AuthFailed(
            f"{file} names {', '.join(names) or 'no region'}: give this cloud one region in parrotpark_clouds"
        )
    return names[0]
