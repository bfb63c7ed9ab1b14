// The sampler draws what its words promise: for each filter the exact distribution, computed here
// in floating point from the filter's plain definition (SPEC chapter 7 in real numbers), against
// many draws by the machine's own code with its own noise; and samplers with one fault each, which
// these tests must catch.
//
// False alarms: a right sampler whose seeds were drawn at random would fail one verdict with a
// probability below 10^-6 (4.9 standard deviations, or McDiarmid's bound for the total variation);
// there are about 150 verdicts here, so fewer than one run in 6000. The seeds are fixed: a run that
// passes passes again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "machine/sample.h"
#include "trace/noise.h"

namespace otr::eval {
namespace {

using machine::NoiseBlock;
using machine::Sampling;

constexpr double kDeviations = 4.9;
constexpr std::uint32_t kDraws = 30000;
constexpr std::uint32_t kTemperatureOne = 94548;  // 2^16·log2(e)

// What the tokens are drawn from.
struct Setting {
  std::vector<std::int32_t> logits;  // 2^16 to the unit
  Sampling sampling;
  std::vector<std::uint32_t> recent;  // output tokens that penalties count
};

// The probabilities by the definitions: of the adjusted logits the softmax at the temperature; of
// the likeliest first (equals by id) the first top_k; of those the shortest prefix with at least
// top_p of their mass; of those the ones at least min_p times as likely as the likeliest.
std::vector<double> exact(const Setting& setting) {
  const Sampling& s = setting.sampling;
  const std::size_t count = setting.logits.size();
  std::vector<double> logit(setting.logits.begin(), setting.logits.end());
  for (const auto& [id, value] : s.logit_bias) logit[id] += value;
  for (std::uint32_t id = 0; id < count; ++id) {
    const auto times = static_cast<double>(std::ranges::count(setting.recent, id));
    if (times > 0) logit[id] -= s.presence + static_cast<double>(s.frequency) * times;
  }
  const double temperature = 65536 * std::numbers::log2e / s.inv_t;
  const double greatest = std::ranges::max(logit);
  std::vector<double> weight(count);
  for (std::size_t j = 0; j < count; ++j) {
    weight[j] = std::exp((logit[j] - greatest) / 65536 / temperature);
  }
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, {}, [&](std::size_t j) { return std::pair(-logit[j], j); });
  if (s.top_k != 0) order.resize(std::min<std::size_t>(s.top_k, count));
  double all = 0, prefix = 0;
  for (const std::size_t j : order) all += weight[j];
  std::vector<double> kept(count, 0.0);
  for (const std::size_t j : order) {
    kept[j] = weight[j];
    prefix += weight[j];
    if (prefix >= all * s.top_p / 65536 && s.top_p != 65536) break;
  }
  for (double& w : kept) w = w * 65536 >= s.min_p ? w : 0;
  const double total = std::accumulate(kept.begin(), kept.end(), 0.0);
  for (double& w : kept) w /= total;
  return kept;
}

std::array<std::uint8_t, 32> seed_of(std::uint32_t number) {
  std::array<std::uint8_t, 32> seed{0x57, 0xa7};
  for (int i = 0; i < 4; ++i) seed[4 + i] = static_cast<std::uint8_t>(number >> 8 * i);
  return seed;
}

std::uint32_t draw(const Setting& setting, std::uint32_t seed, std::uint32_t t, NoiseBlock noise) {
  Sampling sampling = setting.sampling;
  sampling.seed = seed_of(seed);
  return machine::choose_token(setting.logits, setting.recent, sampling, t, noise).token;
}

std::vector<std::uint32_t> draws(const Setting& setting, std::uint32_t count = kDraws,
                                 NoiseBlock noise = trace::noise_block) {
  std::vector<std::uint32_t> ids;
  for (std::uint32_t i = 0; i < count; ++i) ids.push_back(draw(setting, i / 64, i % 64, noise));
  return ids;
}

struct Verdict {
  bool impossible = false;     // something was drawn that has no probability
  double chi_square = 0;       // in standard deviations
  double surprisal = 0;        // mean of -log p, in standard deviations: sees a temperature
  double total_variation = 0;  // between frequencies and probabilities
  double variation_bound = 0;

  bool good() const {
    return !impossible && chi_square < kDeviations && std::abs(surprisal) < kDeviations &&
           total_variation < variation_bound;
  }
};

std::ostream& operator<<(std::ostream& out, const Verdict& v) {
  return out << "impossible " << v.impossible << ", chi-square " << v.chi_square << ", surprisal "
             << v.surprisal << ", total variation " << v.total_variation << " of "
             << v.variation_bound;
}

// The chi-square statistic in standard deviations of the normal distribution (Wilson, Hilferty).
double in_deviations(double chi_square, double freedom) {
  if (freedom < 1) return 0;
  const double spread = 2 / (9 * freedom);
  return (std::cbrt(chi_square / freedom) - (1 - spread)) / std::sqrt(spread);
}

// Cells of fewer than 10 expected draws are one cell.
double chi_square(const std::vector<double>& p, const std::vector<std::uint32_t>& ids) {
  const auto n = static_cast<double>(ids.size());
  std::vector<double> seen(p.size(), 0.0);
  for (const std::uint32_t id : ids) ++seen[id];
  double sum = 0, cells = 0, rare = 0, rare_seen = 0;
  for (std::size_t j = 0; j < p.size(); ++j) {
    if (p[j] * n < 10) {
      rare += p[j];
      rare_seen += seen[j];
      continue;
    }
    sum += (seen[j] - n * p[j]) * (seen[j] - n * p[j]) / (n * p[j]);
    ++cells;
  }
  if (rare * n >= 10) {
    sum += (rare_seen - n * rare) * (rare_seen - n * rare) / (n * rare);
    ++cells;
  }
  return in_deviations(sum, cells - 1);
}

Verdict judge(const std::vector<double>& p, const std::vector<std::uint32_t>& ids) {
  Verdict verdict;
  const auto n = static_cast<double>(ids.size());
  std::vector<double> seen(p.size(), 0.0);
  for (const std::uint32_t id : ids) {
    ++seen[id];
    if (p[id] == 0) verdict.impossible = true;
  }
  verdict.chi_square = chi_square(p, ids);
  double mean = 0, square = 0, found = 0, cells = 0;
  for (std::size_t j = 0; j < p.size(); ++j) {
    verdict.total_variation += std::abs(seen[j] / n - p[j]) / 2;
    if (p[j] == 0) continue;
    ++cells;
    mean -= p[j] * std::log(p[j]);
    square += p[j] * std::log(p[j]) * std::log(p[j]);
    found -= seen[j] / n * std::log(p[j]);
  }
  const double variance = square - mean * mean;
  if (variance > 1e-9) verdict.surprisal = (found - mean) / std::sqrt(variance / n);
  // The expected total variation is at most half the root of (cells - 1)/n; one draw changes it by
  // at most 1/n, so McDiarmid's inequality bounds what is beyond.
  verdict.variation_bound = std::sqrt((cells - 1) / n) / 2 + std::sqrt(std::log(1e6) / (2 * n));
  return verdict;
}

// Twenty-six tokens in four blocks of noise, spread over eight units, with equals among them.
std::vector<std::int32_t> some_logits() {
  std::vector<std::int32_t> logits;
  for (std::uint32_t j = 0; j < 26; ++j) {
    logits.push_back(static_cast<std::int32_t>(j * 2654435761u >> 13) - (1 << 18));
  }
  logits[9] = logits[20];
  logits[3] = logits[4] = std::ranges::max(logits);
  return logits;
}

Setting with(Sampling sampling, std::vector<std::uint32_t> recent = {}) {
  return {some_logits(), std::move(sampling), std::move(recent)};
}

void expect_exact(const Setting& setting, const std::string& what, std::uint32_t count = kDraws) {
  const Verdict verdict = judge(exact(setting), draws(setting, count));
  EXPECT_TRUE(verdict.good()) << what << ": " << verdict;
}

TEST(SamplingStatistics, Temperature) {
  for (const std::uint32_t inv_t : {20000u, 60000u, 94548u, 118185u, 200000u, 945484u}) {
    expect_exact(with({.inv_t = inv_t}), "inv_t " + std::to_string(inv_t), 2 * kDraws);
  }
}

TEST(SamplingStatistics, TopK) {
  for (const std::uint32_t top_k : {1u, 2u, 3u, 5u, 12u, 25u, 26u}) {
    expect_exact(with({.inv_t = 60000, .top_k = top_k}), "top_k " + std::to_string(top_k));
  }
}

TEST(SamplingStatistics, TopP) {
  for (const std::uint32_t top_p : {1u, 13107u, 32768u, 49152u, 58982u, 62259u, 65000u}) {
    expect_exact(with({.inv_t = 60000, .top_p = top_p}), "top_p " + std::to_string(top_p));
  }
}

TEST(SamplingStatistics, MinP) {
  for (const std::uint32_t min_p : {1u, 655u, 3277u, 6554u, 20000u, 65536u}) {
    expect_exact(with({.inv_t = 60000, .min_p = min_p}), "min_p " + std::to_string(min_p));
  }
}

TEST(SamplingStatistics, Penalties) {
  const std::vector<std::uint32_t> recent = {3, 3, 3, 7, 20, 7, 25, 0};
  for (const auto& [presence, frequency] : {std::pair{65536, 0}, std::pair{0, 32768},
                                            std::pair{-98304, 20000}, std::pair{40000, -40000}}) {
    const Sampling sampling{.inv_t = 80000, .presence = presence, .frequency = frequency};
    expect_exact(with(sampling, recent), "presence " + std::to_string(presence));
  }
}

TEST(SamplingStatistics, LogitBias) {
  constexpr std::int32_t kEnd = machine::kMaxLogitBias;
  using Biases = std::vector<machine::LogitBias>;
  for (const Biases& bias : {Biases{{0, 65536}}, Biases{{3, -kEnd}, {4, -kEnd}}, Biases{{11, kEnd}},
                             Biases{{1, 200000}, {2, -70000}, {3, -131072}, {25, 131072}}}) {
    expect_exact(with({.inv_t = 80000, .logit_bias = bias}),
                 "bias of " + std::to_string(bias[0].id));
  }
}

TEST(SamplingStatistics, Combinations) {
  const std::vector<std::uint32_t> recent = {3, 4, 4, 12};
  const std::vector<machine::LogitBias> bias = {{1, 200000}, {5, -70000}, {20, 131072}};
  expect_exact(with({.inv_t = 60000, .top_k = 12, .top_p = 58982}), "top_k and top_p");
  expect_exact(with({.inv_t = 60000, .top_k = 12, .min_p = 6554}), "top_k and min_p");
  expect_exact(with({.inv_t = 60000, .top_p = 49152, .min_p = 3277}), "top_p and min_p");
  expect_exact(with({.inv_t = 90000, .min_p = 655, .presence = 65536, .logit_bias = bias}, recent),
               "min_p, penalty and bias");
  expect_exact(with({.inv_t = 70000,
                     .top_k = 15,
                     .top_p = 60000,
                     .min_p = 1311,
                     .presence = 32768,
                     .frequency = 9000,
                     .logit_bias = bias},
                    recent),
               "everything");
}

// A vocabulary of real size, judged in bins: the likeliest, the next nine, the next 90, ...
TEST(SamplingStatistics, ALargeVocabulary) {
  Setting setting{{}, {.inv_t = 60000, .top_p = 64000}, {}};
  for (std::uint32_t j = 0; j < 5000; ++j) {
    setting.logits.push_back(static_cast<std::int32_t>(j * 2654435761u >> 13) - (1 << 18));
  }
  const std::vector<double> p = exact(setting);
  std::vector<std::uint32_t> order(p.size()), bin(p.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, [&](auto a, auto b) { return p[a] > p[b]; });
  std::vector<double> bins(60, 0.0);
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    bin[order[rank]] = p[order[rank]] == 0 ? 59 : static_cast<std::uint32_t>(rank / 100);
    bins[bin[order[rank]]] += p[order[rank]];
  }
  std::vector<std::uint32_t> binned;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    binned.push_back(bin[draw(setting, i, i, trace::noise_block)]);
  }
  const Verdict verdict = judge(bins, binned);
  EXPECT_TRUE(verdict.good()) << verdict;
}

// Tokens of which one is drawn seldom: what decides is the tail of the noise.
Setting rare_tokens() {
  Setting setting{{0}, {.inv_t = kTemperatureOne}, {}};
  for (int octaves = 4; octaves <= 11; ++octaves) {
    setting.logits.push_back(
        static_cast<std::int32_t>(std::lround(-octaves * 65536 * std::numbers::ln2)));
  }
  return setting;
}

TEST(SamplingStatistics, RareTokens) { expect_exact(rare_tokens(), "rare tokens", 4 * kDraws); }

// The noise of all 2^32 words at once, by the table: P(noise > x) = 1 - 2^-(2^-x), the Gumbel
// distribution of base 2. Far out, where no number of draws reaches, the ratio must still be right.
TEST(SamplingStatistics, TheTailOfTheNoiseIsGumbels) {
  const auto beyond = [](double x) {
    double words = 0;
    for (int k = 0; k <= 32; ++k) {
      const std::uint32_t free_bits = k == 32 ? 0 : static_cast<std::uint32_t>(31 - k);
      const std::uint32_t columns = 1u << std::min(free_bits, 12u);
      for (std::uint32_t c = 0; c < columns; ++c) {
        const std::uint32_t u =
            k == 32
                ? 0
                : static_cast<std::uint32_t>(((std::uint64_t{columns} + c) << free_bits) / columns);
        const machine::NoiseIndex at = machine::noise_index(u);
        const std::int64_t noise =
            machine::gumbel_table()[at.row * 4096 + at.column] + std::int64_t{at.extra};
        if (static_cast<double>(noise) > x * 65536) words += std::exp2(free_bits) / columns;
      }
    }
    return words / std::exp2(32);
  };
  for (double x = -4; x <= 14; x += 0.37) {
    const double right = -std::expm1(-std::numbers::ln2 * std::exp2(-x));
    EXPECT_NEAR(beyond(x) / right, 1, 0.002) << x;
  }
  // Beyond 2^-15 the words have fewer than 12 free bits, and the steps become coarser.
  for (double x = 14.5; x <= 24; x += 0.5) {
    const double right = -std::expm1(-std::numbers::ln2 * std::exp2(-x));
    EXPECT_NEAR(beyond(x) / right, 1, 0.004 + std::exp2(x - 27)) << x;
  }
}

// --- Independence
// ----------------------------------------------------------------------------------

Setting five_tokens() {
  return {
      {0, 30000, -50000, 65536, -20000, 9000, 1, -70000, 40000}, {.inv_t = kTemperatureOne}, {}};
}

// Chi-square of the pairs against the product of the exact probabilities.
double pairs(const Setting& setting, const std::vector<std::uint32_t>& first,
             const std::vector<std::uint32_t>& second) {
  const std::vector<double> p = exact(setting);
  const auto count = static_cast<std::uint32_t>(p.size());
  std::vector<double> joint;
  for (const double a : p) {
    for (const double b : p) joint.push_back(a * b);
  }
  std::vector<std::uint32_t> ids;
  for (std::size_t i = 0; i < first.size(); ++i) ids.push_back(first[i] * count + second[i]);
  return chi_square(joint, ids);
}

// Runs of "likelier than the median" and not: their number in standard deviations (Wald,
// Wolfowitz).
double runs(const std::vector<std::uint32_t>& ids, const std::function<bool(std::uint32_t)>& high) {
  double count = 1, highs = high(ids[0]);
  for (std::size_t i = 1; i < ids.size(); ++i) {
    count += high(ids[i]) != high(ids[i - 1]);
    highs += high(ids[i]);
  }
  const auto n = static_cast<double>(ids.size());
  const double expected = 2 * highs * (n - highs) / n + 1;
  const double variance = (expected - 1) * (expected - 2) / (n - 1);
  return (count - expected) / std::sqrt(variance);
}

struct Independence {
  double positions = 0, distant = 0, seeds = 0, runs = 0;  // in standard deviations

  bool good() const {
    return positions < kDeviations && distant < kDeviations && seeds < kDeviations &&
           std::abs(runs) < kDeviations;
  }
};

Independence independence(NoiseBlock noise) {
  const Setting setting = five_tokens();
  std::vector<std::uint32_t> even, odd, far, other, all;
  for (std::uint32_t i = 0; i < kDraws; ++i) {
    even.push_back(draw(setting, 1, 2 * i, noise));
    odd.push_back(draw(setting, 1, 2 * i + 1, noise));
    far.push_back(draw(setting, 1, 2 * i + (1 << 16), noise));
    other.push_back(draw(setting, 2 + i % 7, 2 * i, noise));  // few bits of the seed differ
    all.insert(all.end(), {even.back(), odd.back()});
  }
  return {.positions = pairs(setting, even, odd),
          .distant = pairs(setting, even, far),
          .seeds = pairs(setting, even, other),
          .runs = runs(all, [](std::uint32_t id) { return id == 3 || id == 8; })};
}

TEST(SamplingStatistics, PositionsAndSeedsAreIndependent) {
  const Independence right = independence(trace::noise_block);
  EXPECT_TRUE(right.good()) << right.positions << " " << right.distant << " " << right.seeds << " "
                            << right.runs;
}

// --- Faulty samplers are caught
// --------------------------------------------------------------------

using Seed = std::array<std::uint8_t, 32>;

std::array<std::uint32_t, 8> noise_of_two_positions(const Seed& seed, std::uint32_t position,
                                                    std::uint32_t block) {
  return trace::noise_block(seed, (position + 1) / 2, block);
}
std::array<std::uint32_t, 8> noise_of_any_seed(const Seed&, std::uint32_t position,
                                               std::uint32_t block) {
  return trace::noise_block({}, position, block);
}
std::array<std::uint32_t, 8> noise_of_16_bits_of_position(const Seed& seed, std::uint32_t position,
                                                          std::uint32_t block) {
  return trace::noise_block(seed, position & 0xffff, block);
}
std::array<std::uint32_t, 8> noise_of_the_first_id(const Seed& seed, std::uint32_t position,
                                                   std::uint32_t block) {
  auto words = trace::noise_block(seed, position, block);
  words.fill(words[0]);
  return words;
}
std::array<std::uint32_t, 8> noise_of_the_first_block(const Seed& seed, std::uint32_t position,
                                                      std::uint32_t) {
  return trace::noise_block(seed, position, 0);
}
std::array<std::uint32_t, 8> noise_without_tail(const Seed& seed, std::uint32_t position,
                                                std::uint32_t block) {
  auto words = trace::noise_block(seed, position, block);
  for (std::uint32_t& word : words) word = std::max(word, 1u << 23);  // nothing beyond 2^-9
  return words;
}

TEST(SamplingStatisticsCatch, ATemperatureOffByTwoPercent) {
  for (const std::uint32_t inv_t : {60000u, 94548u, 118185u}) {
    for (const std::uint32_t wrong : {inv_t * 98 / 100, inv_t * 102 / 100}) {
      const Verdict verdict =
          judge(exact(with({.inv_t = inv_t})), draws(with({.inv_t = wrong}), 4 * kDraws));
      EXPECT_FALSE(verdict.good()) << inv_t << " " << wrong << ": " << verdict;
    }
  }
}

// A filter that keeps one token more or less, at every rank.
TEST(SamplingStatisticsCatch, AFilterOffByOneRank) {
  const std::vector<double> all = exact(with({.inv_t = 60000}));
  std::vector<double> sorted = all;
  std::ranges::sort(sorted, std::greater());
  double prefix = 0;
  for (std::uint32_t rank = 1; rank < 16; ++rank) {
    prefix += sorted[rank - 1];
    // The middle between two ranks' masses keeps exactly rank + 1 tokens.
    const auto top_p = static_cast<std::uint32_t>((prefix + sorted[rank] / 2) * 65536);
    const auto ids = draws(with({.inv_t = 60000, .top_p = top_p}), 20000);
    for (const std::uint32_t kept : {rank, rank + 1, rank + 2}) {
      const Verdict verdict = judge(exact(with({.inv_t = 60000, .top_k = kept})), ids);
      EXPECT_EQ(verdict.good(), kept == rank + 1) << "rank " << kept << ": " << verdict;
    }
  }
}

TEST(SamplingStatisticsCatch, BiasOrPenaltyForgottenOrTurned) {
  const std::vector<std::uint32_t> recent = {3, 3, 7};
  const Sampling right{.inv_t = 80000,
                       .presence = 20000,
                       .frequency = 9000,
                       .logit_bias = {{1, 40000}, {4, -20000}}};
  const auto ids = draws(with(right, recent));
  EXPECT_TRUE(judge(exact(with(right, recent)), ids).good());
  std::vector<Sampling> wrong(5, right);
  wrong[0].presence = 0;
  wrong[1].frequency = -9000;
  wrong[2].logit_bias = {{1, 40000}};
  wrong[3].logit_bias = {{1, -40000}, {4, 20000}};
  wrong[4].logit_bias = {{2, 40000}, {4, -20000}};
  for (const Sampling& one : wrong) EXPECT_FALSE(judge(exact(with(one, recent)), ids).good());
}

TEST(SamplingStatisticsCatch, NoiseThatIsSharedBetweenIdsOrHasNoTail) {
  const Setting setting = with({.inv_t = 60000});
  for (const NoiseBlock noise : {noise_of_the_first_id, noise_of_the_first_block}) {
    const Verdict verdict = judge(exact(setting), draws(setting, kDraws, noise));
    EXPECT_FALSE(verdict.good()) << verdict;
  }
  const Verdict verdict =
      judge(exact(rare_tokens()), draws(rare_tokens(), 4 * kDraws, noise_without_tail));
  EXPECT_FALSE(verdict.good()) << verdict;
}

TEST(SamplingStatisticsCatch, NoiseThatIsUsedTwice) {
  EXPECT_GT(independence(noise_of_two_positions).positions, kDeviations);
  EXPECT_GT(std::abs(independence(noise_of_two_positions).runs), kDeviations);
  EXPECT_GT(independence(noise_of_any_seed).seeds, kDeviations);
  EXPECT_GT(independence(noise_of_16_bits_of_position).distant, kDeviations);
}

}  // namespace
}  // namespace otr::eval
