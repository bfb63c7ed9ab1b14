"""The public columns: what the model, the trace and the scalars say, as the circuit names it."""

from oracle import ops
from proof.circuit import width
from proof.rows import angles, half
from proof.shape import Column, offset, zeros


# PT-2: min(first, second - s) bits are what lookups allow a column of this shift s.
WIDE = {"x.r": (34, 63), "x.e": (34, 63), "q.g": (24, 64), "k.g": (24, 64)}


def _sum_over(shape, name):
    return range(shape.size[name])


class Weights:
    """Columns of the model's tensors, layer after layer."""

    def __init__(self, model, shape):
        self.model, self.shape = model, shape

    def layers(self, name, size):
        """The values of a tensor of every layer; zeros stand for an absent bias."""
        for layer in range(self.shape.size["l"]):
            tensor = self.model.tensors.get(f"layers.{layer}.{name}")
            yield tensor.values if tensor else [0] * size

    def stacked(self, name, size=0):
        """A tensor's values of all layers; the row index is its highest dimension."""
        return [v for values in self.layers(name, size) for v in values]

    def halves(self, name, heads, cols, x):
        """Rows h * D + i + x * D / 2 of q's and k's tensors."""
        size = self.shape.size["i"] * cols
        out = []
        for values in self.layers(name, 2 * heads * size):
            for head in range(heads):
                start = (2 * head + x) * size
                out += values[start : start + size]
        return out


def _projection(weights, columns, domain, heads, name):
    count = weights.shape.size[heads]
    for x in (0, 1):
        dims = f"i{heads}l"
        columns[f"{domain}.m{x}"] = Column(dims, weights.halves(name + ".scale", count, 1, x))
        columns[f"{domain}.b{x}"] = Column(dims, weights.halves(name + ".bias", count, 1, x))
        values = weights.halves(name + ".weight", count, weights.shape.size["d"], x)
        columns[f"w_{domain}{x}"] = Column("d" + dims, values)


def _head_gains(weights, columns, domain, name):
    """Elements i + x * D / 2 of the head norm's gain."""
    halfway = weights.shape.size["i"]
    layers = list(weights.layers(name + ".gain", 0))
    for x in (0, 1):
        part = slice(x * halfway, (x + 1) * halfway)
        columns[f"{domain}.gain{x}"] = Column("il", [v for gain in layers for v in gain[part]])


def _model(model, shape):
    """Weights, scales, biases and gains."""
    weights, out = Weights(model, shape), {}
    _projection(weights, out, "q", "h", "wq")
    _projection(weights, out, "k", "g", "wk")
    if model.config["qk_norm"]:
        _head_gains(weights, out, "q", "q_norm")
        _head_gains(weights, out, "k", "k_norm")
    for name, dims, tensor in (
        ("v.m", "jgl", "wv.scale"),
        ("w_v", "djgl", "wv.weight"),
        ("x.m_o", "dl", "wo.scale"),
        ("w_o", "jhdl", "wo.weight"),
        ("x.gain", "dl", "mlp_norm.gain"),
        ("f.m_g", "fl", "w_gate.scale"),
        ("w_gate", "dfl", "w_gate.weight"),
        ("f.m_u", "fl", "w_up.scale"),
        ("w_up", "dfl", "w_up.weight"),
        ("x.m_d", "dl", "w_down.scale"),
        ("w_down", "fdl", "w_down.weight"),
    ):
        out[name] = Column(dims, weights.stacked(tensor))
    out["x.b"] = Column("dl", weights.stacked("wo.bias", shape.size["d"]))
    head = "embed" if model.config["tied"] else "head"
    out["s.m"] = Column("v", model.tensors[head + ".scale"].values)
    out["w_head"] = Column("dv", model.tensors[head + ".weight"].values)
    for domain, site in (("o", "o"), ("x", "mlp"), ("f", "down")):
        classes = [int(bits == 8) for bits in model.config["act_bits"][site]]
        out[f"{domain}.cls"] = Column("l", classes)
    return out


def _trace(rows):
    """Columns of the rows K and V, by positions and by attention tiles."""
    shape, out = rows.shape, {}
    halfway = shape.size["i"]
    for x in (0, 1):
        part = slice(x * halfway, (x + 1) * halfway)
        out[f"k.k{x}"] = Column("igtl", [])
        out[f"kx{x}"] = zeros(shape, "iuThl")
        _fill(rows.trace.k, shape, out[f"k.k{x}"], out[f"kx{x}"], part)
    out["v.v"], out["vx"] = Column("jgtl", []), zeros(shape, "juThl")
    _fill(rows.trace.v, shape, out["v.v"], out["vx"], slice(0, shape.size["j"]))
    return out


def _fill(rows, shape, by_position, by_tile, part):
    for layer in _sum_over(shape, "l"):
        for t in _sum_over(shape, "t"):
            for g in _sum_over(shape, "g"):
                by_position.values += rows[layer][g][t][0][part]
            for head in _sum_over(shape, "h"):
                row = rows[layer][shape.group_of(head)][t][0][part]
                place = (0, t % shape.size["u"], t // shape.size["u"], head, layer)
                start = offset(shape, by_tile.dims, place)
                by_tile.values[start : start + len(row)] = row


def _mask(shape):
    out = zeros(shape, "uTt")
    for t in _sum_over(shape, "t"):
        for position in range(ops.lowest(t, shape.window), t + 1):
            u, T = position % shape.size["u"], position // shape.size["u"]
            out.values[offset(shape, "uTt", (u, T, t))] = 1
    return out


def _of_shifts(rows):
    """PT-2 and PS-6: pow, half and widths of every remainder's shift."""
    out = {}
    for name, column in rows.shifts.items():
        domain, group = name.split(".")
        shifts = column.values
        out[f"{domain}.pow_{group}"] = Column(column.dims, [1 << s for s in shifts])
        out[f"{domain}.half_{group}"] = Column(column.dims, [half(s) for s in shifts])
        for n in range(rows.limbs[name]):
            widths = [width(s, n) for s in shifts]
            out[f"{domain}.wid_{group}.{n}"] = Column(column.dims, widths)
        if name in WIDE:
            bits, all_ = WIDE[name]
            wide = [min(bits, all_ - s) for s in shifts]
            out[f"{domain}.lo_{group}"] = Column(column.dims, [min(19, n) for n in wide])
            out[f"{domain}.hi_{group}"] = Column(column.dims, [n - min(19, n) for n in wide])
            out[f"{domain}.off_{group}"] = Column(column.dims, [1 << (n - 1) for n in wide])
    return out


def public_columns(rows, choice):
    """All of them by name; those of a domain are `domain.name`, factors have no dot."""
    shape = rows.shape
    out = {**_model(rows.model, shape), **_trace(rows), **_of_shifts(rows)}
    out.update(rows.columns)
    out.update(choice.columns)
    cos, sin = angles(rows.model, shape)
    for domain in "qk":
        out[f"{domain}.cos"], out[f"{domain}.sin"] = Column("it", cos), Column("it", sin)
    out["mask"] = _mask(shape)
    out["x.pow_n"] = Column("tl", [1 << s for s in rows.columns["x.s_n"].values])
    return out
