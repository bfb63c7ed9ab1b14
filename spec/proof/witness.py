"""An honest witness of a small execution, from the oracle's machine: for tests only.

Committed columns come from the micro-trace; virtual ones from the contractions, one index after
another; remainders are what the rounding leaves.
"""

from itertools import product

from oracle import machine, ops
from oracle.arith import rsh
from oracle.encoding import integer
from oracle.tables import entry
from proof.circuit import LIMB, Circuit
from proof.choice import Choice
from proof.gkr import exp_column
from proof.public import public_columns
from proof.rows import Rows
from proof.scalars import read_scalars, read_trace
from proof.shape import Shape, offset, zeros
from proof.statement import _options, _scalar_columns


def _record(exponent, named=0, value=0):
    return integer("i8", exponent) + integer("u32", named) + integer("i64", value)


def _row_record(exponent, values, bases, cap, bound):
    """PS-3: the record of a row whose elements have the exponents `bases`."""
    if exponent == min([cap] + bases):
        return _record(exponent)
    for n, (v, base) in enumerate(zip(values, bases)):
        if base > exponent and abs(rsh(v, base - exponent - 1)) > bound:
            return _record(exponent, n, v)
    raise AssertionError("no witness")


def _shift_record(s, values, shifted, limits):
    if s == 0:
        return _record(0)
    for n, v in enumerate(values):
        if not limits[0] <= shifted(v, s - 1) <= limits[1]:
            return _record(s, n, v)
    raise AssertionError("no witness")


class Run:
    """An execution with all its micro-traces."""

    def __init__(self, model, prompt, sampling, max_tokens):
        self.model, self.c, self.sampling = model, model.config, sampling
        every = [(t, l) for t in range(len(prompt) + max_tokens) for l in range(self.c["layers"])]
        every += [(t, "head") for t in range(len(prompt) + max_tokens)]
        self.e = machine.run(model, prompt, sampling, max_tokens=max_tokens, wanted=every)
        self.micro = {
            place: {n: v for n, (_, _, v) in m.items()} for place, m in self.e.micro.items()
        }
        self.shape = Shape(self.c, len(prompt), len(self.e.output))
        self.layers = self.e.machine.layers

    def trace(self):
        """PS-2."""
        out = b""
        for layer in self.layers:
            for k, v in zip(layer.k_rows, layer.v_rows):
                out += b"".join(integer("i16", x) for row, f in k for x in [*row, f])
                out += b"".join(integer("i8", x) for row, f in v for x in [*row, f])
            out += b"".join(integer("i32", x) for row in layer.residual_rows for x in row)
        return out

    def scalars(self, gap=2):
        """PS-4."""
        out = integer("u8", 1) + integer("u8", gap)
        for l in range(self.c["layers"]):
            for t in range(self.shape.size["t"]):
                out += self._projections(l, t) + self._tiles(l, t) + self._rest(l, t)
        for o in range(self.shape.n_out):
            out += self._output(o)
        return out

    def _projections(self, l, t):
        m, layer, D, F_q = (
            self.micro[t, l],
            self.layers[l],
            self.c["head_dim"],
            self.c["qk_frac_bits"],
        )
        out, steps = b"", self.e.machine.steps
        for y, n, exponents, bound in ((11, 17, 23, ops.q_bound(D)), (13, 19, 27, ops.K_BOUND)):
            for head, f in enumerate(m[exponents]):
                r = ops.rotate(m[n if n in m else y][head * D : head * D + D], t, steps)
                out += _row_record(f, r, [F_q + 15] * D, F_q, bound)
            for head in range(len(m[exponents]) if n in m else 0):
                out += integer("u64", sum(v * v for v in m[y][head * D : head * D + D]))
        for g, f in enumerate(m[31]):
            base = layer.wv.e + m[8][0] if 8 in m else None
            out += _row_record(f, m[15][g * D : g * D + D], [base] * D, 30, 127)
        return out

    def _tiles(self, l, t):
        m, out, shape = self.micro[t, l], b"", self.shape
        tiles = shape.tiles(t)
        for head in range(self.c["heads"]):
            values = self.layers[l].v_rows[shape.group_of(head)]
            at = head * 128 * len(tiles)
            z = {128 * tiles[0] + n: v for n, v in enumerate(m[33][at : at + 128 * len(tiles)])}
            for T in tiles:
                us = [u for u in range(128 * T, 128 * T + 128) if u in z and shape.attended(t, u)]
                mu = max(us, key=lambda u: z[u] // 256)
                xu = max(us, key=lambda u: z[u] // 256 - values[u][1])
                out += integer("i32", z[mu] // 256) + integer("i32", z[xu] // 256 - values[xu][1])
                out += bytes([mu % 128, z[mu] % 256, xu % 128, z[xu] % 256])
            out += self._sums(l, t, head)
        return out

    def _sums(self, l, t, head):
        """S and the record of A of one head."""
        m, D = self.micro[t, l], self.c["head_dim"]
        A = m[42][head * D : head * D + D]
        return integer("u64", m[40][head]) + _shift_record(m[43][head], A, rsh, ops.SIGNED_19)

    def _rest(self, l, t):
        m, layer, D, out = self.micro[t, l], self.layers[l], self.c["head_dim"], b""
        bases = []
        for head in range(self.c["heads"]):
            bases += [46 - m[43][head] + m[41][2 * head] + m[38][head] - m[39][head]] * D
        out += _row_record(m[47][0], m[44], bases, 30, layer.bounds["o"])
        out += _shift_record(m[53][0], m[50], lambda v, s: v >> s, ops.SIGNED_24)
        norm = ops.norm_row(m[50], layer.mlp_norm, self.c["eps"], layer.bounds["mlp"])
        out += integer("u64", sum(m[54]))
        f_m, d = m[58][0], self.c["hidden"]
        out += _row_record(f_m, norm.v, [norm.v_exponent] * d, 20, layer.bounds["mlp"])
        n_ff, base = self.c["ffn"], layer.w_gate.e + f_m
        out += _row_record(m[64][0], m[61], [base] * n_ff, 15, 32639)
        base = m[64][0] + layer.w_up.e + f_m
        return out + _row_record(m[69][0], m[66], [base] * n_ff, 30, layer.bounds["down"])

    def _output(self, o):
        t = self.shape.n_prompt - 1 + o
        logits, L_max = self.micro[t, "head"][83], self.micro[t, "head"][85][0]
        L = machine.samp.adjusted(
            logits, self.e.tokens, self.shape.n_prompt, t, self.sampling
        )
        named, token = L.index(L_max), self.e.tokens[t + 1]
        out = integer("i64", L_max) + integer("u32", named)
        return out + integer("i32", logits[named]) + integer("i32", logits[token])


class Witness:
    """The circuit of a run, its public columns, and the values of all other columns."""

    def __init__(self, run, gap=2):
        self.run, self.shape = run, run.shape
        trace = read_trace(run.trace(), self.shape)
        self.rows = Rows(
            run.model, self.shape, trace, read_scalars(run.scalars(gap), self.shape), run.e.tokens
        )
        self.rows.check()
        self.choice = Choice(self.rows, {"sampling": run.sampling})
        self.choice.check()
        self.cells = self.rows.cell_claims()
        self.circuit = Circuit(self.shape, _options(self.rows, self.choice))
        self.public = {**public_columns(self.rows, self.choice), **_scalar_columns(self.rows)}
        self.values = {}  # domain.name -> Column
        for domain in self.circuit.domains:
            for name in domain.committed + domain.virtual:
                self.values[f"{domain.name}.{name}"] = zeros(self.shape, domain.dims)
        self._micro()
        self._attention()
        for contraction in self.circuit.contractions:
            if "." in contraction.target:
                self._contract(contraction)
        for domain in self.circuit.domains:
            self._domain(domain)

    def get(self, name, at):
        """The value of a column at an index, given by dimension."""
        column = self.values.get(name) or self.public[name]
        place = offset(self.shape, column.dims, [at[d] for d in column.dims])
        return column.values[place]

    def put(self, name, at, value):
        column = self.values[name]
        column.values[offset(self.shape, column.dims, [at[d] for d in column.dims])] = value

    def box(self, dims):
        """All indices of a box, the lowest dimension fastest."""
        for index in product(*(range(self.shape.size[d]) for d in reversed(dims))):
            yield dict(zip(dims, reversed(index)))

    def column(self, domain, at):
        """The function `c` of the circuit's expressions at an index."""
        return lambda name: self.get(f"{domain.name}.{name}", at)

    def _micro(self):
        """What the micro-trace says; tensor numbers of PROG-2 and PROG-3."""
        D, half_ = self.shape.size["j"], self.shape.size["i"]
        for l, t in product(range(self.shape.size["l"]), range(self.shape.size["t"])):
            m, at = self.run.micro[t, l], {"l": l, "t": t}
            numbers = (("q.y", 11), ("q.n", 17), ("q.q", 24), ("k.y", 13), ("k.n", 19))
            for name, number in numbers:
                for n, v in enumerate(m.get(number, [])):
                    head, n = divmod(n, D)
                    place = {**at, "h": head, "g": head, "i": n % half_}
                    self.put(f"{name}{n // half_}", place, v)
            for n, v in enumerate(m[48]):
                self.put("o.o", {**at, "h": n // D, "j": n % D}, v)
                y = rsh(m[42][n], m[43][n // D])
                self.put("o.y", {**at, "h": n // D, "j": n % D}, y)
            for n, v in enumerate(m[50]):
                self.put("x.x", {**at, "d": n}, v >> m[53][0])
                self.put("x.xr", {**at, "d": n}, v % (1 << m[53][0]))
                self.put("x.m", {**at, "d": n}, m[59][n])
            f_m = m[58][0]
            base = self.run.layers[l].w_gate.e + f_m
            for n, v in enumerate(m[61]):
                g = rsh(v, base - m[64][0])
                self.put("f.g", {**at, "f": n}, g)
                self.put("f.s", {**at, "f": n}, entry("SILU", m[64][0], g % 65536))
                self.put("f.h", {**at, "f": n}, m[70][n])
        for o in range(self.shape.n_out):
            logits = self.run.micro[self.shape.n_prompt - 1 + o, "head"][83]
            for v, y in enumerate(logits):
                self.put("s.y", {"v": v, "o": o}, y)

    def _attention(self):
        weights = exp_column()
        for at in self.box("uTthl"):
            t, position = at["t"], 128 * at["T"] + at["u"]
            if not self.shape.attended(t, position):
                continue
            tiles = self.shape.tiles(t)
            place = (at["h"] * len(tiles) + at["T"] - tiles[0]) * 128 + at["u"]
            z = self.run.micro[t, at["l"]][33][place]
            self.put("z.z", at, z)
            tops = 256 * self.get("z.M", at), 256 * (self.get("z.X", at) + self.get("z.fv", at))
            for mark, top in zip(("", "'"), tops):
                e = min(4096, top + 255 - z)
                self.put("z.e" + mark, at, e)
                self.put("z.p" + mark, at, weights[e])
                if "z.eo" in self.values:
                    self.put("z.eo" + mark, at, (top + 255 - z - e) >> LIMB)

    def _contract(self, contraction):
        """PE-1 as a sum, index after index."""
        for at in self.box(contraction.dims):
            self.put(contraction.target, at, self.contracted(contraction, at))

    def contracted(self, contraction, at):
        free = [d for d in contraction.sums if d not in contraction.dims]
        total = 0
        for inner in self.box(free):
            place = {**at, **inner}
            for term in contraction.terms:
                value = 1
                for name in term:
                    value = value and value * self.get(name, place)
                total += value
        return total

    def _domain(self, domain):
        """Remainders and the high parts of range checks."""
        for at in self.box(domain.dims):
            c = self.column(domain, at)
            for name, group, value, out in domain.rounded:
                rest = value(c) + c("half_" + group) - out(c) * c("pow_" + group)
                limbs = self.rows.limbs[f"{domain.name}.{group}"]
                for n in range(limbs):
                    last = n == limbs - 1
                    limb = rest >> (LIMB * n)
                    self.put(f"{domain.name}.{name}.{n}", at, limb if last else limb % 2**LIMB)
            if domain.masked and self.get("mask", at):
                power = c("pow_a") * c("pow_b")
                self.put("z.r", at, 2 * c("acc") + power - 2 * c("z") * power)
            self._highs(domain, at, c)

    def _highs(self, domain, at, c):
        """yh, xh and the like: what is above 19 bits of the neighbouring lookup."""
        for x in "01" if domain.name in "qk" else "":
            self.put(f"{domain.name}.yh{x}", at, (c("y" + x) + 2**23) >> LIMB)
            if self.shape.qk_norm:
                self.put(f"{domain.name}.nh{x}", at, (c("n" + x) + c("off_g")) >> LIMB)
        if domain.name == "x":
            middle = c("x") * c("pow_n") + c("xr")
            self.put("x.xh", at, (c("x") + 2**23) >> LIMB)
            if "x.yh" in self.values:
                value = middle - c("xin") - c("b") + c("off_r")
                self.put("x.yh", at, value >> LIMB)
            if "x.zh" in self.values:
                self.put("x.zh", at, (c("xout") - middle + c("off_e")) >> LIMB)
        if domain.name == "s":
            self._sampling(at, c)

    def _sampling(self, at, c):
        options = self.choice.sampling
        self.put("s.yh", at, (c("y") + c("off")) >> LIMB)
        distance = c("L_max") - c("y") + c("pen")
        less = c("less") if options.inv_t == 0 else 0
        self.put("s.dh", at, (distance - less) >> LIMB)
        if options.inv_t == 0:
            return
        threshold = c("thr")
        if "s.k" in self.values:
            delta = machine.samp.distance(distance, 0, options.inv_t)
            kept = int(delta < c("theta"))
            self.put("s.k", at, kept)
            threshold = threshold if kept else c("theta")
        excess = distance * options.inv_t + 2**15 - 2**16 * threshold
        for n, name in enumerate(("e1", "e2", "e3"), 1):
            if "s." + name in self.values:
                last = n == 3 or "s.e3" not in self.values and n == 2
                limb = excess >> (LIMB * n)
                self.put("s." + name, at, limb if last else limb % 2**LIMB)
