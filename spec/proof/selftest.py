"""Checks the verifier's parts against naive provers and the oracle's machine.

Each part accepts an honest prover and refuses when one number is changed. The GKR over all of a
proof's leaves is too much for plain Python, so it runs on small fractions; everything else runs as
it does in a proof, on a tiny model.
"""

import copy
import random
import time

from oracle import tiny
from oracle.encoding import Reject
from oracle.sampling import Sampling
from proof import gkr, provers, soundness
from proof.field import ONE, P, ZERO, K, parity_of, root_of_unity
from proof.layout import Layout
from proof.mle import bits_of, count, cut, eq_index, eq_list, extension
from proof.opening import verify_opening
from proof.protocol import Verifier
from proof.selftest_statement import test_statement
from proof.shape import Column
from proof.statement import read_proof
from proof.transcript import Channel, Reader, Transcript
from proof.witness import Run, Witness

RANDOM = random.Random("proof selftest")


def element():
    return K(RANDOM.randrange(P), RANDOM.randrange(P))


def point_of(sizes):
    return [[element() for _ in range(bits_of(size))] for size in sizes]


def refused(action):
    try:
        action()
    except Reject:
        return True
    return False


def channel_of(data):
    return Channel(Transcript(b"test"), Reader(data, "the argument"))


def changed(data, at):
    """One byte changed. The element stays canonical nearly always; else MALFORMED refuses too."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_field():
    x = element()
    assert x * x.inverse() == ONE and 3 - x == -(x - 3)
    assert pow(7, (P - 1) // 2, P) == P - 1  # X^2 - 7 has no root
    coefficients = [RANDOM.randrange(P) for _ in range(8)]
    omega = root_of_unity(4)
    assert pow(omega, 16, P) == 1 != pow(omega, 8, P)
    values = [
        sum(c * pow(omega, i * k, P) for k, c in enumerate(coefficients)) % P for i in range(16)
    ]
    assert parity_of(values[::2]) == values[1::2]


def test_extension():
    for sizes in ([], [1], [3, 1, 5], [2, 300, 3], [4, 4, 4]):
        values = [RANDOM.randrange(-(2**63), 2**63) for _ in range(count(sizes))]
        point, naive = point_of(sizes), ZERO
        for place, value in enumerate(values):
            term = K(value)
            for size, bits in zip(sizes, point):
                term = term * eq_index(bits, place % size)
                place //= size
            naive = naive + term
        assert extension(values, sizes, point) == naive, sizes


def test_tables():
    for tag, bits in gkr.TABLE_BITS.items():
        rows = gkr.table_rows(tag, 8)
        flat = [element() for _ in range(bits)]
        at, sizes = gkr.table_at(tag, 8, flat), [1 << bits // 2, 1 << (bits - bits // 2)]
        for n, value in enumerate(at):
            assert value == extension([row[n] for row in rows], sizes, cut(flat, sizes)), tag


def test_fractions():
    """1 / (x - 3) + 1 / (x - 3) - 2 / (x - 3) and zeros."""
    alpha = element()
    p = [K(1), K(1), K(-2)] + [ZERO] * 13
    q = [alpha - 3] * 3 + [ONE] * 13
    speaker = provers.Speaker(Transcript(b"test"))
    r = provers.fractions(speaker, p, q)
    point, a, b = gkr.verify_fractions(channel_of(speaker.data), 4)
    eqs = eq_list(r, 16)
    assert point == r and a == sum((x * e for x, e in zip(p, eqs)), ZERO)
    assert b == sum((x * e for x, e in zip(q, eqs)), ZERO)
    assert len(speaker.data) == 16 * gkr.fraction_elements(4)
    for at in range(0, len(speaker.data) - 64, 48):  # the last values are claims
        data = changed(speaker.data, at)
        assert refused(lambda data=data: gkr.verify_fractions(channel_of(data), 4)), at
    speaker = provers.Speaker(Transcript(b"test"))
    provers.fractions(speaker, p[:2] + [K(-1)] + p[3:], q)
    assert refused(lambda: gkr.verify_fractions(channel_of(speaker.data), 4))


def test_layout():
    layout = Layout([[11], [3, 5], [1], [2, 2, 3]])
    addresses = []
    for column, sizes in enumerate(layout.columns):
        for place in range(count(sizes)):
            index = []
            for size in sizes:
                index.append(place % size)
                place //= size
            addresses.append(layout.address(column, index))
    assert sorted(addresses) == list(range(layout.cells))
    assert addresses[:8] == list(range(8))  # [0, 8) of the first column is the greatest piece
    assert layout.of_column[0] == [(((0, 3),), 3, 0), (((8, 1),), 1, 32), (((10, 0),), 0, 36)]


def test_opening():
    layout = Layout([[300], [3, 50], [5, 7, 11], [64]])
    columns = [[RANDOM.randrange(P) for _ in range(count(sizes))] for sizes in layout.columns]
    committed = provers.Committed(layout, columns)
    claims = []
    for n in (0, 1, 2, 3, 2):
        point = point_of(layout.columns[n])
        claims.append((n, point, extension(columns[n], layout.columns[n], point)))
    cells = [(a, committed.cells[a]) for a in (0, 5, 5, layout.cells - 1)]
    speaker = provers.Speaker(Transcript(b"test"))
    committed.open(speaker, claims, cells)

    def check(data=speaker.data, roots=committed.roots, claims=claims, cells=cells):
        verify_opening(channel_of(data), layout, roots, claims, cells)

    check()
    for at in range(7, len(speaker.data), len(speaker.data) // 20):
        assert refused(lambda at=at: check(changed(speaker.data, at))), at
    assert refused(lambda: check(speaker.data + b"\0"))
    assert refused(lambda: check(speaker.data[:-1]))
    assert refused(lambda: check(roots=committed.roots[::-1]))
    wrong = claims[:-1] + [(2, claims[-1][1], claims[-1][2] + 1)]
    assert refused(lambda: check(claims=wrong))
    assert refused(lambda: check(cells=cells[:-1] + [(cells[-1][0], cells[-1][1] + 1)]))


def _witnesses():
    greedy = Run(tiny.model("tiny_gqa"), [1, 250], Sampling(), 2)
    yield Witness(greedy, 1)
    bias = [[0, 100 * 2**16], [9, -(2**16)], [200, 1]]
    sampling = Sampling(2**23, 0, 65536, 3000, 65536, 3000, bytes([3] * 32), bias)
    yield Witness(Run(tiny.model("tiny_bias"), [1, 2, 3, 9, 8, 7, 77], sampling, 2), 2)
    yield Witness(Run(tiny.model("tiny_norm"), [3, 1], Sampling(), 1), 1)


def check_witness(witness):
    """PT: an honest witness meets every lookup and zero constraint, and what is in clear."""
    tables = {tag: set(gkr.table_rows(tag, witness.shape.size["j"])) for tag in gkr.TAGS}
    for domain in witness.circuit.domains:
        for at in witness.box(domain.dims):
            if domain.masked and not witness.get("mask", at):
                continue
            c = witness.column(domain, at)
            for n, (tag, expression) in enumerate(domain.lookups):
                assert expression(c) in tables[tag], (domain.name, n, at)
            for n, expression in enumerate(domain.zeros):
                assert expression(c) == 0, (domain.name, n, at)
    for name, index, value in witness.cells:
        assert witness.get(name, dict(zip(witness.values[name].dims, index))) == value, name
    for contraction in witness.circuit.contractions:
        if "." not in contraction.target:
            for at in witness.box(contraction.dims):
                assert witness.get(contraction.target, at) == witness.contracted(contraction, at)


def _names(domain, expression):
    """The columns an expression reads."""
    names = set()

    def c(name):
        names.add(name)
        return 1

    expression(c)
    return names


def prove_domain(speaker, witness, verifier, domain, weights, point):
    """PR-2: sends what a prover sends, with the sum S_D first found by the same loop."""
    tables = {"mask": None, "eq": [ONE]}
    for name in domain.dims:
        eqs = eq_list(point[name], witness.shape.size[name])
        eqs += [ZERO] * ((1 << bits_of(witness.shape.size[name])) - len(eqs))
        tables["eq"] = [low * high for high in eqs for low in tables["eq"]]
    expressions = [e for _, e in domain.lookups] + domain.zeros
    names = set(domain.committed + domain.virtual).union(*(_names(domain, e) for e in expressions))
    for name in names:
        full = f"{domain.name}.{name}"
        column = witness.values.get(full) or witness.public[full]
        tables[name] = provers.on_cube(witness.shape, domain.dims, column)
    tables["mask"] = [ONE] * len(tables["eq"])
    if domain.masked:
        tables["mask"] = provers.on_cube(witness.shape, domain.dims, witness.public["mask"])
    theta = speaker.challenge()

    def summand(c):
        inside = ZERO
        for weight, (tag, expression) in zip(weights, domain.lookups):
            mark = gkr.fingerprint(tag, expression(c), verifier.beta)
            inside = inside + weight * (verifier.alpha - 1 - mark)
        power = theta
        for expression in domain.zeros:
            inside, power = inside + power * expression(c), power * theta
        return c("eq") * c("mask") * inside

    total = ZERO
    for n in range(len(tables["eq"])):
        total = total + summand(lambda name, n=n: tables[name][n])
    _, values = provers.sumcheck(speaker, tables, summand, domain.degree)
    speaker.send(9, [values[name] for name in domain.committed + domain.virtual])
    return total


def prove_contraction(speaker, witness, contraction, point):
    """PE-1."""
    shape, tables = witness.shape, {}
    fixed = {d: bits for d, bits in point.items() if d not in contraction.sums}
    for name in {name for term in contraction.terms for name in term}:
        column = witness.values.get(name) or witness.public[name]
        kept = "".join(d for d in column.dims if d not in fixed)
        folded = _fix(shape, column, fixed)
        padded = provers.on_cube(shape, kept, folded) if kept else folded.values
        tables[name] = _spread(shape, contraction.sums, kept, padded)
    tables["eq"] = _spread(shape, contraction.sums, "", [ONE])
    for d in contraction.shared:
        eqs = eq_list(point[d], shape.size[d])  # cut off at the box
        eqs = eqs + [ZERO] * ((1 << len(point[d])) - len(eqs))
        eqs = _spread(shape, contraction.sums, d, eqs)
        tables["eq"] = [a * b for a, b in zip(tables["eq"], eqs)]

    def summand(c):
        total = ZERO
        for term in contraction.terms:
            value = c("eq")
            for name in term:
                value = value * c(name)
            total = total + value
        return total

    _, values = provers.sumcheck(speaker, tables, summand, contraction.degree)
    speaker.send(10, [values[name] for name in contraction.committed])


def _fix(shape, column, fixed):
    """A column with some dimensions set to a point; its values are then elements of K."""
    sizes = shape.sizes(column.dims)
    values = [K(v) for v in column.values]
    for n in reversed(range(len(sizes))):
        d = column.dims[n]
        if d in fixed:
            eqs, low = eq_list(fixed[d], sizes[n]), count(sizes[:n])
            out = []
            for start in range(0, len(values), low * sizes[n]):
                for x in range(low):
                    part = values[start + x : start + low * sizes[n] : low]
                    out.append(sum((v * e for v, e in zip(part, eqs)), ZERO))
            values = out
    return Elements("".join(d for d in column.dims if d not in fixed), values)


class Elements:
    """A column of elements of K."""

    def __init__(self, dims, values):
        self.dims, self.values = dims, values


def _spread(shape, dims, own, values):
    """A cube of `own` dimensions (values lowest fastest) as one of `dims`."""
    out = []
    for place in range(1 << shape.bits(dims)):
        at, step = 0, {}
        for d in dims:
            bits = bits_of(shape.size[d])
            step[d], place = place % (1 << bits), place >> bits
        shift = 0
        for d in own:
            at += step[d] << shift
            shift += bits_of(shape.size[d])
        out.append(values[at])
    return out


def _with_another_sum(verifier, contraction):
    """PE-1 where one of the sums in clear is not what the columns make of it."""
    other, channel = copy.copy(verifier), verifier.channel
    other.channel = Channel(copy.copy(channel.transcript), copy.copy(channel.reader))
    sums = verifier.public[contraction.target]
    wrong = Column(sums.dims, sums.values[:-1] + [sums.values[-1] + 1])
    other.public, other.claims = {**verifier.public, contraction.target: wrong}, []
    other.contraction(contraction)


def check_protocol(witness):
    """PR-2 and PE-1 of all domains and contractions, at random points; the claims are true."""
    speaker, totals = provers.Speaker(Transcript(b"test")), []
    verifier = Verifier(channel_of(b""), witness.circuit, witness.public)
    assert speaker.challenges(2) == [verifier.alpha, verifier.beta]
    shape, chosen = witness.shape, []
    for domain in witness.circuit.domains:
        weights = [element() for _ in domain.lookups]
        point = dict(zip(domain.dims, point_of(shape.sizes(domain.dims))))
        chosen.append((weights, point))
        totals.append(prove_domain(speaker, witness, verifier, domain, weights, point))
    replay = Verifier(channel_of(speaker.data), witness.circuit, witness.public)
    for domain, (weights, point), total in zip(witness.circuit.domains, chosen, totals):
        replay.domain(domain, weights, point, total)
    replay.channel.reader.end()
    for contraction in witness.circuit.contractions:
        if contraction.target in replay.virtual:
            point = replay.virtual[contraction.target][0]
        else:
            sizes = shape.sizes(contraction.dims)
            point = dict(
                zip(contraction.dims, cut(speaker.challenges(sum(map(bits_of, sizes))), sizes))
            )
        start = len(speaker.data)
        prove_contraction(speaker, witness, contraction, point)
        replay.channel.reader = Reader(speaker.data[start:], "the argument")
        if contraction.target not in replay.virtual:
            assert refused(lambda: _with_another_sum(replay, contraction)), contraction.target
        replay.contraction(contraction)
        replay.channel.reader.end()
    by_number = {n: name for name, n in witness.circuit.number.items()}
    for number, point, value in replay.claims:
        column = witness.values[by_number[number]]
        assert extension(column.values, shape.sizes(column.dims), point) == value, by_number[number]
    data = changed(speaker.data, 40)
    broken = Verifier(channel_of(data), witness.circuit, witness.public)
    first = witness.circuit.domains[0]
    assert refused(lambda: broken.domain(first, *chosen[0], totals[0]))


def test_circuit():
    for n, witness in enumerate(_witnesses()):
        check_witness(witness)
        if n != 1:
            check_protocol(witness)
            check_soundness(witness.circuit)


def check_soundness(circuit):
    """PB-2: 2^30 cells are too many."""
    cells = 100
    soundness.check(circuit, Layout(circuit.sizes), cells)
    assert refused(lambda: soundness.check(circuit, Layout([[1 << 30]]), cells))


def test_hostile_files():
    for size in (0, 7, 8, 12, 16, 48, 60, 100):
        for _ in range(20):
            data = b"OTRPROOF\1\0\0\0" + bytes(RANDOM.randrange(256) for _ in range(size))
            assert refused(lambda data=data[:size]: read_proof(data))


def main():
    for test in (
        test_field,
        test_extension,
        test_tables,
        test_fractions,
        test_layout,
        test_opening,
        test_hostile_files,
        test_circuit,
        test_statement,
    ):
        start = time.perf_counter()
        test()
        print(f"{test.__name__}: {time.perf_counter() - start:.1f} s")
    return 0
