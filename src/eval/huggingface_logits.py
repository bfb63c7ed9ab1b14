#!/usr/bin/env python3
"""Logits of a Hugging Face Llama, Mistral, Qwen2 or Qwen3 folder, for tests of the C++ reference.

Usage: huggingface_logits.py folder id...

Prints one line of logits for each token. It reads config.json and model.safetensors (F32) and
follows the published formulas with Python floats, slowly, without any of the code under test.
"""

import json
import math
import pathlib
import struct
import sys


def read_tensors(path):
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            flat = struct.unpack(f"<{(end - begin) // 4}f", data[8 + size + begin:8 + size + end])
            cols = entry["shape"][-1]
            rows = [flat[at:at + cols] for at in range(0, len(flat), cols)]
            tensors[name] = rows if len(entry["shape"]) == 2 else flat
    return tensors


def llama3_frequencies(frequencies, rule):
    context = rule["original_max_position_embeddings"]
    low_wavelength = context / rule["low_freq_factor"]
    high_wavelength = context / rule["high_freq_factor"]
    out = []
    for f in frequencies:
        wavelength = 2 * math.pi / f
        if wavelength < high_wavelength:
            out.append(f)
        elif wavelength > low_wavelength:
            out.append(f / rule["factor"])
        else:
            smooth = (context / wavelength - rule["low_freq_factor"]) / \
                (rule["high_freq_factor"] - rule["low_freq_factor"])
            out.append((1 - smooth) * f / rule["factor"] + smooth * f)
    return out


def yarn_frequencies(frequencies, rule, theta, head_dim):
    context, factor = rule["original_max_position_embeddings"], rule["factor"]

    def dimension(turns):
        return head_dim * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(dimension(rule.get("beta_fast", 32))), 0)
    high = min(math.ceil(dimension(rule.get("beta_slow", 1))), head_dim - 1)
    if low == high:
        high += 0.001
    out = []
    for i, f in enumerate(frequencies):
        ramp = min(max((i - low) / (high - low), 0), 1)
        out.append(f / factor * ramp + f * (1 - ramp))
    return out


def rope(config, head_dim):
    """(frequency of each pair, factor of cosine and sine)."""
    theta = config.get("rope_theta", 10000.0)
    frequencies = [1 / theta ** (2 * i / head_dim) for i in range(head_dim // 2)]
    rule = config.get("rope_scaling") or {"rope_type": "default"}
    kind = rule["rope_type"]
    if kind == "linear":
        return [f / rule["factor"] for f in frequencies], 1
    if kind == "llama3":
        return llama3_frequencies(frequencies, rule), 1
    if kind == "yarn":
        return (yarn_frequencies(frequencies, rule, theta, head_dim),
                0.1 * math.log(rule["factor"]) + 1)
    assert kind == "default", kind
    return frequencies, 1


def window_of(config):
    architecture = config["architectures"][0]
    if architecture.startswith("Qwen") and not config.get("use_sliding_window"):
        return None
    return None if architecture.startswith("Llama") else config.get("sliding_window")


def multiply(rows, x):
    return [math.fsum(w * v for w, v in zip(row, x)) for row in rows]


def rms_norm(x, gain, eps):
    root = math.sqrt(math.fsum(v * v for v in x) / len(x) + eps)
    return [v / root * g for v, g in zip(x, gain)]


class Model:
    def __init__(self, folder):
        self.config = config = json.loads((folder / "config.json").read_text())
        self.tensors = read_tensors(folder / "model.safetensors")
        self.eps = config["rms_norm_eps"]
        self.heads = config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads", self.heads)
        self.head_dim = config.get("head_dim") or config["hidden_size"] // self.heads
        self.frequencies, self.rope_factor = rope(config, self.head_dim)
        self.window = window_of(config)
        self.cache = [([], []) for _ in range(config["num_hidden_layers"])]

    def linear(self, name, x):
        y = multiply(self.tensors[name + ".weight"], x)
        bias = self.tensors.get(name + ".bias")
        return [v + b for v, b in zip(y, bias)] if bias else y

    def split_heads(self, prefix, name, x):
        y = self.linear(f"{prefix}{name}_proj", x)
        heads = [y[at:at + self.head_dim] for at in range(0, len(y), self.head_dim)]
        gain = self.tensors.get(f"{prefix}{name}_norm.weight")
        return [rms_norm(head, gain, self.eps) for head in heads] if gain else heads

    def rotate(self, head, position):
        half = self.head_dim // 2
        turned = [-v for v in head[half:]] + head[:half]  # rotate_half
        angles = [position * f for f in self.frequencies] * 2
        return [(v * math.cos(a) + w * math.sin(a)) * self.rope_factor
                for v, w, a in zip(head, turned, angles)]

    def attention(self, prefix, layer, x, position):
        keys, values = self.cache[layer]
        keys.append([self.rotate(k, position) for k in self.split_heads(prefix, "k", x)])
        values.append(self.split_heads(prefix, "v", x))
        first = max(0, position - self.window + 1) if self.window else 0
        out = []
        for h, q in enumerate(self.split_heads(prefix, "q", x)):
            q = self.rotate(q, position)
            g = h // (self.heads // self.kv_heads)
            scores = [math.fsum(a * b for a, b in zip(q, keys[u][g])) / math.sqrt(self.head_dim)
                      for u in range(first, position + 1)]
            weights = [math.exp(s - max(scores)) for s in scores]
            total = math.fsum(weights)
            for j in range(self.head_dim):
                out.append(math.fsum(w * values[first + i][g][j] for i, w in enumerate(weights))
                           / total)
        return self.linear(prefix + "o_proj", out)

    def feed_forward(self, prefix, x):
        gate = self.linear(prefix + "gate_proj", x)
        up = self.linear(prefix + "up_proj", x)
        return self.linear(prefix + "down_proj",
                           [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)])

    def logits(self, token, position):
        x = list(self.tensors["model.embed_tokens.weight"][token])
        for layer in range(len(self.cache)):
            prefix = f"model.layers.{layer}."
            a = rms_norm(x, self.tensors[prefix + "input_layernorm.weight"], self.eps)
            x = [v + w for v, w in
                 zip(x, self.attention(prefix + "self_attn.", layer, a, position))]
            a = rms_norm(x, self.tensors[prefix + "post_attention_layernorm.weight"], self.eps)
            x = [v + w for v, w in zip(x, self.feed_forward(prefix + "mlp.", a))]
        x = rms_norm(x, self.tensors["model.norm.weight"], self.eps)
        tied = self.config["tie_word_embeddings"]
        return self.linear("model.embed_tokens" if tied else "lm_head", x)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.split("\n\n")[1])
    model = Model(pathlib.Path(sys.argv[1]))
    for position, token in enumerate(map(int, sys.argv[2:])):
        print(*(f"{value:.9g}" for value in model.logits(token, position)))


if __name__ == "__main__":
    main()
