#include "zk/gkr.h"

#include <utility>

namespace otr::zk {
namespace {

constexpr std::size_t kDegree = 3;

Status check_sizes(const GkrProof& proof, std::size_t nu) {
  if (proof.layers.size() != nu) return reject_proof("the lookups have the wrong number of layers");
  for (std::size_t k = 0; k < nu; ++k) {
    if (proof.layers[k].rounds.messages.size() != kDegree * k) {
      return reject_proof("a layer of the lookups has the wrong number of messages");
    }
  }
  return {};
}

}  // namespace

Result<GkrClaim> check_gkr(Transcript& transcript, const GkrProof& proof, std::size_t nu) {
  OTR_TRY(check_sizes(proof, nu));
  transcript.absorb(Label::kRootFraction, proof.root);
  if (proof.root[0] != kZero || proof.root[1] == kZero) {
    return reject_proof("the lookups do not sum to 0");
  }
  GkrClaim claim{{}, proof.root[0], proof.root[1]};
  for (const GkrProof::Layer& layer : proof.layers) {
    const Ext lambda = transcript.challenge();
    Ext sum = claim.p + lambda * claim.q;
    OTR_TRY_ASSIGN(const Point y,
                   check_sumcheck(transcript, layer.rounds, claim.r.size(), kDegree, sum));
    const auto& [p0, p1, q0, q1] = layer.values;
    transcript.absorb(Label::kLayer, layer.values);
    if (sum != eq(claim.r, y) * (p0 * q1 + p1 * q0 + lambda * q0 * q1)) {
      return reject_proof("a layer of the lookups does not add up");
    }
    const Ext mu = transcript.challenge();
    claim.p = p0 + mu * (p1 - p0);
    claim.q = q0 + mu * (q1 - q0);
    claim.r.assign(1, mu);
    claim.r.insert(claim.r.end(), y.begin(), y.end());
  }
  return claim;
}

}  // namespace otr::zk
