"""PS-3 to PS-6: what the verifier computes from trace, scalars, model and request by itself.

`Rows.check` refuses scalars that contradict SPEC chapters 4 to 7 and gathers the public columns
that depend on them, the shifts, and the claims on single cells in the order of PS-4.
"""

from oracle import ops, tables
from oracle.arith import reciprocal_root, rsh
from oracle.encoding import require
from proof.circuit import LIMB, limbs_of
from proof.shape import offset, zeros

# PROG-7 and chapter 6: the ranges of what stands in the scalars.
QK_EXPONENT, ROW_EXPONENT, NORM_EXPONENT = (4, 13), (-64, 30), (-64, 20)
GATE_EXPONENT, V_EXPONENT = (0, 15), (-30, 30)
MAX_M, MAX_X = 2**23, 2**23 + 30
HEAD_S, HEAD_SHIFT, NORM_SHIFT = (2**37, 2**55), (0, 44), (0, 8)
MAX_GATE, MAX_V = 32639, 127
LIMIT = {"q": 38, "norm": 57, "v": 55, "w": 55, MAX_GATE: 48, MAX_V: 56}  # PS-5
O_SHIFT = 36  # a value of 2^34 shifted by more is 0


def half(shift):
    """PS-3."""
    return (1 << shift) >> 1


def invalid(condition, why):
    require(condition, "PROOF_INVALID", why)


def within(value, ends, why):
    invalid(ends[0] <= value <= ends[1], f"{why}: {value} is not in {ends[0]} ... {ends[1]}")
    return value


class Witnessed:
    """A record that names an element: its shift, what the cell is, and the remainder."""

    def __init__(self, named, shift, cell, rest):
        self.named, self.shift, self.cell, self.rest = named, shift, cell, rest


def row_record(record, bases, count, cap, bound, ends, why):
    """PS-3 for ARITH-3; `bases` are the exponents of equal parts of the row's `count` elements.
    None where the exponent is the greatest possible."""
    f = within(record.exponent, ends, f"{why}, exponent")
    top = min([cap] + bases)
    invalid(f <= top, f"{why}: an exponent above {top}")
    if f == top:
        invalid(record.named == 0 == record.value, f"{why}: a needless witness")
        return None
    invalid(record.named < count, f"{why}: no element {record.named}")
    shift = bases[record.named * len(bases) // count] - f
    cell = rsh(record.value, shift)
    good = abs(cell) <= bound < abs(rsh(record.value, shift - 1))
    invalid(good, f"{why}: the witness shows no smaller exponent")
    return Witnessed(record.named, shift, cell, record.value + half(shift) - (cell << shift))


def shift_record(record, count, ends, shifted, limits, why):
    """PS-3 for the shift of a head's A and of a norm."""
    s = within(record.exponent, ends, f"{why}, shift")
    if s == 0:
        invalid(record.named == 0 == record.value, f"{why}: a needless witness")
        return None
    invalid(record.named < count, f"{why}: no element {record.named}")
    low, high = limits
    good = low <= shifted(record.value, s) <= high
    good = good and not low <= shifted(record.value, s - 1) <= high
    invalid(good, f"{why}: the witness shows no smaller shift")
    return Witnessed(record.named, s, shifted(record.value, s), None)


class Rows:
    """The checks of every layer and position; `columns` and `shifts` are public columns."""

    COLUMNS = {
        "a": "dtl",
        "z.a": "thl",
        "z.b": "uThl",
        "z.pow_a": "thl",
        "z.pow_b": "uThl",
        "z.M": "Tthl",
        "z.X": "Tthl",
        "z.fv": "uThl",
        "tm": "Tthl",
        "tx": "Tthl",
        "o.R": "htl",
        "x.xin": "dtl",
        "x.xout": "dtl",
        "x.R": "tl",
        "x.s_n": "tl",
        "f.f_g": "tl",
    }
    SHIFTS = {
        "q.r": "tl",
        "q.c": "htl",
        "k.r": "tl",
        "k.c": "gtl",
        "v.r": "gtl",
        "o.r": "htl",
        "o.c": "htl",
        "x.r": "tl",
        "x.c": "tl",
        "x.e": "tl",
        "f.r": "tl",
        "f.c": "tl",
        "s.r": "o",
    }

    def __init__(self, model, shape, trace, scalars, ids):
        self.model, self.c, self.shape = model, model.config, shape
        self.trace, self.scalars, self.ids = trace, scalars, ids
        columns, shifts = self.COLUMNS, self.SHIFTS
        if self.c["qk_norm"]:
            columns = {**columns, "q.R": "htl", "k.R": "gtl"}
            shifts = {**shifts, "q.g": "htl", "k.g": "gtl"}
        self.columns = {name: zeros(shape, dims) for name, dims in columns.items()}
        self.shifts = {name: zeros(shape, dims) for name, dims in shifts.items()}
        self.cells = []  # (column, index, value, whether the value is cut into limbs)
        self.limbs = None

    def exponent(self, name):
        return self.c["exponents"][name]

    def bound(self, site, layer):
        return ops.bound(self.c["act_bits"][site][layer])

    def _put(self, table, name, index, value):
        column = table[name]
        column.values[offset(self.shape, column.dims, index)] = value

    def put(self, name, index, value):
        self._put(self.columns, name, index, value)

    def shift(self, name, index, value, limit, why):
        invalid(0 <= value <= limit, f"{why}: a shift of {value}")
        self._put(self.shifts, name, index, value)

    def put_row(self, name, t, layer, values):
        start = offset(self.shape, "dtl", (0, t, layer))
        self.columns[name].values[start : start + len(values)] = values

    def claim(self, column, index, value, limbs=False):
        self.cells.append((column, index, value, limbs))

    def check(self):
        """PS-3 to PS-5 for all layers and positions; the outputs are sampling.py's."""
        embedding = self.model.matrix("embed")
        for layer in range(self.c["layers"]):
            at = f"layers.{layer}."
            gain = self.model.gain(at + "attn_norm")
            for t in range(self.shape.size["t"]):
                if layer:
                    x = self.trace.residual[layer - 1][t]
                else:
                    x = ops.embed(embedding, self.ids[t], self.c["residual_frac_bits"])
                norm = ops.norm_row(x, gain, self.c["eps"], self.bound("attn", layer))
                self.put_row("a", t, layer, norm.a)
                self.put_row("x.xin", t, layer, x)
                self.put_row("x.xout", t, layer, self.trace.residual[layer][t])
                scalars = self.scalars.positions[layer][t]
                self._head_norms("q", layer, t, scalars.q_squares)
                self._head_norms("k", layer, t, scalars.k_squares)
                self._queries(layer, t, scalars, norm.exponent)
                self._keys(layer, t, scalars, norm.exponent)
                self._values(layer, t, scalars, norm.exponent)
                exponents = self._attention(layer, t, scalars)
                self._residual(layer, t, scalars, exponents)

    def cell_claims(self):
        """All claims on single cells: (column, index, value), limbs one by one."""
        self.limbs = {name: limbs_of(column.values) for name, column in self.shifts.items()}
        out = []
        for column, index, value, cut in self.cells:
            if not cut:
                out.append((column, index, value))
                continue
            domain, name = column.split(".")
            count = self.limbs[f"{domain}.{name[0]}"]
            invalid(0 <= value < 1 << LIMB * count, f"a remainder of {column} has no limbs")
            for n in range(count):
                limb = value >> (LIMB * n) & ((1 << LIMB) - 1)
                out.append((f"{column}.{n}", index, limb))
        return out

    def _head_norms(self, name, layer, t, squares):
        """OP-5; without q/k norms there are no sums."""
        why = f"head norm of {name} of layer {layer}, position {t}"
        for head, S in enumerate(squares):
            within(S, (0, self.shape.size["j"] << 46), f"{why}, sum of squares")
            k, _, R = reciprocal_root(max(1, S + self.c["eps_qk"]))
            shift = self.exponent(f"layers.{layer}.{name}_norm") + 46 - k - self.c["qk_frac_bits"]
            self.shift(f"{name}.g", (head, t, layer), shift, LIMIT["norm"], why)
            self.put(f"{name}.R", (head, t, layer), R)

    def _queries(self, layer, t, scalars, f_a):
        F_q, D = self.c["qk_frac_bits"], self.shape.size["j"]
        why = f"q of layer {layer}, position {t}"
        shift = self.exponent(f"layers.{layer}.wq") + f_a - F_q
        self.shift("q.r", (t, layer), shift, LIMIT["q"], why)
        for head, record in enumerate(scalars.q):
            found = row_record(record, [F_q + 15], D, F_q, ops.q_bound(D), QK_EXPONENT, why)
            shift = F_q + 15 - record.exponent
            self.shift("q.c", (head, t, layer), shift, LIMIT["q"], why)
            self.put("z.a", (t, head, layer), record.exponent - 4)
            self.put("z.pow_a", (t, head, layer), 1 << (record.exponent - 4))
            if found:
                x, i = divmod(found.named, D // 2)
                self.claim(f"q.q{x}", (i, head, t, layer), found.cell)
                self.claim(f"q.c{x}", (i, head, t, layer), found.rest, True)

    def _keys(self, layer, t, scalars, f_a):
        F_q, D = self.c["qk_frac_bits"], self.shape.size["j"]
        why = f"k of layer {layer}, position {t}"
        shift = self.exponent(f"layers.{layer}.wk") + f_a - F_q
        self.shift("k.r", (t, layer), shift, LIMIT["q"], why)
        for g, record in enumerate(scalars.k):
            row, exponent = self.trace.k[layer][g][t]
            invalid(record.exponent == exponent, f"{why}: not the exponent of the trace")
            found = row_record(record, [F_q + 15], D, F_q, ops.K_BOUND, QK_EXPONENT, why)
            self.shift("k.c", (g, t, layer), F_q + 15 - exponent, LIMIT["q"], why)
            if found:
                x, i = divmod(found.named, D // 2)
                invalid(row[found.named] == found.cell, f"{why}: the witness is not the row's")
                self.claim(f"k.c{x}", (i, g, t, layer), found.rest, True)
        for head in range(self.shape.size["h"]):
            u, T = t % self.shape.size["u"], t // self.shape.size["u"]
            exponent = self.trace.k[layer][self.shape.group_of(head)][t][1]
            self.put("z.b", (u, T, head, layer), exponent - 4)
            self.put("z.pow_b", (u, T, head, layer), 1 << (exponent - 4))

    def _values(self, layer, t, scalars, f_a):
        D, why = self.shape.size["j"], f"v of layer {layer}, position {t}"
        base = self.exponent(f"layers.{layer}.wv") + f_a
        for g, record in enumerate(scalars.v):
            row, exponent = self.trace.v[layer][g][t]
            invalid(record.exponent == exponent, f"{why}: not the exponent of the trace")
            found = row_record(record, [base], D, 30, MAX_V, V_EXPONENT, why)
            self.shift("v.r", (g, t, layer), base - exponent, LIMIT["v"], why)
            if found:
                invalid(row[found.named] == found.cell, f"{why}: the witness is not the row's")
                self.claim("v.r", (found.named, g, t, layer), found.rest, True)
        for head in range(self.shape.size["h"]):
            u, T = t % self.shape.size["u"], t // self.shape.size["u"]
            exponent = self.trace.v[layer][self.shape.group_of(head)][t][1]
            self.put("z.fv", (u, T, head, layer), exponent)

    def _tiles(self, layer, t, head, tiles):
        """The claims on z of one head; (M, X) of OP-12 and the tile weights."""
        why = f"attention of layer {layer}, position {t}, head {head}"
        for T, tile in zip(self.shape.tiles(t), tiles):
            within(tile.M, (-MAX_M, MAX_M), f"{why}, M of tile {T}")
            within(tile.X, (-MAX_X, MAX_X), f"{why}, X of tile {T}")
            for u in (tile.mu, tile.xu):
                position = ops.ATTENTION_TILE * T + u
                good = u < self.shape.size["u"] and self.shape.attended(t, position)
                invalid(good, f"{why}: position {position} is not attended")
            group, position = self.shape.group_of(head), ops.ATTENTION_TILE * T + tile.xu
            f_v = self.trace.v[layer][group][position][1]
            self.claim("z.z", (tile.mu, T, t, head, layer), 256 * tile.M + tile.mr)
            self.claim("z.z", (tile.xu, T, t, head, layer), 256 * (tile.X + f_v) + tile.xr)
            self.put("z.M", (T, t, head, layer), tile.M)
            self.put("z.X", (T, t, head, layer), tile.X)
        M, X = max(tile.M for tile in tiles), max(tile.X for tile in tiles)
        for T, tile in zip(self.shape.tiles(t), tiles):
            for name, gap in (("tm", M - tile.M), ("tx", X - tile.X)):
                self.put(name, (T, t, head, layer), 1 << (23 - gap) if gap <= 23 else 0)
        return M, X

    def _attention(self, layer, t, scalars):
        """OP-10 to OP-12: the exponents of the heads' o."""
        why, exponents = f"attention of layer {layer}, position {t}", []
        for head, (tiles, S, record) in enumerate(zip(scalars.tiles, scalars.S, scalars.A)):
            M, X = self._tiles(layer, t, head, tiles)
            within(S, HEAD_S, f"{why}, S of head {head}")
            b = S.bit_length() - 31
            self.put("o.R", (head, t, layer), 2**46 // (S >> b))
            D = self.shape.size["j"]
            found = shift_record(record, D, HEAD_SHIFT, rsh, ops.SIGNED_19, f"{why}, A")
            s = record.exponent
            self.shift("o.r", (head, t, layer), s, HEAD_SHIFT[1], why)
            if found:
                rest = record.value + half(s) - (found.cell << s)
                self.claim("o.y", (found.named, head, t, layer), found.cell)
                self.claim("o.r", (found.named, head, t, layer), rest, True)
            exponents.append(46 - s + b + M - X)
        return exponents

    def _residual(self, layer, t, scalars, exponents):
        """OP-13 to OP-16: the row o, norm 2, and the rows m, g, h."""
        at, D = f"layers.{layer}.", self.shape.size["j"]
        why = f"o of layer {layer}, position {t}"
        record, count = scalars.o, D * len(exponents)
        bound = self.bound("o", layer)
        found = row_record(record, exponents, count, 30, bound, ROW_EXPONENT, why)
        for head, exponent in enumerate(exponents):
            shift = min(O_SHIFT, exponent - record.exponent)
            self.shift("o.c", (head, t, layer), shift, LIMIT[bound], why)
        if found:
            invalid(found.shift <= O_SHIFT, f"{why}: the witness's shift")
            head, j = divmod(found.named, D)
            self.claim("o.o", (j, head, t, layer), found.cell)
            self.claim("o.c", (j, head, t, layer), found.rest, True)
        F_x = self.c["residual_frac_bits"]
        shift = self.exponent(at + "wo") + record.exponent - F_x
        self.shift("x.r", (t, layer), shift, LIMIT["w"], f"w_o of layer {layer}, position {t}")
        base = self._second_norm(layer, t, scalars)
        f_h = self._feed_forward(layer, t, scalars, base)
        shift = self.exponent(at + "w_down") + f_h - F_x
        self.shift("x.e", (t, layer), shift, LIMIT["w"], f"w_down of layer {layer}, position {t}")

    def _second_norm(self, layer, t, scalars):
        """OP-4 of x_mid: the exponent of v_j."""
        why, record = f"norm 2 of layer {layer}, position {t}", scalars.norm
        d = self.shape.size["d"]
        found = shift_record(record, d, NORM_SHIFT, lambda v, s: v >> s, ops.SIGNED_24, why)
        s = record.exponent
        if found:
            within(record.value, ops.SIGNED_32, f"{why}, x_mid")
            self.claim("x.x", (found.named, t, layer), found.cell)
            self.claim("x.xr", (found.named, t, layer), record.value - (found.cell << s))
        within(scalars.squares, (0, d << 46), f"{why}, sum of squares")
        k, _, R = reciprocal_root(max(1, scalars.squares + rsh(self.c["eps"], 2 * s)))
        self.put("x.s_n", (t, layer), s)
        self.put("x.R", (t, layer), R)
        return self.exponent(f"layers.{layer}.mlp_norm") + 46 - k

    def _row(self, record, base, count, cap, bound, ends, names, t, layer):
        """A row (d or f) of one base exponent: the record, the shift and the claims."""
        column, rest = names
        why = f"{column} of layer {layer}, position {t}"
        found = row_record(record, [base], count, cap, bound, ends, why)
        self.shift(rest, (t, layer), base - record.exponent, LIMIT[bound], why)
        if found:
            self.claim(column, (found.named, t, layer), found.cell)
            self.claim(rest, (found.named, t, layer), found.rest, True)

    def _feed_forward(self, layer, t, scalars, base):
        """The rows m, g, h: the exponent of h."""
        d, n_ff, at = self.shape.size["d"], self.shape.size["f"], f"layers.{layer}."
        bound = self.bound("mlp", layer)
        names, m = ("x.m", "x.c"), scalars.m
        self._row(m, base, d, ops.NORM_CAP, bound, NORM_EXPONENT, names, t, layer)
        base, g = self.exponent(at + "w_gate") + m.exponent, scalars.g
        self._row(g, base, n_ff, 15, MAX_GATE, GATE_EXPONENT, ("f.g", "f.r"), t, layer)
        self.put("f.f_g", (t, layer), g.exponent)
        base, h = g.exponent + self.exponent(at + "w_up") + m.exponent, scalars.h
        bound = self.bound("down", layer)
        self._row(h, base, n_ff, 30, bound, ROW_EXPONENT, ("f.h", "f.c"), t, layer)
        return h.exponent


def angles(model, shape):
    """TAB-7 for every i and t: two columns (i, t)."""
    steps = model.tensors["rope.steps"].values
    pairs = [tables.angle(t, step) for t in range(shape.size["t"]) for step in steps]
    return [c for c, _ in pairs], [s for _, s in pairs]
