"""PT-1: the dimensions, their sizes, and columns that the verifier knows."""

from dataclasses import dataclass

from oracle.ops import ATTENTION_TILE, lowest
from proof.mle import bits_of, count, extension


class Shape:
    """The sizes of the dimensions of PT-1 for a model and the counts of a claim."""

    def __init__(self, config, n_prompt, n_out):
        positions = n_prompt + n_out - 1
        self.n_prompt, self.n_out, self.window = n_prompt, n_out, config["window"]
        self.qk_norm = config["qk_norm"]
        self.heads_of_group = config["heads"] // config["kv_heads"]
        self.size = {
            "i": config["head_dim"] // 2,
            "j": config["head_dim"],
            "h": config["heads"],
            "g": config["kv_heads"],
            "d": config["hidden"],
            "f": config["ffn"],
            "t": positions,
            "l": config["layers"],
            "u": min(ATTENTION_TILE, positions),
            "T": (positions - 1) // ATTENTION_TILE + 1,
            "o": n_out,
            "v": config["vocabulary"],
        }

    def sizes(self, dims):
        return [self.size[name] for name in dims]

    def bits(self, dims):
        return sum(bits_of(self.size[name]) for name in dims)

    def group_of(self, head):
        """Head h reads key/value head floor(h * G / H)."""
        return head * self.size["g"] // self.size["h"]

    def tiles(self, t):
        """The attention tiles of a position (OP-12)."""
        return range(lowest(t, self.window) // ATTENTION_TILE, t // ATTENTION_TILE + 1)

    def attended(self, t, position):
        return lowest(t, self.window) <= position <= t


@dataclass
class Column:
    """A public column: its dimensions (one letter each, lowest first) and its values."""

    dims: str
    values: list

    def at(self, shape, point):
        """The extension; `point` gives for each letter the challenges of its bits."""
        return extension(self.values, shape.sizes(self.dims), [point[name] for name in self.dims])


def offset(shape, dims, index):
    """Where the value of an index stands in a column."""
    out, step = 0, 1
    for name, x in zip(dims, index):
        assert 0 <= x < shape.size[name]
        out += x * step
        step *= shape.size[name]
    return out


def zeros(shape, dims):
    return Column(dims, [0] * count(shape.sizes(dims)))
