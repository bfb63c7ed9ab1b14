"""SPEC chapters 24 and 25 as bytes: openings, witnesses, demands, answers and proofs (MTRC-3 to
MTRC-6, REF-2, REF-4)."""

from oracle.encoding import integer, require
from oracle.settlement_words import Reader

MAX_OPENINGS, MAX_MOVE = 64, 2**20 + 2**13


def encode_hashes(values):
    return integer("u8", len(values)) + b"".join(values)


def encode_tree(tree):
    return integer("u8", tree[0]) + integer("u32", tree[1]) + integer("u32", tree[2])


def encode_opening(o):
    return (
        encode_tree(o["tree"])
        + integer("u64", o["begin"])
        + integer("u64", o["end"])
        + integer("u32", len(o["tiles"]))
        + o["tiles"]
        + encode_hashes(o["path"])
        + encode_hashes(o["list_path"])
    )


def encode_witness(openings):
    return integer("u8", len(openings)) + b"".join(map(encode_opening, openings))


def encode_demand(demand):
    tree, level, begin, end = demand
    numbers = integer("u32", level) + integer("u64", begin) + integer("u64", end)
    return encode_tree(tree) + numbers


def encode_answer(answer):
    return encode_hashes(answer["roots"]) + encode_witness(answer["witness"])


def encode_proof(proof):
    head = integer("u8", proof["kind"]) + integer("u32", proof["t"])
    return (
        head
        + integer("u8", proof["tensor"])
        + integer("u64", proof["index"])
        + encode_witness(proof["witness"])
    )


class Decoder(Reader):
    def hashes(self):
        return [self.take(32) for _ in range(self.number("u8"))]

    def tree(self):
        place = self.number("u8")
        require(1 <= place <= 8, "MALFORMED", "tree")
        return place, self.number("u32"), self.number("u32")

    def opening(self):
        tree, begin, end = self.tree(), self.number("u64"), self.number("u64")
        tiles = self.take(self.number("u32"))
        return {
            "tree": tree,
            "begin": begin,
            "end": end,
            "tiles": tiles,
            "path": self.hashes(),
            "list_path": self.hashes(),
        }

    def witness(self):
        count = self.number("u8")
        require(count <= MAX_OPENINGS, "LIMIT_EXCEEDED", "witness")
        return [self.opening() for _ in range(count)]

    def demand(self):
        return self.tree(), self.number("u32"), self.number("u64"), self.number("u64")

    def answer(self):
        return {"roots": self.hashes(), "witness": self.witness()}

    def proof(self):
        kind, t = self.number("u8"), self.number("u32")
        require(1 <= kind <= 5, "MALFORMED", "kind of proof")
        tensor, index = self.number("u8"), None
        require(tensor <= 98, "MALFORMED", "tensor")
        index = self.number("u64")
        plain = (t == 0 or kind in (3, 4)) and (kind == 5 or tensor == index == 0)
        require(plain, "NOT_CANONICAL", "numbers that the kind does not use")
        return {"kind": kind, "t": t, "tensor": tensor, "index": index, "witness": self.witness()}
