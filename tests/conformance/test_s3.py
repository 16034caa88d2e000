"""The S3 server as programs use those of providers, by the client they use."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud import secret
from localcloud.machine import s3
from localcloud.paths import GATEWAY, S3_PORT, TOKENS
from tests.machines import PREFIX, Machine

NAME = f"{PREFIX}{uuid4().hex[:8]}"


def client(key: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=s3.URL,
        region_name=s3.REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret.keep(TOKENS / f"s3-{key}"),
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture(scope="module")
def admin(local_cloud: object) -> Any:  # noqa: ARG001
    return client(s3.ADMIN)


@pytest.fixture
def bucket(admin: Any) -> Iterator[str]:
    admin.create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": s3.REGION})
    yield NAME
    admin.delete_bucket_policy(Bucket=NAME)
    for kind in ("Versions", "DeleteMarkers"):
        for entry in admin.list_object_versions(Bucket=NAME).get(kind, []):
            admin.delete_object(Bucket=NAME, Key=entry["Key"], VersionId=entry["VersionId"])
    admin.delete_bucket(Bucket=NAME)


def code(ask: Any, **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        ask(**given)
    return str(caught.value.response["Error"]["Code"])


def test_objects_come_and_go(admin: Any, bucket: str) -> None:
    admin.put_object(Bucket=bucket, Key="über/a b+c.txt", Body=b"one", ContentType="text/plain", Metadata={"who": "me"})
    found = admin.get_object(Bucket=bucket, Key="über/a b+c.txt")
    assert (found["Body"].read(), found["ContentType"], found["Metadata"]) == (b"one", "text/plain", {"who": "me"})
    assert [entry["Key"] for entry in admin.list_objects_v2(Bucket=bucket)["Contents"]] == ["über/a b+c.txt"]
    admin.delete_object(Bucket=bucket, Key="über/a b+c.txt")
    assert code(admin.get_object, Bucket=bucket, Key="über/a b+c.txt") == "NoSuchKey"
    assert "Versions" not in admin.list_object_versions(Bucket=bucket)


def test_versions_are_kept_where_they_are_asked_for(admin: Any, bucket: str) -> None:
    admin.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [admin.put_object(Bucket=bucket, Key="x", Body=body)["VersionId"] for body in (b"1", b"2")]
    admin.delete_object(Bucket=bucket, Key="x")
    assert code(admin.get_object, Bucket=bucket, Key="x") == "NoSuchKey"
    read = [admin.get_object(Bucket=bucket, Key="x", VersionId=version)["Body"].read() for version in versions]
    assert read == [b"1", b"2"]


def test_large_objects_come_in_parts(admin: Any, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "large"}
    upload["UploadId"] = admin.create_multipart_upload(**upload)["UploadId"]
    bodies = [b"a" * (5 << 20), b"b"]
    parts = [
        {"PartNumber": number, "ETag": admin.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, start=1)
    ]
    admin.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert admin.get_object(Bucket=bucket, Key="large")["Body"].read() == b"".join(bodies)


def test_a_link_opens_without_a_key_until_it_ends(admin: Any, bucket: str) -> None:
    admin.put_object(Bucket=bucket, Key="x", Body=b"linked")
    link = admin.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "x"})
    assert urllib.request.urlopen(link).read() == b"linked"
    for spoiled in (f"{s3.URL}/{bucket}/x", link.replace("Signature=", "Signature=0")):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(spoiled)


def test_pages_of_a_named_origin_may_read(admin: Any, bucket: str) -> None:
    rule = {"AllowedOrigins": ["https://a.example"], "AllowedMethods": ["GET"]}
    admin.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    asked = urllib.request.Request(
        f"{s3.URL}/{bucket}/x",
        method="OPTIONS",
        headers={"Origin": "https://a.example", "Access-Control-Request-Method": "GET"},
    )
    assert urllib.request.urlopen(asked).headers["Access-Control-Allow-Origin"] == "https://a.example"


def test_a_key_does_what_a_policy_says(admin: Any, bucket: str) -> None:
    mine = client("conformance")
    admin.put_object(Bucket=bucket, Key="x", Body=b"kept")
    assert code(mine.get_object, Bucket=bucket, Key="x") == "AccessDenied"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["conformance"]},
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/*"],
    }
    admin.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert mine.get_object(Bucket=bucket, Key="x")["Body"].read() == b"kept"
    assert code(mine.put_object, Bucket=bucket, Key="x", Body=b"") == "AccessDenied"
    assert code(mine.create_bucket, Bucket=f"{bucket}-2") == "AccessDenied"


def test_machines_reach_it_and_what_nobody_signed_is_refused(two: Machine, admin: Any) -> None:  # noqa: ARG001
    assert two.reaches(str(GATEWAY), S3_PORT)
    assert two.run(f"curl -s -o /dev/null -w '%{{http_code}}' {s3.URL}/") == "403"
