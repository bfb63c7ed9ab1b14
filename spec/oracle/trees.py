"""SPEC chapter 3 (TREE)."""

from oracle.encoding import H, integer, integers, require

TILE = 512
MICRO_TILE = 64  # TREE-4, kind 9
ABSENT = bytes(32)  # TREE-2

# TREE-5
KIND = {
    "table": 1,
    "model tensor": 2,
    "model": 3,
    "token ids": 4,
    "K": 5,
    "V": 6,
    "residual": 7,
    "trace": 8,
    "micro-tensor": 9,
    "micro-trace": 10,
}
TYPE = {"hash": 0, "i8": 1, "u8": 2, "i16": 3, "u16": 4, "i32": 5, "u32": 6, "i64": 7, "u64": 8}


def leaf(tile_bytes):
    """TREE-1."""
    return H("OTR.leaf", tile_bytes)


def node(a, b):
    """TREE-2."""
    return H("OTR.node", a, b)


def depth(n):
    """ceil(log2 n)."""
    return (n - 1).bit_length()


def levels(leaves):
    """All levels of the tree of TREE-3, leaves first."""
    row = list(leaves) + [ABSENT] * (2 ** depth(len(leaves)) - len(leaves))
    out = [row]
    while len(row) > 1:
        row = [node(row[i], row[i + 1]) for i in range(0, len(row), 2)]
        out.append(row)
    return out


def top(leaves):
    """TREE-3."""
    return levels(leaves)[-1][0]


def root(kind, type_number, rows, cols, top_hash):
    """TREE-4."""
    return H(
        "OTR.root",
        integer("u32", kind),
        integer("u32", type_number),
        integer("u64", rows),
        integer("u64", cols),
        top_hash,
    )


def tensor_leaves(type_name, rows, cols, values, tile=TILE):
    """The leaves of a tensor in the order (row, tile); `values` row-major."""
    assert len(values) == rows * cols
    return [
        leaf(integers(type_name, values[r * cols + c : r * cols + min(c + tile, cols)]))
        for r in range(rows)
        for c in range(0, cols, tile)
    ]


def tensor_root(kind, type_name, rows, cols, values):
    tile = MICRO_TILE if kind == KIND["micro-tensor"] else TILE
    return root(
        kind, TYPE[type_name], rows, cols, top(tensor_leaves(type_name, rows, cols, values, tile))
    )


def list_root(kind, hashes):
    """The root of a list of hashes (TREE-5: type 0, rows n, cols 1)."""
    return root(kind, TYPE["hash"], len(hashes), 1, top(hashes))


def open_range(leaves, a, b):
    """TREE-6: the path of leaves [a, b)."""
    assert 0 <= a < b <= len(leaves)
    path = []
    for row in levels(leaves)[:-1]:
        if a % 2 == 1:
            path.append(row[a - 1])
        if b % 2 == 1:
            path.append(row[b])
        a, b = a // 2, (b + 1) // 2
    return path


def top_of_range(n, a, b, hashes, path):
    """The top that an opening of leaves [a, b) of n computes (TREE-6), or PATH_INVALID."""
    require(0 <= a < b <= n and len(hashes) == b - a, "PATH_INVALID", "range")
    row, rest = list(hashes), list(path)
    for _ in range(depth(n)):
        take = (a % 2) + (b % 2)
        require(len(rest) >= take, "PATH_INVALID", "too short")
        if a % 2 == 1:
            row.insert(0, rest.pop(0))
        if b % 2 == 1:
            row.append(rest.pop(0))
        row = [node(row[i], row[i + 1]) for i in range(0, len(row), 2)]
        a, b = a // 2, (b + 1) // 2
    require(not rest, "PATH_INVALID", "too long")
    return row[0]


def check_range(n, a, b, hashes, path, top_hash):
    """TREE-6."""
    require(top_of_range(n, a, b, hashes, path) == top_hash, "PATH_INVALID", "another top")
