#include "zk/soundness.h"

#include "zk/argument.h"
#include "zk/lookup_tables.h"
#include "zk/opening.h"
#include "zk/verify.h"

namespace otr::zk {
namespace {

// (3/4)^t·2^-g < 2^-101, in integers: 3^t·2^101 < 4^t·2^g. (3/4)^12 < 2^-4.98, so 12 queries are
// worth 4 bits and 98 hundredths at least.
static_assert(kQueries / 12 * 498 / 100 + kQueryGrindBits >= kSoundnessBits + 1);
constexpr std::uint64_t power_of_3(int n) { return n == 0 ? 1 : 3 * power_of_3(n - 1); }
static_assert(power_of_3(12) < (std::uint64_t{1} << 24) / 100 * 3168 / 1000);  // 2^-4.98 > 0.03168

}  // namespace

std::uint64_t SoundnessTerms::sum() const {
  return (lookups >> kLookupGrindBits) + 1 + layers + rows + contractions + opening + proximity;
}

SoundnessTerms soundness_terms(const Circuit& circuit, const Layout& layout,
                               std::size_t cell_claims) {
  const LeafPlan plan = plan_leaves(circuit);
  SoundnessTerms terms;
  // A leaf's denominator has degree at most 3 in (α, β).
  terms.lookups = 3 * (std::uint64_t{1} << plan.nu);
  for (std::size_t k = 0; k < plan.nu; ++k) terms.layers += 3 * k + 2;
  std::uint64_t eval_claims = circuit.tables.size();
  for (const Domain& domain : circuit.domains) {
    const std::size_t bits = variables_of(circuit, domain.dims);
    // The constraints at the random r and θ, and the sumcheck.
    terms.rows += bits + domain.zeros.size() + bits * static_cast<std::size_t>(domain.degree);
    eval_claims += domain.committed.size();
  }
  for (const Contraction& contraction : circuit.contractions) {
    terms.contractions += variables_of(circuit, contraction.sum) * degree_of(circuit, contraction);
    if (contraction.scalars) {
      terms.contractions += variables_of(circuit, circuit.columns[contraction.output].dims);
    }
    eval_claims += committed_factors(circuit, contraction).size();
  }
  const auto bits = static_cast<std::uint64_t>(layout.bits());
  terms.opening = eval_claims + cell_claims + 2 * bits;
  terms.proximity = bits << (layout.kappa() + 1);
  return terms;
}

// SPEC PB-2.
Status check_soundness(const Circuit& circuit, const Layout& layout, std::size_t cell_claims) {
  // The queries have 2^-101 of the 2^-100; the rest must stay below 2^-101 = 2^26·2^-127.
  if (soundness_terms(circuit, layout, cell_claims).sum() <= std::uint64_t{1} << 26) return {};
  return reject_proof("the pass is too large for a proof of " + std::to_string(kSoundnessBits) +
                      " bits");
}

}  // namespace otr::zk
