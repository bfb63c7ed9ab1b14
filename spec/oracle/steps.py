"""SPEC chapter 8, one step at a time: the element of a micro-tensor from what it reads (PROG-4).

`Reads` fetches elements by tree and index, wherever they come from: a witness, or the rows of an
execution.
"""

from oracle import machine, ops, steps_attention
from oracle.arith import reciprocal_root, row_exponent, rsh
from oracle.sampling import distance, mass, noise_of
from oracle.encoding import H, integer
from oracle.tables import entry

CHUNK, BLOCK, PART = 4096, 1024, 2048
KEY_BITS, KEEP_ALL, NOT_KEPT = 18, 2**42 - 1, -(2**30)
TOKENS, K, V, RESIDUAL, MODEL, MICRO = 3, 4, 5, 6, 7, 8
INT23, INT24 = 2**23 - 1, (-(2**23), 2**23 - 1)
ATTENTION = set(range(20, 29)) | set(range(33, 45))


def _ceil(n, size):
    return -(-n // size)


def shapes(c, sampling, t, layer):
    """PROG-2 and PROG-3: {number: (rows, cols)} of the tensors present."""
    d, H_, G, D = c["hidden"], c["heads"], c["kv_heads"], c["head_dim"]
    n_ff, voc = c["ffn"], c["vocabulary"]
    HD, GD, Qd, Qf = H_ * D, G * D, _ceil(d, BLOCK), _ceil(n_ff, BLOCK)
    norm = [_ceil(d, CHUNK)] * 2 + [1, _ceil(d, CHUNK), 4, Qd, Qd, 1, d]
    out = {}

    def rows(first, sizes):
        for i, size in enumerate(sizes):
            out[first + i] = (1, size)

    def part(number, n, cols):
        if cols > PART:
            out[number] = (n, _ceil(cols, PART))

    if layer == "head":
        P = _ceil(voc, CHUNK)
        rows(73, norm)
        part(82, voc, d)
        rows(83, [voc, voc, P, 1])
        if sampling.inv_t != 0:
            rows(87, [voc, 1, P, voc, P, 1, voc, P, voc])
        rows(96, [P, P, 1])
        return out
    if layer == 0:
        out[0] = (1, d)
    rows(1, norm)
    for number, n in ((10, HD), (12, GD), (14, GD)):
        part(number, n, d)
        out[number + 1] = (1, n)
    if c["qk_norm"]:
        out.update({16: (H_, 4), 17: (1, HD), 18: (G, 4), 19: (1, GD)})
    out[20] = (D // 2, 2)
    rows(21, [H_, H_, H_, HD, G, G, G, GD, G, G, G, GD])
    tiles = t // 128 - ops.lowest(t, c["window"]) // 128 + 1
    out.update({33: (H_, 128 * tiles), 34: (H_, tiles), 35: (H_, tiles), 36: (H_, tiles)})
    out[37] = (HD, tiles)
    rows(38, [H_, H_, H_])
    out[41] = (H_, 2)
    rows(42, [HD, H_, HD, H_, H_, 1, HD])
    part(49, d, HD)
    out[50] = (1, d)
    rows(51, norm)
    part(60, n_ff, d)
    rows(61, [n_ff, Qf, Qf, 1])
    part(65, n_ff, d)
    rows(66, [n_ff, Qf, Qf, 1, n_ff])
    part(71, d, n_ff)
    out[72] = (1, d)
    return out


class Reads:
    """What a step reads, each value in its range (PROG-7); a value outside makes the outcome
    OUT_OF_RANGE and counts as the nearest end, so that the reads that follow are the same."""

    def __init__(self, st, position, fetch):
        self.st, self.c, self.fetch = st, st.model.config, fetch
        self.t, self.layer = position
        self.good, self.refused = True, False
        self.sampling = st.request["sampling"]

    def ranged(self, v, low, high):
        if not low <= v <= high:
            self.good = False
        return min(max(v, low), high)

    def micro(self, number, index, low=None, high=None):
        ends = machine.RANGE[number] if low is None else (low, high)
        return self.ranged(self.fetch((MICRO, number, 0), index), *ends)

    def claimed(self, number, index):
        return self.micro(number, index)

    def x_in(self, j):
        if self.layer == 0:
            return self.micro(0, j)
        below = (self.c["layers"] if self.layer == "head" else self.layer) - 1
        return self.fetch((RESIDUAL, below, 0), self.t * self.c["hidden"] + j)

    def token(self, u):
        return self.ranged(self.fetch((TOKENS, 0, 0), u), 0, self.c["vocabulary"] - 1)

    def name(self, tensor):
        return f"layers.{self.layer}.{tensor}" if tensor not in GLOBAL else tensor

    def matrix(self, tensor):
        if tensor == "head" and self.c["tied"]:
            return "embed"
        return self.name(tensor)

    def word(self, tensor, index):
        return self.fetch((MODEL, self.st.model.number[tensor], 0), index)

    def exponent(self, tensor):
        return self.c["exponents"][self.matrix(tensor)]

    def cols(self, tensor):
        return self.st.model.tensors[self.st.model.number[self.matrix(tensor) + ".weight"]][2][1]

    def weight(self, tensor, n, k):
        at = n * self.cols(tensor) + k
        return self.ranged(self.word(self.matrix(tensor) + ".weight", at), -127, 127)

    def scale(self, tensor, n):
        return self.ranged(self.word(self.matrix(tensor) + ".scale", n), 1, 4095)

    def bias(self, tensor, n):
        name = self.name(tensor) + ".bias"
        if name not in self.st.model.number:
            return 0
        limit = 2**30 if tensor == "wo" else INT23
        return self.ranged(self.word(name, n), -limit, limit)

    def gain(self, tensor, j):
        return self.ranged(self.word(self.name(tensor) + ".gain", j), -INT23, INT23)

    def shifted(self, v, s, high=2**20):
        return rsh(v, self.ranged(s, 0, high))


GLOBAL = ("embed", "head", "final_norm", "rope.steps")


def step(reads, number, index):
    """The value, "OUT_OF_RANGE" or "STEP_MISMATCH" (PROG-4, PROG-6)."""
    value = _element(reads, number, index)
    if not reads.good:
        return "OUT_OF_RANGE"
    if reads.refused:
        return "STEP_MISMATCH"
    low, high = machine.RANGE[number]
    return value if low <= value <= high else "OUT_OF_RANGE"


def _element(r, number, i):
    for first, gain, act, x in NORMS:
        if first <= number < first + 9:
            return _norm(r, first, gain, act, x, number, i)
    if number in ATTENTION:
        return steps_attention.element(r, number, i)
    if number in LINEAR:
        return LINEAR[number](r, i)
    if number in (16, 18):
        return _head_root(r, number - 5 if number == 16 else 13, number, i)
    if number in (17, 19):
        return _head_norm(r, number, i)
    if number >= 84:
        return _sampler(r, number, i)
    return _rows(r, number, i)


# --- Norms (OP-4, OP-5). First tensor, gain, site of act_bits, what it reads.

NORMS = (
    (1, "attn_norm", "attn", None),
    (51, "mlp_norm", "mlp", 50),
    (73, "final_norm", "head", None),
)


def _root_element(r, number, base, which, N):
    if which == 0:
        return r.ranged(N(), 1, 2**61)
    n = r.micro(number, base, 1, 2**61)
    k, _, _ = reciprocal_root(n)
    if which == 1:
        return k
    if which == 2:
        if r.micro(number, base + 1, 0, 30) != k:
            r.good = False
        return reciprocal_root(n)[1]
    t = r.micro(number, base + 2, 2**30, 2**31 - 1)
    return (2**46 + t // 2) // t


def _root(r, number, base):
    return r.micro(number, base + 3, 2**15, 2**16), r.micro(number, base + 1, 0, 30)


def _norm(r, first, gain, act, source, number, i):
    d, which = r.c["hidden"], number - first
    bits = r.c["act_bits"][act]
    bound = ops.bound(bits if act == "head" else bits[r.layer])

    def x(j):
        return r.x_in(j) if source is None else r.micro(source, j)

    def block(size):
        return range(i * size, min(d, (i + 1) * size))

    def both(hi, count):
        return [r.micro(hi + side, q) for q in range(count) for side in (0, 1)]

    def value(j, s, R):
        return r.ranged(x(j) >> s, *INT24) * r.gain(gain, j) * R

    if which in (0, 1):
        return (max, min)[which]([x(j) for j in block(CHUNK)])
    if which == 2:
        ends, s = both(first, _ceil(d, CHUNK)), 0
        while not all(ops.within(v >> s, INT24) for v in ends):
            s += 1
        return s
    if which == 3:
        s = r.micro(first + 2, 0)
        return sum(r.ranged(x(j) >> s, *INT24) ** 2 for j in block(CHUNK))
    if which == 4:
        def N():
            s = r.micro(first + 2, 0)
            squares = sum(r.micro(first + 3, p) for p in range(_ceil(d, CHUNK)))
            return max(1, squares + rsh(r.c["eps"], 2 * s))

        return _root_element(r, number, 0, i, N)
    R, k = _root(r, first + 4, 0)
    exponent = r.c["exponents"][r.name(gain)] + 46 - k
    if which in (5, 6):
        s = r.micro(first + 2, 0)
        return (max, min)[which - 5]([value(j, s, R) for j in block(BLOCK)])
    if which == 7:
        ends = both(first + 5, _ceil(d, BLOCK))
        return row_exponent(ends, [exponent] * len(ends), bound, ops.NORM_CAP)
    return r.shifted(
        value(i, r.micro(first + 2, 0), R), exponent - r.micro(first + 7, 0)
    )


def _head_root(r, y, number, i):
    D, head = r.c["head_dim"], i // 4

    def N():
        return max(
            1,
            r.c["eps_qk"] + sum(r.micro(y, j) ** 2 for j in range(head * D, (head + 1) * D)),
        )

    return _root_element(r, number, 4 * head, i % 4, N)


def _head_norm(r, number, i):
    D, y, gain = r.c["head_dim"], {17: 11, 19: 13}[number], {17: "q_norm", 19: "k_norm"}[number]
    R, k = _root(r, number - 1, 4 * (i // D))
    v = r.micro(y, i) * r.gain(gain, i % D) * R
    return r.shifted(v, r.c["exponents"][r.name(gain)] + 46 - k - r.c["qk_frac_bits"])


# --- Matrices (OP-1, OP-2, OP-3, OP-6, OP-9, OP-14 to OP-17)

def _dot(r, w, row, n, begin, end):
    return sum(r.weight(w, n, k) * r.micro(row, k) for k in range(begin, end))


def _part(w, row):
    def one(r, i):
        cols = r.cols(w)
        n, p = divmod(i, _ceil(cols, PART))
        return _dot(r, w, row, n, p * PART, min(cols, (p + 1) * PART))

    return one


def _scaled(r, w, part, row, n):
    cols = r.cols(w)
    parts = _ceil(cols, PART)
    if parts == 1:
        acc = _dot(r, w, row, n, 0, cols)
    else:
        acc = sum(r.micro(part, n * parts + p) for p in range(parts))
    return acc * r.scale(w, n)


def _linear(r, w, part, row, n, F):
    shift = r.exponent(w) + r.micro(row - 1, 0) - F
    return r.shifted(_scaled(r, w, part, row, n), shift, 62)


def _embed(r, j):
    token, shift = r.token(r.t), r.c["exponents"]["embed"] - r.c["residual_frac_bits"]
    return r.shifted(r.weight("embed", token, j) * r.scale("embed", token), shift)


def _silu_up(r, i):
    f_m, f_g = r.micro(58, 0), r.micro(64, 0)
    g = r.ranged(r.shifted(r.micro(61, i), r.exponent("w_gate") + f_m - f_g), -32639, 32639)
    return entry("SILU", f_g, g % 65536) * _scaled(r, "w_up", 65, 59, i)


LINEAR = {
    0: _embed,
    10: _part("wq", 9),
    11: lambda r, n: _linear(r, "wq", 10, 9, n, r.c["qk_frac_bits"]) + r.bias("wq", n),
    12: _part("wk", 9),
    13: lambda r, n: _linear(r, "wk", 12, 9, n, r.c["qk_frac_bits"]) + r.bias("wk", n),
    14: _part("wv", 9),
    15: lambda r, n: _scaled(r, "wv", 14, 9, n),
    49: _part("wo", 48),
    50: lambda r, n: (
        r.x_in(n)
        + _linear(r, "wo", 49, 48, n, r.c["residual_frac_bits"])
        + r.bias("wo", n)
    ),
    60: _part("w_gate", 59),
    61: lambda r, n: _scaled(r, "w_gate", 60, 59, n),
    65: _part("w_up", 59),
    66: _silu_up,
    71: _part("w_down", 70),
    72: lambda r, n: (
        r.micro(50, n) + _linear(r, "w_down", 71, 70, n, r.c["residual_frac_bits"])
    ),
    82: _part("head", 81),
    83: lambda r, n: _linear(r, "head", 82, 81, n, 16),
}


# --- Rows: extremes, exponents and rounded values (OP-9, OP-13, OP-15, OP-16)

def _extreme(r, number, hi, source, i, n, size):
    values = [r.micro(source, j) for j in range(i * size, min(n, (i + 1) * size))]
    return max(values) if number == hi else min(values)


def _ends(r, hi, count):
    return [r.micro(hi + side, q) for q in range(count) for side in (0, 1)]


def _rows(r, number, i):
    c = r.c
    D, n_ff = c["head_dim"], c["ffn"]
    if number in (29, 30):
        return _extreme(r, number, 29, 15, i, c["kv_heads"] * D, D)
    if number in (31, 32):
        f = r.exponent("wv") + r.micro(8, 0)
        if number == 31:
            ends = [r.micro(29, i), r.micro(30, i)]
            return row_exponent(ends, [f, f], 127, 30)
        return r.shifted(r.micro(15, i), f - r.micro(31, i // D))
    if number in (45, 46):
        return _extreme(r, number, 45, 44, i, c["heads"] * D, D)
    if number in (47, 48):
        return _attention_row(r, number, i)
    if number in (62, 63):
        return _extreme(r, number, 62, 61, i, n_ff, BLOCK)
    blocks = _ceil(n_ff, BLOCK)
    if number == 64:
        f, ends = r.exponent("w_gate") + r.micro(58, 0), _ends(r, 62, blocks)
        return row_exponent(ends, [f] * len(ends), 32639, 15)
    if number in (67, 68):
        return _extreme(r, number, 67, 66, i, n_ff, BLOCK)
    f = r.micro(64, 0) + r.exponent("w_up") + r.micro(58, 0)
    if number == 69:
        ends = _ends(r, 67, blocks)
        bound = ops.bound(c["act_bits"]["down"][r.layer])
        return row_exponent(ends, [f] * len(ends), bound, 30)
    return r.shifted(r.micro(66, i), f - r.micro(69, 0))


def _out_exponent(r, h):
    """OP-12: the exponent of o of a head."""
    s, b = r.micro(43, h), r.micro(41, 2 * h, 7, 25)
    return 46 - s + b + r.micro(38, h) - r.micro(39, h)


def _attention_row(r, number, i):
    if number == 48:
        return r.shifted(r.micro(44, i), _out_exponent(r, i // r.c["head_dim"]) - r.micro(47, 0))
    values, exponents = [], []
    for h in range(r.c["heads"]):
        f = _out_exponent(r, h)
        values += [r.micro(45, h), r.micro(46, h)]
        exponents += [f, f]
    return row_exponent(values, exponents, ops.bound(r.c["act_bits"]["o"][r.layer]), 30)


# --- The sampler (SAMP, PROG-6)

def _ids(r, chunk):
    return range(chunk * CHUNK, min(r.c["vocabulary"], (chunk + 1) * CHUNK))


def _chunks(r):
    return range(_ceil(r.c["vocabulary"], CHUNK))


def _key(r, j):
    return r.micro(87, j) << KEY_BITS | j


def _adjusted(r, j):
    s, count = r.sampling, 0
    if s.presence or s.frequency:
        for u in range(max(r.st.n_prompt, r.t - 4095), r.t + 1):
            count += r.token(u) == j
    penalty = s.presence + count * s.frequency if count else 0
    return r.micro(83, j) + dict(s.logit_bias).get(j, 0) - penalty


def _noise(r, j):
    block = H("OTR.gumb", r.sampling.seed, integer("u32", r.t + 1), integer("u32", j // 8))
    at = 4 * (j % 8)
    return noise_of(int.from_bytes(block[at : at + 4], "little"))


def _is_key(r, cut):
    j = cut % 2**KEY_BITS
    return j < r.c["vocabulary"] and _key(r, j) == cut


def _cut(r, number):
    s = r.sampling
    outer = KEEP_ALL if number == 88 else r.micro(88, 0)
    if (s.top_k == 0) if number == 88 else (s.top_p == 65536):
        return outer
    cut = r.claimed(number, 0)
    if (number == 92 and cut > outer) or not _is_key(r, cut):
        r.refused = True
        return 0
    if number == 88:
        good = sum(r.micro(89, c) for c in _chunks(r)) == min(s.top_k, r.c["vocabulary"])
    else:
        enough = s.top_p * sum(r.micro(91, c) for c in _chunks(r))
        kept = sum(r.micro(94, c) for c in _chunks(r))
        before = kept - r.micro(93, cut % 2**KEY_BITS)
        good = kept << 16 >= enough > before << 16
    if not good:
        r.refused = True
    return cut


def _score(r, j):
    key = _key(r, j)
    if key > r.micro(92, 0) or r.micro(93, j) << 16 < r.sampling.min_p * 2**28:
        return NOT_KEPT
    return _noise(r, j) - (key >> KEY_BITS)


def _sampler(r, number, i):
    if number == 84:
        return _adjusted(r, i)
    if number == 85:
        return max(r.micro(84, j) for j in _ids(r, i))
    if number == 86:
        return max(r.micro(85, c) for c in _chunks(r))
    if number == 87:
        L = r.micro(84, i)
        gap = r.ranged(r.micro(86, 0) - L, 0, 2**34)
        return distance(gap, 0, r.sampling.inv_t)
    if number in (88, 92):
        return _cut(r, number)
    if number == 89:
        cut = r.micro(88, 0)
        return sum(_key(r, j) <= cut for j in _ids(r, i))
    if number in (90, 93):
        key = _key(r, i)
        if key > r.micro(88 if number == 90 else 92, 0):
            return 0
        return mass(key >> KEY_BITS) if number == 90 else r.micro(90, i)
    if number in (91, 94):
        return sum(r.micro(number - 1, j) for j in _ids(r, i))
    if number == 95:
        return _score(r, i)
    if number == 98:
        return _token(r)
    scores = {j: r.micro(84 if r.sampling.inv_t == 0 else 95, j) for j in _ids(r, i)}
    best = max(scores.values())
    return best if number == 96 else min(j for j, v in scores.items() if v == best)


def _token(r):
    best = [r.micro(96, c) for c in _chunks(r)]
    return r.micro(97, best.index(max(best)))
