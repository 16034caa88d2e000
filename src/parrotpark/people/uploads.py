"""The files that people have uploaded, where the chat keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

S3 = "s3://"


class Uploads(Protocol):
    """Where uploads are kept; `path` is what the chat's table of files says."""

    def read(self, path: str) -> bytes | None: ...

    def delete(self, path: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this host, which the chat in its container knows by another name."""

    folder: Path

    def read(self, path: str) -> bytes | None:
        file = self._file(path)
        return file.read_bytes() if file.exists() else None

    def delete(self, path: str) -> None:
        self._file(path).unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        return self.folder / Path(path).name


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, through a client of boto3; what was uploaded before there was one lies in a folder."""

    client: Any
    name: str
    before: Folder

    def read(self, path: str) -> bytes | None:
        if not path.startswith(S3):
            return self.before.read(path)
        try:
            content: bytes = self.client.get_object(Bucket=self.name, Key=self._key(path))["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None
        return content

    def delete(self, path: str) -> None:
        if path.startswith(S3):
            self.client.delete_object(Bucket=self.name, Key=self._key(path))
        else:
            self.before.delete(path)

    def _key(self, path: str) -> str:
        return path.removeprefix(f"{S3}{self.name}/")


def uploads(folder: str, bucket: Mapping[str, str]) -> Uploads:
    """Open where uploads are: the bucket, if there is one."""
    if not bucket["endpoint"]:
        return Folder(Path(folder))
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=bucket["endpoint"],
        region_name=bucket["region"],
        aws_access_key_id=bucket["access_key_id"],
        aws_secret_access_key=bucket["secret_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    return Bucket(client, bucket["name"], Folder(Path(folder)))
