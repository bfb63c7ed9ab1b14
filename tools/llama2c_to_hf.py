#!/usr/bin/env python3
"""Turns a llama2.c model (version 0 .bin) and its tokenizer .bin into a Hugging Face directory.

Usage: llama2c_to_hf.py model.bin tokenizer.bin folder

Writes model.safetensors (F32), config.json (LlamaForCausalLM), tokenizer.model (SentencePiece BPE
with byte fallback) and tokenizer_config.json. llama2.c rotates neighbouring elements of a head,
Hugging Face an element with the one half a head away: the rows of wq and wk change places.
"""

import json
import pathlib
import struct
import sys

HEADER = struct.Struct("<7i")
EPS = 1e-5
THETA = 10000.0
FIRST_BYTE, FIRST_NORMAL = 3, 259  # ids: <unk>, <s>, </s>, 256 bytes, then pieces
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # types of a SentencePiece piece


class Weights:
    """The float32 tensors of the file, taken one after another."""

    def __init__(self, data):
        self.data, self.at = data, HEADER.size

    def take(self, count):
        begin, self.at = self.at, self.at + 4 * count
        if self.at > len(self.data):
            raise ValueError(f"the model ends at byte {len(self.data)}, inside its weights")
        return self.data[begin:self.at]

    def take_layers(self, layers, count):
        return [self.take(count) for _ in range(layers)]


def halves(rows, row_bytes, head_dim):
    """Per head: the even rows, then the odd rows."""
    out = bytearray()
    for head in range(0, len(rows) // row_bytes, head_dim):
        for first in (0, 1):
            for row in range(head + first, head + head_dim, 2):
                out += rows[row * row_bytes:(row + 1) * row_bytes]
    return bytes(out)


def read_model(data):
    """Returns (config, {name: (shape, bytes)}) in the order of the names' first use."""
    if len(data) < HEADER.size:
        raise ValueError("the model is shorter than its header")
    dim, hidden, layers, heads, kv_heads, vocabulary, context = HEADER.unpack_from(data)
    shared, vocabulary = vocabulary > 0, abs(vocabulary)
    if min(dim, hidden, layers, heads, kv_heads, vocabulary, context) < 1 or dim % heads or \
            heads % kv_heads or dim // heads % 2:
        raise ValueError("the model's header is not that of a llama2.c version 0 file")
    head_dim = dim // heads
    kv_width = head_dim * kv_heads
    weights = Weights(data)
    embed = weights.take(vocabulary * dim)
    attn_norm = weights.take_layers(layers, dim)
    wq = weights.take_layers(layers, dim * dim)
    wk = weights.take_layers(layers, kv_width * dim)
    wv = weights.take_layers(layers, kv_width * dim)
    wo = weights.take_layers(layers, dim * dim)
    mlp_norm = weights.take_layers(layers, dim)
    gate = weights.take_layers(layers, hidden * dim)
    down = weights.take_layers(layers, dim * hidden)
    up = weights.take_layers(layers, hidden * dim)
    final_norm = weights.take(dim)
    weights.take(context * head_dim)  # two tables of the rotation, which nobody reads
    tensors = {"model.embed_tokens.weight": ([vocabulary, dim], embed)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        tensors.update({
            prefix + "input_layernorm.weight": ([dim], attn_norm[layer]),
            prefix + "self_attn.q_proj.weight": ([dim, dim], halves(wq[layer], 4 * dim, head_dim)),
            prefix + "self_attn.k_proj.weight":
                ([kv_width, dim], halves(wk[layer], 4 * dim, head_dim)),
            prefix + "self_attn.v_proj.weight": ([kv_width, dim], wv[layer]),
            prefix + "self_attn.o_proj.weight": ([dim, dim], wo[layer]),
            prefix + "post_attention_layernorm.weight": ([dim], mlp_norm[layer]),
            prefix + "mlp.gate_proj.weight": ([hidden, dim], gate[layer]),
            prefix + "mlp.up_proj.weight": ([hidden, dim], up[layer]),
            prefix + "mlp.down_proj.weight": ([dim, hidden], down[layer]),
        })
    tensors["model.norm.weight"] = ([dim], final_norm)
    if not shared:
        tensors["lm_head.weight"] = ([vocabulary, dim], weights.take(vocabulary * dim))
    if weights.at != len(data):
        raise ValueError(f"the model has {len(data) - weights.at} bytes behind its weights")
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": dim, "intermediate_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocabulary,
        "max_position_embeddings": context, "rms_norm_eps": EPS, "rope_theta": THETA,
        "tie_word_embeddings": shared, "torch_dtype": "float32", "bos_token_id": 1,
        # Training text is <s> story <s> story: the next <s> is what ends an answer.
        "eos_token_id": [1, 2],
    }
    return config, tensors


def safetensors(tensors):
    header, at = {}, 0
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, data in tensors.values())


def read_pieces(data, vocabulary):
    """[(bytes, score)] of a tokenizer.bin."""
    pieces, at = [], 4  # behind the length of the longest piece
    for _ in range(vocabulary):
        if at + 8 > len(data):
            raise ValueError(f"the tokenizer has only {len(pieces)} of {vocabulary} pieces")
        score, size = struct.unpack_from("<fi", data, at)
        at += 8
        if size < 0 or at + size > len(data):
            raise ValueError(f"the tokenizer ends inside piece {len(pieces)}")
        pieces.append((data[at:at + size], score))
        at += size
    if at != len(data):
        raise ValueError(f"the tokenizer has more than {vocabulary} pieces")
    return pieces


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, value):
    """One field of a protobuf message: bytes, float or a non-negative integer."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def sentencepiece(pieces):
    """A SentencePiece ModelProto: pieces 1, trainer_spec 2, normalizer_spec 3."""
    out = b""
    for index, (text, score) in enumerate(pieces):
        kind = NORMAL
        if index < FIRST_BYTE:
            text, kind = (b"<unk>", b"<s>", b"</s>")[index], UNKNOWN if index == 0 else CONTROL
        elif index < FIRST_NORMAL:
            text, kind = b"<0x%02X>" % (index - FIRST_BYTE), BYTE
        else:
            text = text.replace(b" ", "\u2581".encode())
        out += field(1, field(1, text) + field(2, float(score)) + field(3, kind))
    bpe, byte_fallback = field(3, 2), field(35, 1)
    ids = field(40, 0) + field(41, 1) + field(42, 2)
    out += field(2, bpe + field(4, len(pieces)) + byte_fallback + ids)
    dummy_prefix, keep_spaces, escape = field(3, 1), field(4, 0), field(5, 1)
    return out + field(3, field(1, b"identity") + dummy_prefix + keep_spaces + escape)


def convert(model_path, tokenizer_path, folder):
    config, tensors = read_model(pathlib.Path(model_path).read_bytes())
    pieces = read_pieces(pathlib.Path(tokenizer_path).read_bytes(), config["vocab_size"])
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(safetensors(tensors))
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "tokenizer.model").write_bytes(sentencepiece(pieces))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>",
         "unk_token": "<unk>"}, indent=1) + "\n")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__.split("\n\n")[1])
    try:
        convert(*sys.argv[1:])
    except (OSError, ValueError) as error:
        sys.exit(f"llama2c_to_hf.py: {error}")


if __name__ == "__main__":
    main()
