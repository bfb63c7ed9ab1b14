#!/usr/bin/env python3
"""Runs the circuit gate: honest witnesses of Llama-3-8B shape, extremes, named forgeries, counts,
fidelity.

Exit status 0 only if every honest witness passes and every forgery is rejected by the named
constraints.
"""
import random
import sys
from fractions import Fraction

from witness import (
    B16,
    P,
    Params,
    attention_witness,
    cells_of,
    check_attention,
    check_mlp,
    div,
    mlp_witness,
    rsh,
    signed,
    silu,
)

EXP2 = [
    round(2**14 * 2 ** (i / 256)) for i in range(256)
]  # no entry is near a tie: floats are exact enough here
failures = []


def expect(what, ok, detail=""):
    if not ok:
        failures.append(what)
    print(("ok   " if ok else "FAIL ") + what + (": " + detail if detail else ""))


# ----------------------------------------------------------------------------------------- inputs


def tiles(z, f_v, v):
    """OP-11 over all positions of one head: z (8 fraction bits), f_v and v (rows) by position."""
    out = {"M": [], "X": [], "S": [], "A": []}
    for start in range(0, len(z), 128):
        us = range(start, min(start + 128, len(z)))
        n = {u: z[u] >> 8 for u in us}
        m, x = max(n.values()), max(n[u] - f_v[u] for u in us)
        out["M"].append(m)
        out["X"].append(x)
        out["S"].append(sum(rsh(EXP2[z[u] & 255], m - n[u]) for u in us))
        w = [rsh(EXP2[z[u] & 255], x - n[u] + f_v[u]) for u in us]
        out["A"].append([sum(map(int.__mul__, w, col)) for col in zip(*(v[u] for u in us))])
    return out


def random_heads(rnd, heads, width, positions, spread=8):
    res = []
    for h in range(heads):
        sigma, base = rnd.uniform(0.3, 6), rnd.randrange(2, 2 + spread)
        z = [int(256 * rnd.gauss(0, sigma)) for _ in range(positions)]
        if h % 3 == 0:
            z[0] += 256 * 14  # an attention sink
        f_v = [base + rnd.randrange(3) for _ in range(positions)]
        v = [
            [max(-127, min(127, int(rnd.gauss(0, 45)))) for _ in range(width)]
            for _ in range(positions)
        ]
        if h % 3 == 0:
            v[0] = [i // 40 for i in v[0]]
        res.append(tiles(z, f_v, v))
    return res


def extreme_heads(width, tile_count):
    """The bounds of chapter 17: full tiles of greatest weight, a head of zeros, and one far below
    the others."""
    s, a = 128 * 32680, 128 * 32680 * 127
    full = {
        "M": [0] * tile_count,
        "X": [30] * tile_count,
        "S": [s] * tile_count,
        "A": [[a, -a] * (width // 2)] * tile_count,
    }
    zero = {"M": [5], "X": [-25], "S": [2**14], "A": [[0] * width]}
    tiny = {"M": [0], "X": [-30], "S": [s], "A": [[1, -1] * (width // 2)]}
    far = {
        "M": [2**23, -(2**23)],
        "X": [2**23 - 30, -(2**23) + 30],
        "S": [2**14, s],
        "A": [[a, -a] * (width // 2)] * 2,
    }
    return [full, zero, tiny, far]


def random_mlp(rnd, n, e=22, f=12, sigma=2**24, outlier=0):
    def acc():
        return max(-(2**33), min(2**33, int(rnd.gauss(0, sigma))))

    inp = {"e_gate": e, "e_up": e, "f": f}
    for k in ("gate", "up"):
        inp["acc_" + k] = [acc() for _ in range(n)]
        inp["m_" + k] = [rnd.randrange(1500, 4096) for _ in range(n)]
    if outlier:
        inp["acc_gate"][n // 2], inp["acc_up"][n // 2] = outlier, -outlier
    return inp


def extreme_mlp(d):
    top = 127 * B16 * d
    n = 8
    return {
        "e_gate": 40,
        "e_up": 40,
        "f": 8,
        "acc_gate": [top, -top, 0, 1, -1, top // 2, 77, -(top // 3)][:n],
        "m_gate": [4095] * n,
        "acc_up": [top, top, top, -top, 0, 5, -5, 1],
        "m_up": [4095] * n,
    }


# ----------------------------------------------------------------------- OP-12, OP-13 by the letter


def op12_13(heads):
    """The row by the letter of SPEC 6 (for comparison with the circuit's `spec` variant)."""
    vals = []
    for t in heads:
        m, x = max(t["M"]), max(t["X"])
        s = sum(a << (23 - (m - b)) for a, b in zip(t["S"], t["M"]) if m - b <= 23)
        a = [
            sum(r[j] << (23 - (x - b)) for r, b in zip(t["A"], t["X"]) if x - b <= 23)
            for j in range(len(t["A"][0]))
        ]
        b = s.bit_length() - 31
        r = 2**46 // (s >> b)
        vals += [(rsh(i, 24) * r, 22 + b + m - x) for i in a]
    f = min(30, min(e for _, e in vals))
    while any(abs(rsh(v, e - f)) > B16 for v, e in vals):
        f -= 1
    return [rsh(v, e - f) for v, e in vals], f


def exact(heads):
    """Real numbers A/S of the tiles' integers, with exponent 0 for S's octave M and A's octave
    X."""
    out = []
    for t in heads:
        s = sum(Fraction(a) * Fraction(2) ** m for a, m in zip(t["S"], t["M"]))
        for j in range(len(t["A"][0])):
            out.append(sum(Fraction(r[j]) * Fraction(2) ** x for r, x in zip(t["A"], t["X"])) / s)
    return out


def fidelity(heads):
    real = exact(heads)
    res = {}
    for variant in ("spec", "proposed"):
        z = attention_witness(heads, Params(19, variant))
        o = [signed(v) for x in z["heads"] for v in x["o"]]
        scale = Fraction(2) ** -z["f"]
        err = [float(abs(v * scale - r) / scale) for v, r in zip(o, real)]
        res[variant] = (max(err), (sum(e * e for e in err) / len(err)) ** 0.5, z["f"])
    return res


# -------------------------------------------------------------------------------------- forgeries


def attention_forgeries():
    """(name, force, constraints it must break, exactly). Head 0 is ordinary; heads of
    `small_heads`."""

    def plus(k):
        return lambda v, s, o: o + k

    one = {0: plus(1)}
    return [
        ("output off by +1", {0: {"o": one}}, {"o.rem"}),
        ("output off by -1", {0: {"o": {0: plus(-1)}}}, {"o.rem"}),
        ("output's sign flipped", {0: {"o": {"named": lambda v, s, o: -o}}}, {"o.rem"}),
        (
            "output from the field's division, remainder 0",
            {0: {"o": {0: lambda v, s, o: div(v, 1 << s)}}},
            {"o.range"},
        ),
        (
            "output -1, the excess put into the low limb",
            {0: {"o": {0: plus(-1)}, "o_limbs": {0: lambda x, s: [x, 0]}}},
            {"o.rem"},
        ),
        (
            "output -1, the excess put into the high limb",
            {0: {"o": {0: plus(-1)}, "o_limbs": {0: lambda x, s: [x & (2**19 - 1), x >> 19]}}},
            {"o.rem"},
        ),
        ("round half down on a tie", {4: {"o": {0: plus(-1)}}}, {"o.rem"}),
        ("q off by one, the rest honest", {0: {"q": one}}, {"q.rem"}),
        (
            "q from the field's division with remainder 1",
            {0: {"q": {0: lambda a, s, q: div(a + (1 << s >> 1) - 1, 1 << s)}}},
            None,
        ),
        ("head shift one too great", {0: {"sA": "+1"}}, {"sA.min"}),
        ("head shift one too small", {0: {"sA": "-1"}}, {"q.range"}),
        ("head shift too great, zero flag claimed", {0: {"sA": "+1", "sA_zero": 1}}, {"sA.zero"}),
        (
            "head shift too great, sign cell not a bit",
            {0: {"sA": "+1", "sA_min": {"sign": "solve"}}},
            {"sA.min.sign"},
        ),
        ("row exponent one too small", {"row": {"df": -1, "branch": [0, 0, 1]}}, {"f.max"}),
        (
            "row exponent too small, cap claimed",
            {"row": {"df": -1, "branch": [1, 0, 0]}},
            {"f.branch.cap"},
        ),
        (
            "row exponent too small, an unshifted head claimed",
            {"row": {"df": -1, "branch": [0, 1, 0]}},
            {"f.branch.least"},
        ),
        (
            "row exponent too small, no branch",
            {"row": {"df": -1, "branch": [0, 0, 0]}},
            {"f.branch.sum"},
        ),
        (
            "row exponent too small, branches 1, 1, -1",
            {"row": {"df": -1, "branch": [P - 30, 31, 0]}},
            None,
        ),
        ("row exponent one too great", {"row": {"df": 1}}, {"o.range"}),
        ("2^s not the power of the named shift", {0: {"power": "double"}}, {"sc.shift"}),
        ("shift clamped early (flushes a head)", {0: {"sc": "-2"}}, None),
        ("b one too great", {0: {"b": "+1"}}, {"T.range"}),
        ("b one too small", {0: {"b": "-1"}}, {"T.range"}),
        ("floor(S / 2^b) one too small", {0: {"T": "-1"}}, {"S.rem"}),
        ("floor(S / 2^b) one too great", {0: {"T": "+1"}}, {"S.rem"}),
        ("R one too great", {0: {"R": "+1"}}, {"R.less", "R.rem"}),
        ("R one too small", {0: {"R": "-1"}}, {"R.less"}),
        ("R the field's quotient", {0: {"R": "field"}}, {"R.range"}),
        ("M above every tile", {0: {"M": "+1"}}, {"M.attained"}),
        ("M below the greatest tile", {0: {"M": "-1"}}, None),
        ("X above every tile", {0: {"X": "+1"}}, {"X.attained"}),
        ("a tile's weight doubled", {0: {"weight_X": "double"}}, {"X.weight"}),
        ("a far tile's weight 1 in place of 0", {5: {"weight_M": "one"}}, {"M.weight"}),
    ]


def small_heads(rnd):
    res = random_heads(rnd, 4, 8, 300)
    # Head 4 has ties: A a small multiple of a power of two and S such that R is a power of two.
    res.append(
        {
            "M": [0],
            "X": [max(res[0]["X"]) - max(res[0]["M"])],
            "S": [2**14],
            "A": [[3 * 2**5, 2**14 * 90] + [2**12] * 6],
        }
    )
    res.append(
        {
            "M": [40, 0],
            "X": [39 + max(res[0]["X"]) - max(res[0]["M"]), -60],
            "S": [2**20, 2**20],
            "A": [[2**27] * 8, [2**26] * 8],
        }
    )
    return res


def resolve(force, honest, heads, prm):
    """Turns the words of a forgery into numbers, from the honest witness."""
    out = {}
    for key, fo in force.items():
        fo = out[key] = dict(fo)
        if key == "row":
            continue
        x = honest["heads"][key]
        base = {
            "b": x["b"],
            "R": x["R"],
            "M": x["M"],
            "X": x["X"],
            "sA": x["sA"],
            "sc": signed(x["sc"][0]),
            "T": 2**30 + x["T"][0] + (x["T"][1] << 19),
        }
        for k, v in list(fo.items()):
            if v in ("+1", "-1", "-2"):
                fo[k] = base[k] + int(v)
            elif k == "R" and v == "field":
                fo[k], fo["R_rem"] = div(2**46 - 5, base["T"]), 5
            elif k == "power":
                fo[k] = 2 * x["sc"][1]
            elif k.startswith("weight"):
                w = list(x[k])
                i = w.index(0) if v == "one" else max(range(len(w)), key=lambda t: w[t])
                w[i] = 1 if v == "one" else 2 * w[i]
                fo[k] = w
        if "named" in fo.get("o", {}):
            fo["o"] = {x["named_j"]: fo["o"]["named"]}
        if "sA_min" in fo:
            # over*sign + under*(1-sign) = 0 has a solution in the field: only the bit check stops
            # it.
            j, s = x["named_j"], fo["sA"]
            a = sum(t[j] * k for t, k in zip(heads[key]["A"], x["weight_X"]))
            power, half = 1 << (s - 1), (1 << (s - 1)) >> 1
            over, under = a + half - 2**19 * power, -(a + half) - (2**19 - 1) * power - 1
            fo["sA_min"] = {"sign": div(-under, over - under)}
    return out


def mlp_forgeries():
    def plus(k):
        return lambda v, s, a: a + k

    return [
        ("gate off by +1", {"gate": {"a": {3: plus(1)}}}, {"gate.rem"}),
        ("gate off by -1", {"gate": {"a": {3: plus(-1)}}}, {"gate.rem"}),
        ("gate beyond 32639 at a greater exponent", {"gate": {"df": 1, "branch": [0, 0, 1]}}, None),
        ("gate exponent one too small", {"gate": {"df": -1, "branch": [0, 0, 1]}}, {"gate.max"}),
        (
            "gate exponent too small, cap claimed",
            {"gate": {"df": -1, "branch": [1, 0, 0]}},
            {"gate.branch.cap"},
        ),
        (
            "gate exponent too small, shift 0 claimed",
            {"gate": {"df": -1, "branch": [0, 1, 0]}},
            {"gate.branch.least"},
        ),
        (
            "gate + 2^16, the table's column taken modulo 2^16",
            {"gate": {"a": {3: plus(2**16)}}},
            {"gate.silu", "gate.rem"},
        ),
        ("SILU off by one", {"gate": {"silu": {3: lambda a, e, g: a + 1}}}, {"gate.silu"}),
        ("SILU of another exponent's row", {"gate": {"silu": {5: "row"}}}, {"gate.silu"}),
        (
            "SILU left out (identity)",
            {"gate": {"silu": {5: lambda a, e, g: g if g < 0 else g - 7}}},
            {"gate.silu"},
        ),
        (
            "gate by the field's division",
            {"gate": {"a": {3: lambda v, s, a: div(v + (1 << s >> 1), 1 << s)}}},
            {"gate.silu"},
        ),
        ("gate shift clamped though not needed", {"gate": {"shift": "-1", "t": 1}}, None),
        ("gate exponent under another shift", {"gate": {"shift": "+1"}}, {"gate.clamp.range"}),
        ("2^s doubled", {"gate": {"power": "double"}}, {"gate.shift"}),
        ("h off by +1", {"ff": {"a": {2: plus(1)}}}, {"ff.rem"}),
        ("h off by -1", {"ff": {"a": {2: plus(-1)}}}, {"ff.rem"}),
        ("h's sign flipped", {"ff": {"a": {2: lambda v, s, a: -a}}}, {"ff.rem"}),
        (
            "h by the field's division",
            {"ff": {"a": {2: lambda v, s, a: div(v + (1 << s >> 1), 1 << s)}}},
            {"ff.range"},
        ),
        ("h exponent one too small", {"ff": {"df": -1, "branch": [0, 0, 1]}}, {"ff.max"}),
        ("h exponent one too great", {"ff": {"df": 1, "branch": [0, 0, 1]}}, None),
        (
            "h exponent too small, another value named",
            {"ff": {"df": -1, "branch": [0, 0, 1], "named": 1}},
            {"ff.max"},
        ),
        (
            "h -1, the excess put into the low limb",
            {
                "ff": {
                    "a": {2: plus(-1)},
                    "limbs": {2: lambda x, s: [x & (2**19 - 1) | 2**19, (x >> 19) - 1, 0]},
                }
            },
            {"ff.rem"},
        ),
    ]


def run_forgeries(prm, rnd):
    heads = small_heads(rnd)
    honest = attention_witness(heads, prm)
    bad = check_attention(heads, honest, prm).violated
    expect("honest small attention row", not bad, str(bad or ""))
    rejected = 0
    for name, force, want in attention_forgeries():
        z = attention_witness(heads, prm, resolve(force, honest, heads, prm))
        got = check_attention(heads, z, prm).violated
        rejected += bool(got)
        ok = bool(got) and (want is None or want <= got)
        expect("attention forgery, " + name, ok, "breaks " + ", ".join(sorted(got)))
    inp = random_mlp(rnd, 24, outlier=2**31)
    inp["acc_gate"][3], inp["acc_up"][3] = 12345678, -7654321
    inp["acc_gate"][2], inp["acc_up"][2] = 2**29 + 12345, -(2**28) - 999
    honest = mlp_witness(inp, prm)
    bad = check_mlp(inp, honest, prm).violated
    expect("honest small feed-forward row", not bad, str(bad or ""))
    for name, force, want in mlp_forgeries():
        force = {k: dict(v) for k, v in force.items()}
        for k, fo in force.items():
            if fo.get("shift") in ("+1", "-1"):
                fo["shift"] = honest[k]["shift"][0] + int(fo["shift"])
            if "power" in fo:
                fo["power"] = 2 * honest[k]["shift"][1]
            if fo.get("silu", {}).get(5) == "row":
                fo["silu"] = {5: lambda a, e, g: silu(e + 1, g)}
        got = check_mlp(inp, mlp_witness(inp, prm, force), prm).violated
        rejected += bool(got)
        expect(
            "mlp forgery, " + name,
            bool(got) and (want is None or want <= got),
            "breaks " + ", ".join(sorted(got)),
        )
    total = len(attention_forgeries()) + len(mlp_forgeries())
    expect(f"{rejected} of {total} forgeries rejected", rejected == total)


def wrap_of_the_spec():
    """A flushed head of the present OP-12/13: o = 2^(64-s) in place of 0, since o * 2^s = 2^64 =
    2^32 - 1 mod p."""
    big = {"M": [0], "X": [0], "S": [128 * 32680], "A": [[2**29 - 2**20] * 2]}
    small = {"M": [0], "X": [-24], "S": [128 * 32680], "A": [[2**20, 2**20]]}
    force = {1: {"o": {0: lambda v, s, o: 1 << (64 - s)}}}
    for keyed in (False, True):
        prm = Params(19, "spec", keyed=keyed)
        z = attention_witness([big, small], prm, force)
        got = check_attention([big, small], z, prm).violated
        s = z["heads"][1]["sc"][0]
        if keyed:
            expect(
                "spec variant, range of o keyed by the shift",
                got == {"o.range"},
                f"shift {s}: breaks {got}",
            )
        else:
            expect(
                "spec variant, range of o not keyed: the wrap modulo p IS ACCEPTED (finding)",
                not got and s > 48,
                f"shift {s}, o = {1 << (64 - s)} in place of 0",
            )


# -------------------------------------------------------------------------------------------- main


def main():
    rnd = random.Random(20240601)
    wrap_of_the_spec()
    run_forgeries(Params(19, "proposed"), random.Random(7))
    for variant in ("spec", "proposed"):
        for tc in (4, 1024):
            heads = extreme_heads(4, tc)
            prm = Params(19, variant)
            bad = check_attention(heads, attention_witness(heads, prm), prm).violated
            expect(f"extremes of the attention row, {variant}, {tc} tiles", not bad, str(bad or ""))
        for d in (4096, 16384):
            for bound in (B16, 127):
                inp = extreme_mlp(d)
                if variant == "proposed":
                    inp |= {"e_gate": 33, "e_up": 33}
                prm = Params(19, variant, bound)
                bad = check_mlp(inp, mlp_witness(inp, prm), prm).violated
                expect(
                    f"extremes of the feed-forward row, {variant}, d = {d}, bound {bound}",
                    not bad,
                    str(bad or ""),
                )
    heads = random_heads(rnd, 32, 128, 512)
    mlp = random_mlp(rnd, 14336, outlier=2**32)
    for variant in ("spec", "proposed"):
        for limb in (19, 15):
            prm = Params(limb, variant)
            z = attention_witness(heads, prm)
            c = check_attention(heads, z, prm)
            expect(
                f"honest row of 32 x 128, {variant}, tables 2^{limb + 1}",
                not c.violated,
                str(c.violated or ""),
            )
            shifts = [x["sc"][0] + x["t"] for x in z["heads"]]
            print(
                f"     lookups {c.lookups} (notes 28,672), cells {cells_of(z)}, last shifts {min(shifts)}..{max(shifts)}, {c.counts}"
            )
            if variant == "spec" and limb == 19:
                o = [signed(v) for x in z["heads"] for v in x["o"]]
                expect(
                    "the spec variant's row is OP-12/13 by the letter",
                    (o, z["f"]) == op12_13(heads),
                )
            y = mlp_witness(mlp, prm)
            c = check_mlp(mlp, y, prm)
            expect(
                f"honest rows of 14336, {variant}, tables 2^{limb + 1}",
                not c.violated,
                str(c.violated or ""),
            )
            print(
                f"     lookups {c.lookups} (notes 100,352), cells {cells_of(y)}, shifts {y['gate']['shift'][0]}, {y['ff']['shift'][0]}, {c.counts}"
            )
    print("fidelity of the attention row: error in units of the last place (max, rms), exponent")
    for name, hs in (
        ("512 positions, 8 octaves spread", heads),
        ("4096 positions", random_heads(rnd, 4, 16, 4096)),
        ("100 positions", random_heads(rnd, 32, 16, 100)),
    ):
        print(
            "    ",
            name,
            {k: (round(a, 3), round(b, 3), f) for k, (a, b, f) in fidelity(hs).items()},
        )
    print("FAILED: " + "; ".join(failures) if failures else "all passed")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
