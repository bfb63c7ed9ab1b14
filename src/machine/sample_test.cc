// SPEC SAMP and PROG-6: the native sampler and the steps of the head against the vectors and
// against each other, what a false cut meets, and the distribution that is drawn from.
#include "machine/sample.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/hex.h"
#include "base/test_vectors.h"
#include "machine/test_sampling.h"
#include "machine/test_state.h"
#include "trace/noise.h"

namespace otr::machine {
namespace {

using enum Tensor;
using nlohmann::json;

std::array<std::uint8_t, 32> seed_of(const json& text) {
  const auto bytes = hash_from_hex(text.get<std::string>(), "seed");
  EXPECT_TRUE(bytes);
  return bytes.value_or(Hash{});
}

Sampling sampling_of(const json& in) {
  return {.inv_t = in["inv_t"],
          .top_k = in["top_k"],
          .top_p = in["top_p"],
          .min_p = in["min_p"],
          .presence = in["presence"],
          .frequency = in["frequency"],
          .seed = seed_of(in["seed"]),
          .logit_bias = logit_bias_of(in["logit_bias"])};
}

// The head at the last position of `tokens`, its logits given.
TestState head_state(const Values& logits, const Sampling& sampling,
                     std::vector<std::uint32_t> tokens, std::uint32_t n_prompt) {
  TestState state;
  state.shape().vocabulary = static_cast<std::uint32_t>(logits.size());
  state.sampling = sampling;
  state.noise = trace::noise_block;
  state.tokens = std::move(tokens);
  state.n_prompt = n_prompt;
  state.at(kLogit) = logits;
  return state;
}

std::uint32_t last(const TestState& state) {
  return static_cast<std::uint32_t>(state.tokens.size() - 1);
}

// Reads as a step of the head does, for rules whose result is no tensor.
struct HeadReads {
  StepContext context;
  Reads<TestState> in;

  explicit HeadReads(TestState& state)
      : context(state.context()), in(context, state, {last(state), kHeadLayer, kBest, 0}) {}
};

Values penalised(TestState& state) {
  EXPECT_TRUE(state.run(last(state), kHeadLayer, kL));
  return state.at(kL);
}

std::vector<std::int64_t> sorted_keys(const Values& penalised_values, std::uint32_t inv_t) {
  const std::int64_t greatest = *std::ranges::max_element(penalised_values);
  std::vector<std::int64_t> keys;
  for (std::uint32_t j = 0; j < penalised_values.size(); ++j) {
    keys.push_back(key_of(distance(greatest - penalised_values[j], inv_t), j));
  }
  std::ranges::sort(keys);
  return keys;
}

bool run_head(TestState& state, std::initializer_list<Tensor> tensors) {
  for (const Tensor tensor : tensors) {
    if (!state.run(last(state), kHeadLayer, tensor)) return false;
  }
  return true;
}

// The steps from the logits to the token, with these cuts. False if a step refuses.
bool run_sampler(TestState& state, std::int64_t k_cut, std::int64_t p_cut) {
  if (!run_head(state, {kL, kLHi, kLMax})) return false;
  if (!state.sampling.greedy()) {
    state.at(kKCut) = {k_cut};
    state.at(kPCut) = {p_cut};
    if (!run_head(state, {kDelta, kKCount, kKW, kKMass, kPW, kPMass})) return false;
    state.claim = k_cut;
    if (!run_head(state, {kKCut})) return false;
    state.claim = p_cut;
    if (!run_head(state, {kPCut, kScore})) return false;
  }
  return run_head(state, {kBest, kBestId, kToken});
}

Choice native(TestState& state) {
  const Values& logits = state.at(kLogit);
  const std::vector<std::int32_t> row(logits.begin(), logits.end());
  const std::uint32_t t = last(state);
  const std::uint32_t begin =
      std::max(state.n_prompt, t + 1 > kPenaltyWindow ? t + 1 - kPenaltyWindow : 0);
  const auto recent = std::span(state.tokens).subspan(std::min(begin, t + 1));
  return choose_token(row, recent, state.sampling, t, state.noise);
}

TEST(Sample, SingleRules) {
  check_vectors("sampling", "SAMP-1", [](const json& in) {
    Sampling sampling;
    if (in.contains("sampling")) {
      sampling = sampling_of(in["sampling"]);
    } else {
      sampling.presence = in["presence"];
      sampling.frequency = in["frequency"];
      sampling.logit_bias = logit_bias_of(in["logit_bias"]);
    }
    TestState state = head_state(in["logits"], sampling, in["tokens"], in["n_prompt"]);
    const Values values = penalised(state);
    EXPECT_TRUE(run_head(state, {kLHi, kLMax}));
    EXPECT_EQ(state.at(kLMax)[0], *std::ranges::max_element(values));
    return json{{"L", values}, {"token", native(state).token}};
  });
  check_vectors("sampling", "SAMP-3", [](const json& in) {
    TestState state;
    state.tokens = {0};
    state.sampling.inv_t = in["inv_t"];
    state.at(kLMax) = {in["L_max"]};
    HeadReads reads(state);
    const std::int64_t delta = distance_of(reads.in, in["L"].get<std::int64_t>());
    EXPECT_EQ(delta,
              distance(in["L_max"].get<std::int64_t>() - in["L"].get<std::int64_t>(), in["inv_t"]));
    return json{{"delta", delta}};
  });
  check_vectors("sampling", "SAMP-5", [](const json& in) {
    TestState state;
    state.tokens = {0};
    HeadReads reads(state);
    return json{{"w", mass_of(reads.in, in["delta"].get<std::int64_t>())}};
  });
}

std::int64_t noise_of(std::uint32_t u) {
  const NoiseIndex at = noise_index(u);
  return gumbel_table()[at.row * 4096 + at.column] + std::int64_t{at.extra};
}

Values noises(const std::array<std::uint8_t, 32>& seed, std::uint32_t position,
              std::uint32_t count) {
  Values values;
  for (std::uint32_t j = 0; j < count; ++j) {
    values.push_back(noise_of(trace::noise_block(seed, position, j / 8)[j % 8]));
  }
  return values;
}

TEST(Sample, Noise) {
  check_vectors("sampling", "SAMP-8", [](const json& in) {
    if (in.contains("u")) return json{{"noise", noise_of(in["u"])}};
    return json{{"noise", noises(seed_of(in["seed"]), in["position"], in["count"])}};
  });
  // No word has more noise than the bound by which the sampler passes over a token.
  const auto table = gumbel_table();
  EXPECT_EQ(noise_of(0), table[15 * 4096] + (17 << 16));
  EXPECT_LE(*std::ranges::max_element(table) + (17 << 16), kMaxNoise);
}

// Whole choices: both ways agree on everything they show.
json choice(const json& in) {
  const Sampling sampling = sampling_of(in["sampling"]);
  TestState state = head_state(in["logits"], sampling, in["tokens"], in["n_prompt"]);
  const Choice chosen = native(state);
  const bool accepted = run_sampler(state, chosen.k_cut, chosen.p_cut);
  EXPECT_TRUE(accepted) << "a step refuses the native sampler's cuts";
  if (!accepted) return nullptr;
  EXPECT_EQ(state.at(kToken)[0], chosen.token);
  const Values values = penalised(state);
  json out = {{"L", values}, {"token", chosen.token}};
  if (sampling.greedy()) return out;

  const auto keys = sorted_keys(values, sampling.inv_t);
  std::size_t k_kept = 0, p_kept = 0;
  json first_keys = json::array(), kept = json::array();
  for (const std::int64_t key : keys) {
    k_kept += key <= chosen.k_cut;
    p_kept += key <= chosen.p_cut;
    if (first_keys.size() < 64) first_keys.push_back({key >> 18, id_of(key)});
    const std::uint32_t id = id_of(key);
    if (state.at(kScore)[id] != kNotKept) kept.push_back(id);
  }
  out["keys"] = first_keys;
  out["k_kept"] = k_kept;
  out["p_kept"] = p_kept;
  out["kept"] = kept;
  out["noise"] = noises(sampling.seed, last(state) + 1, state.shape().vocabulary);
  return out;
}

TEST(Sample, Choices) {
  for (const char* rule : {"SAMP-2", "SAMP-4", "SAMP-6", "SAMP-7", "SAMP-9"}) {
    check_vectors("sampling", rule, choice);
  }
}

// PROG-6: whatever cut is claimed, with sums that are honest for it, only the true one passes; and
// with the true sums a false cut is refused, by its own step or by that of the sums.
TEST(Sample, FalseCutsAreRefused) {
  int refused = 0;
  const auto try_cuts = [&](const json& in) -> json {
    TestState state =
        head_state(in["logits"], sampling_of(in["sampling"]), in["tokens"], in["n_prompt"]);
    const Choice truth = native(state);
    const auto keys = sorted_keys(penalised(state), state.sampling.inv_t);
    std::vector<std::int64_t> claims;
    for (std::size_t i = 0; i < keys.size(); i += 1 + keys.size() / 16) claims.push_back(keys[i]);
    for (const std::int64_t cut : {truth.k_cut, truth.p_cut}) {
      // The neighbours in the order of the keys are the cuts that are nearly right.
      const auto at = std::ranges::lower_bound(keys, cut);
      if (at != keys.begin()) claims.push_back(*std::prev(at));
      for (auto it = at; it != keys.end() && it - at < 2; ++it) claims.push_back(*it);
    }
    for (const std::int64_t cut : {truth.k_cut, truth.p_cut}) {
      for (const std::int64_t far : {std::int64_t{1}, std::int64_t{1} << 18}) {
        claims.insert(claims.end(), {cut - far, cut + far});
      }
    }
    // An id outside the vocabulary, the cut that keeps all, and values outside the range.
    claims.insert(claims.end(), {truth.k_cut | 0x3ffff, kKeepAll, kKeepAll + 1, 0, -1});
    for (const std::int64_t claim : claims) {
      const bool k_right = claim == truth.k_cut, p_right = claim == truth.p_cut;
      if (state.sampling.top_k != 0) {
        EXPECT_EQ(run_sampler(state, claim, std::min(claim, truth.p_cut)), k_right)
            << "k_cut " << claim << " for " << truth.k_cut;
        refused += !k_right;
      }
      if (state.sampling.top_p != 65536) {
        EXPECT_EQ(run_sampler(state, truth.k_cut, claim), p_right)
            << "p_cut " << claim << " for " << truth.p_cut;
        refused += !p_right;
      }
    }
    return choice(in);
  };
  check_vectors("sampling", "SAMP-4", try_cuts);
  check_vectors("sampling", "SAMP-6", try_cuts);
  EXPECT_GT(refused, 1000);
}

// The outer cut holds for p_cut whatever sums were committed; with the true sums a key beyond it
// never is the shortest prefix, so that only false ones show it.
TEST(Sample, NoPCutBeyondTheKCut) {
  TestState state =
      head_state({0, -1, -2, -3}, {.inv_t = 65536, .top_k = 2, .top_p = 40000}, {0}, 1);
  const auto keys = sorted_keys(state.at(kLogit), state.sampling.inv_t);
  ASSERT_TRUE(run_head(state, {kL, kLHi, kLMax, kDelta}));
  state.at(kPW).assign(4, kMassOne);
  state.at(kKMass) = {kMassOne};
  state.at(kPMass) = {kMassOne};
  for (const std::int64_t outer : keys) {
    state.at(kKCut) = {outer};
    for (const std::int64_t claim : keys) {
      state.claim = claim;
      const StepResult result = state.step_at(0, kHeadLayer, kPCut, 0);
      EXPECT_EQ(result.outcome, claim > outer ? StepOutcome::kMismatch : StepOutcome::kValue)
          << claim << " within " << outer;
    }
  }
}

// A vocabulary of three chunks, the last of them short.
constexpr std::uint32_t kLarge = 9000;

Values large_logits() {
  Values logits;
  for (std::uint32_t j = 0; j < kLarge; ++j) {
    logits.push_back(static_cast<std::int64_t>(j * 2654435761u >> 12) - (1 << 19));
  }
  return logits;
}

TEST(Sample, ChunksOfALargeVocabulary) {
  std::vector<Sampling> all = {{}, {.inv_t = 94548}, {.inv_t = 0, .presence = 400000}};
  for (const std::uint32_t top_k : {1u, 50u, 4096u, 5000u, kLarge, 20000u}) {
    for (const std::uint32_t top_p : {1u, 30000u, 65000u, 65535u, 65536u}) {
      all.push_back({.inv_t = 20000,
                     .top_k = top_k,
                     .top_p = top_p,
                     .min_p = top_k % 7 * 100,
                     .presence = 70000,
                     .frequency = -9000});
    }
  }
  for (Sampling& sampling : all) {
    sampling.seed[0] = static_cast<std::uint8_t>(sampling.top_k);
    TestState state = head_state(large_logits(), sampling, {1, 4095, 4096, 4096, 8999, 3}, 1);
    const Choice chosen = native(state);
    ASSERT_TRUE(run_sampler(state, chosen.k_cut, chosen.p_cut)) << sampling.top_k;
    EXPECT_EQ(state.at(kToken)[0], chosen.token) << sampling.top_k << " " << sampling.top_p;
    if (sampling.greedy()) continue;
    const std::int64_t kept = state.at(kKCount)[0] + state.at(kKCount)[1] + state.at(kKCount)[2];
    EXPECT_EQ(kept, sampling.top_k == 0 ? kLarge : std::min(sampling.top_k, kLarge));
  }
}

std::array<std::uint32_t, 8> equal_noise(const std::array<std::uint8_t, 32>&, std::uint32_t,
                                         std::uint32_t) {
  return {77, 77, 77, 77, 77, 77, 77, 77};
}

TEST(Sample, TiesAcrossChunksGoToTheLeastId) {
  for (const std::uint32_t inv_t : {0u, 94548u}) {
    Values logits(kLarge, -1000);
    for (const std::uint32_t j : {8191u, 4096u, 8500u, 4100u}) logits[j] = 5;
    TestState state = head_state(logits, {.inv_t = inv_t}, {0}, 1);
    state.noise = equal_noise;
    EXPECT_EQ(native(state).token, 4096u);
    ASSERT_TRUE(run_sampler(state, kKeepAll, kKeepAll));
    EXPECT_EQ(state.at(kToken)[0], 4096);
    EXPECT_EQ(state.at(kBestId), (Values{0, 4096, 8500}));
  }
}

// A chunk of which nothing is kept has the mark for that, and can never give the token.
TEST(Sample, ChunksWithoutAKeptId) {
  Values logits(kLarge, -1000);
  logits[5000] = 0;
  TestState state = head_state(logits, {.inv_t = 94548, .top_k = 1}, {0}, 1);
  const Choice chosen = native(state);
  ASSERT_TRUE(run_sampler(state, chosen.k_cut, chosen.p_cut));
  EXPECT_EQ(state.at(kBest)[0], kNotKept);
  EXPECT_EQ(state.at(kBest)[2], kNotKept);
  EXPECT_EQ(state.at(kBestId), (Values{0, 5000, 8192}));
  EXPECT_EQ(state.at(kKMass), (Values{0, kMassOne, 0}));
  EXPECT_EQ(state.at(kToken)[0], 5000);
}

// The least and the greatest probabilities are exact rational numbers only in the limit; the
// expected counts come from MASS, whose 2^-28 is nothing to a chi-square of 200,000 draws.
struct Draws {
  std::vector<std::int64_t> counts;
  std::int64_t total = 0;
};

Draws draw(const Values& logits, Sampling sampling, std::uint32_t count) {
  Draws draws{std::vector<std::int64_t>(logits.size(), 0), count};
  const std::vector<std::int32_t> row(logits.begin(), logits.end());
  for (std::uint32_t i = 0; i < count; ++i) {
    // Seeds and positions both change, as they do in use.
    sampling.seed[i % 32] = static_cast<std::uint8_t>(sampling.seed[i % 32] + 1 + i / 32);
    ++draws.counts[choose_token(row, {}, sampling, i, trace::noise_block).token];
  }
  return draws;
}

// 2^10 times the chi-square statistic against the masses of `kept` at `inv_t`, in integers.
std::int64_t chi_square(const Draws& draws, const Values& logits, std::uint32_t inv_t,
                        const std::vector<std::uint32_t>& kept) {
  const std::int64_t greatest = *std::ranges::max_element(logits);
  Values mass(logits.size(), 0);
  std::int64_t all = 0;
  for (const std::uint32_t j : kept) {
    const std::int64_t delta = distance(greatest - logits[j], inv_t);
    mass[j] = mass_table()[static_cast<std::size_t>(delta & 0xffff)] >> (delta >> 16);
    all += mass[j];
  }
  std::int64_t sum = 0;
  for (std::size_t j = 0; j < logits.size(); ++j) {
    if (mass[j] == 0) {
      EXPECT_EQ(draws.counts[j], 0) << "drawn, but filtered out: " << j;
      continue;
    }
    // count - expected in units of 2^-10, so that its square stays below 2^63.
    const std::int64_t expected = (draws.total * mass[j] << 10) / all;
    const std::int64_t off = (draws.counts[j] << 10) - expected;
    sum += off * off / expected;
  }
  return sum;
}

// Critical values of the chi-square distribution at 0.999, times 2^10, by degrees of freedom.
constexpr std::int64_t kCritical[] = {0, 11088, 14148, 16655, 18910, 21007, 22996, 24906};

TEST(Sample, DrawsFollowTheSoftmaxOfTheKeptSet) {
  constexpr std::uint32_t kCount = 200000;
  const Values logits = {0, 65536, -30000, 100000, 20000, -150000, 65536, 99999};
  const std::vector<std::uint32_t> everything = {0, 1, 2, 3, 4, 5, 6, 7};
  struct Case {
    Sampling sampling;
    std::vector<std::uint32_t> kept;
  };
  // Masses relative to the greatest, at temperature 1: 0.217 0.592 0.138 1 0.295 0.022 0.592 1.0.
  const std::vector<Case> cases = {
      {{.inv_t = 94548}, everything},                          // temperature 1
      {{.inv_t = 189097}, everything},                         // temperature 1/2
      {{.inv_t = 94548, .top_k = 3}, {1, 3, 7}},               // of the tied 1 and 6 the lesser id
      {{.inv_t = 94548, .top_p = 50000}, {1, 3, 6, 7}},        // 3.18 of 3.86 is 82 %
      {{.inv_t = 94548, .min_p = 14000}, {0, 1, 3, 4, 6, 7}},  // 0.2136 of the greatest
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::to_string(c.sampling.inv_t) + " " + std::to_string(c.kept.size()));
    const Draws draws = draw(logits, c.sampling, kCount);
    EXPECT_LT(chi_square(draws, logits, c.sampling.inv_t, c.kept), kCritical[c.kept.size() - 1]);
    // The test would see a temperature that is off by a tenth.
    EXPECT_GT(chi_square(draws, logits, c.sampling.inv_t * 11 / 10, c.kept), kCritical[7]);
  }
}

}  // namespace
}  // namespace otr::machine
