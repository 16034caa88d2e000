"""What is kept of people, as the owner of the host finds it."""

from __future__ import annotations

from pathlib import Path

import boto3
from testinfra.host import Host

DATABASES = ("postgresql", "mongodb", "search")  # are asked, not read
# What MongoDB and Meilisearch hold of a word, where LibreChat runs.
LIBRECHAT = """
import json, sys, urllib.request
from pymongo import MongoClient
config = json.load(open("/etc/parrotpark-people/config.json"))["librechat"]
database = MongoClient(config["mongodb"]).get_default_database() if config["mongodb"] else None
for name in database.list_collection_names() if config["mongodb"] else []:
    for document in database[name].find():
        if sys.argv[1].lower() in str(document).lower():
            print("MongoDB:", name)
for index in ("convos", "messages") if config["search"] else ():
    url, question = f"{config['search']}/indexes/{index}/search", json.dumps({"q": sys.argv[1]}).encode()
    headers = {"Authorization": f"Bearer {config['search_key']}", "Content-Type": "application/json"}
    for hit in json.load(urllib.request.urlopen(urllib.request.Request(url, question, headers)))["hits"]:
        print("Meilisearch:", index)
"""


def objects(entry: Host) -> dict[str, bytes]:
    """Read all that lies in the chat's bucket, as its own key does."""
    inputs = entry.ansible.get_variables()
    (bucket,) = (each for each in inputs["parrotpark_s3_buckets"] if each["purpose"] == "chat")
    client = boto3.client(
        "s3",
        endpoint_url=inputs["parrotpark_s3_endpoint"],
        region_name=inputs["parrotpark_s3_region"],
        aws_access_key_id=bucket["access_key_id"],
        aws_secret_access_key=Path(bucket["secret_key_file"]).read_text().strip(),
    )
    keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket["name"]).get("Contents", [])]
    return {key: client.get_object(Bucket=bucket["name"], Key=key)["Body"].read() for key in keys}


def places(entry: Host, word: str) -> list[str]:
    """Name every row, document, object of the bucket and file on the data volume that has the word in it."""
    dump = "runuser -u postgres -- pg_dumpall --data-only --rows-per-insert=1 | grep -ai %s | cut -c-60"
    files = f"grep -ralie %s /srv/data {' '.join(f'--exclude-dir={name}' for name in DATABASES)}"
    return [
        *entry.run(dump, word).stdout.splitlines(),
        *(key for key, content in objects(entry).items() if word in key or word.encode() in content),
        *entry.run(files, word).stdout.splitlines(),
        *entry.check_output("find /srv/data -iname %s", f"*{word}*").splitlines(),
        *entry.check_output("python3 -c %s %s", LIBRECHAT, word).splitlines(),
    ]


def spend_all(entry: Host, email: str, dollars: float) -> None:
    """Let somebody have spent so much, with the budget that follows from their groups."""
    entry.check_output("parrotpark-people budgets")
    statement = f"UPDATE \"LiteLLM_EndUserTable\" SET spend = {dollars} WHERE user_id = '{email}'"
    assert entry.check_output("runuser -u postgres -- psql litellm -tA -c %s", statement) == "UPDATE 1"
