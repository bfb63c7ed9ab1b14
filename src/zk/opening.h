// The batched opening of the commitment (SPEC PO): all claims on committed columns become one claim
// on the space of addresses by a sumcheck, which is then one combination of the matrix's rows, sent
// in clear and compared with the code at random places.
//
// The caller's duties, without which the opening shows nothing: the commitment is in the transcript
// before all challenges on which the claims depend, the claims' values before this is called, and
// every element of the proof and of the claims is below p (its decoder refuses others, SPEC PF-1).
#ifndef OTR_ZK_OPENING_H_
#define OTR_ZK_OPENING_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "zk/commitment.h"
#include "zk/layout.h"
#include "zk/mle.h"
#include "zk/transcript.h"

namespace otr::zk {

inline constexpr std::size_t kQueries = 216;  // places that are opened
inline constexpr int kQueryGrindBits = 16;

// The extension of `column` is `value` at `point`: the elements of all its dimensions one after
// another, the lowest dimension first.
struct EvalClaim {
  std::uint32_t column = 0;
  Point point;
  Ext value;
};

// The cell of this dense index is `value`.
struct CellClaim {
  std::uint32_t column = 0;
  std::uint64_t cell = 0;
  Ext value;
};

struct OpeningProof {
  using Query = OpenedPlace;

  Sumcheck sumcheck;          // 2·bits() messages
  Ext value;                  // φ
  std::vector<Ext> combined;  // u: places() elements
  std::uint64_t nonce = 0;
  std::vector<Query> queries;  // kQueries
};

// SPEC PO-1 to PO-3. Any claims and any proof are allowed; what is no proof, a claim on nothing
// included, is PROOF_INVALID.
[[nodiscard]] Status check_opening(Transcript& transcript, const Layout& layout,
                                   const Commitment& commitment,
                                   std::span<const EvalClaim> eval_claims,
                                   std::span<const CellClaim> cell_claims,
                                   const OpeningProof& proof);

// --- Shared with the prover ----------------------------------------------------------------------

// 1, x, …, x^(count-1).
[[nodiscard]] std::vector<Ext> powers(Ext x, std::size_t count);
// Σ of weights[n]·(value of claim n), evaluation claims first.
[[nodiscard]] Ext weighted_values(std::span<const Ext> weights,
                                  std::span<const EvalClaim> eval_claims,
                                  std::span<const CellClaim> cell_claims);
// The places of SPEC PO-3: kQueries numbers below 2·places().
[[nodiscard]] std::vector<std::uint64_t> draw_places(Transcript& transcript, const Layout& layout);

}  // namespace otr::zk

#endif  // OTR_ZK_OPENING_H_
