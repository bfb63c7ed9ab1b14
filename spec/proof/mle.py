"""PF-2: boxes, points and multilinear extensions.

A point of a box is a list with one list of challenges for each dimension. A column's values are a
flat list of integers, the lowest dimension fastest.
"""

from proof.field import K, NON_RESIDUE, ONE, P, ZERO, dot, dot_int, split

GROUP = 512  # dimensions are folded together until their product is at least this


def bits_of(size):
    """PF-2: b = ceil(log2 n)."""
    return (size - 1).bit_length()


def count(sizes):
    out = 1
    for size in sizes:
        out *= size
    return out


def eq_list(point, size):
    """eq(point, x) for x < size, as a list of K."""
    out = [ONE]
    for challenge in point:
        high = [e * challenge for e in out]
        out = [e - h for e, h in zip(out, high)] + high
    return out[:size]


def eq_points(a, b):
    """eq of two points of the same length."""
    assert len(a) == len(b)
    out = ONE
    for x, y in zip(a, b):
        xy = x * y
        out = out * (xy + xy - x - y + 1)
    return out


def eq_index(point, index):
    """eq of a point and the bits of an index."""
    out = ONE
    for challenge in point:
        out = out * (challenge if index & 1 else ONE - challenge)
        index >>= 1
    assert index == 0
    return out


def eq_box(a, b, size):
    """Sum over x < size of eq(a, x) * eq(b, x)."""
    if size == 1 << len(a):
        return eq_points(a, b)
    return dot(split(eq_list(a, size)), split(eq_list(b, size)))


def sum_box(a, size):
    """Sum over x < size of eq(a, x)."""
    if size == 1 << len(a):
        return ONE
    return sum(eq_list(a, size), ZERO)


def cut(flat, sizes):
    """A point of all bits of a box, one after another, as a point with a list per dimension."""
    out, at = [], 0
    for size in sizes:
        out.append(flat[at : at + bits_of(size)])
        at += bits_of(size)
    assert at == len(flat)
    return out


def weights(sizes, point):
    """eq of every index of a small box, as a pair of lists."""
    low, high = [1], [0]
    for size, bits in zip(sizes, point):
        e0, e1 = split(eq_list(bits, size))
        low, high = (
            [(a * c + NON_RESIDUE * b * d) % P for c, d in zip(e0, e1) for a, b in zip(low, high)],
            [(a * d + b * c) % P for c, d in zip(e0, e1) for a, b in zip(low, high)],
        )
    return low, high


def _group(sizes):
    """How many of the lowest dimensions are folded at once."""
    size, n = 1, 0
    while n < len(sizes) and size < GROUP:
        size *= sizes[n]
        n += 1
    return n


def extension(values, sizes, point):
    """The multilinear extension of a column of integers at a point."""
    assert len(values) == count(sizes) and len(point) == len(sizes)
    if not sizes:
        return K(values[0])
    n = _group(sizes)
    w, size = weights(sizes[:n], point[:n]), count(sizes[:n])
    out = [dot_int(values[i : i + size], w) for i in range(0, len(values), size)]
    sizes, point = sizes[n:], point[n:]
    while sizes:
        n = _group(sizes)
        w, size = weights(sizes[:n], point[:n]), count(sizes[:n])
        out = [dot(split(out[i : i + size]), w) for i in range(0, len(out), size)]
        sizes, point = sizes[n:], point[n:]
    return out[0]
