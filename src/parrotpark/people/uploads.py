"""The files that people have uploaded, where the chat keeps them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

S3 = "s3://"


class Uploads(Protocol):
    """Where uploads are kept; `path` is what the chat's table of files says, or `of`."""

    def of(self, keys: Collection[str]) -> Iterator[str]:
        """Yield the path of each file in a folder that is named after somebody."""

    def read(self, path: str) -> bytes | None: ...

    def delete(self, path: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this host, which the chat in its container knows by another name."""

    folder: Path

    def of(self, keys: Collection[str]) -> Iterator[str]:
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if path.is_file() and within(name, keys):
                yield name

    def read(self, path: str) -> bytes | None:
        file = self._file(path)
        return file.read_bytes() if file.exists() else None

    def delete(self, path: str) -> None:
        self._file(path).unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        return self.folder / Path(path).name


@dataclass(frozen=True, slots=True)
class Tree(Folder):
    """A folder with one for each person somewhere below: what is in there goes by its path from here."""

    def delete(self, path: str) -> None:
        file = self._file(path)
        file.unlink(missing_ok=True)
        if file.parent.exists() and not any(file.parent.iterdir()):
            file.parent.rmdir()

    def _file(self, path: str) -> Path:
        return self.folder / path


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, through a client of boto3; what was uploaded before there was one lies in a folder."""

    client: Any
    name: str
    before: Folder

    def of(self, keys: Collection[str]) -> Iterator[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        names = (entry["Key"] for page in pages for entry in page.get("Contents", []))
        yield from (f"{S3}{self.name}/{name}" for name in names if within(name, keys))
        yield from self.before.of(keys)

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


def within(path: str, keys: Collection[str]) -> bool:
    """Tell whether one of the folders that a file is in has the name of a key."""
    return any(part in keys for part in PurePosixPath(path).parent.parts)


def uploads(folder: Folder, bucket: Mapping[str, str]) -> Uploads:
    """Open where uploads are: the bucket, if there is one."""
    if not bucket["endpoint"]:
        return folder
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
    return Bucket(client, bucket["name"], folder)
