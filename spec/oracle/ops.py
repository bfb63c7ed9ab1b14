"""SPEC chapter 6 (OP). Real meanings stand in the SPEC; here only integers.

A row is a list of integers; its exponent travels beside it. Every function returns what the micro-
trace needs.
"""

from dataclasses import dataclass
from operator import mul

from oracle.arith import bitlen, reciprocal_root, row, rsh
from oracle.encoding import require
from oracle.tables import angle, entry

PART = 2048  # OP-1
ATTENTION_TILE = 128
NORM_CAP = 20  # OP-4
SIGNED_19 = (-(2**18), 2**18 - 1)  # rsh(A, s) of OP-12
SIGNED_24 = (-(2**23), 2**23 - 1)  # x', q and k before rotation
SIGNED_32 = (-(2**31), 2**31 - 1)  # residual, logits


@dataclass
class Matrix:
    """Rows of i8, one u16 scale for each row, one exponent: w[n][k] * m[n] * 2^-e."""

    w: list
    m: list
    e: int


@dataclass
class Gain:
    g: list
    e: int


def in_range(value, low, high, what):
    """ARITH-5."""
    require(low <= value <= high, "OUT_OF_RANGE", f"{what}: {value}")
    return value


def within(value, ends):
    low, high = ends
    return low <= value <= high


def parts(w_row, a):
    """OP-1: the partial sums over blocks of 2048."""
    return [sum(map(mul, w_row[p : p + PART], a[p : p + PART])) for p in range(0, len(a), PART)]


def acc(w_row, a):
    """OP-1."""
    return sum(parts(w_row, a))


def linear(w, n, a, f, F):
    """OP-2, output n."""
    shift = in_range(w.e + f - F, 0, 62, "OP-2 shift")
    return rsh(acc(w.w[n], a) * w.m[n], shift)


def embed(E, token, F_x):
    """OP-3."""
    return [rsh(v * E.m[token], E.e - F_x) for v in E.w[token]]


@dataclass
class NormRow:
    """OP-4 with all that lies between."""

    s: int
    x: list
    N: int
    root: tuple
    v: list
    v_exponent: int
    exponent: int
    a: list


def norm_row(x, gain, eps, bound):
    """OP-4."""
    s = 0
    while not all(within(v // 2**s, SIGNED_24) for v in (max(x), min(x))):
        s += 1
    xs = [v // 2**s for v in x]
    N = max(1, sum(v * v for v in xs) + rsh(eps, 2 * s))
    k, t, R = reciprocal_root(N)
    v = [xj * gj * R for xj, gj in zip(xs, gain.g)]
    v_exponent = gain.e + 46 - k
    a, exponent = row(v, [v_exponent] * len(v), bound, NORM_CAP)
    return NormRow(s, xs, N, (k, t, R), v, v_exponent, exponent, a)


def head_norm(y, gain, eps_q, F_q):
    """OP-5: ((N, k, t, R), y')."""
    N = max(1, sum(v * v for v in y) + eps_q)
    k, t, R = reciprocal_root(N)
    return (N, k, t, R), [
        in_range(rsh(v * g * R, gain.e + 46 - k - F_q), *SIGNED_24, "OP-5")
        for v, g in zip(y, gain.g)
    ]


def project(w, bias, a, f, F_q):
    """OP-6 before the head norm."""
    return [
        in_range(linear(w, n, a, f, F_q) + (bias[n] if bias else 0), *SIGNED_24, "OP-6")
        for n in range(len(w.w))
    ]


def rotate(y, t, steps):
    """OP-7; the exponent is F_q + 15."""
    half = len(y) // 2
    cs = [angle(t, step) for step in steps]
    low = [y[i] * c - y[i + half] * s for i, (c, s) in enumerate(cs)]
    high = [y[i + half] * c + y[i] * s for i, (c, s) in enumerate(cs)]
    return low + high


def q_bound(D):
    return 4095 if D <= 128 else 2047


K_BOUND = 4095


def qk_row(r, F_q, bound):
    """OP-8: (row, exponent)."""
    values, exponent = row(r, [F_q + 15] * len(r), bound, F_q)
    in_range(exponent, 4, F_q, "OP-8 exponent")
    return values, exponent


def scaled(w, a):
    """acc * m, which OP-9 and OP-15 turn into rows."""
    return [acc(w.w[n], a) * w.m[n] for n in range(len(w.w))]


def v_row(v, exponent):
    """OP-9 for one head: (row, exponent)."""
    values, f = row(v, [exponent] * len(v), 127, 30)
    in_range(f, -30, 30, "OP-9 exponent")
    return values, f


def lowest(t, window):
    """lo of OP-10."""
    return max(0, t - window + 1) if window > 0 else 0


def score(q, f_q, k, f_k):
    """OP-10 for one position u."""
    return rsh(sum(map(mul, q, k)), f_q + f_k - 8)


def attention_tile(z, v, f_v):
    """OP-11 over the positions of one tile: (M, X, S, A)."""
    n, r = [zu // 256 for zu in z], [zu % 256 for zu in z]
    M = max(n)
    X = max(nu - f for nu, f in zip(n, f_v))
    S = sum(rsh(entry("EXP2", 0, ru), M - nu) for nu, ru in zip(n, r))
    weights = [rsh(entry("EXP2", 0, ru), X - (nu - f)) for nu, ru, f in zip(n, r, f_v)]
    A = [sum(weight * vu[j] for weight, vu in zip(weights, v)) for j in range(len(v[0]))]
    return M, X, S, A


@dataclass
class HeadOut:
    M: int
    X: int
    S: int
    b: int
    R: int
    A: list
    s: int
    o: list
    exponent: int


def attention_head(tiles):
    """OP-12 over the tiles (M, X, S, A)."""
    M, X = max(tile[0] for tile in tiles), max(tile[1] for tile in tiles)
    S = sum(tile[2] << (23 - (M - tile[0])) for tile in tiles if M - tile[0] <= 23)
    A = [
        sum(tile[3][j] << (23 - (X - tile[1])) for tile in tiles if X - tile[1] <= 23)
        for j in range(len(tiles[0][3]))
    ]
    b = bitlen(S) - 31
    R = 2**46 // (S >> b)
    s = 0
    while not all(within(rsh(v, s), SIGNED_19) for v in A):
        s += 1
    return HeadOut(M, X, S, b, R, A, s, [rsh(v, s) * R for v in A], 46 - s + b + M - X)


def attention_row(heads, bound):
    """OP-13 over pairs (o, exponent): (row, exponent)."""
    values = [v for o, _ in heads for v in o]
    return row(values, [exponent for o, exponent in heads for _ in o], bound, 30)


def residual(x, w, bias, a, f, F_x):
    """OP-14."""
    return [
        in_range(x[n] + linear(w, n, a, f, F_x) + (bias[n] if bias else 0), *SIGNED_32, "OP-14")
        for n in range(len(x))
    ]


def gate_row(v, exponent):
    """OP-15: (row, exponent f_g)."""
    values, f_g = row(v, [exponent] * len(v), 32639, 15)
    in_range(f_g, 0, 15, "OP-15 exponent")
    return values, f_g


def feed_forward(g, f_g, w_up, a):
    """OP-16: v_j; their exponent is f_g + e_up + f."""
    return [entry("SILU", f_g, gj % 65536) * v for gj, v in zip(g, scaled(w_up, a))]


def feed_forward_row(v, exponent, bound):
    """OP-16: (row, exponent)."""
    return row(v, [exponent] * len(v), bound, 30)


def logits(w_head, a, f):
    """OP-17."""
    return [
        in_range(linear(w_head, j, a, f, 16), *SIGNED_32, "OP-17")
        for j in range(len(w_head.w))
    ]


def bound(act_bits):
    """OP-18."""
    return {16: 32639, 8: 127}[act_bits]
