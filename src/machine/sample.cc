#include "machine/sample.h"

#include <algorithm>
#include <vector>

namespace otr::machine {
namespace {

std::int64_t mass_of(std::int64_t delta) {  // SAMP-5
  const std::int64_t octaves = delta >> 16;
  return octaves >= 29 ? 0
                       : rsh(mass_table()[static_cast<std::size_t>(delta & 0xffff)],
                             static_cast<int>(octaves));
}

// SAMP-1.
std::vector<std::int64_t> adjusted(std::span<const std::int32_t> logits,
                                   std::span<const std::uint32_t> recent,
                                   const Sampling& sampling) {
  std::vector<std::int64_t> values(logits.begin(), logits.end());
  for (const LogitBias& bias : sampling.logit_bias) values[bias.id] += bias.value;
  if (sampling.presence == 0 && sampling.frequency == 0) return values;
  std::vector<std::uint32_t> seen(recent.begin(), recent.end());
  std::ranges::sort(seen);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    std::int64_t& value = values[seen[i]];
    if (i == 0 || seen[i] != seen[i - 1]) value -= sampling.presence;
    value -= sampling.frequency;
  }
  return values;
}

// SAMP-4: the greatest key kept. nth_element leaves the kept keys in front.
std::int64_t cut_top_k(std::vector<std::int64_t>& keys, std::uint32_t top_k) {
  if (top_k == 0) return kKeepAll;
  const std::size_t kept = std::min<std::size_t>(top_k, keys.size());
  std::ranges::nth_element(keys, keys.begin() + static_cast<std::ptrdiff_t>(kept - 1));
  keys.resize(kept);
  return keys.back();
}

// SAMP-6 on the keys that top_k kept.
std::int64_t cut_top_p(std::vector<std::int64_t>& keys, std::uint32_t top_p, std::int64_t k_cut) {
  if (top_p == 65536) return k_cut;
  std::ranges::sort(keys);
  std::int64_t all = 0;
  for (const std::int64_t key : keys) all += mass_of(key >> 18);
  std::int64_t prefix = 0;
  for (const std::int64_t key : keys) {
    prefix += mass_of(key >> 18);
    if (prefix << 16 >= top_p * all) return key;
  }
  return keys.back();
}

}  // namespace

Choice choose_token(std::span<const std::int32_t> logits, std::span<const std::uint32_t> recent,
                    const Sampling& sampling, std::uint32_t t, NoiseBlock noise) {
  const std::vector<std::int64_t> values = adjusted(logits, recent, sampling);
  const auto greatest = std::ranges::max_element(values);  // the first, so the lowest id
  if (sampling.greedy()) return {static_cast<std::uint32_t>(greatest - values.begin())};

  std::vector<std::int64_t> delta(values.size());
  for (std::size_t j = 0; j < values.size(); ++j) {
    delta[j] = distance(*greatest - values[j], sampling.inv_t);
  }
  Choice choice;
  if (sampling.top_k != 0 || sampling.top_p != 65536) {
    std::vector<std::int64_t> keys(values.size());
    for (std::uint32_t j = 0; j < keys.size(); ++j) keys[j] = key_of(delta[j], j);
    choice.k_cut = cut_top_k(keys, sampling.top_k);
    choice.p_cut = cut_top_p(keys, sampling.top_p, choice.k_cut);
  }

  std::int64_t best = kNotKept;
  std::array<std::uint32_t, 8> words{};
  std::uint32_t words_block = UINT32_MAX;
  for (std::uint32_t j = 0; j < values.size(); ++j) {
    if (kMaxNoise - delta[j] <= best) continue;  // no noise could make it the best
    if (key_of(delta[j], j) > choice.p_cut) continue;
    if (mass_of(delta[j]) << 16 < sampling.min_p * kMassOne) continue;  // SAMP-7
    if (words_block != j / 8) words = noise(sampling.seed, t + 1, words_block = j / 8);
    const NoiseIndex at = noise_index(words[j % 8]);
    const std::int64_t score =
        gumbel_table()[at.row * 4096 + at.column] + std::int64_t{at.extra} - delta[j];
    if (score > best) {  // SAMP-9: ties keep the lower id
      best = score;
      choice.token = j;
    }
  }
  return choice;
}

}  // namespace otr::machine
