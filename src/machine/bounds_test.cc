// SPEC chapter 17 at its limits: the bounds of values, reached by steps on extreme inputs.
#include <gtest/gtest.h>

#include "machine/sample.h"
#include "machine/test_state.h"

namespace otr::machine {
namespace {

using enum Tensor;

// Each case builds the inputs of a bound, runs the step, and compares
// with the bound as a formula: so that the step reaches it and the range holds it.
using Wide = __int128;

void expect_reaches(TestState& state, std::uint32_t t, std::uint32_t layer, Tensor tensor,
                    Wide expected) {
  const StepResult result = state.step_at(t, layer, tensor, 0);
  EXPECT_EQ(result.outcome, StepOutcome::kValue) << info(tensor).name;
  EXPECT_TRUE(Wide{result.value} == expected) << info(tensor).name << " is " << result.value;
  EXPECT_TRUE(expected <= info(tensor).hi && expected >= info(tensor).lo) << info(tensor).name;
}

constexpr std::int64_t kMost = 32639;

TestMatrix row_matrix(std::uint32_t cols, std::int64_t w) {
  return {{Values(cols, w)}, {4095}, {}, 33};
}

TEST(Bounds, ProductsOfTheWidestMatrices) {
  for (const std::int64_t sign : {1, -1}) {
    TestState state;
    Shape& s = state.shape();
    s.hidden = kMaxHidden;
    s.ffn = kMaxFfn;
    s.heads = s.kv_heads = 1;
    s.head_dim = 2;
    s.vocabulary = 1;
    for (const MatrixId id : {MatrixId::kWv, MatrixId::kGate, MatrixId::kUp}) {
      state.set(id, row_matrix(kMaxHidden, 127 * sign));
    }
    state.set(MatrixId::kDown, row_matrix(kMaxFfn, 127 * sign));
    for (const Tensor row : {kA, kM}) state.at(row).assign(kMaxHidden, kMost);
    state.at(kH).assign(kMaxFfn, kMost);
    for (const Tensor part : {kVPart, kGatePart, kUpPart, kDownPart}) {
      expect_reaches(state, 0, 0, part, Wide{127} * kMost * 2048 * sign);
      const std::uint32_t cols = part == kDownPart ? kMaxFfn : kMaxHidden;
      ASSERT_TRUE(state.run_count(0, 0, part, blocks(cols, kDotTerms)));
    }
    const Wide acc = Wide{127} * kMost * kMaxHidden * sign;
    expect_reaches(state, 0, 0, kVM, acc * 4095);
    expect_reaches(state, 0, 0, kGateM, acc * 4095);
    state.at(kGateM) = {kMost};
    state.at(kGExp) = {0};
    state.at(kMExp) = {0};
    for (LayerInfo& layer : state.program.layers) layer.matrices[4].exponent = 0;  // w_gate
    expect_reaches(state, 0, 0, kHM, acc * 4095 * silu_table()[kMost]);
    // The residual of K = 65536 terms: far outside its range, so no wrap may bring it back.
    state.at(kXMid) = {sign > 0 ? kSigned32.hi : kSigned32.lo};
    state.at(kHExp) = {0};
    for (LayerInfo& layer : state.program.layers) layer.matrices[6].exponent = 8;
    s.residual_frac_bits = 8;
    EXPECT_EQ(state.step_at(0, 0, kXOut, 0).outcome, StepOutcome::kOutOfRange);
  }
}

TEST(Bounds, NormsOfTheWidestRow) {
  for (const std::int64_t sign : {1, -1}) {
    const std::int64_t most = sign > 0 ? kSigned24.hi : -kSigned24.lo;
    TestState state;
    Shape& s = state.shape();
    s.hidden = kMaxHidden;
    s.eps = std::int64_t{1} << 40;
    s.qk_frac_bits = 12;
    state.at(kXIn).assign(kMaxHidden, sign * most);
    state.set(GainId::kAttnNorm, Values(kMaxHidden, kInt23), 0);
    ASSERT_TRUE(state.run_all(0, 0, {kN1Hi, kN1Lo, kN1Shift, kN1Sumsq}));
    const Wide square = Wide{most} * most;
    expect_reaches(state, 0, 0, kN1Shift, 0);
    expect_reaches(state, 0, 0, kN1Sumsq, square * 4096);
    expect_reaches(state, 0, 0, kN1Root, square * kMaxHidden + s.eps);
    ASSERT_TRUE(state.run(0, 0, kN1Root));
    ASSERT_TRUE(state.run_all(0, 0, {kAHi, kALo, kAExp, kA}));
    // The greatest R there is belongs to N = 4^j; the product with it is the bound.
    state.at(kN1Root) = {1, 30, std::int64_t{1} << 30, 1 << 16};
    expect_reaches(state, 0, 0, kAHi, Wide{most} * kInt23 * 65536 * sign);
    expect_reaches(state, 0, 0, kALo, Wide{most} * kInt23 * 65536 * sign);
    state.at(kXIn).assign(kMaxHidden, sign > 0 ? kSigned32.hi : kSigned32.lo);
    ASSERT_TRUE(state.run_all(0, 0, {kN1Hi, kN1Lo}));
    expect_reaches(state, 0, 0, kN1Shift, 8);
    ASSERT_TRUE(state.run(0, 0, kN1Shift));
    expect_reaches(state, 0, 0, kN1Sumsq, square * 4096);
    // A shift that is one too small leaves 25 bits of x.
    state.at(kN1Shift) = {7};
    EXPECT_EQ(state.step_at(0, 0, kN1Sumsq, 0).outcome, StepOutcome::kOutOfRange);
  }
  TestState state;
  state.shape().heads = state.shape().kv_heads = 1;
  state.shape().head_dim = kMaxHeadDim;
  state.shape().qk_norm = true;
  state.shape().eps_qk = std::int64_t{1} << 40;
  state.at(kQY).assign(kMaxHeadDim, kSigned24.lo);
  expect_reaches(state, 0, 0, kQRoot, (Wide{1} << 54) + state.shape().eps_qk);
}

TEST(Bounds, RotationAndScores) {
  for (const std::uint32_t d : {128u, 256u}) {
    TestState state;
    Shape& s = state.shape();
    s.heads = s.kv_heads = 1;
    s.head_dim = d;
    state.at(kQY).assign(d, kInt23);
    state.at(kRope).assign(d, 1 << 15);
    expect_reaches(state, 0, 0, kQHi, Wide{2} * kInt23 * 32768);
    state.at(kQY).assign(d, kSigned24.lo);
    expect_reaches(state, 0, 0, kQLo, -(Wide{1} << 39));
    const std::int64_t bound = q_bound(d);
    state.at(kQ).assign(d, bound);
    state.at(kQExp) = {4};
    Values k(d, -4095);
    k.push_back(4);
    state.k_rows = {k};
    expect_reaches(state, 0, 0, kZ, Wide{-4095} * bound * d);
    // One more than the bound of a row is refused: the sum's bound would not hold.
    state.at(kQ)[d - 1] = bound + 1;
    EXPECT_EQ(state.step_at(0, 0, kZ, 0).outcome, StepOutcome::kOutOfRange);
  }
}

// The greatest value that a bound allows stands in the row; half a last place more costs a bit.
TEST(Bounds, RowsReachTheirBounds) {
  struct RowCase {
    Tensor hi, lo, exp;
    std::int64_t bound;
    int exponent;   // of the values before they become a row
    int shift = 3;  // that brings them to the bound; for q and k the least that their cap allows
  };
  TestState state;
  Shape& s = state.shape();
  s.hidden = s.ffn = 1;
  s.heads = s.kv_heads = 1;
  s.head_dim = 130;
  s.qk_frac_bits = 8;
  for (LayerInfo& layer : state.program.layers) {
    for (MatrixInfo& matrix : layer.matrices) matrix.exponent = 10;
    layer.bounds = {101, 102, 103, 104};
    layer.gain_exponents[0] = layer.gain_exponents[3] = 2;
  }
  for (const Tensor exp : {kAExp, kMExp}) state.at(exp) = {0};
  for (const Tensor root : {kN1Root, kN2Root}) state.at(root) = {1, 30, 1 << 30, 1 << 16};
  state.at(kHeadR) = {7, 1 << 15};
  state.at(kHeadShift) = {43};  // with b = 7: the values of o have the exponent 10
  state.at(kHeadM) = state.at(kHeadX) = {0};
  const std::vector<RowCase> rows = {
      {kVHi, kVLo, kVExp, 127, 10},      {kQHi, kQLo, kQExp, 2047, 23, 15},
      {kKHi, kKLo, kKExp, 4095, 23, 15}, {kAHi, kALo, kAExp, 101, 18},
      {kMHi, kMLo, kMExp, 103, 18},      {kOHi, kOLo, kOExp, 102, 10},
      {kGHi, kGLo, kGExp, 32639, 10},    {kHHi, kHLo, kHExp, 104, 0}};
  for (const RowCase& row : rows) {
    const auto exponent_for = [&](std::int64_t hi, std::int64_t lo) {
      state.at(row.hi) = {hi};
      state.at(row.lo) = {lo};
      if (row.exp == kHExp) state.at(kGExp) = {0};
      const StepResult result = state.step_at(0, 0, row.exp, 0);
      EXPECT_EQ(result.outcome, StepOutcome::kValue) << info(row.exp).name;
      if (row.exp != kHExp) return result.value;
      return result.value - 10;  // e_up
    };
    const std::int64_t most = row.bound << row.shift;
    const std::int64_t half = std::int64_t{1} << (row.shift - 1);
    const int kept = row.exponent - row.shift;
    EXPECT_EQ(exponent_for(most + half - 1, 0), kept) << info(row.exp).name;
    EXPECT_EQ(exponent_for(most + half, 0), kept - 1) << info(row.exp).name;  // rounds up
    EXPECT_EQ(exponent_for(0, -most - half), kept) << info(row.exp).name;     // rounds up too
    EXPECT_EQ(exponent_for(0, -most - half - 1), kept - 1) << info(row.exp).name;
    if (row.shift != 3) EXPECT_EQ(exponent_for(1, 0), kept) << info(row.exp).name;  // the cap
  }
}

TEST(Bounds, AttentionOverTheWholeContext) {
  for (const std::int64_t sign : {1, -1}) {
    TestState state;
    Shape& s = state.shape();
    s.heads = s.kv_heads = 1;
    s.head_dim = 1;
    const std::int64_t greatest = exp2_table()[255];
    state.at(kZ).assign(kTile, 255);
    state.v_rows.assign(kTile, Values{127 * sign, -30});
    expect_reaches(state, kTile - 1, 0, kTileM, 0);
    expect_reaches(state, kTile - 1, 0, kTileX, 30);
    state.at(kTileM) = {0};
    state.at(kTileX) = {30};
    expect_reaches(state, kTile - 1, 0, kTileS, greatest * kTile);
    expect_reaches(state, kTile - 1, 0, kTileA, greatest * kTile * 127 * sign);
    const std::uint32_t tiles = kMaxContext / kTile;
    state.at(kTileM).assign(tiles, 0);
    state.at(kTileX).assign(tiles, 30);
    state.at(kTileS).assign(tiles, greatest * kTile);
    state.at(kTileA).assign(tiles, greatest * kTile * 127 * sign);
    const std::uint32_t t = kMaxContext - 1;
    ASSERT_TRUE(state.run_all(t, 0, {kHeadM, kHeadX, kHeadS, kHeadR, kHeadA, kHeadShift}));
    const Wide sum = Wide{greatest} * kTile * tiles << 23;
    expect_reaches(state, t, 0, kHeadS, sum);
    expect_reaches(state, t, 0, kHeadA, sum * 127 * sign);
    expect_reaches(state, t, 0, kHeadR, bitlen(static_cast<std::uint64_t>(sum)) - 31);
    expect_reaches(state, t, 0, kHeadShift, 44);
    // The least sum is one position with the least power; b is then 7 and R its greatest.
    state.at(kHeadS) = {std::int64_t{1} << 37};
    ASSERT_TRUE(state.run(t, 0, kHeadR));
    EXPECT_EQ(state.at(kHeadR), (Values{7, 1 << 16}));
    const std::int64_t end = sign > 0 ? kSigned19.hi : kSigned19.lo;
    state.at(kHeadA) = {end};
    expect_reaches(state, t, 0, kHeadShift, 0);
    state.at(kHeadShift) = {0};
    expect_reaches(state, t, 0, kOV, Wide{end} * 65536);
    state.at(kHeadA) = {end + sign};
    expect_reaches(state, t, 0, kHeadShift, 1);
    EXPECT_EQ(state.step_at(t, 0, kOV, 0).outcome, StepOutcome::kOutOfRange);
  }
}

// Gaps between the greatest and the least score of a tile are legal and give weight 0.
TEST(Bounds, FarthestScores) {
  TestState state;
  Shape& s = state.shape();
  s.heads = s.kv_heads = 1;
  s.head_dim = 1;
  const std::int64_t far = std::int64_t{4095} * 4095 * 128;
  state.at(kZ).assign(kTile, 0);
  state.at(kZ)[0] = -far;
  state.at(kZ)[1] = far;
  state.v_rows = {{127, 30}, {1, -30}};
  ASSERT_TRUE(state.run_all(1, 0, {kTileM, kTileX, kTileS, kTileA}));
  EXPECT_EQ(state.at(kTileS)[0], exp2_table()[static_cast<std::size_t>(far & 255)]);
  EXPECT_EQ(state.at(kTileA)[0], exp2_table()[static_cast<std::size_t>(far & 255)]);
}

std::array<std::uint32_t, 8> least_noise(const std::array<std::uint8_t, 32>&, std::uint32_t,
                                         std::uint32_t) {
  return {UINT32_MAX};
}
std::array<std::uint32_t, 8> most_noise(const std::array<std::uint8_t, 32>&, std::uint32_t,
                                        std::uint32_t) {
  return {0};
}

TEST(Bounds, BiasPenaltiesAndScores) {
  TestState state;
  state.shape().vocabulary = 1;
  state.sampling = {.inv_t = kMaxInvT, .presence = -kMaxPenalty, .frequency = -kMaxPenalty};
  state.tokens.assign(5000, 0);
  const std::uint32_t t = 4999;
  state.sampling.logit_bias = {{0, kMaxLogitBias}};
  const std::int64_t most = std::int64_t{kMaxPenalty} * (1 + kPenaltyWindow) + kMaxLogitBias;
  state.at(kLogit) = {kSigned32.hi};
  expect_reaches(state, t, kHeadLayer, kL, Wide{kSigned32.hi} + most);
  state.sampling.presence = state.sampling.frequency = kMaxPenalty;
  state.sampling.logit_bias = {{0, -kMaxLogitBias}};
  state.at(kLogit) = {kSigned32.lo};
  expect_reaches(state, t, kHeadLayer, kL, Wide{kSigned32.lo} - most);
  state.at(kL) = {kSigned32.lo - most};
  state.at(kLMax) = {kSigned32.hi + most};
  expect_reaches(state, t, kHeadLayer, kDelta, kMaxDistance);
  state.at(kLMax) = {kSigned32.lo - most - 1};
  EXPECT_EQ(state.step_at(t, kHeadLayer, kDelta, 0).outcome, StepOutcome::kOutOfRange);
  state.at(kPW) = {0};
  state.at(kPCut) = {kKeepAll};
  state.at(kDelta) = {kMaxDistance};
  state.noise = least_noise;
  expect_reaches(state, t, kHeadLayer, kScore, Wide{gumbel_table()[4095]} - kMaxDistance);
  EXPECT_GT(gumbel_table()[4095] - kMaxDistance, kNotKept);
  state.at(kPCut) = {key_of(kMaxDistance, 0) - 1};
  expect_reaches(state, t, kHeadLayer, kScore, kNotKept);
  state.at(kDelta) = {0};
  state.noise = most_noise;
  expect_reaches(state, t, kHeadLayer, kScore, Wide{gumbel_table()[15 * 4096]} + (17 << 16));
}

TEST(Bounds, Masses) {
  TestState state;
  state.shape().vocabulary = kMaxVocabulary;
  state.sampling.inv_t = 1;
  const std::uint32_t t = 0;
  state.at(kDelta).assign(kMaxVocabulary, 0);
  state.at(kKCut) = {kKeepAll};
  ASSERT_TRUE(state.run(t, kHeadLayer, kKW));
  expect_reaches(state, t, kHeadLayer, kKW, kMassOne);
  expect_reaches(state, t, kHeadLayer, kKCount, 4096);
  expect_reaches(state, t, kHeadLayer, kKMass, Wide{kMassOne} * 4096);
  // All mass of the greatest vocabulary, times 2^16, in the step of p_cut.
  state.sampling.top_p = 1;
  ASSERT_TRUE(state.run(t, kHeadLayer, kKMass));
  state.at(kPW) = state.at(kKW);
  state.at(kPMass) = state.at(kKMass);
  state.claim = key_of(0, kMaxVocabulary - 1);
  EXPECT_EQ(state.step_at(t, kHeadLayer, kPCut, 0).outcome, StepOutcome::kMismatch);
  state.sampling.top_p = 65535;
  EXPECT_EQ(state.step_at(t, kHeadLayer, kPCut, 0).outcome, StepOutcome::kMismatch);
  state.at(kPMass).back() = kMassOne * 4092;  // 65535/65536 of all: just enough
  expect_reaches(state, t, kHeadLayer, kPCut, state.claim);
}

}  // namespace
}  // namespace otr::machine
