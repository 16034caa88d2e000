"""What is asked of S3 endpoints that the local one is not: lifecycles, other policies, and answers in other words.

What the local one shows is in molecule/object_storage.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parrotpark.control import object_storage
from parrotpark.control.object_storage import Bucket, Endpoint, Key, ObjectStorageError
from tests.s3_in_memory import FakeS3

ADMIN = Key("admin", "correct-horse")
FILES = Bucket("files", Key("files-key", "battery"))
BOOKS = Bucket("books", Key("books-key", "staple"))
HETZNER = Endpoint(
    "https://fsn1.your-objectstorage.com", "fsn1", principal="arn:aws:iam:::user/p42:{key}", path_style=False
)
SCALEWAY = Endpoint("https://s3.fr-par.scw.cloud", "fr-par", policy="scaleway", admin_principal="user_id:1")
OVHCLOUD = Endpoint("https://s3.gra.io.cloud.ovh.net", "gra", policy="none")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    fake = FakeS3()
    monkeypatch.setattr(Endpoint, "client", lambda _, key: fake.client(key))
    return fake


def converge(endpoint: Endpoint, *buckets: Bucket) -> list[object_storage.Change]:
    changes = object_storage.plan(endpoint, ADMIN, buckets)
    object_storage.carry_out(endpoint, ADMIN, changes)
    return changes


@pytest.mark.parametrize("endpoint", [HETZNER, OVHCLOUD, replace(SCALEWAY, policy="s3")])
@pytest.mark.parametrize("changes", [{}, {"versioning": True, "noncurrent_days": 7}, {"cors_origins": ["https://a.x"]}])
def test_what_was_made_stays(s3: FakeS3, endpoint: Endpoint, changes: dict[str, Any]) -> None:
    wanted = replace(FILES, **changes)
    assert [change.create for change in converge(endpoint, wanted, BOOKS)] == [True, True]
    s3.calls.clear()
    assert converge(endpoint, wanted, BOOKS) == []
    assert s3.calls == []


def test_at_hetzner_every_other_key_is_denied(s3: FakeS3) -> None:
    converge(HETZNER, FILES, BOOKS)
    bucket, objects, others = json.loads(s3.buckets["files"]["policy"])["Statement"]
    assert {statement["Effect"] for statement in (bucket, objects)} == {"Allow"}
    assert bucket["Principal"] == objects["Principal"] == {"AWS": ["arn:aws:iam:::user/p42:files-key"]}
    assert others == {
        "Sid": "Others",
        "Effect": "Deny",
        "Principal": {"AWS": ["arn:aws:iam:::user/p42:books-key"]},
        "Action": ["s3:*"],
        "Resource": ["arn:aws:s3:::files", "arn:aws:s3:::files/*"],
    }


def test_at_scaleway_the_administrator_is_let_in_and_nobody_need_be_denied(s3: FakeS3) -> None:
    files, books = replace(FILES, principal="application_id:2"), replace(BOOKS, principal="application_id:3")
    converge(SCALEWAY, files, books)
    policy = json.loads(s3.buckets["files"]["policy"])
    assert policy["Version"] == "2023-04-17"
    assert [statement["Principal"] for statement in policy["Statement"]] == [
        {"SCW": ["application_id:2"]},
        {"SCW": ["application_id:2"]},
        {"SCW": ["user_id:1"]},
    ]
    assert {path for statement in policy["Statement"] for path in statement["Resource"]} == {"files", "files/*"}
    assert {statement["Effect"] for statement in policy["Statement"]} == {"Allow"}


def test_at_scaleway_a_bucket_names_who_has_its_key() -> None:
    with pytest.raises(ObjectStorageError, match=r"^bucket files needs a principal"):
        object_storage.plan(SCALEWAY, ADMIN, [FILES])


def test_without_policies_none_is_read_or_written(s3: FakeS3) -> None:
    s3.unknown.add("policy")
    converge(OVHCLOUD, FILES)
    assert converge(OVHCLOUD, FILES) == []


def test_what_people_deleted_is_thrown_away_after_its_days(s3: FakeS3) -> None:
    converge(HETZNER, replace(FILES, versioning=True, noncurrent_days=7, abort_multipart_days=2))
    (rule,) = s3.buckets["files"]["lifecycle"]["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    assert rule["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    (change,) = converge(HETZNER, FILES)
    assert sorted(change.before) == ["lifecycle", "versioning"]
    assert "lifecycle" not in s3.buckets["files"]
    assert s3.buckets["files"]["versioning"] == {"Status": "Suspended"}


def test_the_same_in_other_words_is_no_change(s3: FakeS3) -> None:
    wanted = replace(FILES, abort_multipart_days=2, cors_origins=["https://b.x", "https://a.x"])
    converge(HETZNER, wanted, BOOKS)
    bucket = s3.buckets["files"]
    policy = json.loads(bucket["policy"])
    for statement in policy["Statement"]:
        statement["Principal"] = {"AWS": statement["Principal"]["AWS"][0]}
        statement["Action"] = statement["Action"][0] if len(statement["Action"]) == 1 else statement["Action"][::-1]
    bucket["policy"] = json.dumps(policy)
    (rule,) = bucket["lifecycle"]["Rules"]
    bucket["lifecycle"] = {"Rules": [{**rule, "Filter": {}, "Prefix": ""}]}
    (rule,) = bucket["cors"]["CORSRules"]
    bucket["cors"] = {"CORSRules": [{**rule, "AllowedOrigins": rule["AllowedOrigins"][::-1]}]}
    assert converge(HETZNER, wanted, BOOKS) == []


def test_a_suspended_bucket_need_not_be_suspended(s3: FakeS3) -> None:
    converge(HETZNER, FILES)
    s3.buckets["files"]["versioning"] = {"Status": "Suspended"}
    assert converge(HETZNER, FILES) == []


@pytest.mark.parametrize("setting", ["versioning", "lifecycle", "cors", "policy"])
def test_what_an_endpoint_does_not_know_is_refused_before_anything_is_written(s3: FakeS3, setting: str) -> None:
    converge(HETZNER, FILES)
    s3.unknown.add(setting)
    s3.calls.clear()
    asked = replace(FILES, versioning=True, noncurrent_days=7, cors_origins=["https://a.x"])
    with pytest.raises(ObjectStorageError, match=f"^{HETZNER.url} knows no {setting}: leave it out of bucket files$"):
        converge(HETZNER, asked)
    assert s3.calls == []


def test_a_bucket_of_somebody_else_is_refused_by_the_plan(s3: FakeS3) -> None:
    s3.foreign.add("books")
    with pytest.raises(ObjectStorageError, match=r"^bucket books belongs to somebody else, or admin may not manage it"):
        object_storage.plan(HETZNER, ADMIN, [FILES, BOOKS])


def test_a_key_that_reaches_too_much_is_named(s3: FakeS3) -> None:
    converge(HETZNER, FILES, BOOKS)
    s3.reaches = {"files-key": {"files"}, "books-key": {"files", "books"}}
    with pytest.raises(ObjectStorageError, match=r"^access key books-key of books also reaches bucket files: see how"):
        object_storage.prove(HETZNER, [FILES, BOOKS])
    s3.reaches["books-key"] = {"books"}
    object_storage.prove(HETZNER, [FILES, BOOKS])


@pytest.mark.parametrize(
    ("buckets", "says"),
    [
        ([replace(FILES, name="Files")], "bucket 'Files': 3 to 63 small letters"),
        ([FILES, replace(BOOKS, name="files")], "bucket files is listed twice"),
        ([FILES, replace(BOOKS, key=FILES.key)], "bucket books has the access key of bucket files: make one"),
        ([replace(FILES, key=ADMIN)], "bucket files has the access key of the key that makes the buckets"),
    ],
)
def test_what_no_endpoint_could_take_is_refused_unasked(buckets: list[Bucket], says: str) -> None:
    with pytest.raises(ObjectStorageError) as caught:
        object_storage.plan(HETZNER, ADMIN, buckets)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(("content", "says"), [(None, "No such file or directory"), (" \n", "is empty")])
def test_a_secret_that_is_not_there_is_named(tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ObjectStorageError, match=f"^the secret of access key files-key: .*{says}"):
        Key.read("files-key", str(file))


def test_a_secret_is_not_shown() -> None:
    assert "battery" not in repr(FILES)


def test_a_url_that_is_none_is_one_line() -> None:
    with pytest.raises(ObjectStorageError, match=r"^nonsense: Invalid endpoint: nonsense$"):
        object_storage.plan(replace(HETZNER, url="nonsense"), ADMIN, [FILES])
