"""TAB-1 ... TAB-5 with TAB-6: in {table} out {rows, cols, type, root}. Entries: in {table, at:
[[row, col], ...]} out {values}
(SILU's column is g mod 2^16); "wrong" as everywhere. TAB-7: in {t, step} out {c, s}. TAB-8: in
{version} out {spec_hash}."""

from oracle import tables
from oracle.case import accept, wrong
from oracle.encoding import hexa
from oracle.prng import Prng

RULE = {name: f"TAB-{i + 1}" for i, name in enumerate(tables.SHAPES)}


def _entries(name):
    rows, cols, _, _ = tables.SHAPES[name]
    random = Prng("TAB " + name)
    edges = {
        0,
        1,
        2,
        3,
        cols // 4,
        cols // 2 - 1,
        cols // 2,
        cols // 2 + 1,
        3 * cols // 4,
        cols - 3,
        cols - 2,
        cols - 1,
    }
    at = [[r, c] for r in range(rows) for c in sorted(edges)]
    at += [
        [random.between(0, rows - 1), random.between(0, cols - 1)]
        for _ in range(max(40, 200 - len(at)))
    ]
    out = [
        accept(
            RULE[name],
            name,
            {"table": name, "at": at},
            {"values": [tables.entry(name, r, c) for r, c in at]},
        )
    ]
    for r, c in at[1:4] + at[-3:]:
        value = tables.entry(name, r, c)
        for off in (1, -1):
            if value + off >= 0 or name not in ("EXP2", "MASS"):
                out.append(
                    wrong(
                        RULE[name],
                        "off by one",
                        {"table": name, "at": [[r, c]]},
                        {"values": [value + off]},
                        {"values": [value]},
                    )
                )
    return out


def _angles():
    random = Prng("TAB-7")
    pairs = [
        (0, 0),
        (0, 2**64 - 1),
        (1, 0),
        (1, 2**39 - 1),
        (1, 2**39),
        (1, 2**40),
        (1, 2**48),
        (1, 2**56),
        (1, 2**61),
        (1, 2**62),
        (1, 2**63),
        (1, 3 * 2**62),
        (1, 2**64 - 1),
        (1, 2**64 - 2**39),
        (1, 2**64 - 2**39 - 1),
        (131071, 2**64 - 1),
        (3, 2**63),
        (131071, 2**47 + 12345),
    ]
    pairs += [(random.between(0, 131071), random.word()) for _ in range(150)]
    pairs += [
        (random.between(0, 131071), random.word() >> random.between(8, 40)) for _ in range(50)
    ]
    out = []
    for t, step in pairs:
        c, s = tables.angle(t, step)
        assert abs(c) <= 2**15 and abs(s) <= 2**15
        out.append(accept("TAB-7", "angle", {"t": t, "step": step}, {"c": c, "s": s}))
    for t, step in pairs[18:22]:
        c, s = tables.angle(t, step)
        right = {"c": c, "s": s}
        out.append(
            wrong("TAB-7", "cosine off by one", {"t": t, "step": step}, {"c": c + 1, "s": s}, right)
        )
        out.append(
            wrong("TAB-7", "sine off by one", {"t": t, "step": step}, {"c": c, "s": s - 1}, right)
        )
        out.append(wrong("TAB-7", "swapped", {"t": t, "step": step}, {"c": s, "s": c}, right))
    return out


def cases():
    out = []
    for name, (rows, cols, type_name, _) in tables.SHAPES.items():
        out.append(
            accept(
                [RULE[name], "TAB-6"],
                name,
                {"table": name},
                {
                    "rows": rows,
                    "cols": cols,
                    "type": type_name,
                    "root": hexa(tables.table_root(name)),
                },
            )
        )
        out += _entries(name)
    return (
        out
        + _angles()
        + [accept("TAB-8", "spec hash", {"version": tables.VERSION}, {"spec_hash": hexa(tables.spec_hash())})]
    )
