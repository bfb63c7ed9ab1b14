// Proofs of whole passes for claims that were drawn, made beside an operator's work: no game and no
// draw ever waits for one. A draw is answered by a proof where that is ready in time, else by
// re-execution (SPEC SET-30).
//
// Proofs lie in one folder, named by their digests; the journal says which is whose before anybody
// hears of it, so that a process killed at any moment makes none twice that it has finished.
#ifndef OTR_ROLLUP_PROVER_H_
#define OTR_ROLLUP_PROVER_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "ledger/state.h"
#include "rollup/journal.h"
#include "rollup/pass.h"

namespace otr::rollup {

struct ProverOptions {
  std::filesystem::path folder;  // made where there is none
  unsigned threads = 1;
  std::optional<std::uint64_t> memory_bytes = {};  // no proof that takes more; no bound if unset
  // For one unit of node::work_of_proof, until a proof was measured that took longer.
  std::uint64_t ns_per_unit = 200;
  // Runs a proof beside its caller; null: in a thread. Simulations run it when they like.
  std::function<void(std::function<void()>)> beside = nullptr;
};

struct ProverGauges {
  std::uint64_t made = 0, failed = 0;
  std::string last_failure;
};

class Prover {
 public:
  // `journal` must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<Prover>> open(Journal& journal,
                                                            ProverOptions options);
  ~Prover();  // ends a proof that is under way, at its next stage

  // Of what it has written to the journal, which it takes up again after a restart.
  [[nodiscard]] static bool is_record(std::string_view record);
  Status read(std::string_view record);

  // A drawn claim of a batch whose round is revealed.
  struct Draw {
    const ledger::State& state;
    const ledger::Batch& batch;
    Hash claim{};
    std::shared_ptr<const std::string> receipt;
    const Weights* weights = nullptr;  // null: none here; must outlive the prover
  };
  struct Answer {
    std::optional<Hash> proof;  // its digest
    bool is_awaited = false;    // nothing to answer yet: a proof may come in time
  };
  // What to answer now. Starts a proof where none runs and, by four times what such proofs take, it
  // is done when half of the time to answer is left; then none is awaited any more. kIo where
  // the journal fails: then there is nothing to answer with.
  [[nodiscard]] Result<Answer> answer(const Draw& draw, std::uint64_t now);

  // The proof itself; kBadInput where it is not here. Any thread; the rest is one thread's.
  [[nodiscard]] Result<Bytes> read(const Hash& digest) const;
  [[nodiscard]] const ProverGauges& gauges() const { return gauges_; }

 private:
  using Key = std::pair<Hash, Hash>;  // claim and beacon
  struct Work;
  Prover(Journal& journal, ProverOptions options);
  // Nothing where there will be none, and why is in the gauges.
  std::optional<std::uint64_t> longest_ms(const Key& key, const Draw& draw);
  void start(const Key& key, const Draw& draw);
  Status take_up();
  void give_up(const Key& key, std::string why);

  Journal& journal_;
  const ProverOptions options_;
  std::map<Key, Hash> made_;
  std::map<Key, std::optional<std::uint64_t>> work_;  // units; nothing where there is no proof
  std::shared_ptr<Work> under_way_;                   // null: none runs
  std::thread thread_;
  std::uint64_t ns_per_unit_;
  ProverGauges gauges_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_PROVER_H_
