"""PF-3 to PF-5: the transcript, what the prover sends, and the sumcheck."""

from oracle.encoding import H, integer, require
from proof.field import K, ONE, P

LABEL_SUMCHECK = 1
LABEL_GRINDING = 7


class Reader:
    """The bytes of a part, read from the front; MALFORMED where they end too soon."""

    def __init__(self, data, what):
        self.data, self.at, self.what = data, 0, what

    def take(self, count):
        require(
            count <= len(self.data) - self.at,
            "MALFORMED",
            f"{self.what} end at byte {len(self.data)}, {count} more wanted at {self.at}",
        )
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, width, signed=False):
        return int.from_bytes(self.take(width), "little", signed=signed)

    def cell(self):
        """An element of F."""
        value = self.number(8)
        require(value < P, "MALFORMED", f"{self.what}: a number not below p at {self.at - 8}")
        return value

    def element(self):
        """An element of K."""
        return K(self.cell(), self.cell())

    def elements(self, count):
        return [self.element() for _ in range(count)]

    def end(self):
        rest = len(self.data) - self.at
        require(rest == 0, "MALFORMED", f"{self.what}: {rest} bytes too many")


class Transcript:
    """PF-3."""

    def __init__(self, name):
        self.state = H("OTR.tr00", name)

    def absorb(self, label, data):
        self.state = H(
            "OTR.absb", self.state, integer("u32", label), integer("u64", len(data)), data
        )

    def absorb_elements(self, label, elements):
        self.absorb(label, b"".join(e.to_bytes() for e in elements))

    def challenge(self):
        self.state = H("OTR.chal", self.state)
        return K(
            int.from_bytes(self.state[:16], "little"), int.from_bytes(self.state[16:], "little")
        )

    def challenges(self, count):
        return [self.challenge() for _ in range(count)]

    def grind(self, nonce, bits):
        """PF-4."""
        self.absorb(LABEL_GRINDING, integer("u64", nonce))
        word = int.from_bytes(self.state[:8], "little")
        require(word % 2**bits == 0, "PROOF_INVALID", f"grinding of {bits} bits")


class Channel:
    """What the verifier hears: elements of K, read and absorbed under a label at once."""

    def __init__(self, transcript, reader):
        self.transcript, self.reader = transcript, reader
        self.challenge, self.challenges = transcript.challenge, transcript.challenges

    def receive(self, label, count):
        out = self.reader.elements(count)
        self.transcript.absorb_elements(label, out)
        return out


def interpolate(values, x):
    """The value at x of the polynomial that has these values at 0, 1, ..., D."""
    degree = len(values) - 1
    total = K(0)
    for i, value in enumerate(values):
        numerator, denominator = ONE, 1
        for j in range(degree + 1):
            if j != i:
                numerator = numerator * (x - j)
                denominator *= i - j
        total = total + value * numerator * pow(denominator, P - 2, P)
    return total


def sumcheck(channel, claim, rounds, degree):
    """PF-5: the point and the claim that is left."""
    point = []
    for _ in range(rounds):
        sent = channel.receive(LABEL_SUMCHECK, degree)
        values = [sent[0], claim - sent[0]] + sent[1:]
        rho = channel.challenge()
        claim = interpolate(values, rho)
        point.append(rho)
    return point, claim
