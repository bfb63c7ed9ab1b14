// SPEC OP-10 to OP-12: attention over cached rows against the steps and the vectors, and what the
// alignment by tiles is for: a long tail behind an attention sink is not rounded away.
#include "engine/attention.h"

#include <gtest/gtest.h>

#include <random>

#include "base/test_vectors.h"
#include "machine/test_state.h"

namespace otr::engine {
namespace {

using enum machine::Tensor;
using machine::TestState;
using machine::Values;
using nlohmann::json;

// The cached rows of one key/value head, grown one position at a time.
class Rows {
 public:
  // Rows of an odd size are one longer in the cache, by a zero that changes no result.
  explicit Rows(std::size_t head_dim) : head_dim_(head_dim + head_dim % 2), cache_(shape()) {}

  void add(const Values& key, int key_exponent, const Values& value, int value_exponent) {
    cache_.grow(1);
    std::vector<std::int16_t> k(key.begin(), key.end());
    std::vector<std::int8_t> v(value.begin(), value.end());
    k.resize(head_dim_, 0);
    v.resize(head_dim_, 0);
    cache_.write(0, 0, cache_.size() - 1, k, key_exponent, v, value_exponent);
  }
  std::size_t head_dim() const { return head_dim_; }
  const KvCache& cache() const { return cache_; }

 private:
  machine::Shape shape() const {
    machine::Shape shape;
    shape.layers = shape.heads = shape.kv_heads = 1;
    shape.head_dim = static_cast<std::uint32_t>(head_dim_);
    shape.context = machine::kMaxContext;
    return shape;
  }
  std::size_t head_dim_;
  KvCache cache_;
};

struct Head {
  Values o;
  int exponent = 0;

  bool operator==(const Head&) const = default;
};

struct Question {
  std::vector<std::int16_t> q;
  int exponent = 0;
  std::uint32_t lo = 0, t = 0;
};

// What one call answers, for each query.
std::vector<Head> attend_together(const Kernel& kernel, const std::vector<Question>& questions,
                                  const Rows& rows) {
  const std::size_t d = rows.head_dim();
  AttentionScratch scratch;
  // What an earlier head left behind must not show.
  scratch.sums.assign(kMostQueries * kTilePositions, 1 << 30);
  scratch.w.assign(kMostQueries * kTilePositions, 77);
  scratch.a.assign(5, -1);
  scratch.tiles.assign(6 * kMostQueries, TileSums{1 << 20, 1 << 20, 1 << 14});
  std::vector<std::vector<std::int16_t>> q;
  std::vector<std::vector<std::int32_t>> out(questions.size(), std::vector<std::int32_t>(d, 99));
  std::vector<HeadOutput> outputs(questions.size());
  std::vector<Query> queries;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    q.push_back(questions[i].q);
    q.back().resize(d, 0);
    queries.push_back({q.back().data(), questions[i].exponent, questions[i].lo, questions[i].t,
                       out[i].data(), &outputs[i]});
  }
  attend(kernel, queries, rows.cache(), 0, 0, d, scratch);
  std::vector<Head> heads;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    heads.push_back({Values(out[i].begin(), out[i].end()), outputs[i].exponent});
    machine::Extremes extremes;
    for (std::int64_t& o : heads.back().o) {
      o *= outputs[i].r;
      extremes.add(o);
    }
    EXPECT_EQ(outputs[i].extremes.hi, extremes.hi);
    EXPECT_EQ(outputs[i].extremes.lo, extremes.lo);
    heads.back().o.resize(questions[i].q.size());
  }
  return heads;
}

// The answer of every kernel to one query.
Head attend_rows(const std::vector<std::int16_t>& q, int q_exponent, const Rows& rows,
                 std::uint32_t lo, std::uint32_t t) {
  const std::vector<Question> alone = {{q, q_exponent, lo, t}};
  const Head head = attend_together(*portable_kernel(), alone, rows).front();
  for (const Kernel* kernel : kernels()) {
    EXPECT_EQ(attend_together(*kernel, alone, rows).front(), head) << kernel->name;
  }
  return head;
}

Head head_of(TestState& state) {
  if (state.at(kOV).empty()) return {};  // a step before it failed, and has said so
  return {state.at(kOV), static_cast<int>(46 - state.at(kHeadShift)[0] + state.at(kHeadR)[0] +
                                          state.at(kHeadM)[0] - state.at(kHeadX)[0])};
}

constexpr std::initializer_list<machine::Tensor> kFromTiles = {
    kTileM, kTileX, kTileS, kTileA, kHeadM, kHeadX, kHeadS, kHeadR, kHeadA, kHeadShift, kOV};

// A query and keys with q·k = z for every z of OP-10: all weights 4095 but the last, which is 1.
constexpr std::size_t kWide = 128;
std::vector<std::int16_t> wide_query() {
  std::vector<std::int16_t> q(kWide, 4095);
  q.back() = 1;
  return q;
}
Values key_for(std::int64_t z) {
  Values key(kWide, 0);
  std::int64_t rest = z / 4095;
  key.back() = z % 4095;
  for (std::size_t j = 0; j + 1 < kWide && rest != 0; ++j) {
    key[j] = std::clamp<std::int64_t>(rest, -4095, 4095);
    rest -= key[j];
  }
  EXPECT_EQ(rest, 0) << "no key gives the score " << z;
  return key;
}

// One tile of scores, through keys that give them.
TEST(Attention, TilesOfTheVectors) {
  check_vectors("ops", "OP-11", [](const json& in) -> json {
    const std::size_t count = in["z"].size(), d = in["v"][0].size();
    TestState state;
    state.shape().heads = state.shape().kv_heads = 1;
    state.shape().head_dim = static_cast<std::uint32_t>(d);
    state.at(kZ).assign(machine::kTile, 0);
    Rows rows(kWide);
    bool reachable = true;  // "largest scores" are beyond what any q and k give
    for (std::size_t u = 0; u < count; ++u) {
      const std::int64_t z = in["z"][u];
      reachable &= std::abs(z) <= std::int64_t{4095} * 4095 * 127;
      state.at(kZ)[u] = z;
      Values v = in["v"][u];
      state.v_rows.push_back(v);
      state.v_rows.back().push_back(in["f_v"][u]);
      v.resize(kWide, 0);
      rows.add(reachable ? key_for(z) : Values(kWide, 0), 4, v, in["f_v"][u]);
    }
    const auto t = static_cast<std::uint32_t>(count - 1);
    EXPECT_TRUE(state.run_all(t, 0, kFromTiles));
    if (reachable) {
      Head head = attend_rows(wide_query(), 4, rows, 0, t);
      head.o.resize(d);
      EXPECT_EQ(head, head_of(state));
    }
    return {{"M", state.at(kTileM)[0]},
            {"X", state.at(kTileX)[0]},
            {"S", state.at(kTileS)[0]},
            {"A", state.at(kTileA)}};
  });
}

// The scores of the vectors, and everything after them, over keys as they stand in the cache.
TEST(Attention, ScoresOfTheVectors) {
  check_vectors("ops", "OP-10", [](const json& in) -> json {
    TestState state;
    const Values q = in["q"];
    state.shape().heads = state.shape().kv_heads = 1;
    state.shape().head_dim = static_cast<std::uint32_t>(q.size());
    state.shape().window = in["window"];
    const std::uint32_t t = in["t"], lo = machine::first_attended(t, in["window"]);
    state.at(kQ) = q;
    state.at(kQExp) = {in["f_q"]};
    Rows rows(q.size());
    for (std::uint32_t u = 0; u <= t; ++u) {
      const std::size_t i = u < lo ? 0 : u - lo;  // rows before lo must not be read
      Values k = in["k"][i], v(q.size(), 0);
      for (std::size_t j = 0; j < v.size(); ++j)
        v[j] = static_cast<std::int64_t>(37 * u + j) % 255 - 127;
      rows.add(k, in["f_k"][i], v, static_cast<int>(u % 7));
      k.push_back(in["f_k"][i]);
      v.push_back(u % 7);
      state.k_rows.push_back(k);
      state.v_rows.push_back(v);
    }
    EXPECT_TRUE(state.run(t, 0, kZ) && state.run_all(t, 0, kFromTiles));
    const Head head = attend_rows({q.begin(), q.end()}, in["f_q"], rows, lo, t);
    EXPECT_EQ(head, head_of(state));
    const auto begin = state.at(kZ).begin() + (lo % machine::kTile);
    return {{"lo", lo}, {"z", Values(begin, begin + (t + 1 - lo))}};
  });
}

// Several tiles whose greatest scores lie some octaves apart, about each edge of the alignment.
TEST(Attention, EqualsTheStepsForEveryGapBetweenTiles) {
  std::mt19937 random(11);
  for (const std::int64_t gap : {0, 1, 14, 15, 16, 22, 23, 24, 25, 62, 63, 64, 65, 1000}) {
    for (const std::uint32_t window : {0u, 1u, 127u, 128u, 129u, 200u}) {
      // The gap in the scores, in V's exponents, or in the scores behind one position that stands
      // alone in its tile: there the far tile weighs the most that it can.
      for (const int kind : {0, 1, 2}) {
        const bool by_value = kind == 1;
        const std::uint32_t t = 128 + random() % 260;
        TestState state;
        state.shape().heads = state.shape().kv_heads = 1;
        state.shape().head_dim = 3;
        state.shape().window = window;
        const std::uint32_t lo = machine::first_attended(t, window);
        const machine::TileRange tiles = machine::tiles_of(t, window);
        state.at(kZ).assign(std::size_t{tiles.count} * machine::kTile, 0);
        Rows rows(kWide);
        for (std::uint32_t u = 0; u <= t; ++u) {
          const bool far = u / machine::kTile % 2 == 0;
          // Each tile's first position has the octave 0 before the gap, no other a greater one.
          const bool first = u % machine::kTile == 0 || u == lo;
          std::int64_t z = static_cast<std::int64_t>(random() % 256);
          if (!first) z -= 256 * static_cast<std::int64_t>(kind == 2 && !far ? 60 : random() % 3);
          if (far && !by_value) z -= 256 * gap;
          const int f = far && by_value ? static_cast<int>(std::min<std::int64_t>(gap, 30)) : -2;
          Values v = {static_cast<std::int64_t>(random() % 255) - 127, 127, far ? 0 : -127};
          if (u >= lo) state.at(kZ)[u - tiles.first * machine::kTile] = z;
          state.v_rows.push_back(v);
          state.v_rows.back().push_back(f);
          v.resize(kWide, 0);
          rows.add(key_for(z), 4, v, f);
        }
        ASSERT_TRUE(state.run_all(t, 0, kFromTiles));
        Head head = attend_rows(wide_query(), 4, rows, lo, t);
        head.o.resize(3);
        ASSERT_EQ(head, head_of(state)) << "gap " << gap << ", window " << window << ", t " << t;
      }
    }
  }
}

// Queries of several positions, with windows of their own, share the loads of the cache: each gets
// what it gets alone, also where it attends nothing of a tile that another one does.
TEST(Attention, QueriesTogetherGetWhatEachGetsAlone) {
  std::mt19937 random(12);
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
  };
  for (const std::size_t d : {2, 6, 8, 16, 24, 64, 96, 256}) {
    Rows rows(d);
    constexpr int kPositions = 700;
    for (int u = 0; u < kPositions; ++u) {
      Values k(d), v(d);
      for (auto& x : k) x = between(-4095, 4095);
      for (auto& x : v) x = between(-127, 127);
      rows.add(k, between(4, 13), v, between(-3, 3));
    }
    for (std::size_t count = 1; count <= kMostQueries; ++count) {
      std::vector<Question> questions(count);
      for (Question& question : questions) {
        for (std::size_t j = 0; j < d; ++j) {
          question.q.push_back(static_cast<std::int16_t>(between(-2047, 2047)));
        }
        question.exponent = between(4, 13);
        question.t = static_cast<std::uint32_t>(between(0, kPositions - 1));
        question.lo = machine::first_attended(
            question.t, static_cast<std::uint32_t>(between(0, 2) * between(1, 200)));
      }
      std::vector<Head> alone;
      for (const Question& question : questions) {
        alone.push_back(attend_together(*portable_kernel(), {question}, rows).front());
      }
      for (const Kernel* kernel : kernels()) {
        EXPECT_EQ(attend_together(*kernel, questions, rows), alone)
            << kernel->name << ", " << count << " queries, head_dim " << d;
      }
    }
  }
}

// --- A tail of 100,000 positions behind a sink --------------------------------------------------

using Wide = __int128;
constexpr std::uint32_t kTail = 100000;
constexpr int kUnit = 70;  // results are compared in units of 2^-70

struct SinkCase {
  std::int64_t gap;  // of the scores, in 1/256 octaves: each tail position weighs 2^-(gap/256)
  int sink_exponent;
  int tail_exponent;
};

constexpr std::size_t kChannels = 4;
struct Sink {
  Rows rows{kChannels};
  std::vector<std::int64_t> z;
  std::vector<Values> v;
  std::vector<int> f;
};

Sink make_sink(const SinkCase& c) {
  Sink sink;
  for (std::uint32_t u = 0; u <= kTail; ++u) {
    // The scores of the tail differ by up to an eighth of an octave each way.
    const std::int64_t spread = u == 0 ? 0 : static_cast<std::int64_t>(u % 65) - 32;
    sink.z.push_back(u == 0 ? 4095 : 4095 - c.gap + spread);
    sink.v.push_back(u == 0 ? Values{0, -127, 127, 1}
                            : Values{100, 127, 1, u % 3 == 0 ? 127 : -40});
    sink.f.push_back(u == 0 ? c.sink_exponent : c.tail_exponent);
    sink.rows.add({sink.z.back(), 7, -9, 100}, 4, sink.v.back(), sink.f.back());
  }
  return sink;
}

// Σ weight(u)·v / Σ weight(u) in units of 2^-kUnit. weight is below 2^69.
template <class Weight>
Wide mean(const Sink& sink, std::size_t channel, const Weight& weight) {
  Wide numerator = 0, denominator = 0;
  for (std::uint32_t u = 0; u <= kTail; ++u) {
    const Wide w = weight(u);
    denominator += w;
    numerator += w * sink.v[u][channel] * (1 << (30 - sink.f[u]));
  }
  return numerator / (denominator >> (kUnit - 30));
}

// 2^((z_u - z_0)/256)·2^68, from the table of masses, whose entries are right to 2^-29.
Wide exact_weight(const Sink& sink, std::uint32_t u) {
  const std::int64_t gap = sink.z[0] - sink.z[u];
  const std::int64_t octaves = gap / 256, rest = gap % 256;
  return (Wide{machine::mass_table()[static_cast<std::size_t>(rest * 256)]} << 40) >> octaves;
}

// What a softmax with 16-bit weights against the one global maximum has left of it.
Wide naive_weight(const Sink& sink, std::uint32_t u) {
  constexpr int kDropped = 68 - 16;
  return ((exact_weight(sink, u) + (Wide{1} << (kDropped - 1))) >> kDropped) << kDropped;
}

Wide attended(const Head& head, std::size_t channel) {
  const int s = kUnit - head.exponent;
  const Wide o = head.o[channel];
  return s >= 0 ? o * (Wide{1} << s) : o >> -s;
}

Wide magnitude(Wide v) { return v < 0 ? -v : v; }

// The notes' bound: what is rounded away, a position within its tile or a whole tile, carries at
// most 131072·2^-23 of the mass. For these tails the error is below 1 % of what the tail changes in
// the result (it is the 127 positions that share the sink's tile), where 16-bit weights against one
// maximum lose all of it.
TEST(Attention, TailOfHundredThousandPositionsBehindASink) {
  const std::vector<SinkCase> cases = {
      {16 * 256, 5, 5},       // the tail carries 60 % of the mass
      {16 * 256 + 64, 5, 5},  // 56 %
      {17 * 256, 5, 5},       // 43 %
      {17 * 256 + 64, 5, 5},  // 39 %
      {20 * 256, 5, 5},       // 9 %
      {17 * 256, 20, 5},      // a sink of small values: its row is finer than those of the tail
      {17 * 256, 5, 11},      // small values behind the sink: 23 octaves in all, the last kept
  };
  for (const SinkCase& c : cases) {
    SCOPED_TRACE("gap " + std::to_string(c.gap) + "/256, exponents " +
                 std::to_string(c.sink_exponent) + " " + std::to_string(c.tail_exponent));
    const Sink sink = make_sink(c);
    const Head head = attend_rows({1, 0, 0, 0}, 4, sink.rows, 0, kTail);
    for (std::size_t j = 0; j < kChannels; ++j) {
      const auto weight = [&](std::uint32_t u) { return exact_weight(sink, u); };
      const Wide exact = mean(sink, j, weight);
      // What the tail changes: alone, the sink would give its own value.
      const Wide alone = (Wide{sink.v[0][j]} << kUnit) >> sink.f[0];
      const Wide change = magnitude(exact - alone);
      const Wide error = magnitude(attended(head, j) - exact);
      EXPECT_LT(error, change / 100) << "channel " << j;
      if (j == 0) {
        // The test has teeth: there the tail is all there is, and the naive form loses it.
        const Wide naive = mean(sink, j, [&](std::uint32_t u) { return naive_weight(sink, u); });
        if (c.gap > 17 * 256) EXPECT_EQ(naive, 0);
        EXPECT_GT(attended(head, j), 0);
      }
    }
  }
}

// One octave further than the alignment keeps: the loss has the bound that was promised.
TEST(Attention, WhatIsLostBeyondTheAlignmentIsBounded) {
  for (const SinkCase& c : {SinkCase{25 * 256, 5, 5}, SinkCase{17 * 256, 5, 13}}) {
    const Sink sink = make_sink(c);
    const Head head = attend_rows({1, 0, 0, 0}, 4, sink.rows, 0, kTail);
    for (std::size_t j = 0; j < kChannels; ++j) {
      const Wide exact = mean(sink, j, [&](std::uint32_t u) { return exact_weight(sink, u); });
      // 131072·2^-23 = 2^-6 of the greatest value a row of the sink's exponent can hold.
      EXPECT_LT(magnitude(attended(head, j) - exact),
                (Wide{127} << (kUnit - c.sink_exponent)) >> 6);
    }
  }
}

}  // namespace
}  // namespace otr::engine
