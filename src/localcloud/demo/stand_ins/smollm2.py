"""Turns the GGUF file of SmolLM2 into a model folder that vLLM and transformers load.

GGUF is llama.cpp's format; vLLM wants bfloat16 safetensors, a `config.json` and a `tokenizer.json`. Everything these
three say stands in the GGUF file, so nothing is fetched. Works without torch: `gguf` undoes the quantisation.

`python -m localcloud.demo.stand_ins.smollm2 FILE.gguf FOLDER`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from safetensors import TensorSpec, serialize_file

CONTROL_TOKEN = 3  # `token_type` of tokens that are markup, not text

OUTER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}

Fields = Mapping[str, Any]
Floats = npt.NDArray[np.float32]


def tensor_name(name: str) -> str:
    """Translate llama.cpp's name of a tensor, `blk.3.attn_q.weight`, to that of transformers.

    Raises KeyError for a tensor the Llama architecture does not have.
    """
    match name.split("."):
        case ["blk", number, part, kind]:
            return f"model.layers.{number}.{BLOCK_NAMES[part]}.{kind}"
        case [part, kind]:
            return f"{OUTER_NAMES[part]}.{kind}"
    raise KeyError(name)


def unpermute(weights: Floats, heads: int) -> Floats:
    """Undo llama.cpp's reordering of query and key rows.

    It lays the two numbers that one rotary angle turns side by side; transformers keeps them half a head apart.
    """
    pairs = weights.reshape(heads, weights.shape[0] // heads // 2, 2, weights.shape[1])
    return pairs.swapaxes(1, 2).reshape(weights.shape)


def bfloat16(weights: Floats) -> npt.NDArray[np.uint16]:
    """Round to the nearest bfloat16, ties to even, given as its 16 bits. Weights are finite, so NaN needs no care."""
    bits = np.ascontiguousarray(weights, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def config(fields: Fields) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_act": "silu",
        "vocab_size": fields["llama.vocab_size"],
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": fields["llama.rope.dimension_count"],
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": fields["llama.attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        "tie_word_embeddings": True,
    } | token_ids(fields)


def token_ids(fields: Fields) -> dict[str, int]:
    return {
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }


def tokenizer(fields: Fields) -> dict[str, Any]:
    """The byte-level BPE that llama.cpp calls `smollm`: GPT-2's, with every digit a token of its own."""
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": number, "content": token, "special": True} | plain
            for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind == CONTROL_TOKEN
        ],
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [pair.split(" ") for pair in fields["tokenizer.ggml.merges"]],
        },
    }


def tokenizer_config(fields: Fields) -> dict[str, Any]:
    tokens = fields["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": fields["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "bos_token": tokens[fields["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[fields["tokenizer.ggml.eos_token_id"]],
        "pad_token": tokens[fields["tokenizer.ggml.padding_token_id"]],
        "unk_token": tokens[fields["tokenizer.ggml.unknown_token_id"]],
        "chat_template": fields["tokenizer.chat_template"],
    }


def weights(reader: gguf.GGUFReader, fields: Fields) -> dict[str, npt.NDArray[np.uint16]]:
    heads = {"attn_q": fields["llama.attention.head_count"], "attn_k": fields["llama.attention.head_count_kv"]}
    result = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        part = tensor.name.split(".")[-2]
        if part in heads:
            values = unpermute(values, heads[part])
        result[tensor_name(tensor.name)] = bfloat16(values)
    return result


def convert(source: Path, folder: Path) -> None:
    """Write the model folder; `folder` exists and is empty."""
    reader = gguf.GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    documents = {
        "config.json": config(fields),
        "generation_config.json": token_ids(fields),
        "tokenizer.json": tokenizer(fields),
        "tokenizer_config.json": tokenizer_config(fields),
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    tensors = weights(reader, fields)
    specs = {
        name: TensorSpec(dtype="bfloat16", shape=bits.shape, data_ptr=bits.ctypes.data, data_len=bits.nbytes)
        for name, bits in tensors.items()
    }
    file = folder / "model.safetensors"
    serialize_file(specs, file, {"format": "pt"})
    file.chmod(0o644)  # safetensors leaves it readable by its writer alone


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud.demo.stand_ins.smollm2", description=__doc__)
    parser.add_argument("source", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("folder", type=Path, help="an existing, empty folder")
    arguments = parser.parse_args()
    convert(arguments.source, arguments.folder)


if __name__ == "__main__":
    main()
