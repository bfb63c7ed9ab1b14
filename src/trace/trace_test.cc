// Traces of a small shape: both bodies agree, openings check, and every change is noticed.
#include "trace/trace.h"

#include <gtest/gtest.h>

#include <numeric>

#include "crypto/sha256.h"
#include "trace/divergence.h"

namespace otr::trace {
namespace {

using merkle::Kind;
using merkle::Type;
using Keep = TraceBuilder::Keep;

constexpr std::uint32_t kTokens = 6;

// Rows of two tiles for the residual, so that a leaf is not a row.
machine::Shape small_shape() {
  machine::Shape shape;
  shape.hidden = 514;
  shape.heads = 4;
  shape.kv_heads = 2;
  shape.head_dim = 4;
  shape.layers = 3;
  return shape;
}

TraceHeader small_header() {
  TraceHeader header;
  header.spec_hash[0] = 1;
  header.model_root[0] = 2;
  header.prompt_count = 4;
  header.out_count = kTokens - 4;
  header.sampling.presence = -5;
  header.sampling.seed[31] = 9;
  return header;
}

// One changed value of one stream at one position.
struct Change {
  StreamId stream;
  std::uint64_t t = ~std::uint64_t{0};
  std::size_t column = 0;
};

std::int32_t value_at(const Change& change, const StreamId& stream, std::uint64_t t,
                      std::size_t column) {
  const auto base = static_cast<std::int32_t>((t * 31 + stream.layer * 7 + stream.kv_head * 3 +
                                               column + static_cast<std::size_t>(stream.kind)) %
                                              100);
  const bool changed = change.stream == stream && change.t == t && change.column == column;
  return changed ? base - 128 : base;
}

template <class T>
std::vector<T> row_at(const Change& change, const StreamId& stream, std::uint64_t t,
                      std::size_t size) {
  std::vector<T> row(size);
  for (std::size_t j = 0; j < size; ++j) {
    row[j] = static_cast<T>(value_at(change, stream, t, j));
  }
  return row;
}

void append_layer(TraceBuilder& builder, const Change& change, std::uint32_t layer,
                  std::uint64_t t) {
  const machine::Shape& shape = builder.shape();
  for (std::uint32_t head = 0; head < shape.kv_heads; ++head) {
    const StreamId key{Kind::kKey, layer, head};
    const StreamId value{Kind::kValue, layer, head};
    builder.append_kv(layer, head, row_at<std::int16_t>(change, key, t, shape.head_dim),
                      value_at(change, key, t, shape.head_dim),
                      row_at<std::int8_t>(change, value, t, shape.head_dim),
                      value_at(change, value, t, shape.head_dim));
  }
  const StreamId residual{Kind::kResidual, layer, 0};
  builder.append_residual(layer, row_at<std::int32_t>(change, residual, t, shape.hidden));
}

void append_tokens(TraceBuilder& builder, const Change& change, std::uint32_t tokens) {
  for (std::uint64_t t = 0; t < tokens; ++t) {
    builder.append_token(static_cast<std::uint32_t>(value_at(change, {}, t, 0)));
  }
}

// Position by position, as decoding does.
TraceBuilder trace_of(Keep keep, const Change& change = {}, std::uint32_t tokens = kTokens) {
  TraceBuilder builder(small_shape(), keep);
  append_tokens(builder, change, tokens);
  for (std::uint64_t t = 0; t + 1 < tokens; ++t) {
    for (std::uint32_t layer = 0; layer < builder.shape().layers; ++layer) {
      append_layer(builder, change, layer, t);
    }
  }
  return builder;
}

std::vector<StreamId> all_streams() {
  std::vector<StreamId> streams = {{}};
  for (std::uint32_t layer = 0; layer < small_shape().layers; ++layer) {
    for (std::uint32_t head = 0; head < small_shape().kv_heads; ++head) {
      streams.push_back({Kind::kKey, layer, head});
      streams.push_back({Kind::kValue, layer, head});
    }
    streams.push_back({Kind::kResidual, layer, 0});
  }
  return streams;
}

TEST(Trace, RootIsThatOfTheListOfRoots) {
  const TraceBuilder builder = trace_of(Keep::kRows);
  std::vector<Hash> list = {hash_of(small_header())};
  for (const StreamId& stream : all_streams()) {
    EXPECT_EQ(trace_leaf_index(builder.shape(), stream), list.size());
    const RowFormat format = row_format(builder.shape(), stream);
    list.push_back(
        merkle::tensor_root(stream.kind, format.type, format.cols, builder.rows(stream)));
  }
  EXPECT_EQ(trace_leaf_count(builder.shape()), list.size());
  EXPECT_EQ(builder.root(small_header()), merkle::list_root(Kind::kTrace, list));
  EXPECT_EQ(builder.token_root(), list[1]);
}

TEST(Trace, KeepsOrDropsRowsWithTheSameRoot) {
  const TraceBuilder rows = trace_of(Keep::kRows);
  const TraceBuilder tops = trace_of(Keep::kTops);
  EXPECT_EQ(rows.root(small_header()), tops.root(small_header()));
  EXPECT_EQ(rows.token_path(small_header()), tops.token_path(small_header()));
}

TEST(Trace, LayersMayRunAheadInChunks) {
  TraceBuilder builder(small_shape(), Keep::kTops);
  append_tokens(builder, {}, kTokens);
  for (std::uint32_t layer = 0; layer < builder.shape().layers; ++layer) {
    std::vector<std::int32_t> chunk;
    for (std::uint64_t t = 0; t + 1 < kTokens; ++t) {
      TraceBuilder ignored(small_shape(), Keep::kTops);
      const StreamId residual{Kind::kResidual, layer, 0};
      const auto row = row_at<std::int32_t>({}, residual, t, builder.shape().hidden);
      chunk.insert(chunk.end(), row.begin(), row.end());
      for (std::uint32_t head = 0; head < builder.shape().kv_heads; ++head) {
        const StreamId key{Kind::kKey, layer, head};
        const StreamId value{Kind::kValue, layer, head};
        builder.append_kv(layer, head, row_at<std::int16_t>({}, key, t, 4), value_at({}, key, t, 4),
                          row_at<std::int8_t>({}, value, t, 4), value_at({}, value, t, 4));
      }
    }
    builder.append_residual(layer, chunk);
  }
  EXPECT_EQ(builder.root(small_header()), trace_of(Keep::kTops).root(small_header()));
}

TEST(Trace, HeaderBindsEveryField) {
  const TraceBuilder builder = trace_of(Keep::kTops);
  const Hash plain = builder.root(small_header());
  const auto changed = [&](auto&& change) {
    TraceHeader header = small_header();
    change(header);
    return builder.root(header);
  };
  EXPECT_NE(plain, changed([](TraceHeader& h) { h.spec_hash[31] ^= 1; }));
  EXPECT_NE(plain, changed([](TraceHeader& h) { h.model_root[0] ^= 1; }));
  EXPECT_NE(plain, changed([](TraceHeader& h) { ++h.prompt_count, --h.out_count; }));
  EXPECT_NE(plain, changed([](TraceHeader& h) { h.mode = Privacy::kSealed; }));
  EXPECT_NE(plain, changed([](TraceHeader& h) { h.sampling.inv_t = 1; }));
  EXPECT_NE(plain, changed([](TraceHeader& h) { h.sampling.top_k = 1; }));
  EXPECT_NE(plain, changed([](TraceHeader& h) { h.sampling.top_p = 1; }));
  EXPECT_NE(plain, changed([](TraceHeader& h) { h.sampling.min_p = 1; }));
  EXPECT_NE(plain, changed([](TraceHeader& h) { h.sampling.presence = 1; }));
  EXPECT_NE(plain, changed([](TraceHeader& h) { h.sampling.frequency = 1; }));
  EXPECT_NE(plain, changed([](TraceHeader& h) { h.sampling.seed[0] = 1; }));
}

TEST(Trace, TokenPathChecksAndRefusesOthers) {
  const TraceBuilder builder = trace_of(Keep::kTops);
  const TraceHeader header = small_header();
  const Hash root = builder.root(header);
  const Hash tokens = builder.token_root();
  const std::uint64_t count = trace_leaf_count(builder.shape());
  std::vector<Hash> path = builder.token_path(header);
  EXPECT_TRUE(check_token_path(count, root, header, tokens, path));
  EXPECT_EQ(check_token_path(count + 1, root, header, tokens, path).error().code,
            "TOKEN_PATH_MISMATCH");
  EXPECT_FALSE(check_token_path(1, root, header, tokens, path));
  EXPECT_FALSE(check_token_path(count, root, header, Hash{}, path));
  TraceHeader other = header;
  other.sampling.top_k = 3;
  EXPECT_FALSE(check_token_path(count, root, other, tokens, path));
  path.back()[0] ^= 1;
  EXPECT_FALSE(check_token_path(count, root, header, tokens, path));
  path.pop_back();
  EXPECT_FALSE(check_token_path(count, root, header, tokens, path));
}

TEST(Opening, OfEveryRangeOfEveryTreeChecks) {
  const TraceBuilder builder = trace_of(Keep::kRows);
  const Hash root = builder.root(small_header());
  for (const StreamId& stream : all_streams()) {
    const std::uint64_t leaves =
        builder.size(stream) * merkle::tiles_per_row(row_format(builder.shape(), stream).cols);
    for (std::uint64_t begin = 0; begin < leaves; ++begin) {
      for (std::uint64_t end = begin + 1; end <= leaves; ++end) {
        const Opening opening = builder.open(small_header(), stream, begin, end);
        ASSERT_TRUE(check_opening(builder.shape(), kTokens, root, stream, opening));
      }
    }
  }
}

TEST(Opening, OfRowsHoldsTheRows) {
  const TraceBuilder builder = trace_of(Keep::kRows);
  const StreamId residual{Kind::kResidual, 1, 0};
  const Opening opening = builder.open_rows(small_header(), residual, 2, 4);
  EXPECT_EQ(opening.begin, 4);
  EXPECT_EQ(opening.end, 8);
  const ByteView all = builder.rows(residual);
  const ByteView two = all.subspan(2 * 514 * 4, 2 * 514 * 4);
  EXPECT_TRUE(std::ranges::equal(opening.tiles, two));
}

void expect_invalid(const Hash& root, const StreamId& stream, const Opening& opening,
                    std::uint64_t tokens = kTokens) {
  const Status status = check_opening(small_shape(), tokens, root, stream, opening);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, "PATH_INVALID");
}

TEST(Opening, RefusesWhatDoesNotProve) {
  const TraceBuilder builder = trace_of(Keep::kRows);
  const Hash root = builder.root(small_header());
  const StreamId stream{Kind::kKey, 2, 1};
  const Opening good = builder.open_rows(small_header(), stream, 1, 3);
  ASSERT_TRUE(check_opening(builder.shape(), kTokens, root, stream, good));

  expect_invalid(root, {Kind::kKey, 2, 0}, good);
  expect_invalid(root, {Kind::kKey, 3, 1}, good);
  expect_invalid(root, {Kind::kTrace, 0, 0}, good);
  expect_invalid(root, stream, good, kTokens + 1);
  expect_invalid(root, stream, good, 0);
  expect_invalid(root, stream, good, ~std::uint64_t{0});
  expect_invalid(Hash{}, stream, good);
  expect_invalid(root, stream, {});

  const auto changed = [&](auto&& change) {
    Opening opening = good;
    change(opening);
    expect_invalid(root, stream, opening);
  };
  changed([](Opening& o) { o.tiles[3] ^= 1; });
  changed([](Opening& o) { o.tiles.pop_back(); });
  changed([](Opening& o) { o.tiles.push_back(0); });
  changed([](Opening& o) { o.path[0][5] ^= 1; });
  changed([](Opening& o) { o.path.pop_back(); });
  changed([](Opening& o) { o.trace_path[0][5] ^= 1; });
  changed([](Opening& o) { o.trace_path.emplace_back(); });
  changed([](Opening& o) { ++o.begin, ++o.end; });
  changed([](Opening& o) { o.end = ~std::uint64_t{0}; });
  changed([](Opening& o) { std::swap(o.begin, o.end); });
}

TEST(Divergence, IsFoundWhereverItIs) {
  const TraceBuilder plain = trace_of(Keep::kRows);
  EXPECT_FALSE(first_divergence(plain, trace_of(Keep::kRows)));
  for (const StreamId& stream : all_streams()) {
    for (std::uint64_t t = 0; t < plain.size(stream); ++t) {
      const bool residual = stream.kind == Kind::kResidual;
      for (const std::size_t column :
           residual ? std::vector<std::size_t>{0, 511, 512, 513} : std::vector<std::size_t>{0}) {
        const TraceBuilder other = trace_of(Keep::kRows, {stream, t, column});
        EXPECT_EQ(first_divergence(plain, other), (Divergence{t, stream, column / 512}));
      }
    }
  }
}

TEST(Divergence, TakesTheLeastInTopologicalOrder) {
  const TraceBuilder key = trace_of(Keep::kRows, {{Kind::kKey, 1, 1}, 2, 0});
  const TraceBuilder value = trace_of(Keep::kRows, {{Kind::kValue, 1, 0}, 2, 0});
  const TraceBuilder token = trace_of(Keep::kRows, {{}, 2, 0});
  const TraceBuilder early = trace_of(Keep::kRows, {{Kind::kResidual, 2, 0}, 1, 0});
  // K of all heads comes before V of any.
  EXPECT_EQ(first_divergence(key, value), (Divergence{2, {Kind::kKey, 1, 1}, 0}));
  EXPECT_EQ(first_divergence(key, token), (Divergence{2, {}, 0}));
  EXPECT_EQ(first_divergence(token, early), (Divergence{1, {Kind::kResidual, 2, 0}, 0}));
  EXPECT_EQ(describe(*first_divergence(key, value)), "position 2, layer 1, K of head 1, tile 0");
}

TEST(Divergence, OfDifferentLengthsIsTheFirstLeafOnlyOneHas) {
  const TraceBuilder shorter = trace_of(Keep::kRows, {}, kTokens - 1);
  const TraceBuilder longer = trace_of(Keep::kRows);
  EXPECT_EQ(first_divergence(shorter, longer), (Divergence{kTokens - 2, {Kind::kKey, 0, 0}, 0}));
}

}  // namespace
}  // namespace otr::trace
