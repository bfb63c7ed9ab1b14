#include "zk/lookup_tables.h"

#include <algorithm>
#include <bit>

#include "machine/arith.h"
#include "machine/tables.h"
#include "zk/evaluate.h"

namespace otr::zk {
namespace {

constexpr std::int64_t kRowBound = 32639;
constexpr std::uint32_t kExpRows = 4096;  // beyond them every weight is 0

std::int64_t bound_of_class(std::int64_t c) { return c == 0 ? kRowBound : 127; }

std::int64_t signed_of(std::uint32_t index, int bits) {
  const auto top = std::uint32_t{1} << (bits - 1);
  return static_cast<std::int64_t>(index & (2 * top - 1)) -
         ((index & top) != 0 ? std::int64_t{2} * top : 0);
}

std::int64_t silu(std::int64_t e, std::int64_t g) {
  return machine::silu_table()[static_cast<std::size_t>(e << 16 | (g & 0xffff))];
}

std::int64_t exp_weight(std::uint32_t e) {
  return machine::rsh(machine::exp2_table()[255 - e % 256], static_cast<int>(e / 256));
}

// W: k and v are sums over the place of the leading bit (SPEC PL-1).
Ext w_fingerprint(std::span<const Ext> r, Ext beta) {
  Ext k = kZero;
  Ext v = kZero;
  Ext zeros_above = kOne;
  for (std::size_t i = r.size(); i-- > 0;) {
    const Ext leading = r[i] * zeros_above;
    zeros_above *= kOne - r[i];
    k += leading * ext(static_cast<std::int64_t>(i));
    Ext below = kZero;
    for (std::size_t j = 0; j < i; ++j) below += r[j] * ext(std::int64_t{1} << j);
    v += leading * below;
  }
  return fingerprint(TableTag::kW, std::array{k, v}, beta);
}

// SILU: e and g are sums of bits, but for the g that the table leaves out; the values are a sum
// over all rows.
Ext silu_fingerprint(std::span<const Ext> r, Ext beta) {
  Ext e = kZero;
  for (std::size_t i = 0; i < 4; ++i) e += r[16 + i] * ext(std::int64_t{1} << i);
  Ext g = -(r[15] * ext(1 << 15));
  for (std::size_t i = 0; i < 15; ++i) g += r[i] * ext(std::int64_t{1} << i);
  const auto low = r.first(16);
  for (std::uint32_t x = kRowBound + 1; x < 65536 - kRowBound; ++x) {
    g -= eq_at(low, x) * ext(signed_of(x, 16));
  }
  const std::vector<Ext> columns = eq_table(low, 65536);
  const std::vector<Ext> rows = eq_table(r.subspan(16), 16);
  Ext a = kZero;
  for (std::size_t row = 0; row < 16; ++row) {
    const auto values = std::span(machine::silu_table()).subspan(row << 16, 65536);
    a += rows[row] * (dot(values.first(kRowBound + 1), std::span(columns).first(kRowBound + 1)) +
                      dot(values.last(kRowBound), std::span(columns).last(kRowBound)));
  }
  return fingerprint(TableTag::kSilu, std::array{e, g, a}, beta);
}

}  // namespace

Tuple table_row(TableTag tag, std::uint32_t index, std::int64_t q_bound) {
  switch (tag) {
    case TableTag::kW: {
      if (index == 0) return {};
      const int k = std::bit_width(index) - 1;
      return {k, static_cast<std::int64_t>(index) - (std::int64_t{1} << k), 0};
    }
    case TableTag::kSilu: {
      const std::int64_t e = index >> 16;
      const std::int64_t g = signed_of(index, 16);
      if (g > kRowBound || g < -kRowBound) return {e, 0, 0};
      return {e, g, silu(e, g)};
    }
    case TableTag::kBound: {
      const std::int64_t c = index >> 16;
      const std::int64_t v = signed_of(index, 16);
      const std::int64_t bound = bound_of_class(c);
      return {c, v <= bound && v >= -bound ? v : 0, 0};
    }
    case TableTag::kExp:
      if (index >= kExpRows) return {kExpRows, 0, 0};
      return {index, exp_weight(index), 0};
    case TableTag::kQBound: {
      const std::int64_t v = signed_of(index, 13);
      return {v <= q_bound && v >= -q_bound ? v : 0, 0, 0};
    }
  }
  return {};
}

std::optional<std::uint32_t> table_index(TableTag tag, const Tuple& tuple, std::int64_t q_bound) {
  std::int64_t index = -1;
  switch (tag) {
    case TableTag::kW:
      if (tuple[0] < 0 || tuple[0] > 19 || tuple[1] < 0) return std::nullopt;
      index = (std::int64_t{1} << tuple[0]) + tuple[1];
      break;
    case TableTag::kSilu:
    case TableTag::kBound:
      index = tuple[0] * 65536 + (tuple[1] & 0xffff);
      break;
    case TableTag::kExp:
      index = tuple[0];
      break;
    case TableTag::kQBound:
      index = tuple[0] & 0x1fff;
      break;
  }
  if (index < 0 || index >= table_rows(tag)) return std::nullopt;
  const auto row = static_cast<std::uint32_t>(index);
  if (table_row(tag, row, q_bound) != tuple) return std::nullopt;
  return row;
}

Ext fingerprint(TableTag tag, std::span<const Ext> tuple, Ext beta) {
  Ext sum = ext(static_cast<std::int64_t>(tag));
  Ext power = kOne;
  for (const Ext& v : tuple) sum += (power *= beta) * v;
  return sum;
}

Ext table_fingerprint(TableTag tag, std::int64_t q_bound, std::span<const Ext> point, Ext beta) {
  if (tag == TableTag::kW) return w_fingerprint(point, beta);
  if (tag == TableTag::kSilu) return silu_fingerprint(point, beta);
  const std::vector<Ext> table = eq_table(point, table_rows(tag));
  std::array<Ext, 2> tuple{};
  for (std::uint32_t x = 0; x < table.size(); ++x) {
    const Tuple row = table_row(tag, x, q_bound);
    for (std::size_t i = 0; i < tuple.size(); ++i) tuple[i] += table[x] * felt(row[i]);
  }
  return fingerprint(tag, std::span(tuple).first(static_cast<std::size_t>(tuple_size(tag))), beta);
}

int bits_of_domain(const Circuit& circuit, const Domain& domain) {
  int bits = 0;
  for (const Dim dim : domain.dims) bits += bits_of(circuit.size(dim));
  return bits;
}

LeafPlan plan_leaves(const Circuit& circuit) {
  LeafPlan plan;
  std::vector<LeafBlockPlace*> order;
  plan.lookups.resize(circuit.domains.size());
  for (std::size_t d = 0; d < circuit.domains.size(); ++d) {
    const int bits = bits_of_domain(circuit, circuit.domains[d]);
    plan.lookups[d].assign(circuit.domains[d].lookups.size(), {0, bits});
  }
  for (auto& blocks : plan.lookups) {
    for (LeafBlockPlace& block : blocks) order.push_back(&block);
  }
  for (const TableTag tag : circuit.tables) plan.tables.push_back({0, bits_of(table_rows(tag))});
  for (LeafBlockPlace& block : plan.tables) order.push_back(&block);
  // The greatest first, and those of one size in their order.
  std::uint64_t next = 0;
  for (int bits = 63; bits >= 0; --bits) {
    for (LeafBlockPlace* block : order) {
      if (block->bits != bits) continue;
      block->base = next;
      next += std::uint64_t{1} << bits;
    }
  }
  plan.nu = static_cast<std::size_t>(bits_of(next));
  return plan;
}

}  // namespace otr::zk
