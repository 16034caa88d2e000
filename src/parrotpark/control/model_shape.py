"""What a model's own `config.json` says of its size: weights, and what every token leaves in the KV cache.

The rules are vLLM's, as of 0.32.0: `v1/kv_cache_interface.py` for the cache of a layer, `config/model.py` for the cast
of float32, `model_executor/layers/mamba/mamba_utils.py` for the state of linear attention. Sizes are bytes, of the
whole model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

_ENCODERS = frozenset({"bert", "roberta", "xlm-roberta", "modernbert"})  # they read a text at once, and cache nothing
_TWO_MATRICES = _ENCODERS - {"modernbert"}  # in each MLP; all others have a third one, the gate
_STATE_SPACES = ("state_size", "ssm_state_size", "mamba_d_state", "mamba_num_heads", "hybrid_override_pattern")
_UNEVEN = ("global_head_dim", "attn_layer_period", "block_configs")  # layers of several sizes
_SIXTEEN_BIT = 2  # bytes
_STATE = 4  # bytes of a number in the state of linear attention, which is float32


class UnknownModel(ValueError):
    """Its `config.json` does not say how large the model is; the message is one line."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A model, as far as memory is concerned."""

    weights: int
    """Bytes of all weights, as they lie in the card's memory: float32 is cast to 16 bits."""
    embeddings: int
    """Those of them that no quantization touches."""
    quantization: str | None
    """vLLM's name of the method, such as `fp8`, `awq`, `gptq` or `compressed-tensors`."""
    hidden: int
    vocabulary: int
    heads: int
    key_value_heads: int
    head_size: int
    latent: int
    """Numbers that multi-head latent attention keeps per token and layer, instead of keys and values; else 0."""
    full: int
    """Layers that keep every token."""
    sliding: int
    """Layers that keep the last `window` tokens."""
    window: int
    linear: int
    """Layers of linear attention, whose state has always the same size."""
    state: int
    """Bytes of that state in each such layer, per person."""
    expanded: int
    """Numbers per token between the two halves of an MLP, or of all the experts that a token is sent to."""
    experts: int
    """Experts that a token is sent to; 0 for a model without."""

    def stage(self, hosts: int) -> Shape:
        """Say what the largest part would be if so many hosts had the layers one after the other."""
        if hosts == 1:
            return self
        end = self.vocabulary * self.hidden * 2  # the first part has the embeddings, the last one the head of that size
        layers = max(1, self.full + self.sliding + self.linear)
        return replace(
            self,
            weights=end + ceil(max(0, self.weights - end) * ceil(layers / hosts) / layers),
            embeddings=min(self.embeddings, end),
            full=ceil(self.full / hosts),
            sliding=ceil(self.sliding / hosts),
            linear=ceil(self.linear / hosts),
        )

    def quantized(self, bits: int) -> Shape:
        """Say what it would be with weights of so many bits, its embeddings as they are."""
        return replace(
            self,
            weights=self.embeddings + (self.weights - self.embeddings) * bits // 16,
            quantization="fp8" if bits == 8 else "awq",
        )


def total_size(index: Mapping[str, Any]) -> int:
    """Read the bytes of all weights from a `model.safetensors.index.json`.

    Raises:
        UnknownModel: it does not say.
    """
    try:
        return int(index["metadata"]["total_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownModel(f"the index names no total_size: {type(error).__name__}") from None


def shape(config: Mapping[str, Any], weights: int | None = None) -> Shape:
    """Read a `config.json`.

    `weights` is the size of all `*.safetensors` in bytes, if it is known; else it is computed, within two per cent for
    the usual architectures.

    Raises:
        UnknownModel: it lacks a number, or its layers are of a kind whose memory we cannot tell.
    """
    text = {**config, **config.get("text_config", {})}
    for key in (*_STATE_SPACES, *_UNEVEN):
        if text.get(key):
            raise UnknownModel(f"a model with {key} has layers whose memory we cannot tell: try it on the card")
    layers = _number(text, "num_hidden_layers")
    hidden = _number(text, "hidden_size")
    heads = _number(text, "num_attention_heads")
    quantization = text.get("quantization_config") or config.get("compression_config") or {}
    method = str(quantization["quant_method"]) if "quant_method" in quantization else None
    in_float32 = (text.get("dtype") or text.get("torch_dtype")) == "float32" and method is None
    if weights is None:
        if "vision_config" in config or "audio_config" in config:
            raise UnknownModel("it sees or hears: give the size of its weights, its config.json tells only of the text")
        weights = _computed_weights(text, layers, quantization)
    elif in_float32:
        weights = weights * _SIXTEEN_BIT // 4
    full, sliding, linear = _layers_by_kind(text, layers)
    return Shape(
        weights=weights,
        embeddings=_embeddings(text) * _SIXTEEN_BIT,
        quantization=method,
        hidden=hidden,
        vocabulary=_number(text, "vocab_size"),
        heads=heads,
        key_value_heads=int(text.get("num_key_value_heads") or heads),
        head_size=_head_size(text),
        latent=_number(text, "kv_lora_rank") + _number(text, "qk_rope_head_dim") if text.get("kv_lora_rank") else 0,
        full=full,
        sliding=sliding,
        window=int(text.get("sliding_window") or 0),
        linear=linear,
        state=_state(text) if linear else 0,
        expanded=_expanded(text),
        experts=_experts_of_a_token(text),
    )


def _number(text: Mapping[str, Any], key: str) -> int:
    value = text.get(key)
    if not isinstance(value, int) or value <= 0:
        raise UnknownModel(f"config.json names no {key}")
    return value


def _head_size(text: Mapping[str, Any]) -> int:
    return int(text.get("head_dim") or _number(text, "hidden_size") // _number(text, "num_attention_heads"))


def _layers_by_kind(text: Mapping[str, Any], layers: int) -> tuple[int, int, int]:
    """Count the layers of full, sliding and linear attention."""
    if text.get("model_type") in _ENCODERS:
        return 0, 0, 0
    kinds = text.get("layer_types")
    if kinds:
        sliding, linear = kinds.count("sliding_attention"), kinds.count("linear_attention")
        return len(kinds) - sliding - linear, sliding, linear
    if text.get("full_attention_interval"):
        full = layers // _number(text, "full_attention_interval")
        return full, 0, layers - full
    if text.get("sliding_window") and text.get("use_sliding_window") is not False:
        full = layers // int(text["sliding_window_pattern"]) if text.get("sliding_window_pattern") else 0
        return full, layers - full, 0
    return layers, 0, 0


def _state(text: Mapping[str, Any]) -> int:
    keys = _number(text, "linear_num_key_heads") * _number(text, "linear_key_head_dim")
    values = _number(text, "linear_num_value_heads") * _number(text, "linear_value_head_dim")
    convolution = (2 * keys + values) * (_number(text, "linear_conv_kernel_dim") - 1) * _SIXTEEN_BIT
    return convolution + values * _number(text, "linear_key_head_dim") * _STATE


# ---- Weights ----------------------------------------------------------------------------------------------------


def _experts(text: Mapping[str, Any]) -> int:
    return int(text.get("num_experts") or text.get("n_routed_experts") or text.get("num_local_experts") or 0)


def _experts_of_a_token(text: Mapping[str, Any]) -> int:
    if not _experts(text):
        return 0
    return int(text.get("num_experts_per_tok") or text.get("experts_per_token") or 1)


def _expert_width(text: Mapping[str, Any]) -> int:
    return int(text.get("moe_intermediate_size") or _number(text, "intermediate_size"))


def _expanded(text: Mapping[str, Any]) -> int:
    return _expert_width(text) * _experts_of_a_token(text) or _number(text, "intermediate_size")


def _embeddings(text: Mapping[str, Any]) -> int:
    one = _number(text, "vocab_size") * _number(text, "hidden_size")
    tied = text.get("tie_word_embeddings", False) or text.get("model_type") in _ENCODERS
    return one if tied else 2 * one


def _attention(text: Mapping[str, Any]) -> int:
    """Count the weights of one layer's attention."""
    hidden, heads = _number(text, "hidden_size"), _number(text, "num_attention_heads")
    if not text.get("kv_lora_rank"):
        key_value_heads = int(text.get("num_key_value_heads") or heads)
        return 2 * hidden * _head_size(text) * (heads + key_value_heads)
    rank, rope = _number(text, "kv_lora_rank"), _number(text, "qk_rope_head_dim")
    plain, value = _number(text, "qk_nope_head_dim"), _number(text, "v_head_dim")
    query = heads * (plain + rope)
    queries = text["q_lora_rank"] * (hidden + query) if text.get("q_lora_rank") else hidden * query
    return int(queries + hidden * (rank + rope) + rank * heads * (plain + value) + heads * value * hidden)


def _computed_weights(text: Mapping[str, Any], layers: int, quantization: Mapping[str, Any]) -> int:
    hidden = _number(text, "hidden_size")
    matrices = 2 if text.get("model_type") in _TWO_MATRICES else 3
    experts = _experts(text)
    dense = int(text.get("first_k_dense_replace") or len(text.get("mlp_only_layers") or ())) if experts else layers
    of_experts = (layers - dense) * experts * matrices * hidden * _expert_width(text)
    shared = text.get("shared_expert_intermediate_size") or (text.get("n_shared_experts") or 0) * _expert_width(text)
    others = layers * _attention(text) + (layers - dense) * matrices * hidden * int(shared)
    if dense:
        others += dense * matrices * hidden * _number(text, "intermediate_size")
    bits = _bits(quantization)
    plain = others if quantization.get("quant_method") == "mxfp4" else 0  # it leaves all but the experts as they are
    quantized = of_experts + others - plain
    return round(quantized * bits / 8) + (plain + _embeddings(text)) * _SIXTEEN_BIT


def _bits(quantization: Mapping[str, Any]) -> float:
    """Return the bits of a quantized weight, with its part of scales and zero points."""
    method = quantization.get("quant_method")
    if method is None:
        return 16
    if method in ("fp8", "fbgemm_fp8"):
        return 8
    if method == "mxfp4":
        return 4 + 8 / 32
    if method in ("awq", "gptq"):
        group = quantization.get("group_size") or quantization.get("q_group_size") or 128
        bits = int(quantization.get("bits") or quantization.get("w_bit") or 4)
        return bits + (16 + bits) / group if group > 0 else bits
    if method == "compressed-tensors":
        for group in (quantization.get("config_groups") or {}).values():
            weights = group.get("weights") or {}
            if weights.get("num_bits"):
                return int(weights["num_bits"]) + 16 / (weights.get("group_size") or 128)
    raise UnknownModel(f"how many bits a weight has with {method} is not in config.json: give the size of the weights")
