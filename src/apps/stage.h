// A whole rollup in one process on real files and the real clock: what otr demo plays on. TEEs are
// SIMULATED and all keys lie in one folder, so nothing of it protects anybody.
#ifndef OTR_APPS_STAGE_H_
#define OTR_APPS_STAGE_H_

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/serve.h"
#include "node/enclave.h"
#include "node/simulated_tee.h"
#include "rollup/auditor.h"
#include "rollup/checker.h"
#include "rollup/fisherman.h"
#include "rollup/operator.h"
#include "rollup/sequencer.h"
#include "sim/liar.h"

namespace otr::apps {

// A model in memory, for the engine and for the ledger.
struct StageModel {
  std::string name;
  model::Artifact artifact;
  engine::PackedModel packed;
  rollup::Weights weights;

  StageModel(std::string its_name, model::Artifact loaded, unsigned threads)
      : name(std::move(its_name)),
        artifact(std::move(loaded)),
        packed(artifact.view()),
        weights{artifact, packed, threads} {}
};

// An operator with its worker's attested session.
struct StageOperator {
  explicit StageOperator(rollup::Mirror its_mirror) : mirror(std::move(its_mirror)) {}

  rollup::Mirror mirror;
  std::unique_ptr<node::Enclave> enclave;
  std::unique_ptr<rollup::Journal> journal;
  std::unique_ptr<rollup::Operator> role;
  std::unique_ptr<crypto::PrivateKey> key;  // null: a service's own
  // With the session's key too: whoever holds it can lie.
  [[nodiscard]] sim::Signing signing() const { return {*enclave->signer(), *key}; }
  crypto::Address address{};
};

class Stage {
 public:
  struct Options {
    std::uint64_t window_ms = 0;  // in which the fisherman must have recomputed what was posted
    std::optional<std::uint32_t> draw_ppm = {};  // share of claims that the beacon draws
  };
  // In an empty folder: ledger, roles, policy. `models` must outlive the stage.
  static Result<std::unique_ptr<Stage>> set_up(const std::filesystem::path& folder,
                                               std::vector<StageModel*> models,
                                               const Options& options);

  // With a stake, a session for the model, and a deposit of the client's. `respond`: how a cheat
  // defends itself (rollup/operator.h).
  Result<StageOperator*> add_operator(const std::string& name, const StageModel& model,
                                      decltype(rollup::OperatorOptions::respond) respond = {});

  // The same of a service that runs beside: its sessions are registered as they come
  // (register_session). `key` must outlive the stage.
  Result<StageOperator*> add_service(const crypto::PrivateKey& key, const StageModel& model);
  Status register_session(const crypto::PrivateKey& key, const protocol::SessionDocument& document);

  // Another follower of the ledger.
  Result<rollup::Mirror> mirror();

  // Lets every role look at the ledger once.
  Status step();
  // Lets all roles work until `done`; kNetwork when that takes longer than `at_most_ms`.
  Status run_until(const std::function<bool()>& done, std::uint64_t at_most_ms);
  // Shuts the ledger with a last checkpoint.
  Status close();

  [[nodiscard]] const ledger::State& state() const { return watch_->state(); }
  // All of the ledger, taken up anew by run_until.
  [[nodiscard]] rollup::Mirror& watch() { return *watch_; }
  [[nodiscard]] rollup::Sequencer& sequencer() { return *sequencer_; }
  [[nodiscard]] const rollup::Fisherman& fisherman() const { return *fisherman_; }
  [[nodiscard]] const rollup::Checker& checker() const { return *checker_; }
  [[nodiscard]] crypto::Address fisherman_address() const { return keys_.at(kFisherman).address(); }
  [[nodiscard]] const crypto::PrivateKey& client() const { return keys_.at(kClient); }
  [[nodiscard]] const crypto::PrivateKey& accuser() const { return keys_.at(kAccuser); }
  [[nodiscard]] const attest::Policy& policy() const { return policy_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  enum Role {
    kSequencer,
    kIssuer,
    kAuditor,
    kGovernor,
    kRegistrant,
    kClient,
    kFisherman,
    kAccuser,
    kChecker
  };
  Stage(std::filesystem::path folder, const Options& options)
      : folder_(std::move(folder)), options_(options) {}
  Status make_keys();
  Status make_ledger();
  Status make_policy();
  Status fund_and_register();
  Status make_roles();
  [[nodiscard]] const rollup::Weights* weights_of(const Hash& model_root) const;
  [[nodiscard]] rollup::DataPort* data_of(const crypto::Address& operator_address) const;
  Status must(const crypto::PrivateKey& key, ledger::Body body);
  Result<StageOperator*> open_operator(const std::string& name, const crypto::PrivateKey& key,
                                       const StageModel& model, std::unique_ptr<StageOperator> made,
                                       decltype(rollup::OperatorOptions::respond) respond);

  const std::filesystem::path folder_;
  const Options options_;
  std::vector<StageModel*> models_;
  std::vector<crypto::PrivateKey> keys_;
  Hash ledger_id_{};
  std::unique_ptr<rollup::Sequencer> sequencer_;
  std::unique_ptr<node::SimulatedTee> tee_;
  attest::Policy policy_;
  std::unique_ptr<rollup::Mirror> watch_, auditors_, fishermans_, checkers_;
  std::unique_ptr<rollup::Auditor> auditor_;
  std::unique_ptr<rollup::Fisherman> fisherman_;
  std::unique_ptr<rollup::Checker> checker_;
  std::vector<std::unique_ptr<StageOperator>> operators_;
};

}  // namespace otr::apps

#endif  // OTR_APPS_STAGE_H_
