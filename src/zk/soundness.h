// The soundness budget (SPEC PB): an upper bound of the probability that a false statement passes,
// from the actual sizes of a proof.
#ifndef OTR_ZK_SOUNDNESS_H_
#define OTR_ZK_SOUNDNESS_H_

#include <cstdint>

#include "base/result.h"
#include "zk/circuit.h"
#include "zk/layout.h"

namespace otr::zk {

inline constexpr int kSoundnessBits = 100;

// The numerators of SPEC PB-1, in units of 2^-127 (the field K has more than 2^127 elements).
struct SoundnessTerms {
  std::uint64_t lookups = 0;  // before grinding
  std::uint64_t layers = 0, rows = 0, contractions = 0, opening = 0, proximity = 0;

  // All of them, the lookups after grinding.
  std::uint64_t sum() const;
};
SoundnessTerms soundness_terms(const Circuit& circuit, const Layout& layout,
                               std::size_t cell_claims);

// PROOF_INVALID where the bound is not below 2^-kSoundnessBits.
[[nodiscard]] Status check_soundness(const Circuit& circuit, const Layout& layout,
                                     std::size_t cell_claims);

}  // namespace otr::zk

#endif  // OTR_ZK_SOUNDNESS_H_
