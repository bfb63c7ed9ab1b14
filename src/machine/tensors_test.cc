// SPEC PROG-2, PROG-3, PROG-7: the table of the program, read a second time out of the text of the
// SPEC; and the bounds of chapter 17, reached by steps on extreme inputs.
#include "machine/tensors.h"

#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <map>
#include <string>

#include "machine/test_state.h"

namespace otr::machine {
namespace {

using enum Tensor;
using Line = std::vector<std::string>;  // the cells of one line of a table

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? ""
                                    : text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

std::vector<std::string> split(const std::string& text, const std::string& by) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find(by, begin)) != std::string::npos;
       begin = end + by.size()) {
    parts.push_back(trimmed(text.substr(begin, end - begin)));
  }
  parts.push_back(trimmed(text.substr(begin)));
  return parts;
}

// All lines of tables that stand between two rules.
std::vector<Line> table_lines(const std::string& from, const std::string& to) {
  std::ifstream file(OTR_SOURCE_DIR "/spec/SPEC.md");
  std::vector<Line> lines;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("- **" + from + "**")) inside = true;
    if (line.starts_with(to)) inside = false;
    if (!inside || !line.starts_with("| ") || line.starts_with("| ---")) continue;
    Line cells = split(line, " | ");
    cells.front().erase(0, 2);
    if (cells.back().ends_with(" |")) cells.back().resize(cells.back().size() - 2);
    lines.push_back(cells);
  }
  EXPECT_FALSE(lines.empty()) << "no table from " << from << " to " << to << " in spec/SPEC.md";
  return lines;
}

// "1, 2" and "51 … 59".
std::vector<int> numbers_of(const std::string& cell) {
  std::vector<int> numbers;
  const auto ends = split(cell, " … ");
  if (ends.size() == 2) {
    for (int n = std::stoi(ends[0]); n <= std::stoi(ends[1]); ++n) numbers.push_back(n);
  } else {
    for (const std::string& one : split(cell, ", ")) numbers.push_back(std::stoi(one));
  }
  return numbers;
}

struct SpecTensor {
  std::string name;
  std::string shape;
};

// By number. Shapes that point to other tensors are replaced by what stands there.
std::map<int, SpecTensor> spec_tensors() {
  std::map<int, SpecTensor> tensors;
  for (const Line& line : table_lines("PROG-2", "- **PROG-4**")) {
    if (line[0] == "no") continue;
    const std::vector<int> numbers = numbers_of(line[0]);
    const std::vector<std::string> names = split(line[1], ", ");
    std::vector<std::string> shapes = split(line[2], ", ");
    EXPECT_EQ(names.size(), numbers.size()) << line[1];
    if (line[2].starts_with("as ")) {
      shapes.clear();
      for (const int n : numbers_of(line[2].substr(3))) shapes.push_back(tensors.at(n).shape);
    }
    if (shapes.size() == 1) shapes.resize(numbers.size(), shapes[0]);
    EXPECT_EQ(shapes.size(), numbers.size()) << line[2];
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      tensors[numbers[i]] = {names.at(i), shapes.at(i)};
    }
  }
  return tensors;
}

TEST(Tensors, NamesAndNumbersAreThoseOfTheSpec) {
  const auto tensors = spec_tensors();
  ASSERT_EQ(tensors.size(), std::size_t{kTensorCount});
  for (const auto& [number, tensor] : tensors) {
    EXPECT_EQ(info(static_cast<Tensor>(number)).name, tensor.name) << number;
  }
  EXPECT_EQ(tensors.at(static_cast<int>(kFirstOfHead)).name, "nf_hi");
}

Shape sample_shape() {
  Shape s;
  s.hidden = 5000;
  s.heads = 96;
  s.kv_heads = 32;
  s.head_dim = 70;
  s.ffn = 9001;
  s.layers = 3;
  s.vocabulary = 13000;
  s.context = 1000;
  s.qk_norm = true;
  return s;
}

// One factor of a shape, e.g. "HD", "K(n_ff)", "128nT", "D/2", "4".
std::uint64_t factor(const std::string& text, const Shape& s, std::uint32_t t) {
  const std::uint64_t tiles = t / 128 - first_attended(t, s.window) / 128 + 1;
  const std::map<std::string, std::uint64_t> sizes = {
      {"d", s.hidden},
      {"H", s.heads},
      {"G", s.kv_heads},
      {"HD", std::uint64_t{s.heads} * s.head_dim},
      {"GD", std::uint64_t{s.kv_heads} * s.head_dim},
      {"D/2", s.head_dim / 2},
      {"n_ff", s.ffn},
      {"V", s.vocabulary},
      {"nT", tiles},
      {"128nT", 128 * tiles}};
  if (const auto it = sizes.find(text); it != sizes.end()) return it->second;
  if (text.size() > 3 && text[1] == '(') {
    const std::map<char, std::uint64_t> blocks_of = {{'K', 2048}, {'P', 4096}, {'Q', 1024}};
    const std::uint64_t n = factor(text.substr(2, text.size() - 3), s, t);
    return (n + blocks_of.at(text[0]) - 1) / blocks_of.at(text[0]);
  }
  EXPECT_TRUE(std::isdigit(static_cast<unsigned char>(text[0]))) << "unknown size: " << text;
  return std::stoull(text);
}

TEST(Tensors, ShapesAreThoseOfTheSpec) {
  Program program;
  for (const std::uint32_t window : {0u, 100u, 300u}) {
    program.shape = sample_shape();
    program.shape.window = window;
    const Sampling sampling{.inv_t = 1};
    for (const std::uint32_t t : {0u, 127u, 128u, 427u, 999u}) {
      for (const auto& [number, tensor] : spec_tensors()) {
        Values sizes;
        for (const std::string& f : split(tensor.shape, " × ")) {
          sizes.push_back(static_cast<std::int64_t>(factor(f, program.shape, t)));
        }
        if (sizes.size() == 1) sizes.insert(sizes.begin(), 1);
        const auto id = static_cast<Tensor>(number);
        const std::uint32_t layer = id >= kFirstOfHead ? kHeadLayer : 0;
        const TensorShape shape = shape_of(program, sampling, t, layer, id);
        EXPECT_EQ(
            (Values{static_cast<std::int64_t>(shape.rows), static_cast<std::int64_t>(shape.cols)}),
            sizes)
            << tensor.name << " at " << t;
        EXPECT_EQ(shape_of(program, sampling, t, layer == 0 ? kHeadLayer : 0, id).size(), 0u);
      }
    }
  }
}

TEST(Tensors, AbsentOnesAreThoseOfTheSpec) {
  Program program;
  program.shape = sample_shape();
  const auto present = [&](std::uint32_t layer, Tensor tensor, std::uint32_t inv_t = 1) {
    return shape_of(program, {.inv_t = inv_t}, 5, layer, tensor).size() != 0;
  };
  EXPECT_TRUE(present(0, kXIn));
  EXPECT_FALSE(present(1, kXIn));
  for (const Tensor tensor : {kKCut, kKCount, kKMass, kPCut, kPMass}) {
    EXPECT_TRUE(present(kHeadLayer, tensor));
    EXPECT_FALSE(present(kHeadLayer, tensor, 0));
  }
  program.shape.qk_norm = false;
  for (const Tensor tensor : {kQRoot, kQN, kKRoot, kKN}) EXPECT_FALSE(present(0, tensor));
  // A part exists from 2049 columns on, each by the width of its own matrix.
  const std::vector<std::pair<Tensor, std::uint32_t Shape::*>> parts = {
      {kQPart, &Shape::hidden},    {kKPart, &Shape::hidden},   {kVPart, &Shape::hidden},
      {kGatePart, &Shape::hidden}, {kUpPart, &Shape::hidden},  {kLogitPart, &Shape::hidden},
      {kDownPart, &Shape::ffn},    {kWoPart, &Shape::head_dim}};
  for (const auto& [tensor, width] : parts) {
    program.shape = sample_shape();
    program.shape.heads = program.shape.kv_heads = 1;
    const std::uint32_t layer = tensor == kLogitPart ? kHeadLayer : 0;
    program.shape.*width = 2048;
    EXPECT_FALSE(present(layer, tensor)) << info(tensor).name;
    program.shape.*width = 2049;
    EXPECT_TRUE(present(layer, tensor)) << info(tensor).name;
  }
}

// "2^31 - 1", "-64", "32639", "2^23 + 30".
std::int64_t value_of(std::string text) {
  std::int64_t plus = 0;
  for (const std::string sign : {" - ", " + "}) {
    const auto at = text.find(sign);
    if (at == std::string::npos) continue;
    plus = std::stoll(text.substr(at + 3)) * (sign == " - " ? -1 : 1);
    text.resize(at);
  }
  if (text.starts_with("-2^")) return -value_of(text.substr(1)) + plus;
  if (!text.starts_with("2^")) return std::stoll(text) + plus;
  const int n = std::stoi(text.substr(2));
  return n == 63 ? INT64_MAX + (plus + 1) : (std::int64_t{1} << n) + plus;
}

TEST(Tensors, RangesAreThoseOfTheSpec) {
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> ranges;
  for (const Line& line : table_lines("PROG-7", "## 9.")) {
    if (line[0] == "tensors") continue;
    std::string text = line[1];
    if (const auto as = text.find("as a tensor "); as != std::string::npos)
      text = text.substr(as + 12);
    text = split(split(text, ";")[0], " (")[0];
    for (const std::string& name : split(line[0], ", ")) {
      EXPECT_FALSE(ranges.contains(name)) << name << " has two ranges";
      if (text.starts_with("±")) {
        std::string bound = text.substr(std::string("±").size());
        if (bound.starts_with("(")) bound = bound.substr(1, bound.size() - 2);
        ranges[name] = {-value_of(bound), value_of(bound)};
      } else {
        const auto ends = split(text, " … ");
        ranges[name] = {value_of(ends.at(0)), value_of(ends.at(1))};
      }
    }
  }
  EXPECT_EQ(ranges.size(), std::size_t{kTensorCount});
  for (int i = 0; i < kTensorCount; ++i) {
    const TensorInfo& facts = info(static_cast<Tensor>(i));
    ASSERT_TRUE(ranges.contains(std::string(facts.name))) << facts.name;
    const auto& [lo, hi] = ranges.at(std::string(facts.name));
    EXPECT_EQ(facts.lo, lo) << facts.name;
    EXPECT_EQ(facts.hi, hi) << facts.name;
  }
}

// Chapter 17 at its limits. Each case builds the inputs of a bound, runs the step, and compares
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

TEST(Bounds, PenaltiesAndMasses) {
  TestState state;
  state.shape().vocabulary = kMaxVocabulary;
  state.sampling = {.inv_t = kMaxInvT, .presence = -kMaxPenalty, .frequency = -kMaxPenalty};
  state.tokens.assign(5000, 1);
  state.at(kLogit).assign(kMaxVocabulary, kSigned32.hi);
  const std::uint32_t t = 4999;
  const Wide least = Wide{kMaxPenalty} * (1 + kPenaltyWindow);
  expect_reaches(state, t, kHeadLayer, kLHi, kSigned32.hi + least);
  state.sampling.presence = state.sampling.frequency = kMaxPenalty;
  state.at(kLogit).assign(kMaxVocabulary, kSigned32.lo);
  state.tokens.assign(5000, 0);
  ASSERT_TRUE(state.run(t, kHeadLayer, kLHi));
  EXPECT_EQ(state.at(kLHi)[0], kSigned32.lo);
  state.sampling.presence = state.sampling.frequency = 0;
  state.at(kLMax) = {kSigned32.lo};
  state.at(kKCut) = {kKeepAll};
  expect_reaches(state, t, kHeadLayer, kKCount, 4096);
  expect_reaches(state, t, kHeadLayer, kKMass, Wide{kMassOne} * 4096);
  // All mass of the greatest vocabulary, times 2^16, in the step of p_cut.
  state.sampling.top_p = 1;
  ASSERT_TRUE(state.run(t, kHeadLayer, kKMass));
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
