"""PS-5 and domain s: the choice of every output token, from its logit and L_max in clear."""

from oracle import ops, sampling
from oracle.encoding import require
from proof.rows import invalid, within
from proof.shape import zeros

MAX_L = 2**33  # PROG-7
DELTA_END = 2**24
MASS_END = 29 * 2**16  # SAMP-5: from here on a key has no mass
LEAST_SCORE = -(2**20)  # PT, domain s
MAX_LOGIT_SHIFT = 37  # PS-5


def check_request(request):
    """PT: what has no proof in this version."""
    s = request["sampling"]
    if s.inv_t > 0:
        invalid(s.top_k == 0, "a request with top_k has no proof")
        invalid(s.top_p == 65536, "a request with top_p has no proof")


def kept(delta, min_p):
    """SAMP-7."""
    return 2**16 * sampling.mass(delta) >= min_p * 2**28


def threshold_of(min_p):
    """Theta: 1 + the greatest Delta below 2^24 that SAMP-7 keeps; mass never rises."""
    if min_p == 0:
        return DELTA_END
    low, high = 0, MASS_END  # kept, not kept
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if kept(middle, min_p) else (low, middle)
    return low + 1


class Choice:
    """The public columns of domain s and of its contraction, and the claims on its cells."""

    def __init__(self, rows, request):
        self.rows, self.shape = rows, rows.shape
        self.sampling = request["sampling"]
        self.columns = {
            name: zeros(self.shape, dims)
            for name, dims in (
                ("s.L_max", "o"),
                ("s.off", "o"),
                ("s.hi", "o"),
                ("s.theta", "o"),
                ("s.pen", "vo"),
                ("s.less", "vo"),
                ("s.thr", "vo"),
                ("fin", "do"),
            )
        }
        theta = threshold_of(self.sampling.min_p)
        self.columns["s.theta"].values = [theta] * self.shape.n_out

    def check(self):
        """All outputs; leaves the shifts and the claims with `rows`."""
        model, c = self.rows.model, self.rows.c
        gain, bound = model.gain("final_norm"), ops.bound(c["act_bits"]["head"])
        e_head = c["exponents"]["embed" if c["tied"] else "head"]
        for o, output in enumerate(self.rows.scalars.outputs):
            t = self.shape.n_prompt - 1 + o
            norm = ops.norm_row(self.rows.trace.residual[-1][t], gain, c["eps"], bound)
            d = self.shape.size["d"]
            self.columns["fin"].values[d * o : d * (o + 1)] = norm.a
            shift = e_head + norm.exponent - 16
            self.rows.shift("s.r", (o,), shift, MAX_LOGIT_SHIFT, f"logits of output {o}")
            n = min(32, 63 - shift)
            self.columns["s.off"].values[o] = 1 << (n - 1)
            self.columns["s.hi"].values[o] = n - 19
            self._output(o, t, output)

    def _penalties(self, t):
        """SAMP-1: what is taken from each logit, less its bias."""
        zero = [0] * self.shape.size["v"]
        added = sampling.adjusted(zero, self.rows.ids, self.shape.n_prompt, t, self.sampling)
        return [-v for v in added]

    def _output(self, o, t, output):
        V, why, token = self.shape.size["v"], f"output {o}", self.rows.ids[t + 1]
        within(output.L_max, (-MAX_L, MAX_L), f"{why}, L_max")
        invalid(output.named < V, f"{why}: no token {output.named}")
        pen = self._penalties(t)
        good = output.L_max == output.named_logit - pen[output.named]
        invalid(good, f"{why}: L_max is not the named token's")
        self.rows.claim("s.y", (output.named, o), output.named_logit)
        self.rows.claim("s.y", (token, o), output.token_logit)
        distance = output.L_max - (output.token_logit - pen[token])
        invalid(distance >= 0, f"{why}: a logit above L_max")
        less = [int(v < token) for v in range(V)]
        self.columns["s.L_max"].values[o] = output.L_max
        self.columns["s.pen"].values[V * o : V * (o + 1)] = pen
        self.columns["s.less"].values[V * o : V * (o + 1)] = less
        if self.sampling.inv_t == 0:
            require(distance == 0, "PROOF_INVALID", f"{why}: the token is not the best")
            return
        delta = sampling.distance(distance, 0, self.sampling.inv_t)
        invalid(kept(delta, self.sampling.min_p), f"{why}: min_p does not keep the token")
        noise = sampling.noise(self.sampling.seed, t + 1, V)
        best = noise[token] - delta
        invalid(best >= LEAST_SCORE, f"{why}: the token's score {best}")
        thresholds = [n - best + earlier for n, earlier in zip(noise, less)]
        self.columns["s.thr"].values[V * o : V * (o + 1)] = thresholds
