// Building the trace of one execution while it runs (SPEC TRACE-1 to TRACE-5).
//
// Every tree grows by rows in the order of positions; across trees any interleaving is allowed, so
// a chunk of a prompt may pass through layer 0 before layer 1. One thread, but for append_hashed().
#ifndef OTR_TRACE_TRACE_H_
#define OTR_TRACE_TRACE_H_

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "merkle/tree.h"
#include "trace/header.h"
#include "trace/opening.h"

namespace otr::trace {

class TraceBuilder {
 public:
  enum class Keep {
    kTops,  // O(log n) hashes for each tree: enough for the root and the token path
    kRows,  // all rows and nodes: rows can be read and opened
  };

  TraceBuilder(const machine::Shape& shape, Keep keep);

  void append_token(std::uint32_t id);
  // The rows of the next position: `k` and `v` have head_dim values; the exponents are those of
  // SPEC OP-8, [4, 30], and OP-9, [-30, 30].
  void append_kv(std::uint32_t layer, std::uint32_t kv_head, std::span<const std::int16_t> k,
                 int k_exponent, std::span<const std::int8_t> v, int v_exponent);
  // The rows of one position or of several consecutive ones: a multiple of `hidden` values.
  void append_residual(std::uint32_t layer, std::span<const std::int32_t> rows);

  // The next rows of any tree whose leaves (SPEC TREE-1, in order) the caller has hashed. Different
  // trees may be appended to by different threads at the same time.
  void append_hashed(const StreamId& stream, ByteView rows, std::span<const Hash> leaves);

  [[nodiscard]] const machine::Shape& shape() const { return shape_; }
  // Rows appended so far.
  [[nodiscard]] std::uint64_t size(const StreamId& stream) const;
  [[nodiscard]] std::uint64_t token_count() const { return size({}); }

  // Requires at least one token.
  [[nodiscard]] Hash token_root() const;
  // The three below require a complete trace: as many tokens as the header says, and one row less
  // in every other tree.
  [[nodiscard]] Hash root(const TraceHeader& header) const;                     // SPEC TRACE-5
  [[nodiscard]] std::vector<Hash> token_path(const TraceHeader& header) const;  // leaves [0, 2)
  // Leaves [begin, end) of a tree. Requires Keep::kRows.
  [[nodiscard]] Opening open(const TraceHeader& header, const StreamId& stream, std::uint64_t begin,
                             std::uint64_t end) const;
  // Rows of positions [begin, end) of a tree. Requires Keep::kRows.
  [[nodiscard]] Opening open_rows(const TraceHeader& header, const StreamId& stream,
                                  std::uint64_t begin, std::uint64_t end) const;

  // All rows of a tree, joined. Requires Keep::kRows.
  [[nodiscard]] ByteView rows(const StreamId& stream) const;

 private:
  struct Stream {
    StreamId id;
    RowFormat format;
    std::uint64_t rows = 0;
    std::variant<merkle::Frontier, merkle::Tree> tree;
    Bytes data;  // the rows, with Keep::kRows
  };

  [[nodiscard]] const Stream& at(const StreamId& stream) const;
  void append(const StreamId& stream, ByteView rows);
  [[nodiscard]] static Hash root_of(const Stream& stream);
  // The list of SPEC TRACE-5 as a tree, to be opened.
  [[nodiscard]] merkle::Tree trace_tree(const TraceHeader& header) const;

  machine::Shape shape_;
  Keep keep_;
  std::vector<Stream> streams_;  // in the order of the trace's leaves, the header left out
};

}  // namespace otr::trace

#endif  // OTR_TRACE_TRACE_H_
