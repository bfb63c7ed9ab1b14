// The circuit of a whole pass (SPEC PT): columns on boxes, lookups, zero constraints and
// contractions, as data. Prover and verifier build the same Circuit from what both can see, and
// nothing but this file and SPEC 18.8 says what is proven.
//
// Names are "domain.column" of SPEC PT-2, limbs "domain.column.n".
#ifndef OTR_ZK_CIRCUIT_H_
#define OTR_ZK_CIRCUIT_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "machine/program.h"
#include "zk/field.h"

namespace otr::zk {

// Dimensions of SPEC PT-1.
enum class Dim : std::uint8_t { kI, kJ, kH, kG, kD, kF, kT, kL, kU, kTile, kO, kV };
inline constexpr std::size_t kDimCount = 12;
using DimSizes = std::array<std::uint32_t, kDimCount>;
using Dims = std::vector<Dim>;  // lowest first
inline bool has(const Dims& dims, Dim dim) { return std::ranges::find(dims, dim) != dims.end(); }

enum class TableTag : std::uint8_t { kW = 1, kSilu = 2, kBound = 3, kExp = 4, kQBound = 5 };

using ColumnId = std::uint32_t;

enum class ColumnKind : std::uint8_t {
  kCommitted,  // cells under the commitment
  kPublic,     // the verifier computes it from what is in clear (rows.h)
  kWeights,    // public: the model's int8 weights, folded where they are needed
  kVirtual,    // defined by a contraction, never stored in the proof
};

struct Column {
  std::string name;
  ColumnKind kind;
  Dims dims;
  // Of kWeights: the matrix, and for q and k which half of a head's rows (0 or 1).
  machine::MatrixId matrix = machine::MatrixId::kWq;
  int half = 0;
};

// A polynomial in columns of one domain: Σ coefficient · Π columns.
struct Term {
  Felt coefficient;
  std::vector<ColumnId> factors;
};
using Expression = std::vector<Term>;

struct Lookup {
  TableTag table;
  std::vector<Expression> tuple;
  std::string name;
};
struct Zero {
  Expression value;
  std::string name;
};

struct Domain {
  std::string name;
  Dims dims;
  bool masked = false;  // by the column `mask`
  ColumnId mask = 0;
  int degree = 0;  // of the sumcheck in each variable
  std::vector<ColumnId> committed, virtuals;
  std::vector<Lookup> lookups;
  std::vector<Zero> zeros;
};

struct Contraction {
  ColumnId output;
  bool scalars = false;  // the output is in clear (hsum, ssq, qsq, ksq)
  std::vector<std::vector<ColumnId>> terms;
  Dims sum;
};

// Numbers of limbs of every remainder and the optional columns (SPEC PS-6, PT-2): functions of
// what is in clear.
struct CircuitOptions {
  int q_r = 1, q_c = 1, k_r = 1, k_c = 1, v_r = 1;
  int q_g = 1, k_g = 1;  // of the head norms, where the model has them
  int gap = 1;
  int o_r = 1, o_c = 1;
  int x_r = 1, x_c = 1, x_e = 1;
  bool x_yh = false, x_zh = false;
  int f_r = 1, f_c = 1;
  int s_r = 1;
  bool sampled = false;  // inv_t > 0
  bool e3 = false, kept = false;
  bool qk_bias = false, o_bias = false, penalties = false;

  bool operator==(const CircuitOptions&) const = default;
};

struct Circuit {
  DimSizes sizes{};
  std::vector<Column> columns;
  std::vector<Domain> domains;  // q, k, v, z, o, x, f, s
  std::vector<Contraction> contractions;
  std::vector<TableTag> tables;
  std::vector<ColumnId> multiplicities;  // one for each table: committed, a box of its rows
  std::vector<ColumnId> committed;       // all, in the order of the commitment

  std::uint32_t size(Dim dim) const { return sizes[static_cast<std::size_t>(dim)]; }
  std::vector<std::uint32_t> box(const Dims& dims) const;  // sizes, lowest first
  std::uint64_t cells(const Dims& dims) const;             // product of the sizes
  // Sizes of a committed column: its box, or a table's rows for multiplicities.
  std::vector<std::uint32_t> box_of(ColumnId id) const;
  // The column of that name; it must exist.
  ColumnId find(std::string_view name) const;
  bool has(std::string_view name) const;
};

// Rows of a table, a power of two (SPEC PL-1).
std::uint32_t table_rows(TableTag tag);
int tuple_size(TableTag tag);

// SPEC PT.
Circuit build_circuit(const machine::Shape& shape, std::uint32_t n_prompt, std::uint32_t n_out,
                      std::uint32_t inv_t, const CircuitOptions& options);

}  // namespace otr::zk

#endif  // OTR_ZK_CIRCUIT_H_
