// Steps of the sampler (SPEC SAMP, PROG-3, PROG-6): one id, or a chunk of 4096 ids of one tensor.
#ifndef OTR_MACHINE_STEP_SAMPLE_H_
#define OTR_MACHINE_STEP_SAMPLE_H_

#include <algorithm>

#include "machine/sample.h"
#include "machine/step_reads.h"

namespace otr::machine {

// Calls fold(u) for every output position that penalties count (SAMP-1).
template <class State, class Fold>
void over_recent(Reads<State>& in, Fold fold) {
  if (in.sampling().presence == 0 && in.sampling().frequency == 0) return;
  const std::uint32_t window_begin = in.t() + 1 > kPenaltyWindow ? in.t() + 1 - kPenaltyWindow : 0;
  for (std::uint32_t u = std::max(in.n_prompt(), window_begin); u <= in.t(); ++u) {
    fold(static_cast<std::uint32_t>(in.token(u)));
  }
}

template <class State>
std::int64_t penalty(const Reads<State>& in, std::int64_t count) {
  return count == 0 ? 0 : in.sampling().presence + count * in.sampling().frequency;
}

template <class State>
std::int64_t bias_of(const Reads<State>& in, std::uint64_t j) {
  const auto& list = in.sampling().logit_bias;
  const auto at = std::ranges::lower_bound(list, j, {}, &LogitBias::id);
  return at != list.end() && at->id == j ? at->value : 0;
}

// SAMP-1: L_j.
template <class State>
std::int64_t adjusted_logit(Reads<State>& in, std::uint64_t j) {
  std::int64_t count = 0;
  over_recent(in, [&](std::uint32_t id) { count += id == j; });
  return in.micro(Tensor::kLogit, j) + bias_of(in, j) - penalty(in, count);
}

template <class State>
std::uint32_t chunks(const Reads<State>& in) {
  return blocks(in.shape().vocabulary, kPartTerms);
}

// Calls fold(j) for the ids of a chunk.
template <class State, class Fold>
void over_chunk(const Reads<State>& in, std::uint64_t chunk, Fold fold) {
  const std::uint64_t end =
      std::min<std::uint64_t>(in.shape().vocabulary, (chunk + 1) * kPartTerms);
  for (std::uint64_t j = chunk * kPartTerms; j < end; ++j) fold(j);
}

// Δ_j; an L_j above the L_max that was committed is out of range.
template <class State>
std::int64_t distance_of(Reads<State>& in, std::int64_t value) {
  const std::int64_t gap = in.micro(Tensor::kLMax, 0) - value;
  return distance(in.ranged(gap, 0, std::int64_t{1} << 34), in.sampling().inv_t);
}

template <class State>
std::int64_t mass_of(Reads<State>& in, std::int64_t delta) {  // SAMP-5
  const std::int64_t octaves = delta >> 16;
  if (octaves >= 29) return 0;
  return rsh(in.table(TableId::kMass, 0, delta & 0xffff), static_cast<int>(octaves));
}

template <class State>
std::int64_t committed_key(Reads<State>& in, std::uint64_t j) {
  return key_of(in.micro(Tensor::kDelta, j), static_cast<std::uint32_t>(j));
}

// Whether a cut is the key of the id it names.
template <class State>
bool is_key(Reads<State>& in, std::int64_t cut) {
  return id_of(cut) < in.shape().vocabulary && committed_key(in, id_of(cut)) == cut;
}

template <class State>
std::int64_t total(Reads<State>& in, Tensor per_chunk) {
  std::int64_t sum = 0;
  for (std::uint32_t c = 0; c < chunks(in); ++c) sum += in.micro(per_chunk, c);
  return sum;
}

template <class State>
std::int64_t k_cut(Reads<State>& in) {  // PROG-6
  const std::uint32_t top_k = in.sampling().top_k;
  if (top_k == 0) return kKeepAll;
  const std::int64_t cut = in.claimed();
  if (!is_key(in, cut)) return in.refuse();
  if (total(in, Tensor::kKCount) != std::min(top_k, in.shape().vocabulary)) return in.refuse();
  return cut;
}

template <class State>
std::int64_t p_cut(Reads<State>& in) {  // PROG-6
  const std::int64_t outer = in.micro(Tensor::kKCut, 0);
  const std::int64_t top_p = in.sampling().top_p;
  if (top_p == 65536) return outer;
  const std::int64_t cut = in.claimed();
  if (cut > outer || !is_key(in, cut)) return in.refuse();
  const std::int64_t enough = top_p * total(in, Tensor::kKMass);
  const std::int64_t mass = total(in, Tensor::kPMass);
  const std::int64_t before = mass - in.micro(Tensor::kPW, id_of(cut));
  if (mass << 16 < enough || before << 16 >= enough) return in.refuse();
  return cut;
}

template <class State>
std::int64_t count_below(Reads<State>& in, std::uint64_t chunk) {
  const std::int64_t cut = in.micro(Tensor::kKCut, 0);
  std::int64_t count = 0;
  over_chunk(in, chunk, [&](std::uint64_t j) { count += committed_key(in, j) <= cut; });
  return count;
}

// k_w and p_w: the mass of one id where the cut keeps it.
template <class State>
std::int64_t mass_below(Reads<State>& in, Tensor tensor, std::uint64_t j) {
  const bool outer = tensor == Tensor::kKW;
  const std::int64_t key = committed_key(in, j);
  if (key > in.micro(outer ? Tensor::kKCut : Tensor::kPCut, 0)) return 0;
  return outer ? mass_of(in, key >> 18) : in.micro(Tensor::kKW, j);
}

template <class State>
std::int64_t chunk_mass(Reads<State>& in, Tensor tensor, std::uint64_t chunk) {
  const Tensor masses = tensor == Tensor::kKMass ? Tensor::kKW : Tensor::kPW;
  std::int64_t sum = 0;
  over_chunk(in, chunk, [&](std::uint64_t j) { sum += in.micro(masses, j); });
  return sum;
}

// noise_j - Δ_j, or kNotKept where a filter removes j (SAMP-7, SAMP-8).
template <class State>
std::int64_t score_of(Reads<State>& in, std::uint64_t j) {
  const std::int64_t key = committed_key(in, j);
  if (key > in.micro(Tensor::kPCut, 0)) return kNotKept;
  if (in.micro(Tensor::kPW, j) << 16 < in.sampling().min_p * kMassOne) return kNotKept;
  const NoiseIndex at = noise_index(in.noise_word(j));
  return in.table(TableId::kGumbel, at.row, at.column) + at.extra - (key >> 18);
}

// The greatest score of a chunk, and its least id.
template <class State>
std::int64_t best(Reads<State>& in, Tensor tensor, std::uint64_t chunk) {
  const Tensor scores = in.sampling().greedy() ? Tensor::kL : Tensor::kScore;
  std::int64_t best_score = INT64_MIN;
  std::uint64_t best_id = 0;
  over_chunk(in, chunk, [&](std::uint64_t j) {
    const std::int64_t score = in.micro(scores, j);
    if (score <= best_score) return;
    best_score = score;
    best_id = j;
  });
  return tensor == Tensor::kBest ? best_score : static_cast<std::int64_t>(best_id);
}

template <class State>
std::int64_t chosen_token(Reads<State>& in) {
  std::int64_t best_score = INT64_MIN;
  std::int64_t token = 0;
  for (std::uint32_t c = 0; c < chunks(in); ++c) {
    const std::int64_t score = in.micro(Tensor::kBest, c);
    if (score > best_score) {
      best_score = score;
      token = in.micro(Tensor::kBestId, c);
    }
  }
  return token;
}

}  // namespace otr::machine

#endif  // OTR_MACHINE_STEP_SAMPLE_H_
