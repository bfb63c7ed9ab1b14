// SPEC ARITH against the vectors, and against second definitions.
#include "machine/arith.h"

#include <gtest/gtest.h>

#include "base/test_vectors.h"

namespace otr::machine {
namespace {

using nlohmann::json;

TEST(Arith, Vectors) {
  check_vectors("arith", "ARITH-1",
                [](const json& in) { return json{{"r", rsh(in["v"], in["s"])}}; });
  check_vectors("arith", "ARITH-2", [](const json& in) {
    return json{{"bits", bitlen(in["v"].get<std::uint64_t>())}};
  });
  check_vectors("arith", "ARITH-3", [](const json& in) {
    int f = in["cap"];
    const std::size_t n = in["v"].size();
    for (std::size_t j = 0; j < n; ++j) {
      Extremes e;
      e.add(in["v"][j].get<std::int64_t>());
      f = std::min(f, row_exponent(e, in["f"][j], in["bound"], in["cap"]));
    }
    json row = json::array();
    for (std::size_t j = 0; j < n; ++j) {
      row.push_back(rsh(in["v"][j], in["f"][j].get<int>() - f));
    }
    return json{{"row", row}, {"exponent", f}};
  });
  check_vectors("arith", "ARITH-4", [](const json& in) {
    const ReciprocalRoot root = reciprocal_root(in["n"]);
    return json{{"k", root.k}, {"t", root.t}, {"r", root.r}};
  });
}

// The definition of the SPEC in 128 bits, where v + 2^(s-1) cannot wrap.
TEST(Arith, RshIsFloorOfHalfMore) {
  const std::int64_t edges[] = {INT64_MIN,
                                INT64_MIN + 1,
                                -(std::int64_t{1} << 62),
                                -5,
                                -1,
                                0,
                                1,
                                2,
                                3,
                                std::int64_t{1} << 62,
                                INT64_MAX - 1,
                                INT64_MAX};
  for (const std::int64_t v : edges) {
    for (int s = 1; s <= 62; ++s) {
      const __int128 sum = __int128{v} + (__int128{1} << (s - 1));
      EXPECT_EQ(rsh(v, s), static_cast<std::int64_t>(sum >> s)) << v << " >> " << s;
    }
    EXPECT_EQ(rsh(v, 63), 0);
    EXPECT_EQ(rsh(v, 1000), 0);
  }
}

// The least shift by search, without the shortcut of least_shift.
TEST(Arith, LeastShiftIsMinimal) {
  std::vector<Range> ranges = {kSigned19, kSigned24, signed_range(2)};
  for (const std::int64_t bound : {127LL, 2047LL, 4095LL, 32639LL, 8388607LL}) {
    ranges.push_back({-bound, bound});
  }
  for (const Range range : ranges) {
    for (int bit = 0; bit < 63; ++bit) {
      for (int delta = -2; delta <= 2; ++delta) {
        for (const int sign : {-1, 1}) {
          const std::int64_t v =
              sign * ((range.hi << std::min(bit, 39)) + (1LL << bit) / 2 + delta);
          Extremes e;
          e.add(v);
          e.add(0);
          int s = 0;
          while (!e.fit(s, range)) ++s;
          EXPECT_EQ(e.least_shift(range), s) << v << " within " << range.hi;
        }
      }
    }
  }
}

TEST(Arith, LeastFloorShiftIsMinimal) {
  for (const int bits : {2, 19, 24}) {
    for (int bit = 0; bit < 63; ++bit) {
      for (const std::int64_t v :
           {(1LL << bit) - 1, 1LL << bit, -(1LL << bit), -(1LL << bit) - 1}) {
        Extremes e;
        e.add(v);
        e.add(-1);
        int s = 0;
        while (!signed_range(bits).holds(v >> s)) ++s;
        EXPECT_EQ(e.least_floor_shift(bits), s) << v << " in " << bits << " bits";
      }
    }
  }
  Extremes e;
  e.add(INT32_MIN);
  e.add(INT32_MAX);
  EXPECT_EQ(e.least_floor_shift(24), 8);
}

}  // namespace
}  // namespace otr::machine
