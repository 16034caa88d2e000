"""A model that is said to fit does, as far as others have told; and what is advised where it does not would help."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parrotpark.control.fit import (
    GIB,
    Batch,
    Card,
    Demand,
    cache_bytes,
    default_batch,
    judge,
    overhead_bytes,
    share,
)
from parrotpark.control.model_shape import Shape, UnknownModel, shape, total_size

# ---- Models: of each config.json, what is read ------------------------------------------------------------------


def config(hidden: int, wide: int, layers: int, heads: int, key_value_heads: int, words: int, **more: Any) -> Any:
    return {
        "hidden_size": hidden,
        "intermediate_size": wide,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "vocab_size": words,
        "torch_dtype": "bfloat16",
        **more,
    }


FP8: dict[str, Any] = {"quantization_config": {"quant_method": "fp8"}}
AWQ: dict[str, Any] = {
    "torch_dtype": "float16",
    "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128},
}
GPTQ: dict[str, Any] = {
    "torch_dtype": "float16",
    "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128},
}

LLAMA_8B = config(4096, 14336, 32, 32, 8, 128256)
LLAMA_405B = config(16384, 53248, 126, 128, 8, 128256, quantization_config={"quant_method": "fbgemm_fp8"})
MISTRAL_7B = config(4096, 14336, 32, 32, 8, 32000, sliding_window=4096)
MIXTRAL = config(4096, 14336, 32, 32, 8, 32000, num_local_experts=8, num_experts_per_tok=2)
QWEN15_7B = config(4096, 11008, 32, 32, 32, 151936, sliding_window=32768, use_sliding_window=False)
QWEN25_14B = config(5120, 13824, 48, 40, 8, 152064)
QWEN25_32B = config(5120, 27648, 64, 40, 8, 152064)
QWEN3_06B = config(1024, 3072, 28, 16, 8, 151936, head_dim=128, tie_word_embeddings=True)
_MOE: dict[str, Any] = {"head_dim": 128, "num_experts_per_tok": 8}
QWEN3_30B = config(2048, 6144, 48, 32, 4, 151936, num_experts=128, moe_intermediate_size=768, **_MOE)
QWEN3_235B = config(4096, 12288, 94, 64, 4, 151936, num_experts=128, moe_intermediate_size=1536, **_MOE)
QWEN3_480B = config(6144, 8192, 62, 96, 8, 151936, num_experts=160, moe_intermediate_size=2560, **_MOE)
DEEPSEEK_R1 = {
    **config(7168, 18432, 61, 128, 128, 129280, first_k_dense_replace=3, num_experts_per_tok=8, n_shared_experts=1),
    **{"q_lora_rank": 1536, "kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128},
    **{"n_routed_experts": 256, "moe_intermediate_size": 2048},
    **FP8,
}
GPT_OSS_120B = {
    **config(2880, 2880, 36, 64, 8, 201088, head_dim=64, num_local_experts=128, num_experts_per_tok=4),
    "quantization_config": {"quant_method": "mxfp4"},
    "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
}
BGE_M3 = {**config(1024, 4096, 24, 16, 16, 250002), "model_type": "xlm-roberta", "torch_dtype": "float32"}

# ---- Cards: GiB as CUDA counts them -----------------------------------------------------------------------------

T4 = Card(14.58, (7, 5))
RTX_2080_TI = Card(10.73, (7, 5))
RTX_3090 = Card(23.58, (8, 6))
RTX_4090 = Card(23.55, (8, 9))
RTX_5090 = Card(31.3, (12, 0))
L4 = Card(22.0, (8, 9))
A100 = Card(79.2, (8, 0))
H100 = Card(79.18, (9, 0))
H200 = Card(139.8, (9, 0))

# ---- What others have told --------------------------------------------------------------------------------------

VLLM = "https://github.com/vllm-project/vllm"


@dataclass(frozen=True)
class Case:
    """Somebody started a model, and it fitted or it did not."""

    source: str
    said: str
    demand: Demand
    card: Card
    fits: bool
    cards: int = 1
    utilization: float = 0.9  # vLLM's default of those days


PUBLISHED = {
    "llama-8b on a 3090": Case(
        f"{VLLM}/issues/10517",
        "Llama-3.1-8B-Instruct on an RTX 3090 with 23.58 GiB at 0.90: max-model-len 20000 is fine",
        Demand(shape(LLAMA_8B), 20000),
        RTX_3090,
        fits=True,
    ),
    "llama-8b on a 3090, longer": Case(
        f"{VLLM}/issues/10517",
        "the same with 35000, which vLLM of then read in parts, as it does today: fine",
        Demand(shape(LLAMA_8B), 35000),
        RTX_3090,
        fits=True,
    ),
    "llama-8b on an L4": Case(
        f"{VLLM}/issues/6689",
        "Llama-3.1-8B-Instruct on one L4 with max-model-len 1024 works",
        Demand(shape(LLAMA_8B), 1024),
        L4,
        fits=True,
    ),
    "llama-8b on an L4, its full length": Case(
        f"{VLLM}/issues/6689",
        "asked why so short: without it, the max seq len was larger than what the KV cache could hold",
        Demand(shape(LLAMA_8B), 131072),
        L4,
        fits=False,
    ),
    "llama-3-8b on 80 GB": Case(
        f"{VLLM}/pull/10511",
        "Meta-Llama-3-8B on 79.22 GiB: 14.96 GiB of weights, 53.29 GiB for the KV cache",
        Demand(shape(LLAMA_8B), 8192, people=50),
        Card(79.22, (9, 0)),
        fits=True,
    ),
    "llama-405b on eight A100": Case(
        f"{VLLM}/issues/6689",
        "Llama-3.1-405B-Instruct-FP8 on eight A100-80GB with max-model-len 4096 works well; "
        f"{VLLM}/issues/6746: its weights take 57.752 GiB on each of eight cards",
        Demand(shape(LLAMA_405B, weights=round(8 * 57.752 * GIB)), 4096),
        A100,
        fits=True,
        cards=8,
    ),
    "qwen3-0.6b on an A100": Case(
        f"{VLLM}/pull/24577",
        "Qwen3-0.6B on an A100: 69.66 GiB for the KV cache, 159.21 people with 4096 tokens each",
        Demand(shape(QWEN3_06B), 4096, people=150),
        A100,
        fits=True,
    ),
    "qwen3-235b on four H100": Case(
        f"{VLLM}/issues/21348",
        "Qwen3-235B-A22B-FP8 on four H100: 8.11 GiB a card for the KV cache, 178,880 tokens",
        Demand(shape({**QWEN3_235B, **FP8}), 40960),
        H100,
        fits=True,
        cards=4,
    ),
    "deepseek-r1 on eight H200": Case(
        "https://github.com/deepseek-ai/DeepSeek-R1/issues/507",
        "DeepSeek-R1 on eight H200 at 0.8 with max-model-len 131072 and batches of 65536 tokens serves",
        Demand(shape(DEEPSEEK_R1), 131072, batch=Batch(65536, 1024)),
        H200,
        fits=True,
        cards=8,
        utilization=0.8,
    ),
    "qwen-14b on two 4090": Case(
        f"{VLLM}/issues/13061",
        "DeepSeek-R1-Distill-Qwen-14B on two RTX 4090 at 0.98: 131072 is more than the 81536 tokens that it can keep",
        Demand(shape(QWEN25_14B), 131072),
        RTX_4090,
        fits=False,
        cards=2,
        utilization=0.98,
    ),
    "qwen1.5-7b in 4 bits on a 3090": Case(
        "https://github.com/QwenLM/Qwen3/issues/16",
        "Qwen1.5-7B-Chat-GPTQ-Int4 on an RTX 3090: 32768 is more than the 24320 tokens that it can keep",
        Demand(shape({**QWEN15_7B, **GPTQ}), 32768),
        RTX_3090,
        fits=False,
    ),
    "mistral-7b on a 2080 Ti": Case(
        f"{VLLM}/issues/188",
        "Mistral-7B-v0.1 in half precision on an RTX 2080 Ti with 10.73 GiB: out of memory, whatever the share",
        Demand(shape(MISTRAL_7B), 4096, dtype="float16"),
        RTX_2080_TI,
        fits=False,
        utilization=0.8,
    ),
    "mistral-7b in 4 bits on a 2080 Ti": Case(
        f"{VLLM}/issues/188",
        "Mistral-7B-OpenOrca-AWQ there at 0.7 with 4096 tokens works",
        Demand(shape({**MISTRAL_7B, **AWQ}), 4096, dtype="float16"),
        RTX_2080_TI,
        fits=True,
        utilization=0.7,
    ),
    "mistral-7b in bfloat16 on a T4": Case(
        f"{VLLM}/issues/1400",
        "Mistral-7B-Instruct-v0.1-AWQ with dtype bfloat16 on a T4: refused, as it needs compute capability 8.0",
        Demand(shape({**MISTRAL_7B, **AWQ}), 4096, dtype="bfloat16"),
        T4,
        fits=False,
        utilization=0.5,
    ),
    "mixtral in 4 bits on half of two A100": Case(
        f"{VLLM}/issues/2382",
        "Mixtral-8x7B-Instruct-v0.1-AWQ on two A100 80GB at 0.5 fits fine, with 6487 blocks of 16 tokens",
        Demand(shape({**MIXTRAL, **AWQ}), 32768),
        A100,
        fits=True,
        cards=2,
        utilization=0.5,
    ),
    "qwen2.5-32b in fp8 on two 4090": Case(
        "https://github.com/LMCache/LMCache/issues/1241",
        "Qwen2.5-32B in fp8 on two RTX 4090: max-model-len 18144 fills the KV cache",
        Demand(shape({**QWEN25_32B, **FP8}), 18144),
        RTX_4090,
        fits=True,
        cards=2,
    ),
    "qwen3-30b in fp8 on two 4090": Case(
        "https://github.com/LMCache/LMCache/issues/1241",
        "Qwen3-30B in fp8 there: max-model-len 32000, room for 87,584 tokens",
        Demand(shape({**QWEN3_30B, **FP8}), 32000, people=2),
        RTX_4090,
        fits=True,
        cards=2,
    ),
    "qwen3-coder-30b in fp8 on a 5090": Case(
        f"{VLLM}/issues/41695",
        "Qwen3-Coder-30B-A3B-Instruct-FP8 on an RTX 5090 at 0.95 with 16384 tokens: out of memory, or no blocks",
        Demand(shape({**QWEN3_30B, **FP8}), 16384),
        RTX_5090,
        fits=False,
        utilization=0.95,
    ),
    "gpt-oss-120b on an H100": Case(
        f"{VLLM}/issues/23278",
        "gpt-oss-120b on one H100: 65.97 GiB of weights, and 2.14 GiB less than nothing for the KV cache",
        Demand(shape(GPT_OSS_120B), 131072),
        H100,
        fits=False,
    ),
    "gpt-oss-120b on an H100, in small batches": Case(
        f"{VLLM}/issues/27508",
        "the same at 0.95 with batches of 1024 tokens: 1.71 GiB are left for the KV cache, too little",
        Demand(shape(GPT_OSS_120B), 131072, batch=Batch(1024, 1024)),
        H100,
        fits=False,
        utilization=0.95,
    ),
}


@pytest.mark.parametrize("case", PUBLISHED.values(), ids=PUBLISHED)
def test_we_say_what_others_saw(case: Case) -> None:
    verdict = judge(case.demand, case.card, case.cards, case.utilization)
    assert verdict.fits is case.fits, f"{case.source}: {case.said}; we: {verdict}"
    assert (verdict.advice == "") is case.fits
    assert "\n" not in verdict.advice


@pytest.mark.parametrize(
    ("source", "model", "cards", "gib"),
    [
        (f"{VLLM}/pull/10511", shape(LLAMA_8B), 1, 14.96),
        (f"{VLLM}/pull/10511", shape(LLAMA_8B), 2, 7.48),
        (f"{VLLM}/pull/24577", shape(QWEN3_06B), 1, 1.1201),
        (f"{VLLM}/issues/13061", shape(QWEN25_14B), 2, 13.9476),
    ],
)
def test_weights_take_what_vllm_logged(source: str, model: Shape, cards: int, gib: float) -> None:
    weights = judge(Demand(model, 1024), H200, cards).weights
    assert weights / GIB == pytest.approx(gib, rel=0.02), source


@pytest.mark.parametrize(
    ("source", "demand", "cards", "gib"),
    [
        ("https://github.com/vllm-project/recipes/pull/12", Demand(shape({**QWEN3_480B, **FP8}), 262144), 1, 62.00),
        (f"{VLLM}/issues/34076", Demand(shape({**QWEN3_30B, **FP8}), 262144), 1, 24.0),
        # Logged the other way round: so much room, so many tokens.
        (f"{VLLM}/pull/24577", Demand(shape(QWEN3_06B), 652144), 1, 69.66),
        (f"{VLLM}/issues/21348", Demand(shape({**QWEN3_235B, **FP8}), 178880), 4, 8.11),
    ],
)
def test_the_cache_takes_what_vllm_logged(source: str, demand: Demand, cards: int, gib: float) -> None:
    needed = cache_bytes(demand, demand.context, cards, Batch(2048, 256))
    assert needed / GIB == pytest.approx(gib, rel=0.012), source


@pytest.mark.parametrize(
    ("source", "model", "card", "gib"),
    [
        (f"{VLLM}/pull/10511", shape(LLAMA_8B), Card(79.22, (9, 0)), 1.79 + 1.26),
        (f"{VLLM}/issues/10517", shape(LLAMA_8B), RTX_3090, 0.35 + 0.06),
        (f"{VLLM}/pull/24577", shape(QWEN3_06B), A100, 79.2 * 0.9 - 1.12 - 69.66),
        # Beside the weights as they lie in its files.
        (f"{VLLM}/issues/23278", shape(GPT_OSS_120B), H100, 79.18 * 0.9 - 60.7 + 2.14),
    ],
)
def test_what_else_vllm_takes_is_not_estimated_too_low_nor_two_gib_too_high(
    source: str, model: Shape, card: Card, gib: float
) -> None:
    estimate = overhead_bytes(Demand(model, 8192), 1, default_batch(card)) / GIB
    assert gib <= estimate < gib + 2, source


# ---- What is advised --------------------------------------------------------------------------------------------


def words(demand: Demand, card: Card, cards: int = 1) -> list[str]:
    return [remedy.words for remedy in judge(demand, card, cards).remedies]


def test_the_advice_names_what_would_fit() -> None:
    verdict = judge(Demand(shape(LLAMA_8B), 131072), L4)
    assert verdict.problem.startswith("it needs 16.0 GiB of KV cache a card, and ")
    assert [remedy.words for remedy in verdict.remedies] == [
        "a context of 28672 tokens",
        "2 such cards",
        "a card with 48 GiB",
    ]
    assert verdict.advice == (
        f"{verdict.problem}; this would fit: a context of 28672 tokens, 2 such cards or a card with 48 GiB"
    )


def test_fewer_people_are_advised_where_one_alone_fits() -> None:
    assert "5 people at once" in words(Demand(shape(LLAMA_8B), 8192, people=8), RTX_3090)
    assert "one person at a time" in words(Demand(shape(LLAMA_8B), 32768, people=2), RTX_3090)


def test_a_smaller_cache_is_advised_only_where_the_card_has_fp8() -> None:
    demand = Demand(shape(LLAMA_8B), 8192, people=6)
    assert "a KV cache in fp8" in words(demand, RTX_4090)
    assert "a KV cache in fp8" not in words(demand, RTX_3090)
    # What is latent has its own kinds of fp8, which not every card serves.
    assert "a KV cache in fp8" not in words(Demand(shape(DEEPSEEK_R1), 131072, people=6), H200, 8)


def test_a_quantized_model_is_advised_unless_it_is_one() -> None:
    assert words(Demand(shape(QWEN25_14B), 8192), L4)[:2] == ["the model in fp8", "the model in 4 bits"]
    assert "4 such cards" in words(Demand(shape(QWEN25_32B), 8192), L4)  # two are not enough
    assert words(Demand(shape({**QWEN25_32B, **FP8}), 8192), L4) == ["2 such cards", "a card with 48 GiB"]


def test_where_nothing_helps_a_smaller_model_is_advised() -> None:
    verdict = judge(Demand(shape(DEEPSEEK_R1), 8192), T4)
    assert verdict.remedies == ()
    assert verdict.advice.endswith("no single change helps: take a smaller model")


def test_what_vllm_refuses_whatever_the_memory() -> None:
    small = shape(QWEN3_06B)
    assert judge(Demand(small, 4096), Card(16, (7, 0))).problem.endswith("too old for CUDA 13: 7.5 is needed")
    assert judge(Demand(small, 4096, fp8_cache=True), A100).problem.endswith("has no fp8 for the KV cache")
    assert [remedy.words for remedy in judge(Demand(small, 4096, fp8_cache=True), A100).remedies] == [
        "a KV cache of 16 bits"
    ]
    assert judge(Demand(small, 4096, dtype="bfloat16"), T4).problem.endswith("has no bfloat16")
    assert words(Demand(small, 4096, dtype="bfloat16"), T4) == ["dtype float16"]
    assert judge(Demand(small, 4096), T4).fits
    assert judge(Demand(small, 4096, dtype="bfloat16"), A100).fits
    assert judge(Demand(small, 4096, fp8_cache=True), L4).fits
    assert judge(Demand(small, 4096), A100, 3).problem == "its 16 heads cannot be shared by 3 cards"
    mxfp4 = replace(small, quantization="mxfp4")
    assert judge(Demand(mxfp4, 4096), T4).problem.endswith("cannot unpack mxfp4")
    assert judge(Demand(mxfp4, 4096), A100).fits


@pytest.mark.parametrize(
    ("card", "batch"),
    [
        (L4, Batch(2048, 256)),
        (A100, Batch(2048, 256)),
        (Card(70, (9, 0)), Batch(8192, 1024)),
        (H200, Batch(8192, 1024)),
        (Card(160, (10, 0)), Batch(16384, 1024)),
    ],
)
def test_the_batch_is_vllms_own(card: Card, batch: Batch) -> None:
    assert default_batch(card) == batch


def test_a_token_costs_more_where_it_goes_to_several_experts() -> None:
    small, large = Batch(1000, 256), Batch(2000, 256)

    def per_token(model: Shape, cards: int) -> float:
        demand = Demand(model, 4096)
        return (overhead_bytes(demand, cards, large) - overhead_bytes(demand, cards, small)) / 1000

    one, two = (overhead_bytes(Demand(shape(QWEN3_06B), 4096), number, small) for number in (1, 2))
    assert one < two  # more cards have to talk to each other
    assert per_token(shape(LLAMA_8B), 1) == 2 * (4 * 4096 + 3 * 14336)
    assert per_token(shape(LLAMA_8B), 2) == 2 * (4 * 4096 + 3 * 14336 / 2)
    assert per_token(shape(QWEN3_30B), 1) == 2 * (4 * 2048 + 3 * 8 * 768 + 2 * 8 * 2048)


def test_texts_of_usual_length_take_less_than_the_longest() -> None:
    all_long = Demand(shape(LLAMA_8B), 16384, people=4)
    assert not judge(all_long, RTX_3090).fits
    assert judge(replace(all_long, typical=2048), RTX_3090).fits


# ---- Several models on one card ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("card", "number"), [(RTX_3090, 1), (L4, 2)])
def test_a_share_is_the_smallest_that_holds_a_model(card: Card, number: int) -> None:
    embedding = Demand(shape(BGE_M3), 8192, pooling=True)
    smallest = share(embedding, card, number)
    assert judge(embedding, card, number, smallest).fits
    assert not judge(embedding, card, number, smallest - 0.01).fits


def test_what_needs_more_than_a_card_asks_for_more_than_one() -> None:
    assert share(Demand(shape(MIXTRAL), 4096), L4) > 1


# ---- Rules ------------------------------------------------------------------------------------------------------

shapes = st.sampled_from([*(case.demand.shape for case in PUBLISHED.values()), shape(BGE_M3)])
batches = st.builds(Batch, st.integers(512, 16384), st.integers(16, 1024))
cards = st.builds(Card, st.floats(8, 300), st.sampled_from([(7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (12, 0)]))
demands = st.builds(
    Demand,
    shapes,
    st.integers(1, 300_000),
    people=st.integers(1, 200),
    typical=st.none() | st.integers(1, 300_000),
    fp8_cache=st.booleans(),
    dtype=st.sampled_from(["auto", "float16", "bfloat16"]),
    pooling=st.booleans(),
    batch=batches,
)
numbers = st.sampled_from([1, 2, 4, 8])


@given(demands, cards, numbers, st.floats(0, 100))
def test_more_memory_never_stops_fitting(demand: Demand, card: Card, number: int, more: float) -> None:
    if judge(demand, card, number).fits:
        assert judge(demand, replace(card, memory=card.memory + more), number).fits


@given(demands, cards, numbers, st.integers(0, 100_000), st.integers(0, 50))
def test_longer_texts_and_more_people_never_start_fitting(
    demand: Demand, card: Card, number: int, longer: int, more: int
) -> None:
    larger = replace(demand, context=demand.context + longer, people=demand.people + more)
    if judge(larger, card, number).fits:
        assert judge(demand, card, number).fits


@given(shapes, numbers, batches, st.integers(1, 20_000), st.integers(1, 10))
def test_the_cache_grows_with_the_tokens_in_proportion(
    model: Shape, number: int, batch: Batch, blocks: int, factor: int
) -> None:
    demand = Demand(replace(model, full=model.full + model.sliding, sliding=0), 1, batch=batch)
    once = cache_bytes(demand, 16 * blocks, number, batch)
    assert cache_bytes(demand, 16 * blocks * factor, number, batch) == once * factor
    assert once == judge(demand, H200, number).per_token * 16 * blocks


@given(demands, cards, numbers)
def test_every_remedy_is_one(demand: Demand, card: Card, number: int) -> None:
    for remedy in judge(demand, card, number).remedies:
        assert judge(remedy.demand, remedy.card, remedy.cards).fits


@given(demands, numbers, batches)
def test_a_cache_in_fp8_takes_half(demand: Demand, number: int, batch: Batch) -> None:
    halves, whole = (
        cache_bytes(replace(demand, fp8_cache=fp8), demand.context, number, batch) for fp8 in (True, False)
    )
    assert 2 * halves == whole


# ---- Reading a config.json --------------------------------------------------------------------------------------


def test_layers_with_a_window_keep_no_more_than_that_and_a_batch() -> None:
    gemma = shape(config(5376, 21504, 62, 32, 16, 262208, head_dim=128, sliding_window=1024, sliding_window_pattern=6))
    assert (gemma.full, gemma.sliding) == (10, 52)
    demand, batch = Demand(gemma, 131072), Batch(2048, 256)
    layer = 2 * 16 * 128 * 2  # bytes per token
    # 52 of them count as 60, as they share their blocks with 10 others.
    assert cache_bytes(demand, 131072, 1, batch) == layer * (10 * 131072 + 60 * (3072 + 16))
    assert cache_bytes(demand, 512, 1, batch) == layer * (10 * 512 + 60 * (512 + 16))
    # Kinds of nearly the same number are all filled up to the larger.
    even = Demand(replace(gemma, full=8, sliding=9), 512)
    assert cache_bytes(even, 512, 1, batch) == layer * (9 * 512 + 9 * (512 + 16))
    half_as_many_again = Demand(replace(gemma, full=8, sliding=12), 512)
    assert cache_bytes(half_as_many_again, 512, 1, batch) == layer * (8 * 512 + 16 * (512 + 16))


def test_kinds_of_layers_may_be_listed_one_by_one() -> None:
    oss = shape(GPT_OSS_120B)
    assert (oss.full, oss.sliding, oss.window) == (18, 18, 128)


def test_linear_attention_keeps_a_state_of_one_size() -> None:
    hybrid = shape(
        {
            **config(2048, 5120, 48, 16, 2, 151936, full_attention_interval=4, head_dim=256),
            **{"linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_conv_kernel_dim": 4},
            **{"linear_key_head_dim": 128, "linear_value_head_dim": 128},
        }
    )
    assert (hybrid.full, hybrid.linear) == (12, 36)
    assert hybrid.state == 3 * (2 * 2048 + 4096) * 2 + 32 * 128 * 128 * 4
    demand, batch = Demand(hybrid, 4096), Batch(2048, 256)
    assert cache_bytes(demand, 4096, 1, batch) == 12 * 4096 * 2 * 2 * 256 * 2 + 2 * 36 * hybrid.state
    assert cache_bytes(demand, 4096, 2, batch) * 2 == cache_bytes(demand, 4096, 1, batch)


def test_heads_are_shared_out_until_each_card_has_one_and_what_is_latent_never() -> None:
    batch = Batch(2048, 256)
    plain = [cache_bytes(Demand(shape(QWEN3_235B), 1), 16, number, batch) for number in (1, 2, 4, 8)]
    assert [plain[0] // size for size in plain] == [1, 2, 4, 4]
    latent = {cache_bytes(Demand(shape(DEEPSEEK_R1), 1), 16, number, batch) for number in (1, 8)}
    assert latent == {16 * 61 * (512 + 64) * 2}


def test_an_encoder_keeps_nothing() -> None:
    assert judge(Demand(shape(BGE_M3), 8192, people=100, pooling=True), T4).needed == 0


@pytest.mark.parametrize(
    ("model", "billions"),
    [
        (LLAMA_8B, 8.03),
        (MISTRAL_7B, 7.24),
        (MIXTRAL, 46.7),
        (QWEN25_32B, 32.8),
        (QWEN3_30B, 30.5),
        (QWEN3_235B, 235.1),
        (QWEN3_480B, 480),
        ({**GPT_OSS_120B, "quantization_config": {}}, 116.8),
        ({**DEEPSEEK_R1, "quantization_config": {}}, 671),
        (BGE_M3, 0.568),
    ],
)
def test_weights_are_counted_as_their_makers_do(model: dict[str, Any], billions: float) -> None:
    assert shape(model).weights / 2 / 1e9 == pytest.approx(billions, rel=0.02)


@pytest.mark.parametrize(
    ("quantization", "bits"),
    [
        ({"quant_method": "fp8"}, 8),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 8),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 4 + 20 / 128),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": {"num_bits": 8}}}}, 8.125),
    ],
)
def test_quantization_takes_its_bits_from_all_but_the_embeddings(quantization: dict[str, Any], bits: float) -> None:
    plain, small = shape(LLAMA_8B), shape({**LLAMA_8B, "quantization_config": quantization})
    assert small.weights == pytest.approx(plain.embeddings + (plain.weights - plain.embeddings) * bits / 16, rel=1e-6)


def test_each_matrix_of_latent_attention_and_each_expert_counts() -> None:
    plain = {**DEEPSEEK_R1, "quantization_config": {}}

    def layer(model: dict[str, Any]) -> int:
        return (shape({**model, "num_hidden_layers": 62}).weights - shape(model).weights) // 2

    experts = (256 + 1) * 3 * 7168 * 2048
    rest = 7168 * (512 + 64) + 512 * 128 * (128 + 128) + 128 * 128 * 7168
    assert layer(plain) == experts + rest + 7168 * 1536 + 1536 * 128 * (128 + 64)
    assert layer({**plain, "q_lora_rank": None}) == experts + rest + 7168 * 128 * (128 + 64)
    dense = shape({**plain, "first_k_dense_replace": 4}).weights - shape(plain).weights
    assert dense == 2 * (3 * 7168 * 18432 - experts)


def test_a_quantized_model_keeps_its_embeddings() -> None:
    plain = shape(LLAMA_8B)
    for bits, method in ((8, "fp8"), (4, "awq")):
        small = plain.quantized(bits)
        assert small.quantization == method
        assert (small.weights - plain.embeddings) * 16 == (plain.weights - plain.embeddings) * bits


def test_a_window_that_is_not_used_is_none() -> None:
    assert (shape(QWEN15_7B).full, shape(QWEN15_7B).sliding) == (32, 0)
    assert (shape(MISTRAL_7B).full, shape(MISTRAL_7B).sliding) == (0, 32)


def test_mxfp4_is_of_the_experts_alone() -> None:
    model = {**QWEN3_30B, "quantization_config": {"quant_method": "mxfp4"}}
    experts = 48 * 128 * 3 * 2048 * 768 * 2
    assert shape(QWEN3_30B).weights - shape(model).weights == experts - experts * 4.25 / 16


def test_a_known_size_counts_and_float32_is_halved() -> None:
    assert shape(LLAMA_8B, weights=123).weights == 123
    assert shape(BGE_M3, weights=2_000).weights == 1_000
    assert total_size({"metadata": {"total_size": 16060522496}, "weight_map": {}}) == 16060522496


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({**LLAMA_8B, "num_hidden_layers": None}, "names no num_hidden_layers"),
        ({**LLAMA_8B, "num_hidden_layers": 0}, "names no num_hidden_layers"),
        ({**LLAMA_8B, "ssm_state_size": 128}, "a model with ssm_state_size"),
        ({**LLAMA_8B, "vision_config": {}}, "it sees or hears"),
        ({**LLAMA_8B, "quantization_config": {"quant_method": "quip"}}, "with quip is not in config.json"),
        ({**LLAMA_8B, "layer_types": ["linear_attention"] * 32}, "names no linear_num_key_heads"),
    ],
)
def test_what_we_cannot_tell_is_said_in_one_line(model: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownModel, match=message) as caught:
        shape(model)
    assert "\n" not in str(caught.value)


def test_an_index_without_a_size_is_no_index() -> None:
    with pytest.raises(UnknownModel, match="names no total_size"):
        total_size({"weight_map": {}})


def test_a_model_that_sees_tells_of_its_text_apart() -> None:
    seeing = {"vision_config": {}, "text_config": LLAMA_8B}
    assert shape(seeing, weights=17 * GIB).full == 32
