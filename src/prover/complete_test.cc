// Completeness at the limits of SPEC PT and PS: for each of them a model that reaches it (which
// each test also checks), and the honest answer has a witness that satisfies its circuit. Some have
// the whole proof made and verified; OTR_EXHAUSTIVE=1 makes all.
#include <gtest/gtest.h>

#include <algorithm>

#include "prover/honest.h"

namespace otr::prover {
namespace {

using machine::Sampling;
using Prompt = std::vector<std::uint32_t>;
constexpr std::int64_t k2To23 = 1 << 23;
constexpr std::int64_t k2To31 = std::int64_t{1} << 31;

// One layer; as many tokens as hidden dimensions.
HandModel one_hot_model(std::uint32_t tokens, std::uint32_t heads, std::uint32_t head_dim,
                        bool biases = false) {
  HandModel model(hand_shape(tokens, heads, heads, head_dim, 3, 1, tokens), biases);
  model.make_one_hot();
  return model;
}
std::int64_t least(const std::vector<std::int64_t>& v) { return std::ranges::min(v); }
std::int64_t greatest(const std::vector<std::int64_t>& v) { return std::ranges::max(v); }

// --- Zero rows -----------------------------------------------------------------------------------

TEST(Complete, EachTensorMayBeZero) {
  const HandModel base = random_model(1, hand_shape(10, 2, 1, 4, 15, 2, 17), true);
  for (const auto& [tensor, values] : base.tensors) {
    if (tensor.ends_with(".scale") || tensor.starts_with("tokens") || tensor == "numbers") continue;
    if (tensor.starts_with("layers.1.")) continue;
    SCOPED_TRACE(tensor);
    HandModel model = base;
    std::ranges::fill(model[tensor], 0);
    if (tensor == "embed.weight") model.config.shape.eps = 0;
    auto honest = complete(model, {1, 2, 3}, 2);
    if (honest) prove(*honest, Proof::kExhaustive);
  }
}

TEST(Complete, EverythingMayBeZero) {
  for (const std::int64_t eps : {std::int64_t{0}, std::int64_t{1} << 40}) {
    machine::Shape shape = hand_shape(5, 2, 2, 6, 3, 2, 7);
    shape.eps = eps;
    auto honest = complete(HandModel(shape), {6, 0}, 2);
    ASSERT_TRUE(honest);
    EXPECT_EQ(honest->row(0, 0).norm_sumsq, 0u);
    EXPECT_EQ(honest->output, (Prompt{0, 0}));  // all logits are equal
    prove(*honest, eps == 0 ? Proof::kAlways : Proof::kExhaustive);
  }
}

// --- Ends of ranges ------------------------------------------------------------------------------

TEST(Complete, ResidualAtItsEnds) {
  for (const std::int64_t eps : {std::int64_t{0}, std::int64_t{1} << 40}) {
    machine::Shape shape = hand_shape(3, 1, 1, 2, 3, 3, 4);
    shape.eps = eps;
    HandModel model(shape, true);
    for (auto& [name, values] : model.tensors) {
      if (name.ends_with(".gain")) std::ranges::fill(values, k2To23 - 1);
    }
    model.set_exponent("norm", 22);
    model["layers.0.wo.bias"] = {-(1 << 30), 1 << 30, 0};
    model["layers.1.wo.bias"] = {-(1 << 30), (1 << 30) - 1, 0};
    auto honest = complete(model, {0, 3});
    ASSERT_TRUE(honest);
    EXPECT_EQ(honest->witness.rows.x[2][0], -k2To31);
    EXPECT_EQ(honest->witness.rows.x[2][1], k2To31 - 1);
    EXPECT_EQ(least(honest->cells("x.x")), -k2To23);
    EXPECT_EQ(greatest(honest->cells("x.x")), k2To23 - 1);
    EXPECT_EQ(honest->line(2, 0).s_n, 8);
    prove(*honest, eps == 0 ? Proof::kAlways : Proof::kExhaustive);
  }
}

// Weights w and a scale m with rsh(Σ w·a·m, s) = target; a has some great, one middle and a 1.
struct Solution {
  std::vector<std::int64_t> weights;
  std::int64_t scale = 0;
};
Solution solve(const std::vector<std::int64_t>& a, int s, std::int64_t target) {
  const std::int64_t low = (target << s) - (std::int64_t{1} << (s - 1));
  for (std::int64_t m = 4095; m > 0; --m) {
    std::int64_t rest = (low + m - 1) / m - (low < 0 && low % m != 0 ? 1 : 0);
    while (rest * m < low) ++rest;
    if (machine::rsh(rest * m, s) != target) continue;
    Solution found{{}, m};
    for (const std::int64_t v : a) {
      found.weights.push_back(std::clamp<std::int64_t>(rest / v, -127, 127));
      rest -= found.weights.back() * v;
    }
    if (rest == 0) return found;
  }
  ADD_FAILURE() << "no weights make " << target;
  return {std::vector<std::int64_t>(a.size()), 1};
}

// A row of 16 elements whose norm row is a, with exponent 2.
HandModel dense_model(std::uint32_t tokens, const std::vector<std::int64_t>& a) {
  HandModel model(hand_shape(16, 1, 1, 2, 3, 1, tokens));
  model.set("embed", 64, 1);
  for (auto& [name, values] : model.tensors) {
    if (name.ends_with(".gain")) values = a;
  }
  return model;
}
std::vector<std::int64_t> descending_row() {
  std::vector<std::int64_t> a(16, 32639);
  a[13] = 128;
  a[14] = a[15] = 1;
  return a;
}

TEST(Complete, LogitsAtTheirEnds) {
  const std::vector<std::int64_t> a = descending_row();
  constexpr int kShift = 6;
  for (const Sampling& sampling :
       {Sampling{}, Sampling{.inv_t = 1}, Sampling{.inv_t = 1 << 24, .min_p = 65536},
        Sampling{.inv_t = 1 << 24, .presence = -(1 << 20), .frequency = -(1 << 20)}}) {
    HandModel model = dense_model(3, a);
    model.set_exponent("head", 16 + kShift - 2);
    for (const std::uint32_t token : {0u, 2u}) {
      const Solution s = solve(a, kShift, token == 0 ? -k2To31 : k2To31 - 1);
      for (std::uint32_t k = 0; k < 16; ++k) model.set("head", token, k, s.weights[k], s.scale);
    }
    auto honest = complete(model, {1}, 3, sampling);
    ASSERT_TRUE(honest);
    EXPECT_EQ(least(honest->cells("s.y")), -k2To31);
    EXPECT_EQ(greatest(honest->cells("s.y")), k2To31 - 1);
    prove(*honest, sampling.min_p != 0 ? Proof::kAlways : Proof::kExhaustive);
  }
}

// With the penalties of 4096 equal tokens a distance exceeds 2^33, and the excess three limbs.
TEST(Complete, GreatestDistances) {
  if (!exhaustive()) GTEST_SKIP() << "set OTR_EXHAUSTIVE=1: 1.2 GB, up to half a minute";
  const std::vector<std::int64_t> a = descending_row();
  constexpr int kShift = 6;
  HandModel model = dense_model(3, a);
  model.config.shape.context = 5000;
  model.set_exponent("head", 16 + kShift - 2);
  for (const std::uint32_t token : {0u, 2u}) {
    const Solution s = solve(a, kShift, token == 0 ? -k2To31 : k2To31 - 1);
    for (std::uint32_t k = 0; k < 16; ++k) model.set("head", token, k, s.weights[k], s.scale);
  }
  const Sampling sampling{.inv_t = 1 << 24, .presence = -(1 << 20), .frequency = -(1 << 20)};
  auto honest = Honest::answer(model, {1}, 4100, sampling);
  ASSERT_TRUE(honest);
  EXPECT_EQ(honest->wrong(false), "");
  EXPECT_GT(honest->witness.scalars.outputs[4099].l_max, std::int64_t{3} << 31);
  EXPECT_EQ(greatest(honest->cells("s.e3")), 1);
}

// One position, so A is p·v·2^23 = v·2^37.
TEST(Complete, HeadSumAtTheEndsOfItsRange) {
  for (const auto& [v, shift] : {std::pair{-64, 25}, {64, 26}, {-65, 26}, {63, 25}}) {
    HandModel model = one_hot_model(2, 1, 2);
    model.set("layers.0.wv", 1, 0, v);
    auto honest = complete(model, {0});
    ASSERT_TRUE(honest);
    EXPECT_EQ(honest->line(0, 0).heads[0].s_a, shift);
    if (v == -64) EXPECT_EQ(least(honest->cells("o.y")), -(1 << 18));
    prove(*honest, Proof::kExhaustive);
  }
}

// What is at a bound exactly, or half above it, before it is rounded: half up, so only the
// negative half stays inside.
struct Edge {
  bool half = false;
  int sign = 1;
  bool inside() const { return !half || sign < 0; }
};
constexpr Edge kEdges[] = {{false, 1}, {false, -1}, {true, 1}, {true, -1}};

TEST(Complete, RotatedRowsAtTheirBounds) {
  for (const std::uint32_t head_dim : {2u, 128u, 256u}) {
    for (const Edge& edge : kEdges) {
      const std::int64_t bound = head_dim > 128 ? 2047 : 4095;
      HandModel model = one_hot_model(2, 1, head_dim, true);
      const std::int64_t y = edge.sign * (edge.half ? 2 * bound + 1 : bound);
      model["layers.0.wq.bias"].back() = y;
      model["layers.0.wk.bias"][0] = edge.sign * (edge.half ? 8191 : 4095);
      auto honest = complete(model, {0, 1});
      ASSERT_TRUE(honest);
      const int expected = 8 - (edge.half ? 1 : 0) - (edge.inside() ? 0 : 1);
      EXPECT_EQ(honest->row(0, 1).q[0].exponent, expected);
      EXPECT_EQ(honest->row(0, 1).k[0].exponent, expected);
      if (edge.inside()) {
        const auto& q = honest->cells("q.q1");
        EXPECT_EQ(edge.sign > 0 ? greatest(q) : least(q), edge.sign * bound);
      }
      prove(*honest,
            head_dim == 256 && edge.half && edge.sign < 0 ? Proof::kAlways : Proof::kExhaustive);
    }
  }
}

TEST(Complete, ValueRowsAtTheirBound) {
  for (const Edge& edge : kEdges) {
    HandModel model = one_hot_model(2, 1, 2);
    if (edge.half) {
      model.set("layers.0.wv", 1, 0, edge.sign * 51, 5);
    } else {
      model.set("layers.0.wv", 1, 0, edge.sign * 127, 8);
    }
    auto honest = complete(model, {0, 1});
    ASSERT_TRUE(honest);
    const int expected = edge.half ? 29 - (edge.inside() ? 0 : 1) : 27;
    EXPECT_EQ(honest->row(0, 0).v[0].exponent, expected);
    if (edge.inside()) EXPECT_EQ(honest->witness.rows.v[0][1], edge.sign * 127);
    prove(*honest, Proof::kExhaustive);
  }
}

// The bounds of 16 and 8 bits as products w·m of weight and scale, and twice them and one.
std::pair<std::int64_t, std::int64_t> factors(int bits, bool half) {
  if (bits == 16) return half ? std::pair{29, 2251} : std::pair{127, 257};
  return half ? std::pair{51, 5} : std::pair{127, 1};
}

TEST(Complete, GateAndFeedForwardRowsAtTheirBounds) {
  for (const int bits : {16, 8}) {
    for (const Edge& edge : kEdges) {
      HandModel model = one_hot_model(2, 1, 2);
      model.set_bits(bits);
      // silu(g) = g: the gate's exponent is 5, its value 512.
      model.set_exponent("w_gate", 5);
      model.set("layers.0.w_gate", 1, 0, 64, 256);
      const auto [w, m] = factors(bits, edge.half);
      model.set("layers.0.w_up", 1, 0, edge.sign * w, m);
      // And at the gate's own bound, in another element.
      const auto [gate_w, gate_m] = factors(16, edge.half);
      model.set("layers.0.w_gate", 2, 1, edge.sign * gate_w, gate_m);
      auto honest = complete(model, {0, 1});
      ASSERT_TRUE(honest);
      EXPECT_EQ(honest->row(0, 0).g.exponent, 5);
      const std::int64_t bound = edge.sign * (bits == 16 ? 32639 : 127);
      const auto h = honest->cells("f.h");
      EXPECT_EQ(std::ranges::find(h, bound) != h.end(), edge.inside());
      const auto g = honest->cells("f.g");
      if (edge.half) {
        EXPECT_EQ(std::ranges::find(g, edge.sign * 32639) != g.end(), edge.inside());
      }
      prove(*honest, bits == 8 && edge.half ? Proof::kAlways : Proof::kExhaustive);
    }
  }
}

TEST(Complete, NormRowsAtTheirBounds) {
  for (const int bits : {16, 8}) {
    for (const Edge& edge : kEdges) {
      HandModel model = one_hot_model(2, 1, 2);
      model.set_bits(bits);
      model.set_exponent("norm", 20);
      const auto [w, m] = factors(bits, edge.half);
      const std::int64_t bound = edge.sign * (bits == 16 ? 32639 : 127);
      for (const char* gain : {"layers.0.attn_norm", "layers.0.mlp_norm", "final_norm"}) {
        model[std::string(gain) + ".gain"][0] = edge.sign * (edge.half ? w * m : 4 * w * m);
      }
      auto honest = complete(model, {0, 1});
      ASSERT_TRUE(honest);
      const auto mlp = honest->cells("x.m");
      EXPECT_EQ(std::ranges::find(mlp, bound) != mlp.end(), !edge.half || edge.sign < 0);
      EXPECT_EQ(honest->line(0, 0).a.values[0] == bound, !edge.half || edge.sign < 0);
      prove(*honest, Proof::kExhaustive);
    }
  }
}

// Four positions of equal weight, whose values sum to 255: o is 127.5 of the row's units.
TEST(Complete, AttentionRowAtItsBound) {
  for (const Edge& edge : kEdges) {
    HandModel model = one_hot_model(2, 1, 2);
    model.set_bits(8);
    model.set_exponent("wv", 20);
    // Element 0 gives both tokens the same exponent.
    model.set("layers.0.wv", 0, 0, 64);
    model.set("layers.0.wv", 0, 1, -64);
    model.set("layers.0.wv", 1, 0, edge.sign * 64);
    model.set("layers.0.wv", 1, 1, edge.sign * (edge.half ? 63 : 62));
    auto honest = complete(model, {0, 0, 0, 1});
    ASSERT_TRUE(honest);
    const auto o = honest->cells("o.o");
    EXPECT_EQ(std::ranges::find(o.end() - 2, o.end(), edge.sign * 127) != o.end(), edge.inside());
    prove(*honest, Proof::kExhaustive);
  }
}

// --- Scores --------------------------------------------------------------------------------------

// All elements of q and k at their bound, with exponent 4: scores as great as they can be, of both
// signs, and gaps between them beyond one limb.
TEST(Complete, GreatestScores) {
  for (const std::uint32_t head_dim : {128u, 256u}) {
    const std::int64_t bound = head_dim > 128 ? 2047 : 4095;
    HandModel model = one_hot_model(3, 1, head_dim, true);
    std::ranges::fill(model["layers.0.wq.bias"], 16 * bound);
    for (std::uint32_t n = 0; n < head_dim; ++n) {
      model.set("layers.0.wk", n, 0, 16, 4095);
      model.set("layers.0.wk", n, 1, -16, 4095);
      model.set("layers.0.wv", n, 2, n % 2 == 0 ? 127 : -127);
      model.set("layers.0.wv", n, 1, 1);
    }
    auto honest = complete(model, {1, 0, 2, 0, 1, 1, 0});
    ASSERT_TRUE(honest);
    EXPECT_EQ(honest->row(0, 0).q[0].exponent, 4);
    EXPECT_EQ(honest->row(0, 0).k[0].exponent, 4);
    EXPECT_EQ(greatest(honest->cells("z.z")), bound * 4095 * head_dim);
    EXPECT_EQ(least(honest->cells("z.z")), -bound * 4095 * head_dim);
    EXPECT_EQ(honest->witness.scalars.gap, 2);
    prove(*honest, head_dim == 128 ? Proof::kAlways : Proof::kExhaustive);
  }
}

TEST(Complete, LongestShiftOfScores) {
  machine::Shape shape = hand_shape(2, 1, 1, 4, 3, 1, 2);
  shape.qk_frac_bits = 13;
  HandModel model(shape, true);
  model.make_one_hot();
  std::ranges::fill(model["layers.0.wq.bias"], 4095);
  model.set("layers.0.wk", 1, 0, -127, 32);
  auto honest = complete(model, {0, 1, 0});
  ASSERT_TRUE(honest);
  EXPECT_EQ(honest->row(0, 0).q[0].exponent, 13);
  EXPECT_EQ(honest->row(0, 0).k[0].exponent, 13);
  EXPECT_GT(greatest(honest->cells("z.r")), 1 << 17);
  prove(*honest, Proof::kExhaustive);
}

// Token 1 has scores of `octaves`, token 0 of 0.
HandModel octave_model(int octaves) {
  HandModel model = one_hot_model(3, 1, 2, true);
  model["layers.0.wq.bias"][0] = 2048;
  model.set("layers.0.wk", 0, 1, octaves, 32);
  model.set("layers.0.wv", 0, 0, 100);
  model.set("layers.0.wv", 0, 1, -3);
  model.set("layers.0.wv", 1, 2, 127, 4095);  // another exponent
  return model;
}

TEST(Complete, OctaveGapsInATile) {
  for (const int octaves : {1, 14, 15, 16, 17, 23, 24, 64, 127}) {
    for (const Prompt& prompt : {Prompt{1, 0, 0, 1, 2}, Prompt{0, 0, 2, 1, 1}}) {
      auto honest = complete(octave_model(octaves), prompt);
      ASSERT_TRUE(honest);
      EXPECT_EQ(greatest(honest->cells("z.z")), 256 * octaves);
      const auto p = honest->cells("z.p");  // the last position's weight of a token 0
      EXPECT_EQ(p[4 * 5 + 1] == 0, octaves > 15);
      prove(*honest, Proof::kExhaustive);
    }
  }
}

TEST(Complete, OctaveGapsBetweenTiles) {
  for (const int octaves : {15, 16, 22, 23, 24, 25, 64, 127}) {
    for (const bool later : {false, true}) {
      Prompt prompt(130, later ? 0 : 1);
      prompt[128] = prompt[129] = later ? 1 : 0;
      auto honest = complete(octave_model(octaves), prompt);
      ASSERT_TRUE(honest);
      const auto& tiles = honest->row(0, 129).tiles[0];
      ASSERT_EQ(tiles.size(), 2u);
      EXPECT_EQ(std::abs(tiles[0].m - tiles[1].m), octaves);
      prove(*honest, octaves == 24 && later ? Proof::kAlways : Proof::kExhaustive);
    }
  }
}

// Gaps of more than 2^19/256 octaves between tiles: a second limb.
TEST(Complete, VastGapsBetweenTiles) {
  HandModel model = one_hot_model(2, 1, 2, true);
  model["layers.0.wq.bias"][0] = 65520;
  model.set("layers.0.wk", 0, 1, 16, 4095);
  model.set("layers.0.wv", 0, 0, 100);
  Prompt prompt(129, 0);
  prompt[7] = 1;  // in a tile
  auto honest = complete(model, prompt);
  ASSERT_TRUE(honest);
  EXPECT_EQ(honest->witness.scalars.gap, 2);
  EXPECT_GT(honest->row(0, 128).tiles[0][0].m - honest->row(0, 128).tiles[0][1].m, 4096);
  prove(*honest, Proof::kExhaustive);
}

// Values of two heads up to 2^33 apart: beyond a shift of 36 the smaller are 0 in the row.
TEST(Complete, HeadsFarApart) {
  int beyond = 0, clamped_nonzero = 0;
  for (const int bits : {16, 8}) {
    for (int octaves = 0; octaves <= 19; ++octaves) {
      HandModel model = one_hot_model(2, 2, 2);
      model.set_bits(bits);
      model.set_exponent("attn_norm", bits == 16 ? 0 : 8);
      model.set_exponent(".wv", 16);
      model.set("layers.0.wv", 0, 0, -127, 4095);
      const int scale = std::min(octaves, 11);
      model.set("layers.0.wv", 3, 0, 1 << std::max(0, std::min(octaves - scale, 6)), 1 << scale);
      auto honest = complete(model, {0, 0, 1});
      ASSERT_TRUE(honest);
      const zk::RowLine& line = honest->line(0, 0);
      const int shift = line.heads[1].exponent - honest->row(0, 0).o.exponent;
      EXPECT_EQ(line.heads[1].s_o, std::min(36, shift));
      const auto y = honest->cells("o.y");
      beyond += shift > 36;
      clamped_nonzero += shift > 36 && y[3] != 0;
      prove(*honest, octaves == 0 ? Proof::kAlways : Proof::kExhaustive);
    }
    // A head of zeros has the greatest exponent.
    HandModel model = one_hot_model(2, 2, 2);
    model.set_bits(bits);
    model.set_exponent(".wv", 16);
    model.set("layers.0.wv", 0, 0, -127, 4095);
    auto honest = complete(model, {0, 0, 1});
    ASSERT_TRUE(honest);
    EXPECT_EQ(honest->line(0, 0).heads[1].s_o, 36);
  }
  EXPECT_GT(beyond, 4);
  EXPECT_GT(clamped_nonzero, 4);
}

TEST(Complete, ValueExponentsAtTheirEnds) {
  machine::Shape shape = hand_shape(3, 1, 1, 2, 3, 1, 3);
  shape.residual_frac_bits = 8;
  HandModel model(shape);
  model.make_one_hot();
  // Token 0 has a great gain, so its row has the exponent 14 - 22; token 1 none at all.
  model["layers.0.attn_norm.gain"] = {1 << 22, 0, 1};
  model.set("layers.0.wv", 0, 0, 127, 4095);
  model.set_exponent(".wv", 4);
  model.set_exponent(".wo", 33);
  for (const char* matrix : {".wq", ".wk"}) model.set_exponent(matrix, 20);
  auto honest = complete(model, {0, 1, 2, 1});
  ASSERT_TRUE(honest);
  EXPECT_EQ(honest->row(0, 0).v[0].exponent, -30);
  EXPECT_EQ(honest->row(0, 1).v[0].exponent, 24);
  prove(*honest, Proof::kAlways);
  model.set_exponent(".wv", 33);
  honest = complete(model, {0, 1, 2, 1});
  ASSERT_TRUE(honest);
  EXPECT_EQ(honest->row(0, 1).v[0].exponent, 30);
}

TEST(Complete, GateExponentsAtTheirEnds) {
  for (const int exponent : {0, 15}) {
    HandModel model = one_hot_model(2, 1, 2);
    model.set_exponent("w_gate", exponent == 0 ? 4 : 33);
    model.set("layers.0.w_gate", 0, 0, -127, 4095);
    model.set("layers.0.w_gate", 1, 1, 127, 4095);
    model.set("layers.0.w_up", 99, 77);
    auto honest = complete(model, {0, 1, 0});
    ASSERT_TRUE(honest);
    EXPECT_EQ(honest->row(0, 0).g.exponent, exponent);
    prove(*honest, Proof::kExhaustive);
  }
}

}  // namespace
}  // namespace otr::prover
