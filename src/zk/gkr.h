// The verifier of the sum of fractions (SPEC PL-4): layers of a binary tree of fraction additions,
// from the root to the leaves, one sumcheck each.
#ifndef OTR_ZK_GKR_H_
#define OTR_ZK_GKR_H_

#include <array>
#include <cstddef>
#include <vector>

#include "base/result.h"
#include "zk/field.h"
#include "zk/mle.h"
#include "zk/transcript.h"

namespace otr::zk {

struct GkrProof {
  struct Layer {
    Sumcheck rounds;            // of degree 3
    std::array<Ext, 4> values;  // P(y,0), P(y,1), Q(y,0), Q(y,1)
  };
  std::array<Ext, 2> root;    // P_0, Q_0
  std::vector<Layer> layers;  // from the root on; layer k has k variables
};

// What is left to show of the leaves: P_nu(r) = p and Q_nu(r) = q.
struct GkrClaim {
  Point r;
  Ext p, q;
};

// Checks that the fractions of 2^nu leaves sum to 0, up to the claim it returns. PROOF_INVALID for
// all that is wrong; sizes are compared before anything is computed.
[[nodiscard]] Result<GkrClaim> check_gkr(Transcript& transcript, const GkrProof& proof,
                                         std::size_t nu);

}  // namespace otr::zk

#endif  // OTR_ZK_GKR_H_
