// Passes of tiny models and lies about them, for tests of what a proof must refuse (SPEC 18): a lie
// is a witness in which as little as possible is wrong, and the rows in clear that go with it.
#ifndef OTR_PROVER_FORGERY_H_
#define OTR_PROVER_FORGERY_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pool.h"
#include "model/artifact.h"
#include "model/random_artifact.h"
#include "prover/prove.h"
#include "prover/witness.h"
#include "zk/rows.h"
#include "zk/verify.h"

namespace otr::prover {

struct Play {
  std::string name;
  model::RandomArtifactOptions artifact;
  machine::Sampling sampling;
  std::uint32_t prompt = 5, output = 4;
  std::function<void(model::Config&)> tweak = [](model::Config&) {};
};

// Sets the exponent of every tensor whose name ends so.
void set_exponent(model::Config& config, std::string_view end, int exponent);

class Scene;

struct Lie {
  Witness witness;
  zk::PublicRows publics;

  std::vector<std::uint64_t>& column(std::string_view name);
  // Adds to a cell of a column, in the field.
  void add(std::string_view name, std::uint64_t cell, zk::Felt delta);
  // The rows of the witness's trace and scalars; false where the verifier would refuse these
  // already, or the circuit is no more the same.
  [[nodiscard]] bool recompute(const Scene& scene);
  // Makes all else agree with rows, scalars and the values q, z, e, p, y, o, x, xr, m, g, s, h as
  // they are now: sums in clear, virtual columns, limbs. False as above.
  [[nodiscard]] bool settle(const Scene& scene);
  // The limbs alone. Requires rows and scalars that recompute() takes.
  void fill(const Scene& scene);
  // All that is wrong, by the names of prover/check.h and prover/contraction_check.h.
  [[nodiscard]] std::set<std::string> wrong(const Scene& scene) const;
  // Removes the constraint of that name ("lookup q.q0", "zero q.y0", "cell s.y", "sum q.acc0") from
  // the circuit.
  void excuse(std::string_view constraint);
};

// An answer of the engine, its witness and rows.
class Scene {
 public:
  explicit Scene(const Play& play);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const machine::Model& model() const { return artifact_.view(); }
  [[nodiscard]] zk::Job job() const;
  [[nodiscard]] zk::Statement statement() const;
  [[nodiscard]] engine::Pool& pool() const { return pool_; }
  [[nodiscard]] const Lie& truth() const { return truth_; }
  // Names of all constraints.
  [[nodiscard]] std::set<std::string> constraints() const;

 private:
  std::string name_;
  model::Artifact artifact_;
  machine::Sampling sampling_;
  std::vector<std::uint32_t> prompt_, output_;
  mutable engine::Pool pool_{2};
  Lie truth_;
};

// The proof of a lie, made without any check, and what the verifier says of it; both see the
// circuit of the lie. `after_count` may change what was counted.
[[nodiscard]] Status try_lie(const Scene& scene, Lie lie,
                             const std::function<void(Lie&)>& after_count = nullptr);

}  // namespace otr::prover

#endif  // OTR_PROVER_FORGERY_H_
