"""SPEC chapter 4 (ARITH)."""

from math import isqrt


def rsh(v, s):
    """ARITH-1."""
    assert s >= 0
    if s == 0:
        return v
    return (v + (1 << (s - 1))) >> s if s <= 62 else 0


def bitlen(v):
    """ARITH-2."""
    assert v >= 0
    return v.bit_length()


def row_exponent(values, exponents, bound, cap):
    """ARITH-3: the greatest f. Searched from above, which is the definition, on the extremes of
    each exponent."""
    extremes = {}
    for v, f in zip(values, exponents):
        low, high = extremes.get(f, (v, v))
        extremes[f] = (min(low, v), max(high, v))
    f = min([cap] + list(extremes))
    while not all(abs(rsh(v, fj - f)) <= bound for fj, pair in extremes.items() for v in pair):
        f -= 1
    return f


def row(values, exponents, bound, cap):
    """ARITH-3: (the row, its exponent)."""
    f = row_exponent(values, exponents, bound, cap)
    return [rsh(v, fj - f) for v, fj in zip(values, exponents)], f


def reciprocal_root(n):
    """ARITH-4: (k, t, R)."""
    assert 1 <= n < 2**62
    k = 0
    while n * 4**k < 2**60:
        k += 1
    t = isqrt(n * 4**k)
    return k, t, (2**46 + t // 2) // t
