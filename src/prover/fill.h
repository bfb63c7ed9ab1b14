// The second half of make_witness: the columns that follow from the integers of a pass (SPEC PT-2),
// limbs of remainders and high limbs of ranges.
#ifndef OTR_PROVER_FILL_H_
#define OTR_PROVER_FILL_H_

#include "prover/pass.h"
#include "prover/witness.h"
#include "zk/row_lines.h"

namespace otr::prover {

// Requires the witness's circuit, rows, scalars and the columns of the pass; `lines` are those of
// its scalars.
void fill_rows(const zk::Job& job, const zk::Lines& lines, Witness& witness, engine::Pool& pool);
// Domain s.
void fill_outputs(const zk::Job& job, const zk::Lines& lines, Witness& witness, engine::Pool& pool);

// The limbs of the remainders of one column (SPEC PS-6).
class Limbs {
 public:
  // Sizes the columns `name`.0, `name`.1, …, as many as the circuit has.
  Limbs(Witness& witness, const std::string& name);

  // value = rsh(scaled, s).
  void put(std::size_t cell, __int128 scaled, int s, std::int64_t value) const {
    const auto rest =
        static_cast<std::uint64_t>(scaled + zk::half_of(s) - (static_cast<__int128>(value) << s));
    for (std::size_t n = 0; n < columns_.size(); ++n) {
      (*columns_[n])[cell] = rest >> (zk::kLimbBits * n) & ((1 << zk::kLimbBits) - 1);
    }
  }

 private:
  std::vector<Cells*> columns_;
};

// The column of a witness by name, made of its size if it is empty; null where there is none.
Cells* cells_of(Witness& witness, const std::string& name);

}  // namespace otr::prover

#endif  // OTR_PROVER_FILL_H_
