"""PL: the tables, the places of the leaves, and the sum of fractions over the GKR protocol."""

from oracle.encoding import require
from oracle.ops import q_bound
from oracle.tables import entry, table
from oracle.arith import rsh
from proof.field import K, ONE, ZERO
from proof.mle import bits_of, eq_index, eq_points, extension
from proof.transcript import sumcheck

W, SILU, BOUND, EXP, QBOUND = TAGS = (1, 2, 3, 4, 5)
TABLE_BITS = {W: 20, SILU: 20, BOUND: 17, EXP: 13, QBOUND: 13}  # PL-1
BOUNDS = (32639, 127)  # of BOUND's classes
MAX_GATE = 32639
EXP_END = 4096


def _signed(word, bits):
    return word - (1 << bits) if word >> (bits - 1) else word


def silu_column():
    """PL-1, tag 2: the third member of every row."""
    out = table("SILU")[:]
    for start in range(0, len(out), 65536):
        for word in range(MAX_GATE + 1, 65536 - MAX_GATE):
            out[start + word] = 0
    return out


def silu_gates():
    """The second member, the same for each exponent."""
    gates = [_signed(word, 16) for word in range(65536)]
    return [g if abs(g) <= MAX_GATE else 0 for g in gates]


def bound_column():
    """PL-1, tag 3: the second member."""
    out = []
    for bound in BOUNDS:
        values = [_signed(word, 16) for word in range(65536)]
        out += [v if abs(v) <= bound else 0 for v in values]
    return out


def exp_column():
    """PL-1, tag 4: the second member."""
    head = [rsh(entry("EXP2", 0, 255 - e % 256), e // 256) for e in range(EXP_END)]
    return head + [0] * EXP_END


def qbound_column(head_dim):
    values = [_signed(word, 13) for word in range(1 << 13)]
    return [v if abs(v) <= q_bound(head_dim) else 0 for v in values]


def w_row(index):
    """PL-1, tag 1."""
    if index == 0:
        return 0, 0
    k = index.bit_length() - 1
    return k, index - (1 << k)


def table_rows(tag, head_dim):
    """PL-1: all rows of a table, as tuples. Slow and plain; for tests and naive provers."""
    if tag == W:
        return [w_row(i) for i in range(1 << 20)]
    if tag == SILU:
        gates = silu_gates()
        return [(i >> 16, gates[i % 65536], s) for i, s in enumerate(silu_column())]
    if tag == BOUND:
        return [(i >> 16, v) for i, v in enumerate(bound_column())]
    if tag == EXP:
        return [(min(i, EXP_END), v) for i, v in enumerate(exp_column())]
    return [(v,) for v in qbound_column(head_dim)]


def _w_at(point):
    """The extensions of W's columns: indices with the top bit k are a subcube."""
    width, value, above = ZERO, ZERO, ONE
    low = [ZERO]  # the extension of the number that the bits below k are
    for k, challenge in enumerate(point):
        low.append(low[-1] + challenge * (1 << k))
    for k in reversed(range(len(point))):
        top = above * point[k]
        width, value = width + top * k, value + top * low[k]
        above = above * (ONE - point[k])
    return width, value


def _word_at(point):
    """The extension of the index itself."""
    return sum((challenge * (1 << k) for k, challenge in enumerate(point)), ZERO)


def table_at(tag, head_dim, point):
    """The extensions of a table's columns at a point of its bits."""
    assert len(point) == TABLE_BITS[tag]
    if tag == W:
        return _w_at(point)
    if tag == SILU:
        halves = [point[:10], point[10:]]
        gates = extension(silu_gates(), [256, 256], [point[:8], point[8:16]])
        return _word_at(point[16:]), gates, extension(silu_column(), [1024, 1024], halves)
    if tag == BOUND:
        return _word_at(point[16:]), extension(bound_column(), [512, 256], [point[:9], point[9:]])
    if tag == EXP:
        top = point[12]  # index >= 4096 has the first member 4096
        first = (ONE - top) * _word_at(point[:12]) + top * EXP_END
        return first, extension(exp_column(), [8192], [point])
    return (extension(qbound_column(head_dim), [8192], [point]),)


def fingerprint(tag, values, beta):
    """PL-2."""
    total, power = K(tag), beta
    for value in values:
        total, power = total + power * value, power * beta
    return total


def places(sizes):
    """PL-3: for blocks of these numbers of bits the place of each, and nu."""
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
    out, at = [0] * len(sizes), 0
    for i in order:
        out[i] = at
        at += 1 << sizes[i]
    return out, bits_of(at)


def block_weight(point, place, bits):
    """PR-1: w_i, eq of the high bits of r with the place of a block."""
    return eq_index(point[bits:], place >> bits)


def fraction_elements(nu):
    """How many elements of K the prover sends in PL-4."""
    return 2 + sum(3 * k + 4 for k in range(nu))


def verify_fractions(channel, nu):
    """PL-4: the point r and the claims P_nu(r), Q_nu(r)."""
    a, b = channel.receive(2, 2)
    require(a == ZERO, "PROOF_INVALID", "the fractions of the lookups do not sum to 0")
    require(b != ZERO, "PROOF_INVALID", "a denominator of the lookups is 0")
    z = []
    for k in range(nu):
        mix = channel.challenge()
        y, claim = sumcheck(channel, a + mix * b, k, 3)
        p0, p1, q0, q1 = channel.receive(3, 4)
        value = eq_points(z, y) * (p0 * q1 + p1 * q0 + mix * q0 * q1)
        require(value == claim, "PROOF_INVALID", f"layer {k} of the lookups")
        mu = channel.challenge()
        z = [mu] + y
        a, b = p0 + mu * (p1 - p0), q0 + mu * (q1 - q0)
    return z, a, b
