#include "prover/gkr_segments.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "zk/mle.h"

namespace otr::prover {
namespace {

using zk::Ext;

constexpr std::size_t kTable = 1024;  // entries; two coefficients of them leave half of an L1 cache
constexpr std::size_t kDigitBits = 11;  // of a table of weights

}  // namespace

Segments::Segments(bool weighted, std::span<const Ext> rest) : weighted_(weighted), rest_(rest) {}

std::vector<Ext> Segments::take_table(std::size_t bits, std::size_t n) {
  std::vector<Ext> table = zk::eq_table(rest_.first(bits), n);
  rest_ = rest_.subspan(bits);
  return table;
}

void Segments::widen_table(std::size_t bits, std::size_t n) {
  table_size_ *= n;
  if (!weighted_) return;
  std::vector<Ext> wide;
  wide.reserve(table_size_);
  for (const Ext& factor : take_table(bits, n)) {
    for (const Ext& e : table_) wide.push_back(factor * e);
  }
  table_ = std::move(wide);
}

void Segments::add_digit(std::uint64_t n, std::size_t bits) {
  if (!weighted_) return;
  Digit digit{n, {}, {}};
  const std::size_t low = std::min(bits, kDigitBits);
  digit.low = take_table(low, std::min(n, std::uint64_t{1} << low));
  if (bits > low) digit.high = take_table(bits - low, ((n - 1) >> low) + 1);
  digits_.push_back(std::move(digit));
}

void Segments::add_dimension(std::uint64_t n) {
  const auto bits = static_cast<std::size_t>(zk::bits_of(n));
  const std::size_t room = kTable / table_size_;
  if (!open_) {
    add_digit(n, bits);
    return;
  }
  run_size_ *= n;
  if (n <= room) {
    widen_table(bits, n);
    return;
  }
  const auto inside = static_cast<std::size_t>(std::bit_width(room) - 1);
  widen_table(inside, std::size_t{1} << inside);
  per_run_ = ((n - 1) >> inside) + 1;
  add_digit(per_run_, bits - inside);
  open_ = false;
}

void Segments::place_at(std::uint64_t position) {
  if (weighted_) all_ = zk::eq_at(rest_, position);
}

Ext Segments::weight(std::uint64_t segment) const {
  Ext weight = all_;
  // Without a cut dimension a run is one segment, and the digits count runs.
  for (const Digit& digit : digits_) {
    const std::uint64_t index = segment % digit.n;
    segment /= digit.n;
    weight *= digit.low[index & ((std::uint64_t{1} << kDigitBits) - 1)];
    if (!digit.high.empty()) weight *= digit.high[index >> kDigitBits];
  }
  return weight;
}

}  // namespace otr::prover
