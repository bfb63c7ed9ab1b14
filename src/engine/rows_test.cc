// SPEC OP against the vectors, through the whole-row forms of the fast engine.
#include "engine/rows.h"

#include <gtest/gtest.h>

#include <array>

#include "base/test_vectors.h"
#include "machine/program.h"

namespace otr::engine {
namespace {

using machine::Gain;
using nlohmann::json;
using Values = std::vector<std::int64_t>;

std::vector<std::int64_t> dots(const json& w, const json& a) {
  const std::vector<std::int16_t> row = a;
  std::vector<std::int64_t> sums;
  for (const json& weights : w) sums.push_back(dot(weights.get<std::vector<std::int8_t>>(), row));
  return sums;
}

// What OP-9, OP-15 and OP-16 put into a row.
Values scaled(const json& matrix, const json& a) {
  Values values = dots(matrix["w"], a);
  for (std::size_t n = 0; n < values.size(); ++n) {
    values[n] *= matrix["m"][n].get<std::int64_t>();
  }
  return values;
}

struct Row {
  Values values;
  int exponent = 0;
};

template <class Out = std::int16_t>
Row quantised(const Values& values, int f, std::int64_t bound, int cap) {
  std::vector<Out> row(values.size());
  const int exponent = quantise(std::span(values), f, bound, cap, row.data());
  return {Values(row.begin(), row.end()), exponent};
}

TEST(Rows, Dot) {
  check_vectors("ops", "OP-1", [](const json& in) {
    json parts = json::array();
    for (const json& weights : in["w"]) {
      // The parts of the steps, by the same function on the parts of the row.
      const std::vector<std::int8_t> w = weights;
      const std::vector<std::int16_t> a = in["a"];
      json sums = json::array();
      for (std::size_t k = 0; k < w.size(); k += machine::kDotTerms) {
        const std::size_t count = std::min<std::size_t>(machine::kDotTerms, w.size() - k);
        sums.push_back(dot(std::span(w).subspan(k, count), std::span(a).subspan(k, count)));
      }
      parts.push_back(sums);
    }
    return json{{"parts", parts}, {"acc", dots(in["w"], in["a"])}};
  });
}

// Every width: the tails of whatever the compiler or an instruction set makes of the loop.
TEST(Rows, DotOfEveryWidthAtItsBounds) {
  for (const int sign : {1, -1}) {
    for (std::size_t n = 0; n <= 1100; n += n < 600 ? 1 : 37) {
      const std::vector<std::int8_t> w(n, static_cast<std::int8_t>(127 * sign));
      const std::vector<std::int16_t> a(n, 32639);
      ASSERT_EQ(dot(w, a), sign * 127LL * 32639 * static_cast<std::int64_t>(n)) << n;
    }
    const std::vector<std::int8_t> w(65536, static_cast<std::int8_t>(127 * sign));
    const std::vector<std::int16_t> a(65536, 32639);
    EXPECT_EQ(dot(w, a), sign * 127LL * 32639 * 65536);
  }
}

TEST(Rows, Linear) {
  check_vectors("ops", "OP-2", [](const json& in) -> json {
    const int shift = in["matrix"]["e"].get<int>() + in["f"].get<int>() - in["F"].get<int>();
    Values y;
    for (const std::int64_t acc : scaled(in["matrix"], in["a"])) {
      const Rounded rounded = linear(acc, shift);
      if (!rounded.in_range) return {{"reject", "OUT_OF_RANGE"}};
      y.push_back(rounded.value);
    }
    return {{"y", y}};
  });
}

TEST(Rows, NormRow) {
  check_vectors("ops", "OP-4", [](const json& in) -> json {
    const std::vector<std::int32_t> x = in["x"], g = in["gain"]["g"];
    const Gain gain{g, in["gain"]["e"]};
    std::vector<std::int16_t> a(x.size());
    // Scratch may be longer than the row: threads share what the widest row needs.
    Values scratch(x.size() + 3, -77);
    const int exponent = norm_row(x, gain, in["eps"], in["bound"], scratch, a.data());
    EXPECT_EQ(scratch.back(), -77);
    scratch.resize(x.size());
    // What is not an output of the row's form, as the vector's other members have it.
    machine::Extremes e;
    for (const std::int32_t v : x) e.add(v);
    const int s = e.least_floor_shift(24);
    Values shifted;
    std::int64_t sum = machine::rsh(in["eps"].get<std::int64_t>(), 2 * s);
    for (const std::int32_t v : x) {
      shifted.push_back(v >> s);
      sum += shifted.back() * shifted.back();
    }
    const auto root = machine::reciprocal_root(std::max<std::int64_t>(1, sum));
    return {{"s", s},
            {"x", shifted},
            {"N", root.n},
            {"k", root.k},
            {"t", root.t},
            {"R", root.r},
            {"v", scratch},
            {"v_exponent", gain.exponent + 46 - root.k},
            {"exponent", exponent},
            {"a", a}};
  });
}

// Where x is shifted, ε is shifted twice as far. The vectors show it in N, which a row has not.
TEST(Rows, EpsilonIsShiftedTwice) {
  for (int s = 1; s <= 8; ++s) {
    const std::vector<std::int32_t> x = {1 << (22 + s), 0}, g = {3, 5};
    Values scratch(2);
    std::array<std::int16_t, 2> row{};
    const std::int64_t eps = std::int64_t{1} << 40;
    norm_row(x, Gain{g, 20}, eps, 32639, scratch, row.data());
    const std::int64_t x_shifted = 1 << 22;
    const auto root = machine::reciprocal_root(x_shifted * x_shifted + (eps >> (2 * s)));
    EXPECT_EQ(scratch, (Values{x_shifted * 3 * root.r, 0})) << s;
  }
}

TEST(Rows, HeadNorm) {
  check_vectors("ops", "OP-5", [](const json& in) -> json {
    std::vector<std::int32_t> y = in["y"];
    std::int64_t sum = in["eps_q"];
    for (const std::int64_t v : y) sum += v * v;
    const auto root = machine::reciprocal_root(std::max<std::int64_t>(1, sum));
    const std::vector<std::int32_t> g = in["gain"]["g"];
    const Gain gain{g, in["gain"]["e"]};
    if (!head_norm(y, gain, in["eps_q"], in["F_q"])) return {{"reject", "OUT_OF_RANGE"}};
    return {{"N", root.n}, {"k", root.k}, {"t", root.t}, {"R", root.r}, {"y", y}};
  });
}

TEST(Rows, QAndKRows) {
  check_vectors("ops", "OP-8", [](const json& in) -> json {
    const std::int64_t bound =
        in["which"] == "q" ? machine::q_bound(in["D"]) : std::int64_t{machine::kKBound};
    const Row row = quantised(in["r"], in["F_q"].get<int>() + 15, bound, in["F_q"]);
    if (row.exponent < 4) return {{"reject", "OUT_OF_RANGE"}};
    return {{"row", row.values}, {"exponent", row.exponent}};
  });
}

TEST(Rows, VRows) {
  check_vectors("ops", "OP-9", [](const json& in) -> json {
    const Values v = scaled(in["matrix"], in["a"]);
    const std::size_t d = in["D"];
    json rows = json::array(), exponents = json::array();
    for (std::size_t at = 0; at < v.size(); at += d) {
      const auto begin = v.begin() + static_cast<std::ptrdiff_t>(at);
      const Row row = quantised<std::int8_t>(Values(begin, begin + static_cast<std::ptrdiff_t>(d)),
                                             in["matrix"]["e"].get<int>() + in["f"].get<int>(),
                                             machine::kVBound, machine::kRowCap);
      if (row.exponent < -30) return {{"reject", "OUT_OF_RANGE"}};
      rows.push_back(row.values);
      exponents.push_back(row.exponent);
    }
    return {{"v", v}, {"rows", rows}, {"exponents", exponents}};
  });
}

TEST(Rows, GateRow) {
  check_vectors("ops", "OP-15", [](const json& in) -> json {
    const Values v = scaled(in["matrix"], in["a"]);
    const Row row = quantised(v, in["matrix"]["e"].get<int>() + in["f"].get<int>(),
                              machine::kGateBound, machine::kGateCap);
    if (row.exponent < 0) return {{"reject", "OUT_OF_RANGE"}};
    return {{"v", v}, {"row", row.values}, {"exponent", row.exponent}};
  });
}

}  // namespace
}  // namespace otr::engine
