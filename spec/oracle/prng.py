"""Deterministic test data: the SHA-256 counter stream H("OTR.rand", label, u64 counter), read as
u64 words."""

from oracle.encoding import H, integer


class Prng:
    def __init__(self, label):
        self.label, self.counter, self.words = label.encode("utf-8"), 0, []

    def word(self):
        if not self.words:
            block = H("OTR.rand", self.label, integer("u64", self.counter))
            self.words = [int.from_bytes(block[i : i + 8], "little") for i in (24, 16, 8, 0)]
            self.counter += 1
        return self.words.pop()

    def between(self, low, high):
        """An integer in [low, high]; the modulo's bias does not matter to tests."""
        return low + self.word() % (high - low + 1)

    def list(self, count, low, high):
        return [self.between(low, high) for _ in range(count)]

    def hash(self):
        return H("OTR.rand", self.label, integer("u64", self.word()))
