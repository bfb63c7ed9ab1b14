// Limbs of domain s: the logits, and why no other token was the best.
#include <array>

#include "machine/tables.h"
#include "prover/fill.h"

namespace otr::prover {
namespace {

using zk::kLimbBits;

// Limb n of a number that may be negative where the witness is of a false claim.
std::uint64_t limb(std::int64_t v, int n) {
  const std::int64_t above = v >> (kLimbBits * n);
  return zk::felt(n == 3 ? above : above & ((1 << kLimbBits) - 1)).v;
}

class OutputFiller {
 public:
  OutputFiller(const zk::Job& job, const zk::Lines& lines, Witness& witness)
      : job_(job),
        lines_(lines),
        w_(witness),
        acc_(*cells_of(witness, "s.acc")),
        y_(*cells_of(witness, "s.y")),
        high_(*cells_of(witness, "s.yh")),
        distance_(*cells_of(witness, "s.dh")),
        e_{cells_of(witness, "s.e1"), cells_of(witness, "s.e2"), cells_of(witness, "s.e3")},
        kept_(cells_of(witness, "s.k")),
        r_(witness, "s.r") {}

  void fill(std::size_t o) const {
    const std::size_t vocabulary = job_.model.head.rows;
    const zk::OutputLine& line = lines_.outputs[o];
    const int bits = std::min(32, 63 - line.s_l);
    for (std::uint32_t v = 0; v < vocabulary; ++v) {
      const std::size_t cell = o * vocabulary + v;
      const std::int64_t y = integer_of(y_[cell]);
      r_.put(cell, integer_of(acc_[cell]) * job_.model.head.scale[v], line.s_l, y);
      high_[cell] = static_cast<std::uint64_t>(y + (std::int64_t{1} << (bits - 1))) >> kLimbBits;
    }
    const std::vector<zk::Penalty> penalties = zk::penalties_at(job_, o);
    auto penalty = penalties.begin();
    std::array<std::uint32_t, 8> words{};
    for (std::uint32_t v = 0; v < vocabulary; ++v) {
      const std::size_t cell = o * vocabulary + v;
      std::int64_t distance = w_.scalars.outputs[o].l_max - integer_of(y_[cell]);
      if (penalty != penalties.end() && penalty->id == v) distance += (penalty++)->value;
      const bool before = v < job_.output[o];
      if (!w_.options.sampled) {
        distance_[cell] = zk::felt((distance - before) >> kLimbBits).v;
        continue;
      }
      distance_[cell] = zk::felt(distance >> kLimbBits).v;
      if (v % 8 == 0) {
        const auto t = static_cast<std::uint32_t>(job_.prompt.size() + o);
        words = job_.noise(job_.sampling.seed, t, v / 8);
      }
      excess(cell, distance, noise_of(words[v % 8]) - line.best + before);
    }
  }

 private:
  static std::int64_t noise_of(std::uint32_t word) {
    const machine::NoiseIndex at = machine::noise_index(word);
    return machine::gumbel_table()[at.row * 4096 + at.column] + std::int64_t{at.extra};
  }
  void excess(std::size_t cell, std::int64_t distance, std::int64_t threshold) const {
    const std::int64_t inv_t = job_.sampling.inv_t;
    if (kept_ != nullptr) {
      const bool keep = machine::distance(distance, job_.sampling.inv_t) < lines_.theta;
      (*kept_)[cell] = keep ? 1 : 0;
      if (!keep) threshold = lines_.theta;
    }
    const std::int64_t e = distance * inv_t + (1 << 15) - (threshold << 16);
    for (int n = 1; n <= 3; ++n) {
      if (e_[n - 1] != nullptr) (*e_[n - 1])[cell] = limb(e, n);
    }
  }

  const zk::Job& job_;
  const zk::Lines& lines_;
  const Witness& w_;
  const Cells &acc_, &y_;
  Cells &high_, &distance_;
  const std::array<Cells*, 3> e_;
  Cells* const kept_;
  const Limbs r_;
};

}  // namespace

void fill_outputs(const zk::Job& job, const zk::Lines& lines, Witness& witness,
                  engine::Pool& pool) {
  const OutputFiller filler(job, lines, witness);
  pool.split(job.output.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t o = begin; o < end; ++o) filler.fill(o);
  });
}

}  // namespace otr::prover
