#!/usr/bin/env python3
"""Tests of llama2c_to_hf.py on a model made here."""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

import llama2c_to_hf as tool

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCABULARY, CONTEXT = 8, 12, 2, 2, 1, 261, 16


def model_bytes(shared):
    """All weights are counted 0, 1, 2, …, so that each can be told from its place."""
    width = DIM // HEADS * KV_HEADS
    layer = 2 * DIM + 2 * DIM * DIM + 2 * width * DIM + 3 * HIDDEN * DIM
    count = VOCABULARY * DIM + LAYERS * layer + DIM + CONTEXT * DIM // HEADS
    count += 0 if shared else VOCABULARY * DIM
    header = struct.pack("<7i", DIM, HIDDEN, LAYERS, HEADS, KV_HEADS,
                         VOCABULARY if shared else -VOCABULARY, CONTEXT)
    return header + struct.pack(f"<{count}f", *range(count))


def tokenizer_bytes():
    pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n"] + [b"<0x%02X>" % i for i in range(256)]
    pieces += [b" ", b"a"]
    out = struct.pack("<i", max(map(len, pieces)))
    for index, piece in enumerate(pieces):
        out += struct.pack("<fi", -float(index), len(piece)) + piece
    return out


class Llama2c(unittest.TestCase):
    def test_places_of_the_weights(self):
        for shared in (True, False):
            config, tensors = tool.read_model(model_bytes(shared))
            self.assertEqual(config["tie_word_embeddings"], shared)
            self.assertEqual("lm_head.weight" in tensors, not shared)
            shape, embed = tensors["model.embed_tokens.weight"]
            self.assertEqual(shape, [VOCABULARY, DIM])
            self.assertEqual(struct.unpack_from("<2f", embed), (0, 1))
            # The norms of all layers stand behind the embedding, then wq of layer 0.
            first = VOCABULARY * DIM
            norm = tensors["model.layers.1.input_layernorm.weight"][1]
            self.assertEqual(struct.unpack_from("<f", norm)[0], first + DIM)
            wq = tensors["model.layers.0.self_attn.q_proj.weight"][1]
            rows = [struct.unpack_from("<f", wq, 4 * DIM * row)[0] for row in range(DIM)]
            order = [(value - first - LAYERS * DIM) / DIM for value in rows]
            self.assertEqual(order, [0, 2, 1, 3, 4, 6, 5, 7])  # two heads of four elements

    def test_refuses_damage(self):
        data = model_bytes(True)
        for bad in (b"", data[:20], data[:-4], data + b"\0", b"\0" * 28):
            with self.assertRaises(ValueError):
                tool.read_model(bad)
        pieces = tokenizer_bytes()
        for bad in (b"", pieces[:-1], pieces + b"\0"):
            with self.assertRaises(ValueError):
                tool.read_pieces(bad, VOCABULARY)

    def test_command(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "model.bin").write_bytes(model_bytes(True))
            (folder / "tok.bin").write_bytes(tokenizer_bytes())
            script = pathlib.Path(__file__).with_name("llama2c_to_hf.py")
            command = [sys.executable, script, folder / "model.bin", folder / "tok.bin"]
            subprocess.run([*command, folder / "out"], check=True)
            config = json.loads((folder / "out" / "config.json").read_text())
            self.assertEqual(config["architectures"], ["LlamaForCausalLM"])
            data = (folder / "out" / "model.safetensors").read_bytes()
            size = struct.unpack_from("<Q", data)[0]
            header = json.loads(data[8:8 + size])
            ends = [entry["data_offsets"][1] for entry in header.values()]
            self.assertEqual(max(ends), len(data) - 8 - size)
            model = (folder / "out" / "tokenizer.model").read_bytes()
            self.assertIn("\u2581".encode(), model)
            self.assertIn(b"<0xFF>", model)
            bad = subprocess.run([*command[:2], folder / "tok.bin", folder / "tok.bin", folder],
                                 capture_output=True, check=False)
            self.assertEqual(bad.returncode, 1)
            self.assertIn(b"llama2c_to_hf.py: ", bad.stderr)


if __name__ == "__main__":
    unittest.main()
