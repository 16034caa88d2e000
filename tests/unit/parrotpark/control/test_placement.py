"""Models share cards so that each fits, or a run says before it makes a server what does not and what would."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parrotpark.cloud import Account
from parrotpark.control import fit
from parrotpark.control.cards import Cards
from parrotpark.control.fit import UTILIZATION
from parrotpark.control.model_shape import shape
from parrotpark.control.models import Model, catalogue
from parrotpark.control.placement import Judgement, demand, judge, machines_of, place, read_shape

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SCALEWAY = Account("gpu", "scaleway", "/no", "https://api.scaleway.com")
QWEN3_8B = {
    **{"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32},
    **{"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "torch_dtype": "bfloat16"},
}
BGE_M3 = {
    **{"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16},
    **{"vocab_size": 250002, "torch_dtype": "float16", "model_type": "xlm-roberta"},
}
L4, L4X2, H100 = Cards("L4", 1), Cards("L4", 2), Cards("H100", 1)

type Write = Callable[..., str]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Writes a folder with a `config.json`, and with weights of so many bytes that take no room."""

    def write(config: dict[str, Any], weights: int = 0, index: int = 0) -> str:
        folder = tmp_path_factory.mktemp("model")
        (folder / "config.json").write_text(json.dumps(config))
        if weights:
            with (folder / "model.safetensors").open("wb") as file:
                file.truncate(weights)
        if index:
            (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": index}}))
        return str(folder)

    return write


def models(chat: str, embedding: str, **engine: Any) -> tuple[Model, ...]:
    return catalogue([
        {"source": chat, "purpose": "chat", "context_length": 4096, "name": "chat", "engine": engine},
        {"source": embedding, "purpose": "embedding", "context_length": 8192, "name": "vectors"},
    ])  # fmt: skip


def offers(*types: str, **more: Any) -> list[dict[str, Any]]:
    return [{"cloud": "gpu", "location": "fr-par-2", "server_type": name, **more} for name in types]


def options(found: tuple[Model, ...], *machines: Cards) -> dict[str, dict[str, Any]]:
    return {place.model.name: place.options for place in place(found, machines)}


def judged(found: tuple[Model, ...], *types: str, branch: int = 580) -> Judgement:
    return judge(found, offers(*types), [SCALEWAY], branch)


def test_the_embedding_model_gets_what_it_needs_and_the_first_model_the_rest(write: Write) -> None:
    given = options(models(write(QWEN3_8B), write(BGE_M3)), L4)
    share = given["vectors"]["gpu-memory-utilization"]
    assert 0.05 < share < 0.3
    assert given["chat"] == {"gpu-memory-utilization": pytest.approx(UTILIZATION - share)}


def test_two_cards_are_for_the_first_model(write: Write) -> None:
    given = options(models(write(QWEN3_8B), write(BGE_M3)), L4X2)
    assert given["chat"]["tensor-parallel-size"] == 2
    assert "tensor-parallel-size" not in given["vectors"]


def test_an_image_suits_each_machine_that_it_may_boot_on(write: Write) -> None:
    found = models(write(QWEN3_8B), write(BGE_M3))
    assert options(found, H100, L4X2, L4) == options(found, L4)
    assert options(found, H100)["vectors"] != options(found, L4)["vectors"]


def test_heads_that_three_cards_cannot_share_go_to_two(write: Write) -> None:
    given = options(models(write(QWEN3_8B), write(BGE_M3)), Cards("L4", 3))
    assert given["chat"]["tensor-parallel-size"] == 2


def test_what_the_inventory_says_wins_and_counts(write: Write) -> None:
    chat, vectors = write(QWEN3_8B), write(BGE_M3)
    found = models(chat, vectors, **{"gpu-memory-utilization": 0.5, "tensor-parallel-size": 1})
    assert options(found, L4X2)["chat"]["gpu-memory-utilization"] == 0.5
    assert "tensor-parallel-size" not in options(found, L4X2)["chat"]
    assert (
        judged(found, "L4-1-24G")
        .problems[0]
        .startswith("chat does not fit L4-1-24G in fr-par-2 at gpu (1 x L4) in a share of 0.5: its weights of 15.")
    )
    too_many = models(chat, vectors, **{"tensor-parallel-size": 4})
    assert judged(too_many, "L4-2-24G").problems == (
        "chat on L4-2-24G in fr-par-2 at gpu (2 x L4): its tensor-parallel-size is 4: write 2 or less",
    )


def test_what_fits_passes_and_what_does_not_is_told_what_would(write: Write) -> None:
    found = models(write(QWEN3_8B), write(BGE_M3))
    assert judged(found, "L4-1-24G", "L40S-1-48G") == Judgement((), ())
    (problem,) = judged(models(write(QWEN3_8B, weights=40 * fit.GIB), write(BGE_M3)), "H100-1-80G", "L4-1-24G").problems
    assert problem.startswith("chat does not fit L4-1-24G in fr-par-2 at gpu (1 x L4) in a share of 0.")
    assert "its weights of 40.0 GiB a card leave no room for a KV cache; this would fit: " in problem
    assert "\n" not in problem


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.sampled_from([L4, L4X2, H100, Cards("T4", 1)]), st.integers(1, 60), st.sampled_from([512, 8192, 32768]))
def test_no_more_than_a_card_is_given_away_where_nothing_is_refused(
    write: Write, machine: Cards, gib: int, context: int
) -> None:
    found = models(write(QWEN3_8B, weights=gib * fit.GIB), write(BGE_M3), **{"max-model-len": context})
    entry = offers("box", gpu={"card": machine.card, "count": machine.count})
    shares = [given["gpu-memory-utilization"] for given in options(found, machine).values()]
    if not judge(found, entry, [SCALEWAY], 580).problems:
        assert all(share > 0 for share in shares)
        assert sum(shares) == pytest.approx(UTILIZATION)


@pytest.mark.parametrize(("options_", "fp8", "quantization", "context"), [
    ({}, False, None, 4096),
    ({"kv-cache-dtype": "fp8_e4m3"}, True, None, 4096),
    ({"quantization": "fp8", "max-model-len": 2048}, False, "fp8", 2048),
])  # fmt: skip
def test_the_engine_of_an_entry_is_reckoned_with(
    write: Write, options_: dict[str, Any], fp8: bool, quantization: str | None, context: int
) -> None:
    model, _ = models(write(QWEN3_8B), "/no", **options_, **{"max-num-seqs": 7})
    asked = demand(model, read_shape(model), L4.each)
    assert (asked.fp8_cache, asked.shape.quantization, asked.context) == (fp8, quantization, context)
    assert asked.batch == fit.Batch(fit.default_batch(L4.each).tokens, 7)
    assert not asked.pooling


def test_the_weights_are_those_that_lie_there_or_are_listed(write: Write) -> None:
    sizes = [read_shape(models(write(QWEN3_8B, *given), "/no")[0]).weights for given in ((), (7, 5), (0, 5))]
    assert sizes[1:] == [7, 5]
    assert sizes[0] == pytest.approx(16.4e9, rel=0.02)


def test_a_model_of_the_hub_is_checked_by_a_copy_of_its_config(write: Write) -> None:
    entry = {"source": f"Qwen/Qwen3-8B@{COMMIT}", "purpose": "chat", "context_length": 4096}
    vectors = {"source": write(BGE_M3), "purpose": "embedding", "context_length": 8192, "name": "vectors"}
    assert judged(catalogue([entry, vectors]), "L4-1-24G") == Judgement(
        (),
        (
            "qwen3-8b: not checked whether it fits: its config.json is on the hub: put it into a folder, and name that "
            "as `config_folder`",
        ),
    )
    assert judged(catalogue([{**entry, "config_folder": write(QWEN3_8B)}, vectors]), "L4-1-24G") == Judgement((), ())
    (problem,) = judged(catalogue([{**entry, "config_folder": write(QWEN3_8B)}, vectors]), "RENDER-S").problems
    assert "P100 is of generation Pascal" in problem


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        ({"cpu-offload-gb": 10}, "with cpu-offload-gb its memory is split differently than we assume"),
        ({"max-model-len": "auto"}, "its max-model-len is 'auto': write a number"),
    ],
)
def test_what_is_not_reckoned_is_said(write: Write, engine: dict[str, Any], why: str) -> None:
    found = models(write(QWEN3_8B), write(BGE_M3), **engine)
    assert judged(found, "L4-1-24G") == Judgement((), (f"chat: not checked whether it fits: {why}",))


def test_models_whose_size_nobody_knows_must_be_told_their_shares() -> None:
    unknown = models("/nowhere", "/nowhere")
    assert options(unknown, L4) == {"chat": {}, "vectors": {}}
    found = judged(unknown, "L4-1-24G")
    assert found.problems == (
        "chat, vectors ask for 1.84 of a card of L4-1-24G in fr-par-2 at gpu (1 x L4): give each "
        "gpu-memory-utilization in its engine, 1 in all, or a config_folder from which it is worked out",
    )
    assert len(found.notes) == 2
    assert "/nowhere" in found.notes[0]


def test_cards_that_nobody_knows_are_said_not_to_be_checked(write: Write) -> None:
    found = models(write(QWEN3_8B, weights=400 * fit.GIB), write(BGE_M3))
    assert judged(found, "X9-1-96G") == Judgement(
        (),
        (
            "X9-1-96G in fr-par-2 at gpu: nobody knows its cards, so it is not checked whether the models fit: "
            "name its gpu",
        ),
    )
    assert options(found) == {}


def test_several_hosts_share_the_first_model_alone(write: Write) -> None:
    """Qwen3-32B, 64 GB: its half fits a card of 48 GB, where the whole would need two."""
    config = {
        **{"hidden_size": 5120, "intermediate_size": 25600, "num_hidden_layers": 64, "num_attention_heads": 64},
        **{"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "torch_dtype": "bfloat16"},
    }
    found = models(write(config), write(BGE_M3))
    box = {"name": "attic", "slot": "gpu-1", "helpers": [{"name": "shed"}]}
    offer = {"cloud": "home", "location": "attic", "server_type": "static", "gpu": {"card": "L40S"}}
    home, alone = (
        Account.of({"name": "home", "provider": "static", "hosts": [box | {"helpers": helpers}]})
        for helpers in (box["helpers"], [])
    )
    assert machines_of([offer], [home]) == (Cards("L40S", 1, hosts=2),)
    assert judge(found, [offer], [home], 580) == Judgement((), ())
    (problem,) = judge(found, [offer], [alone], 580).problems
    assert problem.startswith("chat does not fit static in attic at home (1 x L40S) in a share of ")
    # Where a host of another offer is alone, it must fit that.
    assert judge(found, [offer, *offers("L4-1-24G")], [home, SCALEWAY], 580).problems
    vectors = [place(found, [Cards("L40S", 1, hosts=hosts)])[1] for hosts in (1, 2)]
    assert vectors[0] == vectors[1]


@given(st.integers(2, 8), st.integers(8, 100))
def test_the_largest_part_of_a_model_has_the_layers_that_are_left_over(hosts: int, layers: int) -> None:
    numbers = shape({**QWEN3_8B, "num_hidden_layers": layers})
    part = numbers.stage(hosts)
    assert part.full == ceil(numbers.full / hosts)
    of_layers = (numbers.weights - numbers.embeddings) / layers
    assert part.weights >= of_layers * part.full + numbers.embeddings / 2  # the other half is the head


def test_each_kind_of_machine_is_listed_once() -> None:
    listed = machines_of(offers("L4-1-24G", "X9", "L4-2-24G", "L4-1-24G"), [SCALEWAY])
    assert listed == (L4, L4X2)


def test_a_wrong_branch_is_told_before_the_models(write: Write) -> None:
    found = models(write(QWEN3_8B, weights=400 * fit.GIB), write(BGE_M3))
    (problem,) = judged(found, "L4-1-24G", branch=550).problems
    assert problem.endswith("needs driver branch 580 or newer, not 550: set parrotpark_nvidia_branch: 580")


def test_the_folder_may_be_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(QWEN3_8B))
    entry = {"source": f"a/b@{COMMIT}", "purpose": "chat", "context_length": 8, "config_folder": "~"}
    vectors = {"source": "/no", "purpose": "embedding", "context_length": 8}
    assert read_shape(catalogue([entry, vectors])[0]).heads == 32
