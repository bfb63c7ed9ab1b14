#include "prover/check.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <set>

#include "machine/program.h"
#include "prover/domain_lines.h"
#include "prover/pass.h"
#include "zk/lookup_tables.h"

namespace otr::prover {
namespace {

struct Failure {
  std::uint64_t line = 0;
  std::string what;
};

// The first constraint of the domain that fails on the line at hand.
class LineCheck {
 public:
  LineCheck(const zk::Domain& domain, const DomainLines& lines, std::int64_t q_bound)
      : domain_(domain), lines_(lines), q_bound_(q_bound), values_(lines.length()) {
    for (auto& tuple : tuples_) tuple.resize(lines.length());
  }

  std::optional<std::string> failure() {
    for (const zk::Lookup& lookup : domain_.lookups) {
      if (auto what = failure(lookup)) return what;
    }
    for (const zk::Zero& zero : domain_.zeros) {
      if (auto what = failure(zero)) return what;
    }
    return {};
  }
  void note_failures(std::set<std::string>& names) {
    for (const zk::Lookup& lookup : domain_.lookups) {
      if (failure(lookup)) names.insert("lookup " + lookup.name);
    }
    for (const zk::Zero& zero : domain_.zeros) {
      if (failure(zero)) names.insert("zero " + zero.name);
    }
  }

 private:
  std::optional<std::string> failure(const zk::Zero& zero) {
    lines_.evaluate(zero.value, values_);
    for (std::uint32_t i = 0; i < values_.size(); ++i) {
      if (values_[i].v == 0 || !lines_.inside(i)) continue;
      return "the constraint '" + zero.name + "' is not 0 at " + lines_.place(i);
    }
    return {};
  }
  std::optional<std::string> failure(const zk::Lookup& lookup) {
    for (std::size_t k = 0; k < lookup.tuple.size(); ++k) {
      lines_.evaluate(lookup.tuple[k], tuples_[k]);
    }
    for (std::uint32_t i = 0; i < values_.size(); ++i) {
      if (!lines_.inside(i)) continue;
      zk::Tuple tuple{};
      for (std::size_t k = 0; k < lookup.tuple.size(); ++k) tuple[k] = integer_of(tuples_[k][i].v);
      if (zk::table_index(lookup.table, tuple, q_bound_)) continue;
      return "the lookup '" + lookup.name + "' at " + lines_.place(i) + " finds no row (" +
             std::to_string(tuple[0]) + ", " + std::to_string(tuple[1]) + ", " +
             std::to_string(tuple[2]) + ")";
    }
    return {};
  }

  const zk::Domain& domain_;
  const DomainLines& lines_;
  const std::int64_t q_bound_;
  std::vector<zk::Felt> values_;
  std::array<std::vector<zk::Felt>, 3> tuples_;
};

std::unexpected<Error> refuse(const std::string& what) {
  return fail(ErrorKind::kReject, "this witness proves nothing: " + what);
}

Status check_domain(const zk::Domain& domain, const zk::PublicRows& publics, const Witness& witness,
                    std::int64_t q_bound, engine::Pool& pool) {
  std::mutex mutex;
  std::optional<Failure> first;
  const std::uint64_t count = DomainLines(witness, publics.columns, domain).count();
  pool.split(count, [&](std::size_t begin, std::size_t end) {
    DomainLines lines(witness, publics.columns, domain);
    LineCheck check(domain, lines, q_bound);
    for (std::size_t line = begin; line < end; ++line) {
      lines.seek(line);
      const auto what = check.failure();
      if (!what) continue;
      const std::scoped_lock lock(mutex);
      if (!first || line < first->line) first = Failure{line, *what};
      return;
    }
  });
  return first ? Status(refuse(first->what)) : Status();
}

bool holds(const zk::CellClaim& claim, const Witness& witness) {
  const zk::ColumnId id = witness.circuit.committed.at(claim.column);
  return zk::ext(zk::Felt{witness.columns[id].at(claim.cell)}) == claim.value;
}

Status check_cells(const zk::PublicRows& publics, const Witness& witness) {
  for (const zk::CellClaim& claim : publics.cells) {
    const zk::ColumnId id = witness.circuit.committed.at(claim.column);
    if (holds(claim, witness)) continue;
    return refuse("cell " + std::to_string(claim.cell) + " of column '" +
                  witness.circuit.columns[id].name + "' is not what the scalars say");
  }
  return {};
}

}  // namespace

Status check_witness(const machine::Model& model, const zk::PublicRows& publics,
                     const Witness& witness, engine::Pool& pool) {
  if (!(publics.options == witness.options)) return refuse("its columns are not the circuit's");
  const std::int64_t q_bound = machine::q_bound(model.shape.head_dim);
  for (const zk::Domain& domain : witness.circuit.domains) {
    OTR_TRY(check_domain(domain, publics, witness, q_bound, pool));
  }
  return check_cells(publics, witness);
}

std::set<std::string> violations(const machine::Model& model, const zk::PublicRows& publics,
                                 const Witness& witness, const zk::Domain& domain) {
  std::set<std::string> names;
  DomainLines lines(witness, publics.columns, domain);
  LineCheck check(domain, lines, machine::q_bound(model.shape.head_dim));
  for (std::uint64_t line = 0; line < lines.count(); ++line) {
    lines.seek(line);
    check.note_failures(names);
  }
  return names;
}

std::set<std::string> violations(const machine::Model& model, const zk::PublicRows& publics,
                                 const Witness& witness) {
  std::set<std::string> names;
  for (const zk::Domain& domain : witness.circuit.domains) {
    names.merge(violations(model, publics, witness, domain));
  }
  for (const zk::CellClaim& claim : publics.cells) {
    if (holds(claim, witness)) continue;
    names.insert("cell " + witness.circuit.columns[witness.circuit.committed[claim.column]].name);
  }
  return names;
}

}  // namespace otr::prover
