"""How the models share the cards of a GPU host, and whether they fit, told before there is a host.

The first model computes on all cards, of all hosts where there are several; the others on the first card, each in the
smallest share of its memory that it fits into; the first model gets the rest. What an entry of the catalogue says in
`engine` wins, and is judged as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from parrotpark.cloud import Account, Offer
from parrotpark.cloud.account import named
from parrotpark.control import fit
from parrotpark.control.cards import CardError, Cards, cards_of
from parrotpark.control.fit import UTILIZATION, Batch, Card, Demand
from parrotpark.control.model_shape import Shape, UnknownModel, shape, total_size
from parrotpark.control.models import Model, Purpose

TENSOR_PARALLEL, SHARE = "tensor-parallel-size", "gpu-memory-utilization"
# Options with which memory is parted in a way that nobody reckons here
_BEYOND = (
    "cpu-offload-gb",
    "data-parallel-size",
    "kv-cache-memory-bytes",
    "num-gpu-blocks-override",
    "pipeline-parallel-size",
    "speculative-config",
)


@dataclass(frozen=True, slots=True)
class Place:
    """What one model gets."""

    model: Model
    hosts: int
    cards: int
    """On each host."""
    share: float | None
    """Part of each card's memory; None where nobody can tell, and vLLM takes its default."""
    shape: Shape | None
    """Of the part that one host computes."""
    unknown: str
    """Why there is no shape; empty if there is one."""

    @property
    def options(self) -> dict[str, Any]:
        """Return what `vllm serve` is told of it."""
        options: dict[str, Any] = {TENSOR_PARALLEL: self.cards} if self.cards > 1 else {}
        return options if self.share is None else {**options, SHARE: self.share}


def read_shape(model: Model) -> Shape:
    """Read the model's numbers where its weights lie, or where the inventory says that its `config.json` does.

    Raises:
        UnknownModel: the numbers are not on this machine, or do not tell.
    """
    place = model.source.get("folder") or model.config_folder
    if place is None:
        raise UnknownModel("its config.json is on the hub: put it into a folder, and name that as `config_folder`")
    folder = Path(place).expanduser()
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        index = folder / "model.safetensors.index.json"
        listed = total_size(json.loads(index.read_text(encoding="utf-8"))) if index.exists() else None
    except (OSError, ValueError) as error:
        raise error if isinstance(error, UnknownModel) else UnknownModel(f"{folder}: {error}") from None
    return shape(config, sum(file.stat().st_size for file in folder.glob("*.safetensors")) or listed)


def demand(model: Model, numbers: Shape, card: Card, hosts: int = 1) -> Demand:
    """Say what the model is to do, by its entry in the catalogue.

    Raises:
        UnknownModel: an option of its engine changes what cannot be reckoned.
    """
    engine = model.engine
    for option in _BEYOND:
        if option in engine:
            raise UnknownModel(f"with {option} its memory is split differently than we assume")
    online = engine.get("quantization") == "fp8" and numbers.quantization is None
    usual = fit.default_batch(card)
    return Demand(
        shape=numbers.quantized(8) if online else numbers,
        context=_number(engine, "max-model-len", model.context_length),
        fp8_cache=str(engine.get("kv-cache-dtype", "")).startswith("fp8"),
        dtype=str(engine.get("dtype", "auto")),
        pooling=model.purpose is not Purpose.CHAT,
        batch=Batch(
            _number(engine, "max-num-batched-tokens", usual.tokens), _number(engine, "max-num-seqs", usual.sequences)
        ),
        hosts=hosts,
    )


def place(models: Sequence[Model], machines: Sequence[Cards]) -> tuple[Place, ...]:
    """Part the cards, so that it is right on each of the machines: a golden image may boot on any of them.

    The shares are those that the smallest card asks for. Where there is no machine, nothing is parted.
    """
    if not machines:
        return ()
    first = next(model for model in models if model.purpose is Purpose.CHAT)
    count, hosts = min(machine.count for machine in machines), min(machine.hosts for machine in machines)
    places = [
        _alone(model, count, hosts, machines) if model is first else _alone(model, 1, 1, machines) for model in models
    ]
    others = [place.share for place in places if place.model is not first]
    rest = None if None in others else round(UTILIZATION - sum(filter(None, others)), 2)
    return tuple(
        replace(place, share=rest) if place.model is first and SHARE not in first.engine else place for place in places
    )


def _alone(model: Model, most: int, hosts: int, machines: Sequence[Cards]) -> Place:
    """Place a model that asks for no more than it needs."""
    cards, share = (_given(model, option) for option in (TENSOR_PARALLEL, SHARE))
    try:
        numbers = read_shape(model).stage(hosts)
        cards = int(cards or _dividing(numbers, most))
        needs = [(demand(model, numbers, machine.each, hosts), machine.each) for machine in machines]
    except UnknownModel as error:
        return Place(model, hosts, int(cards or most), share, None, str(error))
    if share is None:
        share = max(fit.share(need, card, cards) for need, card in needs)
    return Place(model, hosts, cards, share, numbers, "")


def _given(model: Model, option: str) -> float | None:
    """Return a number that the inventory gives; vLLM judges what is none."""
    value = model.engine.get(option)
    return value if isinstance(value, int | float) else None


def _dividing(numbers: Shape, most: int) -> int:
    """Return the largest number of cards that vLLM can share the heads by."""
    keys = numbers.key_value_heads
    return next(n for n in range(most, 0, -1) if numbers.heads % n == 0 and (keys % n == 0 or n % keys == 0))


def _number(engine: Mapping[str, Any], option: str, otherwise: int) -> int:
    try:
        return int(engine.get(option, otherwise))
    except (TypeError, ValueError):
        raise UnknownModel(f"its {option} is {engine[option]!r}: write a number") from None


# ---- The preflight ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run is told before anything is created."""

    problems: tuple[str, ...]
    """Each a line that says why it could not serve, and what would."""
    notes: tuple[str, ...]
    """Each a line that says what has not been checked, and why."""


def judge(
    models: Sequence[Model], offers: Sequence[Mapping[str, Any]], accounts: Sequence[Account], branch: int
) -> Judgement:
    """Judge the models on the cards of each offer, whose entries are as in the inventory.

    Raises:
        InvalidRequest: an offer names a cloud that there is not.
    """
    problems: list[str] = []
    notes: list[str] = []
    known: dict[Offer, Cards] = {}
    for entry in offers:
        offer = Offer(entry["cloud"], entry["location"], entry["server_type"])
        try:
            cards = cards_of(entry.get("gpu"), offer, named(accounts, offer.cloud))
        except CardError as error:
            problems.append(str(error))
            continue
        if cards is None:
            notes.append(f"{offer}: nobody knows its cards, so it is not checked whether the models fit: name its gpu")
        elif refusal := cards.refusal(branch):
            problems.append(f"{offer}: {refusal}")
        else:
            known[offer] = cards
    places = place(models, tuple(dict.fromkeys(known.values())))
    notes += [f"{place.model.name}: not checked whether it fits: {place.unknown}" for place in places if place.unknown]
    problems += [problem for offer, cards in known.items() for problem in _on(places, offer, cards)]
    return Judgement(tuple(problems), tuple(notes))


def machines_of(offers: Sequence[Mapping[str, Any]], accounts: Sequence[Account]) -> tuple[Cards, ...]:
    """List the kinds of machines that the offers are known to be, each once; raises `CardError` and as `judge`."""
    found = (
        cards_of(entry.get("gpu"), Offer(entry["cloud"], entry["location"], entry["server_type"]), account)
        for entry in offers
        for account in (named(accounts, entry["cloud"]),)
    )
    return tuple(dict.fromkeys(cards for cards in found if cards is not None))


def _on(places: Sequence[Place], offer: Offer, cards: Cards) -> Iterator[str]:
    where = f"{offer} ({cards})"
    taken = round(sum(UTILIZATION if place.share is None else place.share for place in places), 2)
    for place in places:
        if place.cards > cards.count:
            yield f"{place.model.name} on {where}: its {TENSOR_PARALLEL} is {place.cards}: write {cards.count} or less"
        elif place.shape is not None and place.share is not None:
            share = min(place.share, 1)  # a model that needs more than a card is told what would help
            asked = demand(place.model, place.shape, cards.each, place.hosts)
            verdict = fit.judge(asked, cards.each, place.cards, share)
            if not verdict.fits:
                yield f"{place.model.name} does not fit {where} in a share of {share}: {verdict.advice}"
    if taken > 1:
        names = ", ".join(place.model.name for place in places)
        worked_out = ", or a config_folder from which it is worked out" if None in [p.share for p in places] else ""
        yield f"{names} ask for {taken:.2f} of a card of {where}: give each {SHARE} in its engine, 1 in all{worked_out}"
