"""The tiny models of spec/vectors/: random weights, scaled so that rows stay in range and answers
vary."""

from functools import lru_cache

from oracle import artifact
from oracle.artifact import Model, Tensor
from oracle.encoding import canonical_json
from oracle.prng import Prng

WORDS = " the| of| and| to| in|er|ing|tion|est|ab|le|qu|ou|th|an|on|st|ra|is|no".split("|")


def _token_bytes(V):
    """256 single bytes, then words of ASCII; the last one is empty, as a marker's would be."""
    out = [bytes([i]) for i in range(min(V, 256))]
    for i in range(256, V):
        number = i - 256
        out.append(
            (
                WORDS[number % 20]
                + ("" if number < 20 else WORDS[number // 20 % 20] + "'" * (number // 400))
            ).encode()
        )
    if V > 256:
        out[-1] = b""
    return out


def _isqrt_shift(n):
    """floor(log2(sqrt n)): how much a sum of n products grows."""
    return (n.bit_length() - 1) // 2


def _exponent(name, c):
    part = name.split(".")[-1]
    if part.endswith("_norm"):
        return 14
    if part in ("embed", "head"):
        return 18
    cols = {"wo": c["heads"] * c["head_dim"], "w_down": c["ffn"]}.get(part, c["hidden"])
    return 18 + _isqrt_shift(cols)


def _values(random, name, dtype, count, c):
    part = name.split(".")[-2:]
    if dtype == "I8":
        return random.list(count, -127, 127)
    if part[1] == "scale":
        return random.list(count, 2000, 4095)
    if part[1] == "gain":
        unit = 2**14 << _isqrt_shift(
            c["head_dim"] if part[0] in ("q_norm", "k_norm") else c["hidden"]
        )
        return [
            v * (1 if random.word() % 8 else -1)
            for v in random.list(count, unit // 2, unit * 3 // 2)
        ]
    if part[1] == "bias":
        return (
            random.list(count, -(2**14), 2**14)
            if part[0] == "wo"
            else random.list(count, -(2**12), 2**12)
        )
    assert name == "rope.steps"
    return [2**64 * 10 // (63 * (3**i)) for i in range(count)]


BASE = {
    "context": 64,
    "eos_ids": [],
    "eps": 1 << 12,
    "eps_qk": 0,
    "ffn": 64,
    "head_dim": 8,
    "heads": 4,
    "hidden": 32,
    "kv_heads": 2,
    "layers": 2,
    "o_bias": False,
    "qk_bias": False,
    "qk_frac_bits": 12,
    "qk_norm": False,
    "residual_frac_bits": 16,
    "tied": True,
    "vocabulary": 300,
    "window": 0,
}

# name -> what differs from BASE, then {site: bits}, then {tensor: change of its exponent}.
MODELS = {
    "tiny_gqa": ({"context": 300, "eos_ids": [7, 299]}, {}, {}),
    "tiny_bias": (
        {
            "kv_heads": 1,
            "qk_bias": True,
            "o_bias": True,
            "tied": False,
            "window": 7,
            "vocabulary": 280,
            "ffn": 48,
        },
        {"down": 8},
        {},
    ),
    "tiny_norm": (
        {
            "hidden": 16,
            "heads": 2,
            "kv_heads": 2,
            "head_dim": 16,
            "layers": 3,
            "ffn": 40,
            "qk_norm": True,
            "eps_qk": 77,
            "residual_frac_bits": 14,
            "qk_frac_bits": 11,
            "vocabulary": 270,
            "eos_ids": [3],
        },
        {"attn": 8, "o": 8, "mlp": 8, "head": 8},
        {},
    ),
    "tiny_wide": (
        {
            "hidden": 8,
            "heads": 2,
            "kv_heads": 1,
            "head_dim": 4,
            "layers": 1,
            "ffn": 4100,
            "vocabulary": 262,
            "context": 32,
        },
        {},
        {},
    ),
    "tiny_long": (
        {
            "hidden": 8,
            "heads": 2,
            "kv_heads": 1,
            "head_dim": 4,
            "layers": 2,
            "ffn": 16,
            "vocabulary": 4200,
            "context": 300,
            "window": 150,
        },
        {},
        {},
    ),
    "tiny_overflow": (
        {
            "hidden": 8,
            "heads": 1,
            "kv_heads": 1,
            "head_dim": 8,
            "layers": 2,
            "ffn": 16,
            "vocabulary": 256,
            "context": 32,
        },
        {},
        {"layers.1.wq": -7},
    ),
}


def configuration(name):
    changes, bits, exponents = MODELS[name]
    c = dict(BASE, **changes)
    c["act_bits"] = {site: [bits.get(site, 16)] * c["layers"] for site in artifact.SITES}
    if name == "tiny_norm":
        c["act_bits"]["attn"] = [16, 8, 16]
    c["act_bits"]["head"] = bits.get("head", 16)
    c["exponents"] = {n: _exponent(n, c) + exponents.get(n, 0) for n in artifact.exponent_names(c)}
    return c


def metadata(c):
    tokenizer = {"add_bos": False, "bos_id": None, "eos_ids": c["eos_ids"], "kind": "bytes"}
    return {
        "otr.config": canonical_json(c).decode(),
        "otr.format": artifact.FORMAT,
        "otr.template": "{user}\n{assistant}",
        "otr.tokenizer": canonical_json(tokenizer).decode(),
    }


@lru_cache(None)
def data(name):
    """The artifact's bytes."""
    c, random = configuration(name), Prng("model " + name)
    pieces = _token_bytes(c["vocabulary"])
    offsets = _offsets(pieces)
    tensors = {}
    for tensor, dtype, shape in artifact.tensor_list(c, offsets[-1]):
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        if tensor == "numbers":
            values = artifact.numbers(c)
        elif tensor == "tokens.offsets":
            values = offsets
        elif tensor == "tokens.bytes":
            values = list(b"".join(pieces))
        else:
            values = _values(random, tensor, dtype, count, c)
        tensors[tensor] = Tensor(dtype, shape, values)
    return artifact.write(Model(c, metadata(c), tensors))


def _offsets(pieces):
    out = [0]
    for piece in pieces:
        out.append(out[-1] + len(piece))
    return out


@lru_cache(None)
def model(name):
    """The model as read back from its bytes."""
    read = artifact.read(data(name))
    assert artifact.write(read) == data(name)
    return read


@lru_cache(None)
def root(name):
    return artifact.model_root(model(name))
