"""PF-1: the field F of p elements and its quadratic extension K.

An element of K is a tuple (c0, c1) of integers below p; the class only adds operators, which also
take plain integers on either side. Long lists of elements of K are kept as two lists of integers,
so that sums of products run in `sum(map(mul, ...))` and are reduced once.
"""

from operator import mul

P = 2**64 - 2**32 + 1
NON_RESIDUE = 7  # K = F[X] / (X^2 - 7)
GENERATOR = 7  # of the multiplicative group of F


class K(tuple):
    """An element of K."""

    __slots__ = ()

    def __new__(cls, c0, c1=0):
        return tuple.__new__(cls, (c0 % P, c1 % P))

    def __add__(self, other):
        if isinstance(other, int):
            return K(self[0] + other, self[1])
        return K(self[0] + other[0], self[1] + other[1])

    __radd__ = __add__

    def __neg__(self):
        return K(-self[0], -self[1])

    def __sub__(self, other):
        if isinstance(other, int):
            return K(self[0] - other, self[1])
        return K(self[0] - other[0], self[1] - other[1])

    def __rsub__(self, other):
        return -self + other

    def __mul__(self, other):
        if isinstance(other, int):
            return K(self[0] * other, self[1] * other)
        a, b = self
        c, d = other
        return K(a * c + NON_RESIDUE * b * d, a * d + b * c)

    __rmul__ = __mul__

    def inverse(self):
        """1 / self; the norm c0^2 - 7 c1^2 of an element other than 0 is not 0."""
        a, b = self
        norm = pow(a * a - NON_RESIDUE * b * b, P - 2, P)
        return K(a * norm, -b * norm)

    def to_bytes(self):
        return self[0].to_bytes(8, "little") + self[1].to_bytes(8, "little")


ZERO, ONE = K(0), K(1)


def dot_int(values, weights):
    """Sum of value * weight: integers times a pair of lists."""
    return K(sum(map(mul, values, weights[0])), sum(map(mul, values, weights[1])))


def dot(left, right):
    """Sum of products of two lists of K, each given as a pair of lists."""
    cross = sum(map(mul, left[1], right[1]))
    return K(
        sum(map(mul, left[0], right[0])) + NON_RESIDUE * cross,
        sum(map(mul, left[0], right[1])) + sum(map(mul, left[1], right[0])),
    )


def split(elements):
    """A list of K as a pair of lists."""
    return [e[0] for e in elements], [e[1] for e in elements]


def root_of_unity(log_order):
    """The omega of PC-3 of order 2^log_order."""
    return pow(GENERATOR, (P - 1) >> log_order, P)


def transform(values, root):
    """The values at 1, root, root^2, ... of the polynomial with these coefficients; the number of
    values is the order of root, a power of two. Iterative, on plain integers."""
    n = len(values)
    out = list(values)
    j = 0
    for i in range(1, n):  # bit reversal
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j |= bit
        if i < j:
            out[i], out[j] = out[j], out[i]
    size = 2
    while size <= n:
        step = pow(root, n // size, P)
        half = size // 2
        powers = [1] * half
        for k in range(1, half):
            powers[k] = powers[k - 1] * step % P
        for start in range(0, n, size):
            low = out[start : start + half]
            high = [x * w % P for x, w in zip(out[start + half : start + size], powers)]
            out[start : start + half] = [(a + b) % P for a, b in zip(low, high)]
            out[start + half : start + size] = [(a - b) % P for a, b in zip(low, high)]
        size *= 2
    return out


def parity_of(values):
    """PC-3: from the values at omega^(2i) of a polynomial of degree below n = len(values), those at
    omega^(2i+1)."""
    n = len(values)
    omega = root_of_unity(n.bit_length())  # of order 2n
    square = omega * omega % P
    coefficients = transform(values, pow(square, P - 2, P))
    factor, shifted = pow(n, P - 2, P), []
    for c in coefficients:
        shifted.append(c * factor % P)
        factor = factor * omega % P
    return transform(shifted, square)
