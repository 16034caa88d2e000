"""Buckets as those meet them who hold their keys, and those who hold none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from testinfra.host import Host

KEYS = ("files", "books", "notes", "spare")  # each named as its bucket
ORIGIN = "https://a.parrotpark.example"


@pytest.fixture(scope="module")
def url(host: Host) -> str:
    return f"http://{host.ansible.get_variables()['ansible_host']}:7070"


@pytest.fixture(scope="module")
def s3(url: str) -> Callable[[str], Any]:
    """A client in the name of a key."""

    def client(key: str) -> Any:
        secret = f"the-secret-of-{key}-in-the-test"
        place = {"endpoint_url": url, "region_name": "fsn1"}
        return boto3.client("s3", **place, aws_access_key_id=key, aws_secret_access_key=secret)

    return client


def refused(ask: Callable[..., Any], **arguments: Any) -> bool:
    with pytest.raises(ClientError) as caught:
        ask(**arguments)
    return bool(caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_uses_its_bucket(host: Host, s3: Callable[[str], Any], key: str) -> None:
    client = s3(key)
    client.put_object(Bucket=key, Key="a/b c.txt", Body=b"kept")
    assert client.get_object(Bucket=key, Key="a/b c.txt")["Body"].read() == b"kept"
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=key)["Contents"]] == ["a/b c.txt"]
    upload = {"Bucket": key, "Key": "large"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    part = client.upload_part(**upload, PartNumber=1, Body=b"x" * 5_000_000)
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    link = client.generate_presigned_url("get_object", Params={"Bucket": key, "Key": "large"})
    assert host.check_output("curl --silent --fail %s | wc --bytes", link) == "5000000"
    for name in ("a/b c.txt", "large"):
        client.delete_object(Bucket=key, Key=name)
    assert "Contents" not in client.list_objects_v2(Bucket=key)


@pytest.mark.parametrize(("key", "other"), [(key, other) for key in KEYS for other in KEYS if key != other])
def test_a_key_does_nothing_in_another_bucket(s3: Callable[[str], Any], key: str, other: str) -> None:
    s3(other).put_object(Bucket=other, Key="secret", Body=b"kept")
    client = s3(key)
    assert refused(client.list_objects_v2, Bucket=other)
    assert refused(client.list_object_versions, Bucket=other)
    assert refused(client.get_object, Bucket=other, Key="secret")
    assert refused(client.put_object, Bucket=other, Key="secret", Body=b"changed")
    assert refused(client.delete_object, Bucket=other, Key="secret")
    assert refused(client.copy_object, Bucket=key, Key="stolen", CopySource={"Bucket": other, "Key": "secret"})
    assert refused(client.put_bucket_policy, Bucket=other, Policy="{}")
    assert s3(other).get_object(Bucket=other, Key="secret")["Body"].read() == b"kept"


@pytest.mark.parametrize("key", KEYS)
def test_a_key_uses_its_bucket_and_does_not_manage_it(s3: Callable[[str], Any], key: str) -> None:
    client = s3(key)
    assert refused(client.put_bucket_policy, Bucket=key, Policy="{}")
    assert refused(client.put_bucket_versioning, Bucket=key, VersioningConfiguration={"Status": "Enabled"})
    assert refused(client.delete_bucket, Bucket=key)
    assert refused(client.create_bucket, Bucket=f"{key}-2", CreateBucketConfiguration={"LocationConstraint": "fsn1"})


@pytest.mark.parametrize("bucket", KEYS)
def test_who_has_no_key_reads_nothing(host: Host, s3: Callable[[str], Any], url: str, bucket: str) -> None:
    s3(bucket).put_object(Bucket=bucket, Key="secret", Body=b"kept")
    for path in (bucket, f"{bucket}/secret"):
        asked = host.check_output("curl --silent --output /dev/null --write-out '%%{http_code}' %s", f"{url}/{path}")
        assert asked == "403"


def test_what_is_deleted_is_gone_unless_versions_are_kept(s3: Callable[[str], Any]) -> None:
    def versions(bucket: str) -> list[str]:
        s3(bucket).put_object(Bucket=bucket, Key="deleted", Body=b"x")
        s3(bucket).delete_object(Bucket=bucket, Key="deleted")
        found = s3("admin").list_object_versions(Bucket=bucket, Prefix="deleted")
        return [version["Key"] for version in found.get("Versions", [])]

    assert versions("notes") == []
    assert "deleted" in versions("files")


@pytest.mark.parametrize(
    ("bucket", "origin", "allowed"),
    [
        ("files", ORIGIN, True),
        ("files", "https://b.parrotpark.example", True),
        ("files", "https://elsewhere.example", False),
        ("books", ORIGIN, False),
        ("books", "https://added.example", False),
        ("notes", ORIGIN, True),
    ],
)
def test_pages_of_these_origins_alone_use_a_bucket(
    host: Host, url: str, bucket: str, origin: str, allowed: bool
) -> None:
    ask = "curl --silent --include --request OPTIONS --header %s --header 'Access-Control-Request-Method: PUT' %s"
    told = host.check_output(ask, f"Origin: {origin}", f"{url}/{bucket}/x").lower()
    assert (f"access-control-allow-origin: {origin}" in told) is allowed
