"""The catalogue: the one list of models, and what every part of the system is told about them.

An entry of the inventory's `parrotpark_models` says what a model is, what it is for and what it can do. Units, flags,
ports, firewall, endpoints, gateway and chat follow from it here and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

FIRST_PORT = 8001
HEALTH_SECONDS = 1  # until people notice a wake
_PER_TOKEN = 1_000_000  # prices are per million

# LiteLLM would pass these, named by OpenAI's API, on to a model that cannot call tools, which answers with an error.
TOOL_PARAMETERS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")


class ModelError(ValueError):
    """An entry of the catalogue is wrong; the message is one line."""


class Purpose(StrEnum):
    """What a model is for."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    RERANK = "rerank"


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the catalogue, with the port it got."""

    name: str
    purpose: Purpose
    source: Mapping[str, str]
    """Either `folder`, or `hub` and `revision`."""
    context_length: int
    """In tokens."""
    port: int
    tools: str | None = None
    """vLLM's parser of this model's tool calls; None if it cannot call tools."""
    reasoning: str | None = None
    """vLLM's parser of this model's reasoning; None if it does not reason."""
    pictures: bool = False
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """What a request is sampled with unless it says otherwise, such as `temperature`."""
    engine: Mapping[str, Any] = field(default_factory=dict)
    """Further options of `vllm serve`."""
    price: float = 0.0
    """US dollars for a million tokens, read or written."""
    config_folder: str | None = None
    """Where on the control machine its `config.json` is, if its weights are on the hub."""


def source(text: str) -> dict[str, str]:
    """Tell where the weights come from: `folder`, or `hub` and `revision`.

    Raises:
        ModelError: it is neither an absolute path nor `organisation/name@commit`.
    """
    if text.startswith(("/", "~/")):
        return {"folder": str(Path(text).expanduser())}
    match = re.fullmatch(r"([^/@\s]+/[^/@\s]+)@([0-9a-f]{40})", text)
    if match is None:
        raise ModelError(
            f"{text!r} is not a model: write /a/folder or organisation/name@commit, with all 40 digits of the commit "
            "(a branch would mean whatever its owner uploads next)"
        )
    return {"hub": match[1], "revision": match[2]}


def catalogue(entries: Sequence[Mapping[str, Any]], first_port: int = FIRST_PORT) -> tuple[Model, ...]:
    """Read the inventory's list, and give every model a port, counting from `first_port`.

    Raises:
        ModelError: an entry is wrong, two have the same name, or there is none to chat with or none to embed with.
    """
    models = tuple(_model(entry, first_port + index) for index, entry in enumerate(entries))
    twice = [name for name, count in Counter(model.name for model in models).items() if count > 1]
    if twice:
        raise ModelError(f"two models are called {twice[0]}: give one of them another name")
    for purpose in (Purpose.CHAT, Purpose.EMBEDDING):
        if purpose not in {model.purpose for model in models}:
            raise ModelError(f"no model has the purpose {purpose}: add one")
    return models


def _model(entry: Mapping[str, Any], port: int) -> Model:
    found = source(entry["source"])
    name = entry.get("name") or (found.get("folder") or found["hub"]).rsplit("/", 1)[1].lower()
    # It names a unit, a folder and files, and people type it.
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name) is None:
        raise ModelError(f"{name!r} cannot name a model: use lower-case letters, digits, '.', '_' and '-'")
    values = {key: value for key, value in entry.items() if value is not None}
    model = Model(**{**values, "name": name, "source": found, "purpose": Purpose(entry["purpose"]), "port": port})
    for ability in ("tools", "reasoning", "pictures", "sampling"):
        if getattr(model, ability) and model.purpose is not Purpose.CHAT:
            raise ModelError(f"{name}: only a chat model can have {ability}")
    return model


def first_model(models: Iterable[Model], purpose: str) -> dict[str, Any]:
    """Choose the model that is used unless somebody chooses: the first of its purpose."""
    model = next(model for model in models if model.purpose == purpose)
    return {"name": model.name, "context_length": model.context_length}


def folders(models: Iterable[Model]) -> list[str]:
    """List the folders of the control machine that hold weights."""
    return [model.source["folder"] for model in models if "folder" in model.source]


def vllm_models(models: Iterable[Model], places: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Say what is served, and how, in the words of the role's `vllm_models`; `places` are options by a model's name."""
    return [
        {
            "name": model.name,
            "port": model.port,
            "runner": "generate" if model.purpose is Purpose.CHAT else "pooling",
            "source": dict(model.source),
            "config": {**_engine(model), **places.get(model.name, {}), **model.engine},
        }
        for model in models
    ]


def _engine(model: Model) -> dict[str, Any]:
    options: dict[str, Any] = {"max-model-len": model.context_length}
    if model.tools:
        options |= {"enable-auto-tool-choice": True, "tool-call-parser": model.tools}
    if model.reasoning:
        options["reasoning-parser"] = model.reasoning
    if model.sampling:
        options["override-generation-config"] = json.dumps(model.sampling)  # one JSON text, as on a command line
    return options


def litellm_models(models: Iterable[Model], address: str, api_key: str) -> list[dict[str, Any]]:
    """Say what the gateway offers, and how it reaches it, in the words of the role's `litellm_models`."""
    return [
        {
            "name": model.name,
            "model": f"hosted_vllm/{model.name}",
            "api_base": f"http://{address}:{model.port}/v1",
            "api_key": api_key,
            "mode": str(model.purpose),
            "input_cost_per_token": model.price / _PER_TOKEN,
            "output_cost_per_token": model.price / _PER_TOKEN,
            "info": _info(model),
            "extra_params": _extra_params(model),
        }
        for model in models
    ]


def _extra_params(model: Model) -> dict[str, Any]:
    if model.purpose is Purpose.EMBEDDING:
        return {"truncate_prompt_tokens": -1}  # what is longer than its context is cut; vLLM would answer with an error
    if model.purpose is Purpose.CHAT and not model.tools:
        return {"additional_drop_params": list(TOOL_PARAMETERS)}
    return {}


def _info(model: Model) -> dict[str, Any]:
    info: dict[str, Any] = {"max_input_tokens": model.context_length}
    if model.purpose is Purpose.CHAT:
        info |= {
            "supports_function_calling": model.tools is not None,
            "supports_reasoning": model.reasoning is not None,
            "supports_vision": model.pictures,
        }
    return info


def endpoints(models: Iterable[Model], address: str, upstreams: Sequence[str]) -> list[dict[str, Any]]:
    """Give every model one stable address, whichever of the hosts serves, in the words of `caddy_endpoints`."""
    return [
        {
            "name": model.name,
            "address": address,
            "port": model.port,
            "health_interval": HEALTH_SECONDS,
            "upstreams": [f"{upstream}:{model.port}" for upstream in upstreams],
        }
        for model in models
    ]


def open_ports(models: Iterable[Model], interface: str, origin: str) -> list[dict[str, Any]]:
    """Open every model's port to one network, in the words of `base_open_ports`."""
    return [{"protocol": "tcp", "port": model.port, "interface": interface, "sources": [origin]} for model in models]


def chat_models(models: Iterable[Model]) -> list[dict[str, Any]]:
    """Say what people can choose from, in the words of `open_webui_models`."""
    return [
        {"name": model.name, "tools": model.tools is not None, "pictures": model.pictures}
        for model in models
        if model.purpose is Purpose.CHAT
    ]


def librechat_models(models: Sequence[Model]) -> list[dict[str, Any]]:
    """Say what people can choose from, in the words of `librechat_models`."""
    chats = (model for model in models if model.purpose is Purpose.CHAT)
    return [
        {**words, "context": model.context_length, "reasoning": model.reasoning is not None}
        for words, model in zip(chat_models(models), chats, strict=True)
    ]
