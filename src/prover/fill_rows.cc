// Limbs of the domains q, k, v, z, o, x and f.
#include <array>

#include "machine/tables.h"
#include "prover/fill.h"

namespace otr::prover {
namespace {

using machine::kTile;
using zk::kLimbBits;

// Angles of one position after another: the same for all layers and heads.
std::vector<machine::Angle> all_angles(const zk::Job& job) {
  std::vector<machine::Angle> angles;
  for (std::uint32_t t = 0; t < job.positions(); ++t) {
    for (const std::uint64_t step : job.model.rope_steps) {
      angles.push_back(machine::angle(t, step));
    }
  }
  return angles;
}

class Filler {
 public:
  Filler(const zk::Job& job, const zk::Lines& lines, Witness& witness, engine::Pool& pool)
      : job_(job),
        shape_(job.model.shape),
        lines_(lines),
        w_(witness),
        pool_(pool),
        positions_(job.positions()) {}

  void rotated(bool is_q);
  void head_norms(bool is_q);
  void values();
  void distances();
  void attention();
  void residuals();
  void feed_forward();

 private:
  // Calls body(l, t) for every position of every layer.
  template <class Body>
  void each_line(const Body& body) {
    pool_.split(std::size_t{positions_} * shape_.layers, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        body(static_cast<std::uint32_t>(i / positions_),
             static_cast<std::uint32_t>(i % positions_));
      }
    });
  }
  const zk::RowLine& line(std::uint32_t l, std::uint32_t t) const { return lines_.rows[l][t]; }
  const machine::Layer& layer(std::uint32_t l) const { return job_.model.layers[l]; }
  std::size_t at(std::uint32_t l, std::uint32_t t, std::size_t width) const {
    return (std::size_t{l} * positions_ + t) * width;
  }
  const Cells& given(const std::string& name) { return *cells_of(w_, name); }

  const zk::Job& job_;
  const machine::Shape& shape_;
  const zk::Lines& lines_;
  Witness& w_;
  engine::Pool& pool_;
  const std::uint32_t positions_;
};

// Domains q and k.
void Filler::rotated(bool is_q) {
  const std::string name = is_q ? "q" : "k";
  const std::uint32_t heads = is_q ? shape_.heads : shape_.kv_heads;
  const std::size_t half = shape_.head_dim / 2;
  const std::vector<machine::Angle> angles = all_angles(job_);
  const std::array<const Cells*, 2> y{&given(name + ".y0"), &given(name + ".y1")};
  const std::string rotated = shape_.qk_norm ? ".n" : ".y";
  const std::array<const Cells*, 2> n{&given(name + rotated + "0"), &given(name + rotated + "1")};
  const std::array<const Cells*, 2> acc{&given(name + ".acc0"), &given(name + ".acc1")};
  const std::array<const Cells*, 2> q{cells_of(w_, "q.q0"), cells_of(w_, "q.q1")};
  const std::array<Cells*, 2> high{cells_of(w_, name + ".yh0"), cells_of(w_, name + ".yh1")};
  const std::array<Limbs, 2> r{Limbs(w_, name + ".r0"), Limbs(w_, name + ".r1")};
  const std::array<Limbs, 2> c{Limbs(w_, name + ".c0"), Limbs(w_, name + ".c1")};
  each_line([&](std::uint32_t l, std::uint32_t t) {
    const machine::Matrix& m = is_q ? layer(l).wq : layer(l).wk;
    const int s = is_q ? line(l, t).s_q : line(l, t).s_k;
    for (std::uint32_t h = 0; h < heads; ++h) {
      const int s_r = is_q ? line(l, t).heads[h].s_r : line(l, t).s_rk[h];
      const std::int16_t* k =
          w_.rows.k[is_q ? 0 : l * heads + h].data() + std::size_t{t} * (shape_.head_dim + 1);
      for (std::size_t i = 0; i < half; ++i) {
        const std::size_t cell = at(l, t, heads * half) + h * half + i;
        std::array<std::int64_t, 2> v{}, row{};  // what is rotated, and what becomes of it
        for (std::size_t x = 0; x < 2; ++x) {
          const std::size_t j = h * shape_.head_dim + x * half + i;
          const std::int64_t projected = integer_of((*y[x])[cell]);
          v[x] = integer_of((*n[x])[cell]);
          row[x] = is_q ? integer_of((*q[x])[cell]) : k[x * half + i];
          r[x].put(cell, integer_of((*acc[x])[cell]) * m.scale[j], s,
                   projected - (m.bias.empty() ? 0 : m.bias[j]));
          (*high[x])[cell] = static_cast<std::uint64_t>(projected + (1 << 23)) >> kLimbBits;
        }
        const machine::Angle a = angles[t * half + i];
        c[0].put(cell, v[0] * a.c - v[1] * a.s, s_r, row[0]);
        c[1].put(cell, v[1] * a.c + v[0] * a.s, s_r, row[1]);
      }
    }
  });
}

// What OP-5 adds to domains q and k.
void Filler::head_norms(bool is_q) {
  const std::string name = is_q ? "q" : "k";
  const std::uint32_t heads = is_q ? shape_.heads : shape_.kv_heads;
  const std::size_t half = shape_.head_dim / 2;
  for (std::size_t x = 0; x < 2; ++x) {
    const std::string suffix = std::to_string(x);
    const Cells& y = given(name + ".y" + suffix);
    const Cells& n = given(name + ".n" + suffix);
    Cells& high = *cells_of(w_, name + ".nh" + suffix);
    const Limbs g(w_, name + ".g" + suffix);
    each_line([&](std::uint32_t l, std::uint32_t t) {
      const machine::Gain& gain = is_q ? layer(l).q_norm : layer(l).k_norm;
      for (std::uint32_t h = 0; h < heads; ++h) {
        const zk::HeadNormLine& norm = (is_q ? line(l, t).q_norms : line(l, t).k_norms)[h];
        const std::int64_t offset = std::int64_t{1} << (zk::head_norm_bits(norm.shift) - 1);
        for (std::size_t i = 0; i < half; ++i) {
          const std::size_t cell = at(l, t, heads * half) + h * half + i;
          const std::int64_t v = integer_of(n[cell]);
          g.put(cell, integer_of(y[cell]) * gain.gain[x * half + i] * norm.r, norm.shift, v);
          high[cell] = static_cast<std::uint64_t>(v + offset) >> kLimbBits;
        }
      }
    });
  }
}

void Filler::values() {
  const std::size_t d = shape_.head_dim;
  const Cells& acc = given("v.acc");
  const Limbs r(w_, "v.r");
  each_line([&](std::uint32_t l, std::uint32_t t) {
    for (std::uint32_t g = 0; g < shape_.kv_heads; ++g) {
      const std::int8_t* v = w_.rows.v[l * shape_.kv_heads + g].data() + t * (d + 1);
      for (std::size_t j = 0; j < d; ++j) {
        const std::size_t cell = at(l, t, shape_.kv_width()) + g * d + j;
        r.put(cell, integer_of(acc[cell]) * layer(l).wv.scale[g * d + j], line(l, t).s_v[g], v[j]);
      }
    }
  });
}

// What distances have beyond 4096 and one limb.
void Filler::distances() {
  if (w_.options.gap != 2) return;
  const std::size_t d = shape_.head_dim;
  const Cells& z = given("z.z");
  const std::array<const Cells*, 2> e{&given("z.e"), &given("z.e'")};
  const std::array<Cells*, 2> over{cells_of(w_, "z.eo"), cells_of(w_, "z.eo'")};
  const std::size_t keys = z.size() / positions_ / shape_.heads / shape_.layers;
  each_line([&](std::uint32_t l, std::uint32_t t) {
    const machine::TileRange range = machine::tiles_of(t, shape_.window);
    for (std::uint32_t h = 0; h < shape_.heads; ++h) {
      const std::int8_t* v = w_.rows.v[l * shape_.kv_heads + shape_.kv_head_of(h)].data();
      const std::size_t first = ((std::size_t{l} * shape_.heads + h) * positions_ + t) * keys;
      for (std::uint32_t p = machine::first_attended(t, shape_.window); p <= t; ++p) {
        const zk::TileScalars& tile = w_.scalars.rows[l][t].tiles[h][p / kTile - range.first];
        const std::int64_t octave = std::int64_t{tile.x} + v[p * (d + 1) + d];
        const std::array<std::int64_t, 2> tops{tile.m, octave};
        for (std::size_t i = 0; i < 2; ++i) {
          const std::int64_t distance = 256 * tops[i] + 255 - integer_of(z[first + p]);
          (*over[i])[first + p] =
              static_cast<std::uint64_t>(distance - integer_of((*e[i])[first + p])) >> kLimbBits;
        }
      }
    }
  });
}

void Filler::attention() {
  const std::size_t d = shape_.head_dim;
  const Cells& a = given("o.A");
  const Cells& y = given("o.y");
  const Cells& o = given("o.o");
  const Limbs r(w_, "o.r");
  const Limbs c(w_, "o.c");
  each_line([&](std::uint32_t l, std::uint32_t t) {
    for (std::uint32_t h = 0; h < shape_.heads; ++h) {
      const zk::HeadLine& head = line(l, t).heads[h];
      for (std::size_t j = 0; j < d; ++j) {
        const std::size_t cell = at(l, t, shape_.q_width()) + h * d + j;
        r.put(cell, integer_of(a[cell]), head.s_a, integer_of(y[cell]));
        c.put(cell, integer_of(y[cell]) * head.r, head.s_o, integer_of(o[cell]));
      }
    }
  });
}

void Filler::residuals() {
  const std::size_t d = shape_.hidden;
  const std::vector<std::int32_t> embedded = zk::embed_rows(job_);
  const Cells& acc = given("x.acc");
  const Cells& dacc = given("x.dacc");
  const Cells& x = given("x.x");
  const Cells& xr = given("x.xr");
  const Cells& m = given("x.m");
  Cells& xh = *cells_of(w_, "x.xh");
  Cells* const yh = cells_of(w_, "x.yh");
  Cells* const zh = cells_of(w_, "x.zh");
  const Limbs r(w_, "x.r");
  const Limbs c(w_, "x.c");
  const Limbs e(w_, "x.e");
  const auto top = [](std::int64_t v, int s) {
    const int bits = std::min(34, 63 - s);
    return static_cast<std::uint64_t>(v + (std::int64_t{1} << (bits - 1))) >> kLimbBits;
  };
  each_line([&](std::uint32_t l, std::uint32_t t) {
    const machine::Layer& w = layer(l);
    const zk::RowLine& s = line(l, t);
    const std::int32_t* in = (l == 0 ? embedded : w_.rows.x[l - 1]).data() + t * d;
    const std::int32_t* out = w_.rows.x[l].data() + t * d;
    for (std::size_t j = 0; j < d; ++j) {
      const std::size_t cell = at(l, t, d) + j;
      const std::int64_t v = integer_of(x[cell]);
      const std::int64_t middle = v * (std::int64_t{1} << s.s_n) + integer_of(xr[cell]);
      const std::int64_t attended = middle - in[j] - (w.wo.bias.empty() ? 0 : w.wo.bias[j]);
      const std::int64_t fed = out[j] - middle;
      r.put(cell, integer_of(acc[cell]) * w.wo.scale[j], s.s_w, attended);
      c.put(cell, v * w.mlp_norm.gain[j] * s.r_norm, s.s_m, integer_of(m[cell]));
      e.put(cell, integer_of(dacc[cell]) * w.w_down.scale[j], s.s_d, fed);
      xh[cell] = static_cast<std::uint64_t>(v + (1 << 23)) >> kLimbBits;
      if (yh != nullptr) (*yh)[cell] = top(attended, s.s_w);
      if (zh != nullptr) (*zh)[cell] = top(fed, s.s_d);
    }
  });
}

void Filler::feed_forward() {
  const std::size_t n = shape_.ffn;
  const Cells& gate = given("f.gacc");
  const Cells& up = given("f.uacc");
  const Cells& g = given("f.g");
  const Cells& silu = given("f.s");
  const Cells& h = given("f.h");
  const Limbs r(w_, "f.r");
  const Limbs c(w_, "f.c");
  each_line([&](std::uint32_t l, std::uint32_t t) {
    const machine::Layer& w = layer(l);
    const zk::RowLine& s = line(l, t);
    for (std::size_t j = 0; j < n; ++j) {
      const std::size_t cell = at(l, t, n) + j;
      r.put(cell, integer_of(gate[cell]) * w.w_gate.scale[j], s.s_g, integer_of(g[cell]));
      c.put(cell, integer_of(silu[cell]) * integer_of(up[cell]) * w.w_up.scale[j], s.s_h,
            integer_of(h[cell]));
    }
  });
}

}  // namespace

Cells* cells_of(Witness& witness, const std::string& name) {
  if (!witness.circuit.has(name)) return nullptr;
  const zk::ColumnId id = witness.circuit.find(name);
  Cells& cells = witness.columns[id];
  if (cells.empty()) cells.resize(witness.circuit.cells(witness.circuit.columns[id].dims));
  return &cells;
}

Limbs::Limbs(Witness& witness, const std::string& name) {
  for (int n = 0;; ++n) {
    Cells* const cells = cells_of(witness, name + "." + std::to_string(n));
    if (cells == nullptr) return;
    columns_.push_back(cells);
  }
}

void fill_rows(const zk::Job& job, const zk::Lines& lines, Witness& witness, engine::Pool& pool) {
  Filler filler(job, lines, witness, pool);
  filler.rotated(true);
  filler.rotated(false);
  if (job.model.shape.qk_norm) {
    filler.head_norms(true);
    filler.head_norms(false);
  }
  filler.values();
  filler.distances();
  filler.attention();
  filler.residuals();
  filler.feed_forward();
}

}  // namespace otr::prover
