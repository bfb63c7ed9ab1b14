#include "prover/pass.h"

#include "base/check.h"

namespace otr::prover {
namespace {

void make_scalars(Pass& pass) {
  const machine::Shape& shape = pass.shape;
  pass.scalars.rows.assign(shape.layers, std::vector<zk::RowScalars>(pass.positions));
  for (auto& layer : pass.scalars.rows) {
    for (std::uint32_t t = 0; t < pass.positions; ++t) {
      zk::RowScalars& row = layer[t];
      row.q.resize(shape.heads);
      row.k.resize(shape.kv_heads);
      row.v.resize(shape.kv_heads);
      if (shape.qk_norm) {
        row.q_sumsq.resize(shape.heads);
        row.k_sumsq.resize(shape.kv_heads);
      }
      row.heads.resize(shape.heads);
      row.tiles.assign(shape.heads,
                       std::vector<zk::TileScalars>(machine::tiles_of(t, shape.window).count));
    }
  }
  pass.scalars.outputs.resize(pass.outputs);
}

void make_rows(Pass& pass) {
  const machine::Shape& shape = pass.shape;
  const std::size_t cells = std::size_t{pass.positions} * (shape.head_dim + 1);
  pass.rows.k.assign(std::size_t{shape.layers} * shape.kv_heads, std::vector<std::int16_t>(cells));
  pass.rows.v.assign(pass.rows.k.size(), std::vector<std::int8_t>(cells));
  pass.rows.x.resize(shape.layers);
}

}  // namespace

Pass::Pass(const zk::Job& of, engine::Pool& with)
    : job(of),
      shape(of.model.shape),
      pool(with),
      positions(of.positions()),
      outputs(static_cast<std::uint32_t>(of.output.size())) {
  make_scalars(*this);
  make_rows(*this);
  const auto add = [&](std::size_t cells, std::initializer_list<const char*> names) {
    for (const char* name : names) columns[name].resize(cells);
  };
  const std::size_t lines = std::size_t{positions} * shape.layers;
  const std::size_t tiles = (positions - 1) / machine::kTile + 1;
  const std::size_t keys = std::min(machine::kTile, positions) * tiles;
  add(lines * shape.q_width() / 2, {"q.acc0", "q.acc1", "q.y0", "q.y1", "q.q0", "q.q1"});
  add(lines * shape.kv_width() / 2, {"k.acc0", "k.acc1", "k.y0", "k.y1"});
  if (shape.qk_norm) {
    add(lines * shape.q_width() / 2, {"q.n0", "q.n1"});
    add(lines * shape.kv_width() / 2, {"k.n0", "k.n1"});
    add(lines * shape.heads, {"qsq"});
    add(lines * shape.kv_heads, {"ksq"});
  }
  add(lines * shape.kv_width(), {"v.acc"});
  add(lines * shape.heads * keys, {"z.acc", "z.z", "z.r", "z.e", "z.p", "z.e'", "z.p'"});
  add(lines * shape.heads, {"hsum"});
  add(lines * shape.q_width(), {"o.A", "o.y", "o.o"});
  add(lines * shape.hidden, {"x.acc", "x.x", "x.xr", "x.m", "x.dacc"});
  add(lines, {"ssq"});
  add(lines * shape.ffn, {"f.gacc", "f.g", "f.s", "f.uacc", "f.h"});
  add(std::size_t{outputs} * shape.vocabulary, {"s.acc", "s.y"});
}

Cells& Pass::column(std::string_view name) {
  const auto at = columns.find(name);
  OTR_CHECK(at != columns.end());
  return at->second;
}

std::unexpected<Error> Pass::out_of_range(std::uint32_t layer, std::string_view stage) const {
  return fail(ErrorKind::kOutOfRange,
              "the exact arithmetic left its range in layer " + std::to_string(layer) + ", " +
                  std::string(stage) + "; there is nothing to prove",
              "OUT_OF_RANGE");
}

std::optional<std::uint32_t> first_beyond(std::span<const std::int64_t> values, int s,
                                          machine::Range range) {
  for (std::size_t j = 0; j < values.size(); ++j) {
    if (!range.holds(machine::rsh(values[j], s))) return static_cast<std::uint32_t>(j);
  }
  return {};
}

zk::Record record_of(std::span<const std::int64_t> values, int f, int exponent, std::int64_t bound,
                     int cap) {
  if (exponent == std::min(cap, f)) return {.exponent = exponent};
  const std::uint32_t named = *first_beyond(values, f - exponent - 1, {-bound, bound});
  return {exponent, named, values[named]};
}

}  // namespace otr::prover
