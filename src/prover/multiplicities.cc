// How often each row of each table is looked up (SPEC PL-3).
#include <algorithm>
#include <mutex>
#include <optional>

#include "machine/program.h"
#include "prover/domain_lines.h"
#include "prover/pass.h"
#include "zk/lookup_tables.h"

namespace otr::prover {
namespace {

// Counts by table, in the order of Circuit::tables.
class Counts {
 public:
  explicit Counts(const zk::Circuit& circuit) : tables_(circuit.tables) {
    for (const zk::TableTag tag : tables_) counts_.emplace_back(zk::table_rows(tag));
  }

  std::vector<std::uint64_t>& of(zk::TableTag tag) {
    return counts_[static_cast<std::size_t>(std::ranges::find(tables_, tag) - tables_.begin())];
  }
  void add(const Counts& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      std::ranges::transform(counts_[i], other.counts_[i], counts_[i].begin(), std::plus());
    }
  }
  std::vector<std::vector<std::uint64_t>> take() { return std::move(counts_); }

 private:
  std::span<const zk::TableTag> tables_;
  std::vector<std::vector<std::uint64_t>> counts_;
};

// Counts the lookups of one line; what is in no table, if something is.
class LineCounter {
 public:
  LineCounter(const zk::Domain& domain, const DomainLines& lines, std::int64_t q_bound)
      : domain_(domain), lines_(lines), q_bound_(q_bound) {
    for (auto& values : tuple_) values.resize(lines.length());
  }

  std::optional<std::string> count(Counts& counts) {
    for (const zk::Lookup& lookup : domain_.lookups) {
      for (std::size_t k = 0; k < lookup.tuple.size(); ++k) {
        lines_.evaluate(lookup.tuple[k], tuple_[k]);
      }
      std::vector<std::uint64_t>& table = counts.of(lookup.table);
      for (std::uint32_t i = 0; i < lines_.length(); ++i) {
        if (!lines_.inside(i)) continue;
        zk::Tuple tuple{};
        for (std::size_t k = 0; k < lookup.tuple.size(); ++k) tuple[k] = integer_of(tuple_[k][i].v);
        const auto row = zk::table_index(lookup.table, tuple, q_bound_);
        if (!row) return lookup.name + "' at " + lines_.place(i);
        ++table[*row];
      }
    }
    return {};
  }

 private:
  const zk::Domain& domain_;
  const DomainLines& lines_;
  const std::int64_t q_bound_;
  std::array<std::vector<zk::Felt>, 3> tuple_;
};

}  // namespace

Status count_multiplicities(const machine::Model& model,
                            const std::vector<std::vector<std::uint64_t>>& publics,
                            Witness& witness, engine::Pool& pool) {
  const std::int64_t q_bound = machine::q_bound(model.shape.head_dim);
  Counts all(witness.circuit);
  std::optional<std::string> failure;
  std::mutex mutex;
  const std::size_t shares = pool.threads();
  pool.split(shares, [&](std::size_t begin, std::size_t end) {
    Counts counts(witness.circuit);
    std::optional<std::string> missing;
    for (const zk::Domain& domain : witness.circuit.domains) {
      DomainLines lines(witness, publics, domain);
      LineCounter counter(domain, lines, q_bound);
      const std::uint64_t last = lines.count() * end / shares;
      for (std::uint64_t line = lines.count() * begin / shares; line < last && !missing; ++line) {
        lines.seek(line);
        missing = counter.count(counts);
      }
    }
    const std::scoped_lock lock(mutex);
    if (missing) failure = std::move(missing);
    all.add(counts);
  });
  if (failure) {
    return fail(ErrorKind::kReject, "this witness proves nothing: the lookup '" + *failure +
                                        " finds no row of its table");
  }
  auto counts = all.take();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    witness.columns[witness.circuit.multiplicities[i]] = std::move(counts[i]);
  }
  return {};
}

}  // namespace otr::prover
