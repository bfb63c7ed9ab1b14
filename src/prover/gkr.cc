#include "prover/gkr.h"

#include <array>
#include <span>
#include <utility>

#include "base/check.h"
#include "prover/gkr_layers.h"
#include "prover/gkr_rounds.h"
#include "zk/mle.h"

namespace otr::prover {
namespace {

using zk::Ext;

// Turns the polynomials h of the rounds into the messages of PL-4. The round polynomial there is
// g(t) = E·l(t)·(h(t) + λ): E is eq of the bound variables, l(t) = eq(z_i, t), and λ is what the
// summand was lowered by, eq summing to 1 over the other variables.
class Messages {
 public:
  // `claim` is the sum of the lowered summand.
  Messages(Ext claim, Ext lambda) : claim_(claim), lambda_(lambda) {}

  std::array<Ext, 3> message(Ext z, const RoundPolynomial& h) {
    z_ = z;
    constant_ = h.at_zero;
    leading_ = h.leading;
    // claim = (1 - z)·h(0) + z·h(1). z is a hash; were it 0, so would be SHA-256's output.
    OTR_CHECK(z != zk::kZero);
    const Ext at_one = (claim_ - (zk::kOne - z) * constant_) * inverse(z);
    linear_ = at_one - constant_ - leading_;
    return {g(zk::kZero), g(zk::ext(2)), g(zk::ext(3))};
  }
  void bind(Ext rho) {
    claim_ = h(rho);
    bound_ *= l(rho);
  }

 private:
  Ext h(Ext t) const { return constant_ + t * (linear_ + t * leading_); }
  Ext l(Ext t) const { return (zk::kOne - z_) * (zk::kOne - t) + z_ * t; }
  Ext g(Ext t) const { return bound_ * l(t) * (h(t) + lambda_); }

  Ext claim_, lambda_, z_, constant_, linear_, leading_;
  Ext bound_ = zk::kOne;
};

// The sumcheck of one layer; leaves its point in `y`.
Quadruple prove_rounds(zk::Transcript& transcript, LayerRounds& rounds, const zk::GkrClaim& claim,
                       Ext lambda, zk::Sumcheck& proof, zk::Point& y) {
  if (claim.r.empty()) return rounds.only();
  Messages messages(claim.p + lambda * claim.q - lambda, lambda);
  for (std::size_t i = 0; i < claim.r.size(); ++i) {
    const auto rest = std::span(claim.r).subspan(i + 1);
    const auto h = i == 0 ? rounds.first(rest) : rounds.next(y.back(), rest);
    const std::array<Ext, 3> sent = messages.message(claim.r[i], h);
    transcript.absorb(zk::Label::kSumcheck, sent);
    proof.messages.insert(proof.messages.end(), sent.begin(), sent.end());
    y.push_back(transcript.challenge());
    messages.bind(y.back());
  }
  return rounds.last(y.back());
}

}  // namespace

zk::GkrProof prove_gkr(zk::Transcript& transcript, std::vector<LeafBlock> blocks, std::size_t nu,
                       engine::Pool& pool, zk::GkrClaim* claim, Isa isa) {
  OTR_CHECK(nu <= 40);
  const GkrKernels& kernels = gkr_kernels(isa);
  Layers layers(std::move(blocks), nu, pool, kernels);
  const Fraction root = layers.top(0).empty() ? Fraction{} : layers.top(0)[0].fraction;
  zk::GkrProof proof{{root.p, root.q}, {}};
  transcript.absorb(zk::Label::kRootFraction, proof.root);

  zk::GkrClaim at{{}, root.p, root.q};
  for (std::size_t k = 0; k < nu; ++k) {
    const Ext lambda = transcript.challenge();
    layers.drop_above(k + 1);
    LayerRounds rounds(layers, k + 1, lambda, pool, kernels);
    zk::GkrProof::Layer& layer = proof.layers.emplace_back();
    zk::Point y;
    const auto [p0, p1, q0, q1] = prove_rounds(transcript, rounds, at, lambda, layer.rounds, y);
    const Ext p1_alone = p1 - lambda * q1;
    layer.values = {p0, p1_alone, q0, q1};
    transcript.absorb(zk::Label::kLayer, layer.values);
    const Ext mu = transcript.challenge();
    at.p = p0 + mu * (p1_alone - p0);
    at.q = q0 + mu * (q1 - q0);
    at.r.assign(1, mu);
    at.r.insert(at.r.end(), y.begin(), y.end());
  }
  if (claim != nullptr) *claim = std::move(at);
  return proof;
}

}  // namespace otr::prover
