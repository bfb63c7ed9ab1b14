// The witness of a whole pass: every committed and virtual column of SPEC PT and the scalars in
// clear, computed from the tokens by the machine's own arithmetic.
#ifndef OTR_PROVER_WITNESS_H_
#define OTR_PROVER_WITNESS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/pool.h"
#include "machine/model.h"
#include "machine/program.h"
#include "machine/sample.h"
#include "zk/circuit.h"
#include "zk/scalars.h"

namespace otr::prover {

struct Witness {
  zk::Circuit circuit;
  zk::CircuitOptions options;
  zk::TraceRows rows;
  zk::Scalars scalars;
  // By ColumnId: the cells of committed (multiplicities excepted) and virtual columns as canonical
  // elements of F, dense over the column's box, lowest dimension fastest; empty for all others.
  std::vector<std::vector<std::uint64_t>> columns;
};

// Runs the model over prompt and output. Requires ids below the vocabulary, a claim that the model
// makes (recompute first) and a request that SPEC PT allows.
// Errors: kOutOfRange.
Result<Witness> make_witness(const machine::Model& model, const machine::Sampling& sampling,
                             machine::NoiseBlock noise, std::span<const std::uint32_t> prompt,
                             std::span<const std::uint32_t> output, engine::Pool& pool);

// Sets the columns of the multiplicities from the lookups of all others (SPEC PL-3). `publics` are
// by ColumnId the columns of zk/rows.h. Fails, naming lookup and index, where a tuple is in no
// table.
Status count_multiplicities(const machine::Model& model,
                            const std::vector<std::vector<std::uint64_t>>& publics,
                            Witness& witness, engine::Pool& pool);

}  // namespace otr::prover

#endif  // OTR_PROVER_WITNESS_H_
