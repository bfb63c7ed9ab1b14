"""SPEC chapters 9 (MODEL) and 14 (LIM): the artifact, its checks and the model root.

Order of the checks: container and spelling (MALFORMED, NOT_CANONICAL, LIMIT_EXCEEDED), scalars of
the configuration (MODEL_INVALID), its lists
and the list of tensors (MALFORMED), then all other ranges (MODEL_INVALID).
"""

from dataclasses import dataclass
from functools import lru_cache

from oracle.encoding import H, INTEGERS, canonical_json, integer, integers, read_canonical, require
from oracle.ops import Gain, Matrix
from oracle.trees import KIND, list_root, tensor_root

DTYPES = {
    "I8": "i8",
    "U8": "u8",
    "U16": "u16",
    "I32": "i32",
    "U32": "u32",
    "I64": "i64",
    "U64": "u64",
}  # MODEL-5
METADATA = ("otr.config", "otr.format", "otr.template", "otr.tokenizer")
FORMAT = "otr-model/1"
SITES = ("attn", "o", "mlp", "down")
NUMBERS = (
    "hidden",
    "heads",
    "kv_heads",
    "head_dim",
    "ffn",
    "layers",
    "vocabulary",
    "context",
    "window",
    "residual_frac_bits",
    "qk_frac_bits",
    "eps",
    "eps_qk",
    "tied",
    "qk_bias",
    "o_bias",
    "qk_norm",
)  # MODEL-3, what the tensor `numbers` begins with

# MODEL-2 scalars with their ranges by MODEL-4 and LIM-1; the upper end of `window` is context - 1.
SCALARS = {
    "context": (1, 131072),
    "eps": (0, 2**40),
    "eps_qk": (0, 2**40),
    "ffn": (1, 65536),
    "head_dim": (2, 256),
    "heads": (1, 256),
    "hidden": (1, 16384),
    "kv_heads": (1, 256),
    "layers": (1, 256),
    "qk_frac_bits": (8, 13),
    "residual_frac_bits": (8, 20),
    "vocabulary": (1, 262144),
    "window": (0, 131071),
}
BOOLEANS = ("o_bias", "qk_bias", "qk_norm", "tied")
MAX_HEADER, MAX_TOKEN_BYTES, MAX_TEMPLATE = 64 << 20, 64 << 20, 1 << 20  # LIM-2
MAX_TOKEN_SIZE = 1024  # MODEL-4


@dataclass
class Tensor:
    dtype: str
    shape: list
    values: list


@dataclass(eq=False)
class Model:
    config: dict
    metadata: dict
    tensors: dict

    def matrix(self, name):
        d = self.tensors[name + ".weight"]
        cols = d.shape[1]
        rows = [d.values[i : i + cols] for i in range(0, len(d.values), cols)]
        return Matrix(rows, self.tensors[name + ".scale"].values, self.config["exponents"][name])

    def gain(self, name):
        return Gain(self.tensors[name + ".gain"].values, self.config["exponents"][name])

    def bias(self, name):
        return self.tensors[name + ".bias"].values if name + ".bias" in self.tensors else None

    def token_bytes(self):
        """MODEL-7."""
        data, at = bytes(self.tensors["tokens.bytes"].values), self.tensors["tokens.offsets"].values
        return [data[at[j] : at[j + 1]] for j in range(len(at) - 1)]

    def text(self, ids):
        """MODEL-7."""
        pieces = self.token_bytes()
        return b"".join(pieces[j] for j in ids)


def numbers(config):
    """MODEL-3: the values of the tensor `numbers`."""
    bits = config["act_bits"]
    by_layer = [bits[site][layer] for layer in range(config["layers"]) for site in SITES]
    return (
        [int(config[name]) for name in NUMBERS]
        + [bits["head"]]
        + by_layer
        + [config["exponents"][name] for name in exponent_names(config)]
        + [len(config["eos_ids"]), *config["eos_ids"]]
    )


def tensor_list(config, token_bytes):
    """MODEL-3: (name, dtype, shape) in order; token_bytes is the length of tokens.bytes."""
    count = len(NUMBERS) + 1 + len(SITES) * config["layers"]
    count += len(exponent_names(config)) + 1 + len(config["eos_ids"])
    return [("numbers", "I64", [count, 1])] + _tensors_after_numbers(config, token_bytes)


def _tensors_after_numbers(config, token_bytes):
    c = config
    d, D, n_ff, V = c["hidden"], c["head_dim"], c["ffn"], c["vocabulary"]
    HD, GD = c["heads"] * D, c["kv_heads"] * D
    out = []

    def matrix(name, rows, cols, bias=False):
        out.append((name + ".weight", "I8", [rows, cols]))
        out.append((name + ".scale", "U16", [rows]))
        if bias:
            out.append((name + ".bias", "I32", [rows]))

    matrix("embed", V, d)
    for layer in range(c["layers"]):
        at = f"layers.{layer}."
        out.append((at + "attn_norm.gain", "I32", [d]))
        matrix(at + "wq", HD, d, c["qk_bias"])
        matrix(at + "wk", GD, d, c["qk_bias"])
        matrix(at + "wv", GD, d)
        if c["qk_norm"]:
            out.append((at + "q_norm.gain", "I32", [D]))
            out.append((at + "k_norm.gain", "I32", [D]))
        matrix(at + "wo", d, HD, c["o_bias"])
        out.append((at + "mlp_norm.gain", "I32", [d]))
        matrix(at + "w_gate", n_ff, d)
        matrix(at + "w_up", n_ff, d)
        matrix(at + "w_down", d, n_ff)
    out.append(("final_norm.gain", "I32", [d]))
    if not c["tied"]:
        matrix("head", V, d)
    return out + [
        ("rope.steps", "U64", [D // 2]),
        ("tokens.offsets", "U32", [V + 1]),
        ("tokens.bytes", "U8", [token_bytes]),
    ]


def exponent_names(config):
    """MODEL-2: the members of `exponents`."""
    names = [name for name, _, _ in _tensors_after_numbers(config, 0)]
    return [name.rsplit(".", 1)[0] for name in names if name.endswith((".weight", ".gain"))]


def header(metadata, entries):
    """MODEL-1: length, JSON and spaces. entries: name -> {data_offsets, dtype, shape}."""
    text = canonical_json({"__metadata__": metadata, **entries})
    text += b" " * (-(8 + len(text)) % 8)
    return integer("u64", len(text)) + text


def write(model):
    """MODEL-1; only the tensors of the model, in its order."""
    entries, data = {}, b""
    for name, tensor in model.tensors.items():
        piece = integers(DTYPES[tensor.dtype], tensor.values)
        entries[name] = {
            "data_offsets": [len(data), len(data) + len(piece)],
            "dtype": tensor.dtype,
            "shape": tensor.shape,
        }
        data += piece
    return header(model.metadata, entries) + data


def _number(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(value, count=None):
    return (
        isinstance(value, list) and all(_number(v) for v in value) and count in (None, len(value))
    )


def _members(value, names, what):
    require(
        isinstance(value, dict) and sorted(value) == sorted(names),
        "MALFORMED",
        f"members of {what}",
    )


def read_config(text):
    c = read_canonical(text.encode("utf-8"))
    _members(c, [*SCALARS, *BOOLEANS, "act_bits", "eos_ids", "exponents"], "otr.config")
    require(all(_number(c[name]) for name in SCALARS), "MALFORMED", "a number")
    require(all(isinstance(c[name], bool) for name in BOOLEANS), "MALFORMED", "a boolean")
    for name, (low, high) in SCALARS.items():
        require(low <= c[name] <= high, "MODEL_INVALID", name)
    require(
        c["heads"] * c["head_dim"] <= 32768 and c["head_dim"] % 2 == 0,
        "MODEL_INVALID",
        "heads, head_dim",
    )
    require(
        c["heads"] % c["kv_heads"] == 0 and c["window"] < c["context"],
        "MODEL_INVALID",
        "kv_heads, window",
    )
    require(c["qk_norm"] or c["eps_qk"] == 0, "MODEL_INVALID", "eps_qk without q/k norms")
    _members(c["act_bits"], [*SITES, "head"], "act_bits")
    require(
        all(_numbers(c["act_bits"][site], c["layers"]) for site in SITES)
        and _number(c["act_bits"]["head"]),
        "MALFORMED",
        "act_bits",
    )
    _members(c["exponents"], exponent_names(c), "exponents")
    require(
        _numbers(c["eos_ids"]) and _numbers(list(c["exponents"].values())), "MALFORMED", "lists"
    )
    bits = sum((c["act_bits"][site] for site in SITES), []) + [c["act_bits"]["head"]]
    require(all(b in (8, 16) for b in bits), "MODEL_INVALID", "act_bits")
    require(
        all(0 <= e <= (22 if name.endswith("_norm") else 33) for name, e in c["exponents"].items()),
        "MODEL_INVALID",
        "exponents",
    )
    require(c["exponents"]["embed"] >= c["residual_frac_bits"], "MODEL_INVALID", "e_E")
    require(
        all(
            e <= c["qk_frac_bits"] + 18
            for name, e in c["exponents"].items()
            if name.endswith((".wq", ".wk"))
        ),
        "MODEL_INVALID",
        "exponents of wq and wk",
    )
    eos = c["eos_ids"]
    require(
        len(eos) <= 16 and all(0 <= i < c["vocabulary"] for i in eos), "MODEL_INVALID", "eos_ids"
    )
    require(all(a < b for a, b in zip(eos, eos[1:])), "MODEL_INVALID", "eos_ids ascend")
    return c


def _read_header(data):
    require(len(data) >= 8, "MALFORMED", "no header length")
    n = int.from_bytes(data[:8], "little")
    require(n <= MAX_HEADER, "LIMIT_EXCEEDED", "header")
    require(8 + n <= len(data), "MALFORMED", "header beyond the file")
    text = data[8 : 8 + n].rstrip(b" ")
    top = read_canonical(text)
    require(n - len(text) == -(8 + len(text)) % 8, "NOT_CANONICAL", "padding")
    return top, data[8 + n :]


def _read_tensors(entries, wanted, data):
    require(
        sorted(entries) == sorted(name for name, _, _ in wanted), "MALFORMED", "names of tensors"
    )
    at, tensors = 0, {}
    for name, dtype, shape in wanted:
        entry, type_name = entries[name], DTYPES[dtype]
        _members(entry, ("data_offsets", "dtype", "shape"), name)
        require(
            entry["dtype"] == dtype and _numbers(entry["shape"]) and entry["shape"] == shape,
            "MALFORMED",
            f"shape of {name}",
        )
        width, signed = INTEGERS[type_name]
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        end = at + width * count
        require(
            _numbers(entry["data_offsets"])
            and entry["data_offsets"] == [at, end]
            and end <= len(data),
            "MALFORMED",
            f"place of {name}",
        )
        values = [
            int.from_bytes(data[i : i + width], "little", signed=signed)
            for i in range(at, end, width)
        ]
        tensors[name] = Tensor(dtype, shape, values)
        at = end
    require(at == len(data), "MALFORMED", "bytes after the last tensor")
    return tensors


def _check_values(name, tensor):
    """MODEL-4, the values of tensors."""
    v = tensor.values
    if tensor.dtype == "I8":
        require(min(v) != -128, "MODEL_INVALID", f"-128 in {name}")
    elif name.endswith(".scale"):
        require(min(v) >= 1 and max(v) <= 4095, "MODEL_INVALID", name)
    elif tensor.dtype == "I32":
        limit = 2**30 if name.endswith("wo.bias") else 2**23 - 1
        require(max(map(abs, v)) <= limit, "MODEL_INVALID", name)


def read(data):
    """MODEL-1 ... MODEL-4, LIM-1, LIM-2."""
    top, data = _read_header(data)
    require(isinstance(top, dict) and "__metadata__" in top, "MALFORMED", "no __metadata__")
    metadata = top.pop("__metadata__")
    _members(metadata, METADATA, "__metadata__")
    require(
        all(isinstance(v, str) for v in metadata.values()) and metadata["otr.format"] == FORMAT,
        "MALFORMED",
        "metadata",
    )
    require(
        len(metadata["otr.template"].encode("utf-8")) <= MAX_TEMPLATE,
        "LIMIT_EXCEEDED",
        "otr.template",
    )
    config = read_config(metadata["otr.config"])
    last = top.get("tokens.bytes")
    good = isinstance(last, dict) and _numbers(last.get("shape"), 1) and last["shape"][0] >= 1
    require(good, "MALFORMED", "tokens.bytes")
    require(last["shape"][0] <= MAX_TOKEN_BYTES, "LIMIT_EXCEEDED", "tokens.bytes")
    tensors = _read_tensors(top, tensor_list(config, last["shape"][0]), data)
    for name, tensor in tensors.items():
        _check_values(name, tensor)
    require(tensors["numbers"].values == numbers(config), "MODEL_INVALID", "numbers")
    offsets = tensors["tokens.offsets"].values
    sizes = [b - a for a, b in zip(offsets, offsets[1:])]
    require(
        all(0 <= size <= MAX_TOKEN_SIZE for size in sizes)
        and offsets[0] == 0
        and offsets[-1] == last["shape"][0],
        "MODEL_INVALID",
        "tokens.offsets",
    )
    return Model(config, metadata, tensors)


def roots_of_tensors(model):
    """MODEL-5: (name, root)."""
    out = []
    for name, t in model.tensors.items():
        rows, cols = t.shape if len(t.shape) == 2 else (1, t.shape[0])
        out.append((name, tensor_root(KIND["model tensor"], DTYPES[t.dtype], rows, cols, t.values)))
    return out


def documents(model):
    """MODEL-6: the hashes of configuration, tokeniser and template."""
    m = model.metadata
    return [
        H(tag, m[name].encode("utf-8"))
        for tag, name in (
            ("OTR.conf", "otr.config"),
            ("OTR.toks", "otr.tokenizer"),
            ("OTR.tmpl", "otr.template"),
        )
    ]


@lru_cache(64)
def model_root(model):
    """MODEL-6."""
    return list_root(
        KIND["model"], documents(model) + [root for _, root in roots_of_tensors(model)]
    )
