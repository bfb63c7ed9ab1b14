"""SPEC chapter 8 (PROG): the program of a position, with all its micro-tensors, and a whole
execution.

A micro-tensor is (rows, cols, values); a micro-trace is a dictionary from tensor number to micro-
tensor.
"""

from dataclasses import dataclass, field

from oracle import ops, sampling as samp
from oracle.encoding import Reject
from oracle.tables import angle
from oracle.trees import KIND, list_root, tensor_root

CHUNK, BLOCK = 4096, 1024

# PROG-7: tensor numbers and the range of their elements, both ends included.
RANGES = [
    ([0, 1, 2, 51, 52, 73, 74, 50, 72, 83], -(2**31), 2**31 - 1),
    ([33], -(2**31 - 1), 2**31 - 1),
    ([3, 53, 75], 0, 8),
    ([4, 54, 76], 0, 2**58),
    ([5, 55, 77, 16, 18], 0, 2**61),
    ([6, 7, 56, 57, 78, 79], -(2**62), 2**62),
    ([8, 58, 80], -64, 20),
    ([47, 69], -64, 30),
    ([9, 48, 59, 70, 81], -32639, 32639),
    ([10, 12, 14, 49, 60, 65, 71, 82], -(2**33), 2**33),
    ([11, 13, 17, 19], -(2**23), 2**23 - 1),
    ([15, 29, 30], -(2**50), 2**50),
    ([20], -(2**15), 2**15),
    ([21, 22, 25, 26], -(2**39), 2**39),
    ([23, 27], 4, 13),
    ([24, 28], -4095, 4095),
    ([31], -30, 30),
    ([32], -127, 127),
    ([34, 38], -(2**23), 2**23),
    ([35, 39], -(2**23 + 30), 2**23 + 30),
    ([36], 0, 2**22),
    ([37], -(2**29), 2**29),
    ([40], 2**37, 2**55),
    ([41], 7, 2**16),
    ([42], -(2**62), 2**62),
    ([43], 0, 44),
    ([44, 45, 46], -(2**34), 2**34),
    ([61, 62, 63], -(2**48), 2**48),
    ([64], 0, 15),
    ([66, 67, 68], -(2**63 - 1), 2**63 - 1),
    ([84, 85, 86, 96], -(2**33), 2**33),
    ([87], 0, 2**24 - 1),
    ([88, 92], 0, 2**42 - 1),
    ([89], 0, 4096),
    ([90, 93], 0, 2**28),
    ([91, 94], 0, 2**40),
    ([95], -(2**30), 2**25),
    ([97, 98], 0, 2**18 - 1),
]
RANGE = {number: (low, high) for numbers, low, high in RANGES for number in numbers}
assert sorted(RANGE) == list(range(99))


def type_of(number):
    """PROG-5: the first type that holds the tensor's range."""
    low, high = RANGE[number]
    return next(
        f"i{bits}"
        for bits in (8, 16, 32, 64)
        if -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)
    )


def blocks(values, size):
    return [values[i : i + size] for i in range(0, len(values), size)]


class MicroTrace(dict):
    def put(self, number, values, rows=1):
        assert len(values) % rows == 0 and number not in self
        assert all(RANGE[number][0] <= v <= RANGE[number][1] for v in values), number  # PROG-7
        self[number] = (rows, len(values) // rows, values)

    def put_extremes(self, number, values, size):
        """Max and min over blocks: two tensors of consecutive numbers."""
        self.put(number, [max(b) for b in blocks(values, size)])
        self.put(number + 1, [min(b) for b in blocks(values, size)])

    def put_parts(self, number, matrix, a):
        """PROG-1: only where the matrix has more than 2048 columns."""
        if len(a) > ops.PART:
            self.put(number, [p for w in matrix.w for p in ops.parts(w, a)], len(matrix.w))

    def put_norm(self, number, x, norm):
        """Tensors 1 ... 9 of PROG-2 and those like them."""
        self.put_extremes(number, x, CHUNK)
        self.put(number + 2, [norm.s])
        self.put(number + 3, [sum(v * v for v in b) for b in blocks(norm.x, CHUNK)])
        self.put(number + 4, [norm.N, *norm.root])
        self.put_extremes(number + 5, norm.v, BLOCK)
        self.put(number + 7, [norm.exponent])
        self.put(number + 8, norm.a)

    def roots(self):
        """PROG-5: the roots of the tensors present, in order."""
        return [
            tensor_root(KIND["micro-tensor"], type_of(number), rows, cols, values)
            for number, (rows, cols, values) in sorted(self.items())
        ]

    def root(self):
        """PROG-5."""
        return list_root(KIND["micro-trace"], self.roots())


class Layer:
    """One layer's weights and the rows it has produced so far."""

    def __init__(self, model, number):
        self.number, at = number, f"layers.{number}."
        for name in ("wq", "wk", "wv", "wo", "w_gate", "w_up", "w_down"):
            setattr(self, name, model.matrix(at + name))
        self.attn_norm, self.mlp_norm = model.gain(at + "attn_norm"), model.gain(at + "mlp_norm")
        self.q_bias, self.k_bias, self.o_bias = (
            model.bias(at + name) for name in ("wq", "wk", "wo")
        )
        normed = model.config["qk_norm"]
        self.q_norm, self.k_norm = (
            model.gain(at + name) if normed else None for name in ("q_norm", "k_norm")
        )
        self.bounds = {
            site: ops.bound(model.config["act_bits"][site][number])
            for site in ("attn", "o", "mlp", "down")
        }
        heads = range(model.config["kv_heads"])
        self.k_rows, self.v_rows = [[] for _ in heads], [
            [] for _ in heads
        ]  # [head][position] = (row, exponent)
        self.residual_rows = []


class Machine:
    """Runs the program position by position."""

    def __init__(self, model):
        self.model, self.c = model, model.config
        self.layers = [Layer(model, l) for l in range(self.c["layers"])]
        self.embedding = model.matrix("embed")
        self.head = self.embedding if self.c["tied"] else model.matrix("head")
        self.final_norm = model.gain("final_norm")
        self.steps = model.tensors["rope.steps"].values

    def _heads(self, micro, y, count, norm, root_number):
        """OP-5 of `count` heads where the model has it: tensors root_number and root_number + 1."""
        heads = blocks(y, self.c["head_dim"])
        assert len(heads) == count
        if norm is None:
            return heads
        pairs = [
            ops.head_norm(head, norm, self.c["eps_qk"], self.c["qk_frac_bits"]) for head in heads
        ]
        micro.put(root_number, [v for root, _ in pairs for v in root], count)
        micro.put(root_number + 1, [v for _, head in pairs for v in head])
        return [head for _, head in pairs]

    def _qk_rows(self, micro, number, heads, t, bound):
        """OP-7 and OP-8: tensors number ... number + 3."""
        rotated = [ops.rotate(head, t, self.steps) for head in heads]
        micro.put_extremes(number, [v for r in rotated for v in r], self.c["head_dim"])
        rows = [ops.qk_row(r, self.c["qk_frac_bits"], bound) for r in rotated]
        micro.put(number + 2, [exponent for _, exponent in rows])
        micro.put(number + 3, [v for row, _ in rows for v in row])
        return rows

    def _qkv(self, micro, layer, t, a, f):
        """Tensors 10 ... 32: the rows of q; those of k and v join the layer's."""
        c, F_q = self.c, self.c["qk_frac_bits"]
        micro.put_parts(10, layer.wq, a)
        q = ops.project(layer.wq, layer.q_bias, a, f, F_q)
        micro.put(11, q)
        micro.put_parts(12, layer.wk, a)
        k = ops.project(layer.wk, layer.k_bias, a, f, F_q)
        micro.put(13, k)
        micro.put_parts(14, layer.wv, a)
        v, v_exponent = ops.scaled(layer.wv, a), layer.wv.e + f
        micro.put(15, v)
        q_heads = self._heads(micro, q, c["heads"], layer.q_norm, 16)
        k_heads = self._heads(micro, k, c["kv_heads"], layer.k_norm, 18)
        micro.put(20, [part for step in self.steps for part in angle(t, step)], len(self.steps))
        q_rows = self._qk_rows(micro, 21, q_heads, t, ops.q_bound(c["head_dim"]))
        k_rows = self._qk_rows(micro, 25, k_heads, t, ops.K_BOUND)
        micro.put_extremes(29, v, c["head_dim"])
        v_rows = [ops.v_row(head, v_exponent) for head in blocks(v, c["head_dim"])]
        micro.put(31, [exponent for _, exponent in v_rows])
        micro.put(32, [x for row, _ in v_rows for x in row])
        for g in range(c["kv_heads"]):
            layer.k_rows[g].append(k_rows[g])
            layer.v_rows[g].append(v_rows[g])
        return q_rows

    def _attention(self, micro, layer, t, q_rows):
        """Tensors 33 ... 48: the attention row and its exponent."""
        c = self.c
        lo, tile = ops.lowest(t, c["window"]), ops.ATTENTION_TILE
        first, count = lo // tile, t // tile - lo // tile + 1
        z_all, tiles_all, outs = [], [], []
        for h, (q, f_q) in enumerate(q_rows):
            g = h * c["kv_heads"] // c["heads"]
            k, v = layer.k_rows[g], layer.v_rows[g]
            z = {u: ops.score(q, f_q, *k[u]) for u in range(lo, t + 1)}
            z_all += [z.get(u, 0) for u in range(first * tile, (first + count) * tile)]
            tiles = []
            for T in range(first, first + count):
                us = range(max(lo, T * tile), min(t + 1, (T + 1) * tile))
                tiles.append(
                    ops.attention_tile(
                        [z[u] for u in us], [v[u][0] for u in us], [v[u][1] for u in us]
                    )
                )
            tiles_all.append(tiles)
            outs.append(ops.attention_head(tiles))
        H = c["heads"]
        micro.put(33, z_all, H)
        for i in range(3):
            micro.put(34 + i, [one[i] for tiles in tiles_all for one in tiles], H)
        micro.put(
            37,
            [one[3][j] for tiles in tiles_all for j in range(c["head_dim"]) for one in tiles],
            H * c["head_dim"],
        )
        micro.put(38, [o.M for o in outs])
        micro.put(39, [o.X for o in outs])
        micro.put(40, [o.S for o in outs])
        micro.put(41, [x for o in outs for x in (o.b, o.R)], H)
        values = [x for o in outs for x in o.o]
        micro.put(42, [x for o in outs for x in o.A])
        micro.put(43, [o.s for o in outs])
        micro.put(44, values)
        micro.put_extremes(45, values, c["head_dim"])
        o, f_o = ops.attention_row([(x.o, x.exponent) for x in outs], layer.bounds["o"])
        micro.put(47, [f_o])
        micro.put(48, o)
        return o, f_o

    def _feed_forward(self, micro, layer, a, f):
        """Tensors 60 ... 70: the feed-forward row and its exponent."""
        micro.put_parts(60, layer.w_gate, a)
        gate = ops.scaled(layer.w_gate, a)
        micro.put(61, gate)
        micro.put_extremes(62, gate, BLOCK)
        g, f_g = ops.gate_row(gate, layer.w_gate.e + f)
        micro.put(64, [f_g])
        micro.put_parts(65, layer.w_up, a)
        v = ops.feed_forward(g, f_g, layer.w_up, a)
        micro.put(66, v)
        micro.put_extremes(67, v, BLOCK)
        h, f_h = ops.feed_forward_row(v, f_g + layer.w_up.e + f, layer.bounds["down"])
        micro.put(69, [f_h])
        micro.put(70, h)
        return h, f_h

    def layer_program(self, layer, t, token, x):
        """PROG-2 of (t, l): the micro-trace; x is residual row t of layer l-1, None for l = 0."""
        c, micro = self.c, MicroTrace()
        F_x = c["residual_frac_bits"]
        if layer.number == 0:
            x = ops.embed(self.embedding, token, F_x)
            micro.put(0, x)
        n1 = ops.norm_row(x, layer.attn_norm, c["eps"], layer.bounds["attn"])
        micro.put_norm(1, x, n1)
        q_rows = self._qkv(micro, layer, t, n1.a, n1.exponent)
        o, f_o = self._attention(micro, layer, t, q_rows)
        micro.put_parts(49, layer.wo, o)
        x = ops.residual(x, layer.wo, layer.o_bias, o, f_o, F_x)
        micro.put(50, x)
        n2 = ops.norm_row(x, layer.mlp_norm, c["eps"], layer.bounds["mlp"])
        micro.put_norm(51, x, n2)
        h, f_h = self._feed_forward(micro, layer, n2.a, n2.exponent)
        micro.put_parts(71, layer.w_down, h)
        x = ops.residual(x, layer.w_down, None, h, f_h, F_x)
        micro.put(72, x)
        layer.residual_rows.append(x)
        return micro

    def head_program(self, t, tokens, n_prompt, sampling):
        """PROG-3: (micro-trace, token of position t + 1)."""
        micro, x = MicroTrace(), self.layers[-1].residual_rows[t]
        norm = ops.norm_row(
            x, self.final_norm, self.c["eps"], ops.bound(self.c["act_bits"]["head"])
        )
        micro.put_norm(73, x, norm)
        micro.put_parts(82, self.head, norm.a)
        logits = ops.logits(self.head, norm.a, norm.exponent)
        micro.put(83, logits)
        choice = samp.choose(logits, tokens, n_prompt, t, sampling)
        micro.put(84, choice.L)
        micro.put(85, [max(b) for b in blocks(choice.L, CHUNK)])
        micro.put(86, [choice.L_max])
        score = choice.L if sampling.inv_t == 0 else self._put_filters(micro, choice, sampling)
        chunks = blocks(score, CHUNK)
        micro.put(96, [max(chunk) for chunk in chunks])
        micro.put(97, [c * CHUNK + chunk.index(max(chunk)) for c, chunk in enumerate(chunks)])
        micro.put(98, [choice.token])
        return micro, choice.token

    def _put_filters(self, micro, choice, sampling):
        """Tensors 87 ... 95 (PROG-3, PROG-6): score, by id."""
        keys = {j: d * 2**18 + j for d, j in choice.keys}
        ids = range(len(keys))
        k_cut = keys[choice.keys[choice.k_kept - 1][1]] if sampling.top_k else 2**42 - 1
        p_cut = keys[choice.keys[choice.p_kept - 1][1]] if sampling.top_p != 65536 else k_cut
        delta = [keys[j] >> 18 for j in ids]
        micro.put(87, delta)
        micro.put(88, [k_cut])
        micro.put(89, [sum(keys[j] <= k_cut for j in chunk) for chunk in blocks(ids, CHUNK)])
        for number, cut in ((90, k_cut), (93, p_cut)):
            w = [samp.mass(delta[j]) if keys[j] <= cut else 0 for j in ids]
            micro.put(number, w)
            micro.put(number + 1, [sum(chunk) for chunk in blocks(w, CHUNK)])
        micro.put(92, [p_cut])
        kept = set(choice.kept)
        score = [choice.noise[j] - delta[j] if j in kept else -(2**30) for j in ids]
        micro.put(95, score)
        return score


@dataclass
class Execution:
    """The tokens, and the machine that holds the rows of the trace."""

    machine: Machine
    tokens: list
    n_prompt: int
    sampling: object
    finish_reason: int = 0
    chosen: list = field(default_factory=list)  # what the sampler chose for positions n_prompt ...
    micro: dict = field(default_factory=dict)  # (t, l or "head") -> MicroTrace, where asked for

    @property
    def output(self):
        return self.tokens[self.n_prompt :]


class OutOfRange(Reject):
    """The outcome OUT_OF_RANGE, with the position and layer (or "head") where it came."""

    def __init__(self, t, layer, why):
        super().__init__("OUT_OF_RANGE", f"t {t}, layer {layer}: {why}")
        self.t, self.layer = t, layer


def run(model, prompt, sampling, stop=(), max_tokens=1, forced=None, wanted=(), on_token=None):
    """PROG-1. Chooses tokens until SAMP-10 ends the answer, or follows the ids of `forced` to their
    end and tells on_token(chosen, forced)."""
    machine, token_bytes = Machine(model), model.token_bytes()
    e = Execution(machine, list(prompt), len(prompt), sampling)
    t = 0
    while True:
        x = None
        for layer in machine.layers:
            try:
                micro = machine.layer_program(layer, t, e.tokens[t], x)
            except Reject as reject:
                raise OutOfRange(t, layer.number, reject) from None
            x = micro[72][2]
            if (t, layer.number) in wanted:
                e.micro[t, layer.number] = micro
        if t >= e.n_prompt - 1:
            try:
                micro, token = machine.head_program(t, e.tokens, e.n_prompt, sampling)
            except Reject as reject:
                raise OutOfRange(t, "head", reject) from None
            if (t, "head") in wanted:
                e.micro[t, "head"] = micro
            e.chosen.append(token)
            e.tokens.append(token if forced is None else forced[len(e.output)])
            if on_token:
                on_token(token, e.tokens[-1])
            e.finish_reason = samp.finish(
                e.output,
                token_bytes,
                e.n_prompt,
                model.config["eos_ids"],
                stop,
                max_tokens,
                model.config["context"],
            )
            if len(e.output) == len(forced) if forced is not None else e.finish_reason:
                return e
        t += 1
