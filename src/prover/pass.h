// The integers of a whole pass (SPEC OP), held as the columns of SPEC PT-2 hold them: the first
// half of make_witness. What follows from them alone, the limbs, is the second (witness_fill.cc).
//
// Every stage takes all positions of one layer at once, so that a row of weights is read once.
#ifndef OTR_PROVER_PASS_H_
#define OTR_PROVER_PASS_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/pool.h"
#include "engine/rows.h"
#include "machine/arith.h"
#include "machine/program.h"
#include "zk/circuit.h"
#include "zk/field.h"
#include "zk/rows.h"
#include "zk/scalars.h"

namespace otr::prover {

// Canonical elements of F, dense over a column's box.
using Cells = std::vector<std::uint64_t>;

// The integer of least size that an element stands for (SPEC PF-1).
constexpr std::int64_t integer_of(std::uint64_t element) {
  return element > zk::kPrime / 2 ? static_cast<std::int64_t>(element - zk::kPrime)
                                  : static_cast<std::int64_t>(element);
}

// One int16 row with an exponent for each position.
struct RowSet {
  RowSet(std::size_t rows, std::size_t row_width)
      : width(row_width), values(rows * row_width), exponents(rows) {}

  std::span<const std::int16_t> row(std::size_t t) const {
    return std::span(values).subspan(t * width, width);
  }
  std::int16_t* data(std::size_t t) { return values.data() + t * width; }

  std::size_t width;
  std::vector<std::int16_t> values;
  std::vector<int> exponents;
};

struct Pass {
  Pass(const zk::Job& of, engine::Pool& with);

  Cells& column(std::string_view name);
  // Where the cells of position t of layer l begin, `width` being the cells of one position.
  std::size_t at(std::uint32_t l, std::size_t t, std::size_t width) const {
    return (std::size_t{l} * positions + t) * width;
  }
  std::unexpected<Error> out_of_range(std::uint32_t layer, std::string_view stage) const;

  const zk::Job& job;
  const machine::Shape& shape;
  engine::Pool& pool;
  std::uint32_t positions, outputs;
  zk::TraceRows rows;
  zk::Scalars scalars;
  std::map<std::string, Cells, std::less<>> columns;  // by name, all but the limbs of other columns
};

// The stages of a layer. Errors: kOutOfRange.
RowSet attn_rows(Pass& pass, std::uint32_t l, std::span<const std::int32_t> x);  // OP-4
Status project_qkv(Pass& pass, std::uint32_t l, const RowSet& a);                // OP-6
Result<RowSet> make_qkv_rows(Pass& pass, std::uint32_t l, const RowSet& a);      // OP-5, 7 to 9
RowSet attend(Pass& pass, std::uint32_t l, const RowSet& q);                     // OP-10 to 13
Status add_attention(Pass& pass, std::uint32_t l, const RowSet& o, std::span<std::int32_t> x);
RowSet mlp_rows(Pass& pass, std::uint32_t l, std::span<const std::int32_t> x);   // OP-4
Result<RowSet> feed_forward_rows(Pass& pass, std::uint32_t l, const RowSet& m);  // OP-15, 16
Status add_feed_forward(Pass& pass, std::uint32_t l, const RowSet& h, std::span<std::int32_t> x);
// Logits of all outputs and their scalars (OP-17, SAMP-1).
Status run_outputs(Pass& pass);

// Index of the first v with rsh(v, s) outside the range; nothing where all are inside.
std::optional<std::uint32_t> first_beyond(std::span<const std::int64_t> values, int s,
                                          machine::Range range);
// SPEC PS-3: what shows that values of exponent f make a row of this exponent.
zk::Record record_of(std::span<const std::int64_t> values, int f, int exponent, std::int64_t bound,
                     int cap);

// Calls body(n, t, acc) for every row n of the matrix and every row t of the input (OP-1).
template <class Body>
void multiply(engine::Pool& pool, const machine::Matrix& w, const RowSet& input, const Body& body) {
  // So many rows of weights stay in the nearest cache while a row of the input passes.
  constexpr std::size_t kBlock = 8;
  pool.split((w.rows + kBlock - 1) / kBlock, [&](std::size_t begin, std::size_t end) {
    for (std::size_t block = begin; block < end; ++block) {
      const std::size_t last = std::min<std::size_t>(w.rows, (block + 1) * kBlock);
      for (std::size_t t = 0; t < input.exponents.size(); ++t) {
        for (std::size_t n = block * kBlock; n < last; ++n) {
          body(n, t, engine::dot(w.row(static_cast<std::uint32_t>(n)), input.row(t)));
        }
      }
    }
  });
}

}  // namespace otr::prover

#endif  // OTR_PROVER_PASS_H_
