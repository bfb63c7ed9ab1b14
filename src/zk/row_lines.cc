#include "zk/row_lines.h"

#include <algorithm>

#include "zk/mle.h"

namespace otr::zk {
namespace {

using machine::rsh;

constexpr std::int64_t kNormLimit = std::int64_t{1} << 23;  // x' of OP-4 in [-2^23, 2^23 - 1]
constexpr std::int64_t kHeadLimit = std::int64_t{1} << 18;  // of OP-12

constexpr int kHeadNormShiftMax = 57;  // three limbs (SPEC PS-5, PS-6)

constexpr bool in_signed(std::int64_t v, std::int64_t limit) { return v >= -limit && v < limit; }
constexpr bool in_row(std::int64_t v, std::int64_t bound) { return v >= -bound && v <= bound; }

// Where a scalar stands, for a person.
struct Place {
  std::uint32_t layer, t;

  std::unexpected<Error> refuse(const std::string& what) const {
    return reject_proof("layer " + std::to_string(layer) + ", position " + std::to_string(t) +
                        ": " + what);
  }
};

// Greatest shift of a row: beyond it the row's value times 2^s would wrap modulo p (SPEC PS-5).
int shift_limit(std::int64_t bound) { return bound > 127 ? 48 : 56; }

struct Row {
  int base;  // least exponent of the values
  int cap;
  std::int64_t bound;
  int shift_max;
  std::uint32_t size;
};

// SPEC PS-3. `named_base` is the exponent of the named value. Returns the shift of the base.
Result<int> check_record(const Place& place, const std::string& what, const Record& record,
                         const Row& row, int named_base) {
  const int greatest = std::min(row.cap, row.base);
  if (record.exponent > greatest) return place.refuse("the exponent of " + what + " is too great");
  if (row.base - record.exponent > row.shift_max) {
    return place.refuse("the exponent of " + what + " is too small");
  }
  if (record.exponent == greatest) {
    if (record.named != 0 || record.value != 0) {
      return place.refuse("the record of " + what + " names a value and needs none");
    }
    return row.base - record.exponent;
  }
  const int sh = named_base - record.exponent;
  if (record.named >= row.size || sh < 1 || sh > row.shift_max ||
      !in_row(rsh(record.value, sh), row.bound) || in_row(rsh(record.value, sh - 1), row.bound)) {
    return place.refuse("the value named for " + what + " does not demand its exponent");
  }
  return row.base - record.exponent;
}

class LineMaker {
 public:
  LineMaker(const Job& job, const TraceRows& rows, const Scalars& scalars)
      : job_(job), shape_(job.model.shape), rows_(rows), scalars_(scalars) {}

  Result<RowLine> make(std::uint32_t l, std::uint32_t t, std::span<const std::int32_t> x_in) const;

 private:
  Status project(const Place& place, RowLine& line) const;
  Result<std::vector<HeadNormLine>> norms(const Place& place, const machine::Gain& gain,
                                          std::span<const std::uint64_t> sums) const;
  Status tiles(const Place& place, std::uint32_t h, HeadLine& head) const;
  Status head(const Place& place, std::uint32_t h, HeadLine& head) const;
  Status attend(const Place& place, RowLine& line) const;
  Status feed(const Place& place, RowLine& line) const;

  const machine::Layer& layer(const Place& p) const { return job_.model.layers[p.layer]; }
  const RowScalars& scalars(const Place& p) const { return scalars_.rows[p.layer][p.t]; }
  int v_exponent(std::uint32_t l, std::uint32_t h, std::uint32_t t) const {
    const auto& rows = rows_.v[l * shape_.kv_heads + shape_.kv_head_of(h)];
    return rows[std::size_t{t} * (shape_.head_dim + 1) + shape_.head_dim];
  }

  const Job& job_;
  const machine::Shape& shape_;
  const TraceRows& rows_;
  const Scalars& scalars_;
};

Status LineMaker::project(const Place& place, RowLine& line) const {
  const machine::Layer& w = layer(place);
  const RowScalars& s = scalars(place);
  const std::uint32_t d = shape_.head_dim;
  line.s_q = w.wq.exponent + line.a.exponent - shape_.qk_frac_bits;
  line.s_k = w.wk.exponent + line.a.exponent - shape_.qk_frac_bits;
  if (std::min(line.s_q, line.s_k) < 0 || std::max(line.s_q, line.s_k) > 38) {
    return place.refuse("the shift of q or k is outside 0 … 38");
  }
  OTR_TRY_ASSIGN(line.q_norms, norms(place, w.q_norm, s.q_sumsq));
  OTR_TRY_ASSIGN(line.k_norms, norms(place, w.k_norm, s.k_sumsq));
  const int base = shape_.qk_frac_bits + 15;
  const auto rotated = [&](const char* name, const Record& record, std::int64_t bound) {
    return check_record(place, name, record, {base, shape_.qk_frac_bits, bound, 25, d}, base);
  };
  for (std::uint32_t h = 0; h < shape_.heads; ++h) {
    OTR_TRY_ASSIGN(line.heads[h].s_r, rotated("q", s.q[h], machine::q_bound(d)));
    if (s.q[h].exponent < 4) return place.refuse("an exponent of q is below 4");
  }
  const int v_base = w.wv.exponent + line.a.exponent;
  line.s_rk.resize(shape_.kv_heads);
  line.s_v.resize(shape_.kv_heads);
  for (std::uint32_t g = 0; g < shape_.kv_heads; ++g) {
    const std::size_t at = std::size_t{place.t} * (d + 1);
    const std::int16_t* k = rows_.k[place.layer * shape_.kv_heads + g].data() + at;
    const std::int8_t* v = rows_.v[place.layer * shape_.kv_heads + g].data() + at;
    if (s.k[g].exponent != k[d] || s.v[g].exponent != v[d]) {
      return place.refuse("the record of k or v differs from the trace");
    }
    if (k[d] < 4 || v[d] < -30) return place.refuse("an exponent of k or v is out of range");
    if (!std::ranges::all_of(k, k + d, [](int x) { return in_row(x, machine::kKBound); }) ||
        !std::ranges::all_of(v, v + d, [](int x) { return in_row(x, machine::kVBound); })) {
      return place.refuse("a value of k or v is out of range");
    }
    OTR_TRY_ASSIGN(line.s_rk[g], rotated("k", s.k[g], machine::kKBound));
    OTR_TRY_ASSIGN(line.s_v[g],
                   check_record(place, "v", s.v[g],
                                {v_base, machine::kRowCap, machine::kVBound, 55, d}, v_base));
    const auto names_row = [](const Record& r, int sh, std::int64_t element) {
      return (r.named == 0 && r.value == 0) || rsh(r.value, sh) == element;
    };
    if (!names_row(s.k[g], line.s_rk[g], k[s.k[g].named]) ||
        !names_row(s.v[g], line.s_v[g], v[s.v[g].named])) {
      return place.refuse("a value named for k or v is not the trace's");
    }
  }
  return {};
}

// OP-5 of all heads of q or of k.
Result<std::vector<HeadNormLine>> LineMaker::norms(const Place& place, const machine::Gain& gain,
                                                   std::span<const std::uint64_t> sums) const {
  std::vector<HeadNormLine> lines;
  for (const std::uint64_t sum : sums) {
    if (sum > std::uint64_t{shape_.head_dim} << 46) {
      return place.refuse("the sum of squares of a head of q or k is too great");
    }
    const std::int64_t n = static_cast<std::int64_t>(sum) + shape_.eps_qk;
    const machine::ReciprocalRoot root = machine::reciprocal_root(std::max<std::int64_t>(1, n));
    const int shift = gain.exponent + 46 - root.k - shape_.qk_frac_bits;
    if (shift > kHeadNormShiftMax) return place.refuse("the shift of a head norm exceeds 57");
    lines.push_back({shift, root.r});
  }
  return lines;
}

// OP-11's maxima.
Status LineMaker::tiles(const Place& place, std::uint32_t h, HeadLine& head) const {
  const machine::TileRange range = machine::tiles_of(place.t, shape_.window);
  const std::uint32_t lo = machine::first_attended(place.t, shape_.window);
  head.m = head.x = INT64_MIN;
  for (std::uint32_t i = 0; i < range.count; ++i) {
    const TileScalars& tile = scalars(place).tiles[h][i];
    const std::uint32_t first = (range.first + i) * machine::kTile;
    const auto attended = [&](std::uint32_t u) {
      return u < machine::kTile && first + u >= lo && first + u <= place.t;
    };
    if (!attended(tile.mu) || !attended(tile.xu)) {
      return place.refuse("a tile names a position that is not attended");
    }
    const std::int64_t limit = std::int64_t{1} << 23;
    if (!in_row(tile.m, limit) || !in_row(tile.x, limit + 30) ||
        !in_row(tile.x + v_exponent(place.layer, h, first + tile.xu), limit)) {
      return place.refuse("an octave of a tile is out of range");
    }
    head.m = std::max<std::int64_t>(head.m, tile.m);
    head.x = std::max<std::int64_t>(head.x, tile.x);
  }
  return {};
}

// OP-12.
Status LineMaker::head(const Place& place, std::uint32_t h, HeadLine& head) const {
  OTR_TRY(tiles(place, h, head));
  const HeadScalars& s = scalars(place).heads[h];
  if (s.sum < std::uint64_t{1} << 37 || s.sum > std::uint64_t{1} << 55) {
    return place.refuse("the sum of a head is out of range");
  }
  const int b = machine::bitlen(s.sum) - 31;
  head.r = (std::int64_t{1} << 46) / static_cast<std::int64_t>(s.sum >> b);
  head.s_a = s.shift.exponent;
  const auto fits = [&](int sh) { return in_signed(rsh(s.shift.value, sh), kHeadLimit); };
  if (head.s_a < 0 || head.s_a > 44 || s.shift.named >= shape_.head_dim ||
      (head.s_a == 0 ? s.shift.named != 0 || s.shift.value != 0
                     : !fits(head.s_a) || fits(head.s_a - 1))) {
    return place.refuse("the shift of a head's A is not the least");
  }
  head.exponent = 46 - head.s_a + b + static_cast<int>(head.m - head.x);
  return {};
}

Status LineMaker::attend(const Place& place, RowLine& line) const {
  for (std::uint32_t h = 0; h < shape_.heads; ++h) OTR_TRY(head(place, h, line.heads[h]));
  const Record& o = scalars(place).o;
  int base = INT32_MAX;
  for (const HeadLine& head : line.heads) base = std::min(base, head.exponent);
  if (o.named >= shape_.q_width()) return place.refuse("the record of o names no element");
  // |value| <= 2^34 by OP-12, so no shift above 36 is needed: from there on the row is 0.
  if (!in_row(o.value, std::int64_t{1} << 34)) return place.refuse("the value of o is too great");
  const Row row{base, machine::kRowCap, layer(place).bounds.o, 127, shape_.q_width()};
  const int named_base = line.heads[o.named / shape_.head_dim].exponent;
  OTR_TRY(check_record(place, "o", o, row, named_base));
  if (o.value != 0 && named_base - o.exponent > 36) {
    return place.refuse("the head named for o is rounded to 0");
  }
  if (o.exponent < -64) return place.refuse("the exponent of o is out of range");
  for (HeadLine& head : line.heads) head.s_o = std::min(36, head.exponent - o.exponent);
  line.s_w = layer(place).wo.exponent + o.exponent - shape_.residual_frac_bits;
  if (line.s_w < 0 || line.s_w > 55) return place.refuse("the shift of w_o is outside 0 … 55");
  return {};
}

Status LineMaker::feed(const Place& place, RowLine& line) const {
  const machine::Layer& w = layer(place);
  const RowScalars& s = scalars(place);
  const Record& shift = s.norm_shift;
  line.s_n = shift.exponent;
  const auto fits = [&](int sh) { return in_signed(shift.value >> sh, kNormLimit); };
  if (line.s_n < 0 || line.s_n > 8 || shift.named >= shape_.hidden ||
      (line.s_n == 0 ? shift.named != 0 || shift.value != 0
                     : !fits(line.s_n) || fits(line.s_n - 1))) {
    return place.refuse("the shift of the norm is not the least");
  }
  if (s.norm_sumsq > std::uint64_t{shape_.hidden} << 46)
    return place.refuse("the sum of squares is too great");
  const std::int64_t n = static_cast<std::int64_t>(s.norm_sumsq) + rsh(shape_.eps, 2 * line.s_n);
  const machine::ReciprocalRoot root = machine::reciprocal_root(std::max<std::int64_t>(1, n));
  line.r_norm = root.r;
  const auto record = [&](const char* name, const Record& r, int base, int cap, std::int64_t bound,
                          std::uint32_t size) {
    return check_record(place, name, r, {base, cap, bound, shift_limit(bound), size}, base);
  };
  OTR_TRY_ASSIGN(line.s_m, record("the norm", s.m, w.mlp_norm.exponent + 46 - root.k,
                                  machine::kNormCap, w.bounds.mlp, shape_.hidden));
  const int f = s.m.exponent;
  OTR_TRY_ASSIGN(line.s_g, record("the gate", s.g, w.w_gate.exponent + f, machine::kGateCap,
                                  machine::kGateBound, shape_.ffn));
  if (s.g.exponent < 0) return place.refuse("the exponent of the gate is below 0");
  OTR_TRY_ASSIGN(line.s_h, record("the feed-forward row", s.h, s.g.exponent + w.w_up.exponent + f,
                                  machine::kRowCap, w.bounds.down, shape_.ffn));
  if (f < -64 || s.h.exponent < -64) return place.refuse("an exponent is below -64");
  line.s_d = w.w_down.exponent + s.h.exponent - shape_.residual_frac_bits;
  if (line.s_d < 0 || line.s_d > 55) return place.refuse("the shift of w_down is outside 0 … 55");
  return {};
}

Result<RowLine> LineMaker::make(std::uint32_t l, std::uint32_t t,
                                std::span<const std::int32_t> x_in) const {
  const Place place{l, t};
  RowLine line;
  line.heads.resize(shape_.heads);
  line.a = norm_row(x_in, layer(place).attn_norm, shape_.eps, layer(place).bounds.attn);
  OTR_TRY(project(place, line));
  OTR_TRY(attend(place, line));
  OTR_TRY(feed(place, line));
  return line;
}

int limbs_for(int shift) { return std::max(1, (shift + kLimbBits - 1) / kLimbBits); }

}  // namespace

CircuitOptions options_of(const Job& job, const Lines& lines, int gap) {
  int q = 0, qr = 0, qn = 0, k = 0, kr = 0, kn = 0, v = 0, a = 0, o = 0, w = 0, m = 0, d = 0, g = 0,
      h = 0, l = 0;
  const auto raise = [](int& to, int s) { to = std::max(to, s); };
  for (const auto& layer : lines.rows) {
    for (const RowLine& line : layer) {
      raise(q, line.s_q), raise(k, line.s_k), raise(w, line.s_w), raise(m, line.s_m);
      raise(d, line.s_d), raise(g, line.s_g), raise(h, line.s_h);
      for (const int s : line.s_rk) raise(kr, s);
      for (const int s : line.s_v) raise(v, s);
      for (const HeadNormLine& norm : line.q_norms) raise(qn, norm.shift);
      for (const HeadNormLine& norm : line.k_norms) raise(kn, norm.shift);
      for (const HeadLine& head : line.heads) {
        raise(qr, head.s_r), raise(a, head.s_a), raise(o, head.s_o);
      }
    }
  }
  for (const OutputLine& line : lines.outputs) raise(l, line.s_l);
  const machine::Sampling& s = job.sampling;
  CircuitOptions options{.q_r = limbs_for(q),
                         .q_c = limbs_for(qr),
                         .k_r = limbs_for(k),
                         .k_c = limbs_for(kr),
                         .v_r = limbs_for(v),
                         .q_g = limbs_for(qn),
                         .k_g = limbs_for(kn),
                         .gap = gap,
                         .o_r = limbs_for(a),
                         .o_c = limbs_for(o),
                         .x_r = limbs_for(w),
                         .x_c = limbs_for(m),
                         .x_e = limbs_for(d),
                         .x_yh = w > 30,
                         .x_zh = d > 30,
                         .f_r = limbs_for(g),
                         .f_c = limbs_for(h),
                         .s_r = limbs_for(l)};
  options.sampled = !s.greedy();
  options.e3 = options.sampled && machine::bitlen(s.inv_t) > 22;
  options.kept = options.sampled && s.min_p != 0;
  options.qk_bias = !job.model.layers[0].wq.bias.empty();
  options.o_bias = !job.model.layers[0].wo.bias.empty();
  options.penalties = s.presence != 0 || s.frequency != 0 || !s.logit_bias.empty();
  return options;
}

std::vector<std::int32_t> embed_rows(const Job& job) {
  const machine::Matrix& embed = job.model.embed;
  const int shift = embed.exponent - job.model.shape.residual_frac_bits;
  std::vector<std::int32_t> rows;
  rows.reserve(std::size_t{job.positions()} * embed.cols);
  for (std::uint32_t t = 0; t < job.positions(); ++t) {
    const std::uint32_t id = job.token(t);
    for (const std::int8_t w : embed.row(id)) {
      rows.push_back(static_cast<std::int32_t>(rsh(std::int64_t{w} * embed.scale[id], shift)));
    }
  }
  return rows;
}

NormRow norm_row(std::span<const std::int32_t> x, const machine::Gain& gain, std::int64_t eps,
                 std::int64_t bound) {
  const auto [lo, hi] = std::ranges::minmax(x);
  int s = 0;
  while (!in_signed(lo >> s, kNormLimit) || !in_signed(hi >> s, kNormLimit)) ++s;
  std::int64_t sum = 0;
  for (const std::int64_t v : x) sum += (v >> s) * (v >> s);
  const machine::ReciprocalRoot root =
      machine::reciprocal_root(std::max<std::int64_t>(1, sum + rsh(eps, 2 * s)));
  NormRow row;
  row.values.resize(x.size());
  machine::Extremes extremes;
  for (std::size_t j = 0; j < x.size(); ++j) {
    row.values[j] = std::int64_t{x[j] >> s} * gain.gain[j] * root.r;
    extremes.add(row.values[j]);
  }
  const int base = gain.exponent + 46 - root.k;
  row.exponent = machine::row_exponent(extremes, base, bound, machine::kNormCap);
  for (std::int64_t& v : row.values) v = rsh(v, base - row.exponent);
  return row;
}

Result<Lines> derive_lines(const Job& job, const TraceRows& rows, const Scalars& scalars) {
  const machine::Shape& shape = job.model.shape;
  const std::vector<std::int32_t> embedded = embed_rows(job);
  const LineMaker maker(job, rows, scalars);
  Lines lines;
  lines.rows.resize(shape.layers);
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    const std::vector<std::int32_t>& x_in = l == 0 ? embedded : rows.x[l - 1];
    for (std::uint32_t t = 0; t < job.positions(); ++t) {
      OTR_TRY_ASSIGN(
          RowLine line,
          maker.make(l, t, std::span(x_in).subspan(std::size_t{t} * shape.hidden, shape.hidden)));
      lines.rows[l].push_back(std::move(line));
    }
  }
  OTR_TRY(derive_outputs(job, rows, scalars, lines));
  return lines;
}

}  // namespace otr::zk
