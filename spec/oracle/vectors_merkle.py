"""TREE-1: in {type, tile} out {hash}. TREE-2: in {a, b} out {hash}. TREE-3: in {leaves} out {top}.
TREE-4: in {kind, type, rows,
cols, values} (row-major) or {kind, hashes} out {top, root}; or {kind, type, rows, cols, top} with
numbers as TREE-5 out {root}.
TREE-6: "open ..." in {leaves, begin, end} out {path, top}; "check ..." in {count, begin, end,
hashes, path, top} out {} or a reject."""

from oracle import trees
from oracle.case import accept, outcome, refused, wrong
from oracle.encoding import H, hexa, integer, integers
from oracle.prng import Prng

RANGES = {
    "i8": (-127, 127),
    "u8": (0, 255),
    "i16": (-32768, 32767),
    "u16": (0, 65535),
    "i32": (-(2**31), 2**31 - 1),
    "u32": (0, 2**32 - 1),
    "i64": (-(2**63), 2**63 - 1),
    "u64": (0, 2**64 - 1),
}


def _leaves(n):
    return [H("OTR.test", integer("u32", i)) for i in range(n)]


def _hex(hashes):
    return [hexa(h) for h in hashes]


def _leaf_and_node():
    out, random = [], Prng("TREE-1")
    for name, (low, high) in RANGES.items():
        for tile in (
            [low],
            [high, 0, low],
            random.list(512 if name in ("i16", "u8") else 5, low, high),
        ):
            out.append(
                accept(
                    "TREE-1",
                    name,
                    {"type": name, "tile": tile},
                    {"hash": hexa(trees.leaf(integers(name, tile)))},
                )
            )
    short, padded = trees.leaf(integers("i16", [7])), trees.leaf(integers("i16", [7, 0]))
    out.append(
        wrong(
            "TREE-1",
            "padded",
            {"type": "i16", "tile": [7]},
            {"hash": hexa(padded)},
            {"hash": hexa(short)},
        )
    )
    a, b = _leaves(2)
    for x, y in ((a, b), (b, a), (a, a), (a, trees.ABSENT), (trees.ABSENT, trees.ABSENT)):
        out.append(
            accept("TREE-2", "node", {"a": hexa(x), "b": hexa(y)}, {"hash": hexa(trees.node(x, y))})
        )
    out.append(
        wrong(
            "TREE-2",
            "swapped",
            {"a": hexa(a), "b": hexa(b)},
            {"hash": hexa(trees.node(b, a))},
            {"hash": hexa(trees.node(a, b))},
        )
    )
    return out


def _tops():
    out = []
    for n in list(range(1, 10)) + [16, 17, 512]:
        out.append(
            accept(
                "TREE-3",
                f"{n} leaves",
                {"leaves": _hex(_leaves(n))},
                {"top": hexa(trees.top(_leaves(n)))},
            )
        )
    three = {"top": hexa(trees.top(_leaves(3)))}
    repeated = _leaves(3) + _leaves(3)[-1:]
    out.append(
        wrong(
            "TREE-3",
            "last leaf repeated",
            {"leaves": _hex(_leaves(3))},
            {"top": hexa(trees.top(repeated))},
            three,
        )
    )
    return out


def _roots():
    out, random = [], Prng("TREE-4")
    for kind, name, rows, cols in (
        (1, "u16", 1, 256),
        (2, "i8", 3, 511),
        (2, "i8", 1, 512),
        (2, "i8", 2, 513),
        (4, "u32", 7, 1),
        (5, "i16", 3, 65),
        (6, "i8", 5, 33),
        (7, "i32", 3, 1025),
        (9, "i64", 4, 8),
        (9, "i64", 1, 1),
        (2, "u64", 1, 4),
        (2, "u8", 1, 100),
        (2, "u32", 1, 5),
    ):
        values = random.list(rows * cols, *RANGES[name])
        top = trees.top(trees.tensor_leaves(name, rows, cols, values))
        inputs = {"kind": kind, "type": name, "rows": rows, "cols": cols, "values": values}
        right = {
            "top": hexa(top),
            "root": hexa(trees.root(kind, trees.TYPE[name], rows, cols, top)),
        }
        out.append(accept(["TREE-4", "TREE-5"], f"{name} {rows}x{cols}", inputs, right))
    for kind, n in ((3, 5), (8, 11), (10, 1)):
        hashes = _leaves(n)
        out.append(
            accept(
                ["TREE-4", "TREE-5"],
                f"list of {n}",
                {"kind": kind, "hashes": _hex(hashes)},
                {"top": hexa(trees.top(hashes)), "root": hexa(trees.list_root(kind, hashes))},
            )
        )
    top = _leaves(1)[0]
    base = (7, 5, 3, 1025)
    for k, t, r, c in (base, (0, 0, 0, 0), (2**32 - 1, 2**32 - 1, 2**64 - 1, 2**64 - 1)):
        out.append(
            accept(
                "TREE-4",
                "parts",
                {"kind": k, "type": t, "rows": r, "cols": c, "top": hexa(top)},
                {"root": hexa(trees.root(k, t, r, c, top))},
            )
        )
    right = {"root": hexa(trees.root(*base, top))}
    for name, other in (
        ("another kind", (5, 5, 3, 1025)),
        ("another type", (7, 6, 3, 1025)),
        ("rows and cols swapped", (7, 5, 1025, 3)),
        ("one more row", (7, 5, 4, 1025)),
    ):
        k, t, r, c = base
        out.append(
            wrong(
                "TREE-4",
                name,
                {"kind": k, "type": t, "rows": r, "cols": c, "top": hexa(top)},
                {"root": hexa(trees.root(*other, top))},
                right,
            )
        )
    return out


def _open(n, a, b):
    leaves = _leaves(n)
    return accept(
        "TREE-6",
        f"open [{a}, {b}) of {n}",
        {"leaves": _hex(leaves), "begin": a, "end": b},
        {"path": _hex(trees.open_range(leaves, a, b)), "top": hexa(trees.top(leaves))},
    )


def _check(name, n, a, b, hashes, path, top, code=None):
    inputs = {
        "count": n,
        "begin": a,
        "end": b,
        "hashes": _hex(hashes),
        "path": _hex(path),
        "top": hexa(top),
    }

    def function():
        trees.check_range(n, a, b, hashes, path, top)
        return {}

    if code:
        return refused("TREE-6", "check " + name, inputs, code, function)
    case = outcome("TREE-6", "check " + name, inputs, function)
    assert "out" in case
    return case


def _openings():
    out = [_open(n, a, b) for n in (1, 2, 3, 5, 8) for a in range(n) for b in range(a + 1, n + 1)]
    out += [_open(9, a, b) for a, b in ((0, 1), (0, 9), (3, 6), (8, 9), (1, 8))] + [
        _open(33, 7, 21)
    ]
    for n, a, b in (
        (1, 0, 1),
        (2, 0, 2),
        (3, 2, 3),
        (5, 0, 2),
        (5, 4, 5),
        (8, 3, 6),
        (9, 1, 8),
        (33, 7, 21),
        (513, 511, 513),
    ):
        leaves = _leaves(n)
        path, top, hashes = trees.open_range(leaves, a, b), trees.top(leaves), leaves[a:b]
        out.append(_check(f"[{a}, {b}) of {n}", n, a, b, hashes, path, top))
        if n == 513:
            continue
        bad = "PATH_INVALID"
        name = f"[{a}, {b}) of {n}: "
        out.append(_check(name + "too long", n, a, b, hashes, path + [trees.ABSENT], top, bad))
        out.append(_check(name + "another top", n, a, b, hashes, path, _leaves(99)[98], bad))
        out.append(
            _check(name + "another leaf", n, a, b, hashes[:-1] + [_leaves(99)[98]], path, top, bad)
        )
        out.append(_check(name + "missing leaf", n, a, b, hashes[:-1], path, top, bad))
        out.append(_check(name + "additional leaf", n, a, b, hashes + hashes[-1:], path, top, bad))
        out.append(
            _check(
                name + "end beyond the tree",
                n,
                a,
                n + 1,
                hashes + hashes[-1:] * (n + 1 - b),
                path,
                top,
                bad,
            )
        )
        out.append(_check(name + "empty", n, a, a, [], path, top, bad))
        out.append(_check(name + "begin above end", n, b, a, hashes, path, top, bad))
        if path:
            out.append(_check(name + "truncated", n, a, b, hashes, path[:-1], top, bad))
            out.append(_check(name + "no path", n, a, b, hashes, [], top, bad))
            out.append(
                _check(
                    name + "one bit",
                    n,
                    a,
                    b,
                    hashes,
                    path[:-1] + [bytes([path[-1][0] ^ 1]) + path[-1][1:]],
                    top,
                    bad,
                )
            )
        if len(path) > 1:
            out.append(
                _check(name + "swapped", n, a, b, hashes, [path[1], path[0]] + path[2:], top, bad)
            )
        if b < n and b - a == 1:
            out.append(_check(name + "moved by one", n, a + 1, b + 1, hashes, path, top, bad))
    leaves = _leaves(5)
    out.append(
        _check(
            "other count of the same depth (the root binds it, not the path)",
            6,
            0,
            2,
            leaves[:2],
            trees.open_range(leaves, 0, 2),
            trees.top(leaves),
        )
    )
    out.append(
        _check(
            "other count of another depth",
            4,
            0,
            2,
            leaves[:2],
            trees.open_range(leaves, 0, 2),
            trees.top(leaves),
            "PATH_INVALID",
        )
    )
    out.append(
        _check(
            "range of 2^64 - 1",
            2**64 - 1,
            2**64 - 2,
            2**64 - 1,
            leaves[:1],
            [],
            trees.top(leaves),
            "PATH_INVALID",
        )
    )
    return out


def cases():
    return _leaf_and_node() + _tops() + _roots() + _openings()
