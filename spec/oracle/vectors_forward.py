"""Whole executions of the tiny models (chapters 8 and 10). in {model, prompt, sampling, stop,
max_tokens} out {output_ids, finish_reason, header, token_root,
layers: [{k, v: one root for each head, residual}], trace_root, rows: some rows (of kind K and V
with the exponent as last element), micro: micro-traces by
PROG-5, each tensor as [number, rows, cols, root], layer -1 being the head}; or
"reject":"OUT_OF_RANGE" with "at": {t, layer}. TRACE-1: in {ids} out {root}.
TRACE-6: in {differ: leaves; tile counts the tiles of a row} out {first}."""

from functools import lru_cache

from oracle import machine, tiny, trace
from oracle.case import accept
from oracle.encoding import hexa
from oracle.prng import Prng
from oracle.sampling import Sampling
from oracle.vectors_sampling import show_sampling

RULES = ["PROG-2", "PROG-3", "PROG-5", "TRACE-1", "TRACE-2", "TRACE-3", "TRACE-4", "TRACE-5"]


def _seed(number):
    return Prng(f"seed {number}").hash()


def _long_prompt():
    return Prng("long prompt").list(262, 0, 4199)


def _spread_bias(vocabulary):
    """A value for every third id, both signs, to the ends of the range."""
    random = Prng("logit bias")
    return [[j, 1 + random.between(0, 2**18) - 2**17] for j in range(0, vocabulary - 3, 3)] + [
        [vocabulary - 2, -100 * 2**16],
        [vocabulary - 1, 100 * 2**15],
    ]


HELLO = list(b"Hello, world")
# name -> (model, prompt, sampling, stop, max_tokens, (t, layer) of micro-traces)
EXECUTIONS = {
    "gqa greedy": (
        "tiny_gqa",
        HELLO,
        Sampling(),
        (),
        12,
        ((0, 0), (11, 1), (14, 0), (11, -1), (21, -1)),
    ),
    "gqa sampled": ("tiny_gqa", HELLO, Sampling(94548, seed=_seed(1)), (), 16, ((13, 1), (12, -1))),
    "gqa all parameters": (
        "tiny_gqa",
        HELLO + [299, 256, 270],
        Sampling(60000, 50, 60000, 300, 20000, 9000, _seed(2)),
        (),
        24,
        ((20, -1),),
    ),
    "gqa greedy with penalties": (
        "tiny_gqa",
        [84],
        Sampling(0, 0, 65536, 0, 2**20, 2**18),
        (),
        20,
        ((5, -1),),
    ),
    "gqa greedy with logit bias": (
        "tiny_gqa",
        HELLO,
        Sampling(0, 0, 65536, 0, 2**19, 2**16, logit_bias=[[84, 2**19], [250, 100 * 2**16]]),
        (),
        12,
        ((12, -1), (22, -1)),
    ),
    "gqa with logit bias": (
        "tiny_gqa",
        HELLO,
        Sampling(94548, 40, 60000, 100, 9000, 9000, _seed(11), _spread_bias(299)),
        (),
        16,
        ((14, -1),),
    ),
    "bias greedy": ("tiny_bias", HELLO, Sampling(), (), 16, ((0, 0), (20, 1), (20, -1))),
    "bias sampled": (
        "tiny_bias",
        HELLO,
        Sampling(94548, 0, 58982, 0, 0, 0, _seed(3)),
        (),
        16,
        ((15, -1),),
    ),
    "bias to the end of the context": (
        "tiny_bias",
        HELLO * 5,
        Sampling(120000, 40, seed=_seed(4)),
        (),
        64,
        (),
    ),
    "norm greedy": ("tiny_norm", HELLO, Sampling(), (), 10, ((0, 0), (9, 1), (9, 2), (11, -1))),
    "norm sampled": (
        "tiny_norm",
        HELLO,
        Sampling(94548, 0, 65536, 2000, 0, 0, _seed(5)),
        (),
        16,
        ((12, -1),),
    ),
    "wide greedy": ("tiny_wide", HELLO[:4], Sampling(), (), 3, ((0, 0), (5, 0))),
    "wide sampled": ("tiny_wide", HELLO[:4], Sampling(94548, seed=_seed(6)), (), 4, ()),
    "long": (
        "tiny_long",
        _long_prompt(),
        Sampling(94548, 4000, 65000, 40, 100, -100, _seed(7)),
        (),
        6,
        ((127, 0), (128, 1), (255, 1), (262, 0), (266, 1), (263, -1)),
    ),
    "no id of the last chunk is kept": (
        "tiny_long",
        HELLO,
        Sampling(94548, 3, 60000, 100, seed=_seed(9)),
        (),
        3,
        ((11, -1), (12, -1), (13, -1)),
    ),
    "long greedy": ("tiny_long", _long_prompt()[:130], Sampling(), (), 4, ((129, 0), (132, -1))),
    "one token": ("tiny_norm", [200], Sampling(94548, seed=_seed(8)), (), 1, ((0, 2), (0, -1))),
}


def arguments(name):
    model, prompt, sampling, stop, max_tokens, wanted = EXECUTIONS[name]
    wanted = [(t, "head" if layer == -1 else layer) for t, layer in wanted]
    return {
        "model": tiny.model(model),
        "prompt": prompt,
        "sampling": sampling,
        "stop": [s.encode() for s in stop],
        "max_tokens": max_tokens,
        "wanted": wanted,
    }


def _add_stops():
    """Stop strings and stop tokens that come: taken from what the same executions give without
    them."""
    for name, model, seed in (
        ("stop string in a token", "tiny_long", 9),
        ("stop string across tokens", "tiny_long", 10),
    ):
        prompt, sampling = HELLO, Sampling(94548, seed=_seed(seed))
        pieces = [
            tiny.model(model).token_bytes()[j]
            for j in machine.run(tiny.model(model), prompt, sampling, max_tokens=6).output
        ]
        assert all(p.isascii() for p in pieces), pieces
        stop = pieces[3][:3] if seed == 9 else pieces[2][-2:] + pieces[3][:2]
        EXECUTIONS[name] = (
            model,
            prompt,
            sampling,
            tuple(sorted({stop.decode(), "zebra"})),
            12,
            (),
        )
    for seed in range(100, 200):
        e = machine.run(
            tiny.model("tiny_norm"), HELLO, Sampling(94548, seed=_seed(seed)), max_tokens=12
        )
        if e.finish_reason == 1 and len(e.output) > 3:
            EXECUTIONS["stop token"] = (
                "tiny_norm",
                HELLO,
                Sampling(94548, seed=_seed(seed)),
                (),
                12,
                (),
            )
            return
    raise AssertionError("no stop token")


@lru_cache(None)
def execution(name):
    cases_ready()
    return machine.run(**arguments(name))


def _rows(e):
    out = []
    last = len(e.tokens) - 2
    for layer in e.machine.layers:
        for t in sorted({0, last // 2, last}):
            out.append(
                {"kind": "residual", "layer": layer.number, "t": t, "row": layer.residual_rows[t]}
            )
            for g in range(len(layer.k_rows)):
                for kind, rows in (("K", layer.k_rows), ("V", layer.v_rows)):
                    row, exponent = rows[g][t]
                    out.append(
                        {
                            "kind": kind,
                            "layer": layer.number,
                            "head": g,
                            "t": t,
                            "row": [*row, exponent],
                        }
                    )
    return out


def _micro(e):
    out = []
    for (t, layer), micro in e.micro.items():
        tensors = [
            [number, rows, cols, hexa(root)]
            for (number, (rows, cols, _)), root in zip(sorted(micro.items()), micro.roots())
        ]
        out.append(
            {
                "t": t,
                "layer": -1 if layer == "head" else layer,
                "tensors": tensors,
                "root": hexa(micro.root()),
            }
        )
    return out


def _inputs(name):
    model, prompt, sampling, stop, max_tokens, _ = EXECUTIONS[name]
    return {
        "model": model + ".safetensors",
        "prompt": prompt,
        "sampling": show_sampling(sampling),
        "stop": list(stop),
        "max_tokens": max_tokens,
    }


def _execution_case(name):
    e = execution(name)
    leaves = trace.leaves(e, tiny.root(EXECUTIONS[name][0]))
    layers = []
    for layer in e.machine.layers:
        k, v, residual = trace.layer_roots(layer)
        layers.append(
            {"k": [hexa(r) for r in k], "v": [hexa(r) for r in v], "residual": hexa(residual)}
        )
    out = {
        "output_ids": e.output,
        "finish_reason": e.finish_reason,
        "header": hexa(leaves[0]),
        "token_root": hexa(leaves[1]),
        "layers": layers,
        "trace_root": hexa(trace.root(leaves)),
        "rows": _rows(e),
        "micro": _micro(e),
    }
    rules = RULES + ["SAMP-10"]
    return accept(rules, name, _inputs(name), out)


def _overflow_cases():
    out = []
    for number, prompt in enumerate(([1, 2, 3], list(range(40, 56)), [9] * 4)):
        name = f"overflow {number}"
        EXECUTIONS[name] = (
            "tiny_overflow",
            prompt,
            Sampling(94548, seed=_seed(20 + number)),
            (),
            16,
            (),
        )
        try:
            execution(name)
            out.append(_execution_case(name))
        except machine.OutOfRange as reject:
            at = {"t": reject.t, "layer": -1 if reject.layer == "head" else reject.layer}
            out.append(
                {
                    "rule": ["ARITH-5", "PROG-2"],
                    "name": name,
                    "in": _inputs(name),
                    "reject": "OUT_OF_RANGE",
                    "at": at,
                }
            )
        del EXECUTIONS[name]
    assert any("reject" in case for case in out)
    return out


def _token_roots():
    return [
        accept("TRACE-1", f"{n} ids", {"ids": ids}, {"root": hexa(trace.token_root(ids))})
        for n, ids in ((n, Prng(f"ids {n}").list(n, 0, 262143)) for n in (1, 2, 3, 600))
    ]


def _divergences():
    def leaf(t, kind, layer=0, head=0, tile=0):
        return {"t": t, "kind": kind, "layer": layer, "head": head, "tile": tile}

    out = []
    for name, differ in (
        ("token first", [leaf(4, "K"), leaf(4, "token")]),
        ("position before token", [leaf(5, "token"), leaf(4, "residual", 3)]),
        ("K of all heads before V", [leaf(4, "V"), leaf(4, "K", 0, 3)]),
        ("V before residual", [leaf(4, "residual"), leaf(4, "V", 0, 7)]),
        ("layer before kind", [leaf(4, "K", 1), leaf(4, "residual", 0, 0, 2)]),
        ("tile", [leaf(4, "residual", 1, 0, 2), leaf(4, "residual", 1, 0, 1)]),
        ("head", [leaf(4, "K", 1, 2), leaf(4, "K", 1, 1), leaf(4, "V", 1, 0)]),
        ("one", [leaf(0, "residual")]),
    ):
        out.append(
            accept("TRACE-6", name, {"differ": differ}, {"first": trace.first_divergence(differ)})
        )
    return out


def cases_ready():
    """Completes EXECUTIONS."""
    if "stop token" not in EXECUTIONS:
        _add_stops()


def cases():
    cases_ready()
    return (
        [_execution_case(name) for name in list(EXECUTIONS)]
        + _overflow_cases()
        + _token_roots()
        + _divergences()
    )
