#!/usr/bin/env python3
"""Makes outliers in a Hugging Face model without changing its function (a test of importers).

Usage: stress_hf.py folder out factor

Two channels of every norm grow by `factor` and the columns that read them shrink by it; two rows
of every up-projection grow and the columns of the down-projection shrink. The final norm stays as
it is where the head is tied to the embedding. Reads one model.safetensors of F32, F16 or BF16 and
writes F32; the other files are copied.
"""

import array
import json
import pathlib
import shutil
import struct
import sys

ATTN_READERS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
MLP_READERS = ("mlp.gate_proj", "mlp.up_proj")


def widen(dtype, data):
    if dtype == "F32":
        return array.array("f", data)
    if dtype == "F16":
        return array.array("f", struct.unpack(f"<{len(data) // 2}e", data))
    if dtype == "BF16":
        halves = array.array("H", data)
        return array.array("f", struct.pack(f"<{len(halves)}I", *(h << 16 for h in halves)))
    raise ValueError(f"the dtype {dtype} is not F32, F16 or BF16")


def read_safetensors(path):
    """{name: (shape, float array)} in the order of the file's header."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = entry["shape"], widen(
            entry["dtype"], data[8 + size + begin : 8 + size + end]
        )
    return tensors


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * len(values)]}
        at += 4 * len(values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, values in tensors.values():
            file.write(values.tobytes())


def two_of(size, seed):
    """Two different indices below size, other ones for other seeds."""
    first = seed * 7919 % size
    return {first, (first + size // 2) % size}


def scale_columns(tensors, name, columns, factor):
    (_, cols), values = tensors[name]
    for column in columns:
        for i in range(column, len(values), cols):
            values[i] *= factor


def scale_rows(tensors, name, rows, factor):
    (_, cols), values = tensors[name]
    for row in rows:
        for i in range(row * cols, (row + 1) * cols):
            values[i] *= factor


def stress_norm(tensors, gain, readers, seed, factor):
    values = tensors[gain][1]
    channels = two_of(len(values), seed)
    for channel in channels:
        values[channel] *= factor
    for reader in readers:
        scale_columns(tensors, reader + ".weight", channels, 1 / factor)


def stress(tensors, config, factor):
    layers = config["num_hidden_layers"]
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        stress_norm(
            tensors,
            prefix + "input_layernorm.weight",
            [prefix + name for name in ATTN_READERS],
            3 * layer + 1,
            factor,
        )
        stress_norm(
            tensors,
            prefix + "post_attention_layernorm.weight",
            [prefix + name for name in MLP_READERS],
            3 * layer + 2,
            factor,
        )
        units = two_of(config["intermediate_size"], 3 * layer + 3)
        scale_rows(tensors, prefix + "mlp.up_proj.weight", units, factor)
        scale_columns(tensors, prefix + "mlp.down_proj.weight", units, 1 / factor)
    if not config.get("tie_word_embeddings", False):
        stress_norm(tensors, "model.norm.weight", ["lm_head"], 3 * layers + 1, factor)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__.split("\n\n")[1])
    folder, out, factor = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), float(sys.argv[3])
    try:
        config = json.loads((folder / "config.json").read_text())
        tensors = read_safetensors(folder / "model.safetensors")
        stress(tensors, config, factor)
        out.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if file.is_file() and file.name != "model.safetensors":
                shutil.copy(file, out / file.name)
        write_safetensors(out / "model.safetensors", tensors)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"stress_hf.py: {error}")


if __name__ == "__main__":
    main()
