"""PC-1, PC-2: where the cells of the committed columns stand."""

from itertools import product

from proof.field import ONE, ZERO
from proof.mle import bits_of, count, eq_index, eq_points

MIN_LOG, MAX_ROWS_LOG = 8, 9


def runs(size):
    """PC-1: the runs (start, log2 of the length) of a dimension, greatest first."""
    out, at = [], 0
    for log in reversed(range(size.bit_length())):
        if size >> log & 1:
            out.append((at, log))
            at += 1 << log
    return out


class Layout:
    """The addresses of all cells; `columns` is the list of the committed columns' sizes."""

    def __init__(self, columns):
        self.columns = columns
        pieces = []
        for number, sizes in enumerate(columns):
            choices = [runs(size) for size in reversed(sizes)]  # product: the last one is fastest
            for choice in product(*choices):
                box = tuple(reversed(choice))
                pieces.append((number, box, sum(log for _, log in box)))
        pieces.sort(key=lambda piece: -piece[2])  # stable: ties stay in order
        self.of_column = [[] for _ in columns]  # (box, log2 of the size, address)
        at = 0
        for number, box, log in pieces:
            self.of_column[number].append((box, log, at))
            at += 1 << log
        self.cells = at
        assert self.cells == sum(map(count, columns)) > 0
        n = max(MIN_LOG, bits_of(self.cells))
        self.gamma = min(MAX_ROWS_LOG, max(1, (n - 6) // 2))
        self.kappa = n - self.gamma
        self.rows = -(-self.cells // (1 << self.kappa))

    @property
    def bits(self):
        """PO-1: the variables of the opening's sumcheck."""
        return self.kappa + bits_of(self.rows)

    def address(self, column, index):
        """The address of a cell."""
        sizes = self.columns[column]
        assert len(index) == len(sizes) and all(0 <= x < n for x, n in zip(index, sizes))
        for box, _, at in self.of_column[column]:
            if all(start <= x < start + (1 << log) for x, (start, log) in zip(index, box)):
                shift = 0
                for x, (start, log) in zip(index, box):
                    at += (x - start) << shift
                    shift += log
                return at
        raise AssertionError("a cell in no piece")

    def weight(self, column, point, rho):
        """PO-1: the sum over the column's cells of eq(point, index) * eq(rho, address)."""
        total = ZERO
        for box, log, at in self.of_column[column]:
            term, low = ONE, 0
            for bits, (start, run) in zip(point, box):
                term = term * eq_points(bits[:run], rho[low : low + run])
                term = term * eq_index(bits[run:], start >> run)
                low += run
            total = total + term * eq_index(rho[log:], at >> log)
        return total
