// What a proof says in clear beside the trace (SPEC PS-3, PS-4): one line of scalars for each row.
#ifndef OTR_ZK_SCALARS_H_
#define OTR_ZK_SCALARS_H_

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "machine/program.h"

namespace otr::zk {

// A witnessed exponent or shift (SPEC PS-3).
struct Record {
  std::int32_t exponent = 0;  // i8 in bytes
  std::uint32_t named = 0;
  std::int64_t value = 0;

  bool operator==(const Record&) const = default;
};

struct TileScalars {
  std::int32_t m = 0, x = 0;  // M_T, X_T
  std::uint8_t mu = 0, mr = 0, xu = 0, xr = 0;
};

struct HeadScalars {
  std::uint64_t sum = 0;  // S of OP-12
  Record shift;           // of A
};

// The scalars of one position of one layer.
struct RowScalars {
  std::vector<Record> q;                        // [head]
  std::vector<Record> k, v;                     // [kv head]
  std::vector<std::uint64_t> q_sumsq, k_sumsq;  // Σ y² of OP-5, alike; empty without q/k norms
  std::vector<std::vector<TileScalars>> tiles;  // [head][tile - first]
  std::vector<HeadScalars> heads;
  Record o, norm_shift, m, g, h;
  std::uint64_t norm_sumsq = 0;
};

struct OutputScalars {
  std::int64_t l_max = 0;
  std::uint32_t named = 0;
  std::int32_t named_logit = 0, token_logit = 0;
};

struct Scalars {
  std::uint8_t gap = 1;
  std::vector<std::vector<RowScalars>> rows;  // [layer][t]
  std::vector<OutputScalars> outputs;
};

// The rows of the trace (SPEC PS-2), as committed: [layer][kv head] and [layer], row-major.
struct TraceRows {
  std::vector<std::vector<std::int16_t>> k;  // [layer · G + g], N rows of D + 1
  std::vector<std::vector<std::int8_t>> v;   // alike
  std::vector<std::vector<std::int32_t>> x;  // [layer], N rows of d
};

Bytes encode_scalars(const Scalars& scalars);
// Errors: MALFORMED where the bytes are not exactly those of this shape.
Result<Scalars> decode_scalars(ByteView bytes, const machine::Shape& shape, std::uint32_t n_prompt,
                               std::uint32_t n_out);
Bytes encode_rows(const TraceRows& rows);
Result<TraceRows> decode_rows(ByteView bytes, const machine::Shape& shape, std::uint32_t n_prompt,
                              std::uint32_t n_out);

}  // namespace otr::zk

#endif  // OTR_ZK_SCALARS_H_
