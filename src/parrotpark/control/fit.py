"""Whether a model fits a card, told before anybody pays for a server: weights, KV cache, and what else vLLM takes.

vLLM 0.32.0 takes `gpu_memory_utilization` of a card's memory. It loads the weights, runs the largest batch once, keeps
what that needed at its peak, adds what CUDA graphs take, and all that is left is KV cache (`v1/worker/gpu_worker.py`,
`determine_available_memory`). It refuses to start if one text of the full length does not fit into that
(`v1/core/kv_cache_utils.py`). Weights and cache follow from a model's numbers; what a batch needs is measured there and
estimated here, on the safe side but for large mixtures of experts on several large cards: Qwen3-235B on four H100 had
8.1 GiB a card left for its cache, and we say 12 (vllm-project/vllm#21348). What a model takes to look at pictures is
not in it. The published cases are in the tests. Sizes are bytes of one card unless said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil

from parrotpark.control.model_shape import Shape

GIB = 2**30
UTILIZATION = 0.92  # vLLM's own default (`config/cache.py`)
BLOCK = 16  # tokens
SHORTEST = 4096  # tokens; nobody is advised to chat with less
HUNDREDTH = 0.01  # in which shares of a card are given

BF16 = (8, 0)  # compute capabilities from which a card has it
FP8 = (8, 9)
OLDEST = (7, 5)  # for which PyTorch's wheels for CUDA 13 have kernels

# Quantizations that need a younger card than the oldest, by vLLM's `get_min_capability`. No other does, not even fp8: a
# card without it unpacks the weights before it computes.
METHODS = {"mxfp4": (8, 0), "modelopt": (8, 0), "fbgemm_fp8": (8, 0)}

# Measured by others; each is more than most saw.
_CONTEXT = GIB // 2  # CUDA's context and libraries
_COLLECTIVES = GIB // 2  # NCCL's buffers, with more than one card
_GRAPHS = 3 * GIB // 4  # vLLM's own estimate for a 4B model was 0.73 GiB: vllm-project/vllm#39559

# Of the weights in mxfp4: to suit its kernels vLLM pads and rearranges them. gpt-oss-120b, 60.7 GiB in its files, took
# 66 GiB on an H100, and 7.5 more beside batch and cache: vllm-project/vllm#23278, #27508.
_MXFP4 = 6

_MEMORIES = (24, 32, 48, 80, 96, 141, 180, 192, 288)  # GiB of cards that clouds rent
_NUMBERS = (2, 4, 8)  # of cards in one machine


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card."""

    memory: float
    """GiB as CUDA counts them: nvidia-smi's total without what it calls reserved."""
    capability: tuple[int, int]
    """NVIDIA's compute capability, such as (8, 9) for an L4."""

    @property
    def bytes(self) -> int:
        """Return its memory in bytes."""
        return int(self.memory * GIB)


@dataclass(frozen=True, slots=True)
class Batch:
    """The most that vLLM computes at once."""

    tokens: int
    sequences: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What a model is to do."""

    shape: Shape
    """Of the part that one host computes."""
    context: int
    """Tokens of the longest text, `max-model-len`."""
    people: int = 1
    """Whose texts are in the cache at the same time."""
    typical: int | None = None
    """Tokens of everybody's text but the longest; None: all are of full length."""
    fp8_cache: bool = False
    dtype: str = "auto"
    """vLLM's `dtype`. With `auto` it takes the model's own, or float16 where the card has no bfloat16."""
    pooling: bool = False
    """Whether it makes vectors instead of text."""
    batch: Batch | None = None
    """None: vLLM's own."""
    hosts: int = 1
    """How many compute it, one after the other."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """One thing that would have to be otherwise, and then it fits."""

    words: str
    demand: Demand
    card: Card
    cards: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it fits, and the numbers behind that."""

    budget: int
    """What vLLM may take."""
    weights: int
    overhead: int
    """What a batch, CUDA graphs and CUDA itself take."""
    needed: int
    """KV cache for all people."""
    per_token: int
    """KV cache that one more token in a long text takes."""
    problem: str
    """Why it does not fit; empty if it does."""
    remedies: tuple[Remedy, ...] = ()

    @property
    def left(self) -> int:
        """Return what is left for the KV cache; negative if not even the weights fit."""
        return self.budget - self.weights - self.overhead

    @property
    def fits(self) -> bool:
        return not self.problem

    @property
    def advice(self) -> str:
        """Return one line that says why it does not fit and what would; empty if it does."""
        if self.fits:
            return ""
        if not self.remedies:
            return f"{self.problem}; no single change helps: take a smaller model"
        *firsts, last = (remedy.words for remedy in self.remedies)
        return f"{self.problem}; this would fit: {' or '.join(filter(None, (', '.join(firsts), last)))}"


def judge(demand: Demand, card: Card, cards: int = 1, utilization: float = UTILIZATION) -> Verdict:
    """Say whether the model fits `cards` such cards of one machine, in tensor parallel.

    More memory always helps, but for one thing: at 70 and 160 GiB vLLM's own batch grows.
    """
    verdict = _judge(demand, card, cards, utilization)
    if verdict.fits:
        return verdict
    found = (
        remedy
        for remedy in _remedies(demand, card, cards, utilization)
        if _judge(remedy.demand, remedy.card, remedy.cards, utilization).fits
    )
    return replace(verdict, remedies=tuple(found))


def share(demand: Demand, card: Card, cards: int = 1) -> float:
    """Return the smallest `gpu-memory-utilization`, in hundredths, that the model fits into; over 1 if none is."""
    whole = _judge(demand, card, cards, UTILIZATION)
    taken = whole.weights + whole.overhead + whole.needed
    return round(ceil(taken / card.bytes / HUNDREDTH) * HUNDREDTH, 2)


def default_batch(card: Card) -> Batch:
    """Return vLLM's own for its server (`engine/arg_utils.py`, `get_batch_defaults`); an A100 is known by its 8.0."""
    if card.memory >= 160:
        return Batch(16384, 1024)
    if card.memory >= 70 and card.capability != (8, 0):
        return Batch(8192, 1024)
    return Batch(2048, 256)


def cache_bytes(demand: Demand, tokens: int, cards: int, batch: Batch) -> int:
    """Return the KV cache that one text of so many tokens takes on each card."""
    shape = demand.shape
    size = 1 if demand.fp8_cache else 2
    # Each card keeps its part of the heads, at least one; what is latent it keeps whole.
    numbers = shape.latent or 2 * shape.head_size * max(1, shape.key_value_heads // cards)
    full = ceil(tokens / BLOCK)
    # What slides out of the window is dropped only after a batch; the window may begin within a block.
    sliding = ceil(min(shape.window - 1 + batch.tokens, tokens) / BLOCK) + 1
    group = _group(shape)
    blocks = _padded(shape.full, group) * full + _padded(shape.sliding, group) * sliding
    # Beside the state, vLLM keeps the one before, for texts that begin alike.
    return blocks * BLOCK * numbers * size + 2 * shape.linear * shape.state // cards


def _group(shape: Shape) -> int:
    """Return how many layers share their blocks: vLLM fills up each kind of layer to a multiple of this."""
    kinds = [number for number in (shape.full, shape.sliding) if number]
    if not kinds:
        return 1
    return max(kinds) if max(kinds) < 1.5 * min(kinds) else min(kinds)


def _padded(layers: int, group: int) -> int:
    return ceil(layers / group) * group


def overhead_bytes(demand: Demand, cards: int, batch: Batch) -> int:
    """Estimate what is neither weights nor cache: the largest batch at its peak, CUDA graphs, CUDA itself."""
    shape = demand.shape
    spread = shape.experts * shape.hidden  # every expert gets its copy of a token
    per_token = 4 * shape.hidden + 3 * ceil(shape.expanded / cards) + 2 * spread
    peak = batch.tokens * per_token * 2
    if not demand.pooling:
        peak += batch.sequences * shape.vocabulary * 4 * 2  # logits in float32, and sorted
    if shape.quantization == "mxfp4":
        peak += ceil(shape.weights / cards / _MXFP4)
    return peak + _CONTEXT + (_COLLECTIVES if cards * demand.hosts > 1 else 0) + _GRAPHS


def _judge(demand: Demand, card: Card, cards: int, utilization: float) -> Verdict:
    batch = demand.batch or default_batch(card)
    cached = cache_bytes(demand, demand.context, cards, batch)
    others = cache_bytes(demand, min(demand.typical or demand.context, demand.context), cards, batch)
    marginal = cache_bytes(demand, 2**20 + BLOCK, cards, batch) - cache_bytes(demand, 2**20, cards, batch)
    verdict = Verdict(
        budget=int(card.bytes * utilization),
        weights=ceil(demand.shape.weights / cards),
        overhead=overhead_bytes(demand, cards, batch),
        needed=cached + (demand.people - 1) * others,
        per_token=marginal // BLOCK,
        problem=_refusal(demand, card, cards),
    )
    if verdict.problem or verdict.needed <= verdict.left:
        return verdict
    if verdict.left <= 0:
        return replace(verdict, problem=f"its weights of {_gib(verdict.weights)} a card leave no room for a KV cache")
    return replace(
        verdict, problem=f"it needs {_gib(verdict.needed)} of KV cache a card, and {_gib(verdict.left)} are left"
    )


def _refusal(demand: Demand, card: Card, cards: int) -> str:
    """Say what vLLM refuses, whatever the memory."""
    shape = demand.shape
    if card.capability < OLDEST:
        return f"a card of compute capability {_dotted(card)} is too old for CUDA 13: {OLDEST[0]}.{OLDEST[1]} is needed"
    if demand.dtype == "bfloat16" and card.capability < BF16:
        return f"a card of compute capability {_dotted(card)} has no bfloat16"
    if card.capability < METHODS.get(shape.quantization or "", OLDEST):
        return f"a card of compute capability {_dotted(card)} cannot unpack {shape.quantization}"
    if demand.fp8_cache and card.capability < FP8:
        return f"a card of compute capability {_dotted(card)} has no fp8 for the KV cache"
    if shape.heads % cards:
        return f"its {shape.heads} heads cannot be shared by {cards} cards"
    return ""


def _remedies(demand: Demand, card: Card, cards: int, utilization: float) -> Iterator[Remedy]:
    def with_demand(words: str, **changes: object) -> Remedy:
        return Remedy(words, replace(demand, **changes), card, cards)  # type: ignore[arg-type] # names are checked there

    def fits(**changes: object) -> bool:
        return _judge(with_demand("", **changes).demand, card, cards, utilization).fits

    if demand.dtype == "bfloat16":
        yield with_demand("dtype float16", dtype="float16")
    if demand.fp8_cache:
        yield with_demand("a KV cache of 16 bits", fp8_cache=False)
    steps = _largest(lambda step: fits(context=step * SHORTEST), (demand.context - 1) // SHORTEST)
    if steps:
        yield with_demand(f"a context of {steps * SHORTEST} tokens", context=steps * SHORTEST)
    people = _largest(lambda number: fits(people=number), demand.people - 1)
    if people:
        yield with_demand(f"{people} people at once" if people > 1 else "one person at a time", people=people)
    if not demand.fp8_cache and not demand.shape.latent:
        yield with_demand("a KV cache in fp8", fp8_cache=True)
    if demand.shape.quantization is None:
        yield with_demand("the model in fp8", shape=demand.shape.quantized(8))
        yield with_demand("the model in 4 bits", shape=demand.shape.quantized(4))
    for number in _NUMBERS:
        more = Remedy(f"{number} such cards", demand, card, number)
        if number > cards and _judge(more.demand, card, number, utilization).fits:
            yield more
            break
    for memory in _MEMORIES:
        larger = Card(memory, card.capability)
        if memory > card.memory and _judge(demand, larger, cards, utilization).fits:
            yield Remedy(f"a card with {memory} GiB", demand, larger, cards)
            break


def _largest(fits: Callable[[int], bool], high: int) -> int:
    """Return the largest number up to `high` that fits, if all below it do; 0 if none does."""
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"


def _dotted(card: Card) -> str:
    return f"{card.capability[0]}.{card.capability[1]}"
