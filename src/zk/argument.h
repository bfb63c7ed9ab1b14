// The argument of a proof: everything but what is in clear, and its bytes (SPEC PS-8).
#ifndef OTR_ZK_ARGUMENT_H_
#define OTR_ZK_ARGUMENT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "zk/circuit.h"
#include "zk/commitment.h"
#include "zk/gkr.h"
#include "zk/layout.h"
#include "zk/mle.h"
#include "zk/opening.h"

namespace otr::zk {

// A sumcheck and the values that the prover sends at its point.
struct Reduction {
  Sumcheck sumcheck;
  std::vector<Ext> values;
};

struct Argument {
  Commitment commitment;
  std::uint64_t nonce = 0;
  GkrProof gkr;
  std::vector<Ext> domain_sums;     // S_D
  std::vector<Ext> multiplicities;  // of each table, at the low bits of r
  std::vector<Reduction> domains, contractions;
  OpeningProof opening;
};

// Sizes of everything in an argument, from the circuit alone.
struct ArgumentShape {
  std::size_t nu = 0;
  struct Size {
    std::size_t messages = 0, values = 0;
  };
  std::vector<Size> domains, contractions;
  std::size_t tables = 0;
  std::size_t opening_messages = 0, combined = 0, queries = 0, cells = 0, path = 0;

  std::uint64_t size_bytes() const;
};
ArgumentShape shape_of(const Circuit& circuit, const Layout& layout);

// Committed factors of a contraction, each once, in the order they stand (SPEC PE-1).
std::vector<ColumnId> committed_factors(const Circuit& circuit, const Contraction& contraction);
// Degree and variables of a contraction's sumcheck.
std::size_t degree_of(const Circuit& circuit, const Contraction& contraction);
std::size_t variables_of(const Circuit& circuit, const Dims& dims);

// The shapes of all committed columns, in order.
std::vector<ColumnShape> committed_shapes(const Circuit& circuit);

// What a stranger's few bytes may make us allocate is bounded before it is allocated: a column has
// no more cells than the commitment, and the argument grows with that (SPEC PS-8, PB-2). Errors:
// PROOF_INVALID for more than kMaxProofCells cells; MALFORMED where `argument_bytes`, if given, is
// not the size of this circuit's argument.
Status check_size(const Circuit& circuit, std::optional<std::uint64_t> argument_bytes);

inline constexpr std::uint64_t kMaxProofCells = std::uint64_t{1} << 29;  // of one proof (SPEC PB-2)

Bytes encode_argument(const Argument& argument);
// Errors: MALFORMED for another length or an element that is not below p.
Result<Argument> decode_argument(ByteView bytes, const ArgumentShape& shape);

}  // namespace otr::zk

#endif  // OTR_ZK_ARGUMENT_H_
