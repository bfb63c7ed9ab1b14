"""Naive provers of the parts of a proof, for tests only: plain loops over all indices."""

from itertools import product

from oracle.encoding import integer, integers
from oracle.trees import TYPE, leaf, levels, open_range, root
from proof.field import P, ZERO, K, dot_int, parity_of, split
from proof.mle import bits_of, eq_list
from proof.opening import DATA_KIND, GRINDING, PARITY_KIND, PLACES, _draw
from proof.transcript import LABEL_GRINDING, Transcript


class Speaker:
    """The prover's side of a channel: what is sent is absorbed and written down."""

    def __init__(self, transcript):
        self.transcript, self.data = transcript, b""
        self.challenge, self.challenges = transcript.challenge, transcript.challenges

    def send(self, label, elements):
        self.transcript.absorb_elements(label, elements)
        self.data += b"".join(e.to_bytes() for e in elements)

    def grind(self, bits):
        """PF-4."""
        nonce = 0
        while True:
            trial = Transcript(b"")
            trial.state = self.transcript.state
            trial.absorb(LABEL_GRINDING, integer("u64", nonce))
            if int.from_bytes(trial.state[:8], "little") % 2**bits == 0:
                break
            nonce += 1
        self.transcript.absorb(LABEL_GRINDING, integer("u64", nonce))
        self.data += integer("u64", nonce)


def fold(table, rho):
    """Fixes the lowest variable."""
    return [low + rho * (high - low) for low, high in zip(table[::2], table[1::2])]


def sumcheck(speaker, tables, expression, degree):
    """PF-5 for the sum of expression(c) over a cube; `tables` gives each name its 2^b values.
    The point, and every table's value there."""
    point, tables = [], dict(tables)
    while len(next(iter(tables.values()))) > 1:
        half = len(next(iter(tables.values()))) // 2
        values = [ZERO] * (degree + 1)
        for y in range(half):
            lines = {n: (t[2 * y], t[2 * y + 1] - t[2 * y]) for n, t in tables.items()}
            for x in range(degree + 1):
                at = {name: low + rise * x for name, (low, rise) in lines.items()}
                values[x] = values[x] + expression(at.__getitem__)
        speaker.send(1, [values[0]] + values[2:])
        rho = speaker.challenge()
        point.append(rho)
        tables = {name: fold(table, rho) for name, table in tables.items()}
    return point, {name: table[0] for name, table in tables.items()}


def fractions(speaker, numerators, denominators):
    """PL-4 over leaves given as lists of K: the point."""
    layers = [(numerators, denominators)]
    while len(layers[-1][0]) > 1:
        p, q = layers[-1]
        pairs = list(zip(p[::2], p[1::2], q[::2], q[1::2]))
        layers.append(([a * d + b * c for a, b, c, d in pairs], [c * d for _, _, c, d in pairs]))
    layers.reverse()
    speaker.send(2, [layers[0][0][0], layers[0][1][0]])
    z = []
    for p, q in layers[1:]:
        mix = speaker.challenge()
        tables = {
            "eq": eq_list(z, 1 << len(z)),
            "p0": p[::2],
            "p1": p[1::2],
            "q0": q[::2],
            "q1": q[1::2],
        }

        def layer(c, mix=mix):
            cross = c("p0") * c("q1") + c("p1") * c("q0")
            return c("eq") * (cross + mix * c("q0") * c("q1"))

        y, values = sumcheck(speaker, tables, layer, 3)
        speaker.send(3, [values[name] for name in ("p0", "p1", "q0", "q1")])
        z = [speaker.challenge()] + y
    return z


def on_cube(shape, dims, column):
    """A public or committed column on the cube of a domain's bits: 0 outside the column's own box,
    constant in the dimensions it does not have."""
    sides = [range(1 << bits_of(shape.size[d])) for d in reversed(dims)]
    out = []
    for index in product(*sides):
        at, place, step = dict(zip(dims, reversed(index))), 0, 1
        for d in column.dims:
            if at[d] >= shape.size[d]:
                place = None
                break
            place += at[d] * step
            step *= shape.size[d]
        value = 0 if place is None else column.values[place]
        out.append(K(value) if isinstance(value, int) else value)
    return out


class Committed:
    """PC: cells laid out in rows, with their trees."""

    def __init__(self, layout, columns):
        """`columns` gives the values of each column, lowest dimension fastest."""
        self.layout = layout
        cells = [0] * (layout.rows << layout.kappa)
        for number, (sizes, values) in enumerate(zip(layout.columns, columns)):
            indices = product(*(range(size) for size in reversed(sizes)))
            for index, value in zip(indices, values):
                cells[layout.address(number, index[::-1])] = value % P
        width = 1 << layout.kappa
        self.cells = cells
        self.rows = [cells[c * width : (c + 1) * width] for c in range(layout.rows)]
        self.words = [row + parity_of(row) for row in self.rows]
        self.trees, self.roots = [], []
        for kind, start in ((DATA_KIND, 0), (PARITY_KIND, width)):
            columns = [[word[start + i] for word in self.words] for i in range(width)]
            leaves = [leaf(integers("u64", column)) for column in columns]
            self.trees.append(leaves)
            top = levels(leaves)[-1][0]
            self.roots.append(root(kind, TYPE["u64"], width, layout.rows, top))

    def open(self, speaker, claims, cells):
        """PO: the claims as `verify_opening` takes them."""
        layout, gamma = self.layout, speaker.challenge()
        weights, power = [ZERO] * (1 << layout.bits), K(1)
        for column, point, _ in claims:
            sizes = layout.columns[column]
            lists = [eq_list(bits, size) for bits, size in zip(point, sizes)]
            for index in product(*(range(size) for size in sizes)):
                term = power
                for eqs, x in zip(lists, index):
                    term = term * eqs[x]
                address = layout.address(column, index)
                weights[address] = weights[address] + term
            power = power * gamma
        for address, _ in cells:
            weights[address] = weights[address] + power
            power = power * gamma
        rest = [0] * ((1 << layout.bits) - len(self.cells))
        tables = {"f": [K(v) for v in self.cells + rest], "w": weights}
        rho, values = sumcheck(speaker, tables, lambda c: c("f") * c("w"), 2)
        speaker.send(11, [values["f"]])
        self._places(speaker, rho)

    def _places(self, speaker, rho):
        layout = self.layout
        combine = split(eq_list(rho[layout.kappa :], layout.rows))
        speaker.send(12, [dot_int(column, combine) for column in zip(*self.rows)])
        speaker.grind(GRINDING)
        for place in _draw(speaker.transcript, PLACES, 2 << layout.kappa):
            row = place % (1 << layout.kappa)
            speaker.data += integers("u64", [word[place] for word in self.words])
            tree = self.trees[place >> layout.kappa]
            speaker.data += b"".join(open_range(tree, row, row + 1))
