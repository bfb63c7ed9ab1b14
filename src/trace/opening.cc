#include "trace/opening.h"

#include <algorithm>
#include <array>

namespace otr::trace {
namespace {

Hash root_of_list(std::uint64_t leaf_count, const Hash& top) {
  return merkle::root(merkle::Kind::kTrace, merkle::Type::kHash, leaf_count, 1, top);
}

std::unexpected<Error> path_invalid(std::string message) {
  return fail(ErrorKind::kReject, std::move(message), "PATH_INVALID");
}

// Bytes of the tile `leaf`, the last of a row being short.
std::size_t tile_size_bytes(const RowFormat& format, std::uint64_t leaf) {
  const std::uint64_t first = leaf % merkle::tiles_per_row(format.cols) * merkle::kTileElements;
  return std::min<std::uint64_t>(merkle::kTileElements, format.cols - first) *
         merkle::size_bytes(format.type);
}

// Hashes the joined tiles of leaves [begin, end); refuses bytes that are too few or too many.
Result<std::vector<Hash>> leaf_hashes(const RowFormat& format, const Opening& opening) {
  std::vector<Hash> hashes;
  ByteView rest = opening.tiles;
  for (std::uint64_t leaf = opening.begin; leaf < opening.end; ++leaf) {
    const std::size_t size = tile_size_bytes(format, leaf);
    if (rest.size() < size) return path_invalid("the opening has fewer bytes than its tiles");
    hashes.push_back(merkle::leaf(rest.first(size)));
    rest = rest.subspan(size);
  }
  if (!rest.empty()) return path_invalid("the opening has more bytes than its tiles");
  return hashes;
}

}  // namespace

Status check_opening(const machine::Shape& shape, std::uint64_t token_count, const Hash& trace_root,
                     const StreamId& stream, const Opening& opening) {
  if (!exists(shape, stream)) return path_invalid("the trace has no such tree");
  if (token_count < 2 || token_count > machine::kMaxContext) {
    return path_invalid("no trace has " + std::to_string(token_count) + " positions");
  }
  const RowFormat format = row_format(shape, stream);
  const std::uint64_t rows = row_count(stream, token_count);
  OTR_TRY_ASSIGN(const std::vector<Hash> leaves, leaf_hashes(format, opening));
  OTR_TRY_ASSIGN(const Hash top,
                 merkle::top_of_range(rows * merkle::tiles_per_row(format.cols), opening.begin,
                                      opening.end, leaves, opening.path));
  const std::array<Hash, 1> tree = {merkle::root(stream.kind, format.type, rows, format.cols, top)};
  const std::uint64_t index = trace_leaf_index(shape, stream);
  const std::uint64_t count = trace_leaf_count(shape);
  OTR_TRY_ASSIGN(const Hash trace_top,
                 merkle::top_of_range(count, index, index + 1, tree, opening.trace_path));
  if (root_of_list(count, trace_top) != trace_root) {
    return path_invalid("the opening leads to another trace root");
  }
  return {};
}

Status check_token_path(std::uint64_t leaf_count, const Hash& trace_root, const TraceHeader& header,
                        const Hash& token_root, std::span<const Hash> path) {
  constexpr const char* kCode = "TOKEN_PATH_MISMATCH";
  const std::array<Hash, 2> leaves = {hash_of(header), token_root};
  const Result<Hash> top = merkle::top_of_range(leaf_count, 0, 2, leaves, path);
  if (!top) return fail(ErrorKind::kReject, top.error().message, kCode);
  if (root_of_list(leaf_count, *top) != trace_root) {
    return fail(ErrorKind::kReject, "header and token ids lead to another trace root", kCode);
  }
  return {};
}

}  // namespace otr::trace
