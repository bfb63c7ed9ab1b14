// How often each row of each table is looked up (SPEC PL-3).
#include <algorithm>
#include <mutex>
#include <optional>

#include "machine/program.h"
#include "prover/cells.h"
#include "prover/pass.h"
#include "prover/witness.h"
#include "zk/lookup_tables.h"

namespace otr::prover {
namespace {

struct Job {
  const zk::Domain* domain;
  const zk::Lookup* lookup;
  std::uint64_t first;  // number of its first run among those of all lookups
};

// Counts by table and row, of one thread.
using Counts = std::vector<std::vector<std::uint32_t>>;

// The rows that the runs of one lookup find.
class RunCounter {
 public:
  RunCounter(const zk::Circuit& circuit, const Job& job, const ColumnViews& columns,
             std::int64_t q_bound)
      : lookup_(*job.lookup), q_bound_(q_bound), length_(circuit.size(job.domain->dims[0])) {
    for (const zk::Expression& e : lookup_.tuple) {
      tuple_.emplace_back(circuit, job.domain->dims, e, columns);
    }
    if (job.domain->masked) {
      mask_.emplace(circuit, job.domain->dims, zk::Expression{{zk::Felt{1}, {job.domain->mask}}},
                    columns);
    }
    for (auto& values : values_) values.resize(length_);
    inside_.assign(length_, 1);
  }

  // Index in the run of the first tuple that is in no table.
  std::optional<std::size_t> count(std::uint64_t run, std::vector<std::uint32_t>& counts) {
    for (std::size_t k = 0; k < tuple_.size(); ++k) {
      tuple_[k].run(run, values_[k]);
      if (tuple_[k].constant()) std::fill(values_[k].begin() + 1, values_[k].end(), values_[k][0]);
    }
    if (mask_) mask_->run(run, inside_);
    std::optional<std::size_t> missing;
    for (std::size_t i = 0; i < length_; ++i) {
      if (inside_[i] == 0) continue;
      if (lookup_.table == zk::TableTag::kW) {  // most of all lookups, so without table_index
        const std::uint64_t bits = values_[0][i];
        const std::uint64_t value = values_[1][i];
        if (bits <= 19 && value >> bits == 0) {
          ++counts[(std::uint64_t{1} << bits) + value];
          continue;
        }
      } else {
        zk::Tuple tuple{};
        for (std::size_t k = 0; k < tuple_.size(); ++k) tuple[k] = integer_of(values_[k][i]);
        if (const auto row = zk::table_index(lookup_.table, tuple, q_bound_)) {
          ++counts[*row];
          continue;
        }
      }
      if (!missing) missing = i;
    }
    return missing;
  }

 private:
  const zk::Lookup& lookup_;
  const std::int64_t q_bound_;
  const std::size_t length_;
  std::vector<RunEvaluator> tuple_;
  std::optional<RunEvaluator> mask_;
  std::array<std::vector<std::uint64_t>, 3> values_;
  std::vector<std::uint64_t> inside_;
};

}  // namespace

Status count_multiplicities(const machine::Model& model,
                            const std::vector<std::vector<std::uint64_t>>& publics,
                            Witness& witness, engine::Pool& pool) {
  const zk::Circuit& circuit = witness.circuit;
  const std::int64_t q_bound = machine::q_bound(model.shape.head_dim);
  const ColumnViews columns = views_of(witness.columns, publics);
  std::vector<Job> jobs;
  std::uint64_t runs = 0;
  for (const zk::Domain& domain : circuit.domains) {
    for (const zk::Lookup& lookup : domain.lookups) {
      jobs.push_back({&domain, &lookup, runs});
      runs += circuit.cells(domain.dims) / circuit.size(domain.dims[0]);
    }
  }
  std::vector<std::vector<std::uint64_t>> all;
  for (const zk::TableTag tag : circuit.tables) all.emplace_back(zk::table_rows(tag));
  std::mutex mutex;
  std::uint64_t first_missing = runs;
  std::string missing;
  pool.split(runs, [&](std::size_t begin, std::size_t end) {
    Counts counts;
    for (const auto& table : all) counts.emplace_back(table.size());
    std::size_t run = begin;
    for (auto job = std::ranges::upper_bound(jobs, begin, {}, &Job::first) - 1; run < end; ++job) {
      RunCounter counter(circuit, *job, columns, q_bound);
      const std::uint64_t stop = job + 1 == jobs.end() ? end : std::min(end, (job + 1)->first);
      const auto table = std::ranges::find(circuit.tables, job->lookup->table);
      for (; run < stop; ++run) {
        const auto index = counter.count(
            run - job->first, counts[static_cast<std::size_t>(table - circuit.tables.begin())]);
        if (!index) continue;
        const std::scoped_lock lock(mutex);
        if (run >= first_missing) continue;
        first_missing = run;
        missing = job->lookup->name + "' in run " + std::to_string(run - job->first) + ", place " +
                  std::to_string(*index);
      }
    }
    const std::scoped_lock lock(mutex);
    for (std::size_t i = 0; i < all.size(); ++i) {
      std::ranges::transform(all[i], counts[i], all[i].begin(), std::plus<std::uint64_t>());
    }
  });
  for (std::size_t i = 0; i < all.size(); ++i) {
    witness.columns[circuit.multiplicities[i]] = std::move(all[i]);
  }
  if (missing.empty()) return {};
  return fail(ErrorKind::kReject,
              "this witness proves nothing: the lookup '" + missing + " finds no row of its table");
}

}  // namespace otr::prover
