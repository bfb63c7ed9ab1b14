// What the verifier computes by itself (SPEC PS-3 to PS-6): from model, request, trace rows and
// scalars, all in clear, the shifts and factors of every row by the machine's own arithmetic, the
// values of all public columns, and the cells that the witnessed exponents claim.
//
// The prover runs the same function, so that both sides see the same columns.
#ifndef OTR_ZK_ROWS_H_
#define OTR_ZK_ROWS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "machine/model.h"
#include "machine/program.h"
#include "machine/sample.h"
#include "zk/circuit.h"
#include "zk/opening.h"
#include "zk/scalars.h"

namespace otr::zk {

// The request and the claimed answer.
struct Job {
  const machine::Model& model;
  const machine::Sampling& sampling;
  machine::NoiseBlock noise;
  std::span<const std::uint32_t> prompt, output;

  std::uint32_t positions() const {  // N of SPEC PS-2
    return static_cast<std::uint32_t>(prompt.size() + output.size() - 1);
  }
  std::uint32_t token(std::uint32_t t) const {
    return t < prompt.size() ? prompt[t] : output[t - prompt.size()];
  }
};

struct PublicRows {
  Circuit circuit;
  CircuitOptions options;
  // By ColumnId: canonical elements of F, dense over the box, lowest dimension fastest; set for
  // public columns and for the virtual columns in clear (hsum, ssq, qsq, ksq).
  std::vector<std::vector<std::uint64_t>> columns;
  std::vector<CellClaim> cells;
};

// Requires ids below the vocabulary, at least one prompt and one output id, positions within the
// context. Errors: PROOF_INVALID where scalars or rows contradict the SPEC or leave its ranges;
// kUsage for what has no proof yet (PT-2).
// `argument_bytes`, where given, is the size of the argument that the columns are computed for:
// MALFORMED if it is not that of the circuit, before anything of the circuit's size is allocated.
Result<PublicRows> compute_rows(const Job& job, const TraceRows& rows, const Scalars& scalars,
                                std::optional<std::uint64_t> argument_bytes = std::nullopt);

// OP-3 for every position: x_in of layer 0, N rows of d.
std::vector<std::int32_t> embed_rows(const Job& job);

// OP-4 on a row in clear.
struct NormRow {
  std::vector<std::int64_t> values;
  int exponent = 0;
};
NormRow norm_row(std::span<const std::int32_t> x, const machine::Gain& gain, std::int64_t eps,
                 std::int64_t bound);

// Why a request has no proof in this version; nothing where it has.
Status check_provable(const machine::Sampling& sampling);

}  // namespace otr::zk

#endif  // OTR_ZK_ROWS_H_
