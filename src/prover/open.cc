#include "prover/open.h"

#include <algorithm>
#include <array>
#include <functional>
#include <mutex>
#include <numeric>

#include "prover/commit_kernels.h"
#include "prover/open_weights.h"
#include "prover/words.h"
#include "zk/mle.h"

namespace otr::prover {
namespace {

using zk::Ext;
using zk::Felt;

// A round polynomial g: its value at 0 and its leading coefficient.
struct RoundSums {
  Ext at0, leading;

  RoundSums& operator+=(const RoundSums& other) {
    at0 += other.at0;
    leading += other.leading;
    return *this;
  }
  // What one weight at `address` adds, the two elements of its pair being those of f.
  void add_cell(bool odd, Ext weight, Ext even_f, Ext odd_f) {
    const Ext slope = odd_f - even_f;
    if (!odd) at0 += weight * even_f;
    leading += odd ? weight * slope : -(weight * slope);
  }
};

RoundSums total_of(const LaneSums& lanes) {
  std::array<Felt, 4> sums;
  for (std::size_t i = 0; i < 4 * kMostWidth; ++i) sums[i / kMostWidth] += Felt{lanes[i]};
  return {{sums[0], sums[1]}, {sums[2], sums[3]}};
}

// Elements of K in memory that is not touched before it is written.
struct Elements {
  WordArray c0, c1;

  Elements() = default;
  explicit Elements(std::size_t count) : c0(make_words(count)), c1(make_words(count)) {}
  [[nodiscard]] Exts from(std::size_t at) { return {&c0[at], &c1[at]}; }
  [[nodiscard]] Ext at(std::size_t i) const { return {{c0[i]}, {c1[i]}}; }
};

// The sumcheck of SPEC PO-1. The first two rounds make the weights block by block; the later ones
// fold what the second has written.
class BatchingProver {
 public:
  BatchingProver(zk::Transcript& transcript, const Committed& committed, OpenWeights weights,
                 Ext claim, engine::Pool& pool, const CommitKernels& kernels)
      : transcript_(transcript),
        cells_(committed.cells()),
        weights_(std::move(weights)),
        claim_(claim),
        pool_(pool),
        kernels_(kernels),
        block_(std::min(kMostBlock, static_cast<std::size_t>(committed.places()))) {}

  // `bits` rounds, at least 2. Returns f(ρ).
  Ext run(int bits, zk::Sumcheck& proof, zk::Point& rho) {
    send(first_sums(), proof, rho);
    send(second_sums(rho.back()), proof, rho);
    while (size_ % 32 == 0) send(next_sums(rho.back()), proof, rho);
    return finish(static_cast<std::size_t>(bits), proof, rho);
  }

 private:
  // A block of weights stays in first-level cache with its cells.
  static constexpr std::size_t kMostBlock = 1024;

  // Sums over ranges of `count` units, added up whichever thread is first: sums in K are exact.
  RoundSums over(std::size_t count,
                 const std::function<RoundSums(std::size_t begin, std::size_t end)>& part) {
    RoundSums total;
    std::mutex mutex;
    pool_.split(count, [&](std::size_t begin, std::size_t end) {
      if (begin == end) return;
      const RoundSums sums = part(begin, end);
      const std::lock_guard lock(mutex);
      total += sums;
    });
    return total;
  }

  void send(const RoundSums& sums, zk::Sumcheck& proof, zk::Point& rho) {
    const Ext at1 = claim_ - sums.at0;
    const std::array<Ext, 3> values = {sums.at0, at1,
                                       at1 + at1 - sums.at0 + sums.leading + sums.leading};
    const std::array<Ext, 2> message = {values[0], values[2]};
    proof.messages.insert(proof.messages.end(), message.begin(), message.end());
    transcript_.absorb(zk::Label::kSumcheck, message);
    rho.push_back(transcript_.challenge());
    claim_ = zk::interpolate(values, rho.back());
  }

  RoundSums first_sums() {
    RoundSums total = over(cells_.size() / block_, [&](std::size_t begin, std::size_t end) {
      RoundSums part;
      weights_.for_each_block(kernels_, begin * block_, end * block_, block_,
                              [&](std::uint64_t at, ConstExts w) {
                                LaneSums lanes;
                                kernels_.sum_base(&cells_[at], w, block_, lanes);
                                part += total_of(lanes);
                              });
      return part;
    });
    for (const WeightedCell& cell : weights_.cells) {
      const std::uint64_t even = cell.address & ~std::uint64_t{1};
      total.add_cell((cell.address & 1) != 0, cell.weight, ext(Felt{cells_[even]}),
                     ext(Felt{cells_[even + 1]}));
    }
    return total;
  }

  RoundSums second_sums(Ext r) {
    weights_.bind(r);
    size_ = cells_.size() / 2;
    f_ = Elements(size_);
    w_ = Elements(size_);
    const std::size_t half = block_ / 2;
    RoundSums total = over(size_ / half, [&](std::size_t begin, std::size_t end) {
      RoundSums part;
      weights_.for_each_block(kernels_, begin * half, end * half, half,
                              [&](std::uint64_t at, ConstExts w) {
                                std::copy_n(w.c0, half, &w_.c0[at]);
                                std::copy_n(w.c1, half, &w_.c1[at]);
                                const Exts f = f_.from(at);
                                kernels_.fold_base(&cells_[2 * at], block_, &r, f);
                                LaneSums lanes;
                                kernels_.sum_ext({f.c0, f.c1}, w, half, lanes);
                                part += total_of(lanes);
                              });
      return part;
    });
    for (const WeightedCell& cell : weights_.cells) {
      const std::uint64_t even = cell.address & ~std::uint64_t{1};
      total.add_cell((cell.address & 1) != 0, cell.weight, f_.at(even), f_.at(even + 1));
      const Ext sum = w_.at(cell.address) + cell.weight;
      w_.c0[cell.address] = sum.c0.v;
      w_.c1[cell.address] = sum.c1.v;
    }
    return total;
  }

  RoundSums next_sums(Ext r) {
    size_ /= 2;
    if (!f_next_.c0) {
      f_next_ = Elements(size_);
      w_next_ = Elements(size_);
    }
    constexpr std::size_t kUnit = 16;  // outputs
    const RoundSums total = over(size_ / kUnit, [&](std::size_t begin, std::size_t end) {
      const std::size_t out = begin * kUnit;
      const std::size_t in = 2 * out;
      LaneSums lanes;
      kernels_.fold_and_sum({&f_.c0[in], &f_.c1[in]}, {&w_.c0[in], &w_.c1[in]},
                            2 * (end - begin) * kUnit, &r, f_next_.from(out), w_next_.from(out),
                            lanes);
      return total_of(lanes);
    });
    std::swap(f_, f_next_);
    std::swap(w_, w_next_);
    return total;
  }

  // The last rounds, one element at a time: the rows are no power of two in number.
  Ext finish(std::size_t bits, zk::Sumcheck& proof, zk::Point& rho) {
    std::vector<Ext> f(std::size_t{2} << (bits - rho.size()));
    std::vector<Ext> w(f.size());
    for (std::size_t i = 0; i < size_; ++i) {
      f[i] = f_.at(i);
      w[i] = w_.at(i);
    }
    const auto fold = [&](std::vector<Ext>& values) {
      const Ext r = rho.back();
      for (std::size_t i = 0; i < values.size() / 2; ++i) {
        values[i] = values[2 * i] + (values[2 * i + 1] - values[2 * i]) * r;
      }
      values.resize(values.size() / 2);
    };
    fold(f);
    fold(w);
    while (rho.size() < bits) {
      RoundSums sums;
      for (std::size_t i = 0; i < f.size(); i += 2) {
        sums.at0 += f[i] * w[i];
        sums.leading += (f[i + 1] - f[i]) * (w[i + 1] - w[i]);
      }
      send(sums, proof, rho);
      fold(f);
      fold(w);
    }
    return f[0];
  }

  zk::Transcript& transcript_;
  std::span<const std::uint64_t> cells_;
  OpenWeights weights_;
  Ext claim_;
  engine::Pool& pool_;
  const CommitKernels& kernels_;
  std::size_t block_;     // addresses; 128 at least
  std::size_t size_ = 0;  // elements of f_ and w_, of which the last challenge is not yet bound
  Elements f_, w_, f_next_, w_next_;
};

// u of SPEC PO-2.
std::vector<Ext> combined_row(const zk::Layout& layout, const Committed& committed,
                              std::span<const Ext> row_weights, engine::Pool& pool,
                              const CommitKernels& kernels) {
  std::vector<Ext> combined(layout.places());
  pool.split(layout.places() / kCombinedPlaces, [&](std::size_t begin, std::size_t end) {
    std::uint64_t c0[kCombinedPlaces], c1[kCombinedPlaces];
    for (std::size_t at = begin * kCombinedPlaces; at < end * kCombinedPlaces;
         at += kCombinedPlaces) {
      kernels.combine_rows(&committed.cells()[at], layout.places(), layout.rows(),
                           row_weights.data(), {c0, c1});
      for (std::size_t i = 0; i < kCombinedPlaces; ++i) combined[at + i] = {{c0[i]}, {c1[i]}};
    }
  });
  return combined;
}

}  // namespace

zk::OpeningProof open(zk::Transcript& transcript, const zk::Layout& layout,
                      const Committed& committed, std::span<const zk::EvalClaim> eval_claims,
                      std::span<const zk::CellClaim> cell_claims, engine::Pool& pool, Isa isa) {
  const CommitKernels& kernels = commit_kernels(isa);
  const auto powers = zk::powers(transcript.challenge(), eval_claims.size() + cell_claims.size());
  zk::OpeningProof proof;
  zk::Point rho;
  proof.value =
      BatchingProver(transcript, committed, OpenWeights(layout, powers, eval_claims, cell_claims),
                     zk::weighted_values(powers, eval_claims, cell_claims), pool, kernels)
          .run(layout.bits(), proof.sumcheck, rho);
  transcript.absorb(zk::Label::kOpened, std::span(&proof.value, 1));
  const auto row_weights =
      zk::eq_table(std::span(rho).subspan(static_cast<std::size_t>(layout.kappa())), layout.rows());
  proof.combined = combined_row(layout, committed, row_weights, pool, kernels);
  transcript.absorb(zk::Label::kCombined, proof.combined);
  proof.nonce = transcript.grind(zk::kQueryGrindBits);
  for (const std::uint64_t place : zk::draw_places(transcript, layout)) {
    proof.queries.push_back(committed.open_place(place));
  }
  return proof;
}

}  // namespace otr::prover
