#include "zk/scalars.h"

#include <gtest/gtest.h>

#include <random>

namespace otr::zk {
namespace {

constexpr std::uint32_t kPrompt = 130;
constexpr std::uint32_t kOutputs = 4;

machine::Shape shape() {
  return {.hidden = 10,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 4,
          .ffn = 12,
          .layers = 2,
          .vocabulary = 17,
          .context = 200,
          .window = 100};
}

Record random_record(std::mt19937_64& random) {
  return {static_cast<std::int8_t>(random()), static_cast<std::uint32_t>(random()),
          static_cast<std::int64_t>(random())};
}

Scalars random_scalars() {
  std::mt19937_64 random(1);
  Scalars scalars{.gap = 2};
  scalars.rows.resize(shape().layers);
  for (auto& layer : scalars.rows) {
    for (std::uint32_t t = 0; t < kPrompt + kOutputs - 1; ++t) {
      RowScalars& row = layer.emplace_back();
      for (std::uint32_t h = 0; h < shape().heads; ++h) {
        row.q.push_back(random_record(random));
        row.heads.push_back({random(), random_record(random)});
        auto& tiles = row.tiles.emplace_back();
        for (std::uint32_t i = 0; i < machine::tiles_of(t, shape().window).count; ++i) {
          tiles.push_back({static_cast<std::int32_t>(random()), static_cast<std::int32_t>(random()),
                           static_cast<std::uint8_t>(random()), static_cast<std::uint8_t>(random()),
                           static_cast<std::uint8_t>(random()),
                           static_cast<std::uint8_t>(random())});
        }
      }
      for (std::uint32_t g = 0; g < shape().kv_heads; ++g) {
        row.k.push_back(random_record(random));
        row.v.push_back(random_record(random));
      }
      for (Record* record : {&row.o, &row.norm_shift, &row.m, &row.g, &row.h}) {
        *record = random_record(random);
      }
      row.norm_sumsq = random();
    }
  }
  for (std::uint32_t o = 0; o < kOutputs; ++o) {
    scalars.outputs.push_back(
        {static_cast<std::int64_t>(random()), static_cast<std::uint32_t>(random()),
         static_cast<std::int32_t>(random()), static_cast<std::int32_t>(random())});
  }
  return scalars;
}

template <class T>
void expect_malformed(const Result<T>& result) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::kReject);
  EXPECT_EQ(result.error().code, "MALFORMED");
}

TEST(Scalars, RoundTrip) {
  const Scalars scalars = random_scalars();
  const Bytes bytes = encode_scalars(scalars);
  const auto decoded = decode_scalars(bytes, shape(), kPrompt, kOutputs);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(encode_scalars(*decoded), bytes);
  EXPECT_EQ(decoded->gap, 2);
  EXPECT_EQ(decoded->rows[1][7].q, scalars.rows[1][7].q);
  EXPECT_EQ(decoded->rows[1][7].h, scalars.rows[1][7].h);
  EXPECT_EQ(decoded->rows[1][130].tiles[3][1].xr, scalars.rows[1][130].tiles[3][1].xr);
  EXPECT_EQ(decoded->outputs[3].token_logit, scalars.outputs[3].token_logit);
}

// The bytes of SPEC PS-4 by hand: version, gap, then the first record of q; after the 8 records of
// q, k and v and the one tile of head 0 its sum.
TEST(Scalars, BytesStandWhereTheSpecSays) {
  Scalars scalars = random_scalars();
  scalars.rows[0][0].q[0] = {-2, 0x04030201, -3};
  const Bytes bytes = encode_scalars(scalars);
  const Bytes head{1, 2, 0xfe, 1, 2, 3, 4, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  EXPECT_EQ(Bytes(bytes.begin(), bytes.begin() + 15), head);
  EXPECT_EQ(load_le<std::uint64_t>(bytes.data() + 2 + 8 * 13 + 12),
            scalars.rows[0][0].heads[0].sum);
  // One position without tiles beyond the first: 4 + 2 + 2 + 5 records, 4 tiles, 4 heads, Σ x'².
  EXPECT_EQ(decode_scalars(Bytes(2 + 2 * (13 * 13 + 4 * 12 + 4 * 21 + 8) + 20, 1), shape(), 1, 1)
                .has_value(),
            true);
}

// Σ y² of OP-5 stands behind the records of q and behind those of k, where the model has q/k norms.
TEST(Scalars, SumsOfHeadNorms) {
  machine::Shape normed = shape();
  normed.qk_norm = true;
  Scalars scalars = random_scalars();
  for (auto& layer : scalars.rows) {
    for (RowScalars& row : layer) row.q_sumsq = {1, 2, 3, UINT64_MAX}, row.k_sumsq = {5, 6};
  }
  const Bytes bytes = encode_scalars(scalars);
  EXPECT_EQ(load_le<std::uint64_t>(bytes.data() + 2 + 4 * 13 + 24), UINT64_MAX);
  EXPECT_EQ(load_le<std::uint64_t>(bytes.data() + 2 + 4 * 13 + 32 + 2 * 13 + 8), 6U);
  const auto decoded = decode_scalars(bytes, normed, kPrompt, kOutputs);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(encode_scalars(*decoded), bytes);
  EXPECT_EQ(decoded->rows[1][7].q_sumsq, scalars.rows[1][7].q_sumsq);
  EXPECT_EQ(decoded->rows[1][7].k_sumsq, scalars.rows[1][7].k_sumsq);
  EXPECT_EQ(decoded->rows[1][7].v, scalars.rows[1][7].v);
  expect_malformed(decode_scalars(bytes, shape(), kPrompt, kOutputs));
  expect_malformed(decode_scalars(encode_scalars(random_scalars()), normed, kPrompt, kOutputs));
}

TEST(Scalars, OtherLengthsVersionsAndGapsAreMalformed) {
  const Bytes bytes = encode_scalars(random_scalars());
  const auto decode = [](const Bytes& b) { return decode_scalars(b, shape(), kPrompt, kOutputs); };
  expect_malformed(decode({}));
  for (const std::size_t cut : {std::size_t{1}, std::size_t{2}, bytes.size() - 1}) {
    expect_malformed(decode(Bytes(bytes.begin(), bytes.begin() + static_cast<long>(cut))));
  }
  Bytes longer = bytes;
  longer.push_back(0);
  expect_malformed(decode(longer));
  for (const std::uint8_t version : Bytes{0, 2, 255}) {
    Bytes other = bytes;
    other[0] = version;
    expect_malformed(decode(other));
  }
  for (const std::uint8_t gap : Bytes{0, 3, 255}) {
    Bytes other = bytes;
    other[1] = gap;
    expect_malformed(decode(other));
  }
  expect_malformed(decode_scalars(bytes, shape(), kPrompt + 1, kOutputs));
}

TEST(TraceRows, RoundTripInTheOrderOfTheTrace) {
  TraceRows rows;
  const std::size_t n = 3;
  std::int16_t next = 1;
  for (std::uint32_t l = 0; l < shape().layers; ++l) {
    for (std::uint32_t g = 0; g < shape().kv_heads; ++g) {
      rows.k.emplace_back(n * 5, next);
      rows.v.emplace_back(n * 5, static_cast<std::int8_t>(-next));
      ++next;
    }
    rows.x.emplace_back(n * 10, -1000 * next);
  }
  const Bytes bytes = encode_rows(rows);
  ASSERT_EQ(bytes.size(), 2 * (2 * 15 * 3 + 30 * 4));
  EXPECT_EQ(bytes[0], 1);      // K of head 0
  EXPECT_EQ(bytes[30], 0xff);  // V of head 0
  EXPECT_EQ(bytes[45], 2);     // K of head 1
  EXPECT_EQ(bytes[90], 0x48);  // residual: -3000 = 0xfffff448
  const auto decoded = decode_rows(bytes, shape(), 2, 2);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->k, rows.k);
  EXPECT_EQ(decoded->v, rows.v);
  EXPECT_EQ(decoded->x, rows.x);
}

TEST(TraceRows, OtherLengthsAreMalformed) {
  const std::size_t size = 2 * (2 * 15 * 3 + 30 * 4);
  EXPECT_TRUE(decode_rows(Bytes(size), shape(), 2, 2));
  expect_malformed(decode_rows(Bytes(size - 1), shape(), 2, 2));
  expect_malformed(decode_rows(Bytes(size + 1), shape(), 2, 2));
  expect_malformed(decode_rows({}, shape(), 2, 2));
  expect_malformed(decode_rows(Bytes(size), shape(), 2, 3));
}

}  // namespace
}  // namespace otr::zk
