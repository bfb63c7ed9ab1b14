#include "zk/circuit.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "zk/expression.h"

namespace otr::zk {
namespace {

using enum Dim;
using machine::MatrixId;

constexpr std::int64_t kBase = 1 << 19;  // of a limb

// Adds the columns, lookups and constraints of SPEC PT-2 in their order.
class Builder {
 public:
  Builder(Circuit& circuit, const CircuitOptions& options, bool qk_norm)
      : c_(circuit), options_(options), qk_norm_(qk_norm) {}

  struct RotatedLimbs {
    int r, c, g;
  };
  void rotated_rows(const std::string& name, Dim head, RotatedLimbs count, bool committed);
  void value_rows();
  void scores();
  void attention_rows();
  void residuals();
  void feed_forward();
  void choices(std::uint32_t inv_t);
  void contractions();
  void tables();

 private:
  ColumnId add(const std::string& name, ColumnKind kind, Dims dims) {
    c_.columns.push_back({name, kind, std::move(dims)});
    return static_cast<ColumnId>(c_.columns.size() - 1);
  }
  void open(const std::string& name, Dims dims, int degree) {
    Domain domain;
    domain.name = name;
    domain.dims = std::move(dims);
    domain.degree = degree;
    c_.domains.push_back(std::move(domain));
  }
  Domain& domain() { return c_.domains.back(); }
  std::string full(const std::string& name) { return domain().name + "." + name; }

  // Columns of the open domain: committed and virtual ones have its dimensions.
  Poly committed(const std::string& name) {
    const ColumnId id = add(full(name), ColumnKind::kCommitted, domain().dims);
    domain().committed.push_back(id);
    c_.committed.push_back(id);
    return column(id);
  }
  std::vector<Poly> limbs(const std::string& name, int count) {
    std::vector<Poly> list;
    for (int n = 0; n < count; ++n) list.push_back(committed(name + "." + std::to_string(n)));
    return list;
  }
  Poly defined(const std::string& name) {
    const ColumnId id = add(full(name), ColumnKind::kVirtual, domain().dims);
    domain().virtuals.push_back(id);
    return column(id);
  }
  Poly given(const std::string& name, Dims dims) {
    return column(add(full(name), ColumnKind::kPublic, std::move(dims)));
  }
  // 2^s, half(s) and the limbs' widths of a shift that has these dimensions.
  struct Shift {
    Poly power, half;
    std::vector<Poly> widths;
  };
  Shift shift(const std::string& suffix, const Dims& dims, int count) {
    Shift s{given("pow" + suffix, dims), given("half" + suffix, dims), {}};
    for (int n = 0; n < count; ++n) {
      s.widths.push_back(given("wid" + suffix + "." + std::to_string(n), dims));
    }
    return s;
  }

  void look(const std::string& name, TableTag table, std::vector<Poly> tuple) {
    Lookup lookup{table, {}, full(name)};
    for (Poly& p : tuple) lookup.tuple.push_back(std::move(p.terms));
    domain().lookups.push_back(std::move(lookup));
  }
  void width(const std::string& name, Poly bits, Poly value) {
    look(name, TableTag::kW, {std::move(bits), std::move(value)});
  }
  void remainder(const std::string& name, const Shift& s, const std::vector<Poly>& list) {
    for (std::size_t n = 0; n < list.size(); ++n) {
      width(name + "." + std::to_string(n), s.widths[n], list[n]);
    }
  }
  void zero(const std::string& name, Poly value) {
    domain().zeros.push_back({std::move(value.terms), full(name)});
  }
  // scaled + half(s) - value·2^s - Σ limbs: value = rsh(scaled, s) where the limbs are in range.
  void rounds(const std::string& name, Poly scaled, const Shift& s, const Poly& value,
              const std::vector<Poly>& list) {
    Poly sum = std::move(scaled) + s.half - value * s.power;
    std::int64_t scale = 1;
    for (const Poly& limb : list) {
      sum = std::move(sum) - number(scale) * limb;
      scale *= kBase;
    }
    zero(name, std::move(sum));
  }
  // value + offset is a number of low + high bits, `top` its second limb.
  void signed_range(const std::string& name, const Poly& value, const Poly& offset, Poly low,
                    Poly high, const Poly& top) {
    width(name + ".lo", std::move(low), value + offset - number(kBase) * top);
    width(name + ".hi", std::move(high), top);
  }

  void head_norm(Dim head, const std::array<Poly, 2>& y, const std::array<Poly, 2>& n, int count);
  void contract(const std::string& output, std::vector<std::vector<std::string>> terms, Dims sum,
                bool scalars = false);
  void weights(const std::string& name, Dims dims, MatrixId matrix, int half = 0) {
    const ColumnId id = add(name, ColumnKind::kWeights, std::move(dims));
    c_.columns[id].matrix = matrix;
    c_.columns[id].half = half;
  }

  Circuit& c_;
  const CircuitOptions& options_;
  const bool qk_norm_;
};

// Domains q and k. The rows of k are in clear.
void Builder::rotated_rows(const std::string& name, Dim head, RotatedLimbs count,
                           bool rows_committed) {
  open(name, {kI, head, kT, kL}, qk_norm_ ? 4 : 3);
  const std::array<Poly, 2> y = {committed("y0"), committed("y1")};
  const std::array<Poly, 2> high = {committed("yh0"), committed("yh1")};
  const std::array<std::vector<Poly>, 2> r = {limbs("r0", count.r), limbs("r1", count.r)};
  std::array<Poly, 2> row;
  if (rows_committed) row = {committed("q0"), committed("q1")};
  const std::array<std::vector<Poly>, 2> c = {limbs("c0", count.c), limbs("c1", count.c)};
  if (!rows_committed) {
    row = {given("k0", {kI, head, kT, kL}), given("k1", {kI, head, kT, kL})};
  }
  const std::array<Poly, 2> acc = {defined("acc0"), defined("acc1")};
  const Shift s = shift("", {kT, kL}, count.r);
  const Shift sr = shift("_r", {head, kT, kL}, count.c);
  const Poly cosine = given("cos", {kI, kT});
  const Poly sine = given("sin", {kI, kT});
  for (int x = 0; x < 2; ++x) {
    const std::string half = std::to_string(x);
    signed_range("y" + half, y[x], number(1 << 23), number(19), number(5), high[x]);
    remainder("r" + half, s, r[x]);
    if (rows_committed) look("q" + half, TableTag::kQBound, {row[x]});
    remainder("c" + half, sr, c[x]);
    Poly unbiased = y[x];
    if (options_.qk_bias) unbiased = std::move(unbiased) - given("b" + half, {kI, head, kL});
    rounds("y" + half, acc[x] * given("m" + half, {kI, head, kL}), s, unbiased, r[x]);
  }
  std::array<Poly, 2> n = y;
  if (qk_norm_) n = {committed("n0"), committed("n1")};
  rounds("row0", n[0] * cosine - n[1] * sine, sr, row[0], c[0]);
  rounds("row1", n[1] * cosine + n[0] * sine, sr, row[1], c[1]);
  if (qk_norm_) head_norm(head, y, n, count.g);
}

// OP-5 of q or k: n = y'.
void Builder::head_norm(Dim head, const std::array<Poly, 2>& y, const std::array<Poly, 2>& n,
                        int count) {
  const std::array<Poly, 2> high = {committed("nh0"), committed("nh1")};
  const std::array<std::vector<Poly>, 2> g = {limbs("g0", count), limbs("g1", count)};
  const Dims row = {head, kT, kL};
  const Shift s = shift("_y", row, count);
  const Poly offset = given("off_y", row), low = given("lo_y", row), top = given("hi_y", row);
  const Poly root = given("R", row);
  for (std::size_t x = 0; x < 2; ++x) {
    const std::string half = std::to_string(x);
    signed_range("n" + half, n[x], offset, low, top, high[x]);
    remainder("g" + half, s, g[x]);
    rounds("n" + half, y[x] * given("gain" + half, {kI, kL}) * root, s, n[x], g[x]);
  }
}

void Builder::value_rows() {
  open("v", {kJ, kG, kT, kL}, 3);
  const std::vector<Poly> r = limbs("r", options_.v_r);
  const Poly acc = defined("acc");
  const Shift s = shift("", {kG, kT, kL}, options_.v_r);
  remainder("r", s, r);
  rounds("row", acc * given("m", {kJ, kG, kL}), s, given("v", {kJ, kG, kT, kL}), r);
}

void Builder::scores() {
  open("z", {kU, kTile, kT, kH, kL}, 5);
  domain().masked = true;
  domain().mask = add("z.mask", ColumnKind::kPublic, {kU, kTile, kT});
  const Poly z = committed("z");
  const Poly r = committed("r");
  const Poly e = committed("e");
  const Poly p = committed("p");
  const Poly e2 = committed("e'");
  const Poly p2 = committed("p'");
  const bool wide = options_.gap == 2;
  const Poly eo = wide ? committed("eo") : number(0);
  const Poly eo2 = wide ? committed("eo'") : number(0);
  const Poly acc = defined("acc");
  const Dims query = {kT, kH, kL};
  const Dims key = {kU, kTile, kH, kL};
  const Dims tile = {kTile, kT, kH, kL};
  width("r", given("a", query) + given("b", key) + number(1), r);
  const Poly power = given("pow_a", query) * given("pow_b", key);
  const auto weight = [&](const std::string& name, const Poly& index, const Poly& value,
                          const Poly& distance, const Poly& top) {
    look(name, TableTag::kExp, {index, value});
    const Poly over = distance - index;
    width(name + ".over", number(19), over - number(kBase) * top);
    if (wide) width(name + ".gap", number(19), top);
    return (index - number(4096)) * over;
  };
  const Poly zero_m = weight("e", e, p, number(256) * given("M", tile) + number(255) - z, eo);
  const Poly zero_x = weight(
      "e'", e2, p2,
      number(256) * given("X", tile) + number(255) - z + number(256) * given("fv", key), eo2);
  zero("score", number(2) * acc + power - number(2) * z * power - r);
  zero("e", zero_m);
  zero("e'", zero_x);
}

void Builder::attention_rows() {
  open("o", {kJ, kH, kT, kL}, 3);
  const Poly y = committed("y");
  const std::vector<Poly> r = limbs("r", options_.o_r);
  const Poly o = committed("o");
  const std::vector<Poly> c = limbs("c", options_.o_c);
  const Poly a = defined("A");
  const Dims head = {kH, kT, kL};
  const Shift sa = shift("_a", head, options_.o_r);
  const Shift so = shift("_o", head, options_.o_c);
  width("y", number(19), y + number(1 << 18));
  remainder("r", sa, r);
  look("o", TableTag::kBound, {given("cls", {kL}), o});
  remainder("c", so, c);
  rounds("y", a, sa, y, r);
  rounds("row", y * given("R", head), so, o, c);
}

void Builder::residuals() {
  open("x", {kD, kT, kL}, 4);
  const std::vector<Poly> r = limbs("r", options_.x_r);
  const Poly x = committed("x");
  const Poly xh = committed("xh");
  const Poly xr = committed("xr");
  const Poly m = committed("m");
  const std::vector<Poly> c = limbs("c", options_.x_c);
  const std::vector<Poly> e = limbs("e", options_.x_e);
  const Poly yh = options_.x_yh ? committed("yh") : number(0);
  const Poly zh = options_.x_zh ? committed("zh") : number(0);
  const Poly acc = defined("acc");
  const Poly dacc = defined("dacc");
  const Dims row = {kT, kL};
  const Shift sw = shift("_w", row, options_.x_r);
  const Shift sm = shift("_m", row, options_.x_c);
  const Shift sd = shift("_d", row, options_.x_e);
  const Poly middle = x * given("pow_n", row) + xr;
  Poly attended = middle - given("xin", {kD, kT, kL});
  if (options_.o_bias) attended = std::move(attended) - given("b", {kD, kL});
  const Poly fed = given("xout", {kD, kT, kL}) - middle;
  remainder("r", sw, r);
  signed_range("x", x, number(1 << 23), number(19), number(5), xh);
  width("xr", given("s_n", row), xr);
  look("m", TableTag::kBound, {given("cls", {kL}), m});
  remainder("c", sm, c);
  remainder("e", sd, e);
  if (options_.x_yh) {
    signed_range("yw", attended, given("off_w", row), given("lo_w", row), given("hi_w", row), yh);
  }
  if (options_.x_zh) {
    signed_range("yd", fed, given("off_d", row), given("lo_d", row), given("hi_d", row), zh);
  }
  rounds("attended", acc * given("m_o", {kD, kL}), sw, attended, r);
  rounds("norm", x * given("gain", {kD, kL}) * given("R", row), sm, m, c);
  rounds("fed", dacc * given("m_d", {kD, kL}), sd, fed, e);
}

void Builder::feed_forward() {
  open("f", {kF, kT, kL}, 4);
  const Poly g = committed("g");
  const Poly s = committed("s");
  const std::vector<Poly> r = limbs("r", options_.f_r);
  const Poly h = committed("h");
  const std::vector<Poly> c = limbs("c", options_.f_c);
  const Poly gate = defined("gacc");
  const Poly up = defined("uacc");
  const Dims row = {kT, kL};
  const Shift sg = shift("_g", row, options_.f_r);
  const Shift sh = shift("_h", row, options_.f_c);
  look("g", TableTag::kSilu, {given("fg", row), g, s});
  remainder("r", sg, r);
  look("h", TableTag::kBound, {given("cls", {kL}), h});
  remainder("c", sh, c);
  rounds("gate", gate * given("m_g", {kF, kL}), sg, g, r);
  rounds("row", s * up * given("m_u", {kF, kL}), sh, h, c);
}

void Builder::choices(std::uint32_t inv_t) {
  open("s", {kV, kO}, 3);
  const Poly y = committed("y");
  const Poly yh = committed("yh");
  const std::vector<Poly> r = limbs("r", options_.s_r);
  const Poly dh = committed("dh");
  Poly e1, e2;
  Poly e3 = number(0);
  if (options_.sampled) {
    e1 = committed("e1");
    e2 = committed("e2");
    if (options_.e3) e3 = committed("e3");
  }
  const Poly kept = options_.kept ? committed("k") : number(1);
  const Poly acc = defined("acc");
  const Dims row = {kO};
  const Shift s = shift("", row, options_.s_r);
  signed_range("y", y, given("off", row), number(19), given("hi", row), yh);
  remainder("r", s, r);
  Poly distance = given("lmax", row) - y;
  if (options_.penalties) distance = std::move(distance) + given("pen", {kV, kO});
  if (!options_.sampled) distance = std::move(distance) - given("lt", {kV, kO});
  width("dist.lo", number(19), distance - number(kBase) * dh);
  width("dist.hi", number(16), dh);
  if (options_.sampled) {
    Poly threshold = kept * given("thr", {kV, kO});
    if (options_.kept) threshold = threshold + (number(1) - kept) * given("theta", row);
    const Poly excess = number(inv_t) * distance + number(1 << 15) - number(1 << 16) * threshold;
    width("e.0", number(19),
          excess - number(kBase) * e1 - number(kBase * kBase) * e2 -
              number(kBase * kBase * kBase) * e3);
    width("e.1", number(19), e1);
    width("e.2", number(19), e2);
    if (options_.e3) width("e.3", number(3), e3);
  }
  rounds("logit", acc * given("m", {kV}), s, y, r);
  if (options_.kept) zero("kept", kept * kept - kept);
}

void Builder::contract(const std::string& output, std::vector<std::vector<std::string>> terms,
                       Dims sum, bool scalars) {
  Contraction contraction{c_.find(output), scalars, {}, std::move(sum)};
  for (const auto& term : terms) {
    std::vector<ColumnId> factors;
    for (const std::string& name : term) factors.push_back(c_.find(name));
    contraction.terms.push_back(std::move(factors));
  }
  c_.contractions.push_back(std::move(contraction));
}

void Builder::contractions() {
  add("a", ColumnKind::kPublic, {kD, kT, kL});
  for (int x = 0; x < 2; ++x) {
    const std::string half = std::to_string(x);
    weights("wq" + half, {kD, kI, kH, kL}, MatrixId::kWq, x);
    weights("wk" + half, {kD, kI, kG, kL}, MatrixId::kWk, x);
    add("kx" + half, ColumnKind::kPublic, {kI, kU, kTile, kH, kL});
  }
  weights("wv", {kD, kJ, kG, kL}, MatrixId::kWv);
  add("vx", ColumnKind::kPublic, {kJ, kU, kTile, kH, kL});
  add("tm", ColumnKind::kPublic, {kTile, kT, kH, kL});
  add("tx", ColumnKind::kPublic, {kTile, kT, kH, kL});
  add("hsum", ColumnKind::kVirtual, {kH, kT, kL});
  add("ssq", ColumnKind::kVirtual, {kT, kL});
  weights("wo", {kJ, kH, kD, kL}, MatrixId::kWo);
  weights("wg", {kD, kF, kL}, MatrixId::kGate);
  weights("wu", {kD, kF, kL}, MatrixId::kUp);
  weights("wd", {kF, kD, kL}, MatrixId::kDown);
  weights("wh", {kD, kV}, MatrixId::kHead);
  add("fin", ColumnKind::kPublic, {kD, kO});

  contract("q.acc0", {{"wq0", "a"}}, {kD, kL});
  contract("q.acc1", {{"wq1", "a"}}, {kD, kL});
  contract("k.acc0", {{"wk0", "a"}}, {kD, kL});
  contract("k.acc1", {{"wk1", "a"}}, {kD, kL});
  contract("v.acc", {{"wv", "a"}}, {kD, kL});
  contract("z.acc", {{"q.q0", "kx0"}, {"q.q1", "kx1"}}, {kI, kH, kL});
  contract("hsum", {{"z.mask", "z.p", "tm"}}, {kU, kTile, kT, kH, kL}, true);
  contract("o.A", {{"z.mask", "z.p'", "tx", "vx"}}, {kU, kTile, kT, kH, kL});
  contract("x.acc", {{"wo", "o.o"}}, {kJ, kH, kL});
  contract("ssq", {{"x.x", "x.x"}}, {kD, kT, kL}, true);
  contract("f.gacc", {{"wg", "x.m"}}, {kD, kL});
  contract("f.uacc", {{"wu", "x.m"}}, {kD, kL});
  contract("x.dacc", {{"wd", "f.h"}}, {kF, kL});
  contract("s.acc", {{"wh", "fin"}}, {kD});
  if (!qk_norm_) return;
  for (const auto& [q, head] : {std::pair{"q", kH}, std::pair{"k", kG}}) {
    const std::string name(q);
    add(name + "sq", ColumnKind::kVirtual, {head, kT, kL});
    contract(name + "sq", {{name + ".y0", name + ".y0"}, {name + ".y1", name + ".y1"}},
             {kI, head, kT, kL}, true);
  }
}

void Builder::tables() {
  c_.tables = {TableTag::kW, TableTag::kSilu, TableTag::kBound, TableTag::kExp, TableTag::kQBound};
  for (const TableTag tag : c_.tables) {
    const ColumnId id =
        add("multiplicity." + std::to_string(static_cast<int>(tag)), ColumnKind::kCommitted, {});
    c_.multiplicities.push_back(id);
    c_.committed.push_back(id);
  }
}

}  // namespace

std::vector<std::uint32_t> Circuit::box(const Dims& dims) const {
  std::vector<std::uint32_t> list;
  for (const Dim dim : dims) list.push_back(size(dim));
  return list;
}

std::uint64_t Circuit::cells(const Dims& dims) const {
  std::uint64_t product = 1;
  for (const Dim dim : dims) product *= size(dim);
  return product;
}

std::vector<std::uint32_t> Circuit::box_of(ColumnId id) const {
  const auto at = std::ranges::find(multiplicities, id);
  if (at == multiplicities.end()) return box(columns[id].dims);
  return {table_rows(tables[static_cast<std::size_t>(at - multiplicities.begin())])};
}

ColumnId Circuit::find(std::string_view name) const {
  const auto at = std::ranges::find(columns, name, &Column::name);
  OTR_CHECK(at != columns.end());
  return static_cast<ColumnId>(at - columns.begin());
}

bool Circuit::has(std::string_view name) const {
  return std::ranges::find(columns, name, &Column::name) != columns.end();
}

std::uint32_t table_rows(TableTag tag) {
  switch (tag) {
    case TableTag::kW:
    case TableTag::kSilu:
      return 1 << 20;
    case TableTag::kBound:
      return 1 << 17;
    case TableTag::kExp:
    case TableTag::kQBound:
      return 1 << 13;
  }
  return 0;
}

int tuple_size(TableTag tag) {
  switch (tag) {
    case TableTag::kW:
    case TableTag::kBound:
    case TableTag::kExp:
      return 2;
    case TableTag::kSilu:
      return 3;
    case TableTag::kQBound:
      return 1;
  }
  return 0;
}

Circuit build_circuit(const machine::Shape& shape, std::uint32_t n_prompt, std::uint32_t n_out,
                      std::uint32_t inv_t, const CircuitOptions& options) {
  Circuit circuit;
  const std::uint32_t n = n_prompt + n_out - 1;
  const auto set = [&](Dim dim, std::uint32_t size) {
    circuit.sizes[static_cast<std::size_t>(dim)] = size;
  };
  set(kI, shape.head_dim / 2);
  set(kJ, shape.head_dim);
  set(kH, shape.heads);
  set(kG, shape.kv_heads);
  set(kD, shape.hidden);
  set(kF, shape.ffn);
  set(kT, n);
  set(kL, shape.layers);
  set(kU, std::min(machine::kTile, n));
  set(kTile, (n - 1) / machine::kTile + 1);
  set(kO, n_out);
  set(kV, shape.vocabulary);
  Builder builder(circuit, options, shape.qk_norm);
  builder.rotated_rows("q", kH, {options.q_r, options.q_c, options.q_g}, true);
  builder.rotated_rows("k", kG, {options.k_r, options.k_c, options.k_g}, false);
  builder.value_rows();
  builder.scores();
  builder.attention_rows();
  builder.residuals();
  builder.feed_forward();
  builder.choices(inv_t);
  builder.contractions();
  builder.tables();
  return circuit;
}

}  // namespace otr::zk
