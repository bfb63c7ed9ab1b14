"""SPEC chapter 5 (TAB). Every entry comes from integers alone.

A real number is held as an integer `v` with P fraction bits together with a bound `err` (in units
of 2^-P) on its
distance from the true value. `rounded` decides the nearest integer only if the whole interval
rounds to it;
otherwise it raises Undecided and the caller starts again with more bits. So no wrong entry can
leave this file.
"""

from functools import lru_cache
from math import isqrt

from oracle.arith import rsh
from oracle.encoding import H, integer
from oracle.trees import KIND, tensor_root

P = 192


class Undecided(Exception):
    """The interval holds a tie: P must grow."""


def rounded(v, err, fraction_bits):
    half = 1 << (fraction_bits - 1)
    low, high = (v - err + half) >> fraction_bits, (v + err + half) >> fraction_bits
    if low != high:
        raise Undecided
    return low


def exp2_table():
    """TAB-1, exactly: n is the nearest integer iff (2n-1)^256 <= 2^(15*256+i) < (2n+1)^256."""
    out, n = [], 2**14
    for i in range(256):
        power = 1 << (15 * 256 + i)
        while (2 * n + 1) ** 256 <= power:
            n += 1
        assert (2 * n - 1) ** 256 <= power
        out.append(n)
    return out


def _atan_inverse(n):
    """atan(1/n), n >= 5, off by less than 100 units: fewer than 90 terms, each off by less than
    1."""
    total, power, k = 0, (1 << P) // n, 0
    while power:
        total += (-power if k % 2 else power) // (2 * k + 1)
        power //= n * n
        k += 1
    return total


def _cos_sin(x):
    """(cos x, sin x) for 0 <= x < 2*pi with P bits, x off by at most 2^12 units. Term k is x/k
    times the one before,
    so errors of terms grow like the terms of e^x: their sum is below e^7 * (2^12 + 200) < 2^23
    units.
    """
    sums, term, k = [0, 0], 1 << P, 0
    while term:
        sums[k % 2] += -term if k % 4 >= 2 else term
        k += 1
        term = term * x // k >> P
    return sums


def rope_table():
    """TAB-2."""
    pi = 16 * _atan_inverse(5) - 4 * _atan_inverse(239)  # off by less than 2000 units
    out = []
    for n in range(3):
        for i in range(256):
            for v in _cos_sin(2 * pi * i >> 8 * (n + 1)):
                out.append(rounded(v << 30, 1 << (24 + 30), P))
    return out


def _exp_minus(e):
    """exp(-2^-e), off by less than 100 units: alternating series of fewer than 50 terms; a root
    halves the error."""
    total, term, k = 0, 1 << P, 0
    while term:
        total += -term if k % 2 else term
        k += 1
        term //= k
    for _ in range(e):
        total = isqrt(total << P)
    return total


def silu_table():
    """TAB-3. q = exp(-g*2^-e) by repeated multiplication: each step adds at most q*100 + 1 units to
    the error, so it
    stays below 2^15*101 < 2^22 units, and that of g/(1+q) below 2^15*2^22 + 1 < 2^38. For negative
    g,
    silu(-g) = silu(g) - g, and g is an integer, so its rounding is that of silu(g)."""
    out = []
    for e in range(16):
        step, q = _exp_minus(e), 1 << P
        line = [0] * 65536
        for g in range(1, 32769):
            q = q * step >> P
            v = rounded((g << 2 * P) // ((1 << P) + q), 1 << 38, P)
            if g < 32768:
                line[g] = v
            line[65536 - g] = v - g
        out.extend(line)
    return out


def _atanh(z):
    """atanh z for |z| <= 1/3, off by less than 100 units."""
    total, power, square, k = 0, z, z * z >> P, 0
    while power not in (0, -1):
        total += power // (2 * k + 1)
        power = power * square >> P
        k += 1
    return total


@lru_cache(None)
def _ln_grid(i):
    """ln(1 + i/128); ln 2 for i = 128. Off by less than 300 units."""
    return 2 * _atanh((i << P) // (256 + i))


def _log2(x):
    """log2 of x > 0 with P bits. If x is off by d units, the result is off by less than 2d*2^P/x +
    2^12 units."""
    a = x.bit_length() - 1 - P
    y = x << -a if a < 0 else x >> a  # in [1, 2)
    i = (y >> (P - 7)) - 128
    c = (128 + i) << (P - 7)
    ln = _ln_grid(i) + 2 * _atanh(((y - c) << P) // (y + c))
    return (a << P) + (ln << P) // _ln_grid(128)


def gumbel_table():
    """TAB-4. 1-u is exact in P bits; w = -log2(1-u) is off by less than 2^12 units and at least
    2^-16,
    so log2(w) is off by less than 2*2^12*2^16 + 2^12 < 2^30 units."""
    out = []
    for k in range(16):
        for m in range(4096):
            w = -_log2((1 << P) - ((8193 + 2 * m) << (P - 14 - k)))
            assert w >> (P - 16) >= 1
            out.append(rounded(-_log2(w) << 16, 1 << (30 + 16), P))
    return out


def mass_table():
    """TAB-5. The 65536th root of 1/2 by 16 square roots, off by less than 2 units; 65535 products
    add at most
    3 units each, so every entry is off by less than 2^18 units."""
    step = 1 << (P - 1)
    for _ in range(16):
        step = isqrt(step << P)
    out, v = [], 1 << P
    for _ in range(65536):
        out.append(rounded(v << 28, 1 << (18 + 28), P))
        v = v * step >> P
    return out


# TAB-1 ... TAB-5: name -> (rows, cols, type, maker), in the order of TAB-8.
SHAPES = {
    "EXP2": (1, 256, "u16", exp2_table),
    "ROPE": (3, 512, "i32", rope_table),
    "SILU": (16, 65536, "i16", silu_table),
    "GUMBEL": (16, 4096, "i32", gumbel_table),
    "MASS": (1, 65536, "u32", mass_table),
}


@lru_cache(None)
def table(name):
    return SHAPES[name][3]()


def entry(name, row, col):
    return table(name)[row * SHAPES[name][1] + col]


@lru_cache(None)
def table_root(name):
    """TAB-6."""
    rows, cols, type_name, _ = SHAPES[name]
    return tensor_root(KIND["table"], type_name, rows, cols, table(name))


@lru_cache(None)
def angle(t, step):
    """TAB-7."""
    p = t * step % 2**64
    ph = ((p + 2**39) >> 40) % 2**24
    i = (ph >> 16, (ph >> 8) % 256, ph % 256)
    c, s = entry("ROPE", 0, 2 * i[0]), entry("ROPE", 0, 2 * i[0] + 1)
    for n in (1, 2):
        c1, s1 = entry("ROPE", n, 2 * i[n]), entry("ROPE", n, 2 * i[n] + 1)
        c, s = rsh(c * c1 - s * s1, 30), rsh(s * c1 + c * s1, 30)
    return rsh(c, 15), rsh(s, 15)


VERSION = 6


@lru_cache(None)
def spec_hash():
    """TAB-8."""
    return H("OTR.spec", integer("u32", VERSION), *(table_root(name) for name in SHAPES))
