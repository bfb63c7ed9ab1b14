#include "zk/rows.h"

#include <algorithm>
#include <concepts>
#include <map>

#include "base/check.h"
#include "zk/argument.h"
#include "zk/row_lines.h"

namespace otr::zk {
namespace {

using Values = std::vector<std::uint64_t>;

std::int64_t power_of(int s) { return std::int64_t{1} << s; }

// Fills the public columns of PT-2 and PT-5.
class Filler {
 public:
  Filler(const Job& job, const TraceRows& rows, const Scalars& scalars, const Lines& lines,
         PublicRows& out)
      : job_(job),
        shape_(job.model.shape),
        rows_(rows),
        scalars_(scalars),
        lines_(lines),
        out_(out),
        n_(job.positions()) {}

  void fill() {
    projections();
    scores();
    attention();
    residuals();
    feed_forward();
    choices();
    contractions();
  }

 private:
  // Fills the column `name` over its box, `value` taking the indices of its dimensions, the
  // HIGHEST first; nothing where the circuit has no such column.
  template <class F>
  void set(const std::string& name, const F& value) {
    if (!out_.circuit.has(name)) return;
    const ColumnId id = out_.circuit.find(name);
    const std::vector<std::uint32_t> box = out_.circuit.box_of(id);
    Values& column = out_.columns[id];
    column.resize(out_.circuit.cells(out_.circuit.columns[id].dims));
    std::vector<std::uint32_t> at(box.size());
    for (auto cell = column.begin(); cell != column.end();) {
      for (at[0] = 0; at[0] < box[0]; ++at[0]) {
        *cell++ = felt(call(value, at, std::make_index_sequence<arity<F>()>{})).v;
      }
      for (std::size_t d = 1; d < at.size() && ++at[d] == box[d]; ++d) at[d] = 0;
    }
  }
  template <class F>
  static constexpr std::size_t arity() {
    using I = std::uint32_t;
    if constexpr (std::is_invocable_v<F, I>) return 1;
    if constexpr (std::is_invocable_v<F, I, I>) return 2;
    if constexpr (std::is_invocable_v<F, I, I, I>) return 3;
    if constexpr (std::is_invocable_v<F, I, I, I, I>) return 4;
    if constexpr (std::is_invocable_v<F, I, I, I, I, I>) return 5;
  }
  template <class F, std::size_t... I>
  static std::int64_t call(const F& f, const std::vector<std::uint32_t>& at,
                           std::index_sequence<I...>) {
    OTR_CHECK(at.size() == sizeof...(I));
    return f(at[sizeof...(I) - 1 - I]...);
  }
  // 2^s, half(s) and widths of the shifts s(indices…).
  template <class F>
  void set_shift(const std::string& domain, const std::string& suffix, const F& shift) {
    set(domain + ".pow" + suffix, [&](auto... i)
          requires std::invocable<F, decltype(i)...>
        { return power_of(shift(i...)); });
    set(domain + ".half" + suffix, [&](auto... i)
          requires std::invocable<F, decltype(i)...>
        { return half_of(shift(i...)); });
    for (int n = 0; n < 3; ++n) {
      set(domain + ".wid" + suffix + "." + std::to_string(n), [&](auto... i)
            requires std::invocable<F, decltype(i)...>
          { return std::int64_t{limb_width(shift(i...), n)}; });
    }
  }

  const RowLine& line(std::uint32_t l, std::uint32_t t) const { return lines_.rows[l][t]; }
  const RowScalars& row(std::uint32_t l, std::uint32_t t) const { return scalars_.rows[l][t]; }
  std::uint32_t group(std::uint32_t h) const { return shape_.kv_head_of(h); }
  std::int64_t k_at(std::uint32_t l, std::uint32_t g, std::uint32_t t, std::uint32_t j) const {
    return rows_.k[l * shape_.kv_heads + g][std::size_t{t} * (shape_.head_dim + 1) + j];
  }
  std::int64_t v_at(std::uint32_t l, std::uint32_t g, std::uint32_t t, std::uint32_t j) const {
    return rows_.v[l * shape_.kv_heads + g][std::size_t{t} * (shape_.head_dim + 1) + j];
  }
  // The scalars of tile T of a query, where it attends to it.
  const TileScalars* tile(std::uint32_t l, std::uint32_t h, std::uint32_t t,
                          std::uint32_t i) const {
    const machine::TileRange range = machine::tiles_of(t, shape_.window);
    if (i < range.first || i >= range.first + range.count) return nullptr;
    return &row(l, t).tiles[h][i - range.first];
  }

  void projections();
  void rotated(const std::string& name, bool is_q);
  void head_norm(const std::string& name, bool is_q);
  void scores();
  void attention();
  void residuals();
  void feed_forward();
  void choices();
  void contractions();

  const Job& job_;
  const machine::Shape& shape_;
  const TraceRows& rows_;
  const Scalars& scalars_;
  const Lines& lines_;
  PublicRows& out_;
  const std::uint32_t n_;
};

using I = std::uint32_t;

void Filler::rotated(const std::string& name, bool is_q) {
  const std::uint32_t half = shape_.head_dim / 2;
  const auto matrix = [&](I l) -> const machine::Matrix& {
    return is_q ? job_.model.layers[l].wq : job_.model.layers[l].wk;
  };
  set_shift(name, "", [&](I l, I t) { return is_q ? line(l, t).s_q : line(l, t).s_k; });
  set_shift(name, "_r",
            [&](I l, I t, I h) { return is_q ? line(l, t).heads[h].s_r : line(l, t).s_rk[h]; });
  for (I x = 0; x < 2; ++x) {
    const std::string suffix = std::to_string(x);
    const auto element = [&](I h, I i) { return h * shape_.head_dim + x * half + i; };
    set(name + ".m" + suffix,
        [&](I l, I h, I i) { return std::int64_t{matrix(l).scale[element(h, i)]}; });
    set(name + ".b" + suffix,
        [&](I l, I h, I i) { return std::int64_t{matrix(l).bias[element(h, i)]}; });
    if (!is_q) set("k.k" + suffix, [&](I l, I t, I g, I i) { return k_at(l, g, t, x * half + i); });
  }
  std::vector<machine::Angle> angles;
  for (I t = 0; t < n_; ++t) {
    for (I i = 0; i < half; ++i) angles.push_back(machine::angle(t, job_.model.rope_steps[i]));
  }
  set(name + ".cos", [&](I t, I i) { return std::int64_t{angles[t * half + i].c}; });
  set(name + ".sin", [&](I t, I i) { return std::int64_t{angles[t * half + i].s}; });
  if (shape_.qk_norm) head_norm(name, is_q);
}

void Filler::head_norm(const std::string& name, bool is_q) {
  const auto norm = [&](I l, I t, I h) -> const HeadNormLine& {
    return (is_q ? line(l, t).q_norms : line(l, t).k_norms)[h];
  };
  const auto bits = [&](I l, I t, I h) { return head_norm_bits(norm(l, t, h).shift); };
  set_shift(name, "_y", [&](I l, I t, I h) { return norm(l, t, h).shift; });
  set(name + ".R", [&](I l, I t, I h) { return norm(l, t, h).r; });
  set(name + ".lo_y", [&](I l, I t, I h) { return std::int64_t{std::min(19, bits(l, t, h))}; });
  set(name + ".hi_y", [&](I l, I t, I h) { return std::int64_t{std::max(0, bits(l, t, h) - 19)}; });
  set(name + ".off_y", [&](I l, I t, I h) { return power_of(bits(l, t, h) - 1); });
  for (I x = 0; x < 2; ++x) {
    set(name + ".gain" + std::to_string(x), [&](I l, I i) {
      const machine::Layer& layer = job_.model.layers[l];
      const machine::Gain& gain = is_q ? layer.q_norm : layer.k_norm;
      return std::int64_t{gain.gain[x * (shape_.head_dim / 2) + i]};
    });
  }
}

void Filler::projections() {
  rotated("q", true);
  rotated("k", false);
  set_shift("v", "", [&](I l, I t, I g) { return line(l, t).s_v[g]; });
  set("v.m", [&](I l, I g, I j) {
    return std::int64_t{job_.model.layers[l].wv.scale[g * shape_.head_dim + j]};
  });
  set("v.v", [&](I l, I t, I g, I j) { return v_at(l, g, t, j); });
}

void Filler::scores() {
  const std::uint32_t d = shape_.head_dim;
  const auto attended = [&](I t, I i, I u) {
    const std::uint32_t at = i * machine::kTile + u;
    return at <= t && at >= machine::first_attended(t, shape_.window);
  };
  set("z.mask", [&](I t, I i, I u) { return std::int64_t{attended(t, i, u)}; });
  set("z.a", [&](I l, I h, I t) { return std::int64_t{row(l, t).q[h].exponent - 4}; });
  set("z.pow_a", [&](I l, I h, I t) { return power_of(row(l, t).q[h].exponent - 4); });
  // A key's number at (T, u), 0 beyond the last position.
  const auto at_key = [&](I i, I u, const auto& f) {
    const std::uint32_t at = i * machine::kTile + u;
    return at < n_ ? f(at) : 0;
  };
  const auto k_exp = [&](I l, I h, I at) { return k_at(l, group(h), at, d) - 4; };
  set("z.b",
      [&](I l, I h, I i, I u) { return at_key(i, u, [&](I at) { return k_exp(l, h, at); }); });
  set("z.pow_b", [&](I l, I h, I i, I u) {
    return at_key(i, u, [&](I at) { return power_of(static_cast<int>(k_exp(l, h, at))); });
  });
  set("z.fv", [&](I l, I h, I i, I u) {
    return at_key(i, u, [&](I at) { return v_at(l, group(h), at, d); });
  });
  const auto octave = [&](I l, I h, I t, I i, bool x) {
    const TileScalars* s = tile(l, h, t, i);
    return s == nullptr ? 0 : std::int64_t{x ? s->x : s->m};
  };
  set("z.M", [&](I l, I h, I t, I i) { return octave(l, h, t, i, false); });
  set("z.X", [&](I l, I h, I t, I i) { return octave(l, h, t, i, true); });
  const auto weight = [&](I l, I h, I t, I i, bool x) -> std::int64_t {
    const TileScalars* s = tile(l, h, t, i);
    if (s == nullptr) return 0;
    const HeadLine& head = line(l, t).heads[h];
    const std::int64_t gap = x ? head.x - s->x : head.m - s->m;
    return gap > 23 ? 0 : power_of(static_cast<int>(23 - gap));
  };
  set("tm", [&](I l, I h, I t, I i) { return weight(l, h, t, i, false); });
  set("tx", [&](I l, I h, I t, I i) { return weight(l, h, t, i, true); });
  for (I x = 0; x < 2; ++x) {
    set("kx" + std::to_string(x), [&](I l, I h, I i, I u, I j) {
      return at_key(i, u, [&](I at) { return k_at(l, group(h), at, x * (d / 2) + j); });
    });
  }
  set("vx", [&](I l, I h, I i, I u, I j) {
    return at_key(i, u, [&](I at) { return v_at(l, group(h), at, j); });
  });
}

void Filler::attention() {
  set_shift("o", "_a", [&](I l, I t, I h) { return line(l, t).heads[h].s_a; });
  set_shift("o", "_o", [&](I l, I t, I h) { return line(l, t).heads[h].s_o; });
  set("o.R", [&](I l, I t, I h) { return line(l, t).heads[h].r; });
  set("o.cls", [&](I l) { return std::int64_t{job_.model.layers[l].bounds.o == 127}; });
}

void Filler::residuals() {
  const std::vector<std::int32_t> embedded = embed_rows(job_);
  const auto layer = [&](I l) -> const machine::Layer& { return job_.model.layers[l]; };
  const auto at = [&](I t, I j) { return std::size_t{t} * shape_.hidden + j; };
  set("x.xin", [&](I l, I t, I j) {
    return std::int64_t{l == 0 ? embedded[at(t, j)] : rows_.x[l - 1][at(t, j)]};
  });
  set("x.xout", [&](I l, I t, I j) { return std::int64_t{rows_.x[l][at(t, j)]}; });
  set("x.m_o", [&](I l, I j) { return std::int64_t{layer(l).wo.scale[j]}; });
  set("x.m_d", [&](I l, I j) { return std::int64_t{layer(l).w_down.scale[j]}; });
  set("x.b", [&](I l, I j) { return std::int64_t{layer(l).wo.bias[j]}; });
  set("x.gain", [&](I l, I j) { return std::int64_t{layer(l).mlp_norm.gain[j]}; });
  set("x.cls", [&](I l) { return std::int64_t{layer(l).bounds.mlp == 127}; });
  set("x.R", [&](I l, I t) { return line(l, t).r_norm; });
  set("x.s_n", [&](I l, I t) { return std::int64_t{line(l, t).s_n}; });
  set("x.pow_n", [&](I l, I t) { return power_of(line(l, t).s_n); });
  set_shift("x", "_w", [&](I l, I t) { return line(l, t).s_w; });
  set_shift("x", "_m", [&](I l, I t) { return line(l, t).s_m; });
  set_shift("x", "_d", [&](I l, I t) { return line(l, t).s_d; });
  for (const bool down : {false, true}) {
    const std::string suffix = down ? "_d" : "_w";
    const auto bits = [&](I l, I t) {
      return std::min(34, 63 - (down ? line(l, t).s_d : line(l, t).s_w));
    };
    set("x.lo" + suffix, [&](I l, I t) { return std::int64_t{std::min(19, bits(l, t))}; });
    set("x.hi" + suffix, [&](I l, I t) { return std::int64_t{std::max(0, bits(l, t) - 19)}; });
    set("x.off" + suffix, [&](I l, I t) { return power_of(bits(l, t) - 1); });
  }
}

void Filler::feed_forward() {
  const auto layer = [&](I l) -> const machine::Layer& { return job_.model.layers[l]; };
  set("f.m_g", [&](I l, I j) { return std::int64_t{layer(l).w_gate.scale[j]}; });
  set("f.m_u", [&](I l, I j) { return std::int64_t{layer(l).w_up.scale[j]}; });
  set("f.cls", [&](I l) { return std::int64_t{layer(l).bounds.down == 127}; });
  set("f.fg", [&](I l, I t) { return std::int64_t{row(l, t).g.exponent}; });
  set_shift("f", "_g", [&](I l, I t) { return line(l, t).s_g; });
  set_shift("f", "_h", [&](I l, I t) { return line(l, t).s_h; });
}

void Filler::choices() {
  const auto token = [&](I o) { return job_.output[o]; };
  set_shift("s", "", [&](I o) { return lines_.outputs[o].s_l; });
  const auto bits = [&](I o) { return std::min(32, 63 - lines_.outputs[o].s_l); };
  set("s.off", [&](I o) { return power_of(bits(o) - 1); });
  set("s.hi", [&](I o) { return std::int64_t{bits(o) - 19}; });
  set("s.m", [&](I v) { return std::int64_t{job_.model.head.scale[v]}; });
  set("s.lmax", [&](I o) { return scalars_.outputs[o].l_max; });
  std::vector<Penalty> penalties;
  auto penalty = penalties.cbegin();
  set("s.pen", [&](I o, I v) {
    if (v == 0) penalties = penalties_at(job_, o), penalty = penalties.cbegin();
    return penalty != penalties.cend() && penalty->id == v ? (penalty++)->value : 0;
  });
  set("s.lt", [&](I o, I v) { return std::int64_t{v < token(o)}; });
  set("s.theta", [&](I) { return lines_.theta; });
  std::array<std::uint32_t, 8> words{};
  set("s.thr", [&](I o, I v) {
    const auto t = static_cast<std::uint32_t>(job_.prompt.size() - 1 + o);
    if (v % 8 == 0) words = job_.noise(job_.sampling.seed, t + 1, v / 8);
    const machine::NoiseIndex at = machine::noise_index(words[v % 8]);
    const std::int64_t noise =
        machine::gumbel_table()[at.row * 4096 + at.column] + std::int64_t{at.extra};
    return noise - lines_.outputs[o].best + (v < token(o) ? 1 : 0);
  });
}

void Filler::contractions() {
  set("a", [&](I l, I t, I j) { return line(l, t).a.values[j]; });
  set("fin", [&](I o, I j) { return lines_.outputs[o].final_row.values[j]; });
  set("hsum", [&](I l, I t, I h) { return static_cast<std::int64_t>(row(l, t).heads[h].sum); });
  set("ssq", [&](I l, I t) { return static_cast<std::int64_t>(row(l, t).norm_sumsq); });
  set("qsq", [&](I l, I t, I h) { return static_cast<std::int64_t>(row(l, t).q_sumsq[h]); });
  set("ksq", [&](I l, I t, I g) { return static_cast<std::int64_t>(row(l, t).k_sumsq[g]); });
}

// The cells of PS-3 and PS-4, in their order.
class CellClaimer {
 public:
  CellClaimer(const Job& job, const TraceRows& rows, const Scalars& scalars, const Lines& lines,
              PublicRows& out)
      : job_(job),
        shape_(job.model.shape),
        rows_(rows),
        scalars_(scalars),
        lines_(lines),
        out_(out) {
    for (std::uint32_t i = 0; i < out.circuit.committed.size(); ++i) {
      index_[out.circuit.columns[out.circuit.committed[i]].name] = i;
    }
  }
  void claim_all();

 private:
  // `at`: the indices of the column's dimensions, the lowest first.
  void claim(const std::string& name, std::initializer_list<std::uint32_t> at, std::int64_t value) {
    const std::uint32_t index = index_.at(name);
    const std::vector<std::uint32_t> box = out_.circuit.box_of(out_.circuit.committed[index]);
    std::uint64_t cell = 0;
    for (std::size_t d = box.size(); d-- > 0;) cell = cell * box[d] + at.begin()[d];
    out_.cells.push_back({index, cell, ext(value)});
  }
  // The limbs of the remainder of value by 2^s, and the element itself where it has a column.
  void claim_named(const std::string& row, const std::string& limbs, int count,
                   std::initializer_list<std::uint32_t> at, std::int64_t value, int s) {
    const std::int64_t element = machine::rsh(value, s);
    if (!row.empty()) claim(row, at, element);
    const auto rest = static_cast<std::uint64_t>(static_cast<__int128>(value) + half_of(s) -
                                                 (static_cast<__int128>(element) << s));
    for (int n = 0; n < count; ++n) {
      claim(limbs + "." + std::to_string(n), at,
            static_cast<std::int64_t>(rest >> (kLimbBits * n) & ((1 << kLimbBits) - 1)));
    }
  }
  static bool active(const Record& r) { return r.named != 0 || r.value != 0; }
  void claim_row(std::uint32_t l, std::uint32_t t);
  void claim_tiles(std::uint32_t l, std::uint32_t t, std::uint32_t h);

  const Job& job_;
  const machine::Shape& shape_;
  const TraceRows& rows_;
  const Scalars& scalars_;
  const Lines& lines_;
  PublicRows& out_;
  std::map<std::string, std::uint32_t> index_;
};

void CellClaimer::claim_tiles(std::uint32_t l, std::uint32_t t, std::uint32_t h) {
  const machine::TileRange range = machine::tiles_of(t, shape_.window);
  const auto& v = rows_.v[l * shape_.kv_heads + shape_.kv_head_of(h)];
  for (std::uint32_t i = 0; i < range.count; ++i) {
    const TileScalars& s = scalars_.rows[l][t].tiles[h][i];
    const std::uint32_t tile = range.first + i;
    const std::size_t at = std::size_t{tile} * machine::kTile + s.xu;
    const std::int64_t f_v = v[at * (shape_.head_dim + 1) + shape_.head_dim];
    claim("z.z", {s.mu, tile, t, h, l}, 256 * std::int64_t{s.m} + s.mr);
    claim("z.z", {s.xu, tile, t, h, l}, 256 * (std::int64_t{s.x} + f_v) + s.xr);
  }
}

void CellClaimer::claim_row(std::uint32_t l, std::uint32_t t) {
  const RowScalars& s = scalars_.rows[l][t];
  const RowLine& line = lines_.rows[l][t];
  const CircuitOptions& n = out_.options;
  const std::uint32_t half = shape_.head_dim / 2;
  const auto rotated = [&](const std::string& name, const Record& r, std::uint32_t h, int shift,
                           int count, bool row) {
    if (!active(r)) return;
    const std::string x = r.named < half ? "0" : "1";
    claim_named(row ? name + ".q" + x : "", name + ".c" + x, count, {r.named % half, h, t, l},
                r.value, shift);
  };
  for (std::uint32_t h = 0; h < shape_.heads; ++h) {
    rotated("q", s.q[h], h, line.heads[h].s_r, n.q_c, true);
  }
  for (std::uint32_t g = 0; g < shape_.kv_heads; ++g) {
    rotated("k", s.k[g], g, line.s_rk[g], n.k_c, false);
  }
  for (std::uint32_t g = 0; g < shape_.kv_heads; ++g) {
    const Record& r = s.v[g];
    if (active(r)) claim_named("", "v.r", n.v_r, {r.named, g, t, l}, r.value, line.s_v[g]);
  }
  for (std::uint32_t h = 0; h < shape_.heads; ++h) {
    claim_tiles(l, t, h);
    const Record& r = s.heads[h].shift;
    if (active(r)) {
      claim_named("o.y", "o.r", n.o_r, {r.named, h, t, l}, r.value, line.heads[h].s_a);
    }
  }
  if (active(s.o)) {
    const std::uint32_t h = s.o.named / shape_.head_dim;
    claim_named("o.o", "o.c", n.o_c, {s.o.named % shape_.head_dim, h, t, l}, s.o.value,
                line.heads[h].s_o);
  }
  if (active(s.norm_shift)) {
    const std::int64_t x = s.norm_shift.value;
    claim("x.x", {s.norm_shift.named, t, l}, x >> line.s_n);
    claim("x.xr", {s.norm_shift.named, t, l}, x & (power_of(line.s_n) - 1));
  }
  if (active(s.m)) claim_named("x.m", "x.c", n.x_c, {s.m.named, t, l}, s.m.value, line.s_m);
  if (active(s.g)) claim_named("f.g", "f.r", n.f_r, {s.g.named, t, l}, s.g.value, line.s_g);
  if (active(s.h)) claim_named("f.h", "f.c", n.f_c, {s.h.named, t, l}, s.h.value, line.s_h);
}

void CellClaimer::claim_all() {
  for (std::uint32_t l = 0; l < shape_.layers; ++l) {
    for (std::uint32_t t = 0; t < job_.positions(); ++t) claim_row(l, t);
  }
  for (std::uint32_t o = 0; o < job_.output.size(); ++o) {
    const OutputScalars& s = scalars_.outputs[o];
    claim("s.y", {s.named, o}, s.named_logit);
    claim("s.y", {job_.output[o], o}, s.token_logit);
  }
}

}  // namespace

Status check_provable(const machine::Sampling& sampling) {
  if (!sampling.greedy() && (sampling.top_k != 0 || sampling.top_p != 65536)) {
    return fail(ErrorKind::kUsage,
                "answers sampled with top_k or top_p cannot be proven yet (SPEC PT-2): ask with "
                "temperature and min_p alone");
  }
  return {};
}

Result<PublicRows> compute_rows(const Job& job, const TraceRows& rows, const Scalars& scalars,
                                std::optional<std::uint64_t> argument_bytes) {
  OTR_TRY(check_provable(job.sampling));
  OTR_TRY_ASSIGN(const Lines lines, derive_lines(job, rows, scalars));
  PublicRows out;
  out.options = options_of(job, lines, scalars.gap);
  out.circuit =
      build_circuit(job.model.shape, static_cast<std::uint32_t>(job.prompt.size()),
                    static_cast<std::uint32_t>(job.output.size()), job.sampling.inv_t, out.options);
  OTR_TRY(check_size(out.circuit, argument_bytes));
  out.columns.resize(out.circuit.columns.size());
  Filler(job, rows, scalars, lines, out).fill();
  for (ColumnId id = 0; id < out.columns.size(); ++id) {
    const Column& column = out.circuit.columns[id];
    OTR_CHECK(column.kind != ColumnKind::kPublic ||
              out.columns[id].size() == out.circuit.cells(column.dims));
  }
  CellClaimer(job, rows, scalars, lines, out).claim_all();
  return out;
}

}  // namespace otr::zk
