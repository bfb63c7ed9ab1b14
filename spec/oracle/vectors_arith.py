"""ARITH-1: in {v, s} out {r}. ARITH-2: in {v} out {bits}. ARITH-3: in {v, f, bound, cap} out {row,
exponent}.
ARITH-4: in {n} out {k, t, r}. A case with "wrong" states an output that a replay must refuse with
the code in "reject"."""

from math import isqrt

from oracle.arith import bitlen, reciprocal_root, row, rsh
from oracle.case import accept, wrong
from oracle.prng import Prng

TOP = 2**63 - 1


def _rsh():
    cases = []
    values = [
        0,
        1,
        -1,
        2,
        -2,
        3,
        -3,
        5,
        -5,
        127,
        -128,
        255,
        256,
        -256,
        2**31,
        -(2**31),
        2**62 - 1,
        2**62,
        -(2**62),
        2**62 + 1,
        TOP,
        -TOP,
    ]
    for s in (0, 1, 2, 8, 30, 31, 32, 61, 62, 63, 64, 65, 127, 1000):
        cases += [({"v": v, "s": s}, "grid") for v in values]
    for s in (
        1,
        2,
        7,
        16,
        40,
        61,
        62,
    ):  # ties round up: towards plus infinity, for negative values too
        half = 2 ** (s - 1)
        cases += [
            ({"v": sign * half + off, "s": s}, "tie") for sign in (1, -1) for off in (-1, 0, 1)
        ]
        if s < 61:
            cases += [
                ({"v": sign * 3 * half + off, "s": s}, "tie")
                for sign in (1, -1)
                for off in (-1, 0, 1)
            ]
    random = Prng("ARITH-1")
    for _ in range(100):
        bits = random.between(1, 63)
        cases.append(
            (
                {"v": random.between(-(2**bits) + 1, 2**bits - 1), "s": random.between(0, 66)},
                "random",
            )
        )
    out = [accept("ARITH-1", name, i, {"r": rsh(i["v"], i["s"])}) for i, name in cases]
    for name, v, s, r in (
        ("tie down", 1, 1, 0),
        ("negative tie away from zero", -1, 1, -1),
        ("truncated", -3, 1, -2),
        ("tie to even", 5, 1, 2),
        ("floor", 255, 8, 0),
        ("off by one", 1000, 3, 126),
        ("minus a half at 62", -(2**61), 62, -1),
        ("63 is 0, not a rounded half", TOP, 63, 1),
        ("63 is 0", -TOP, 63, -1),
        ("shift modulo 64", 7, 64, 7),
        ("largest", TOP, 1, 2**62 - 1),
    ):
        out.append(wrong("ARITH-1", name, {"v": v, "s": s}, {"r": r}, {"r": rsh(v, s)}))
    return out


def _bitlen():
    values = sorted(
        {0, 1, 2, 3, 4, 7, 8, TOP}
        | {2**b + d for b in (8, 16, 31, 32, 37, 55, 62) for d in (-1, 0, 1)}
    )
    out = [accept("ARITH-2", "grid", {"v": v}, {"bits": bitlen(v)}) for v in values]
    for v, bits in ((0, 1), (1, 0), (256, 8), (255, 9), (TOP, 64)):
        out.append(wrong("ARITH-2", "off by one", {"v": v}, {"bits": bits}, {"bits": bitlen(v)}))
    return out


def _row_inputs():
    yield "zeros", [0, 0, 0], [5, 5, 5], 127, 30
    yield "zeros below the cap", [0, 0], [40, 33], 127, 30
    yield "zero limits the exponent too", [100, 0], [20, -7], 127, 30
    yield "one element at the bound", [127], [10], 127, 30
    yield "one above the bound", [128], [10], 127, 30
    yield "rounds down into the bound", [254, -3], [10, 10], 127, 30
    yield "tie leaves the bound", [255], [10], 127, 30
    yield "negative tie stays", [-255], [10], 127, 30
    yield "negative just outside", [-256], [10], 127, 30
    yield "the smallest value decides", [10, -300], [4, 4], 127, 30
    yield "cap reached", [1, -2, 3], [50, 50, 50], 127, 30
    yield "cap 15", [1 << 40, -(1 << 39)], [60, 60], 32639, 15
    yield "cap just not reached", [32639 << 20, 5], [50, 50], 32639, 30
    yield "cap and bound meet", [(32639 << 20) + (1 << 19) - 1], [50], 32639, 30
    yield "cap and bound part by a tie", [(32639 << 20) + (1 << 19)], [50], 32639, 30
    yield "different exponents", [1000, 1000, 1000], [3, 9, 12], 4095, 30
    yield "small value of low exponent decides", [3, 1 << 30], [-5, 40], 127, 30
    yield "gap of 64", [127, TOP], [0, 64], 127, 30
    yield "gap of 70", [127, TOP, -TOP], [0, 70, 63], 127, 30
    yield "to minus sixty", [TOP], [-3], 127, 30
    yield "largest values", [TOP, -TOP], [30, 30], 32639, 30
    yield "both signs at once", [32640, -32640], [2, 2], 32639, 30
    yield "tie of both signs", [65279, -65279], [2, 2], 32639, 30
    yield "two to the 62", [2**62 - 1, -(2**62) + 1, 7], [77, 77, 77], 4095, 30
    random = Prng("ARITH-3")
    for _ in range(60):
        bits, count = random.between(1, 62), random.between(1, 24)
        same = random.between(-20, 80)
        spread = random.between(0, 2) * random.between(0, 40)
        yield (
            "random",
            random.list(count, -(2**bits), 2**bits),
            [same + random.between(0, spread) for _ in range(count)],
            (127, 2047, 4095, 32639)[random.between(0, 3)],
            (30, 30, 15)[random.between(0, 2)],
        )


def _rows():
    out = []
    for name, v, f, bound, cap in _row_inputs():
        inputs = {"v": v, "f": f, "bound": bound, "cap": cap}
        values, exponent = row(v, f, bound, cap)
        right = {"row": values, "exponent": exponent}
        out.append(accept("ARITH-3", name, inputs, right))
        if name == "random" and exponent % 3:
            continue
        lower = {"row": [rsh(a, b - exponent + 1) for a, b in zip(v, f)], "exponent": exponent - 1}
        out.append(wrong("ARITH-3", name + ": not the greatest", inputs, lower, right))
        if exponent < min(f):
            higher = {
                "row": [rsh(a, b - exponent - 1) for a, b in zip(v, f)],
                "exponent": exponent + 1,
            }
            out.append(wrong("ARITH-3", name + ": one too great", inputs, higher, right))
        nudged = {"row": values[:-1] + [values[-1] + 1], "exponent": exponent}
        out.append(wrong("ARITH-3", name + ": last element off by one", inputs, nudged, right))
    return out


def _roots():
    values = {
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        15,
        16,
        17,
        2**59,
        2**60 - 1,
        2**60,
        2**60 + 1,
        2**61 - 1,
        2**61,
        2**62 - 1,
    }
    for base in (
        3,
        255,
        2**15,
        2**15 + 1,
        2**29 + 12345,
        2**30 - 1,
        2**30,
        2**30 + 1,
        1518500249,
        2**31 - 1,
    ):
        values |= {base * base + d for d in (-1, 0, 1)}
    random = Prng("ARITH-4")
    values |= {random.between(1, 2 ** random.between(1, 62) - 1) for _ in range(80)}
    out = []
    for n in sorted(v for v in values if 1 <= v < 2**62):
        k, t, r = reciprocal_root(n)
        assert (
            t * t <= n * 4**k < (t + 1) ** 2
            and t == isqrt(n * 4**k)
            and 2**15 <= r <= 2**16
        )
        out.append(accept("ARITH-4", "root", {"n": n}, {"k": k, "t": t, "r": r}))
    for n in (1, 2**59, 2**60 - 1, 2**60, 2**62 - 1, 25):
        k, t, r = reciprocal_root(n)
        right = {"k": k, "t": t, "r": r}
        out.append(wrong("ARITH-4", "t too great", {"n": n}, {"k": k, "t": t + 1, "r": r}, right))
        out.append(wrong("ARITH-4", "t too small", {"n": n}, {"k": k, "t": t - 1, "r": r}, right))
        out.append(wrong("ARITH-4", "R off by one", {"n": n}, {"k": k, "t": t, "r": r + 1}, right))
        if n * 4 ** (k + 1) < 2**63:
            t2 = isqrt(n * 4 ** (k + 1))
            out.append(
                wrong(
                    "ARITH-4",
                    "k not the least",
                    {"n": n},
                    {"k": k + 1, "t": t2, "r": (2**46 + t2 // 2) // t2},
                    right,
                )
            )
    return out


def cases():
    return _rsh() + _bitlen() + _rows() + _roots()
