#include "apps/stage.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/hex.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/random.h"
#include "env/signal.h"
#include "ledger/parameters.h"
#include "rollup/registration.h"

namespace otr::apps {
namespace {

constexpr std::uint64_t kBeaconLength = std::uint64_t{1} << 16;
constexpr std::uint32_t kStepMs = 20;
constexpr std::uint64_t kDrawMs = 6'000;  // half of it is enough for the proof of a short answer
constexpr std::uint64_t kMoney = 100'000'000;
constexpr std::uint64_t kStake = 10'000'000;
constexpr rollup::Tariff kHighest{10, 100};
constexpr rollup::Tariff kTariff{2, 10};

// Those for trials.
ledger::Parameters trial_parameters(const Stage::Options& options) {
  ledger::Parameters parameters = ledger::example_parameters(true);
  parameters.window = options.window_ms;
  parameters.post = parameters.force = std::max<std::uint64_t>(options.window_ms, 1000);
  parameters.report = parameters.beacon_interval = 1000;
  parameters.draw = kDrawMs;
  parameters.draw_ppm = options.draw_ppm.value_or(parameters.draw_ppm);
  ledger::set_least_waits(parameters);
  return parameters;
}

}  // namespace

Result<std::unique_ptr<Stage>> Stage::set_up(const std::filesystem::path& folder,
                                             std::vector<StageModel*> models,
                                             const Options& options) {
  std::unique_ptr<Stage> stage(new Stage(folder, options));
  stage->models_ = std::move(models);
  OTR_TRY(stage->make_keys());
  OTR_TRY(stage->make_ledger());
  OTR_TRY(stage->make_policy());
  OTR_TRY(stage->fund_and_register());
  OTR_TRY(stage->make_roles());
  return stage;
}

Status Stage::make_keys() {
  OTR_TRY_ASSIGN(const node::Home home, node::Home::open(folder_ / "keys"));
  for (const char* name : {"sequencer", "issuer", "auditor", "governor", "registrant", "client",
                           "fisherman", "accuser", "checker"}) {
    OTR_TRY_ASSIGN(crypto::PrivateKey key, home.key(name));
    keys_.push_back(std::move(key));
  }
  return {};
}

Status Stage::make_ledger() {
  OTR_TRY_ASSIGN(const Hash beacon, env::random_32_bytes());
  ledger::Genesis genesis;
  genesis.sequencer = keys_[kSequencer].address();
  genesis.issuer = keys_[kIssuer].address();
  genesis.auditor = keys_[kAuditor].address();
  genesis.governor = keys_[kGovernor].address();
  genesis.beacon_anchor = rollup::beacon_anchor(beacon, kBeaconLength);
  genesis.checkers = {keys_[kChecker].address()};
  genesis.quorum = 1;
  genesis.trial = 1;
  genesis.time = env::unix_ms();
  genesis.parameters = trial_parameters(options_);
  const Bytes bytes = ledger::encode(genesis);
  ledger_id_ = ledger::ledger_id(bytes);
  const std::filesystem::path file = folder_ / "ledger.sqlite";
  OTR_TRY_ASSIGN(const node::Home home, node::Home::open(folder_ / "keys"));
  const auto options = [&]() -> Result<settlement::StoreOptions> {
    OTR_TRY_ASSIGN(crypto::PrivateKey key, home.key("sequencer"));
    return settlement::StoreOptions{.sequencer = std::move(key)};
  };
  {
    OTR_TRY_ASSIGN(settlement::StoreOptions chosen, options());
    OTR_TRY_ASSIGN(const auto made, settlement::Store::create(file, bytes, std::move(chosen)));
  }
  OTR_TRY_ASSIGN(settlement::StoreOptions chosen, options());
  OTR_TRY_ASSIGN(sequencer_,
                 rollup::Sequencer::open(file, std::move(chosen), [] { return env::unix_ms(); }));
  OTR_TRY_ASSIGN(rollup::Mirror watch, mirror());
  watch_ = std::make_unique<rollup::Mirror>(std::move(watch));
  OTR_TRY_ASSIGN(rollup::Mirror of_auditor, mirror());
  auditors_ = std::make_unique<rollup::Mirror>(std::move(of_auditor));
  auditor_ = std::make_unique<rollup::Auditor>(*auditors_, keys_[kAuditor], beacon, kBeaconLength);
  return {};
}

Status Stage::make_policy() {
  OTR_TRY_ASSIGN(const node::Measurement measurement, measure_this_program());
  OTR_TRY_ASSIGN(tee_, node::SimulatedTee::open({.folder = folder_, .measurement = measurement}));
  const std::string text = simulated_policy(*tee_, measurement, "otr demo");
  OTR_TRY(env::write_file_atomically(folder_ / "policy.toml", as_bytes(text), 0644));
  OTR_TRY_ASSIGN(policy_, attest::parse_policy(text));
  return {};
}

Status Stage::fund_and_register() {
  for (const Role role :
       {kAuditor, kSequencer, kRegistrant, kClient, kFisherman, kAccuser, kChecker}) {
    OTR_TRY(must(keys_[kIssuer], ledger::Mint{keys_[role].address(), kMoney}));
  }
  for (const StageModel* model : models_) {
    OTR_TRY(must(keys_[kRegistrant], rollup::register_model(model->artifact, kHighest, true)));
  }
  return {};
}

Status Stage::make_roles() {
  OTR_TRY_ASSIGN(rollup::Mirror own, mirror());
  fishermans_ = std::make_unique<rollup::Mirror>(std::move(own));
  rollup::FishermanOptions options{.key = keys_[kFisherman]};
  OTR_TRY_ASSIGN(options.sampling_key, env::random_32_bytes());
  options.attends = true;
  options.weights = [this](const Hash& root) { return weights_of(root); };
  options.data = [this](const crypto::Address& address) { return data_of(address); };
  fisherman_ = std::make_unique<rollup::Fisherman>(*fishermans_, std::move(options));
  OTR_TRY_ASSIGN(rollup::Mirror of_checker, mirror());
  checkers_ = std::make_unique<rollup::Mirror>(std::move(of_checker));
  checker_ = std::make_unique<rollup::Checker>(
      *checkers_, rollup::CheckerOptions{
                      .key = keys_[kChecker],
                      .weights = [this](const Hash& root) { return weights_of(root); },
                      .data = [this](const crypto::Address& address) { return data_of(address); }});
  return {};
}

const rollup::Weights* Stage::weights_of(const Hash& model_root) const {
  for (const StageModel* model : models_) {
    if (model->artifact.root() == model_root) return &model->weights;
  }
  return nullptr;
}

rollup::DataPort* Stage::data_of(const crypto::Address& operator_address) const {
  for (const auto& one : operators_) {
    if (one->address == operator_address) return one->role.get();
  }
  return nullptr;
}

Result<StageOperator*> Stage::add_operator(const std::string& name, const StageModel& model,
                                           decltype(rollup::OperatorOptions::respond) respond) {
  OTR_TRY_ASSIGN(rollup::Mirror own, mirror());
  auto made = std::make_unique<StageOperator>(std::move(own));
  OTR_TRY_ASSIGN(const node::Home home, node::Home::open(folder_ / "keys"));
  OTR_TRY_ASSIGN(crypto::PrivateKey key, home.key(name));
  made->key = std::make_unique<crypto::PrivateKey>(std::move(key));
  OTR_TRY_ASSIGN(const Hash beacon, env::random_32_bytes());
  OTR_TRY_ASSIGN(made->enclave, node::Enclave::create(*tee_, nullptr,
                                                      {.operator_address = made->key->address(),
                                                       .model_root = model.artifact.root(),
                                                       .ledger = ledger_id_,
                                                       .not_before = env::unix_seconds() - 120,
                                                       .beacon = beacon}));
  const crypto::PrivateKey& its_key = *made->key;
  const protocol::SessionDocument document = made->enclave->document();
  OTR_TRY_ASSIGN(StageOperator * opened,
                 open_operator(name, its_key, model, std::move(made), std::move(respond)));
  OTR_TRY(register_session(its_key, document));
  return opened;
}

Result<StageOperator*> Stage::add_service(const crypto::PrivateKey& key, const StageModel& model) {
  OTR_TRY_ASSIGN(rollup::Mirror own, mirror());
  return open_operator("service", key, model, std::make_unique<StageOperator>(std::move(own)), {});
}

Result<StageOperator*> Stage::open_operator(const std::string& name, const crypto::PrivateKey& key,
                                            const StageModel& model,
                                            std::unique_ptr<StageOperator> made,
                                            decltype(rollup::OperatorOptions::respond) respond) {
  made->address = key.address();
  OTR_TRY(must(keys_[kIssuer], ledger::Mint{made->address, kMoney}));
  OTR_TRY(must(key, ledger::Stake{kStake}));
  OTR_TRY(must(keys_[kClient], ledger::Deposit{made->address, kStake / 10}));
  OTR_TRY_ASSIGN(made->journal, rollup::open_journal(folder_ / (name + ".journal")));
  rollup::OperatorOptions options{.key = key,
                                  .value = 1000,
                                  .weights = [&model](const Hash&) { return &model.weights; },
                                  .prover = rollup::ProverOptions{.folder = folder_ / "proofs",
                                                                  .threads = model.weights.threads},
                                  .respond = std::move(respond)};
  OTR_TRY_ASSIGN(made->role,
                 rollup::Operator::open(made->mirror, *made->journal, std::move(options)));
  operators_.push_back(std::move(made));
  return operators_.back().get();
}

Status Stage::register_session(const crypto::PrivateKey& key,
                               const protocol::SessionDocument& document) {
  return must(key, rollup::register_session(document, kTariff));
}

Status Stage::step() {
  const std::uint64_t now = env::unix_ms();
  if (rollup::is_checkpoint_due(*watch_, now)) OTR_TRY(sequencer_->checkpoint());
  OTR_TRY(auditor_->step(now));
  for (const auto& one : operators_) OTR_TRY(one->role->step(now));
  OTR_TRY(fisherman_->step(now));
  OTR_TRY(checker_->step(now));
  return watch_->catch_up();
}

Status Stage::run_until(const std::function<bool()>& done, std::uint64_t at_most_ms) {
  const std::uint64_t end = env::unix_ms() + at_most_ms;
  while (true) {
    OTR_TRY(step());
    if (done()) return {};
    if (env::interrupted()) return fail(ErrorKind::kCancelled, "Stopped.");
    if (env::unix_ms() >= end) return fail(ErrorKind::kNetwork, "The demo waited in vain.");
    std::this_thread::sleep_for(std::chrono::milliseconds(kStepMs));
  }
}

Status Stage::close() { return sequencer_->close(); }

Result<rollup::Mirror> Stage::mirror() {
  OTR_TRY_ASSIGN(rollup::Mirror made, rollup::Mirror::open(*sequencer_, ledger_id_));
  OTR_TRY(made.catch_up());
  return made;
}

Status Stage::must(const crypto::PrivateKey& key, ledger::Body body) {
  OTR_TRY(watch_->catch_up());
  return watch_->send(key, std::move(body));
}

}  // namespace otr::apps
