"""PS-2 and PS-4: the trace rows and the scalars in clear, from their bytes."""

from dataclasses import dataclass

from oracle import trace
from oracle.encoding import require
from oracle.trees import KIND, tensor_root
from proof.transcript import Reader

K_BOUND, V_BOUND = 4095, 127
K_EXPONENT, V_EXPONENT = (4, 13), (-30, 30)


@dataclass
class Record:
    """PS-3: a witnessed exponent or shift."""

    exponent: int
    named: int
    value: int


@dataclass
class Tile:
    M: int
    X: int
    mu: int
    mr: int
    xu: int
    xr: int


@dataclass
class Position:
    """The scalars of one layer and position."""

    q: list
    q_squares: list  # of OP-5; empty without q/k norms
    k: list
    k_squares: list
    v: list
    tiles: list  # for each head a list
    S: list
    A: list
    o: Record
    norm: Record
    squares: int
    m: Record
    g: Record
    h: Record


@dataclass
class Output:
    L_max: int
    named: int
    named_logit: int
    token_logit: int


@dataclass
class Scalars:
    gap: int
    positions: list  # [layer][t]
    outputs: list


def _record(reader):
    return Record(reader.number(1, True), reader.number(4), reader.number(8, True))


def _tile(reader):
    return Tile(reader.number(4, True), reader.number(4, True), *reader.take(4))


def _position(reader, shape, t):
    heads, groups = range(shape.size["h"]), range(shape.size["g"])
    q = [_record(reader) for _ in heads]
    q_squares = [reader.number(8) for _ in heads if shape.qk_norm]
    k = [_record(reader) for _ in groups]
    k_squares = [reader.number(8) for _ in groups if shape.qk_norm]
    v = [_record(reader) for _ in groups]
    tiles, sums, shifts = [], [], []
    for _ in heads:
        tiles.append([_tile(reader) for _ in shape.tiles(t)])
        sums.append(reader.number(8))
        shifts.append(_record(reader))
    o, norm, squares = _record(reader), _record(reader), reader.number(8)
    rest = [_record(reader) for _ in range(3)]
    return Position(
        q, q_squares, k, k_squares, v, tiles, sums, shifts, o, norm, squares, *rest
    )


def read_scalars(data, shape):
    """PS-4."""
    reader = Reader(data, "the scalars")
    require(reader.number(1) == 1, "MALFORMED", "the version of the scalars")
    gap = reader.number(1)
    require(gap in (1, 2), "MALFORMED", "gap is neither 1 nor 2")
    positions = [
        [_position(reader, shape, t) for t in range(shape.size["t"])]
        for _ in range(shape.size["l"])
    ]
    outputs = [
        Output(
            reader.number(8, True), reader.number(4), reader.number(4, True), reader.number(4, True)
        )
        for _ in range(shape.n_out)
    ]
    reader.end()
    return Scalars(gap, positions, outputs)


@dataclass
class TraceRows:
    """residual[l][t] is a row, k[l][g][t] and v[l][g][t] are pairs (row, exponent)."""

    residual: list
    k: list
    v: list
    roots: list  # in the order of TRACE-5, without header and tokens


def trace_bytes(shape):
    """PS-2: how long the part is."""
    heads = 3 * shape.size["g"] * (shape.size["j"] + 1)
    return shape.size["l"] * shape.size["t"] * (4 * shape.size["d"] + heads)


def _rows(reader, rows, cols, width):
    data = memoryview(reader.take(rows * cols * width)).cast({1: "b", 2: "h", 4: "i"}[width])
    return [data[r * cols : (r + 1) * cols].tolist() for r in range(rows)]


def _head(reader, shape, kind, width):
    rows = _rows(reader, shape.size["t"], shape.size["j"] + 1, width)
    out = [(row, exponent) for *row, exponent in rows]
    values = [v for row in rows for v in row]
    type_name = {1: "i8", 2: "i16"}[width]
    return out, tensor_root(KIND[kind], type_name, len(rows), len(rows[0]), values)


def read_trace(data, shape):
    """PS-2: the rows in the order of TRACE-5."""
    require(len(data) == trace_bytes(shape), "MALFORMED", "the length of the trace rows")
    reader, out = Reader(data, "the trace rows"), TraceRows([], [], [], [])
    for _ in range(shape.size["l"]):
        keys, values = [], []
        for _ in range(shape.size["g"]):
            rows, root = _head(reader, shape, "K", 2)
            keys.append(rows)
            out.roots.append(root)
            rows, root = _head(reader, shape, "V", 1)
            values.append(rows)
            out.roots.append(root)
        rows = _rows(reader, shape.size["t"], shape.size["d"], 4)
        flat = [x for row in rows for x in row]
        out.roots.append(tensor_root(KIND["residual"], "i32", len(rows), shape.size["d"], flat))
        out.residual.append(rows)
        out.k.append(keys)
        out.v.append(values)
    reader.end()
    return out


def check_ranges(rows):
    """PS-2, PROG-7: the values and exponents of K and V, once they are known to be the claim's."""
    for kind, layers, bound, (low, high) in (
        ("K", rows.k, K_BOUND, K_EXPONENT),
        ("V", rows.v, V_BOUND, V_EXPONENT),
    ):
        for row, exponent in (pair for heads in layers for head in heads for pair in head):
            good = max(map(abs, row)) <= bound and low <= exponent <= high
            require(good, "PROOF_INVALID", f"a row of {kind} leaves its range")


def trace_root(rows, request, ids, n_prompt, n_out):
    """TRACE-5."""
    header = trace.header(
        request["model_root"], n_prompt, n_out, request["mode"], request["sampling"]
    )
    return trace.root([header, trace.token_root(ids)] + rows.roots)
