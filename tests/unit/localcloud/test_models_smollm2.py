"""From GGUF to the form that vLLM and transformers load."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.demo.stand_ins import smollm2

FIELDS = {
    "tokenizer.ggml.tokens": ["<|end|>", "<|start|>", "a", "b", "ab"],
    "tokenizer.ggml.token_type": [3, 3, 1, 1, 1],
    "tokenizer.ggml.merges": ["a b"],
}


@pytest.mark.parametrize(
    ("gguf_name", "name"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("blk.3.attn_q.weight", "model.layers.3.self_attn.q_proj.weight"),
        ("blk.29.ffn_norm.weight", "model.layers.29.post_attention_layernorm.weight"),
    ],
)
def test_tensors_get_the_names_of_transformers(gguf_name: str, name: str) -> None:
    assert smollm2.tensor_name(gguf_name) == name


@pytest.mark.parametrize("name", ["blk.0.ffn_gate_exps.weight", "rope_freqs.weight", "weight"])
def test_a_tensor_of_another_architecture_is_refused(name: str) -> None:
    with pytest.raises(KeyError):
        smollm2.tensor_name(name)


@given(heads=st.integers(1, 4), half=st.integers(1, 4), columns=st.integers(1, 3))
def test_rows_of_one_rotary_angle_end_up_half_a_head_apart(heads: int, half: int, columns: int) -> None:
    size = 2 * half
    wanted = np.arange(heads * size * columns, dtype=np.float32).reshape(heads * size, columns)
    order = [head * size + part * half + angle for head in range(heads) for angle in range(half) for part in range(2)]
    assert np.array_equal(smollm2.unpermute(wanted[order], heads), wanted)


@given(st.floats(width=32, min_value=-(2.0**100), max_value=2.0**100))
def test_bfloat16_is_the_nearest(value: float) -> None:
    (bits,) = smollm2.bfloat16(np.array([value], dtype=np.float32))
    near = [
        np.uint32((int(bits) + step) << 16).view(np.float32) for step in (-1, 0, 1) if 0 <= int(bits) + step <= 65535
    ]
    error = abs(float(np.uint32(int(bits) << 16).view(np.float32)) - value)
    assert error == min(abs(float(other) - value) for other in near if np.isfinite(other))


def test_only_markup_is_special_to_the_tokenizer() -> None:
    document = smollm2.tokenizer(FIELDS)
    assert [(token["id"], token["content"]) for token in document["added_tokens"]] == [(0, "<|end|>"), (1, "<|start|>")]
    assert document["model"]["vocab"]["ab"] == 4
    assert document["model"]["merges"] == [["a", "b"]]
