#include "prover/memory.h"

namespace otr::prover {
namespace {

// A lookup: its leaf, two words, and the layers above it. A committed cell: the witness, its row
// of the commitment and the parity. A virtual one: the witness and its copies as it is folded.
constexpr std::uint64_t kLookupBytes = 60, kCommittedBytes = 24, kVirtualBytes = 16;
constexpr std::uint64_t kPublicBytes = 8;
// The program itself, the machine's tables and what threads keep for themselves.
constexpr std::uint64_t kFixedBytes = 64'000'000;

}  // namespace

// Nothing wraps: the largest box, of domain z, has at most 2^50 cells (SPEC LIM-1).
std::uint64_t peak_bytes(const zk::Circuit& circuit) {
  std::uint64_t total = kFixedBytes;
  for (const zk::Domain& domain : circuit.domains) {
    total += kLookupBytes * domain.lookups.size() * circuit.cells(domain.dims);
  }
  for (const zk::TableTag tag : circuit.tables) {
    total += (kLookupBytes + kCommittedBytes) * zk::table_rows(tag);  // and its multiplicities
  }
  for (const zk::Column& column : circuit.columns) {
    const std::uint64_t cells = circuit.cells(column.dims);
    if (column.kind == zk::ColumnKind::kCommitted) total += kCommittedBytes * cells;
    if (column.kind == zk::ColumnKind::kVirtual) total += kVirtualBytes * cells;
    if (column.kind == zk::ColumnKind::kPublic) total += kPublicBytes * cells;
  }
  return total;
}

}  // namespace otr::prover
