#!/usr/bin/env python3
"""Hand-written circuit witnesses for OP-12/13 (attention row) and OP-15/16 (gate and feed-forward
row).

Written from spec/SPEC.md alone, with the Python standard library alone. A constraint system for a
LogUp
prover over the Goldilocks field stands in `check_attention` and `check_mlp`: every field equation
and every
lookup is executed on a witness, and lookups and committed cells are counted. The functions
`*_witness` build
the honest witness; each of their choices can be forced, and whatever is not forced is then solved
for in the
field as well as a forger can, so that a forgery breaks only the constraint it is aimed at.

Inputs proven elsewhere are virtual (no cells): acc, m, the tiles' M_T, X_T, S_T and A_T,j, and
exponents.
A named index ("the j that exceeds") is sent in clear, once a row or head, as in the public mode: no
cells.
"""
import decimal
import functools

P = 2**64 - 2**32 + 1
B16 = 32639
Q_BOUND = 2**19 - 1  # bound of the normalised head (proposed OP-12)
decimal.getcontext().prec = 60


def rsh(v, s):  # ARITH-1
    return v if s == 0 else 0 if s >= 63 else (v + (1 << (s - 1))) >> s


def signed(x):
    x %= P
    return x - P if x > P // 2 else x


@functools.lru_cache(maxsize=None)
def silu(e, g):  # TAB-3
    x = decimal.Decimal(g)
    y = x / (1 + (-x / 2**e).exp())
    return int(y.to_integral_value(decimal.ROUND_HALF_EVEN))


def half(s):
    return (1 << s) >> 1


# ---------------------------------------------------------------------------------------- tables


class Params:
    """limb = 19: tables of at most 2^20 rows; limb = 15: of at most 2^16 (SILU: one table per
    exponent)."""

    def __init__(self, limb=19, variant="proposed", bound=B16, keyed=True):
        self.limb, self.variant, self.bound, self.keyed = limb, variant, bound, keyed
        self.proposed = variant == "proposed"
        self.s_attention = (
            36 if self.proposed else 55
        )  # from here on every |v| of the row rounds to 0
        self.s_gate = 38 if self.proposed else 49
        self.s_ff = 48 if self.proposed else 55
        if bound == 127:
            self.s_ff = 56

    def limbs_for(self, s_max):
        return -(-s_max // self.limb)


class Checker:
    def __init__(self, prm):
        self.prm, self.violated, self.counts = prm, set(), {}

    def eq(self, name, a, b):
        if (a - b) % P:
            self.violated.add(name)

    def boolean(self, name, x):
        self.eq(name, x * (x - 1), 0)

    def look(self, name, table, inside):
        self.counts[table] = self.counts.get(table, 0) + 1
        if not inside:
            self.violated.add(name)

    def width(self, name, k, v):
        """Table W: all (k, v) with 0 <= k <= limb and 0 <= v < 2^k: 2^(limb+1) - 1 rows."""
        self.look(name, "W", 0 <= k <= self.prm.limb and 0 <= v % P < 1 << k)

    def number(self, name, limbs, bits):
        """A number below 2^bits in fixed limbs; returns it."""
        w = self.prm.limb
        for i, v in enumerate(limbs):
            self.width(name, max(0, min(w, bits - w * i)), v)
        return sum(v << (w * i) for i, v in enumerate(limbs))

    def shift(self, name, cells, s_max):
        """Table SHIFT of one use: (s, 2^s, floor(2^s / 2), widths of the limbs of a number below
        2^s), s <= s_max."""
        s, power = signed(cells[0]), cells[1]
        ok = 0 <= s <= s_max and power % P == 1 << s
        self.look(name, "SHIFT", ok)
        n, w = self.prm.limbs_for(s_max), self.prm.limb
        s = min(max(s, 0), 62)
        return power, half(s), [max(0, min(w, s - w * i)) for i in range(n)]

    def remainder(self, name, limbs, widths):
        for v, k in zip(limbs, widths, strict=True):
            self.width(name, k, v)
        return sum(v << (self.prm.limb * i) for i, v in enumerate(limbs))

    def row_value(self, name, v, s):
        """Table ROW: |v| <= bound; keyed by the class of the shift where v * 2^s could wrap (spec
        variant)."""
        v, top = signed(v), self.prm.bound
        if not self.prm.proposed and self.prm.keyed and s > 48:
            top = min(top, (1 << (63 - s)) - 1)
        self.look(name, "ROW", abs(v) <= top)

    @property
    def lookups(self):
        return sum(self.counts.values())


def split(x, n, w):
    """n limbs of w bits of the canonical x; whatever is too much stays in the last one."""
    x %= P
    return [(x >> (w * i)) & ((1 << w) - 1) for i in range(n - 1)] + [x >> (w * (n - 1))]


def cells_of(x):
    if isinstance(x, dict):
        return sum(cells_of(v) for k, v in x.items() if not k.startswith("named"))
    return sum(map(cells_of, x)) if isinstance(x, list) else 1


def div(a, b):
    return a * pow(b, -1, P) % P


# ------------------------------------------------------------------------- a witness of "exceeds at
# s - 1"


def exceeds_value(v, s, bound, sign):
    """The number that is >= 0 iff |rsh(v, s - 1)| > bound with this sign (1: positive, 0:
    negative)."""
    power, h = 1 << (s - 1), half(s - 1)
    over, under = v + h - (bound + 1) * power, -(v + h) - bound * power - 1
    return (sign * over + (1 - sign) * under) % P


def check_exceeds(c, name, v, key, sign, limbs, bound, s_max, active):
    power, h, _ = c.shift(name + ".shift", key, s_max)
    c.boolean(name + ".sign", sign)
    d = c.number(name, limbs, 63)
    over, under = v + h - (bound + 1) * power, -(v + h) - bound * power - 1
    c.eq(name + ".value", active * (sign * over + (1 - sign) * under - d), 0)


def exceeds_witness(prm, v, s, bound, force):
    n = -(-63 // prm.limb)
    if s < 1:
        return {"key": [0, 1], "sign": 0, "limbs": [0] * n}
    sign = force.get("sign", 1 if v > 0 else 0)
    return {
        "key": [s - 1, 1 << (s - 1)],
        "sign": sign,
        "limbs": split(exceeds_value(v, s, bound, sign), n, prm.limb),
    }


# ---------------------------------------------------------------------------------- attention row


def tile_weight(delta):
    return 1 << (23 - delta) if 0 <= delta <= 23 else 0


def attention_witness(inp, prm, force=None):
    """inp: list of heads {M, X, S: lists over tiles; A: list over tiles of lists over j}. force:
    see the forgeries."""
    force = force or {}
    w, heads = prm.limb, []
    for h, hd in enumerate(inp):
        fo = force.get(h, {})
        x = {}
        for m in "MX":
            top = x[m] = fo.get(m, max(hd[m]))
            x["named_" + m] = max(range(len(hd[m])), key=lambda i: hd[m][i])
            deltas = [(top - v) % P for v in hd[m]]
            x["delta_" + m] = [[d & (2**15 - 1), d >> 15] for d in deltas]
            x["weight_" + m] = fo.get("weight_" + m, [tile_weight(d) for d in deltas])
        s_sum = sum(a * b for a, b in zip(hd["S"], x["weight_M"]))
        width = len(hd["A"][0])
        a_sum = [sum(t[j] * k for t, k in zip(hd["A"], x["weight_X"])) for j in range(width)]
        b = x["b"] = fo.get("b", s_sum.bit_length() - 31)
        x["b_shift"] = [b, 1 << b]
        quot = fo.get("T", s_sum >> b)
        x["S_rem"] = split(s_sum - (quot << b), prm.limbs_for(25), w)
        x["T"] = split(quot - 2**30, -(-30 // w), w)
        r = x["R"] = fo.get("R", 2**46 // quot)
        rem = fo.get("R_rem", 2**46 - r * quot)
        x["R_rem"], x["R_gap"] = split(rem, -(-31 // w), w), split(quot - 1 - rem, -(-31 // w), w)
        x["R_limbs"] = split(r, -(-17 // w), w)
        if prm.proposed:
            s = 0
            while max(abs(rsh(v, s)) for v in a_sum) > Q_BOUND:
                s += 1
            s = x["sA"] = fo.get("sA", s)
            x["sA_shift"] = [s, 1 << s]
            x["sA_zero"] = fo.get("sA_zero", 1 if s == 0 else 0)
            j = x["named_j"] = max(
                range(width), key=lambda i: a_sum[i] if a_sum[i] >= 0 else -a_sum[i] - 1
            )
            x["sA_min"] = exceeds_witness(prm, a_sum[j], s, Q_BOUND, fo.get("sA_min", {}))
            if x["sA_zero"]:
                x["sA_min"] = exceeds_witness(prm, 0, 0, Q_BOUND, {}) | {"key": [s, 1 << s]}
        else:
            s = 24
        q = [rsh(v, s) for v in a_sum]
        for i, v in fo.get("q", {}).items():
            q[i] = v(a_sum[i], s, q[i]) % P
        n1 = prm.limbs_for(43) if prm.proposed else prm.limbs_for(24)
        x["q_rem"] = [split(a + half(s) - v * (1 << s), n1, w) for a, v in zip(a_sum, q)]
        x["q"] = [v % P if prm.proposed else split(v + 2**38, 2 if w == 19 else 3, w) for v in q]
        if prm.proposed and w == 15:
            x["q"] = [split(v + 2**19, 2, w) for v in q]
        heads.append(x)
        x["named_v"] = [signed(v) * r for v in q]
        x["named_f"] = 46 - s + b + x["M"] - x["X"]
    return attention_row(heads, prm, force, w)


def attention_row(heads, prm, force, w):
    row = force.get("row", {})
    f = min(30, min(x["named_f"] for x in heads))
    exact = f
    while any(abs(rsh(v, x["named_f"] - f)) > prm.bound for x in heads for v in x["named_v"]):
        f -= 1
    f += row.get("df", 0)
    top = {}
    for h, x in enumerate(heads):
        fo, s = force.get(h, {}), x["named_f"] - f
        sc = fo.get("sc", min(s, prm.s_attention))
        x["t"], x["sc"] = fo.get("t", s - sc), [sc % P, fo.get("power", 1 << max(sc, 0))]
        v = x.pop("named_v")
        o = [rsh(i, max(sc, 0)) for i in v]
        for i, g in fo.get("o", {}).items():
            o[i] = g(v[i], sc, o[i]) % P
        n2 = prm.limbs_for(prm.s_attention)
        x["o_rem"] = [split(i + half(sc) - j * x["sc"][1], n2, w) for i, j in zip(v, o)]
        for i, g in fo.get("o_limbs", {}).items():
            x["o_rem"][i] = g(v[i] + half(sc) - o[i] * (1 << sc), sc)
        x["o"] = [i % P for i in o]
        for j, i in enumerate(v):
            if 1 <= s <= prm.s_attention:
                e = max(signed(exceeds_value(i, s, prm.bound, k)) for k in (0, 1))
                top[(h, j)] = ((e >= 0, -s, e), i, s)
    branch = row.get("branch", [1, 0, 0] if f == 30 else [0, 1, 0] if f == exact else [0, 0, 1])
    h, j = max(top, key=lambda k: top[k][0]) if top else (0, 0)
    named = row.get("named", (h, j))
    low = min(range(len(heads)), key=lambda k: heads[k]["named_f"])
    _, v, s = top.get(named, (0, 0, 0))
    z = {
        "heads": heads,
        "f": f,
        "f_cap": split(30 - f, 1, w),
        "branch": branch,
        "named": named,
        "named_low": low,
    }
    z["f_max"] = exceeds_witness(prm, v, s if branch[2] else 0, prm.bound, row.get("f_max", {}))
    return z


def check_attention(inp, z, prm):
    c = Checker(prm)
    f = z["f"]
    c.width("f.cap", 10, z["f_cap"][0])
    c.eq("f.cap", 30 - f, z["f_cap"][0])
    for k in z["branch"]:
        c.boolean("f.branch.bool", k)
    c.eq("f.branch.sum", sum(z["branch"]), 1)
    c.eq("f.branch.cap", z["branch"][0] * (f - 30), 0)
    values = {}
    for h, (hd, x) in enumerate(zip(inp, z["heads"], strict=True)):
        head_s, shift = check_head(c, hd, x, prm, values, h)
        # sc = min(s, s_max): from s_max on the row is 0 for every |v| in bounds.
        c.width("sc.clamp.range", 10, x["t"])
        c.eq("sc.clamp", x["t"] * (x["sc"][0] - prm.s_attention), 0)
        c.eq("sc.exponent", head_s - f, x["sc"][0] + x["t"])
        power, hf, widths = shift
        for j, o in enumerate(x["o"]):
            c.row_value("o.range", o, signed(x["sc"][0]))
            rem = c.remainder("o.rem", x["o_rem"][j], widths)
            c.eq("o.round", values[h, j] + hf, o * power + rem)
    low = z["heads"][z["named_low"]]
    c.eq("f.branch.least", z["branch"][1] * (low["sc"][0] + low["t"]), 0)
    h, _ = z["named"]
    x, active = z["heads"][h], z["branch"][2]
    check_exceeds(
        c,
        "f.max",
        values[z["named"]],
        z["f_max"]["key"],
        z["f_max"]["sign"],
        z["f_max"]["limbs"],
        prm.bound,
        48,
        active,
    )
    c.eq("f.max.key", active * (z["f_max"]["key"][0] - x["sc"][0] + 1), 0)
    c.eq("f.max.clamped", active * x["t"], 0)
    return c


def check_head(c, hd, x, prm, values, h):
    for m in "MX":
        for (lo, hi), v, k in zip(x["delta_" + m], hd[m], x["weight_" + m], strict=True):
            # Two lookups: (lo, weight) in TILE (2^15 rows), (hi, [hi = 0]) in HIGH (2^10 rows):
            # 2^25 > 2^24 + 30.
            inside = 0 <= lo < 2**15
            c.eq(m + ".delta", x[m] - v, lo + 2**15 * hi)
            c.look(m + ".delta.high", "HIGH", 0 <= hi < 2**10)
            c.look(m + ".weight", "TILE", inside and k % P == (tile_weight(lo) if hi == 0 else 0))
        lo, hi = x["delta_" + m][x["named_" + m]]
        c.eq(m + ".attained", lo + 2**15 * hi, 0)
    s_sum = sum(a * b for a, b in zip(hd["S"], x["weight_M"]))
    power, _, widths = c.shift("b.shift", x["b_shift"], 25)
    c.eq("b.shift.key", x["b"], x["b_shift"][0])
    quot = 2**30 + c.number("T.range", x["T"], 30)
    c.eq("S.split", s_sum, quot * power + c.remainder("S.rem", x["S_rem"], widths))
    c.eq("R.limbs", x["R"], c.number("R.range", x["R_limbs"], 17))
    rem = c.number("R.rem", x["R_rem"], 31)
    c.eq("R.divide", 2**46, x["R"] * quot + rem)
    c.eq("R.gap", quot - 1 - rem, c.number("R.less", x["R_gap"], 31))
    a = [sum(t[j] * k for t, k in zip(hd["A"], x["weight_X"])) for j in range(len(x["q"]))]
    if prm.proposed:
        power, hf, widths = c.shift("sA.shift", x["sA_shift"], 43)
        c.eq("sA.shift.key", x["sA"], x["sA_shift"][0])
        c.boolean("sA.zero.bool", x["sA_zero"])
        c.eq("sA.zero", x["sA_zero"] * x["sA"], 0)
        m = x["sA_min"]
        check_exceeds(
            c,
            "sA.min",
            a[x["named_j"]],
            m["key"],
            m["sign"],
            m["limbs"],
            Q_BOUND,
            43,
            1 - x["sA_zero"],
        )
        c.eq("sA.min.key", m["key"][0], x["sA"] - 1 + x["sA_zero"])
        s = x["sA"]
    else:
        power, hf, widths, s = 1 << 24, 1 << 23, None, 24
    for j, q in enumerate(x["q"]):
        if prm.proposed and c.prm.limb == 19:
            c.look("q.range", "HEAD", abs(signed(q)) <= Q_BOUND)  # 2^20 - 1 rows
        elif prm.proposed:
            q = c.number("q.range", q, 20) - 2**19
        elif c.prm.limb == 19:
            c.width("q.range", 19, q[0])
            c.look("q.range", "R20", 0 <= q[1] < 2**20)
            q = q[0] + (q[1] << 19) - 2**38
        else:
            q = c.number("q.range", q, 39) - 2**38
        if prm.proposed:
            rem = c.remainder("q.rem", x["q_rem"][j], widths)
        else:
            rem = c.number("q.rem", x["q_rem"][j], 24)
        c.eq("q.round", a[j] + hf, q * power + rem)
        values[h, j] = q * x["R"]
    return 46 - s + x["b"] + x["M"] - x["X"], c.shift("sc.shift", x["sc"], prm.s_attention)


# ----------------------------------------------------------------------------- gate and feed-
# forward row


def quantise_witness(prm, v, f_v, cap, bound, s_max, fo):
    """Row (ARITH-3) of values that share one exponent. Returns cells, the row and its exponent."""
    w, f = prm.limb, min(cap, f_v)
    start = f
    hi, lo = max(v), min(v)
    while max(abs(rsh(hi, f_v - f)), abs(rsh(lo, f_v - f))) > bound:
        f -= 1
    f += fo.get("df", 0)
    s = f_v - f
    sc = min(s, s_max)
    sh = fo.get("shift", sc)
    a = [rsh(i, sh) for i in v]
    for i, g in fo.get("a", {}).items():
        a[i] = g(v[i], sh, a[i]) % P
    power = fo.get("power", (1 << sh) % P)
    z = {"f": f, "f_cap": split(cap - f, 1, w), "shift": [sh, power], "t": fo.get("t", s - sh)}
    z["row"] = [i % P for i in a]
    n = prm.limbs_for(s_max)
    z["rem"] = [split(i + half(sh) - j * power, n, w) for i, j in zip(v, a)]
    for i, g in fo.get("limbs", {}).items():
        z["rem"][i] = g(v[i] + half(sh) - a[i] * (1 << sh), sh)
    z["branch"] = fo.get(
        "branch", [1, 0, 0] if f == cap else [0, 1, 0] if f == start else [0, 0, 1]
    )
    j = z["named"] = fo.get("named", v.index(hi if hi >= -lo else lo))
    z["max"] = exceeds_witness(prm, v[j], s if z["branch"][2] else 0, bound, fo.get("max", {}))
    return z


def check_quantise(c, name, z, v, f_v, cap, bound, s_max, output):
    f = z["f"]
    c.width(name + ".cap", 10, z["f_cap"][0])
    c.eq(name + ".cap", cap - f, z["f_cap"][0])
    for k in z["branch"]:
        c.boolean(name + ".branch.bool", k)
    c.eq(name + ".branch.sum", sum(z["branch"]), 1)
    c.eq(name + ".branch.cap", z["branch"][0] * (f - cap), 0)
    power, hf, widths = c.shift(name + ".shift", z["shift"], s_max)
    c.width(name + ".clamp.range", 10, z["t"])
    c.eq(name + ".clamp", z["t"] * (z["shift"][0] - s_max), 0)
    if c.prm.proposed:
        c.eq(name + ".clamp", z["t"], 0)  # the proposed bounds leave nothing to clamp
    c.eq(name + ".exponent", f_v - f, z["shift"][0] + z["t"])
    c.eq(name + ".branch.least", z["branch"][1] * (f_v - f), 0)
    for j, a in enumerate(z["row"]):
        output(j, a)
        rem = c.remainder(name + ".rem", z["rem"][j], widths)
        c.eq(name + ".round", v[j] + hf, a * power + rem)
    m, active = z["max"], z["branch"][2]
    check_exceeds(
        c,
        name + ".max",
        v[z["named"]],
        m["key"],
        m["sign"],
        m["limbs"],
        bound,
        min(s_max, 48 if bound > 127 else 56),
        active,
    )
    c.eq(name + ".max.key", active * (m["key"][0] - z["shift"][0] + 1), 0)
    c.eq(name + ".max.clamped", active * z["t"], 0)


def mlp_witness(inp, prm, force=None):
    force = force or {}
    v = [a * m for a, m in zip(inp["acc_gate"], inp["m_gate"])]
    fo = force.get("gate", {})
    gate = quantise_witness(prm, v, inp["e_gate"] + inp["f"], 15, B16, prm.s_gate, fo)
    e = min(max(gate["f"], 0), 15)
    act = [silu(e, signed(g)) if abs(signed(g)) < 2**17 else 0 for g in gate["row"]]
    for i, g in fo.get("silu", {}).items():
        act[i] = g(act[i], e, signed(gate["row"][i])) % P
    h = [signed(a) * b * m for a, b, m in zip(act, inp["acc_up"], inp["m_up"])]
    f_v = gate["f"] + inp["e_up"] + inp["f"]
    ff = quantise_witness(prm, h, f_v, 30, prm.bound, prm.s_ff, force.get("ff", {}))
    return {"gate": gate, "act": [a % P for a in act], "ff": ff}


def check_mlp(inp, z, prm):
    c = Checker(prm)
    gate = z["gate"]

    def table(j, g):
        # The table holds |g| <= 32639 only: 16 * 65279 rows, below 2^20. It is the range check of g
        # too.
        e, g = signed(gate["f"]), signed(g)
        inside = 0 <= e <= 15 and abs(g) <= B16
        c.look("gate.silu", "SILU", inside and silu(e, g) == signed(z["act"][j]))

    v = [a * m for a, m in zip(inp["acc_gate"], inp["m_gate"])]
    check_quantise(c, "gate", gate, v, inp["e_gate"] + inp["f"], 15, B16, prm.s_gate, table)
    h = [a * b * m for a, b, m in zip(z["act"], inp["acc_up"], inp["m_up"])]
    f_v = gate["f"] + inp["e_up"] + inp["f"]
    check_quantise(
        c,
        "ff",
        z["ff"],
        h,
        f_v,
        30,
        prm.bound,
        prm.s_ff,
        lambda j, a: c.row_value("ff.range", a, signed(z["ff"]["shift"][0])),
    )
    return c
