// SPEC OP against the vectors: every case one element at a time through machine::step.
#include <gtest/gtest.h>

#include "base/test_vectors.h"
#include "machine/test_state.h"

namespace otr::machine {
namespace {

using enum Tensor;
using nlohmann::json;

TestMatrix matrix_of(const json& in, const json& bias = nullptr) {
  TestMatrix matrix{in.at("w"), in.at("m"), {}, in.at("e")};
  if (!bias.is_null()) matrix.bias = bias.get<Values>();
  return matrix;
}

std::uint32_t size_of(const json& list) { return static_cast<std::uint32_t>(list.size()); }
Tensor next(Tensor tensor, int n) { return static_cast<Tensor>(static_cast<int>(tensor) + n); }
json slice(const Values& values, std::size_t begin, std::size_t count) {
  const auto from = values.begin() + static_cast<std::ptrdiff_t>(begin);
  return Values(from, from + static_cast<std::ptrdiff_t>(count));
}
Extremes extremes_of(const Values& values) {
  Extremes e;
  for (const std::int64_t v : values) e.add(v);
  return e;
}
json refused(const TestState& state) {
  EXPECT_EQ(state.outcome(), StepOutcome::kOutOfRange);
  return {{"reject", "OUT_OF_RANGE"}};
}

// A matrix and the row it reads, in the place of one of the layer's matrices.
struct MatrixSite {
  MatrixId id;
  Tensor part;
  Tensor row;
};

TestState state_for(const MatrixSite& site, TestMatrix matrix, const json& a, std::int64_t f) {
  TestState state;
  const auto rows = static_cast<std::uint32_t>(matrix.w.size());
  Shape& shape = state.shape();
  shape.heads = shape.kv_heads = 1;
  shape.head_dim = shape.hidden = shape.ffn = shape.vocabulary = rows;
  std::uint32_t& cols = site.row == kO ? shape.head_dim : site.row == kH ? shape.ffn : shape.hidden;
  cols = size_of(a);
  state.set(site.id, std::move(matrix));
  state.at(site.row) = a.get<Values>();
  state.at(exponent_of(site.row)) = {f};
  if (cols > kDotTerms) {
    EXPECT_TRUE(state.run_count(0, site.id == MatrixId::kHead ? kHeadLayer : 0, site.part,
                                std::uint64_t{rows} * blocks(cols, kDotTerms)));
  }
  return state;
}

constexpr MatrixSite kQSite{MatrixId::kWq, kQPart, kA};
constexpr MatrixSite kKSite{MatrixId::kWk, kKPart, kA};
constexpr MatrixSite kVSite{MatrixId::kWv, kVPart, kA};
constexpr MatrixSite kOSite{MatrixId::kWo, kWoPart, kO};
constexpr MatrixSite kGateSite{MatrixId::kGate, kGatePart, kM};
constexpr MatrixSite kUpSite{MatrixId::kUp, kUpPart, kM};
constexpr MatrixSite kDownSite{MatrixId::kDown, kDownPart, kH};
constexpr MatrixSite kHeadSite{MatrixId::kHead, kLogitPart, kF};

TEST(Ops, Acc) {
  for (const MatrixSite& site : {kVSite, kGateSite}) {
    check_vectors("ops", "OP-1", [&](const json& in) {
      const std::size_t rows = in["w"].size();
      TestState state = state_for(site, {in["w"], Values(rows, 1), {}, 0}, in["a"], 0);
      const std::uint32_t parts = blocks(size_of(in["a"]), kDotTerms);
      // The tensor exists only where there are several parts; the sum over one is the same code.
      const StepContext context = state.context();
      Reads<TestState> reads(context, state, {0, 0, site.part, 0});
      json lists = json::array();
      for (std::size_t n = 0; n < rows; ++n) {
        Values sums;
        for (std::uint32_t p = 0; p < parts; ++p) {
          sums.push_back(acc_part(reads, site.id, site.row, n * parts + p));
          if (parts > 1) EXPECT_EQ(sums[p], state.at(site.part)[n * parts + p]);
        }
        lists.push_back(sums);
      }
      EXPECT_TRUE(reads.in_range());
      const Tensor acc = next(site.part, 1);
      EXPECT_TRUE(state.run_count(0, 0, acc, rows));
      return json{{"parts", lists}, {"acc", state.at(acc)}};
    });
  }
}

// The sum of OP-2 is no tensor of its own: read as the residual, the projection and the logits do.
TEST(Ops, Linear) {
  check_vectors("ops", "OP-2", [](const json& in) -> json {
    TestState state = state_for(kDownSite, matrix_of(in["matrix"]), in["a"], in["f"]);
    const StepContext context = state.context();
    Reads<TestState> reads(context, state, {0, 0, kXOut, 0});
    Values y;
    for (std::size_t n = 0; n < in["matrix"]["w"].size(); ++n) {
      y.push_back(linear(reads, MatrixId::kDown, kDownPart, kH, n, in["F"]));
    }
    if (!reads.in_range()) return {{"reject", "OUT_OF_RANGE"}};
    return {{"y", y}};
  });
}

TEST(Ops, Embed) {
  check_vectors("ops", "OP-3", [](const json& in) -> json {
    TestState state;
    state.shape().hidden = size_of(in["row"]);
    state.shape().vocabulary = 2;
    state.shape().residual_frac_bits = in["F_x"];
    state.set(MatrixId::kEmbed, {{{}, in["row"]}, {0, in["m"]}, {}, in["e"]});
    state.tokens = {1};
    if (!state.run(0, 0, kXIn)) return refused(state);
    return {{"x", state.at(kXIn)}};
  });
}

// Where a norm stands: its nine tensors follow one another.
struct NormPlace {
  std::uint32_t layer;
  Tensor first;
  GainId gain;
};

json norm_row_at(const NormPlace& place, const json& in) {
  TestState state;
  Shape& shape = state.shape();
  shape.hidden = size_of(in["x"]);
  shape.layers = 2;
  shape.eps = in["eps"];
  const Values x = in["x"];
  state.at(place.gain == GainId::kMlpNorm ? kXMid : kXIn) = x;
  state.residual_rows = {{0, x}, {1, x}};
  state.set(place.gain, in["gain"]["g"], in["gain"]["e"]);
  state.program.head_bound = in["bound"];
  for (LayerInfo& layer : state.program.layers) {
    (place.gain == GainId::kAttnNorm ? layer.bounds.attn : layer.bounds.mlp) = in["bound"];
  }
  for (int i = 0; i < 9; ++i) {
    if (!state.run(0, place.layer, next(place.first, i))) return refused(state);
  }
  const std::int64_t s = state.at(next(place.first, 2))[0];
  const Values& root = state.at(next(place.first, 4));
  Values shifted, v;
  for (std::size_t j = 0; j < x.size(); ++j) {
    shifted.push_back(x[j] >> s);
    v.push_back(shifted[j] * in["gain"]["g"][j].get<std::int64_t>() * root[3]);
    const std::size_t q = j / kFoldTerms;  // v is committed by its extremes alone
    EXPECT_LE(v[j], state.at(next(place.first, 5))[q]);
    EXPECT_GE(v[j], state.at(next(place.first, 6))[q]);
  }
  const Extremes all = extremes_of(v);
  EXPECT_EQ(extremes_of(state.at(next(place.first, 5))).hi, all.hi);
  EXPECT_EQ(extremes_of(state.at(next(place.first, 6))).lo, all.lo);
  return {{"s", s},
          {"x", shifted},
          {"N", root[0]},
          {"k", root[1]},
          {"t", root[2]},
          {"R", root[3]},
          {"v", v},
          {"v_exponent", in["gain"]["e"].get<std::int64_t>() + 46 - root[1]},
          {"exponent", state.at(next(place.first, 7))[0]},
          {"a", state.at(next(place.first, 8))}};
}

TEST(Ops, NormRowAtEachOfItsPlaces) {
  for (const NormPlace& place :
       {NormPlace{0, kN1Hi, GainId::kAttnNorm}, NormPlace{1, kN1Hi, GainId::kAttnNorm},
        NormPlace{0, kN2Hi, GainId::kMlpNorm}, NormPlace{1, kN2Hi, GainId::kMlpNorm},
        NormPlace{kHeadLayer, kNfHi, GainId::kFinalNorm}}) {
    check_vectors("ops", "OP-4", [&](const json& in) { return norm_row_at(place, in); });
  }
}

TEST(Ops, HeadNorm) {
  for (const bool q : {true, false}) {
    check_vectors("ops", "OP-5", [&](const json& in) -> json {
      TestState state;
      Shape& shape = state.shape();
      shape.heads = shape.kv_heads = 1;
      shape.head_dim = size_of(in["y"]);
      shape.qk_norm = true;
      shape.eps_qk = in["eps_q"];
      shape.qk_frac_bits = in["F_q"];
      state.at(q ? kQY : kKY) = in["y"].get<Values>();
      state.set(q ? GainId::kQNorm : GainId::kKNorm, in["gain"]["g"], in["gain"]["e"]);
      if (!state.run_all(0, 0, {q ? kQRoot : kKRoot, q ? kQN : kKN})) return refused(state);
      const Values& root = state.at(q ? kQRoot : kKRoot);
      return {{"N", root[0]},
              {"k", root[1]},
              {"t", root[2]},
              {"R", root[3]},
              {"y", state.at(q ? kQN : kKN)}};
    });
  }
}

TEST(Ops, Projection) {
  for (const MatrixSite& site : {kQSite, kKSite}) {
    check_vectors("ops", "OP-6", [&](const json& in) -> json {
      TestState state = state_for(site, matrix_of(in["matrix"], in["bias"]), in["a"], in["f"]);
      state.shape().qk_frac_bits = in["F_q"];
      const Tensor y = next(site.part, 1);
      if (!state.run_count(0, 0, y, in["matrix"]["w"].size())) return refused(state);
      return {{"y", state.at(y)}};
    });
  }
}

TEST(Ops, Rotation) {
  for (const bool q : {true, false}) {
    check_vectors("ops", "OP-7", [&](const json& in) -> json {
      TestState state;
      Shape& shape = state.shape();
      shape.heads = shape.kv_heads = 1;
      shape.head_dim = size_of(in["y"]);
      state.at(q ? kQY : kKY) = in["y"].get<Values>();
      state.rope_steps = in["steps"].get<std::vector<std::uint64_t>>();
      const std::uint32_t t = in["t"];
      const Tensor hi = q ? kQHi : kKHi;
      if (!state.run_all(t, 0, {kRope, hi, next(hi, 1)})) return refused(state);
      const StepContext context = state.context();
      Reads<TestState> reads(context, state, {t, 0, next(hi, 3), 0});
      Values r;
      for (std::uint32_t j = 0; j < shape.head_dim; ++j) {
        r.push_back(rotated(reads, q ? kQY : kKY, j));
      }
      EXPECT_TRUE(reads.in_range());
      EXPECT_EQ(extremes_of(r).hi, state.at(hi)[0]);
      EXPECT_EQ(extremes_of(r).lo, state.at(next(hi, 1))[0]);
      return {{"r", r}};
    });
  }
}

// Sets an angle and a pair y so that element i of the rotated head is r: with c = 2^15 and
// s = -(2^15 - 1), y0·c - y1·s takes every value of OP-7 but the greatest, which is even in both.
void set_rotated(TestState& state, Tensor y, std::uint32_t i, std::int64_t r) {
  const std::uint32_t half = state.shape().head_dim / 2;
  constexpr std::int64_t kOne = 1 << 15;
  std::int64_t c = kOne, s = -(kOne - 1);
  std::int64_t y1 = (r >> 16) - ((r >> 16) & (kOne - 1)) + (-r & (kOne - 1));
  if (r % kOne == 0) {
    s = -kOne;
    y1 = r / kOne / 2;
  }
  std::int64_t y0 = (r + y1 * s) / c;
  ASSERT_EQ(y0 * c - y1 * s, r);
  if (i >= half) {  // r_(i + D/2) = y_(i + D/2)·c + y_i·s
    std::swap(y0, y1);
    y0 = -y0;
  }
  state.at(kRope)[2 * (i % half)] = c;
  state.at(kRope)[2 * (i % half) + 1] = s;
  state.at(y)[i % half] = y0;
  state.at(y)[i % half + half] = y1;
}

TEST(Ops, QAndKRows) {
  check_vectors("ops", "OP-8", [](const json& in) -> json {
    const bool q = in["which"] == "q";
    const Tensor hi = q ? kQHi : kKHi;
    TestState state;
    Shape& shape = state.shape();
    shape.heads = shape.kv_heads = 1;
    shape.head_dim = in["D"];
    shape.qk_frac_bits = in["F_q"];
    const Values r = in["r"];
    state.at(hi) = {extremes_of(r).hi};
    state.at(next(hi, 1)) = {extremes_of(r).lo};
    if (!state.run(0, 0, next(hi, 2))) return refused(state);
    state.at(kRope).assign(r.size(), 0);
    state.at(q ? kQY : kKY).assign(r.size(), 0);
    Values row;
    for (std::uint32_t i = 0; i < r.size(); ++i) {
      set_rotated(state, q ? kQY : kKY, i, r[i]);
      const StepResult result = state.step_at(0, 0, next(hi, 3), i);
      EXPECT_EQ(result.outcome, StepOutcome::kValue) << i;
      row.push_back(result.value);
    }
    return {{"row", row}, {"exponent", state.at(next(hi, 2))[0]}};
  });
}

TEST(Ops, VRows) {
  check_vectors("ops", "OP-9", [](const json& in) -> json {
    TestState state = state_for(kVSite, matrix_of(in["matrix"]), in["a"], in["f"]);
    const std::uint32_t d = in["D"];
    state.shape().head_dim = d;
    state.shape().kv_heads = size_of(in["matrix"]["w"]) / d;
    if (!state.run_all(0, 0, {kVM, kVHi, kVLo, kVExp, kV})) return refused(state);
    json rows = json::array();
    for (std::uint32_t g = 0; g < state.shape().kv_heads; ++g) {
      rows.push_back(slice(state.at(kV), std::size_t{g} * d, d));
    }
    return {{"v", state.at(kVM)}, {"rows", rows}, {"exponents", state.at(kVExp)}};
  });
}

// Joins values and exponent as the trace holds a row.
std::vector<Values> cached(const json& rows, const json& exponents) {
  std::vector<Values> all = rows;
  for (std::size_t i = 0; i < all.size(); ++i) all[i].push_back(exponents[i]);
  return all;
}

TEST(Ops, Score) {
  check_vectors("ops", "OP-10", [](const json& in) -> json {
    TestState state;
    Shape& shape = state.shape();
    shape.heads = shape.kv_heads = 1;
    shape.head_dim = size_of(in["q"]);
    shape.window = in["window"];
    const std::uint32_t t = in["t"];
    const std::uint32_t lo = first_attended(t, shape.window);
    state.at(kQ) = in["q"].get<Values>();
    state.at(kQExp) = {in["f_q"]};
    state.k_rows = cached(in["k"], in["f_k"]);
    state.first_kv = lo;
    if (!state.run(t, 0, kZ)) return refused(state);
    Values& z = state.at(kZ);
    const std::uint32_t begin = lo / kTile * kTile;
    EXPECT_EQ(z.size(), (t / kTile + 1) * kTile - begin);
    if (z.size() < t + 1 - begin) return nullptr;
    for (std::uint32_t u = 0; u < z.size(); ++u) {
      if (begin + u < lo || begin + u > t) EXPECT_EQ(z[u], 0) << begin + u;
    }
    return {{"lo", lo}, {"z", slice(z, lo - begin, t + 1 - lo)}};
  });
}

// `first` is the position of the case's first entry; the tile's other positions hold scores that
// would win if they were read.
json tile_at(const json& in, std::uint32_t first, std::uint32_t window) {
  const std::uint32_t count = size_of(in["z"]);
  TestState state;
  Shape& shape = state.shape();
  shape.heads = shape.kv_heads = 1;
  shape.head_dim = size_of(in["v"][0]);
  shape.window = window;
  const std::uint32_t t = first + count - 1;
  EXPECT_EQ(tiles_of(t, window).count, 1u);
  state.at(kZ).assign(kTile, kInt31);
  for (std::uint32_t i = 0; i < count; ++i) state.at(kZ)[first % kTile + i] = in["z"][i];
  state.v_rows = cached(in["v"], in["f_v"]);
  state.first_kv = first;
  if (!state.run_all(t, 0, {kTileM, kTileX, kTileS, kTileA})) return refused(state);
  return {{"M", state.at(kTileM)[0]},
          {"X", state.at(kTileX)[0]},
          {"S", state.at(kTileS)[0]},
          {"A", state.at(kTileA)}};
}

TEST(Ops, AttentionTile) {
  check_vectors("ops", "OP-11", [](const json& in) { return tile_at(in, 0, 0); });
  check_vectors("ops", "OP-11", [](const json& in) {  // at the end of a later tile
    const std::uint32_t count = size_of(in["z"]);
    return tile_at(in, 3 * kTile - count, count);
  });
}

TEST(Ops, AttentionHead) {
  check_vectors("ops", "OP-12", [](const json& in) -> json {
    const std::uint32_t tiles = size_of(in["tiles"]);
    TestState state;
    Shape& shape = state.shape();
    shape.heads = shape.kv_heads = 1;
    shape.head_dim = size_of(in["tiles"][0]["A"]);
    for (const json& tile : in["tiles"]) {
      state.at(kTileM).push_back(tile["M"]);
      state.at(kTileX).push_back(tile["X"]);
      state.at(kTileS).push_back(tile["S"]);
    }
    for (std::uint32_t j = 0; j < shape.head_dim; ++j) {
      for (const json& tile : in["tiles"]) state.at(kTileA).push_back(tile["A"][j]);
    }
    if (!state.run_all(tiles * kTile - 1, 0,
                       {kHeadM, kHeadX, kHeadS, kHeadR, kHeadA, kHeadShift, kOV})) {
      return refused(state);
    }
    const std::int64_t m = state.at(kHeadM)[0], x = state.at(kHeadX)[0];
    const std::int64_t b = state.at(kHeadR)[0], s = state.at(kHeadShift)[0];
    return {{"M", m},
            {"X", x},
            {"S", state.at(kHeadS)[0]},
            {"A", state.at(kHeadA)},
            {"b", b},
            {"R", state.at(kHeadR)[1]},
            {"s", s},
            {"o", state.at(kOV)},
            {"exponent", 46 - s + b + m - x}};
  });
}

// o is injected by what OP-12 makes of it: A and R with rsh(A, s)·R = o need not exist for a given
// o, so only hi and lo, which are read from o_v, and the row see it.
TEST(Ops, AttentionRow) {
  check_vectors("ops", "OP-13", [](const json& in) -> json {
    TestState state;
    Shape& shape = state.shape();
    shape.heads = size_of(in["heads"]);
    shape.kv_heads = 1;
    shape.head_dim = size_of(in["heads"][0]["o"]);
    state.program.layers[0].bounds.o = in["bound"];
    for (const json& head : in["heads"]) {
      for (const json& o : head["o"]) state.at(kOV).push_back(o);
      // exponent = 46 - s + b + M - X
      const std::int64_t exponent = head["exponent"];
      const std::int64_t b = 7 + (exponent + 21) % 19, s = 17;
      const std::int64_t m = -5, x = 46 - s + b + m - exponent;
      state.at(kHeadShift).push_back(s);
      for (const std::int64_t v : {b, std::int64_t{1} << 15}) state.at(kHeadR).push_back(v);
      state.at(kHeadM).push_back(m);
      state.at(kHeadX).push_back(x);
    }
    if (!state.run_all(0, 0, {kOHi, kOLo, kOExp, kO})) return refused(state);
    return {{"row", state.at(kO)}, {"exponent", state.at(kOExp)[0]}};
  });
}

TEST(Ops, Residual) {
  for (const std::uint32_t layer : {0u, 1u}) {
    for (const MatrixSite& without_bias : {kOSite, kDownSite}) {
      check_vectors("ops", "OP-14", [&](const json& in) -> json {
        const MatrixSite& site = in["bias"].is_null() ? without_bias : kOSite;  // only o has one
        TestState state = state_for(site, matrix_of(in["matrix"], in["bias"]), in["a"], in["f"]);
        state.shape().residual_frac_bits = in["F_x"];
        const Values x = in["x"];
        if (site.id == MatrixId::kDown) {
          state.at(kXMid) = x;
        } else if (layer == 0) {
          state.at(kXIn) = x;
        } else {
          state.residual_rows = {{0, x}};
        }
        const Tensor out = site.id == MatrixId::kWo ? kXMid : kXOut;
        if (!state.run_count(0, layer, out, x.size())) return refused(state);
        return {{"x", state.at(out)}};
      });
    }
  }
}

// The gate row is not stored; what reads it is the step of h_m (FeedForwardRow).
TEST(Ops, GateRow) {
  check_vectors("ops", "OP-15", [](const json& in) -> json {
    TestState state = state_for(kGateSite, matrix_of(in["matrix"]), in["a"], in["f"]);
    state.shape().ffn = size_of(in["matrix"]["w"]);
    if (!state.run_all(0, 0, {kGateM, kGHi, kGLo, kGExp})) return refused(state);
    const std::int64_t f = in["f"].get<std::int64_t>() + in["matrix"]["e"].get<std::int64_t>();
    const std::int64_t exponent = state.at(kGExp)[0];
    Values row;
    for (const std::int64_t v : state.at(kGateM)) {
      row.push_back(rsh(v, static_cast<int>(f - exponent)));
    }
    return {{"v", state.at(kGateM)}, {"row", row}, {"exponent", exponent}};
  });
}

TEST(Ops, FeedForwardRow) {
  for (const int gate_shift : {0, 5}) {  // g as it stands, and as a rounded quotient
    check_vectors("ops", "OP-16", [&](const json& in) -> json {
      TestState state = state_for(kUpSite, matrix_of(in["matrix"]), in["a"], in["f"]);
      state.shape().ffn = size_of(in["g"]);
      const int f_g = in["f_g"], f = in["f"];
      for (LayerInfo& layer : state.program.layers) {
        layer.matrices[static_cast<std::size_t>(MatrixId::kGate)].exponent = f_g - f + gate_shift;
        layer.bounds.down = in["bound"];
      }
      state.at(kGExp) = {f_g};
      for (const json& g : in["g"]) {
        const std::int64_t half = gate_shift == 0 ? 0 : 1 << (gate_shift - 1);
        state.at(kGateM).push_back(g.get<std::int64_t>() * (1 << gate_shift) - half);
      }
      if (!state.run_all(0, 0, {kHM, kHHi, kHLo, kHExp, kH})) return refused(state);
      return {{"v", state.at(kHM)},
              {"v_exponent", f_g + in["matrix"]["e"].get<int>() + f},
              {"row", state.at(kH)},
              {"exponent", state.at(kHExp)[0]}};
    });
  }
}

TEST(Ops, Logits) {
  check_vectors("ops", "OP-17", [](const json& in) -> json {
    TestState state = state_for(kHeadSite, matrix_of(in["matrix"]), in["a"], in["f"]);
    if (!state.run_count(0, kHeadLayer, kLogit, in["matrix"]["w"].size())) return refused(state);
    return {{"logits", state.at(kLogit)}};
  });
}

}  // namespace
}  // namespace otr::machine
