// Openings of strangers (SPEC TREE-6, TRACE): none crashes the checker, and none that passes shows
// anything but the rows that were committed.
//
// Input: u8 tree, u64 begin, u64 end, u8 hashes of the path, u8 hashes of the trace path, the
// hashes, and the tiles. Missing bytes read as zeros.
#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "trace/trace.h"

namespace {

using otr::ByteView;
using otr::Hash;
using otr::merkle::Kind;
using otr::trace::Opening;
using otr::trace::StreamId;
using otr::trace::TraceBuilder;
using otr::trace::TraceHeader;

constexpr std::uint32_t kTokens = 6;

TraceHeader header() {
  TraceHeader header;
  header.prompt_count = 3;
  header.out_count = kTokens - 3;
  return header;
}

TraceBuilder small_trace() {
  otr::machine::Shape shape;
  shape.hidden = 513;
  shape.heads = 1;
  shape.kv_heads = 1;
  shape.head_dim = 2;
  shape.layers = 1;
  TraceBuilder builder(shape, TraceBuilder::Keep::kRows);
  const std::vector<std::int32_t> row(shape.hidden, -7);
  for (std::uint32_t t = 0; t < kTokens; ++t) {
    builder.append_token(t);
    if (t + 1 == kTokens) break;
    const auto small = static_cast<std::int8_t>(t);
    builder.append_kv(0, 0, std::vector<std::int16_t>{small, 1}, 4,
                      std::vector<std::int8_t>{small, 2}, -1);
    builder.append_residual(0, row);
  }
  return builder;
}

// Takes `count` bytes off the front of `input`; what is missing is zero.
std::uint64_t take(ByteView& input, std::size_t count) {
  std::array<std::uint8_t, 8> bytes{};
  const std::size_t size = std::min(count, input.size());
  std::copy_n(input.begin(), size, bytes.begin());
  input = input.subspan(size);
  return otr::load_le<std::uint64_t>(bytes.data());
}

std::vector<Hash> take_hashes(ByteView& input, std::size_t count) {
  std::vector<Hash> hashes(count);
  for (Hash& hash : hashes) {
    const std::size_t size = std::min(hash.size(), input.size());
    std::copy_n(input.begin(), size, hash.begin());
    input = input.subspan(size);
  }
  return hashes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TraceBuilder kTrace = small_trace();
  static const Hash kRoot = kTrace.root(header());
  ByteView input(data, size);
  const auto kind = static_cast<Kind>(4 + take(input, 1) % 5);
  const StreamId stream{kind, 0, 0};
  Opening opening;
  opening.begin = take(input, 8);
  opening.end = take(input, 8);
  const std::size_t path = take(input, 1);
  const std::size_t trace_path = take(input, 1);
  opening.path = take_hashes(input, path);
  opening.trace_path = take_hashes(input, trace_path);
  opening.tiles.assign(input.begin(), input.end());
  if (check_opening(kTrace.shape(), kTokens, kRoot, stream, opening)) {
    const Opening truth = kTrace.open(header(), stream, opening.begin, opening.end);
    OTR_CHECK(opening.tiles == truth.tiles && opening.path == truth.path &&
              opening.trace_path == truth.trace_path);
  }
  return 0;
}
