"""SPEC chapter 10 (TRACE)."""

from oracle.encoding import H, integer
from oracle.tables import spec_hash
from oracle.trees import KIND, list_root, tensor_root


def token_root(ids):
    """TRACE-1, and REQ-4 for a prompt alone."""
    return tensor_root(KIND["token ids"], "u32", len(ids), 1, ids)


def _head_root(kind, type_name, rows):
    """TRACE-2: the row and then its exponent."""
    values = [v for row, exponent in rows for v in [*row, exponent]]
    return tensor_root(KIND[kind], type_name, len(rows), len(rows[0][0]) + 1, values)


def layer_roots(layer):
    """TRACE-2 and TRACE-3: K roots, V roots, residual root."""
    k = [_head_root("K", "i16", rows) for rows in layer.k_rows]
    v = [_head_root("V", "i8", rows) for rows in layer.v_rows]
    rows = layer.residual_rows
    return (
        k,
        v,
        tensor_root(
            KIND["residual"], "i32", len(rows), len(rows[0]), [x for row in rows for x in row]
        ),
    )


def bias_hash(bias):
    """The logit bias in TRACE-4."""
    return H("OTR.bias", *(integer("u32", j) + integer("i32", v) for j, v in bias))


def header(model_root, n_prompt, n_out, mode, s):
    """TRACE-4; s are the sampling parameters."""
    return H(
        "OTR.head",
        spec_hash(),
        integer("u8", 0),
        model_root,
        integer("u8", 1),
        integer("u32", n_prompt),
        integer("u32", n_out),
        integer("u8", mode),
        integer("u32", s.inv_t),
        integer("u32", s.top_k),
        integer("u32", s.top_p),
        integer("u32", s.min_p),
        integer("i32", s.presence),
        integer("i32", s.frequency),
        s.seed,
        bias_hash(s.logit_bias),
    )


def leaves(execution, model_root, mode=0):
    """TRACE-5: the hashes under the trace root."""
    e = execution
    assert all(len(layer.residual_rows) == len(e.tokens) - 1 for layer in e.machine.layers)
    out = [header(model_root, e.n_prompt, len(e.output), mode, e.sampling), token_root(e.tokens)]
    for layer in e.machine.layers:
        k, v, residual = layer_roots(layer)
        for pair in zip(k, v):
            out.extend(pair)
        out.append(residual)
    return out


def root(hashes):
    """TRACE-5."""
    return list_root(KIND["trace"], hashes)


def leaf_count(layers, kv_heads):
    """TRACE-5."""
    return 2 + layers * (2 * kv_heads + 1)


ORDER = {"K": 0, "V": 1, "residual": 2}


def first_divergence(differing):
    """TRACE-6: the least of differing leaves {t, kind, layer, head, tile}; a token leaf has only t
    and kind."""

    def order(leaf):
        if leaf["kind"] == "token":
            return (leaf["t"], -1)
        return (leaf["t"], leaf["layer"], ORDER[leaf["kind"]], leaf["head"], leaf["tile"])

    return min(differing, key=order)
