"""Words of the in and out objects are those of chapter 7. `tokens` are the ids of positions 0 ...
t, t being the last; `seed` is hexadecimal.
Whole choices: in {logits, tokens, n_prompt, sampling} out {L, token} and, unless greedy, {keys:
[[delta, id], ...] (the first 64), k_kept, p_kept (numbers
of keys), kept (ids), noise}. Single rules: SAMP-1 in {logits, tokens, n_prompt, presence,
frequency, logit_bias} out {L}; SAMP-3 in {L_max, L, inv_t} out
{delta}; SAMP-5 in {delta} out {w}; SAMP-8 in {u} out {noise} or in {seed, position, count} out
{noise}; SAMP-10 in {token_bytes (hexadecimal), n_prompt,
output, eos_ids, stop (hexadecimal), max_tokens, context} out {finish: one number for each output
position, 0 where the answer goes on}."""

from dataclasses import asdict, replace

from oracle import sampling as s
from oracle.case import accept, wrong
from oracle.encoding import hexa
from oracle.prng import Prng


def show_sampling(parameters):
    out = asdict(parameters)
    out["seed"] = hexa(parameters.seed)
    return out


def _choice(rule, name, logits, parameters, output=(), n_prompt=1):
    tokens = [0] * n_prompt + list(output)
    c = s.choose(logits, tokens, n_prompt, len(tokens) - 1, parameters)
    inputs = {
        "logits": logits,
        "tokens": tokens,
        "n_prompt": n_prompt,
        "sampling": show_sampling(parameters),
    }
    out = {"L": c.L, "token": c.token}
    if parameters.inv_t:
        out.update(keys=c.keys[:64], k_kept=c.k_kept, p_kept=c.p_kept, kept=c.kept, noise=c.noise)
    return accept(rule, name, inputs, out)


def _near(case, rule, name, token):
    return wrong(rule, name, case["in"], {"token": token}, {"token": case["out"]["token"]})


def _penalties():
    random, out = Prng("SAMP-1"), []
    window = [1] + [2] * 4096 + [3]
    for name, tokens, n_prompt in (
        ("prompt does not count", [1, 1, 2, 3], 3),
        ("output counts", [0, 1, 1, 2], 1),
        ("4096 positions at most", window, 1),
        ("oldest of 4096", window[1:], 1),
        ("no output", [0, 1], 2),
    ):
        for presence, frequency, bias in (
            (65536, 0, []),
            (0, 65536, [[0, -1]]),
            (-(2**20), 2**20, [[1, 100 * 2**16], [3, -100 * 2**16]]),
            (1, -1, [[0, 1], [1, -70000], [2, 70000], [3, 5]]),
        ):
            logits = random.list(4, -(2**31), 2**31 - 1)
            parameters = s.Sampling(presence=presence, frequency=frequency, logit_bias=bias)
            L = s.adjusted(logits, tokens, n_prompt, len(tokens) - 1, parameters)
            inputs = {
                "logits": logits,
                "tokens": tokens,
                "n_prompt": n_prompt,
                "presence": presence,
                "frequency": frequency,
                "logit_bias": bias,
            }
            out.append(accept("SAMP-1", name, inputs, {"L": L}))
            if presence == 1:
                opposite = [[j, -v] for j, v in bias]
                taken = s.adjusted(
                    logits, tokens, n_prompt, len(tokens) - 1, replace(parameters, logit_bias=opposite)
                )
                out.append(wrong("SAMP-1", name + ", bias taken", inputs, {"L": taken}, {"L": L}))
            if presence == 65536:
                out.append(wrong("SAMP-1", name, inputs, {"L": [L[0], L[1] + 1] + L[2:]}, {"L": L}))
    return out


def _functions():
    out, random = [], Prng("SAMP-3")
    grid = [
        (0, 0, 94548),
        (5, 4, 94548),
        (5, 5, 2**24),
        (2**31 - 1, -(2**31), 2**24),
        (100, 99, 2**15),
        (100, 99, 2**15 - 1),
        (2**24, 1, 65536),
        (2**24, 0, 65536),
        (2**24 - 1, 0, 65536),
        (2**33, -(2**33), 2**24),
        (-5, -70, 1),
    ]
    grid += [
        (2**20, 2**20 - random.between(0, 2**20), random.between(1, 2**20))
        for _ in range(20)
    ]
    for L_max, L, inv_t in grid:
        inputs, right = {"L_max": L_max, "L": L, "inv_t": inv_t}, {
            "delta": s.distance(L_max, L, inv_t)
        }
        out.append(accept("SAMP-3", "distance", inputs, right))
    out.append(
        wrong(
            "SAMP-3",
            "tie rounded down",
            {"L_max": 100, "L": 99, "inv_t": 2**15},
            {"delta": 0},
            {"delta": 1},
        )
    )
    out.append(
        wrong(
            "SAMP-3",
            "not capped",
            {"L_max": 2**24, "L": 0, "inv_t": 65536},
            {"delta": 2**24},
            {"delta": 2**24 - 1},
        )
    )
    for delta in [
        0,
        1,
        65535,
        65536,
        65537,
        28 * 65536,
        28 * 65536 + 1,
        29 * 65536 - 1,
        29 * 65536,
        2**24 - 1,
    ] + random.list(30, 0, 29 * 65536):
        out.append(accept("SAMP-5", "mass", {"delta": delta}, {"w": s.mass(delta)}))
    out.append(wrong("SAMP-5", "beyond 29 octaves", {"delta": 29 * 65536}, {"w": 1}, {"w": 0}))
    out.append(wrong("SAMP-5", "within 29 octaves", {"delta": 29 * 65536 - 1}, {"w": 0}, {"w": 1}))
    words = [
        0,
        1,
        2,
        3,
        2**31,
        2**32 - 1,
        2**31 - 1,
        2**16,
        2**17 - 1,
        2**17,
        2**16 - 1,
        2**12,
        2**13 - 1,
        2**20 + 1,
        5 << 9,
    ]
    words += [2**b for b in range(4, 32)] + [
        random.between(0, 2 ** random.between(1, 32) - 1) for _ in range(60)
    ]
    for u in words:
        out.append(accept("SAMP-8", "u", {"u": u}, {"noise": s.noise_of(u)}))
    for u in (0, 1, 2**16, 2**31, 12345678):
        out.append(
            wrong(
                "SAMP-8",
                "off by one",
                {"u": u},
                {"noise": s.noise_of(u) + 1},
                {"noise": s.noise_of(u)},
            )
        )
    for position, count in ((1, 20), (131071, 9), (77, 1), (256, 100)):
        seed = random.hash()
        noise = s.noise(seed, position, count)
        inputs = {"seed": hexa(seed), "position": position, "count": count}
        out.append(accept("SAMP-8", "seed", inputs, {"noise": noise}))
        out.append(
            wrong(
                "SAMP-8",
                "the next position's",
                inputs,
                {"noise": s.noise(seed, position + 1, count)},
                {"noise": noise},
            )
        )
    return out


def _choices():
    out, P = [], s.Sampling
    flat = [7] * 12
    greedy = _choice("SAMP-2", "tie to the least id", [1, 5, 5, 4], P())
    out += [
        greedy,
        _near(greedy, "SAMP-2", "greater id of a tie", 2),
        _near(greedy, "SAMP-2", "not the greatest", 3),
    ]
    out.append(
        _choice(
            ["SAMP-1", "SAMP-2"],
            "greedy with penalties",
            [10, 9, 8],
            P(presence=1, frequency=1),
            [0, 0, 1],
        )
    )
    out.append(
        _choice(
            "SAMP-2",
            "filters and seed have no effect",
            [1, 2, 3],
            P(0, 1, 1, 65536, 0, 0, bytes([9] * 32)),
        )
    )
    out.append(_choice("SAMP-2", "negative", [-(2**31)] * 3, P()))
    biased = _choice(
        ["SAMP-1", "SAMP-2"], "greedy with logit bias", [10, 9, 8, 7], P(logit_bias=[[1, -5], [2, 3]])
    )
    out += [biased, _near(biased, ["SAMP-1", "SAMP-2"], "greedy without the bias", 0)]
    out.append(
        _choice(
            ["SAMP-1", "SAMP-2"],
            "tie by bias to the least id, with penalties",
            [10, 9, 8],
            P(presence=1, frequency=1, logit_bias=[[1, 1], [2, 2]]),
            [0, 0],
        )
    )
    out.append(
        _choice(
            "SAMP-2", "more than 4096 ids, tie across chunks", [0] * 4095 + [1, 1] + [0] * 5, P()
        )
    )
    unit = 65536 * 65536  # a logit step that is one octave at inv_t = 1
    for number in range(4):
        seed = Prng(f"choice {number}").hash()
        random = Prng(f"logits {number}")
        soft = random.list(40, -3 * 65536, 3 * 65536)
        for inv_t in (94548, 30000, 400000, 2**24):
            out.append(_choice("SAMP-9", "plain", soft, P(inv_t, seed=seed)))
        for k in (1, 2, 39, 40):
            out.append(_choice("SAMP-4", f"top_k {k}", soft, P(94548, top_k=k, seed=seed)))
            out.append(
                _choice(
                    "SAMP-4", f"top_k {k} of equals", flat, P(94548, top_k=min(k, 12), seed=seed)
                )
            )
        for p in (1, 5461, 5462, 32768, 32769, 58982, 65535, 65536):
            out.append(_choice("SAMP-6", f"top_p {p}", soft, P(94548, top_p=p, seed=seed)))
            out.append(
                _choice("SAMP-6", f"top_p {p} of equals", flat, P(94548, top_p=p, seed=seed))
            )
        for p in (1, 656, 32768, 65535, 65536):
            out.append(_choice("SAMP-7", f"min_p {p}", soft, P(94548, min_p=p, seed=seed)))
            out.append(
                _choice(
                    "SAMP-7",
                    f"min_p {p}, half masses",
                    [0, -65536, -65537, 0],
                    P(65536, min_p=p, seed=seed),
                )
            )
        out.append(
            _choice(
                ["SAMP-4", "SAMP-6", "SAMP-7", "SAMP-9"],
                "all filters",
                soft,
                P(150000, 20, 50000, 1000, 30000, -2000, seed),
                random.list(10, 0, 39),
                2,
            )
        )
        for limit in (100 * 2**16, -100 * 2**16):
            bias = [[3, limit], [17, -(2**16)], [39, 2**15]]
            out.append(
                _choice(
                    "SAMP-9",
                    f"logit bias of {limit}",
                    soft,
                    P(94548, seed=seed, logit_bias=bias),
                )
            )
            out.append(
                _choice(
                    ["SAMP-4", "SAMP-6", "SAMP-7", "SAMP-9"],
                    f"all filters and a logit bias of {limit}",
                    soft,
                    P(150000, 20, 50000, 1000, 30000, -2000, seed, bias),
                    random.list(10, 0, 39),
                    2,
                )
            )
        out.append(
            _choice("SAMP-9", "almost all mass 0", [0] + [-40 * 65536] * 11, P(65536, seed=seed))
        )
        out.append(
            _choice(
                "SAMP-6",
                "top_p 65535 drops what has no mass",
                [0, 0] + [-40 * 65536] * 11,
                P(65536, top_p=65535, seed=seed),
            )
        )
        out.append(
            _choice(
                "SAMP-6",
                "top_p 65536 keeps what has no mass",
                [0, 0] + [-40 * 65536] * 11,
                P(65536, seed=seed),
            )
        )
        out.append(_choice("SAMP-9", "inv_t 1", [0, -unit // 2**16, -65536, 5], P(1, seed=seed)))
        out.append(_choice("SAMP-9", "one token", [-3], P(1, seed=seed)))
    big = Prng("big").list(4200, -65536 * 2, 65536 * 2)
    out.append(
        _choice(
            ["SAMP-4", "SAMP-6", "SAMP-7", "SAMP-9"],
            "two chunks",
            big,
            P(94548, 4000, 65000, 100, seed=bytes([1] * 32)),
        )
    )
    for case in [c for c in out if c["in"]["sampling"]["inv_t"] and len(c["out"]["kept"]) > 1][::9]:
        kept, token = case["out"]["kept"], case["out"]["token"]
        delta = dict((j, d) for d, j in case["out"]["keys"])
        second = max(
            (j for j in kept if j != token and j in delta),
            key=lambda j: case["out"]["noise"][j] - delta[j],
        )
        out.append(_near(case, "SAMP-9", "second best", second))
        rest = [j for j in delta if j not in kept]
        if rest:
            out.append(_near(case, ["SAMP-6", "SAMP-7"], "a token that was filtered out", rest[0]))
    return out


def _finishes():
    token_bytes = [b"", b"a", b"b", b"ab", b"\xc3", b"\xa9", b"stop", b"</s>"]
    out = []
    for name, n_prompt, output, eos, stop, max_tokens, context in (
        ("length", 3, [1, 1, 1], [7], [], 3, 100),
        ("context", 3, [1, 1, 1], [7], [], 50, 6),
        ("goes on", 3, [1, 1, 1], [7], [], 4, 7),
        ("stop token", 3, [1, 7], [7], [], 9, 100),
        ("stop token before length", 3, [1, 7], [7], [], 2, 5),
        ("stop token before stop string", 1, [7], [7], [b"s>"], 9, 100),
        ("two stop tokens", 1, [1, 6], [6, 7], [], 9, 99),
        ("stop string across tokens", 1, [1, 2, 2], [], [b"bb"], 9, 99),
        ("stop string within a token", 1, [1, 6], [], [b"to"], 9, 99),
        ("stop string in the middle of the text", 1, [3, 1, 2, 2], [], [b"zz", b"abb"], 9, 99),
        ("second stop string", 1, [1, 2], [], [b"x", b"ab"], 9, 99),
        ("half a character", 1, [4, 5], [], ["é".encode()], 9, 99),
        ("empty token", 1, [0, 1, 0, 2], [], [b"ab"], 9, 99),
        ("stop string before length", 1, [1, 2], [], [b"b"], 2, 3),
        ("one token", 1, [1], [], [], 1, 2),
        ("prompt does not count", 2, [2], [], [b"ab"], 9, 99),
    ):
        finishes = [
            s.finish(output[: i + 1], token_bytes, n_prompt, eos, stop, max_tokens, context)
            for i in range(len(output))
        ]
        inputs = {
            "token_bytes": [hexa(b) for b in token_bytes],
            "n_prompt": n_prompt,
            "output": output,
            "eos_ids": eos,
            "stop": [hexa(b) for b in stop],
            "max_tokens": max_tokens,
            "context": context,
        }
        out.append(accept("SAMP-10", name, inputs, {"finish": finishes}))
        for other in range(4):
            if other != finishes[-1]:
                out.append(
                    wrong(
                        "SAMP-10",
                        name,
                        inputs,
                        {"finish": finishes[:-1] + [other]},
                        {"finish": finishes},
                    )
                )
    return out


def cases():
    return _penalties() + _functions() + _choices() + _finishes()
