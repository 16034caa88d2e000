#!/usr/bin/python
"""Make buckets at an S3 endpoint, each for one access key."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from parrotpark.control import object_storage
from parrotpark.control.object_storage import Bucket, Endpoint, Key, ObjectStorageError

DOCUMENTATION = r"""
module: parrotpark_buckets
short_description: Make buckets at an S3 endpoint, each for one access key
description:
  - Creates the buckets that are missing, and sets policy, versioning, CORS and lifecycle of each. What a bucket has of
    these and is not named here, it loses, and so it does what an access control list grants. No bucket and no object is
    ever deleted.
  - Reads everything before it changes anything. In the end it asks with each key, which has to reach its bucket, and
    none of the others.
  - Runs on the control machine, in the Python environment of this repository.
author: Parrotpark
attributes:
  check_mode:
    support: full
    description: What a key reaches is asked only where nothing has to be changed first.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  endpoint:
    description: URL of the endpoint.
    type: str
    required: true
  region:
    description: Its region.
    type: str
    required: true
  path_style:
    description: Whether the bucket's name stands in the path of URLs, or else before the host's.
    type: bool
    default: true
  ca_bundle:
    description: File with the CA certificates to trust; without it, the well-known ones.
    type: path
  access_key_id:
    description: Access key that may make buckets.
    type: str
    required: true
  secret_key_file:
    description: File with its secret.
    type: path
    required: true
  policy:
    description: Kind of the endpoint's bucket policies.
    type: str
    choices: [s3, scaleway, none]
    default: s3
  principal:
    description: How they name who has a key, with C({key}) for its id.
    type: str
    default: "{key}"
  admin_principal:
    description: How they name who has O(access_key_id), where that one has to be let in, too.
    type: str
  buckets:
    description: The buckets.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the bucket.
        type: str
        required: true
      access_key_id:
        description: The one access key that shall reach it.
        type: str
        required: true
      secret_key_file:
        description: File with that key's secret.
        type: path
        required: true
      principal:
        description: How policies name who has that key, if not as O(principal) says.
        type: str
      versioning:
        description: Whether what is deleted or overwritten is kept.
        type: bool
        default: false
      noncurrent_days:
        description: For how many days.
        type: int
      abort_multipart_days:
        description: After how many days an upload that never came to its end is thrown away.
        type: int
      cors_origins:
        description: Origins whose pages may read from and write to the bucket.
        type: list
        elements: str
        default: []
"""

EXAMPLES = r"""
- name: Make the bucket of the chat
  parrotpark_buckets:
    endpoint: https://fsn1.your-objectstorage.com
    region: fsn1
    access_key_id: 0ABC
    secret_key_file: ~/.config/parrotpark/s3.secret
    principal: arn:aws:iam:::user/p1234567:{key}
    buckets:
      - name: example-chat
        access_key_id: 0DEF
        secret_key_file: ~/.config/parrotpark/s3-chat.secret
"""

RETURN = r""" # """

ARGUMENTS: dict[str, dict[str, Any]] = {
    "endpoint": {"required": True},
    "region": {"required": True},
    "path_style": {"type": "bool", "default": True},
    "ca_bundle": {"type": "path"},
    "access_key_id": {"required": True, "no_log": False},
    "secret_key_file": {"type": "path", "required": True, "no_log": False},
    "policy": {"choices": ["s3", "scaleway", "none"], "default": "s3"},
    "principal": {"default": "{key}"},
    "admin_principal": {},
    "buckets": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"required": True},
            "access_key_id": {"required": True, "no_log": False},
            "secret_key_file": {"type": "path", "required": True, "no_log": False},
            "principal": {},
            "versioning": {"type": "bool", "default": False},
            "noncurrent_days": {"type": "int"},
            "abort_multipart_days": {"type": "int"},
            "cors_origins": {"type": "list", "elements": "str", "default": []},
        },
    },
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        ARGUMENTS, supports_check_mode=True, required_if=[("policy", "scaleway", ("admin_principal",))]
    )
    try:
        result = run(module.params, check=module.check_mode)
    except ObjectStorageError as error:
        module.fail_json(msg=str(error))
    for bucket in module.params["buckets"]:
        if bucket["versioning"] and not bucket["noncurrent_days"]:
            module.warn(f"bucket {bucket['name']} keeps what people delete for ever: set noncurrent_days")
    module.exit_json(**result)


def run(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Decide and do it unless `check`, and describe it.

    Raises:
        ObjectStorageError: the endpoint refused, or a key reaches what it should not.
    """

    buckets = [Bucket(key=_key(bucket), **_others(bucket)) for bucket in params["buckets"]]
    admin, endpoint = _key(params), Endpoint(url=params["endpoint"], **_others(params))
    changes = object_storage.plan(endpoint, admin, buckets)
    if not check:
        object_storage.carry_out(endpoint, admin, changes)
    if not (check and changes):
        object_storage.prove(endpoint, buckets)
    return {
        "changed": bool(changes),
        "diff": {
            "before": {change.bucket: "absent" if change.create else change.before for change in changes},
            "after": {change.bucket: change.after for change in changes},
        },
    }


def _key(params: dict[str, Any]) -> Key:
    return Key.read(params["access_key_id"], params["secret_key_file"])


def _others(params: dict[str, Any]) -> dict[str, Any]:
    named = ("access_key_id", "secret_key_file", "endpoint", "buckets")
    return {name: value for name, value in params.items() if name not in named}


if __name__ == "__main__":
    main()
