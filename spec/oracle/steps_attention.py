"""SPEC chapter 8, the steps of rotation and attention (OP-7, OP-8, OP-10 to OP-12): tensors 20 to
28 and 33 to 44."""

from oracle import ops
from oracle.arith import bitlen, row_exponent, rsh
from oracle.tables import angle, entry

K, V, MODEL, TILE = 4, 5, 7, ops.ATTENTION_TILE


class Window:
    """The tiles of position t: T0 and nT of PROG-2."""

    def __init__(self, r):
        self.lo, self.t = ops.lowest(r.t, r.c["window"]), r.t
        self.first = self.lo // TILE
        self.count = r.t // TILE - self.first + 1

    def positions(self, tile):
        """(column of z, position) of the tile, counted from the first."""
        for u in range(max(self.lo, (self.first + tile) * TILE), self.t + 1):
            if u >= (self.first + tile + 1) * TILE:
                return
            yield u - self.first * TILE, u


def element(r, number, i):
    if number == 20:
        return angle(r.t, r.word("rope.steps", i // 2))[i % 2]
    if number <= 24:
        y = 17 if r.c["qk_norm"] else 11
        return _qk_row(r, number - 21, 21, y, ops.q_bound(r.c["head_dim"]), i)
    if number <= 28:
        return _qk_row(r, number - 25, 25, 19 if r.c["qk_norm"] else 13, ops.K_BOUND, i)
    window = Window(r)
    if number == 33:
        return _score(r, window, i)
    if number <= 37:
        return _tile(r, window, number, i)
    return _head(r, window, number, i)


def _rotated(r, y, j):
    """OP-7."""
    D = r.c["head_dim"]
    half, head = D // 2, j - j % D
    i = j % half
    c, s = r.micro(20, 2 * i), r.micro(20, 2 * i + 1)
    low, high = r.micro(y, head + i), r.micro(y, head + i + half)
    return low * c - high * s if j % D < half else high * c + low * s


def _qk_row(r, which, first, y, bound, i):
    """OP-8."""
    D, f, cap = r.c["head_dim"], r.c["qk_frac_bits"] + 15, r.c["qk_frac_bits"]
    if which < 2:
        return (max, min)[which](_rotated(r, y, j) for j in range(i * D, (i + 1) * D))
    if which == 2:
        ends = [r.micro(first, i), r.micro(first + 1, i)]
        return row_exponent(ends, [f, f], bound, cap)
    return r.shifted(_rotated(r, y, i), f - r.micro(first + 2, i // D))


def _kv_head(r, head):
    return head * r.c["kv_heads"] // r.c["heads"]


def _kv(r, place, g, u, j, low, high):
    D = r.c["head_dim"]
    return r.ranged(r.fetch((place, r.layer, g), u * (D + 1) + j), low, high)


def _score(r, window, i):
    """OP-10."""
    D = r.c["head_dim"]
    head, column = divmod(i, window.count * TILE)
    u, g = window.first * TILE + column, _kv_head(r, head)
    if not window.lo <= u <= r.t:
        return 0
    bound = ops.q_bound(D)
    total = sum(
        r.micro(24, head * D + j, -bound, bound)
        * _kv(r, K, g, u, j, -ops.K_BOUND, ops.K_BOUND)
        for j in range(D)
    )
    return r.shifted(total, r.micro(23, head) + _kv(r, K, g, u, D, 4, 13) - 8)


def _tile(r, window, number, i):
    """OP-11: M, X, S by head and tile; A by head, element and tile."""
    D, (row, tile) = r.c["head_dim"], divmod(i, window.count)
    head, j = divmod(row, D) if number == 37 else (row, 0)
    g = _kv_head(r, head)

    def z_and_u():
        for column, u in window.positions(tile):
            yield r.micro(33, head * window.count * TILE + column), u

    def exponent(u):
        return _kv(r, V, g, u, D, -30, 30)

    def power(z, top, f):
        return r.shifted(entry("EXP2", 0, z % 256), top - (z // 256 - f), 2**25)

    if number == 34:
        return max([z // 256 for z, _ in z_and_u()])
    if number == 35:
        return max([z // 256 - exponent(u) for z, u in z_and_u()])
    if number == 36:
        top = r.micro(34, i)
        return sum(power(z, top, 0) for z, _ in z_and_u())
    top = r.micro(35, head * window.count + tile)
    return sum(power(z, top, exponent(u)) * _kv(r, V, g, u, j, -127, 127) for z, u in z_and_u())


def _aligned(r, window, values, base, octaves, head, top):
    total = 0
    for tile in range(window.count):
        gap = r.ranged(top - r.micro(octaves, head * window.count + tile), 0, 2**32)
        if gap <= 23:
            total += r.micro(values, base + tile) << (23 - gap)
    return total


def _head(r, window, number, i):
    """OP-12."""
    D, n = r.c["head_dim"], window.count
    if number in (38, 39):
        return max([r.micro(number - 4, i * n + tile) for tile in range(n)])
    if number == 40:
        return _aligned(r, window, 36, i * n, 34, i, r.micro(38, i))
    if number == 41:
        total = r.micro(40, i // 2)
        b = bitlen(total) - 31
        return b if i % 2 == 0 else 2**46 // (total >> b)
    if number == 42:
        head = i // D
        return _aligned(r, window, 37, i * n, 35, head, r.micro(39, head))
    if number == 43:
        values, s = [r.micro(42, j) for j in range(i * D, (i + 1) * D)], 0
        while not all(ops.within(rsh(v, s), ops.SIGNED_19) for v in values):
            s += 1
        return s
    a = r.ranged(rsh(r.micro(42, i), r.micro(43, i // D)), *ops.SIGNED_19)
    return a * r.micro(41, 2 * (i // D) + 1, 2**15, 2**16)
