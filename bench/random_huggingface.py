#!/usr/bin/env python3
"""Writes a Hugging Face directory of random BF16 weights, to measure an import with.

Usage: random_huggingface.py SHAPE FOLDER. Shapes: tiny, 1.1b, 8b. The weights are sharded, the
tokeniser knows single bytes alone; the same shape gives the same files.
"""

import json
import math
import pathlib
import random
import struct
import sys

SHAPES = {  # hidden, layers, heads, key/value heads, feed-forward, vocabulary
    "tiny": (64, 2, 4, 2, 160, 512),
    "1.1b": (2048, 22, 32, 4, 5632, 32000),
    "8b": (4096, 32, 32, 8, 14336, 128256),
}
SHARD_BYTES = 2 << 30
CHUNK_BYTES = 1 << 20


def tensors(shape):
    hidden, layers, heads, kv_heads, ffn, vocabulary = shape
    kv = hidden // heads * kv_heads
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for layer in range(layers):
        name = f"model.layers.{layer}."
        for norm in "input_layernorm", "post_attention_layernorm":
            yield name + norm + ".weight", (hidden,)
        for part, rows in ("q", hidden), ("k", kv), ("v", kv), ("o", hidden):
            yield f"{name}self_attn.{part}_proj.weight", (rows, hidden)
        for part, size in ("gate", (ffn, hidden)), ("up", (ffn, hidden)), ("down", (hidden, ffn)):
            yield f"{name}mlp.{part}_proj.weight", size
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (vocabulary, hidden)


def bf16(value):
    return struct.pack("<f", value)[2:]


def weights_of(rng, deviation):
    """One MiB of normal weights, of which every tensor takes as much as it needs, turned."""
    return b"".join(bf16(rng.gauss(0, deviation)) for _ in range(CHUNK_BYTES // 2))


def write_shard(path, entries, chunk):
    header, at = {}, 0
    for name, shape in entries:
        size = 2 * math.prod(shape)
        header[name] = dict(dtype="BF16", shape=list(shape), data_offsets=[at, at + size])
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for index, (name, shape) in enumerate(entries):
            size = 2 * math.prod(shape)
            if len(shape) == 1:
                file.write(bf16(1.0) * shape[0])
                continue
            turn = 2 * (index * 7919 % (CHUNK_BYTES // 2))
            turned = chunk[turn:] + chunk[:turn]
            for _ in range(size // CHUNK_BYTES):
                file.write(turned)
            file.write(turned[:size % CHUNK_BYTES])


def byte_tokens():
    symbols, spare = {}, 0x100
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or (byte >= 0xA1 and byte != 0xAD):
            symbols[chr(byte)] = byte
        else:
            symbols[chr(spare)] = byte
            spare += 1
    return symbols


def write_descriptions(folder, shape):
    hidden, layers, heads, kv_heads, ffn, vocabulary = shape
    config = dict(architectures=["LlamaForCausalLM"], hidden_size=hidden,
                  num_hidden_layers=layers, num_attention_heads=heads,
                  num_key_value_heads=kv_heads, intermediate_size=ffn, vocab_size=vocabulary,
                  max_position_embeddings=2048, rms_norm_eps=1e-5, rope_theta=10000.0)
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = dict(version="1.0", added_tokens=[], normalizer=None,
                     pre_tokenizer=dict(type="ByteLevel", add_prefix_space=False),
                     decoder=dict(type="ByteLevel"),
                     model=dict(type="BPE", vocab=byte_tokens(), merges=[]))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in SHAPES:
        sys.exit(__doc__)
    shape, folder = SHAPES[sys.argv[1]], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    write_descriptions(folder, shape)
    shards, size = [[]], 0
    for name, sizes in tensors(shape):
        bytes_here = 2 * math.prod(sizes)
        if size > 0 and size + bytes_here > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((name, sizes))
        size += bytes_here
    chunk = weights_of(random.Random(1), 1 / math.sqrt(shape[0]))
    weight_map = {}
    for index, entries in enumerate(shards):
        file = f"model-{index + 1:05d}-of-{len(shards):05d}.safetensors"
        write_shard(folder / file, entries, chunk)
        weight_map.update({name: file for name, _ in entries})
    (folder / "model.safetensors.index.json").write_text(json.dumps(dict(weight_map=weight_map)))


if __name__ == "__main__":
    main()
