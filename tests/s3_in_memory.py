"""An S3 endpoint in memory, as its client shows it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from parrotpark.control.object_storage import Key

_OWNER = {"ID": "42"}

_NO_CONFIGURATION = {"cors": "NoSuchCORSConfiguration", "lifecycle": "NoSuchLifecycleConfiguration"}


class FakeS3:
    """Buckets with the documents that were put into them."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.unknown: set[str] = set()  # settings that the endpoint does not have
        self.foreign: set[str] = set()  # buckets of somebody else
        self.reaches: dict[str, set[str]] = {}  # for each key, all buckets unless it is said here

    def client(self, key: Key) -> Any:
        """Ask in the name of a key."""
        return _Client(self, key)


class _Client:
    def __init__(self, s3: FakeS3, key: Key) -> None:
        self.s3 = s3
        self.key = key

    def __getattr__(self, name: str) -> Any:
        def call(**given: Any) -> Any:
            verb, _, what = name.partition("_")
            what = what.removeprefix("bucket_").removesuffix("_configuration")
            if verb in ("put", "delete", "create"):
                self.s3.calls.append(name)
            if what in self.s3.unknown:
                raise _error("NotImplemented")
            if given.get("Bucket") in self.s3.foreign:
                raise _error("403")
            if name == "list_buckets":
                return {}
            if name == "create_bucket":
                self.s3.buckets[given["Bucket"]] = {}
                return None
            bucket = self.s3.buckets.get(given["Bucket"])
            if bucket is None:
                raise _error("404")
            if name == "list_objects_v2":
                if given["Bucket"] not in self.s3.reaches.get(self.key.id, self.s3.buckets):
                    raise _error("AccessDenied")
                return {}
            if name == "head_bucket":
                return None
            if verb == "put":
                given.pop("Bucket")
                (bucket[what],) = given.values()
                return None
            if verb == "delete":
                del bucket[what]
                return None
            if what == "acl":
                return bucket.get(what, {"Owner": _OWNER, "Grants": [{"Grantee": _OWNER}]})
            if what == "versioning":
                return bucket.get(what, {})
            if what not in bucket:
                raise _error(_NO_CONFIGURATION.get(what, "NoSuchBucketPolicy"))
            return {"Policy": bucket[what]} if what == "policy" else bucket[what]

        return call


def _error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "as it says"}}, "Asked")
