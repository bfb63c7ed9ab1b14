"""SPEC chapter 7 (SAMP)."""

from dataclasses import dataclass, field

from oracle.arith import bitlen, rsh
from oracle.encoding import H, integer
from oracle.tables import entry


@dataclass
class Sampling:
    """The sampler's parameters under the request."""

    inv_t: int = 0
    top_k: int = 0
    top_p: int = 65536
    min_p: int = 0
    presence: int = 0
    frequency: int = 0
    seed: bytes = field(default=bytes(32))
    logit_bias: list = field(default_factory=list)  # [id, value], ascending by id


def adjusted(logits, tokens, n_prompt, t, sampling):
    """SAMP-1: L_j, from the ids of positions 0 ... t."""
    presence, frequency, bias = sampling.presence, sampling.frequency, dict(sampling.logit_bias)
    count = [0] * len(logits)
    for u in range(max(n_prompt, t - 4095), t + 1):
        count[tokens[u]] += 1
    return [
        logits[j] + bias.get(j, 0) - (presence if c > 0 else 0) - frequency * c
        for j, c in enumerate(count)
    ]


def seeds(seed, n):
    """REQ-7: the seeds of n answers."""
    return [seed] + [H("OTR.seed", seed, integer("u32", i)) for i in range(1, n)]


def distance(L_max, L, inv_t):
    """SAMP-3: Delta."""
    return min(rsh((L_max - L) * inv_t, 16), 2**24 - 1)


def mass(delta):
    """SAMP-5: w."""
    return rsh(entry("MASS", 0, delta % 2**16), delta // 2**16) if delta < 29 * 2**16 else 0


def noise_of(u):
    """SAMP-8 from the u32 u on."""
    k = 32 - bitlen(u)
    k1 = min(k, 15)
    m = (u << 12 >> (bitlen(u) - 1)) % 2**12 if u else 0
    return entry("GUMBEL", k1, m) + (k - k1) * 2**16


def noise(seed, position, count):
    """SAMP-8: noise_j for j < count; `position` is t + 1."""
    words = []
    for block in range((count + 7) // 8):
        digest = H("OTR.gumb", seed, integer("u32", position), integer("u32", block))
        words += [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)]
    return [noise_of(u) for u in words[:count]]


@dataclass
class Choice:
    """What choosing one token computes. Without greedy: keys are (Delta, id) in order."""

    L: list
    L_max: int
    token: int
    keys: list = None
    k_kept: int = None  # how many keys SAMP-4 keeps
    p_kept: int = None  # how many of them SAMP-6 keeps
    kept: list = None  # the ids SAMP-7 keeps, in the order of the keys
    noise: list = None


def choose(logits, tokens, n_prompt, t, sampling):
    """SAMP-1 ... SAMP-9: the token of position t + 1."""
    L = adjusted(logits, tokens, n_prompt, t, sampling)
    L_max = max(L)
    if sampling.inv_t == 0:
        return Choice(L, L_max, L.index(L_max))  # SAMP-2
    delta = [distance(L_max, v, sampling.inv_t) for v in L]
    keys = sorted((d, j) for j, d in enumerate(delta))
    k_kept = min(sampling.top_k, len(L)) or len(L)  # SAMP-4
    p_kept = k_kept
    if sampling.top_p != 65536:  # SAMP-6
        w_all, so_far = sum(mass(d) for d, _ in keys[:k_kept]), 0
        for p_kept, (d, _) in enumerate(keys[:k_kept], 1):
            so_far += mass(d)
            if so_far * 2**16 >= sampling.top_p * w_all:
                break
    kept = [j for d, j in keys[:p_kept] if mass(d) * 2**16 >= sampling.min_p * 2**28]  # SAMP-7
    noises = noise(sampling.seed, t + 1, len(L))
    token = min(kept, key=lambda j: (delta[j] - noises[j], j))  # SAMP-9
    return Choice(L, L_max, token, keys, k_kept, p_kept, kept, noises)


STOP_TOKEN, STOP_STRING, LENGTH = 1, 2, 3


def finish(output, token_bytes, n_prompt, eos_ids, stop, max_tokens, context):
    """SAMP-10: the finish reason after the last token of `output`, 0 where the answer goes on."""
    if output[-1] in eos_ids:
        return STOP_TOKEN
    text = b"".join(token_bytes[j] for j in output)
    if any(s in text for s in stop):
        return STOP_STRING
    p = n_prompt + len(output) - 1
    return LENGTH if len(output) == max_tokens or p + 1 == context else 0
