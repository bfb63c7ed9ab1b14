"""Names are those of chapter 6. A matrix is {w: rows, m, e}, a gain {g, e}, f the exponent of the
row a. OP-1: in {w, a} out {parts: one list for each
row, acc}. OP-2: in {matrix, a, f, F} out {y}. OP-3: in {row, m, e, F_x} out {x}. OP-4: in {x, gain,
eps, bound} out {s, x (shifted), N, k, t, R, v,
v_exponent, exponent, a}. OP-5: in {y, gain, eps_q, F_q} out {N, k, t, R, y}. OP-6: in {matrix, bias
or null, a, f, F_q} out {y} before the head norm.
OP-7: in {y, t, steps} out {r}. OP-8: in {r, F_q, D, which: q or k} out {row, exponent}. OP-9: in
{matrix, a, f, D} out {v, rows, exponents} for each head.
OP-10: in {q, f_q, k: rows of positions lo ... t, f_k, t, window} out {lo, z}. OP-11: in {z, v,
f_v}, one entry for each position, out {M, X, S, A}. OP-12:
in {tiles: [{M, X, S, A}]} out {M, X, S, b, R, A, s, o, exponent}. OP-13: in {heads: [{o,
exponent}], bound} out {row, exponent}. OP-14: in {x, matrix,
bias or null, a, f, F_x} out {x}. OP-15: in {matrix, a, f} out {v, row, exponent}. OP-16: in {g,
f_g, matrix, a, f, bound} out {v, v_exponent, row,
exponent}. OP-17: in {matrix, a, f} out {logits}. OP-18: in {act_bits} out {bound}. ARITH-5:
"reject":"OUT_OF_RANGE"."""

from oracle import ops
from oracle.arith import rsh
from oracle.case import accept, outcome, refused, wrong
from oracle.ops import Gain, Matrix
from oracle.prng import Prng

MOST = 32639


def _matrix(random, rows, cols, e=20, m=(1, 4095)):
    return Matrix([random.list(cols, -127, 127) for _ in range(rows)], random.list(rows, *m), e)


def _show(x):
    if isinstance(x, Matrix):
        return {"w": x.w, "m": x.m, "e": x.e}
    if isinstance(x, Gain):
        return {"g": x.g, "e": x.e}
    return x


class Maker:
    """Collects the cases of one op: `function` maps the inputs to the out object."""

    def __init__(self, rule, function):
        self.rule, self.function, self.out = rule, function, []

    def add(self, name, *args, near=True, **inputs):
        case = outcome(
            self.rule,
            name,
            {k: _show(v) for k, v in inputs.items()},
            lambda: self.function(**inputs),
        )
        assert "out" in case, (self.rule, name, case)
        self.out.append(case)
        if near:
            self.near(case)

    def near(self, case):
        """The last integer of each member of the output, off by one: a total rule's rejecting
        case."""
        for key, value in case["out"].items():
            if isinstance(value, int):
                off = value + 1
            elif isinstance(value[-1], int):
                off = value[:-1] + [value[-1] - 1]
            else:
                off = value[:-1] + [value[-1][:-1] + [value[-1][-1] + 1]]
            self.out.append(
                wrong(
                    self.rule,
                    f"{case['name']}: {key} off by one",
                    case["in"],
                    dict(case["out"], **{key: off}),
                    case["out"],
                )
            )

    def out_of_range(self, name, **inputs):
        shown = {k: _show(v) for k, v in inputs.items()}
        self.out.append(
            refused(
                [self.rule, "ARITH-5"], name, shown, "OUT_OF_RANGE", lambda: self.function(**inputs)
            )
        )


def _acc():
    maker = Maker(
        "OP-1",
        lambda w, a: {
            "parts": [ops.parts(row, a) for row in w],
            "acc": [ops.acc(row, a) for row in w],
        },
    )
    random = Prng("OP-1")
    for K in (1, 2, 8, 33, 64):
        maker.add(
            f"K = {K}", w=_matrix(random, 3, K).w, a=random.list(K, -MOST, MOST), near=K in (1, 33)
        )
    for K in (2047, 2048, 2049, 4097):
        maker.add(f"K = {K}", w=_matrix(random, 1, K).w, a=random.list(K, -MOST, MOST), near=False)
    for sign in (1, -1):
        maker.add("extremes", w=[[127] * 5000], a=[sign * MOST] * 5000, near=False)
    maker.add(
        "all signs",
        w=[[127, -127, 127, -127], [1, 1, -1, -1], [0, 0, 0, 0]],
        a=[MOST, -MOST, -MOST, MOST],
    )
    return maker.out


def _linear():
    maker = Maker(
        "OP-2",
        lambda matrix, a, f, F: {
            "y": [ops.linear(matrix, n, a, f, F) for n in range(len(matrix.w))]
        },
    )
    random = Prng("OP-2")
    for K, e, f, F in (
        (8, 20, 13, 16),
        (64, 21, 14, 12),
        (33, 0, 16, 16),
        (8, 40, 30, 8),
        (8, 5, 20, 16),
        (16, 17, -1, 16),
    ):
        maker.add(
            f"shift {e + f - F}",
            matrix=_matrix(random, 4, K, e),
            a=random.list(K, -MOST, MOST),
            f=f,
            F=F,
        )
    maker.add(
        "extremes",
        matrix=Matrix([[127] * 64, [-127] * 64], [4095, 4095], 20),
        a=[MOST] * 64,
        f=14,
        F=16,
    )
    maker.add("ties round up", matrix=Matrix([[1], [-1], [3], [-3]], [1] * 4, 1), a=[1], f=16, F=16)
    one = Matrix([[127]], [4095], 20)
    maker.out_of_range("shift -1", matrix=one, a=[1], f=-5, F=16)
    maker.out_of_range("shift -60", matrix=Matrix([[0]], [1], 0), a=[0], f=-44, F=16)
    maker.add("shift 0", matrix=one, a=[1], f=-4, F=16)
    maker.out_of_range("shift 63", matrix=Matrix([[1]], [1], 40), a=[1], f=31, F=8)
    return maker.out


def _embed():
    maker = Maker("OP-3", lambda row, m, e, F_x: {"x": ops.embed(Matrix([row], [m], e), 0, F_x)})
    random = Prng("OP-3")
    for e, F_x in ((20, 16), (16, 16), (40, 8), (19, 12)):
        maker.add(
            f"shift {e - F_x}",
            row=random.list(16, -127, 127),
            m=random.between(1, 4095),
            e=e,
            F_x=F_x,
        )
    maker.add("extremes and ties", row=[127, -127, 1, -1, 0], m=4095, e=17, F_x=16)
    return maker.out


def _norm(x, gain, eps, bound):
    r = ops.norm_row(x, gain, eps, bound)
    k, t, R = r.root
    return {
        "s": r.s,
        "x": r.x,
        "N": r.N,
        "k": k,
        "t": t,
        "R": R,
        "v": r.v,
        "v_exponent": r.v_exponent,
        "exponent": r.exponent,
        "a": r.a,
    }


def _norm_row():
    maker = Maker("OP-4", _norm)
    random = Prng("OP-4")
    for d, bits, bound in (
        (8, 17, MOST),
        (32, 20, 127),
        (64, 30, MOST),
        (16, 3, MOST),
        (8, 23, 127),
    ):
        gain = Gain(random.list(d, -(2**19), 2**19), 16)
        maker.add(
            f"d = {d}",
            x=random.list(d, -(2**bits), 2**bits),
            gain=gain,
            eps=random.between(0, 2**20),
            bound=bound,
        )
    gain = Gain([2**18] * 8, 16)
    for e in (6, 7, 8, 12):  # 19, 20, and 20 by the cap
        maker.add(
            f"cap 20 with e_g = {e}",
            x=[2**22] * 4,
            gain=Gain([1, 2, 3, 4], e),
            eps=0,
            bound=MOST,
            near=e == 8,
        )
    gain4 = Gain([70000] * 4, 16)
    maker.add("zero row", x=[0] * 8, gain=gain, eps=0, bound=MOST)
    maker.add("zero row, eps", x=[0] * 8, gain=gain, eps=5000, bound=MOST)
    maker.add(
        "zero gain",
        x=[3, -4, 5, 0, 1, 2, 3, 4],
        gain=Gain([0] * 8, 0),
        eps=1,
        bound=MOST,
        near=False,
    )
    maker.add("one hot", x=[1] + [0] * 7, gain=gain, eps=0, bound=MOST)
    maker.add(
        "largest", x=[2**31 - 1] * 8, gain=Gain([2**23 - 1] * 8, 40), eps=2**40, bound=MOST
    )
    maker.add(
        "smallest",  # s = 8 and x' = -2^23
        x=[-(2**31)] * 4 + [2**31 - 1] * 4,
        gain=Gain([-(2**23) + 1] * 8, 0),
        eps=0,
        bound=127,
    )
    maker.add("floor, not rounded", x=[2**30 + 127, -1, -128, 255], gain=gain4, eps=0, bound=MOST)
    for x in (
        2**23 - 1,
        2**23,
        -(2**23),
        -(2**23) - 1,
        2**24 - 2,
        2**24 - 1,
        2**24,
        -(2**24) + 1,
        -(2**24),
        -(2**24) - 1,
        2**24 + 2**23,
        -(2**30),
        -(2**30) - 1,
    ):  # floor(x / 2^s) at the edges of 24 bits
        maker.add(
            "edge of the shift",
            x=[x, 5, -7, 100],
            gain=gain4,
            eps=12345,
            bound=MOST,
            near=x in (2**24 - 1, -(2**24)),
        )
    maker.add(
        "d > 4096",
        x=random.list(4100, -(2**20), 2**20),
        gain=Gain(random.list(4100, 0, 2**10), 4),
        eps=100,
        bound=127,
        near=False,
    )
    return maker.out


def _head_norm_out(y, gain, eps_q, F_q):
    (N, k, t, R), out = ops.head_norm(y, gain, eps_q, F_q)
    return {"N": N, "k": k, "t": t, "R": R, "y": out}


def _head_norm():
    maker = Maker("OP-5", _head_norm_out)
    random = Prng("OP-5")
    for D, F_q in ((8, 12), (16, 8), (64, 13)):
        maker.add(
            f"D = {D}",
            y=random.list(D, -(2**15), 2**15),
            gain=Gain(random.list(D, -(2**18), 2**18), 16),
            eps_q=9,
            F_q=F_q,
        )
    maker.add("zeros", y=[0] * 8, gain=Gain([1] * 8, 0), eps_q=0, F_q=12)
    maker.add(
        "largest y",
        y=[2**23 - 1, -(2**23)] * 4,
        gain=Gain([2**20] * 8, 16),
        eps_q=2**40,
        F_q=12,
    )
    maker.add(
        "shift of 64 and more", y=[1] * 8, gain=Gain([2**23 - 1] * 8, 40), eps_q=2**40, F_q=8
    )
    maker.add("just in range", y=[4], gain=Gain([2**23 - 1], 12), eps_q=0, F_q=12)
    maker.out_of_range(
        "rounding of R leaves the range", y=[5], gain=Gain([2**23 - 1], 12), eps_q=0, F_q=12
    )
    maker.out_of_range("positive", y=[5, 0], gain=Gain([2**23 - 1] * 2, 11), eps_q=0, F_q=12)
    maker.out_of_range("negative", y=[0, -5], gain=Gain([2**23 - 1] * 2, 11), eps_q=0, F_q=12)
    maker.add("-2^23", y=[-4], gain=Gain([2**22], 11), eps_q=0, F_q=12)
    maker.out_of_range("2^23", y=[4], gain=Gain([2**22], 11), eps_q=0, F_q=12)
    return maker.out


def _project():
    maker = Maker(
        "OP-6", lambda matrix, bias, a, f, F_q: {"y": ops.project(matrix, bias, a, f, F_q)}
    )
    random = Prng("OP-6")
    maker.add(
        "no bias",
        matrix=_matrix(random, 8, 16),
        bias=None,
        a=random.list(16, -MOST, MOST),
        f=13,
        F_q=12,
    )
    maker.add(
        "bias",
        matrix=_matrix(random, 8, 16),
        bias=random.list(8, -(2**20), 2**20),
        a=random.list(16, -MOST, MOST),
        f=13,
        F_q=12,
    )
    one = Matrix([[1]], [1], 12)
    maker.add("at the bound", matrix=one, bias=[2**23 - 2], a=[1], f=0, F_q=12)
    maker.out_of_range("bias leaves the range", matrix=one, bias=[2**23 - 1], a=[1], f=0, F_q=12)
    maker.add("-2^23", matrix=one, bias=[-(2**23) + 1], a=[-1], f=0, F_q=12)
    maker.out_of_range("negative", matrix=one, bias=[-(2**23) + 1], a=[-2], f=0, F_q=12)
    maker.add("shift 38", matrix=Matrix([[127]], [4095], 30), bias=None, a=[MOST], f=20, F_q=12)
    maker.add(
        "bias brings it back",
        matrix=Matrix([[127]], [4095], 12),
        bias=[-(2**23) + 1],
        a=[20],
        f=0,
        F_q=12,
    )
    maker.out_of_range(
        "projection alone", matrix=Matrix([[127]], [4095], 12), bias=None, a=[20], f=0, F_q=12
    )
    return maker.out


def _rotate():
    maker = Maker("OP-7", lambda y, t, steps: {"r": ops.rotate(y, t, steps)})
    random = Prng("OP-7")
    for D in (2, 8, 16, 64):
        maker.add(
            f"D = {D}",
            y=random.list(D, -(2**23), 2**23 - 1),
            t=random.between(1, 131071),
            steps=[random.word() >> (2 * i) for i in range(D // 2)],
        )
    maker.add("t = 0", y=[1, -2, 3, -4], t=0, steps=[2**64 - 1, 5])
    maker.add("quarter turn", y=[100, 7, 0, -9], t=1, steps=[2**62, 2**63])
    maker.add("largest", y=[2**23 - 1] * 4, t=1, steps=[2**61, 7 * 2**61])
    maker.add("smallest", y=[-(2**23)] * 4, t=1, steps=[2**61, 7 * 2**61])
    return maker.out


def _qk(r, F_q, D, which):
    assert len(r) == D
    values, exponent = ops.qk_row(r, F_q, ops.q_bound(D) if which == "q" else ops.K_BOUND)
    return {"row": values, "exponent": exponent}


def _qk_rows():
    maker = Maker("OP-8", _qk)
    random = Prng("OP-8")
    for D in (8, 64, 128, 130):
        for which in "qk":
            maker.add(
                f"D = {D}, {which}",
                r=random.list(D, -(2**34), 2**34),
                F_q=12,
                D=D,
                which=which,
                near=D in (8, 130),
            )
    for F_q in (8, 13):
        maker.add(f"zeros: cap {F_q}", r=[0] * 4, F_q=F_q, D=4, which="qk"[F_q % 2])
    edge = (4095 << 15) + (1 << 14)  # at the exponent F_q it rounds to 4096, and 1 less to 4095
    for which in "qk":
        maker.add("exponent F_q by the cap", r=[edge - 1, -edge], F_q=13, D=2, which=which)
        maker.add("exponent F_q - 1", r=[edge, 5], F_q=13, D=2, which=which)
        maker.add("small values at the cap", r=[3 << 14, -(1 << 14)], F_q=13, D=2, which=which)
    maker.add("exponent 4", r=[4095 << 19, -(4095 << 19)], F_q=8, D=2, which="k")
    maker.add(
        "exponent 4 by rounding down", r=[(4095 << 19) + (1 << 18) - 1, 0], F_q=8, D=2, which="q"
    )
    maker.out_of_range("exponent 3", r=[(4095 << 19) + (1 << 18), 0], F_q=8, D=2, which="q")
    maker.out_of_range("largest rotation", r=[2**39, -(2**39)], F_q=8, D=2, which="k")
    maker.out_of_range("2047 for D > 128", r=[4095 << 19] + [0] * 129, F_q=8, D=130, which="q")
    maker.add(
        "4095 for k of D > 128", r=[4095 << 19] + [0] * 129, F_q=8, D=130, which="k", near=False
    )
    return maker.out


def _v(matrix, a, f, D):
    v = ops.scaled(matrix, a)
    pairs = [ops.v_row(v[i : i + D], matrix.e + f) for i in range(0, len(v), D)]
    return {"v": v, "rows": [row for row, _ in pairs], "exponents": [e for _, e in pairs]}


def _v_rows():
    maker = Maker("OP-9", _v)
    random = Prng("OP-9")
    for G, D, K in ((1, 8, 32), (2, 8, 16), (3, 4, 64)):
        maker.add(
            f"{G} heads of {D}",
            matrix=_matrix(random, G * D, K),
            a=random.list(K, -MOST, MOST),
            f=13,
            D=D,
        )
    maker.add("zeros: cap", matrix=_matrix(random, 4, 4), a=[0] * 4, f=14, D=2)
    maker.add("zeros below the cap", matrix=_matrix(random, 4, 4, 5), a=[0] * 4, f=14, D=4)
    low = Matrix([[127], [1]], [4095, 1], 0)
    maker.add("exponent -30", matrix=low, a=[MOST], f=-3, D=2)
    maker.out_of_range("exponent -31", matrix=low, a=[MOST], f=-4, D=2)
    maker.out_of_range(
        "exponent below -30 of zeros", matrix=Matrix([[0]], [1], 0), a=[1], f=-31, D=1
    )
    return maker.out


def _score_out(q, f_q, k, f_k, t, window):
    lo = ops.lowest(t, window)
    assert len(k) == len(f_k) == t - lo + 1
    return {"lo": lo, "z": [ops.score(q, f_q, ku, fu) for ku, fu in zip(k, f_k)]}


def _scores():
    maker = Maker("OP-10", _score_out)
    random = Prng("OP-10")
    for D, t, window in ((8, 0, 0), (8, 5, 0), (16, 9, 4), (16, 3, 4), (8, 4, 1), (8, 3, 100)):
        count = t - ops.lowest(t, window) + 1
        maker.add(
            f"t = {t}, W = {window}",
            q=random.list(D, -4095, 4095),
            f_q=random.between(8, 12),
            k=[random.list(D, -4095, 4095) for _ in range(count)],
            f_k=random.list(count, 4, 13),
            t=t,
            window=window,
        )
    maker.add(
        "least exponents, largest score",
        q=[4095] * 128,
        f_q=4,
        k=[[4095] * 128, [-4095] * 128],
        f_k=[4, 4],
        t=1,
        window=0,
    )
    maker.add(
        "caps", q=[4095] * 8, f_q=13, k=[[4095] * 8, [-4095] * 8], f_k=[13, 13], t=1, window=0
    )
    maker.add("ties", q=[1], f_q=4, k=[[1], [-1], [3], [-3]], f_k=[5] * 4, t=3, window=0)
    return maker.out


def _tile_out(z, v, f_v):
    M, X, S, A = ops.attention_tile(z, v, f_v)
    return {"M": M, "X": X, "S": S, "A": A}


def _tiles():
    maker = Maker("OP-11", _tile_out)
    random = Prng("OP-11")
    for count, D, spread in (
        (1, 8, 100),
        (2, 4, 3000),
        (7, 8, 1000),
        (128, 4, 6000),
        (100, 2, 20000),
    ):
        maker.add(
            f"{count} positions",
            z=random.list(count, -spread, spread),
            v=[random.list(D, -127, 127) for _ in range(count)],
            f_v=random.list(count, 2, 9),
            near=count < 100,
        )
    for gap in (14, 15, 16, 23, 24, 62, 63, 64, 65, 200):
        for r in (0, 128, 255):
            maker.add(
                f"gap {gap}",
                z=[r, -256 * gap + r],
                v=[[1, -127], [127, -127]],
                f_v=[5, 5],
                near=gap == 15,
            )
    maker.add("gap in X alone", z=[0, 0, 0], v=[[127], [127], [127]], f_v=[30, 6, -30])
    maker.add("greatest X is not at the greatest M", z=[2560, 0], v=[[100], [-100]], f_v=[20, 3])
    maker.add("extremes", z=[255] * 128, v=[[127, -127]] * 128, f_v=[0] * 128)
    maker.add("largest scores", z=[2**31 - 1, -(2**31) + 1], v=[[127], [-127]], f_v=[-30, 30])
    maker.add("floor of negatives", z=[-1, -255, -256, -257], v=[[1], [2], [3], [4]], f_v=[4] * 4)
    maker.add("zero values", z=[5, 6], v=[[0, 0], [0, 0]], f_v=[30, 30])
    return maker.out


def _head_out(tiles):
    r = ops.attention_head([(tile["M"], tile["X"], tile["S"], tile["A"]) for tile in tiles])
    return {
        "M": r.M,
        "X": r.X,
        "S": r.S,
        "b": r.b,
        "R": r.R,
        "A": r.A,
        "s": r.s,
        "o": r.o,
        "exponent": r.exponent,
    }


def _heads():
    maker = Maker("OP-12", _head_out)
    random = Prng("OP-12")

    def tile(M, X, S, A):
        return {"M": M, "X": X, "S": S, "A": A}

    maker.add("single position", tiles=[tile(0, -5, 2**14, [127 << 14, -(127 << 14), 0])])
    maker.add(
        "largest sum",
        tiles=[tile(3, 4, 128 * 32680, [128 * 32680 * 127, -128 * 32680 * 127])] * 1024,
        near=False,
    )
    for gap in (1, 15, 22, 23, 24, 64):
        tiles = [
            tile(10, 5, random.between(2**14, 2**22), random.list(3, -(2**28), 2**28)),
            tile(
                10 - gap,
                5 - gap,
                random.between(2**14, 2**22),
                random.list(3, -(2**28), 2**28),
            ),
        ]
        maker.add(f"gap {gap}", tiles=tiles)
        maker.add(f"gap {gap}, greater tile last", tiles=tiles[::-1], near=False)
        maker.add(
            f"gap {gap} in X alone", tiles=[tiles[0], dict(tiles[1], M=10)], near=gap in (23, 24)
        )
    for number in range(8):
        maker.add(
            "random",
            tiles=[
                tile(
                    random.between(-40, 0),
                    random.between(-40, 10),
                    random.between(2**14, 2**22),
                    random.list(4, -(2**29), 2**29),
                )
                for _ in range(random.between(1, 6))
            ],
            near=number == 0,
        )
    for A in (
        0,
        1,
        -1,
        2**18 - 1,
        -(2**18) + 1,
        2**18,
        -(2**18),
        -(2**18) - 1,
        2**19 - 1,
        2**19 - 2,
        -(2**19),
        -(2**19) - 1,
        -(2**19) - 2,
        2**20,
        2**29,
        -(2**29),
    ):  # A * 2^23 at the edges of s: rsh(A, s) = -2^18 is allowed, 2^18 is not
        maker.add(
            f"shift of A = {A}",
            tiles=[tile(0, 0, 2**14, [A, 1])],
            near=A in (2**19 - 1, -(2**18), -(2**19) - 1),
        )
    maker.add("the smallest A decides the shift", tiles=[tile(0, 0, 2**14, [3, -(2**25)])])
    maker.add("S of a power of two", tiles=[tile(0, 0, 2**15, [-1, 1])])
    maker.add("S just below a power of two", tiles=[tile(0, 0, 2**15 - 1, [2**29 - 1])])
    return maker.out


def _row_out(heads, bound):
    values, exponent = ops.attention_row([(h["o"], h["exponent"]) for h in heads], bound)
    return {"row": values, "exponent": exponent}


def _attention_rows():
    maker = Maker("OP-13", _row_out)
    random = Prng("OP-13")
    for bound in (MOST, 127):
        maker.add(
            f"bound {bound}",
            heads=[
                {"o": random.list(4, -(2**34), 2**34), "exponent": random.between(25, 45)}
                for _ in range(3)
            ],
            bound=bound,
        )
        maker.add(
            "exponents far apart",
            heads=[{"o": [2**34, -5], "exponent": 101}, {"o": [3, 2**20], "exponent": -21}],
            bound=bound,
        )
        maker.add(
            "a zero head of exponent -21 limits",
            heads=[{"o": [0, 0], "exponent": -21}, {"o": [2**34, 1], "exponent": 60}],
            bound=bound,
        )
        maker.add("all zero: cap", heads=[{"o": [0, 0], "exponent": 45}], bound=bound)
    return maker.out


def _residuals():
    maker = Maker(
        "OP-14", lambda x, matrix, bias, a, f, F_x: {"x": ops.residual(x, matrix, bias, a, f, F_x)}
    )
    random = Prng("OP-14")
    x = random.list(8, -(2**20), 2**20)
    maker.add(
        "no bias",
        x=x,
        matrix=_matrix(random, 8, 32),
        bias=None,
        a=random.list(32, -MOST, MOST),
        f=13,
        F_x=16,
    )
    maker.add(
        "bias",
        x=x,
        matrix=_matrix(random, 8, 32),
        bias=random.list(8, -(2**30), 2**30),
        a=random.list(32, -MOST, MOST),
        f=13,
        F_x=16,
    )
    one = Matrix([[1]], [1], 16)
    maker.add("at the bound", x=[2**31 - 2], matrix=one, bias=None, a=[1], f=0, F_x=16)
    maker.out_of_range("positive", x=[2**31 - 1], matrix=one, bias=None, a=[1], f=0, F_x=16)
    maker.add("-2^31", x=[-(2**31) + 1], matrix=one, bias=None, a=[-1], f=0, F_x=16)
    maker.out_of_range("negative", x=[-(2**31)], matrix=one, bias=None, a=[-1], f=0, F_x=16)
    maker.out_of_range(
        "by the bias", x=[2**31 - 1 - 2**30], matrix=one, bias=[2**30], a=[1], f=0, F_x=16
    )
    maker.out_of_range(
        "shift below 0", x=[0], matrix=Matrix([[1]], [1], 0), bias=None, a=[1], f=15, F_x=16
    )
    return maker.out


def _gate_out(matrix, a, f):
    v = ops.scaled(matrix, a)
    values, exponent = ops.gate_row(v, matrix.e + f)
    return {"v": v, "row": values, "exponent": exponent}


def _gates():
    maker = Maker("OP-15", _gate_out)
    random = Prng("OP-15")
    for K, e in ((8, 20), (32, 18), (64, 24)):
        maker.add(f"K = {K}", matrix=_matrix(random, 8, K, e), a=random.list(K, -MOST, MOST), f=13)
    maker.add("cap 15", matrix=_matrix(random, 4, 4, 33), a=[1, -1, 2, 3], f=20)
    maker.add("zeros", matrix=_matrix(random, 4, 4), a=[0] * 4, f=3)
    maker.add("exponent 0", matrix=Matrix([[1], [-1]], [1, 1], 0), a=[MOST], f=0)
    maker.out_of_range("exponent -1 by size", matrix=Matrix([[2], [-1]], [1, 1], 0), a=[MOST], f=0)
    maker.out_of_range("exponent -1 of zeros", matrix=Matrix([[0]], [1], 0), a=[1], f=-1)
    return maker.out


def _ff_out(g, f_g, matrix, a, f, bound):
    v, exponent = ops.feed_forward(g, f_g, matrix, a), f_g + matrix.e + f
    values, row_exponent = ops.feed_forward_row(v, exponent, bound)
    return {"v": v, "v_exponent": exponent, "row": values, "exponent": row_exponent}


def _feed_forward():
    maker = Maker("OP-16", _ff_out)
    random = Prng("OP-16")
    for f_g in (0, 7, 12, 15):
        for bound in (MOST, 127):
            maker.add(
                f"f_g = {f_g}",
                g=random.list(8, -MOST, MOST),
                f_g=f_g,
                matrix=_matrix(random, 8, 16),
                a=random.list(16, -MOST, MOST),
                f=13,
                bound=bound,
                near=bound == 127,
            )
    maker.add(
        "zero gate",
        g=[0] * 4,
        f_g=15,
        matrix=_matrix(random, 4, 8),
        a=random.list(8, -MOST, MOST),
        f=13,
        bound=MOST,
    )
    maker.add(
        "extremes",
        g=[MOST, -MOST],
        f_g=0,
        matrix=Matrix([[127] * 64] * 2, [4095] * 2, 33),
        a=[MOST] * 64,
        f=20,
        bound=MOST,
    )
    maker.add(
        "low exponent",
        g=[MOST, -1],
        f_g=0,
        matrix=Matrix([[127]] * 2, [4095] * 2, 0),
        a=[MOST],
        f=-22,
        bound=127,
    )
    return maker.out


def _logits():
    maker = Maker("OP-17", lambda matrix, a, f: {"logits": ops.logits(matrix, a, f)})
    random = Prng("OP-17")
    maker.add("plain", matrix=_matrix(random, 12, 32), a=random.list(32, -MOST, MOST), f=13)
    one = Matrix([[127]], [4095], 16)
    low = 2**31 // (127 * 4095)
    maker.add("just in range", matrix=one, a=[low], f=0)
    maker.out_of_range("positive", matrix=one, a=[low + 1], f=0)
    maker.out_of_range("negative", matrix=one, a=[-low - 1], f=0)
    maker.out_of_range("shift below 0", matrix=one, a=[0], f=-1)
    power = Matrix([[64]], [2048], 16)  # 2^17
    maker.add("-2^31", matrix=power, a=[-(2**14)], f=0)
    maker.out_of_range("2^31", matrix=power, a=[2**14], f=0)
    assert rsh(127 * 4095 * low, 0) <= 2**31 - 1
    return maker.out


def _bounds():
    out = [
        accept("OP-18", "act_bits", {"act_bits": bits}, {"bound": ops.bound(bits)})
        for bits in (8, 16)
    ]
    return out + [
        wrong("OP-18", "all of i16", {"act_bits": 16}, {"bound": 32767}, {"bound": ops.bound(16)})
    ]


def cases():
    out = []
    for make in (
        _acc,
        _linear,
        _embed,
        _norm_row,
        _head_norm,
        _project,
        _rotate,
        _qk_rows,
        _v_rows,
        _scores,
        _tiles,
        _heads,
        _attention_rows,
        _residuals,
        _gates,
        _feed_forward,
        _logits,
        _bounds,
    ):
        out += make()
    return out
