// Fiat and Shamir: every word of the statement and of the argument is bound, parts of two proofs do
// not mix, and what a prover could say if it knew the challenges is taken by a verifier that
// freezes them and refused by ours.
#include <gtest/gtest.h>

#include "prover/gkr.h"
#include "prover/lies.h"

namespace otr::prover {
namespace {

using zk::Ext;

const Scene& scene() {
  static const Scene made(plays()[0]);
  return made;
}
ProofBytes prove(const zk::Statement& statement) {
  auto proof = prove_pass(statement, scene().job(), scene().truth().witness, scene().pool(), {});
  EXPECT_TRUE(proof);
  return proof.value_or(ProofBytes{});
}
const ProofBytes& genuine() {
  static const ProofBytes proof = prove(scene().statement());
  return proof;
}
zk::Argument decoded(const ProofBytes& proof) {
  const zk::Circuit& circuit = scene().truth().publics.circuit;
  const zk::Layout layout(zk::committed_shapes(circuit));
  return *zk::decode_argument(proof.argument, zk::shape_of(circuit, layout));
}
Status verify(const zk::Statement& statement, const Bytes& argument) {
  return zk::verify_pass(statement, scene().job(), {genuine().rows, genuine().scalars, argument});
}

TEST(Transcript, EveryFieldOfTheStatement) {
  ASSERT_TRUE(verify(scene().statement(), genuine().argument));
  const auto refuse = [](const char* name, const auto& change) {
    zk::Statement statement = scene().statement();
    change(statement);
    const Status verified = verify(statement, genuine().argument);
    ASSERT_FALSE(verified) << name;
    EXPECT_EQ(verified.error().code, "PROOF_INVALID") << name;
  };
  refuse("spec", [](zk::Statement& s) { s.spec_hash[31] ^= 1; });
  refuse("model", [](zk::Statement& s) { s.model_root[0] ^= 128; });
  refuse("request", [](zk::Statement& s) { s.request_digest[5] ^= 1; });
  refuse("claim", [](zk::Statement& s) { s.claim_digest[9] ^= 1; });
  refuse("trace", [](zk::Statement& s) { s.trace_root[17] ^= 1; });
  refuse("signer", [](zk::Statement& s) { s.signer[19] ^= 1; });
  refuse("beacon", [](zk::Statement& s) { s.beacon[1] ^= 1; });
  refuse("prompt", [](zk::Statement& s) { ++s.n_prompt; });
  refuse("output", [](zk::Statement& s) { --s.n_out; });
  refuse("two fields", [](zk::Statement& s) { std::swap(s.request_digest, s.claim_digest); });
}

// Calls body on each list of elements of an argument, one of each kind at the least.
template <class Body>
void each_list(zk::Argument& a, const Body& body) {
  body("root", std::span<Ext>(a.gkr.root));
  for (auto& layer : a.gkr.layers) {
    body("layer messages", std::span<Ext>(layer.rounds.messages));
    body("layer values", std::span<Ext>(layer.values));
  }
  body("sums", std::span<Ext>(a.domain_sums));
  body("multiplicities", std::span<Ext>(a.multiplicities));
  for (auto* list : {&a.domains, &a.contractions}) {
    for (zk::Reduction& r : *list) {
      body("messages", std::span<Ext>(r.sumcheck.messages));
      body("values", std::span<Ext>(r.values));
    }
  }
  body("opening", std::span<Ext>(a.opening.sumcheck.messages));
  body("value", std::span<Ext>(&a.opening.value, 1));
  body("combined", std::span<Ext>(a.opening.combined));
}

TEST(Transcript, EveryListOfTheArgument) {
  zk::Argument argument = decoded(genuine());
  ASSERT_EQ(zk::encode_argument(argument), genuine().argument);
  each_list(argument, [&](const std::string& name, std::span<Ext> list) {
    if (list.empty()) return;
    for (const std::size_t at : {std::size_t{0}, list.size() - 1}) {
      const Ext truth = list[at];
      for (const Ext delta : {zk::kOne, Ext{{0}, {zk::kPrime - 1}}}) {
        list[at] = truth + delta;
        EXPECT_FALSE(verify(scene().statement(), zk::encode_argument(argument))) << name;
      }
      list[at] = truth;
    }
    if (list.size() > 1 && list[0] != list[1]) {
      std::swap(list[0], list[1]);
      EXPECT_FALSE(verify(scene().statement(), zk::encode_argument(argument))) << name;
      std::swap(list[0], list[1]);
    }
  });
}

TEST(Transcript, PartsOfTwoProofsDoNotMix) {
  zk::Statement other = scene().statement();
  other.beacon[0] ^= 1;
  const zk::Argument a = decoded(genuine());
  const zk::Argument b = decoded(prove(other));
  // The witness is the same, and so the commitment: it is no secret and binds no statement alone.
  EXPECT_EQ(a.commitment, b.commitment);
  const auto refuse = [&](const char* name, const auto& splice) {
    zk::Argument mixed = a;
    splice(mixed);
    const Bytes bytes = zk::encode_argument(mixed);
    EXPECT_FALSE(verify(scene().statement(), bytes)) << name;
    EXPECT_FALSE(verify(other, bytes)) << name;
  };
  refuse("nonce", [&](zk::Argument& m) { m.nonce = b.nonce; });
  refuse("lookups", [&](zk::Argument& m) { m.gkr = b.gkr; });
  refuse("sums", [&](zk::Argument& m) { m.domain_sums = b.domain_sums; });
  refuse("multiplicities", [&](zk::Argument& m) { m.multiplicities = b.multiplicities; });
  refuse("domains", [&](zk::Argument& m) { m.domains = b.domains; });
  refuse("contractions", [&](zk::Argument& m) { m.contractions = b.contractions; });
  refuse("opening", [&](zk::Argument& m) { m.opening = b.opening; });
  refuse("roots",
         [&](zk::Argument& m) { std::swap(m.commitment.data_root, m.commitment.parity_root); });
  refuse("two sums", [&](zk::Argument& m) { std::swap(m.domain_sums[0], m.domain_sums[1]); });
  refuse("the halves of q",
         [&](zk::Argument& m) { std::swap(m.contractions[0], m.contractions[1]); });
  refuse("two places",
         [&](zk::Argument& m) { std::swap(m.opening.queries[0], m.opening.queries[1]); });
}

// A verifier whose transcript leaves something out takes a proof made for it; ours does not.
TEST(Transcript, WhatIsLeftOutIsMissed) {
  const zk::Statement statement = scene().statement();
  const Lie& truth = scene().truth();
  const std::vector<std::pair<const char*, zk::Transcript>> weak = {
      {"statement", zk::open_transcript({}, genuine().rows, genuine().scalars)},
      {"rows", zk::open_transcript(statement, {}, genuine().scalars)},
      {"scalars", zk::open_transcript(statement, genuine().rows, {})},
  };
  Witness witness = truth.witness;
  ASSERT_TRUE(
      count_multiplicities(scene().model(), truth.publics.columns, witness, scene().pool()));
  for (const auto& [name, transcript] : weak) {
    zk::Transcript mine = transcript;
    zk::Transcript theirs = transcript;
    const auto argument =
        prove_argument(mine, scene().job(), truth.publics, witness, scene().pool());
    ASSERT_TRUE(argument);
    EXPECT_TRUE(zk::verify_argument(theirs, scene().job(), truth.publics, *argument)) << name;
    EXPECT_FALSE(verify(statement, *argument)) << name;
  }
}

// Σ f over {0,1}^3 of f = a·b, and its sumcheck for challenges that are known.
struct Product {
  std::vector<Ext> a, b;

  Ext sum() const {
    Ext total = zk::kZero;
    for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
    return total;
  }
  Ext round(Ext at) const {  // g(at): the lowest variable set
    Ext total = zk::kZero;
    for (std::size_t i = 0; i < a.size(); i += 2) {
      total += (a[i] + at * (a[i + 1] - a[i])) * (b[i] + at * (b[i + 1] - b[i]));
    }
    return total;
  }
  void fold(Ext at) {
    for (auto* list : {&a, &b}) {
      for (std::size_t i = 0; i + 1 < list->size(); i += 2) {
        (*list)[i / 2] = (*list)[i] + at * ((*list)[i + 1] - (*list)[i]);
      }
      list->resize(list->size() / 2);
    }
  }
};

TEST(Frozen, Sumcheck) {
  Product product;
  for (std::uint64_t i = 0; i < 8; ++i) {
    product.a.push_back({{i * i + 3}, {5 * i}});
    product.b.push_back({{7 * i + 1}, {i}});
  }
  const std::vector<Ext> known = {{{11}, {2}}, {{13}, {4}}, {{17}, {6}}};
  const Ext lie = product.sum() + zk::kOne;
  zk::Sumcheck proof;
  Product left = product;
  for (std::size_t i = 0; i < known.size(); ++i) {
    std::array<Ext, 3> g = {left.round(zk::kZero), left.round(zk::kOne), left.round(zk::ext(2))};
    if (i == 0) {  // one more at 1, made good at the challenge
      const Ext truth = zk::interpolate(g, known[0]);
      g[1] += zk::kOne;
      const Ext off = zk::interpolate(g, known[0]) - truth;
      g[2] -= off * inverse(zk::interpolate(std::array{zk::kZero, zk::kZero, zk::kOne}, known[0]));
      EXPECT_EQ(zk::interpolate(g, known[0]), truth);
    }
    proof.messages.push_back(g[0]);
    proof.messages.push_back(g[2]);
    left.fold(known[i]);
  }
  // Frozen: the challenges are those that the prover knew.
  Ext claim = lie;
  for (std::size_t i = 0; i < known.size(); ++i) {
    const Ext g0 = proof.messages[2 * i];
    claim = zk::interpolate(std::array{g0, claim - g0, proof.messages[2 * i + 1]}, known[i]);
  }
  EXPECT_EQ(claim, left.a[0] * left.b[0]);
  // Ours.
  zk::Transcript transcript(as_bytes("frozen"));
  claim = lie;
  const auto point = zk::check_sumcheck(transcript, proof, 3, 2, claim);
  ASSERT_TRUE(point);
  left = product;
  for (const Ext& at : *point) left.fold(at);
  EXPECT_NE(claim, left.a[0] * left.b[0]);
}

// The fractions of two leaves, as layer 0 shows them; λ is the first challenge after the root.
TEST(Frozen, RootOfTheLookups) {
  LeafBlock block{{2}, 0, {5, 9}, {1, 4}, {}};
  engine::Pool pool(1);
  zk::Transcript transcript(as_bytes("frozen"));
  zk::GkrClaim honest;
  zk::GkrProof proof = prove_gkr(transcript, {block}, 1, pool, &honest);
  ASSERT_NE(proof.root[0], zk::kZero);  // 1/q + 1/q' is not 0
  zk::Transcript replay(as_bytes("frozen"));
  replay.absorb(zk::Label::kRootFraction, proof.root);
  const Ext lambda = replay.challenge();
  const std::array<Ext, 2> lie = {zk::kZero, proof.root[1] + proof.root[0] * inverse(lambda)};
  const auto& [p0, p1, q0, q1] = proof.layers[0].values;
  const Ext shown = p0 * q1 + p1 * q0 + lambda * q0 * q1;
  EXPECT_EQ(lie[0] + lambda * lie[1], shown);  // frozen: all later messages stay true
  EXPECT_NE(lie[1], zk::kZero);
  proof.root = lie;
  zk::Transcript real(as_bytes("frozen"));
  EXPECT_FALSE(zk::check_gkr(real, proof, 1));
}

}  // namespace
}  // namespace otr::prover
