"""Change buckets as somebody does by hand, and print for each change what a plan has to show of it."""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3

s3: Any = boto3.client(
    "s3",
    endpoint_url=sys.argv[1],
    region_name="fsn1",
    aws_access_key_id="admin",
    aws_secret_access_key="the-secret-of-admin-in-the-test",  # noqa: S106
)


def set_cors(bucket: str, origin: str) -> None:
    rule = {"AllowedOrigins": [origin], "AllowedMethods": ["DELETE"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})


def edit_policy(bucket: str, number: int, **changes: Any) -> None:
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    policy["Statement"][number] |= changes
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


s3.put_bucket_versioning(Bucket="files", VersioningConfiguration={"Status": "Suspended"})
print("-        versioning: false")
set_cors("files", "https://elsewhere.example")
print("-            - https://elsewhere.example")
edit_policy("files", 0, Action=["s3:GetBucketLocation"])
print("+                - s3:ListBucketMultipartUploads")
s3.put_bucket_versioning(Bucket="books", VersioningConfiguration={"Status": "Enabled"})
print("-        versioning: true")
set_cors("books", "https://added.example")
print("-            - https://added.example")
edit_policy("books", 1, Principal="*")
print("-                Principal: '*'")
s3.put_bucket_ownership_controls(
    Bucket="books", OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
)
s3.put_bucket_acl(Bucket="books", ACL="public-read")
print("-                ID: all-users")
s3.delete_bucket_policy(Bucket="notes")
print("-        policy: {}")
s3.delete_bucket_cors(Bucket="notes")
print("-        cors: []")
s3.delete_bucket(Bucket="spare")
print("-    spare: absent")
