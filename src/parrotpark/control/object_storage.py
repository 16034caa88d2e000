"""Buckets at an S3 endpoint: how they should be, what differs, and which access key reaches which.

Everything is read before anything is written. Nothing here deletes a bucket or an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
BUCKET_ACTIONS = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
OBJECT_ACTIONS = [
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
]
# How endpoints call it when a setting was never made; and when they know no such setting.
ABSENT = ("NoSuchBucketPolicy", "NoSuchCORSConfiguration", "NoSuchLifecycleConfiguration")
UNKNOWN = ("MethodNotAllowed", "NotImplemented")

type Settings = dict[str, Any]  # by their names in SETTINGS; None is what an endpoint does not know
type Client = Any  # boto3 makes its classes at run time


class ObjectStorageError(Exception):
    """The buckets cannot be made as they should be; the message says in one line why, and what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """An access key with its secret."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def read(cls, access_key_id: str, file: str) -> Key:
        """Take the secret from a file. Raises ObjectStorageError."""
        try:
            secret = Path(file).expanduser().read_text().strip()
        except OSError as error:
            raise ObjectStorageError(f"the secret of access key {access_key_id}: {error.strerror}: {file}") from error
        if not secret:
            raise ObjectStorageError(f"the secret of access key {access_key_id}: {file} is empty")
        return cls(access_key_id, secret)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the buckets are, and how its policies name who has a key."""

    url: str
    region: str
    path_style: bool = True
    ca_bundle: str | None = None
    policy: Literal["s3", "scaleway", "none"] = "s3"
    principal: str = "{key}"
    admin_principal: str | None = None

    def client(self, key: Key) -> Client:
        """Ask in the name of a key."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=self.region,
            verify=self.ca_bundle,
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            config=Config(
                connect_timeout=10,
                retries={"mode": "standard", "total_max_attempts": 3},
                s3={"addressing_style": "path" if self.path_style else "virtual"},
                # Checksums that AWS alone knows
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as it should be."""

    name: str
    key: Key
    principal: str | None = None
    versioning: bool = False
    cors_origins: Sequence[str] = ()
    noncurrent_days: int | None = None
    abort_multipart_days: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What differs in a bucket: its settings as they are and as they should be, or all of them where it is missing."""

    bucket: str
    before: Settings
    after: Settings
    create: bool


def judge(endpoint: Endpoint, admin: Key, buckets: Sequence[Bucket]) -> None:
    """Refuse what the endpoint could not take. Raises ObjectStorageError."""
    users = {admin.id: "the key that makes the buckets"}
    for number, bucket in enumerate(buckets):
        if not NAME.fullmatch(bucket.name):
            raise ObjectStorageError(f"bucket '{bucket.name}': 3 to 63 small letters, digits, dots and hyphens")
        if bucket.name in (other.name for other in buckets[:number]):
            raise ObjectStorageError(f"bucket {bucket.name} is listed twice")
        if endpoint.policy == "scaleway" and not bucket.principal:
            raise ObjectStorageError(f"bucket {bucket.name} needs a principal: the application of its key")
        if bucket.key.id in users:
            raise ObjectStorageError(
                f"bucket {bucket.name} has the access key of {users[bucket.key.id]}: make one that is its alone"
            )
        users[bucket.key.id] = f"bucket {bucket.name}"


def wanted(bucket: Bucket, others: Sequence[Bucket], endpoint: Endpoint) -> Settings:
    """Return the settings that a bucket should have."""
    settings: Settings = {
        "acl": [],  # what it grants comes on top of the policy
        "versioning": bucket.versioning,
        "cors": _cors(bucket.cors_origins),
        "lifecycle": _lifecycle(bucket),
    }
    return settings if endpoint.policy == "none" else {"policy": _policy(bucket, others, endpoint), **settings}


def _cors(origins: Sequence[str]) -> list[dict[str, Any]]:
    rule = {
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }
    return [rule] if origins else []


def _lifecycle(bucket: Bucket) -> list[dict[str, Any]]:
    rule: dict[str, Any] = {"ID": "parrotpark", "Status": "Enabled", "Filter": {"Prefix": ""}}
    if bucket.noncurrent_days:
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": bucket.noncurrent_days}
        rule["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if bucket.abort_multipart_days:
        rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": bucket.abort_multipart_days}
    return [rule] if bucket.noncurrent_days or bucket.abort_multipart_days else []


def _policy(bucket: Bucket, others: Sequence[Bucket], endpoint: Endpoint) -> dict[str, Any]:
    """Let its own key use the bucket, and the keys of the others do nothing.

    At some providers a key may do everything in its project until it is denied; at Scaleway nobody may do anything that
    a policy does not name, the administrator included.
    """
    scaleway = endpoint.policy == "scaleway"
    resource = bucket.name if scaleway else f"arn:aws:s3:::{bucket.name}"

    def statement(sid: str, effect: str, whom: Sequence[str], actions: Sequence[str], on: Sequence[str]) -> Settings:
        who = {"SCW" if scaleway else "AWS": sorted(whom)}
        return {"Sid": sid, "Effect": effect, "Principal": who, "Action": list(actions), "Resource": list(on)}

    def name(each: Bucket) -> str:
        return each.principal or endpoint.principal.replace("{key}", each.key.id)

    statements = [
        statement("Bucket", "Allow", [name(bucket)], BUCKET_ACTIONS, [resource]),
        statement("Objects", "Allow", [name(bucket)], OBJECT_ACTIONS, [f"{resource}/*"]),
    ]
    everything = ["s3:*"], [resource, f"{resource}/*"]
    if endpoint.admin_principal:
        statements.append(statement("Administrator", "Allow", [endpoint.admin_principal], *everything))
    if others and not scaleway:
        statements.append(statement("Others", "Deny", [name(other) for other in others], *everything))
    return {"Version": "2023-04-17" if scaleway else "2012-10-17", "Statement": statements}


def _granted(acl: Mapping[str, Any]) -> list[Any]:
    """Return what the access control list grants to others than the owner."""
    return [grant for grant in acl["Grants"] if grant["Grantee"].get("ID") != acl["Owner"]["ID"]]


@dataclass(frozen=True, slots=True)
class Setting:
    """How a setting is read, written and, where there is none, taken away."""

    read: Callable[[Client, str], Any]
    write: Callable[[Client, str, Any], Any]
    remove: Callable[[Client, str], Any] | None = None


SETTINGS: Mapping[str, Setting] = {
    "policy": Setting(
        lambda client, name: json.loads(client.get_bucket_policy(Bucket=name)["Policy"]),
        lambda client, name, value: client.put_bucket_policy(Bucket=name, Policy=json.dumps(value)),
    ),
    "acl": Setting(
        lambda client, name: _granted(client.get_bucket_acl(Bucket=name)),
        lambda client, name, _: client.put_bucket_acl(Bucket=name, ACL="private"),
    ),
    "versioning": Setting(
        lambda client, name: client.get_bucket_versioning(Bucket=name).get("Status") == "Enabled",
        lambda client, name, value: client.put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": "Enabled" if value else "Suspended"}
        ),
    ),
    "cors": Setting(
        lambda client, name: client.get_bucket_cors(Bucket=name)["CORSRules"],
        lambda client, name, value: client.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": value}),
        lambda client, name: client.delete_bucket_cors(Bucket=name),
    ),
    "lifecycle": Setting(
        lambda client, name: client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"],
        lambda client, name, value: client.put_bucket_lifecycle_configuration(
            Bucket=name, LifecycleConfiguration={"Rules": value}
        ),
        lambda client, name: client.delete_bucket_lifecycle(Bucket=name),
    ),
}


def plan(endpoint: Endpoint, admin: Key, buckets: Sequence[Bucket]) -> list[Change]:
    """Tell what has to change. Raises ObjectStorageError."""
    judge(endpoint, admin, buckets)
    with _explained(endpoint, admin):
        client = endpoint.client(admin)
        client.list_buckets()
    for bucket in buckets:
        with _explained(endpoint, bucket.key), _unless("AccessDenied"):
            endpoint.client(bucket.key).list_buckets()
    changes = []
    for bucket in buckets:
        after = wanted(bucket, [other for other in buckets if other is not bucket], endpoint)
        with _explained(endpoint, admin, bucket.name):
            before = _read(client, bucket.name, after)
        for setting, value in after.items():
            if value and setting in before and before[setting] is None:
                raise ObjectStorageError(_unknown(endpoint, bucket.name, setting))
        different = _different(before, after)
        if different or not before:
            now, then = ({name: settings.get(name) for name in different} for settings in (before, after))
            changes.append(Change(bucket.name, now, then, create=not before))
    return changes


def _read(client: Client, bucket: str, settings: Settings) -> Settings:
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
            return {}
        raise
    return {setting: _value(client, bucket, setting) for setting in settings}


def _value(client: Client, bucket: str, setting: str) -> Any:
    try:
        return SETTINGS[setting].read(client, bucket)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ABSENT:
            return {} if setting == "policy" else []
        if code in UNKNOWN:
            return None
        raise


def _different(before: Settings, after: Settings) -> list[str]:
    return [
        name
        for name, value in after.items()
        if (value or before.get(name)) and _plain(before.get(name)) != _plain(value)
    ]


def _plain(value: Any) -> Any:
    """Return a setting without what endpoints tell differently though it is the same."""
    match value:
        case dict():
            plain = {key: _plain(inner) for key, inner in value.items()}
            # What is for all objects may stand in the rule, in its filter, or nowhere.
            return {key: inner for key, inner in plain.items() if inner not in (None, "", {}, [])}
        case [only]:
            return _plain(only)
        case list():
            return sorted(map(_plain, value), key=lambda inner: json.dumps(inner, sort_keys=True))
    return value


def carry_out(endpoint: Endpoint, admin: Key, changes: Sequence[Change]) -> None:
    """Make the buckets as they should be. Raises ObjectStorageError."""
    client = endpoint.client(admin)
    for change in changes:
        with _explained(endpoint, admin, change.bucket):
            if change.create:
                place = {"LocationConstraint": endpoint.region}
                options = {} if endpoint.region == "us-east-1" else {"CreateBucketConfiguration": place}
                client.create_bucket(Bucket=change.bucket, **options)
        for name, value in change.after.items():
            setting = SETTINGS[name]
            with _explained(endpoint, admin, change.bucket, name):
                if setting.remove and not value:
                    setting.remove(client, change.bucket)
                else:
                    setting.write(client, change.bucket, value)


def prove(endpoint: Endpoint, buckets: Sequence[Bucket]) -> None:
    """See that each key reaches its bucket and none of the others. Raises ObjectStorageError."""
    for bucket in buckets:
        client = endpoint.client(bucket.key)
        with _explained(endpoint, bucket.key):
            for other in buckets:
                reached = False
                with _unless("AccessDenied"):
                    client.list_objects_v2(Bucket=other.name, MaxKeys=1)
                    reached = True
                if reached != (other is bucket):
                    what = "does not reach its bucket" if other is bucket else f"of {bucket.name} also reaches bucket"
                    raise ObjectStorageError(
                        f"access key {bucket.key.id} {what} {other.name}: see how {endpoint.url} names who has a key"
                    )


@contextmanager
def _unless(code: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise


@contextmanager
def _explained(endpoint: Endpoint, key: Key, bucket: str = "", setting: str = "") -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        said = error.response["Error"]
        if setting and said["Code"] in UNKNOWN:
            raise ObjectStorageError(_unknown(endpoint, bucket, setting)) from error
        raise ObjectStorageError(_reason(said["Code"], said.get("Message", ""), endpoint, key, bucket)) from error
    except SSLError as error:
        raise ObjectStorageError(f"{endpoint.url} is not trusted: name its CA in ca_bundle ({error})") from error
    except (exceptions.ConnectionError, HTTPClientError) as error:
        raise ObjectStorageError(f"nothing answers at {endpoint.url}: check the endpoint") from error
    except (BotoCoreError, ValueError) as error:
        raise ObjectStorageError(f"{endpoint.url}: {error}") from error


def _unknown(endpoint: Endpoint, bucket: str, setting: str) -> str:
    return f"{endpoint.url} knows no {setting}: leave it out of bucket {bucket}"


def _reason(code: str, message: str, endpoint: Endpoint, key: Key, bucket: str) -> str:
    said = f"({code}: {message})" if message else f"({code})"
    match code:
        case "InvalidAccessKeyId":
            return f"{endpoint.url} does not know the access key {key.id}: check it, and that it is of this endpoint"
        case "SignatureDoesNotMatch":
            return f"the secret of access key {key.id} is wrong: take the one that was shown when the key was made"
        case "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "InvalidLocationConstraint":
            return f"{endpoint.url} is not in region {endpoint.region}: check both {said}"
        case "403" | "AccessDenied" | "BucketAlreadyExists" if bucket:
            return f"bucket {bucket} belongs to somebody else, or {key.id} may not manage it: choose another {said}"
        case "MalformedPolicy":
            return f"{endpoint.url} does not know who should use bucket {bucket}: check its principal {said}"
    return f"{endpoint.url} refused{f' for bucket {bucket}' if bucket else ''} {said}"
