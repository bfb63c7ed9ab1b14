#include "zk/scalars.h"

#include <concepts>

#include "base/check.h"

namespace otr::zk {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint64_t kRecordBytes = 1 + 4 + 8;
constexpr std::uint64_t kTileBytes = 2 * 4 + 4;
constexpr std::uint64_t kHeadBytes = 8 + kRecordBytes;
constexpr std::uint64_t kOutputBytes = 8 + 3 * 4;

std::unexpected<Error> malformed(std::string message) {
  return fail(ErrorKind::kReject, std::move(message), "MALFORMED");
}

// Reads integers one after another; the length was compared before the first is read.
class Cursor {
 public:
  explicit Cursor(ByteView bytes) : bytes_(bytes) {}

  template <std::integral T>
  void read(T& value) {
    OTR_DCHECK(at_ + sizeof value <= bytes_.size());
    value = load_le<T>(bytes_.data() + at_);
    at_ += sizeof value;
  }
  template <std::integral T>
  void read(std::vector<T>& values) {
    OTR_DCHECK(at_ + values.size() * sizeof(T) <= bytes_.size());
    if (!values.empty()) std::memcpy(values.data(), bytes_.data() + at_, values.size() * sizeof(T));
    at_ += values.size() * sizeof(T);
  }
  void read(Record& record) {
    std::int8_t exponent = 0;
    read(exponent);
    record.exponent = exponent;
    read(record.named);
    read(record.value);
  }

 private:
  ByteView bytes_;
  std::size_t at_ = 0;
};

void write(Bytes& to, const Record& record) {
  append_le(to, static_cast<std::int8_t>(record.exponent));
  append_le(to, record.named);
  append_le(to, record.value);
}

// All limits of SPEC chapter 14 together stay below 2^50 bytes, so nothing wraps.
std::uint64_t scalar_bytes(const machine::Shape& shape, std::uint32_t positions,
                           std::uint32_t outputs) {
  std::uint64_t bytes = 0;
  for (std::uint32_t t = 0; t < positions; ++t) {
    bytes += std::uint64_t{machine::tiles_of(t, shape.window).count} * shape.heads * kTileBytes;
  }
  const std::uint64_t records = shape.heads + 2 * std::uint64_t{shape.kv_heads} + 5;
  bytes += positions * (records * kRecordBytes + shape.heads * kHeadBytes + 8);
  if (shape.qk_norm) bytes += positions * (shape.heads + std::uint64_t{shape.kv_heads}) * 8;
  return 2 + shape.layers * bytes + outputs * kOutputBytes;
}

void write_row(Bytes& to, const RowScalars& row) {
  const auto write_all = [&](const std::vector<Record>& records) {
    for (const Record& record : records) write(to, record);
  };
  write_all(row.q);
  append(to, as_bytes(std::span(row.q_sumsq)));
  write_all(row.k);
  append(to, as_bytes(std::span(row.k_sumsq)));
  write_all(row.v);
  for (std::size_t h = 0; h < row.heads.size(); ++h) {
    for (const TileScalars& tile : row.tiles[h]) {
      append_le(to, tile.m);
      append_le(to, tile.x);
      for (const std::uint8_t byte : {tile.mu, tile.mr, tile.xu, tile.xr}) append_le(to, byte);
    }
    append_le(to, row.heads[h].sum);
    write(to, row.heads[h].shift);
  }
  write(to, row.o);
  write(to, row.norm_shift);
  append_le(to, row.norm_sumsq);
  for (const Record* record : {&row.m, &row.g, &row.h}) write(to, *record);
}

void read_row(Cursor& from, const machine::Shape& shape, std::uint32_t t, RowScalars& row) {
  row.q.resize(shape.heads);
  row.k.resize(shape.kv_heads);
  row.v.resize(shape.kv_heads);
  if (shape.qk_norm) row.q_sumsq.resize(shape.heads), row.k_sumsq.resize(shape.kv_heads);
  const auto read_all = [&](std::vector<Record>& records) {
    for (Record& record : records) from.read(record);
  };
  read_all(row.q);
  from.read(row.q_sumsq);
  read_all(row.k);
  from.read(row.k_sumsq);
  read_all(row.v);
  row.tiles.resize(shape.heads);
  row.heads.resize(shape.heads);
  for (std::uint32_t h = 0; h < shape.heads; ++h) {
    row.tiles[h].resize(machine::tiles_of(t, shape.window).count);
    for (TileScalars& tile : row.tiles[h]) {
      from.read(tile.m);
      from.read(tile.x);
      for (std::uint8_t* byte : {&tile.mu, &tile.mr, &tile.xu, &tile.xr}) from.read(*byte);
    }
    from.read(row.heads[h].sum);
    from.read(row.heads[h].shift);
  }
  from.read(row.o);
  from.read(row.norm_shift);
  from.read(row.norm_sumsq);
  for (Record* record : {&row.m, &row.g, &row.h}) from.read(*record);
}

Status check_size(std::string_view part, std::size_t bytes, std::uint64_t expected) {
  if (bytes == expected) return {};
  return malformed("the part '" + std::string(part) + "' of the proof has " +
                   std::to_string(bytes) + " bytes where model and receipt ask for " +
                   std::to_string(expected));
}

}  // namespace

Bytes encode_scalars(const Scalars& scalars) {
  Bytes bytes{kVersion, scalars.gap};
  for (const auto& layer : scalars.rows) {
    for (const RowScalars& row : layer) write_row(bytes, row);
  }
  for (const OutputScalars& output : scalars.outputs) {
    append_le(bytes, output.l_max);
    append_le(bytes, output.named);
    append_le(bytes, output.named_logit);
    append_le(bytes, output.token_logit);
  }
  return bytes;
}

Result<Scalars> decode_scalars(ByteView bytes, const machine::Shape& shape, std::uint32_t n_prompt,
                               std::uint32_t n_out) {
  OTR_CHECK(n_prompt >= 1 && n_out >= 1);
  const std::uint32_t positions = n_prompt + n_out - 1;
  // The length first: it bounds all that is allocated.
  OTR_TRY(check_size("scalars", bytes.size(), scalar_bytes(shape, positions, n_out)));
  Cursor from(bytes);
  std::uint8_t version = 0;
  from.read(version);
  if (version != kVersion) {
    return malformed("the scalars of the proof have version " + std::to_string(version) +
                     "; this program knows version 1");
  }
  Scalars scalars;
  from.read(scalars.gap);
  if (scalars.gap != 1 && scalars.gap != 2) {
    return malformed("byte 1 of the scalars (gap) is " + std::to_string(scalars.gap) +
                     "; it must be 1 or 2");
  }
  scalars.rows.resize(shape.layers);
  for (auto& layer : scalars.rows) {
    layer.resize(positions);
    for (std::uint32_t t = 0; t < positions; ++t) read_row(from, shape, t, layer[t]);
  }
  scalars.outputs.resize(n_out);
  for (OutputScalars& output : scalars.outputs) {
    from.read(output.l_max);
    from.read(output.named);
    from.read(output.named_logit);
    from.read(output.token_logit);
  }
  return scalars;
}

Bytes encode_rows(const TraceRows& rows) {
  Bytes bytes;
  const std::size_t kv_heads = rows.x.empty() ? 0 : rows.k.size() / rows.x.size();
  for (std::size_t l = 0; l < rows.x.size(); ++l) {
    for (std::size_t at = l * kv_heads; at < (l + 1) * kv_heads; ++at) {
      append(bytes, as_bytes(std::span(rows.k[at])));
      append(bytes, as_bytes(std::span(rows.v[at])));
    }
    append(bytes, as_bytes(std::span(rows.x[l])));
  }
  return bytes;
}

Result<TraceRows> decode_rows(ByteView bytes, const machine::Shape& shape, std::uint32_t n_prompt,
                              std::uint32_t n_out) {
  OTR_CHECK(n_prompt >= 1 && n_out >= 1);
  const std::uint64_t positions = std::uint64_t{n_prompt} + n_out - 1;
  const std::uint64_t kv_cells = positions * (shape.head_dim + 1);
  const std::uint64_t x_cells = positions * shape.hidden;
  OTR_TRY(check_size("trace rows", bytes.size(),
                     shape.layers * (shape.kv_heads * kv_cells * 3 + x_cells * 4)));
  TraceRows rows;
  rows.k.resize(std::size_t{shape.layers} * shape.kv_heads);
  rows.v.resize(rows.k.size());
  rows.x.resize(shape.layers);
  Cursor from(bytes);
  for (std::size_t l = 0; l < shape.layers; ++l) {
    for (std::size_t at = l * shape.kv_heads; at < (l + 1) * shape.kv_heads; ++at) {
      rows.k[at].resize(kv_cells);
      rows.v[at].resize(kv_cells);
      from.read(rows.k[at]);
      from.read(rows.v[at]);
    }
    rows.x[l].resize(x_cells);
    from.read(rows.x[l]);
  }
  return rows;
}

}  // namespace otr::zk
