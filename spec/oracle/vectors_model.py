"""Artifacts (chapter 9). Accepted: in {file} out {model_root, config, tokenizer, template (the
hashes under the root), tensors: [[name, root], ...]}.
Refused or accepted variants: in {file, splices: [{at, remove, insert (hexadecimal), times}]}: for
each splice in order, at byte `at` of the file as it is then,
remove `remove` bytes and insert `insert` `times` times. MODEL-7: in {file, ids} out {text: bytes in
hexadecimal}."""

from dataclasses import replace

from oracle import artifact, tiny
from oracle.artifact import Tensor
from oracle.case import accept, refused
from oracle.encoding import Reject, canonical_json, hexa, integer

BASE = "tiny_norm"


def files():
    return {name + ".safetensors": tiny.data(name) for name in tiny.MODELS}


def _splice(at, remove, insert, times=1):
    return {"at": at, "remove": remove, "insert": hexa(insert), "times": times}


def _apply(data, splices):
    for s in splices:
        data = (
            data[: s["at"]]
            + bytes.fromhex(s["insert"][2:]) * s["times"]
            + data[s["at"] + s["remove"] :]
        )
    return data


def _difference(at, old, new):
    """The splice that turns old, which stands at `at`, into new; none where they are equal."""
    if old == new:
        return []
    a = next((i for i, (x, y) in enumerate(zip(old, new)) if x != y), min(len(old), len(new)))
    b = next(
        (
            i
            for i, (x, y) in enumerate(
                zip(old[: a - 1 : -1] if a else old[::-1], new[: a - 1 : -1] if a else new[::-1])
            )
            if x != y
        ),
        min(len(old), len(new)) - a,
    )
    return [_splice(at + a, len(old) - a - b, new[a : len(new) - b])]


def _parts(data):
    n = int.from_bytes(data[:8], "little")
    return data[:8], data[8 : 8 + n], data[8 + n :]


def _pieces(data):
    """Length, JSON, padding and data, so that a short change gives short splices."""
    size, text, body = _parts(data)
    json_text = text.rstrip(b" ")
    return size, json_text, text[len(json_text) :], body


def _splices(new, model=BASE):
    """The splices that turn the model's file into `new`, from the end of the file on."""
    base, splices = tiny.data(model), []
    at = len(base)
    for old, part in reversed(list(zip(_pieces(base), _pieces(new)))):
        at -= len(old)
        splices += _difference(at, old, part)
    return splices


def _variant(name, code, new, model=BASE, rule="MODEL-4"):
    """A case for the bytes `new`."""
    return _spliced(name, code, _splices(new, model), model, rule, new)


def _spliced(name, code, splices, model=BASE, rule="MODEL-1", expected=None):
    base = tiny.data(model)
    data = _apply(base, splices)
    assert expected is None or data == expected, name
    inputs = {"file": model + ".safetensors", "splices": splices}
    if code is None:
        return accept(
            rule, name, inputs, {"model_root": hexa(artifact.model_root(artifact.read(data)))}
        )
    return refused(
        rule,
        name,
        inputs,
        code,
        lambda: {"model_root": hexa(artifact.model_root(artifact.read(data)))},
    )


# --- edits of the model behind the bytes
# --------------------------------------------------------------------


def _with_config(base=BASE, **changes):
    """The artifact with other members of its configuration, the numbers that follow from a valid
    one, and the same other tensors."""
    model = tiny.model(base)
    config = {k: v for k, v in {**model.config, **changes}.items() if v is not ...}
    text, tensors = canonical_json(config).decode(), dict(model.tensors)
    try:
        values = artifact.numbers(artifact.read_config(text))
        tensors["numbers"] = Tensor("I64", [len(values), 1], values)
    except Reject:
        pass
    return artifact.write(
        replace(
            model,
            config=config,
            metadata=dict(model.metadata, **{"otr.config": text}),
            tensors=tensors,
        )
    )


def _with_values(name, at, value):
    """The artifact with one value of one tensor changed."""
    model = tiny.model(BASE)
    t = model.tensors[name]
    values = list(t.values)
    values[at] = value
    return artifact.write(
        replace(model, tensors={**model.tensors, name: Tensor(t.dtype, t.shape, values)})
    )


def _with_entries(edit):
    """The artifact with an edited header, lengths and padding being right."""
    data = tiny.data(BASE)
    _, text, body = _parts(data)
    top = artifact.read_canonical(text.rstrip(b" "))
    metadata = top.pop("__metadata__")
    edit(metadata, top)
    return artifact.header(metadata, top) + body


def _with_header(edit):
    """The artifact with other header bytes: edit maps the JSON text (without padding) to
    another."""
    _, text, body = _parts(tiny.data(BASE))
    new = edit(text.rstrip(b" "))
    new += b" " * (-(8 + len(new)) % 8)
    return integer("u64", len(new)) + new + body


def _with_last_token(size):
    """The artifact whose last token, which is empty, has `size` bytes instead."""
    model = tiny.model(BASE)
    offsets, data = (model.tensors[name].values for name in ("tokens.offsets", "tokens.bytes"))
    assert offsets[-2] == offsets[-1] == len(data)
    changed = {
        "tokens.offsets": Tensor("U32", [len(offsets)], offsets[:-1] + [len(data) + size]),
        "tokens.bytes": Tensor("U8", [len(data) + size], data + [97] * size),
    }
    return artifact.write(replace(model, tensors={**model.tensors, **changed}))


def _range_cases():
    out = []
    for name, changes in (
        ("hidden", {"hidden": 16385}),
        ("ffn", {"ffn": 65537}),
        ("context", {"context": 131073}),
        ("vocabulary", {"vocabulary": 262145}),
        ("layers", {"layers": 257}),
        ("heads", {"heads": 258, "kv_heads": 2}),
        ("head_dim", {"head_dim": 258}),
        ("head_dim of 0", {"head_dim": 0}),
        ("HD", {"heads": 256, "head_dim": 130}),
        ("window not below context", {"window": 64}),
        ("hidden of 0", {"hidden": 0}),
        ("layers of 0", {"layers": 0}),
        ("ffn of 0", {"ffn": 0}),
        ("vocabulary of 0", {"vocabulary": 0}),
        ("context of 0", {"context": 0}),
        ("heads of 0", {"heads": 0}),
        ("kv_heads of 0", {"kv_heads": 0}),
        ("negative hidden", {"hidden": -1}),
        ("hidden of 2^64 - 1", {"hidden": 2**64 - 1}),
        ("hidden of 2^32 + 16", {"hidden": 2**32 + 16}),
        ("negative window", {"window": -1}),
    ):
        out.append(_variant("limit: " + name, "MODEL_INVALID", _with_config(**changes)))
    exponents = tiny.model(BASE).config["exponents"]
    for name, changes in (
        ("odd head_dim", {"head_dim": 15}),
        ("kv_heads does not divide heads", {"heads": 3, "kv_heads": 2}),
        ("more kv_heads than heads", {"kv_heads": 4}),
        ("residual_frac_bits of 7", {"residual_frac_bits": 7}),
        ("residual_frac_bits of 21", {"residual_frac_bits": 21}),
        ("qk_frac_bits of 7", {"qk_frac_bits": 7}),
        ("qk_frac_bits of 14", {"qk_frac_bits": 14}),
        ("eps above 2^40", {"eps": 2**40 + 1}),
        ("negative eps", {"eps": -1}),
        ("eps_qk above 2^40", {"eps_qk": 2**40 + 1}),
        ("eos_ids descend", {"eos_ids": [5, 3]}),
        ("eos_ids repeat", {"eos_ids": [3, 3]}),
        ("eos id of V", {"eos_ids": [270]}),
        ("negative eos id", {"eos_ids": [-1]}),
        ("17 eos_ids", {"eos_ids": list(range(17))}),
        ("act_bits of 12", {"act_bits": dict(tiny.model(BASE).config["act_bits"], o=[8, 12, 8])}),
        ("head act_bits of 0", {"act_bits": dict(tiny.model(BASE).config["act_bits"], head=0)}),
        ("exponent of a weight of 34", {"exponents": dict(exponents, **{"layers.1.wo": 34})}),
        ("e_E of 34", {"exponents": dict(exponents, embed=34)}),
        ("negative exponent", {"exponents": dict(exponents, **{"layers.1.wo": -1})}),
        ("exponent of wq of F_q + 19", {"exponents": dict(exponents, **{"layers.2.wq": 30})}),
        ("exponent of wk of F_q + 19", {"exponents": dict(exponents, **{"layers.0.wk": 30})}),
        (
            "exponent of wk of F_q + 19 at the greatest F_q",
            {"qk_frac_bits": 13, "exponents": dict(exponents, **{"layers.0.wk": 32})},
        ),
        ("exponent of a gain of 23", {"exponents": dict(exponents, final_norm=23)}),
        ("e_E below F_x", {"exponents": dict(exponents, embed=13)}),
    ):
        out.append(_variant(name, "MODEL_INVALID", _with_config(**changes)))
    out.append(
        _variant(
            "eps_qk without q/k norms",
            "MODEL_INVALID",
            _with_config("tiny_gqa", eps_qk=1),
            "tiny_gqa",
        )
    )
    for name, changes in (
        ("16 eos_ids", {"eos_ids": list(range(16))}),
        ("no eos_ids", {"eos_ids": []}),
        ("window of C - 1", {"window": 63}),
        ("e_E = F_x", {"exponents": dict(exponents, embed=14)}),
        (
            "exponents of wq and wk of F_q + 18",
            {"exponents": dict(exponents, **{"layers.2.wq": 29, "layers.0.wk": 29})},
        ),
        (
            "exponents of wq and wk of F_q + 18 at the greatest F_q",
            {
                "qk_frac_bits": 13,
                "exponents": dict(exponents, **{"layers.2.wq": 31, "layers.0.wk": 31}),
            },
        ),
        (
            "greatest exponents",
            {
                "exponents": dict(
                    exponents,
                    **{"layers.1.wo": 33, "embed": 33, "final_norm": 22, "layers.0.q_norm": 0},
                )
            },
        ),
        ("eps of 2^40", {"eps": 2**40, "eps_qk": 0}),
        ("context of 131072", {"context": 131072}),
    ):
        out.append(_variant("accepted: " + name, None, _with_config(**changes)))
    return out


def _value_cases():
    out, right = [], tiny.model(BASE).tensors["numbers"].values
    for at, value in (
        (0, right[0] + 1),
        (4, -right[4]),
        (9, right[9] + 2**32),
        (11, right[11] - 1),
        (13, 0),
        (17, 16),
        (18, 8),
        (19, 16),
        (30, right[30] + 1),
        (len(right) - 3, right[-3] + 1),
        (len(right) - 2, 0),
        (len(right) - 1, right[-1] + 1),
        (len(right) - 1, -(2**63)),
    ):
        out.append(
            _variant(
                f"numbers[{at}] = {value}",
                "MODEL_INVALID",
                _with_values("numbers", at, value),
                rule="MODEL-3",
            )
        )
    for tensor, at, value in (
        ("embed.weight", 5, -128),
        ("layers.2.w_down.weight", 639, -128),
        ("embed.scale", 0, 0),
        ("embed.scale", 269, 4096),
        ("layers.0.wv.scale", 3, 65535),
        ("layers.1.attn_norm.gain", 2, 2**23),
        ("layers.1.q_norm.gain", 15, -(2**23)),
        ("final_norm.gain", 0, 2**31 - 1),
        ("final_norm.gain", 15, -(2**31)),
        ("tokens.offsets", 0, 1),
        ("tokens.offsets", 9, 7),
        ("tokens.offsets", 100, 2**32 - 1),
        ("tokens.offsets", 270, 0),
    ):
        out.append(
            _variant(f"{tensor}[{at}] = {value}", "MODEL_INVALID", _with_values(tensor, at, value))
        )
    length = tiny.model(BASE).tensors["tokens.bytes"].shape[0]
    for off in (-1, 1):
        out.append(
            _variant(
                f"tokens.offsets end at n {off:+}",
                "MODEL_INVALID",
                _with_values("tokens.offsets", 270, length + off),
            )
        )
    for tensor, at, value in (
        ("embed.weight", 5, -127),
        ("embed.scale", 0, 1),
        ("embed.scale", 0, 4095),
        ("layers.1.attn_norm.gain", 2, 2**23 - 1),
        ("tokens.offsets", 9, 10),
        ("tokens.offsets", 9, 8),
        ("layers.1.q_norm.gain", 15, -(2**23) + 1),
        ("rope.steps", 0, 2**64 - 1),
        ("tokens.bytes", 0, 255),
    ):
        old = tiny.model(BASE).tensors[tensor].values[at]
        if old != value:
            out.append(
                _variant(
                    f"accepted: {tensor}[{at}] = {value}", None, _with_values(tensor, at, value)
                )
            )
    out.append(_variant("accepted: token of 1024 bytes", None, _with_last_token(1024)))
    out.append(_variant("token of 1025 bytes", "MODEL_INVALID", _with_last_token(1025)))
    for bias, at, value in (
        ("layers.0.wq.bias", 0, 2**23),
        ("layers.1.wk.bias", 7, -(2**23)),
        ("layers.0.wo.bias", 31, 2**30 + 1),
        ("layers.1.wo.bias", 0, -(2**30) - 1),
    ):
        out.append(_biased(f"{bias}[{at}] = {value}", "MODEL_INVALID", bias, at, value))
    out.append(_biased("accepted: bias of o of 2^30", None, "layers.0.wo.bias", 1, 2**30))
    return out


def _biased(name, code, tensor, at, value):
    model = tiny.model("tiny_bias")
    t = model.tensors[tensor]
    values = list(t.values)
    values[at] = value
    return _variant(
        name,
        code,
        artifact.write(
            replace(model, tensors={**model.tensors, tensor: Tensor(t.dtype, t.shape, values)})
        ),
        "tiny_bias",
    )


def _config_cases():
    c = tiny.model(BASE).config
    out = []
    for name, changes in (
        ("member missing", {"eps": ...}),
        ("unknown member", {"extra": 1}),
        ("number as string", {"eps": "1"}),
        ("boolean as number", {"tied": 1}),
        ("number as boolean", {"window": False}),
        ("null", {"layers": None}),
        ("act_bits too short", {"act_bits": dict(c["act_bits"], o=[8, 8])}),
        ("act_bits too long", {"act_bits": dict(c["act_bits"], mlp=[8] * 4)}),
        (
            "act_bits without head",
            {"act_bits": {k: v for k, v in c["act_bits"].items() if k != "head"}},
        ),
        (
            "exponent missing",
            {"exponents": {k: v for k, v in c["exponents"].items() if k != "embed"}},
        ),
        ("exponent of a tensor that is not there", {"exponents": dict(c["exponents"], head=18)}),
        ("exponents as list", {"exponents": list(c["exponents"].values())}),
        ("eos_ids as number", {"eos_ids": 3}),
        ("eos id as string", {"eos_ids": ["3"]}),
        ("config says more layers", {"layers": 4}),
    ):
        out.append(
            _variant("config: " + name, "MALFORMED", _with_config(**changes), rule="MODEL-2")
        )

    def config_text(edit):
        def change(metadata, _):
            metadata["otr.config"] = edit(metadata["otr.config"])

        return _with_entries(change)

    for name, code, edit in (
        ("space", "NOT_CANONICAL", lambda s: s.replace(",", ", ", 1)),
        ("float", "NOT_CANONICAL", lambda s: s.replace('"eps":4096', '"eps":4096.0')),
        (
            "member twice",
            "NOT_CANONICAL",
            lambda s: s.replace('"eps":4096', '"eps":4096,"eps":4096'),
        ),
        ("final line feed", "NOT_CANONICAL", lambda s: s + "\n"),
        (
            "number below -2^63",
            "NOT_CANONICAL",
            lambda s: s.replace('"eps":4096', '"eps":-9223372036854775809'),
        ),
        ("truncated", "MALFORMED", lambda s: s[:-1]),
        ("empty", "MALFORMED", lambda s: ""),
        ("array", "MALFORMED", lambda s: "[]"),
    ):
        out.append(_variant("config: " + name, code, config_text(edit), rule="MODEL-2"))
    return out


def _tensor_cases():
    """MODEL-3: names, types, shapes and places; every one of them MALFORMED."""
    out = []

    def add(name, edit, tail=b"", code="MALFORMED"):
        out.append(_variant(name, code, _with_entries(edit) + tail, rule="MODEL-3"))

    def entry(name, **changes):
        def edit(_, top):
            top[name] = {k: v for k, v in {**top[name], **changes}.items() if v is not ...}

        return edit

    def rename(old, new):
        def edit(_, top):
            top[new] = top.pop(old)

        return edit

    top = artifact.read_canonical(_parts(tiny.data(BASE))[1].rstrip(b" "))
    a, b = top["tokens.bytes"]["data_offsets"]
    add("numbers as one row", entry("numbers", shape=[1, 67]))
    add("numbers without the second size", entry("numbers", shape=[67]))
    add("numbers without eos_ids", entry("numbers", shape=[65, 1]))
    add("numbers as U64", entry("numbers", dtype="U64"))

    def without_numbers(_, t):
        first = t.pop("numbers")["data_offsets"][1]
        for tensor in t.values():
            tensor["data_offsets"] = [at - first for at in tensor["data_offsets"]]

    no_numbers = _parts(_with_entries(without_numbers))
    out.append(
        _variant(
            "no numbers",
            "MALFORMED",
            no_numbers[0] + no_numbers[1] + no_numbers[2][536:],
            rule="MODEL-3",
        )
    )
    add("tensor missing", lambda _, t: t.pop("layers.2.q_norm.gain"))
    add(
        "additional tensor at the end",
        lambda _, t: t.update(zzz={"data_offsets": [b, b + 1], "dtype": "U8", "shape": [1]}),
        b"\x00",
    )
    add(
        "additional empty tensor",
        lambda _, t: t.update(zzz={"data_offsets": [b, b], "dtype": "U8", "shape": [0]}),
    )
    add(
        "additional bias",
        lambda _, t: t.update(
            {"layers.0.wq.bias": {"data_offsets": [b, b + 128], "dtype": "I32", "shape": [32]}}
        ),
        bytes(128),
    )
    add("other name", rename("layers.0.wq.scale", "layers.0.wq.scales"))
    add("layer number with a zero", rename("layers.0.wq.scale", "layers.00.wq.scale"))
    add("other dtype", entry("layers.0.wq.weight", dtype="U8"))
    add("other dtype of equal width", entry("final_norm.gain", dtype="F32"))
    add("lower-case dtype", entry("final_norm.gain", dtype="i32"))
    add("dtype is a number", entry("final_norm.gain", dtype=5))
    add("shape transposed", entry("layers.0.wv.weight", shape=[16, 32]))
    add("shape flat", entry("layers.0.wv.weight", shape=[512]))
    add("shape with a one", entry("final_norm.gain", shape=[1, 16]))
    add("shape empty", entry("final_norm.gain", shape=[]))
    add("shape of strings", entry("final_norm.gain", shape=["16"]))
    add("shape negative", entry("tokens.bytes", shape=[-1]))
    add("shape whose product wraps", entry("layers.0.wv.weight", shape=[2**63, 2**63]))
    add("shape of tokens.bytes longer than its data", entry("tokens.bytes", shape=[b - a + 1]))
    add("shape of tokens.bytes missing", entry("tokens.bytes", shape=...))
    add("data_offsets missing", entry("final_norm.gain", data_offsets=...))
    add("unknown member of a tensor", entry("final_norm.gain", extra=0))
    add("data_offsets of three", entry("tokens.bytes", data_offsets=[a, b, b]))
    add("data_offsets swapped", entry("tokens.bytes", data_offsets=[b, a]))
    add("data_offsets negative", entry("tokens.bytes", data_offsets=[-1, b]))
    add(
        "data_offsets beyond the file",
        entry("tokens.bytes", data_offsets=[a, b + 1], shape=[b - a + 1]),
    )
    add("data_offsets that wrap", entry("tokens.bytes", data_offsets=[a, 2**64 - 1]))
    add("overlap", entry("tokens.bytes", data_offsets=[a - 1, b - 1]))
    add("gap", entry("tokens.bytes", data_offsets=[a + 1, b + 1]), b"\x00")
    add("byte after the last tensor", lambda _, t: None, b"\x00")
    empty = _with_entries(entry("tokens.bytes", data_offsets=[a, a], shape=[0]))
    out.append(
        _variant("tokens.bytes empty", "MALFORMED", empty[: len(empty) - (b - a)], rule="MODEL-3")
    )
    add("byte missing at the end", entry("tokens.bytes", data_offsets=[a, b - 1]))

    def swap(_, t):
        x, y = t["layers.0.q_norm.gain"], t["layers.0.k_norm.gain"]
        t["layers.0.q_norm.gain"], t["layers.0.k_norm.gain"] = y, x

    add("order of data", swap)
    add("tensor is no object", lambda _, t: t.update({"final_norm.gain": 1}))
    return out


def _container_cases():
    out, base = [], tiny.data(BASE)
    size, text, body = _parts(base)
    n, json_end = len(text), len(text.rstrip(b" "))
    fill = -json_end % 8 or 8
    zeros = [
        _splice(8 + json_end, n - json_end, bytes(fill)),
        _splice(0, 8, integer("u64", json_end + fill)),
    ]
    for name, code, splices in (
        ("empty file", "MALFORMED", [_splice(0, len(base), b"")]),
        ("seven bytes", "MALFORMED", [_splice(7, len(base) - 7, b"")]),
        ("only a header", "MALFORMED", [_splice(8 + n, len(body), b"")]),
        ("header of 0 bytes", "MALFORMED", [_splice(0, 8, bytes(8))]),
        ("header cut", "MALFORMED", [_splice(8 + n // 2, len(base) - 8 - n // 2, b"")]),
        ("last byte cut", "MALFORMED", [_splice(len(base) - 1, 1, b"")]),
        ("trailing byte", "MALFORMED", [_splice(len(base), 0, b"\x00")]),
        (
            "header length beyond the file",
            "MALFORMED",
            [_splice(0, 8, integer("u64", len(base) - 7))],
        ),
        ("header length of 2^26", "MALFORMED", [_splice(0, 8, integer("u64", 2**26))]),
        (
            "header length of 2^26 + 8",
            "LIMIT_EXCEEDED",
            [_splice(0, 8, integer("u64", 2**26 + 8))],
        ),
        ("header length of 2^64 - 1", "LIMIT_EXCEEDED", [_splice(0, 8, b"\xff" * 8)]),
        (
            "header length of 2^64 - 8",
            "LIMIT_EXCEEDED",
            [_splice(0, 8, integer("u64", 2**64 - 8))],
        ),
        ("header shorter by 8", "MALFORMED", [_splice(0, 8, integer("u64", n - 8))]),
        ("header is no JSON", "MALFORMED", [_splice(8, 1, b"x")]),
        ("zero byte as padding", "MALFORMED", zeros),
        (
            "eight more spaces",
            "NOT_CANONICAL",
            [_splice(0, 8, integer("u64", n + 8)), _splice(8 + n, 0, b" ", 8)],
        ),
        (
            "one more space",
            "NOT_CANONICAL",
            [_splice(0, 8, integer("u64", n + 1)), _splice(8 + n, 0, b" ")],
        ),
    ):
        out.append(
            _spliced(
                name,
                code,
                splices,
                rule=["MODEL-1", "LIM-2"] if code == "LIMIT_EXCEEDED" else "MODEL-1",
            )
        )
    for name, code, edit in (
        ("space in the header", "NOT_CANONICAL", lambda s: s.replace(b",", b", ", 1)),
        ("space before the header", "NOT_CANONICAL", lambda s: b" " + s),
        (
            "member twice",
            "NOT_CANONICAL",
            lambda s: s.replace(b'"dtype":"I8"', b'"dtype":"I8","dtype":"I8"', 1),
        ),
        (
            "order of members",
            "NOT_CANONICAL",
            lambda s: s.replace(
                b'"dtype":"I8","shape":[270,16]', b'"shape":[270,16],"dtype":"I8"', 1
            ),
        ),
        ("order of tensors", "NOT_CANONICAL", lambda s: b'{"zzz":1,' + s[1:]),
        ("float offset", "NOT_CANONICAL", lambda s: s.replace(b"[0,536]", b"[0.0,536]", 1)),
        ("exponent offset", "NOT_CANONICAL", lambda s: s.replace(b"[0,536]", b"[0,536e0]", 1)),
        ("escaped letter", "NOT_CANONICAL", lambda s: s.replace(b'"I8"', b'"\\u00498"', 1)),
        ("header is an array", "MALFORMED", lambda s: b"[" + s + b"]"),
        ("two headers", "MALFORMED", lambda s: s + b"{}"),
        ("ill-formed UTF-8", "MALFORMED", lambda s: s.replace(b"{user}", b"\xff\xff\xff", 1)),
        ("deep header", "NOT_CANONICAL", lambda s: b"[" * 70 + b"]" * 70),
    ):
        assert edit(text.rstrip(b" ")) != text.rstrip(b" "), name
        out.append(_variant(name, code, _with_header(edit), rule=["MODEL-1", "ENC-4"]))
    for name, edit in (
        ("metadata missing", lambda m, t: m.clear()),
        ("metadata without template", lambda m, t: m.pop("otr.template")),
        ("additional metadata", lambda m, t: m.update(format="pt")),
        ("metadata number", lambda m, t: m.update({"otr.template": 5})),
        ("other format", lambda m, t: m.update({"otr.format": "otr-model/2"})),
    ):
        out.append(_variant(name, "MALFORMED", _with_entries(edit), rule="MODEL-1"))
    return out + _large_cases(size, text, body)


def _large_cases(size, text, body):
    """LIM-2 with splices that insert one byte many times."""
    out = []
    at = 8 + text.index(b"{user}")
    for template in (1 << 20, (1 << 20) + 1):
        more = template - len("{user}\n{assistant}")
        stripped = text.rstrip(b" ")
        length = len(stripped) + more
        padded = length + -(8 + length) % 8
        splices = [
            _splice(8 + len(stripped), len(text) - len(stripped), b" ", padded - length),
            _splice(at, 0, b"a", more),
            _splice(0, 8, integer("u64", padded)),
        ]
        out.append(
            _spliced(
                f"template of {template} bytes",
                None if template == 1 << 20 else "LIMIT_EXCEEDED",
                splices,
                rule="LIM-2",
            )
        )
    a = artifact.read_canonical(text.rstrip(b" "))["tokens.bytes"]["data_offsets"][0]
    more = (64 << 20) + 1 - (len(body) - a)

    def edit(_, top):
        top["tokens.bytes"].update(data_offsets=[a, a + (64 << 20) + 1], shape=[(64 << 20) + 1])

    header_only = _with_entries(edit)
    splices = [_splice(8 + len(text) + len(body), 0, b"a", more)] + _splices(header_only)
    out.append(
        _spliced("tokens.bytes of 64 MiB and one byte", "LIMIT_EXCEEDED", splices, rule="LIM-2")
    )
    return out


def _accepted():
    out = []
    for name in tiny.MODELS:
        model = tiny.model(name)
        documents = dict(
            zip(("config", "tokenizer", "template"), map(hexa, artifact.documents(model)))
        )
        tensors = [[tensor, hexa(root)] for tensor, root in artifact.roots_of_tensors(model)]
        out.append(
            accept(
                ["MODEL-1", "MODEL-2", "MODEL-3", "MODEL-4", "MODEL-5", "MODEL-6"],
                name,
                {"file": name + ".safetensors"},
                {"model_root": hexa(tiny.root(name)), **documents, "tensors": tensors},
            )
        )
    for name, ids in (
        ("tiny_gqa", [72, 105, 256, 299, 257, 0, 255, 298]),
        ("tiny_gqa", []),
        ("tiny_gqa", [0xE2, 0x82, 0xAC, 0xE2, 0x82]),
    ):
        out.append(
            accept(
                "MODEL-7",
                "text",
                {"file": name + ".safetensors", "ids": ids},
                {"text": hexa(tiny.model(name).text(ids))},
            )
        )
    return out


def cases():
    return (
        _accepted()
        + _range_cases()
        + _value_cases()
        + _config_cases()
        + _tensor_cases()
        + _container_cases()
    )
