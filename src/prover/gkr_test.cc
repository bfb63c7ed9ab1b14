// The prover of fractions against a dense one that follows SPEC PL-4 to the letter (the proofs must
// be the same bits), and against the verifier.
#include "prover/gkr.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "prover/gkr_kernels.h"
#include "prover/gkr_segments.h"
#include "zk/mle.h"

namespace otr::prover {
namespace {

using zk::Ext;
using zk::Felt;
using zk::GkrClaim;
using zk::GkrProof;
using zk::kOne;
using zk::kPrime;
using zk::kZero;
using zk::Transcript;

struct Dense {
  std::vector<Ext> p, q;
};

std::size_t place_of(const LeafBlock& block, std::size_t cell) {
  std::size_t place = 0;
  int shift = 0;
  for (const std::uint32_t n : block.dims) {
    place |= cell % n << shift;
    cell /= n;
    shift += zk::bits_of(n);
  }
  return block.base + place;
}

Dense leaves_of(const std::vector<LeafBlock>& blocks, std::size_t nu) {
  Dense leaves{std::vector<Ext>(1ULL << nu, kZero), std::vector<Ext>(1ULL << nu, kOne)};
  for (const LeafBlock& block : blocks) {
    for (std::size_t i = 0; i < block.q0.size(); ++i) {
      const std::size_t place = place_of(block, i);
      leaves.p[place] = {block.p.empty() ? Felt{1} : Felt{block.p[i]}, {}};
      leaves.q[place] = {{block.q0[i]}, {block.q1[i]}};
    }
  }
  return leaves;
}

Ext extension(const std::vector<Ext>& values, const zk::Point& r) {
  const std::vector<Ext> weights = zk::eq_table(r, values.size());
  Ext sum = kZero;
  for (std::size_t i = 0; i < values.size(); ++i) sum += weights[i] * values[i];
  return sum;
}

void bind(std::vector<Ext>& values, Ext rho) {
  for (std::size_t i = 0; 2 * i < values.size(); ++i) {
    values[i] = values[2 * i] + rho * (values[2 * i + 1] - values[2 * i]);
  }
  values.resize(values.size() / 2);
}

GkrProof::Layer dense_layer(Transcript& transcript, const Dense& children, zk::Point& z) {
  const Ext lambda = transcript.challenge();
  // The five factors of the summand: eq, P(x,0), P(x,1), Q(x,0), Q(x,1).
  std::vector<std::vector<Ext>> f(5);
  f[0] = zk::eq_table(z, children.p.size() / 2);
  for (std::size_t i = 0; i < children.p.size(); ++i) {
    f[1 + i % 2].push_back(children.p[i]);
    f[3 + i % 2].push_back(children.q[i]);
  }
  GkrProof::Layer layer;
  zk::Point y;
  while (f[0].size() > 1) {
    std::array<Ext, 3> sent = {};
    for (std::size_t m = 0; m < 3; ++m) {
      const Ext t = zk::ext(m == 0 ? 0 : static_cast<std::int64_t>(m) + 1);
      for (std::size_t x = 0; x < f[0].size(); x += 2) {
        std::array<Ext, 5> v;
        for (std::size_t j = 0; j < 5; ++j) v[j] = f[j][x] + t * (f[j][x + 1] - f[j][x]);
        sent[m] += v[0] * (v[1] * v[4] + v[2] * v[3] + lambda * v[3] * v[4]);
      }
    }
    transcript.absorb(zk::Label::kSumcheck, sent);
    layer.rounds.messages.insert(layer.rounds.messages.end(), sent.begin(), sent.end());
    y.push_back(transcript.challenge());
    for (auto& factor : f) bind(factor, y.back());
  }
  layer.values = {f[1][0], f[2][0], f[3][0], f[4][0]};
  transcript.absorb(zk::Label::kLayer, layer.values);
  z.assign(1, transcript.challenge());
  z.insert(z.end(), y.begin(), y.end());
  return layer;
}

GkrProof dense_proof(Transcript& transcript, const std::vector<LeafBlock>& blocks, std::size_t nu) {
  std::vector<Dense> layers = {leaves_of(blocks, nu)};
  while (layers.back().p.size() > 1) {
    const Dense& below = layers.back();
    Dense sums;
    for (std::size_t i = 0; i < below.p.size(); i += 2) {
      sums.p.push_back(below.p[i] * below.q[i + 1] + below.p[i + 1] * below.q[i]);
      sums.q.push_back(below.q[i] * below.q[i + 1]);
    }
    layers.push_back(std::move(sums));
  }
  GkrProof proof{{layers.back().p[0], layers.back().q[0]}, {}};
  transcript.absorb(zk::Label::kRootFraction, proof.root);
  zk::Point z;
  for (std::size_t k = 0; k < nu; ++k) {
    layers.pop_back();
    proof.layers.push_back(dense_layer(transcript, layers.back(), z));
  }
  return proof;
}

bool same(const GkrProof& a, const GkrProof& b) {
  return a.root == b.root &&
         std::ranges::equal(a.layers, b.layers,
                            [](const GkrProof::Layer& x, const GkrProof::Layer& y) {
                              return x.rounds.messages == y.rounds.messages && x.values == y.values;
                            });
}

using Shape = std::vector<std::uint32_t>;

// Blocks of these shapes after one another in the order of PL-3, with random cells; `sparse` ones
// have numerators, most of them 0.
struct Random {
  std::mt19937_64 bits{7};
  std::uint64_t felt() { return bits() % kPrime; }

  std::vector<LeafBlock> blocks(std::vector<Shape> shapes, std::size_t& nu) {
    const auto size = [](const Shape& shape) {
      int sum = 0;
      for (const std::uint32_t n : shape) sum += zk::bits_of(n);
      return sum;
    };
    std::ranges::sort(shapes, std::greater<>{}, size);
    std::vector<LeafBlock> list;
    std::uint64_t end = 0;
    for (Shape& shape : shapes) {
      LeafBlock block;
      block.dims = shape;
      block.base = end;
      end += 1ULL << size(shape);
      std::size_t count = 1;
      for (const std::uint32_t n : shape) count *= n;
      const bool sparse = bits() % 2 == 0;
      for (std::size_t i = 0; i < count; ++i) {
        block.q0.push_back(felt());
        block.q1.push_back(felt());
        if (sparse) block.p.push_back(bits() % 3 == 0 ? felt() : 0);
      }
      list.push_back(std::move(block));
    }
    nu = static_cast<std::size_t>(zk::bits_of(end));
    return list;
  }
  // Shapes of up to three dimensions and 2^9 leaves or so.
  std::vector<Shape> shapes() {
    std::vector<Shape> list(1 + bits() % 5);
    for (Shape& shape : list) {
      for (std::uint64_t d = bits() % 4; d > 0; --d) {
        shape.push_back(static_cast<std::uint32_t>(1 + bits() % 11));
      }
    }
    return list;
  }
  std::vector<LeafBlock> blocks(std::size_t& nu) { return blocks(shapes(), nu); }
};

// A last block that makes the fractions sum to 0: one leaf -P/Q with P and Q in F, for blocks whose
// cells are all in F.
std::vector<LeafBlock> summing_to_zero(Random& random, std::vector<Shape> shapes, std::size_t& nu) {
  shapes.push_back({1});
  std::vector<LeafBlock> blocks = random.blocks(std::move(shapes), nu);
  Felt sum;
  for (LeafBlock& block : blocks) {
    std::ranges::fill(block.q1, 0);
    if (&block == &blocks.back()) break;
    for (std::size_t i = 0; i < block.q0.size(); ++i) {
      sum += (block.p.empty() ? Felt{1} : Felt{block.p[i]}) * inverse(Felt{block.q0[i]});
    }
  }
  blocks.back().p = {(-sum * Felt{blocks.back().q0[0]}).v};
  return blocks;
}

Transcript start() { return Transcript(as_bytes("gkr test")); }

class GkrTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    const bool compiled = GetParam() == Isa::kPortable ||
                          (GetParam() == Isa::kAvx2 ? gkr_kernels_avx2() : gkr_kernels_avx512());
    if (!compiled || !supported(GetParam())) {
      GTEST_SKIP() << "this machine or build lacks the instruction set: kernels NOT TESTED";
    }
  }
  void expect_dense(const std::vector<LeafBlock>& blocks, std::size_t nu) {
    Transcript a = start(), b = start();
    GkrClaim claim;
    const GkrProof proof = prove_gkr(a, blocks, nu, pool_, &claim, GetParam());
    EXPECT_TRUE(same(proof, dense_proof(b, blocks, nu)));
    EXPECT_EQ(a.challenge(), b.challenge());
    const Dense leaves = leaves_of(blocks, nu);
    EXPECT_EQ(claim.r.size(), nu);
    EXPECT_EQ(claim.p, extension(leaves.p, claim.r));
    EXPECT_EQ(claim.q, extension(leaves.q, claim.r));
  }
  Random random_;
  engine::Pool pool_{2};
};

TEST_P(GkrTest, SaysWhatTheDenseProverSays) {
  for (int i = 0; i < 120; ++i) {
    std::size_t nu = 0;
    const auto blocks = random_.blocks(nu);
    SCOPED_TRACE(testing::PrintToString(i));
    expect_dense(blocks, nu);
  }
}

TEST_P(GkrTest, TakesLongRowsAndManySegments) {
  const std::vector<std::vector<Shape>> cases = {{{9001}},
                                                 {{16384}},
                                                 {{4099, 3}},
                                                 {{3, 4099}},
                                                 {{2, 3, 1025}, {300, 5}, {129}},
                                                 {{7, 1, 600}, {5000}, {1, 1}},
                                                 {{33, 100}, {6, 128, 9}},
                                                 {{24, 50}, {72, 3, 40}},
                                                 {{3, 5, 700}, {2047, 3}},
                                                 {{1}},
                                                 {{}},
                                                 {{1, 1, 1}, {1}, {}},
                                                 {{2}},
                                                 {{3}},
                                                 {{1, 3, 1}}};
  for (const auto& shapes : cases) {
    std::size_t nu = 0;
    const auto blocks = random_.blocks(shapes, nu);
    SCOPED_TRACE(testing::PrintToString(shapes));
    expect_dense(blocks, nu);
  }
}

TEST_P(GkrTest, TakesGapsAndUnusedLeaves) {
  std::size_t nu = 0;
  auto blocks = random_.blocks({{5, 3}, {2}, {1}}, nu);
  blocks[0].base = 32;
  blocks[1].base = 6;
  blocks[2].base = 9;
  expect_dense(blocks, 8);
  expect_dense({}, 0);
  expect_dense({}, 4);
}

TEST_P(GkrTest, DoesNotDependOnThreads) {
  std::size_t nu = 0;
  const auto blocks = random_.blocks({{37, 1000}, {5000}, {3, 700}}, nu);
  Transcript one = start(), three = start();
  engine::Pool pool1(1), pool3(3);
  EXPECT_TRUE(same(prove_gkr(one, blocks, nu, pool1, nullptr, GetParam()),
                   prove_gkr(three, blocks, nu, pool3, nullptr, Isa::kPortable)));
}

TEST_P(GkrTest, ConvincesTheVerifier) {
  for (int i = 0; i < 40; ++i) {
    std::size_t nu = 0;
    const auto blocks = summing_to_zero(random_, random_.shapes(), nu);
    Transcript prover = start(), verifier = start();
    GkrClaim claim;
    const GkrProof proof = prove_gkr(prover, blocks, nu, pool_, &claim, GetParam());
    const auto checked = zk::check_gkr(verifier, proof, nu);
    ASSERT_TRUE(checked) << checked.error().message;
    EXPECT_EQ(checked->r, claim.r);
    EXPECT_EQ(checked->p, claim.p);
    EXPECT_EQ(checked->q, claim.q);
    EXPECT_EQ(prover.challenge(), verifier.challenge());
  }
}

TEST_P(GkrTest, AZeroDenominatorIsRefused) {
  std::size_t nu = 0;
  auto blocks = summing_to_zero(random_, {{5, 3}, {7}}, nu);
  blocks[0].q0[4] = 0;
  expect_dense(blocks, nu);
  Transcript prover = start(), verifier = start();
  const GkrProof proof = prove_gkr(prover, blocks, nu, pool_, nullptr, GetParam());
  EXPECT_EQ(proof.root[1], kZero);
  const auto checked = zk::check_gkr(verifier, proof, nu);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, "PROOF_INVALID");
}

INSTANTIATE_TEST_SUITE_P(AllSets, GkrTest,
                         testing::Values(Isa::kPortable, Isa::kAvx2, Isa::kAvx512));

TEST(SegmentsTest, AreEqAsAProduct) {
  const std::vector<std::vector<std::uint64_t>> cases = {
      {7, 5000, 3, 9000}, {1024, 4099}, {3000, 70001}, {1, 3, 5}, {5, 7, 11, 13}, {9000000}};
  std::mt19937_64 random(3);
  for (const auto& dims : cases) {
    Transcript transcript = start();
    const zk::Point point = transcript.challenges(60);
    Segments segments(true, point);
    std::uint64_t count = 1;
    for (const std::uint64_t n : dims) {
      segments.add_dimension(n);
      count *= n;
    }
    segments.place_at(5);
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t cell = i == 0 ? count - 1 : random() % count;
      std::uint64_t place = 0, left = cell;
      int shift = 0;
      for (const std::uint64_t n : dims) {
        place |= left % n << shift;
        left /= n;
        shift += zk::bits_of(n);
      }
      const std::uint64_t in_run = cell % segments.run_size();
      const std::uint64_t segment =
          cell / segments.run_size() * segments.per_run() + in_run / segments.table_size();
      EXPECT_EQ(segments.weight(segment) * segments.table()[in_run % segments.table_size()],
                zk::eq_at(point, place | std::uint64_t{5} << shift));
    }
  }
}

// --- Tampering
// -------------------------------------------------------------------------------------

class GkrTamperTest : public testing::Test {
 protected:
  GkrTamperTest() : blocks_(summing_to_zero(random_, {{5, 3}, {6}, {1}}, nu_)) {
    Transcript transcript = start();
    proof_ = prove_gkr(transcript, blocks_, nu_, pool_, nullptr);
    leaves_ = leaves_of(blocks_, nu_);
  }
  // Whether a verifier that sees the leaves accepts.
  bool accepts(const GkrProof& proof) const {
    Transcript transcript = start();
    const auto claim = zk::check_gkr(transcript, proof, nu_);
    if (!claim) EXPECT_EQ(claim.error().code, "PROOF_INVALID");
    return claim && claim->p == extension(leaves_.p, claim->r) &&
           claim->q == extension(leaves_.q, claim->r);
  }
  Random random_;
  engine::Pool pool_{1};
  std::size_t nu_ = 0;
  std::vector<LeafBlock> blocks_;
  GkrProof proof_;
  Dense leaves_;
};

TEST_F(GkrTamperTest, AcceptsTheProof) { EXPECT_TRUE(accepts(proof_)); }

TEST_F(GkrTamperTest, RefusesEveryChangedElement) {
  const auto change = [&](auto element) {
    for (const Ext by : {kOne, Ext{{0}, {1}}, Ext{{kPrime - 1}, {3}}}) {
      GkrProof changed = proof_;
      element(changed) += by;
      EXPECT_FALSE(accepts(changed));
    }
  };
  for (std::size_t i = 0; i < 2; ++i) {
    change([&](GkrProof& p) -> Ext& { return p.root[i]; });
  }
  for (std::size_t k = 0; k < nu_; ++k) {
    for (std::size_t i = 0; i < 4; ++i) {
      change([&](GkrProof& p) -> Ext& { return p.layers[k].values[i]; });
    }
    for (std::size_t i = 0; i < 3 * k; ++i) {
      change([&](GkrProof& p) -> Ext& { return p.layers[k].rounds.messages[i]; });
    }
  }
}

TEST_F(GkrTamperTest, RefusesAChangedLeafAndAnotherStatement) {
  std::vector<LeafBlock> changed = blocks_;
  changed[0].q0[7] ^= 1;
  Transcript a = start(), b = start();
  const GkrProof proof = prove_gkr(a, changed, nu_, pool_, nullptr);
  EXPECT_NE(proof.root[0], kZero);
  EXPECT_FALSE(zk::check_gkr(b, proof, nu_));

  // The verifier's half passes with other leaves that sum to 0; the claim gives it away.
  std::vector<LeafBlock> other = blocks_;
  std::swap(other[0].q0[1], other[0].q0[2]);
  if (!other[0].p.empty()) std::swap(other[0].p[1], other[0].p[2]);
  Transcript c = start();
  EXPECT_FALSE(accepts(prove_gkr(c, other, nu_, pool_, nullptr)));
}

// The sum of 0/0 is none, though its numerator is 0.
TEST_F(GkrTamperTest, RefusesASumWithoutDenominator) {
  std::vector<LeafBlock> changed = blocks_;
  changed[0].q0[1] = changed[0].q0[2] = 0;
  Transcript a = start(), b = start();
  const GkrProof proof = prove_gkr(a, changed, nu_, pool_, nullptr);
  EXPECT_EQ(proof.root[0], kZero);
  EXPECT_EQ(proof.root[1], kZero);
  EXPECT_FALSE(zk::check_gkr(b, proof, nu_));
}

// A proof of nothing whose last layer tells the truth about the leaves: only the links between the
// layers are false.
TEST_F(GkrTamperTest, RefusesLayersThatDoNotHangTogether) {
  GkrProof forged = proof_;
  Transcript transcript = start();
  forged.root = {kZero, kOne};
  transcript.absorb(zk::Label::kRootFraction, forged.root);
  for (std::size_t k = 0; k < nu_; ++k) {
    static_cast<void>(transcript.challenge());
    std::ranges::fill(forged.layers[k].rounds.messages, kOne);
    zk::Point y = {kZero};  // the place of the lowest variable
    for (std::size_t i = 0; i < k; ++i) {
      transcript.absorb(zk::Label::kSumcheck, std::array{kOne, kOne, kOne});
      y.push_back(transcript.challenge());
    }
    if (k + 1 == nu_) {
      for (const std::size_t bit : {0, 1}) {
        y[0] = bit == 0 ? kZero : kOne;
        forged.layers[k].values[bit] = extension(leaves_.p, y);
        forged.layers[k].values[2 + bit] = extension(leaves_.q, y);
      }
    }
    transcript.absorb(zk::Label::kLayer, forged.layers[k].values);
    static_cast<void>(transcript.challenge());
  }
  EXPECT_FALSE(accepts(forged));
}

TEST_F(GkrTamperTest, RefusesWrongSizes) {
  for (const auto change : std::initializer_list<void (*)(GkrProof&)>{
           [](GkrProof& p) { p.layers.pop_back(); },
           [](GkrProof& p) { p.layers.push_back(p.layers.back()); },
           [](GkrProof& p) { p.layers[2].rounds.messages.pop_back(); },
           [](GkrProof& p) { p.layers[0].rounds.messages.push_back(kZero); },
           [](GkrProof& p) { p.layers.clear(); }}) {
    GkrProof changed = proof_;
    change(changed);
    EXPECT_FALSE(accepts(changed));
  }
  Transcript transcript = start();
  EXPECT_FALSE(zk::check_gkr(transcript, proof_, nu_ + 1));
}

}  // namespace
}  // namespace otr::prover
