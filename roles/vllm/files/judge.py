"""Lets vLLM judge a configuration file as `vllm serve` would: options, model folder and device, short of the weights.

It runs as the user of the service, so that what vLLM notes of the model is there for the first start.

Usage: judge.py USER MODEL CONFIG. An error says what is wrong.
"""

import os
import pwd
import sys
import tempfile
from pathlib import Path


def become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ["HOME"] = entry.pw_dir


def judge(model: str, config: str) -> None:
    # Imported late: what these modules cache, they cache in the user's home.
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:  # vLLM asks for the suffix
        file.write(config)
        file.flush()
        arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(["--model", model, "--config", file.name])
    validate_parsed_serve_args(arguments)
    AsyncEngineArgs.from_cli_args(arguments).create_engine_config()


if __name__ == "__main__":
    user, model, config = sys.argv[1:]
    text = Path(config).read_text()
    become(user)
    judge(model, text)
