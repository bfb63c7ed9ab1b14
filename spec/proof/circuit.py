"""PT: the circuit as data.

An expression is a function of `c`, which gives the value of a column by its name: a committed or
virtual column of the domain or a public one. Values are integers (a witness) or elements of K.
"""

from dataclasses import dataclass, field

from oracle.encoding import require
from proof.gkr import BOUND, EXP, QBOUND, SILU, TABLE_BITS, TAGS, W

LIMB = 19  # PS-6


@dataclass
class Domain:
    name: str
    dims: str
    degree: int
    committed: list = field(default_factory=list)
    virtual: list = field(default_factory=list)
    lookups: list = field(default_factory=list)  # (tag, expression of a tuple)
    zeros: list = field(default_factory=list)  # expressions
    masked: bool = False
    rounded: list = field(default_factory=list)  # (remainder, its shift, value, out), for witnesses

    def remainder(self, name, limbs):
        """Commits to the limbs of a remainder."""
        self.committed += [f"{name}.{n}" for n in range(limbs)]

    def widths(self, name, group, limbs):
        """The lookups W(wid.n, limb n)."""
        for n in range(limbs):
            self.lookups.append(
                (W, lambda c, n=n: (c(f"wid_{group}.{n}"), c(f"{name}.{n}"))),
            )

    def look(self, tag, expression):
        self.lookups.append((tag, expression))

    def zero(self, expression):
        self.zeros.append(expression)

    def rounds(self, value, out, name, group, limbs):
        """The zero constraint value + half - out * pow - remainder, both given as functions."""
        self.rounded.append((name, group, value, out))
        self.zeros.append(
            lambda c: value(c)
            + c(f"half_{group}")
            - out(c) * c(f"pow_{group}")
            - total(c, name, limbs)
        )


def total(c, name, limbs):
    """The sum of a remainder's limbs."""
    out = c(f"{name}.0")
    for n in range(1, limbs):
        out = out + c(f"{name}.{n}") * 2 ** (LIMB * n)
    return out


def limbs_of(shifts):
    """PS-6: the number of limbs of remainders of these shifts."""
    n = max(1, -(-max(shifts) // LIMB))
    require(n <= 3, "PROOF_INVALID", f"a shift of {max(shifts)} has no limbs")
    return n


def width(shift, n):
    """PS-6: wid_n(s)."""
    return min(LIMB, max(0, shift - LIMB * n))


@dataclass
class Options:
    """What the circuit of a proof depends on besides its shape."""

    limbs: dict  # "q.r" -> number of limbs
    gap: int
    wide_o: bool  # a shift s_w exceeds 30
    wide_down: bool  # a shift s_d exceeds 30
    inv_t: int
    min_p: int
    qk_norm: bool

    @property
    def third(self):
        return self.inv_t.bit_length() > 22

    @property
    def filtered(self):
        return self.inv_t > 0 and self.min_p > 0


def _projection(name, heads, options, trace_rows):
    """Domains q and k."""
    r, c_ = options.limbs[name + ".r"], options.limbs[name + ".c"]
    domain = Domain(name, f"i{heads}tl", 3, ["y0", "y1", "yh0", "yh1"], ["acc0", "acc1"])
    for x in "01":
        domain.remainder("r" + x, r)
    if not trace_rows:
        domain.committed += [f"{name}0", f"{name}1"]
    for x in "01":
        domain.remainder("c" + x, c_)
    for x in "01":
        domain.look(W, lambda c, x=x: (19, c("y" + x) + 2**23 - 2**19 * c("yh" + x)))
        domain.look(W, lambda c, x=x: (5, c("yh" + x)))
        domain.widths("r" + x, "r", r)
        if not trace_rows:
            domain.look(QBOUND, lambda c, x=x: (c(name + x),))
        domain.widths("c" + x, "c", c_)
    for x in "01":
        domain.rounds(
            lambda c, x=x: c("acc" + x) * c("m" + x),
            lambda c, x=x: c("y" + x) - c("b" + x),
            "r" + x,
            "r",
            r,
        )
    n = "n" if options.qk_norm else "y"  # what is rotated
    domain.rounds(
        lambda c: c(n + "0") * c("cos") - c(n + "1") * c("sin"),
        lambda c: c(name + "0"),
        "c0",
        "c",
        c_,
    )
    domain.rounds(
        lambda c: c(n + "1") * c("cos") + c(n + "0") * c("sin"),
        lambda c: c(name + "1"),
        "c1",
        "c",
        c_,
    )
    if options.qk_norm:
        _head_norms(domain, options.limbs[name + ".g"])
    return domain


def _head_norms(domain, limbs):
    """OP-5 in domains q and k."""
    domain.degree = 4
    domain.committed += ["n0", "n1", "nh0", "nh1"]
    for x in "01":
        domain.remainder("g" + x, limbs)
    for x in "01":
        _wide(domain, lambda c, x=x: c("n" + x), "nh" + x, "g")
        domain.widths("g" + x, "g", limbs)
    for x in "01":
        domain.rounds(
            lambda c, x=x: c("y" + x) * c("gain" + x) * c("R"),
            lambda c, x=x: c("n" + x),
            "g" + x,
            "g",
            limbs,
        )


def _values(options):
    r = options.limbs["v.r"]
    domain = Domain("v", "jgtl", 3, [], ["acc"])
    domain.remainder("r", r)
    domain.widths("r", "r", r)
    domain.rounds(lambda c: c("acc") * c("m"), lambda c: c("v"), "r", "r", r)
    return domain


def _scores(options):
    domain = Domain("z", "uTthl", 5, ["z", "r", "e", "p", "e'", "p'"], ["acc"], masked=True)
    domain.look(W, lambda c: (c("a") + c("b") + 1, c("r")))

    def gap(c):
        return 256 * c("M") + 255 - c("z") - c("e")

    def weight_gap(c):
        return 256 * c("X") + 255 - c("z") + 256 * c("fv") - c("e'")

    for mark, o in (("", gap), ("'", weight_gap)):
        domain.look(EXP, lambda c, mark=mark: (c("e" + mark), c("p" + mark)))
        if options.gap == 2:
            domain.look(W, lambda c, mark=mark, o=o: (19, o(c) - 2**19 * c("eo" + mark)))
            domain.look(W, lambda c, mark=mark: (19, c("eo" + mark)))
        else:
            domain.look(W, lambda c, o=o: (19, o(c)))
    if options.gap == 2:
        domain.committed += ["eo", "eo'"]
    domain.zero(
        lambda c: 2 * c("acc")
        + c("pow_a") * c("pow_b")
        - 2 * c("z") * c("pow_a") * c("pow_b")
        - c("r")
    )
    domain.zero(lambda c: (c("e") - 4096) * gap(c))
    domain.zero(lambda c: (c("e'") - 4096) * weight_gap(c))
    return domain


def _attention(options):
    r, c_ = options.limbs["o.r"], options.limbs["o.c"]
    domain = Domain("o", "jhtl", 3, ["y"], ["A"])
    domain.remainder("r", r)
    domain.committed.append("o")
    domain.remainder("c", c_)
    domain.look(W, lambda c: (19, c("y") + 2**18))
    domain.widths("r", "r", r)
    domain.look(BOUND, lambda c: (c("cls"), c("o")))
    domain.widths("c", "c", c_)
    domain.rounds(lambda c: c("A"), lambda c: c("y"), "r", "r", r)
    domain.rounds(lambda c: c("y") * c("R"), lambda c: c("o"), "c", "c", c_)
    return domain


def _middle(c):
    return c("x") * c("pow_n") + c("xr")


def _wide(domain, value, high, group):
    """The range of what a shift leaves fewer bits, the greater it is."""
    domain.look(
        W,
        lambda c: (c("lo_" + group), value(c) + c("off_" + group) - 2**19 * c(high)),
    )
    domain.look(W, lambda c: (c("hi_" + group), c(high)))


def _residual(options):
    r, c_, e = (options.limbs["x." + name] for name in "rce")
    domain = Domain("x", "dtl", 4, [], ["acc", "dacc"])
    domain.remainder("r", r)
    domain.committed += ["x", "xh", "xr", "m"]
    domain.remainder("c", c_)
    domain.remainder("e", e)
    domain.committed += ["yh"] * options.wide_o + ["zh"] * options.wide_down

    def from_o(c):
        return _middle(c) - c("xin") - c("b")

    def from_down(c):
        return c("xout") - _middle(c)

    domain.widths("r", "r", r)
    domain.look(W, lambda c: (19, c("x") + 2**23 - 2**19 * c("xh")))
    domain.look(W, lambda c: (5, c("xh")))
    domain.look(W, lambda c: (c("s_n"), c("xr")))
    domain.look(BOUND, lambda c: (c("cls"), c("m")))
    domain.widths("c", "c", c_)
    domain.widths("e", "e", e)
    if options.wide_o:
        _wide(domain, from_o, "yh", "r")
    if options.wide_down:
        _wide(domain, from_down, "zh", "e")
    domain.rounds(lambda c: c("acc") * c("m_o"), from_o, "r", "r", r)
    domain.rounds(lambda c: c("x") * c("gain") * c("R"), lambda c: c("m"), "c", "c", c_)
    domain.rounds(lambda c: c("dacc") * c("m_d"), from_down, "e", "e", e)
    return domain


def _feed_forward(options):
    r, c_ = options.limbs["f.r"], options.limbs["f.c"]
    domain = Domain("f", "ftl", 4, ["g", "s"], ["gacc", "uacc"])
    domain.remainder("r", r)
    domain.committed.append("h")
    domain.remainder("c", c_)
    domain.look(SILU, lambda c: (c("f_g"), c("g"), c("s")))
    domain.widths("r", "r", r)
    domain.look(BOUND, lambda c: (c("cls"), c("h")))
    domain.widths("c", "c", c_)
    domain.rounds(lambda c: c("gacc") * c("m_g"), lambda c: c("g"), "r", "r", r)
    domain.rounds(lambda c: c("s") * c("uacc") * c("m_u"), lambda c: c("h"), "c", "c", c_)
    return domain


def _sampling(options):
    r = options.limbs["s.r"]
    domain = Domain("s", "vo", 3, ["y", "yh"], ["acc"])
    domain.remainder("r", r)
    domain.committed.append("dh")

    def distance(c):
        return c("L_max") - c("y") + c("pen")

    def threshold(c):
        if not options.filtered:
            return c("thr")
        return c("k") * c("thr") + (1 - c("k")) * c("theta")

    def excess(c):
        out = distance(c) * options.inv_t + 2**15 - 2**16 * threshold(c)
        out = out - 2**19 * c("e1") - 2**38 * c("e2")
        return out - 2**57 * c("e3") if options.third else out

    domain.look(W, lambda c: (19, c("y") + c("off") - 2**19 * c("yh")))
    domain.look(W, lambda c: (c("hi"), c("yh")))
    domain.widths("r", "r", r)
    domain.look(
        W,
        lambda c: (
            19,
            distance(c) - (c("less") if options.inv_t == 0 else 0) - 2**19 * c("dh"),
        ),
    )
    domain.look(W, lambda c: (16, c("dh")))
    domain.rounds(lambda c: c("acc") * c("m"), lambda c: c("y"), "r", "r", r)
    if options.inv_t > 0:
        domain.committed += ["e1", "e2"] + ["e3"] * options.third + ["k"] * options.filtered
        domain.look(W, lambda c: (19, excess(c)))
        domain.look(W, lambda c: (19, c("e1")))
        domain.look(W, lambda c: (19, c("e2")))
        if options.third:
            domain.look(W, lambda c: (3, c("e3")))
    if options.filtered:
        domain.zero(lambda c: c("k") * c("k") - c("k"))
    return domain


@dataclass
class Contraction:
    """PE-1, PT-5: Y is a virtual column (domain.name) or a list of scalars; factors are names of
    committed columns (domain.name) or of public ones (without a dot)."""

    target: str
    dims: str
    terms: list
    sums: str

    @property
    def shared(self):
        """The dimensions of Y that are summed with the factor eq."""
        return [name for name in self.sums if name in self.dims]

    @property
    def degree(self):
        return max(map(len, self.terms)) + (1 if self.shared else 0)

    @property
    def committed(self):
        """The committed factors in the order they stand, each once."""
        return list(dict.fromkeys(name for term in self.terms for name in term if "." in name))


CONTRACTIONS = [
    Contraction("q.acc0", "ihtl", [["w_q0", "a"]], "dl"),
    Contraction("q.acc1", "ihtl", [["w_q1", "a"]], "dl"),
    Contraction("k.acc0", "igtl", [["w_k0", "a"]], "dl"),
    Contraction("k.acc1", "igtl", [["w_k1", "a"]], "dl"),
    Contraction("v.acc", "jgtl", [["w_v", "a"]], "dl"),
    Contraction("z.acc", "uTthl", [["q.q0", "kx0"], ["q.q1", "kx1"]], "ihl"),
    Contraction("hsum", "htl", [["mask", "z.p", "tm"]], "uTthl"),
    Contraction("o.A", "jhtl", [["mask", "z.p'", "tx", "vx"]], "uTthl"),
    Contraction("x.acc", "dtl", [["w_o", "o.o"]], "jhl"),
    Contraction("ssq", "tl", [["x.x", "x.x"]], "dtl"),
    Contraction("f.gacc", "ftl", [["w_gate", "x.m"]], "dl"),
    Contraction("f.uacc", "ftl", [["w_up", "x.m"]], "dl"),
    Contraction("x.dacc", "dtl", [["w_down", "f.h"]], "fl"),
    Contraction("s.acc", "vo", [["w_head", "fin"]], "d"),
]
NORM_CONTRACTIONS = [
    Contraction("qsq", "htl", [["q.y0", "q.y0"], ["q.y1", "q.y1"]], "ihtl"),
    Contraction("ksq", "gtl", [["k.y0", "k.y0"], ["k.y1", "k.y1"]], "igtl"),
]


class Circuit:
    """The domains, the contractions, and the committed columns in the order of PT-2."""

    def __init__(self, shape, options):
        self.shape = shape
        self.contractions = CONTRACTIONS + (NORM_CONTRACTIONS if options.qk_norm else [])
        self.domains = [
            _projection("q", "h", options, False),
            _projection("k", "g", options, True),
            _values(options),
            _scores(options),
            _attention(options),
            _residual(options),
            _feed_forward(options),
            _sampling(options),
        ]
        self.dims = {}  # committed column -> its dimensions; the multiplicities have none
        for domain in self.domains:
            for name in domain.committed:
                self.dims[f"{domain.name}.{name}"] = domain.dims
        self.sizes = [shape.sizes(dims) for dims in self.dims.values()]
        self.number = {name: n for n, name in enumerate(self.dims)}
        for tag in TAGS:
            self.number[f"table.{tag}"] = len(self.sizes)
            self.sizes.append([1 << TABLE_BITS[tag]])
