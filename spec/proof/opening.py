"""PO and PC-4: all claims on committed columns are shown at once."""

from oracle.encoding import integers, require
from oracle.trees import TYPE, leaf, node, root, top_of_range
from proof.field import K, ONE, ZERO, dot, dot_int, parity_of, split
from proof.mle import eq_list
from proof.transcript import sumcheck

DATA_KIND, PARITY_KIND = 11, 12  # PC-4
GRINDING = 16
PLACES = 216
HASH = 32


def commitment(data_root, parity_root):
    """PC-4."""
    return node(data_root, parity_root)


def opening_elements(layout):
    """How many elements of K the prover sends in PO-1 and PO-2."""
    return 2 * layout.bits + 1 + (1 << layout.kappa)


def places_bytes(layout):
    """How many bytes the opened places of PO-3 take."""
    return PLACES * (8 * layout.rows + HASH * layout.kappa)


class CellWeights:
    """eq(rho, A) of many addresses: products of two halves that are computed once."""

    def __init__(self, rho):
        self.log = (len(rho) + 1) // 2
        self.low = eq_list(rho[: self.log], 1 << self.log)
        self.high = eq_list(rho[self.log :], 1 << (len(rho) - self.log))

    def __getitem__(self, address):
        return self.high[address >> self.log] * self.low[address % (1 << self.log)]


def _check_batch(channel, layout, claims, cells):
    """PO-1: the point and f there. claims: (column, point, value); cells: (address, value)."""
    gamma, power, total, powers = channel.challenge(), ONE, ZERO, []
    for value in [c[2] for c in claims] + [c[1] for c in cells]:
        total = total + power * value
        powers.append(power)
        power = power * gamma
    rho, left = sumcheck(channel, total, layout.bits, 2)
    (phi,) = channel.receive(11, 1)
    weight = ZERO
    for (column, point, _), power in zip(claims, powers):
        weight = weight + power * layout.weight(column, point, rho)
    cell_weights = CellWeights(rho)
    for (address, _), power in zip(cells, powers[len(claims) :]):
        weight = weight + power * cell_weights[address]
    require(phi * weight == left, "PROOF_INVALID", "the sum over the committed cells")
    return rho, phi


def _draw(transcript, count, modulus):
    """PO-3: the places."""
    out = []
    while len(out) < count:
        transcript.challenge()
        words = transcript.state
        out += [int.from_bytes(words[i : i + 8], "little") % modulus for i in range(0, HASH, 8)]
    return out[:count]


def _check_place(reader, layout, place, roots, combine, code_word):
    """PO-3: one opened column of cells."""
    width = 1 << layout.kappa
    kind, tree_root = ((DATA_KIND, roots[0]), (PARITY_KIND, roots[1]))[place >> layout.kappa]
    cells = [reader.cell() for _ in range(layout.rows)]
    path = [reader.take(HASH) for _ in range(layout.kappa)]
    row = place % width
    top = top_of_range(width, row, row + 1, [leaf(integers("u64", cells))], path)
    same = root(kind, TYPE["u64"], width, layout.rows, top) == tree_root
    require(same, "PROOF_INVALID", f"the opening of place {place}")
    value = K(code_word[0][place], code_word[1][place])
    require(
        dot_int(cells, combine) == value,
        "PROOF_INVALID",
        f"the cells of place {place} are not on the code word",
    )


def verify_opening(channel, layout, roots, claims, cells):
    """PO-1 to PO-3; at the end the argument has been read to its last byte."""
    rho, phi = _check_batch(channel, layout, claims, cells)
    low, high = rho[: layout.kappa], rho[layout.kappa :]
    u = split(channel.receive(12, 1 << layout.kappa))
    same = dot(u, split(eq_list(low, 1 << layout.kappa))) == phi
    require(same, "PROOF_INVALID", "the combined row has another value")
    channel.transcript.grind(channel.reader.number(8), GRINDING)
    combine = split(eq_list(high, layout.rows))
    code_word = [part + parity_of(part) for part in u]
    for place in _draw(channel.transcript, PLACES, 2 << layout.kappa):
        _check_place(channel.reader, layout, place, roots, combine, code_word)
    channel.reader.end()
