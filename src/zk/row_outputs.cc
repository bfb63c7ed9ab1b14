// The choice of each token, as far as it follows from what is in clear (SPEC SAMP, PS-5).
#include <algorithm>

#include "zk/mle.h"
#include "zk/row_lines.h"

namespace otr::zk {
namespace {

// Θ: one more than the greatest distance that min_p keeps. Masses never rise with the distance.
std::int64_t threshold_of(const machine::Sampling& sampling) {
  const std::int64_t least = std::int64_t{sampling.min_p} << 28;
  std::int64_t kept = 0;
  for (std::int64_t step = 1 << 23; step != 0; step >>= 1) {
    if (mass_of(kept + step) << 16 >= least) kept += step;
  }
  return kept + 1;
}

std::int64_t penalty_of(std::span<const Penalty> penalties, std::uint32_t id) {
  const auto at = std::ranges::lower_bound(penalties, id, {}, &Penalty::id);
  return at != penalties.end() && at->id == id ? at->value : 0;
}

}  // namespace

// Output o is chosen at position n_prompt - 1 + o, before which the outputs below o stand.
std::vector<Penalty> penalties_at(const Job& job, std::size_t o) {
  const machine::Sampling& s = job.sampling;
  std::vector<Penalty> list;
  for (const machine::LogitBias& bias : s.logit_bias) list.push_back({bias.id, -bias.value});
  if (s.presence == 0 && s.frequency == 0) return list;
  const std::size_t first = o > machine::kPenaltyWindow ? o - machine::kPenaltyWindow : 0;
  const auto recent = job.output.subspan(first, o - first);
  std::vector<std::uint32_t> ids(recent.begin(), recent.end());
  std::ranges::sort(ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool again = i != 0 && ids[i] == ids[i - 1];
    list.push_back({ids[i], s.frequency + (again ? 0 : s.presence)});
  }
  std::ranges::sort(list, {}, &Penalty::id);
  std::vector<Penalty> sums;  // one for each id
  for (const Penalty& one : list) {
    if (sums.empty() || sums.back().id != one.id) sums.push_back({one.id, 0});
    sums.back().value += one.value;
  }
  return sums;
}

std::int64_t mass_of(std::int64_t delta) {
  const auto octaves = static_cast<int>(delta >> 16);
  if (octaves >= 29) return 0;
  return machine::rsh(machine::mass_table()[static_cast<std::size_t>(delta & 0xffff)], octaves);
}

std::int64_t noise_value(const Job& job, std::uint32_t t, std::uint32_t id) {
  const auto words = job.noise(job.sampling.seed, t + 1, id / 8);
  const machine::NoiseIndex at = machine::noise_index(words[id % 8]);
  return machine::gumbel_table()[at.row * 4096 + at.column] + std::int64_t{at.extra};
}

Status derive_outputs(const Job& job, const TraceRows& rows, const Scalars& scalars, Lines& lines) {
  const machine::Shape& shape = job.model.shape;
  const machine::Sampling& sampling = job.sampling;
  const std::vector<std::int32_t>& last = rows.x[shape.layers - 1];
  lines.theta = threshold_of(sampling);
  for (std::size_t o = 0; o < job.output.size(); ++o) {
    const auto refuse = [&](const std::string& what) {
      return reject_proof("output " + std::to_string(o) + ": " + what);
    };
    const auto t = static_cast<std::uint32_t>(job.prompt.size() - 1 + o);
    const OutputScalars& s = scalars.outputs[o];
    OutputLine line;
    line.final_row = norm_row(std::span(last).subspan(std::size_t{t} * shape.hidden, shape.hidden),
                              job.model.final_norm, shape.eps, job.model.head_bound);
    line.s_l = job.model.head.exponent + line.final_row.exponent - 16;
    if (line.s_l < 0 || line.s_l > 37) return refuse("the shift of the logits is outside 0 … 37");
    const std::vector<Penalty> penalties = penalties_at(job, o);
    const std::uint32_t token = job.output[o];
    if (s.named >= shape.vocabulary || s.l_max != s.named_logit - penalty_of(penalties, s.named)) {
      return refuse("the named logit is not the greatest");
    }
    const std::int64_t gap = s.l_max - (s.token_logit - penalty_of(penalties, token));
    if (sampling.greedy() ? gap != 0 : gap < 0) return refuse("the token is not the best");
    if (!sampling.greedy()) {
      const std::int64_t delta = machine::distance(gap, sampling.inv_t);
      if (sampling.min_p != 0 && delta >= lines.theta) return refuse("the token is not kept");
      line.best = noise_value(job, t, token) - delta;
      if (line.best < -(1 << 20)) return refuse("the token's score is too low to be the best");
    }
    lines.outputs.push_back(std::move(line));
  }
  return {};
}

}  // namespace otr::zk
