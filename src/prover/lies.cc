#include "prover/lies.h"

#include <algorithm>
#include <random>

#include "machine/arith.h"
#include "machine/program.h"
#include "machine/tables.h"
#include "prover/check.h"
#include "prover/pass.h"
#include "zk/lookup_tables.h"
#include "zk/row_lines.h"

namespace otr::prover {
namespace {

using zk::Felt;
using zk::felt;

Felt inverse_power(int s) { return zk::inverse(felt(std::int64_t{1} << s)); }

// Cells worth trying: those that the mask leaves, in an order that is the same on every run.
std::vector<std::uint64_t> cells_of_domain(const Lie& lie, const zk::Domain& domain,
                                           std::size_t most) {
  const zk::Circuit& circuit = lie.witness.circuit;
  std::vector<std::uint64_t> cells;
  const std::uint64_t all = circuit.cells(domain.dims);
  const auto& mask = lie.publics.columns[domain.mask];
  for (std::uint64_t cell = 0; cell < all; ++cell) {
    if (!domain.masked || mask[cell % mask.size()] != 0) cells.push_back(cell);
  }
  std::mt19937 random(3);
  for (std::size_t i = cells.size(); i-- > 1;) std::swap(cells[i], cells[random() % (i + 1)]);
  if (cells.size() > most) cells.resize(most);
  return cells;
}

const zk::Domain& domain_of(const zk::Circuit& circuit, const std::string& constraint) {
  const std::string name = constraint.substr(constraint.find(' ') + 1);
  return *std::ranges::find(circuit.domains, name.substr(0, name.find('.')), &zk::Domain::name);
}

// Committed columns that the constraint names.
std::vector<zk::ColumnId> columns_of(const zk::Domain& domain, const std::string& constraint) {
  std::vector<zk::ColumnId> list;
  const auto add = [&](const zk::Expression& expression) {
    for (const zk::Term& term : expression) {
      for (const zk::ColumnId id : term.factors) {
        const bool ours = std::ranges::find(domain.committed, id) != domain.committed.end();
        if (ours && std::ranges::find(list, id) == list.end()) list.push_back(id);
      }
    }
  };
  for (const zk::Lookup& lookup : domain.lookups) {
    if ("lookup " + lookup.name == constraint) std::ranges::for_each(lookup.tuple, add);
  }
  for (const zk::Zero& zero : domain.zeros) {
    if ("zero " + zero.name == constraint) add(zero.value);
  }
  return list;
}

// The limb's number and the name before it, for columns "d.r.n".
std::optional<std::pair<std::string, int>> limb_of(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  if (dot + 2 != name.size() || name.find('.') == dot) return {};
  return std::pair(name.substr(0, dot), name.back() - '0');
}

// Whether the lie breaks the constraint and nothing else.
bool breaks_only(const Scene& scene, const Lie& lie, const std::string& constraint) {
  return lie.wrong(scene) == std::set{constraint};
}

// One cell changed, or a limb and another limb that pays for it. What is too long for one limb may
// be hidden in the next as a fraction of p, so each limb needs a width of its own.
std::optional<Lie> change_cells(const Scene& scene, const std::string& constraint) {
  const zk::Circuit& circuit = scene.truth().witness.circuit;
  const zk::Domain& domain = domain_of(circuit, constraint);
  Lie lie = scene.truth();
  const auto fits = [&] {
    return violations(scene.model(), lie.publics, lie.witness, domain) == std::set{constraint} &&
           breaks_only(scene, lie, constraint);
  };
  std::vector<Felt> deltas = {felt(1), felt(-1)};
  for (const int s : {19, 38, 57}) {
    deltas.push_back(inverse_power(s));
    deltas.push_back(-inverse_power(s));
  }
  for (const std::uint64_t cell : cells_of_domain(lie, domain, 8)) {
    for (const zk::ColumnId id : columns_of(domain, constraint)) {
      const std::string& name = circuit.columns[id].name;
      for (const Felt delta : deltas) {
        lie.add(name, cell, delta);
        if (fits()) return lie;
        lie.add(name, cell, -delta);
      }
      const auto limb = limb_of(name);
      if (!limb) continue;
      for (int n = 0; n < 3; ++n) {
        const std::string other = limb->first + "." + std::to_string(n);
        if (n == limb->second || !circuit.has(other)) continue;
        for (const std::int64_t d : {-1, 1}) {
          // other += d, so limb -= d·2^(19·(n - limb)).
          const Felt paid = n > limb->second
                                ? felt(d << (zk::kLimbBits * (n - limb->second)))
                                : felt(d) * inverse_power(zk::kLimbBits * (limb->second - n));
          lie.add(other, cell, felt(d));
          lie.add(name, cell, -paid);
          if (fits()) return lie;
          lie.add(other, cell, felt(-d));
          lie.add(name, cell, paid);
        }
      }
    }
  }
  return {};
}

// Elements of a q row beyond the range, as fractions, which cancel in the only score they make:
// that of the first position with itself.
std::optional<Lie> hide_query(const Scene& scene, const std::string& constraint, int x) {
  const machine::Shape& shape = scene.model().shape;
  const std::size_t half = shape.head_dim / 2;
  const std::size_t positions = scene.job().positions();
  const std::string q = "q.q" + std::to_string(x);
  const std::string c = "q.c" + std::to_string(x) + ".0";
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    for (std::uint32_t h = 0; h < shape.heads; ++h) {
      for (const std::int64_t sign : {-1, 1}) {
        Lie lie = scene.truth();
        const std::size_t at = (l * positions * shape.heads + h) * half;
        const std::uint64_t power =
            lie.publics
                .columns[lie.publics.circuit.find("q.pow_r")][l * positions * shape.heads + h];
        const auto& k = lie.witness.rows.k[l * shape.kv_heads + shape.kv_head_of(h)];
        for (std::size_t i = 0; i < 2; ++i) {
          const Felt pay =
              felt(sign * (i == 0 ? 1 : -1) * k[static_cast<std::size_t>(x) * half + 1 - i]);
          lie.add(q, at + i, pay * zk::inverse(Felt{power}));
          lie.add(c, at + i, -pay);
        }
        if (!lie.recompute(scene)) continue;
        Lie settled = lie;
        if (!settled.settle(scene)) continue;
        lie.column("z.acc") = settled.column("z.acc");  // beyond the mask it may be anything
        if (breaks_only(scene, lie, constraint)) return lie;
      }
    }
  }
  return {};
}

// Weights of keys that are not those of their distances, but sum alike.
std::optional<Lie> trade_weights(const Scene& scene, const std::string& constraint, bool values) {
  const machine::Shape& shape = scene.model().shape;
  const zk::Circuit& circuit = scene.truth().witness.circuit;
  const std::size_t keys = circuit.size(zk::Dim::kU) * circuit.size(zk::Dim::kTile);
  const std::uint32_t t = values ? shape.head_dim : 1;
  if (t >= scene.job().positions()) return {};
  Lie lie = scene.truth();
  std::vector<std::vector<Felt>> rows;
  for (std::uint32_t u = 0; u <= t; ++u) {
    rows.emplace_back();
    if (!values) rows.back() = {{1}};
    for (std::uint32_t j = 0; values && j < shape.head_dim; ++j) {
      rows.back().push_back(felt(lie.witness.rows.v[0][u * (shape.head_dim + 1) + j]));
    }
  }
  const std::vector<Felt> change = null_vector(rows);
  for (std::uint32_t u = 0; u <= t; ++u) {
    lie.add(values ? "z.p'" : "z.p", t * keys + u, change[u]);
  }
  if (breaks_only(scene, lie, constraint)) return lie;
  return {};
}

// One key's score or distance changed, and all that hangs on it.
struct Distances {
  const Scene& scene;
  Lie& lie;
  std::uint64_t cell;

  std::int64_t at(const std::string& name) const {  // of the key's tile, row or head
    const zk::Circuit& circuit = lie.witness.circuit;
    const zk::Dims& own = circuit.columns[circuit.find(name)].dims;
    std::uint64_t rest = cell, index = 0, stride = 1;
    for (const zk::Dim dim : {zk::Dim::kU, zk::Dim::kTile, zk::Dim::kT, zk::Dim::kH, zk::Dim::kL}) {
      const std::uint64_t i = rest % circuit.size(dim);
      rest /= circuit.size(dim);
      if (!zk::has(own, dim)) continue;
      index += i * stride;
      stride *= circuit.size(dim);
    }
    const zk::ColumnId id = circuit.find(name);
    return integer_of((lie.publics.columns[id].empty() ? lie.witness.columns[id]
                                                       : lie.publics.columns[id])[index]);
  }
  std::int64_t distance(bool x) const {
    return x ? 256 * (at("z.X") + at("z.fv")) + 255 - at("z.z") : 256 * at("z.M") + 255 - at("z.z");
  }
  void set(const std::string& name, std::int64_t value) { lie.column(name)[cell] = felt(value).v; }
  void set_index(bool x, std::int64_t e) {
    set(x ? "z.e'" : "z.e", e);
    set(x ? "z.p'" : "z.p", zk::table_row(zk::TableTag::kExp, static_cast<std::uint32_t>(e), 0)[1]);
  }
};

std::optional<Lie> shift_key(const Scene& scene, const std::string& constraint) {
  const zk::Domain& domain = domain_of(scene.truth().witness.circuit, constraint);
  const bool x = constraint.find('\'') != std::string::npos;
  for (const std::uint64_t cell : cells_of_domain(scene.truth(), domain, 300)) {
    for (const int step : {-1, 1}) {
      Lie lie = scene.truth();
      Distances key{scene, lie, cell};
      const std::int64_t r = key.at("z.r");
      if (constraint == "lookup z.r") {
        key.set("z.z", key.at("z.z") + step);
        for (const bool side : {false, true}) {
          const std::int64_t d = key.distance(side);
          if (d < 0) break;
          key.set_index(side, std::min<std::int64_t>(d, 4096));
        }
      } else if (constraint.starts_with("zero")) {
        const std::int64_t e = std::min<std::int64_t>(key.distance(x), 4096) - 1;
        if (step > 0 || e < 0) break;
        key.set_index(x, e);
      } else {  // over
        if (step > 0 || key.distance(x) >= 4096) break;
        key.set_index(x, 4096);
      }
      if (!lie.settle(scene)) continue;
      if (constraint == "lookup z.r") {
        key.set("z.r", r - 2 * step * key.at("z.pow_a") * key.at("z.pow_b"));
      }
      if (breaks_only(scene, lie, constraint)) return lie;
    }
  }
  return {};
}

// A row of a layer at a position.
struct RowAt {
  std::uint32_t l, t;
};
template <class Body>  // false: go on
std::optional<Lie> each_row(const Scene& scene, const std::string& constraint, const Body& body) {
  for (std::uint32_t l = 0; l < scene.model().shape.layers; ++l) {
    for (std::uint32_t t = 0; t < scene.job().positions(); ++t) {
      Lie lie = scene.truth();
      const auto lines = zk::derive_lines(scene.job(), lie.witness.rows, lie.witness.scalars);
      if (!lines || !body(lie, lie.witness.scalars.rows[l][t], lines->rows[l][t], RowAt{l, t})) {
        continue;
      }
      if (lie.settle(scene) && breaks_only(scene, lie, constraint)) return lie;
    }
  }
  return {};
}

// A shift of A that is too small by one.
std::optional<Lie> narrow_head(const Scene& scene, const std::string& constraint) {
  const machine::Shape& shape = scene.model().shape;
  const std::uint32_t positions = scene.job().positions();
  for (std::uint32_t h = 0; h < shape.heads; ++h) {
    auto lie = each_row(
        scene, constraint, [&](Lie& made, zk::RowScalars& row, const zk::RowLine& line, RowAt at) {
          zk::Record& shift = row.heads[h].shift;
          if (shift.exponent < 2) return false;
          const std::size_t first =
              ((std::size_t{at.l} * positions + at.t) * shape.heads + h) * shape.head_dim;
          std::optional<std::uint32_t> named;
          for (std::uint32_t j = 0; j < shape.head_dim; ++j) {
            const std::int64_t a = integer_of(made.column("o.A")[first + j]);
            made.column("o.y")[first + j] = felt(machine::rsh(a, shift.exponent - 1)).v;
            if (machine::kSigned19.holds(machine::rsh(a, shift.exponent - 1)) &&
                !machine::kSigned19.holds(machine::rsh(a, shift.exponent - 2))) {
              named = j;
            }
          }
          if (!named) return false;
          shift = {shift.exponent - 1, *named, integer_of(made.column("o.A")[first + *named])};
          if (row.o.value != 0 && row.o.named / shape.head_dim == h) {
            row.o.value = line.heads[h].r *
                          integer_of(made.column("o.y")[first + row.o.named % shape.head_dim]);
          }
          return true;
        });
    if (lie) return lie;
  }
  return {};
}

// Rows whose exponents are as great as the range would not let them be, where what comes of it is
// rounded to nothing.
std::optional<Lie> raise_row(const Scene& scene, const std::string& constraint) {
  const machine::Shape& shape = scene.model().shape;
  const std::uint32_t positions = scene.job().positions();
  return each_row(
      scene, constraint, [&](Lie& lie, zk::RowScalars& row, const zk::RowLine& line, RowAt at) {
        const auto first = [&](std::size_t width) {
          return (std::size_t{at.l} * positions + at.t) * width;
        };
        if (constraint == "lookup o.o") {
          int greatest = machine::kRowCap;
          for (const auto& head : line.heads) greatest = std::min(greatest, head.exponent);
          if (row.o.exponent == greatest) return false;
          row.o = {.exponent = greatest};
          for (std::size_t i = 0; i < shape.q_width(); ++i) {
            const auto& head = line.heads[i / shape.head_dim];
            const std::size_t cell = first(shape.q_width()) + i;
            lie.column("o.o")[cell] =
                felt(machine::rsh(integer_of(lie.column("o.y")[cell]) * head.r,
                                  std::min(36, head.exponent - greatest)))
                    .v;
          }
          return true;
        }
        if (constraint == "lookup x.m") {
          const int base = line.s_m + row.m.exponent;
          const int greatest = std::min(base, machine::kNormCap);
          if (row.m.exponent == greatest) return false;
          row.m = {.exponent = greatest};
          for (std::size_t i = 0; i < shape.hidden; ++i) {
            const std::size_t cell = first(shape.hidden) + i;
            const std::int64_t v = integer_of(lie.column("x.x")[cell]) *
                                   scene.model().layers[at.l].mlp_norm.gain[i] * line.r_norm;
            lie.column("x.m")[cell] = felt(machine::rsh(v, base - greatest)).v;
          }
          return true;
        }
        const int base = line.s_h + row.h.exponent;
        const int greatest = std::min(base, machine::kRowCap);
        if (row.h.exponent == greatest) return false;
        row.h = {.exponent = greatest};
        for (std::size_t i = 0; i < shape.ffn; ++i) {
          const std::size_t cell = first(shape.ffn) + i;
          const std::int64_t v = integer_of(lie.column("f.s")[cell]) *
                                 integer_of(lie.column("f.uacc")[cell]) *
                                 scene.model().layers[at.l].w_up.scale[i];
          lie.column("f.h")[cell] = felt(machine::rsh(v, base - greatest)).v;
        }
        return true;
      });
}

// x_mid with a remainder of one unit more than there is.
std::optional<Lie> borrow(const Scene& scene, const std::string& constraint) {
  const machine::Shape& shape = scene.model().shape;
  const std::uint32_t positions = scene.job().positions();
  for (std::size_t j = 0; j < shape.hidden; ++j) {
    auto lie = each_row(
        scene, constraint, [&](Lie& made, zk::RowScalars&, const zk::RowLine& line, RowAt at) {
          const std::size_t cell = (std::size_t{at.l} * positions + at.t) * shape.hidden + j;
          made.add("x.x", cell, felt(-1));
          made.add("x.xr", cell, felt(std::int64_t{1} << line.s_n));
          return true;
        });
    if (lie) return lie;
  }
  return {};
}

// Another value of SILU, where the row's rounding hides it.
std::optional<Lie> bend(const Scene& scene, const std::string& constraint) {
  const zk::Domain& domain = domain_of(scene.truth().witness.circuit, constraint);
  for (const std::uint64_t cell : cells_of_domain(scene.truth(), domain, 60)) {
    for (const int step : {-1, 1}) {
      Lie lie = scene.truth();
      lie.add("f.s", cell, felt(step));
      if (lie.settle(scene) && breaks_only(scene, lie, constraint)) return lie;
    }
  }
  return {};
}

// A product of matrices that is wrong by one, which a remainder pays for; or such a sum in clear.
std::optional<Lie> miscount(const Scene& scene, const std::string& constraint) {
  const std::string name = constraint.substr(4);
  const auto in_clear = [&](Lie& lie, std::size_t row) {
    const std::size_t positions = scene.job().positions();
    zk::RowScalars& scalars = lie.witness.scalars.rows[row / positions][row % positions];
    if (name == "hsum") {
      ++scalars.heads[0].sum;
    } else {
      ++scalars.norm_sumsq;
    }
  };
  if (name == "hsum" || name == "ssq") {
    for (std::size_t row = 0; row < scene.job().positions(); ++row) {
      Lie lie = scene.truth();
      in_clear(lie, row);
      if (lie.recompute(scene) && breaks_only(scene, lie, constraint)) return lie;
    }
    return {};
  }
  const zk::Domain& domain = domain_of(scene.truth().witness.circuit, constraint);
  for (const std::uint64_t cell : cells_of_domain(scene.truth(), domain, 40)) {
    for (const int step : {-1, 1}) {
      Lie lie = scene.truth();
      lie.add(name, cell, felt(step));
      if (name == "z.acc") {
        lie.add("z.r", cell, felt(2 * step));
      } else {
        lie.fill(scene);
      }
      if (breaks_only(scene, lie, constraint)) return lie;
    }
  }
  return {};
}

}  // namespace

std::vector<Felt> null_vector(std::vector<std::vector<Felt>> matrix) {
  // Rows carry the combination that made them.
  const std::size_t n = matrix.size();
  const std::size_t width = matrix[0].size();
  for (std::size_t i = 0; i < n; ++i) {
    matrix[i].resize(width + n);
    matrix[i][width + i] = {1};
  }
  std::size_t done = 0;
  for (std::size_t column = 0; column < width; ++column) {
    std::size_t pivot = done;
    while (pivot < n && matrix[pivot][column].v == 0) ++pivot;
    if (pivot == n) continue;
    std::swap(matrix[pivot], matrix[done]);
    for (std::size_t i = done + 1; i < n; ++i) {
      const Felt factor = matrix[i][column] * zk::inverse(matrix[done][column]);
      for (std::size_t j = 0; j < width + n; ++j) matrix[i][j] -= factor * matrix[done][j];
    }
    ++done;
  }
  if (done == n) return {};
  return {matrix[done].begin() + static_cast<std::ptrdiff_t>(width), matrix[done].end()};
}

std::optional<Lie> find_lie(const Scene& scene, const std::string& constraint) {
  if (!scene.constraints().contains(constraint)) return {};
  if (constraint.starts_with("sum ")) return miscount(scene, constraint);
  if (auto lie = change_cells(scene, constraint)) return lie;
  if (constraint == "lookup q.q0") return hide_query(scene, constraint, 0);
  if (constraint == "lookup q.q1") return hide_query(scene, constraint, 1);
  if (constraint == "lookup z.e") return trade_weights(scene, constraint, false);
  if (constraint == "lookup z.e'") return trade_weights(scene, constraint, true);
  if (constraint == "lookup z.r" || constraint == "zero z.e" || constraint == "zero z.e'" ||
      constraint == "lookup z.e.over" || constraint == "lookup z.e'.over") {
    return shift_key(scene, constraint);
  }
  if (constraint == "lookup o.y") return narrow_head(scene, constraint);
  if (constraint == "lookup o.o" || constraint == "lookup x.m" || constraint == "lookup f.h") {
    return raise_row(scene, constraint);
  }
  if (constraint == "lookup x.xr") return borrow(scene, constraint);
  if (constraint == "lookup f.g") return bend(scene, constraint);
  return {};
}

}  // namespace otr::prover
