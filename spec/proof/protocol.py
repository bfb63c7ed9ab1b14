"""PR and PE: from the claims at the point of the lookups to claims on committed columns."""

from oracle.encoding import require
from proof import gkr
from proof.field import ONE, ZERO
from proof.mle import cut, eq_box, sum_box
from proof.transcript import sumcheck


def blocks(circuit):
    """PL-3: the bits of every block: lookups in order, then tables."""
    shape = circuit.shape
    lookups = [shape.bits(domain.dims) for domain in circuit.domains for _ in domain.lookups]
    return lookups + [gkr.TABLE_BITS[tag] for tag in gkr.TAGS]


def row_elements(circuit):
    """How many elements of K the prover sends in 18.4."""
    total = len(circuit.domains) + len(gkr.TAGS)
    for domain in circuit.domains:
        total += domain.degree * circuit.shape.bits(domain.dims)
        total += len(domain.committed) + len(domain.virtual)
    return total


def contraction_elements(circuit):
    """How many elements of K the prover sends in 18.5."""
    total = 0
    for contraction in circuit.contractions:
        total += contraction.degree * circuit.shape.bits(contraction.sums)
        total += len(contraction.committed)
    return total


class Verifier:
    """PR and PE; `claims` are those on columns: (column number, point, value)."""

    def __init__(self, channel, circuit, public):
        self.channel, self.circuit, self.public = channel, circuit, public
        self.shape = circuit.shape
        self.claims = []
        self.virtual = {}  # domain.name -> (point by dimension, value)
        self.alpha, self.beta = channel.challenge(), channel.challenge()

    def _cut(self, dims, flat):
        return dict(zip(dims, cut(flat, self.shape.sizes(dims))))

    def _public_at(self, name, point):
        return self.public[name].at(self.shape, point)

    def lookups(self):
        """PL-4 and PR-1: for each domain its weights w_i, its point r_D and S_D."""
        sizes = blocks(self.circuit)
        places, nu = gkr.places(sizes)
        r, numerator, denominator = gkr.verify_fractions(self.channel, nu)
        weights = [gkr.block_weight(r, place, bits) for place, bits in zip(places, sizes)]
        domains = self.circuit.domains
        sums = self.channel.receive(8, len(domains))
        multiplicities = self.channel.receive(9, len(gkr.TAGS))
        left, numerators, out, at = ONE, ZERO, [], 0
        for domain, total in zip(domains, sums):
            own = weights[at : at + len(domain.lookups)]
            at += len(own)
            point = self._cut(domain.dims, r[: self.shape.bits(domain.dims)])
            left = left + total
            numerators = numerators + sum(own, ZERO) * self._box(domain, point)
            out.append((own, point, total))
        for tag, weight, m in zip(gkr.TAGS, weights[at:], multiplicities):
            low = r[: gkr.TABLE_BITS[tag]]
            row = gkr.table_at(tag, self.shape.size["j"], low)
            print_ = gkr.fingerprint(tag, row, self.beta)
            left = left + weight * (self.alpha - 1 - print_)
            numerators = numerators - weight * m
            self.claims.append((self.circuit.number[f"table.{tag}"], [low], m))
        require(left == denominator, "PROOF_INVALID", "the denominators of the lookups")
        require(numerators == numerator, "PROOF_INVALID", "the numerators of the lookups")
        return out

    def _box(self, domain, point):
        """PR-1: the sum of eq over the box and mask of a domain."""
        rest, out = domain.dims, ONE
        if domain.masked:
            out = self._public_at("mask", point)
            rest = [name for name in domain.dims if name not in self.public["mask"].dims]
        for name in rest:
            out = out * sum_box(point[name], self.shape.size[name])
        return out

    def domain(self, domain, weights, point, total):
        """PR-2 of one domain."""
        theta = self.channel.challenge()
        bits = self.shape.bits(domain.dims)
        flat, claim = sumcheck(self.channel, total, bits, domain.degree)
        rho = self._cut(domain.dims, flat)
        names = domain.committed + domain.virtual
        values = dict(zip(names, self.channel.receive(9, len(names))))
        for name in domain.committed:
            number = self.circuit.number[f"{domain.name}.{name}"]
            self.claims.append((number, [rho[d] for d in domain.dims], values[name]))
        for name in domain.virtual:
            self.virtual[f"{domain.name}.{name}"] = (rho, values[name])

        def column(name):
            if name not in values:
                values[name] = self._public_at(f"{domain.name}.{name}", rho)
            return values[name]

        inside = ZERO
        for weight, (tag, expression) in zip(weights, domain.lookups):
            print_ = gkr.fingerprint(tag, expression(column), self.beta)
            inside = inside + weight * (self.alpha - 1 - print_)
        power = theta
        for expression in domain.zeros:
            inside, power = inside + power * expression(column), power * theta
        outside = self._public_at("mask", rho) if domain.masked else ONE
        for name in domain.dims:
            outside = outside * eq_box(point[name], rho[name], self.shape.size[name])
        require(outside * inside == claim, "PROOF_INVALID", f"the rows of domain {domain.name}")

    def contraction(self, contraction):
        """PE-1 of one contraction."""
        if contraction.target in self.virtual:
            point, claim = self.virtual[contraction.target]
        else:  # scalars in clear
            flat = self.channel.challenges(self.shape.bits(contraction.dims))
            point = self._cut(contraction.dims, flat)
            claim = self._public_at(contraction.target, point)
        bits = self.shape.bits(contraction.sums)
        flat, claim = sumcheck(self.channel, claim, bits, contraction.degree)
        summed = self._cut(contraction.sums, flat)
        at = {**point, **summed}
        committed = contraction.committed
        values = dict(zip(committed, self.channel.receive(10, len(committed))))
        for name in committed:
            dims = self.circuit.dims[name]
            number = self.circuit.number[name]
            self.claims.append((number, [at[d] for d in dims], values[name]))
        total = ZERO
        for term in contraction.terms:
            product = ONE
            for name in term:
                if name not in values:
                    values[name] = self._public_at(name, at)
                product = product * values[name]
            total = total + product
        for name in contraction.shared:
            total = total * eq_box(point[name], summed[name], self.shape.size[name])
        why = f"the contraction of {contraction.target}"
        require(total == claim, "PROOF_INVALID", why)
