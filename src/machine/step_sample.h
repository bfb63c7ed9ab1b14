// Steps of the sampler (SPEC SAMP, PROG-3, PROG-6), a chunk of 4096 ids at a time.
#ifndef OTR_MACHINE_STEP_SAMPLE_H_
#define OTR_MACHINE_STEP_SAMPLE_H_

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

// Calls fold(j, L_j) for the ids of a chunk.
template <class State, class Fold>
void over_chunk(Reads<State>& in, std::uint64_t chunk, Fold fold) {
  const std::uint64_t begin = chunk * kPartTerms;
  const std::uint64_t end = std::min<std::uint64_t>(in.shape().vocabulary, begin + kPartTerms);
  std::array<std::uint16_t, kPartTerms> counts{};
  over_recent(in, [&](std::uint32_t id) {
    if (id >= begin && id < end) ++counts[id - begin];
  });
  for (std::uint64_t j = begin; j < end; ++j) {
    fold(static_cast<std::uint32_t>(j),
         in.micro(Tensor::kLogit, j) - penalty(in, counts[j - begin]));
  }
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

// The key that a cut names: Δ of its id, packed again. `delta` is Δ.
template <class State>
std::int64_t key_named_by(Reads<State>& in, std::int64_t cut, std::int64_t& delta) {
  const std::uint32_t id = id_of(cut);
  if (id >= in.shape().vocabulary) return in.refuse();
  std::int64_t count = 0;
  over_recent(in, [&](std::uint32_t seen) { count += seen == id; });
  delta = distance_of(in, in.micro(Tensor::kLogit, id) - penalty(in, count));
  return key_of(delta, id);
}

template <class State>
std::int64_t total(Reads<State>& in, Tensor per_chunk) {
  std::int64_t sum = 0;
  for (std::uint32_t c = 0; c < blocks(in.shape().vocabulary, kPartTerms); ++c) {
    sum += in.micro(per_chunk, c);
  }
  return sum;
}

template <class State>
std::int64_t logit_max(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  Extremes e;
  if (tensor == Tensor::kLHi) {
    over_chunk(in, i, [&](std::uint32_t, std::int64_t value) { e.add(value); });
  } else {
    for (std::uint32_t c = 0; c < blocks(in.shape().vocabulary, kPartTerms); ++c) {
      e.add(in.micro(Tensor::kLHi, c));
    }
  }
  return e.hi;
}

template <class State>
std::int64_t k_cut(Reads<State>& in) {  // PROG-6
  const std::uint32_t top_k = in.sampling().top_k;
  if (top_k == 0) return kKeepAll;
  const std::int64_t cut = in.claimed();
  std::int64_t delta = 0;
  if (key_named_by(in, cut, delta) != cut) return in.refuse();
  if (total(in, Tensor::kKCount) != std::min(top_k, in.shape().vocabulary)) return in.refuse();
  return cut;
}

template <class State>
std::int64_t p_cut(Reads<State>& in) {  // PROG-6
  const std::int64_t outer = in.micro(Tensor::kKCut, 0);
  const std::int64_t top_p = in.sampling().top_p;
  if (top_p == 65536) return outer;
  const std::int64_t cut = in.claimed();
  std::int64_t delta = 0;
  if (cut > outer || key_named_by(in, cut, delta) != cut) return in.refuse();
  const std::int64_t enough = top_p * total(in, Tensor::kKMass);
  const std::int64_t mass = total(in, Tensor::kPMass);
  if (mass << 16 < enough || (mass - mass_of(in, delta)) << 16 >= enough) return in.refuse();
  return cut;
}

template <class State>
std::int64_t cut_sum(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  const std::int64_t cut = in.micro(tensor == Tensor::kPMass ? Tensor::kPCut : Tensor::kKCut, 0);
  std::int64_t sum = 0;
  over_chunk(in, i, [&](std::uint32_t j, std::int64_t value) {
    const std::int64_t delta = distance_of(in, value);
    if (key_of(delta, j) > cut) return;
    sum += tensor == Tensor::kKCount ? 1 : mass_of(in, delta);
  });
  return sum;
}

// noise_j - Δ_j, or kNothingKept where a filter removes j (SAMP-7, SAMP-8).
template <class State>
std::int64_t score_of(Reads<State>& in, std::uint32_t j, std::int64_t value, std::int64_t cut) {
  const std::int64_t delta = distance_of(in, value);
  if (key_of(delta, j) > cut) return kNothingKept;
  const std::int64_t min_p = in.sampling().min_p;
  if (min_p != 0 && mass_of(in, delta) << 16 < min_p * kMassOne) return kNothingKept;
  const NoiseIndex at = noise_index(in.noise_word(j));
  return in.table(TableId::kGumbel, at.row, at.column) + at.extra - delta;
}

template <class State>
std::int64_t best(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  const bool greedy = in.sampling().greedy();
  const std::int64_t cut = greedy ? kKeepAll : in.micro(Tensor::kPCut, 0);
  std::int64_t best_score = kNothingKept;
  std::int64_t best_id = 0;
  over_chunk(in, i, [&](std::uint32_t j, std::int64_t value) {
    const std::int64_t score = greedy ? value : score_of(in, j, value, cut);
    if (score > best_score) {
      best_score = score;
      best_id = j;
    }
  });
  return tensor == Tensor::kBest ? best_score : best_id;
}

template <class State>
std::int64_t chosen_token(Reads<State>& in) {
  std::int64_t best_score = kNothingKept;
  std::int64_t token = 0;
  for (std::uint32_t c = 0; c < blocks(in.shape().vocabulary, kPartTerms); ++c) {
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
