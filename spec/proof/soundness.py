"""PB: the probability that a false statement passes, bounded from the sizes of a proof."""

from oracle.encoding import require
from proof import gkr
from proof.protocol import blocks

LIMIT = 1 << 26
LOOKUP_GRINDING = 16


def numerators(circuit, layout, cells):
    """The sum of PB-1, in units of 2^-127; `cells` is the number of claims on single cells."""
    bits = circuit.shape.bits
    _, nu = gkr.places(blocks(circuit))
    total = (3 << nu >> LOOKUP_GRINDING) + 1 + sum(3 * k + 2 for k in range(nu))
    claims = len(gkr.TAGS) + cells
    for domain in circuit.domains:
        total += bits(domain.dims) * (1 + domain.degree) + len(domain.zeros)
        claims += len(domain.committed)
    virtual = {f"{domain.name}.{name}" for domain in circuit.domains for name in domain.virtual}
    for contraction in circuit.contractions:
        total += bits(contraction.sums) * contraction.degree
        if contraction.target not in virtual:  # hsum, ssq, qsq, ksq
            total += bits(contraction.dims)
        claims += len(contraction.committed)
    return total + claims + 2 * layout.bits + (layout.bits << (layout.kappa + 1))


def check(circuit, layout, cells):
    """PB-2."""
    total = numerators(circuit, layout, cells)
    require(total <= LIMIT, "PROOF_INVALID", "the pass is too large for a proof of 100 bits")
    require(layout.cells <= 2**29, "PROOF_INVALID", "the pass has more than 2^29 cells")
