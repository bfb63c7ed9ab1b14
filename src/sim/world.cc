#include "sim/world.h"

#include <utility>

#include "base/check.h"
#include "crypto/sha256.h"
#include "machine/tables.h"
#include "model/random_artifact.h"
#include "protocol/session.h"
#include "rollup/registration.h"

namespace otr::sim {
namespace {

constexpr std::uint64_t kStart = 1'790'000'000'000;  // 2026
constexpr std::uint64_t kTickMs = 100;
constexpr std::uint64_t kCheckpointMs = 1000;
constexpr std::uint64_t kBeaconLength = 4096;
constexpr Hash kBeaconSecret{42};
constexpr std::uint32_t kFirstChecker = 1'000'000;  // of the numbers of keys
constexpr rollup::Tariff kHighest{10, 100};
constexpr rollup::Tariff kTariff{2, 10};

// Keys of a world are those of its seed.
crypto::PrivateKey key_number(std::uint64_t seed, std::uint32_t number) {
  Bytes bytes;
  append_le(bytes, seed);
  append_le(bytes, number);
  const Hash scalar = crypto::sha256({as_bytes("SIMULATED key"), bytes});
  return crypto::PrivateKey::from_bytes(scalar).value();
}

Bytes make_genesis(const WorldOptions& options, const std::array<crypto::Address, 4>& roles) {
  ledger::Genesis genesis;
  genesis.sequencer = roles[0];
  genesis.issuer = roles[1];
  genesis.auditor = roles[2];
  genesis.governor = roles[3];
  genesis.beacon_anchor = rollup::beacon_anchor(kBeaconSecret, kBeaconLength);
  for (std::uint8_t i = 0; i < options.checkers; ++i) {
    genesis.checkers.push_back(key_number(options.seed, kFirstChecker + i).address());
  }
  genesis.quorum = options.checkers;
  genesis.trial = 1;
  genesis.time = kStart;
  genesis.parameters = options.parameters.value_or(ledger::example_parameters(true));
  return ledger::encode(genesis);
}

}  // namespace

struct World::Model {
  model::Artifact artifact;
  engine::PackedModel packed;
  rollup::Weights weights;
  Model()
      : artifact(
            model::parse_artifact(*model::encode_artifact(model::random_artifact({}))).value()),
        packed(artifact.view()),
        weights{artifact, packed, 1} {}
  // The same for every world: nothing changes it.
  static std::shared_ptr<const Model> shared() {
    static const auto model = std::make_shared<const Model>();
    return model;
  }
};

World::World(const WorldOptions& options)
    : seed_(options.seed),
      weather_(options.seed),
      model_(Model::shared()),
      sequencer_(key_number(options.seed, 1)),
      issuer_(key_number(options.seed, 2)),
      auditor_(key_number(options.seed, 3)),
      governor_(key_number(options.seed, 4)),
      chain_(make_genesis(options, {sequencer_.address(), issuer_.address(), auditor_.address(),
                                    governor_.address()}),
             key_number(options.seed, 1)),
      keys_made_(4) {
  weather_.now = kStart;
  client_ = funded_key(10'000'000);
  const crypto::PrivateKey registrant = funded_key(1'000'000);
  must(registrant, rollup::register_model(model_->artifact, kHighest, true));
  must(issuer_, ledger::Mint{auditor_.address(), 1'000'000});
  must(issuer_, ledger::Mint{sequencer_.address(), 1'000'000});
  // The auditor's process: the beacon.
  Node& node = add_node("auditor");
  node.boot = [this](Node& self) -> Status {
    beacon_ =
        std::make_unique<rollup::Auditor>(*self.mirror, auditor_, kBeaconSecret, kBeaconLength);
    self.step = [this](std::uint64_t now) { return beacon_->step(now); };
    self.kill = [this] { beacon_.reset(); };
    return {};
  };
  weather_.faults = options.faults;
}

World::~World() = default;

const rollup::Weights& World::weights() const { return model_->weights; }

crypto::PrivateKey World::new_key() { return key_number(seed_, ++keys_made_); }

crypto::PrivateKey World::checker(std::uint8_t number) const {
  return key_number(seed_, kFirstChecker + number);
}

Hash World::beacon_value(std::uint64_t round) {
  return rollup::beacon_value(kBeaconSecret, kBeaconLength, round);
}

crypto::PrivateKey World::funded_key(std::uint64_t amount) {
  crypto::PrivateKey key = new_key();
  must(issuer_, ledger::Mint{key.address(), amount});
  return key;
}

Status World::send(const crypto::PrivateKey& key, ledger::Body body) {
  ledger::Transaction transaction{.body = std::move(body)};
  const auto account = state().accounts.find(key.address());
  if (account != state().accounts.end()) transaction.nonce = account->second.nonce;
  ledger::sign(transaction, state().id, key);
  return chain_.submit(ledger::encode(transaction), weather_.now);
}

void World::must(const crypto::PrivateKey& key, ledger::Body body) {
  const Status done = send(key, std::move(body));
  OTR_CHECK(done.has_value());
}

Node& World::add_node(const std::string& name) {
  nodes_.push_back(std::make_unique<Node>(name, weather_, chain_));
  return *nodes_.back();
}

OperatorNode& World::add_operator(const std::string& name, std::uint64_t stake,
                                  const std::function<void(rollup::OperatorOptions&)>& change) {
  operators_.push_back(std::make_unique<OperatorNode>(OperatorNode{
      .node = &add_node(name),
      .role = nullptr,
      .data = std::make_unique<DataLink>(weather_, nullptr),
      .signers = {.session = {.key = new_key()}, .operator_key = funded_key(stake + 1'000'000)}}));
  OperatorNode& made = *operators_.back();
  must(made.signers.operator_key, ledger::Stake{stake});
  must(*client_, ledger::Deposit{made.signers.operator_key.address(), 100'000});
  new_session(made);
  made.node->boot = [this, &made, change](Node& self) -> Status {
    rollup::OperatorOptions options{
        .key = made.signers.operator_key,
        .value = 100,
        .weights = [this](const Hash&) { return &model_->weights; },
    };
    if (change) change(options);
    OTR_TRY_ASSIGN(made.role, rollup::Operator::open(*self.mirror, self.disk, std::move(options)));
    made.data->lead_to(made.role.get());
    self.step = [&made](std::uint64_t now) { return made.role->step(now); };
    self.kill = [&made] {
      made.data->lead_to(nullptr);
      made.role.reset();
    };
    return {};
  };
  start(*made.node);
  return made;
}

void World::new_session(OperatorNode& of, const std::optional<Hash>& model_root) {
  of.signers.session.key = new_key();
  const std::uint64_t seconds = weather_.now / 1000;
  protocol::SessionDocument document{
      .ledger = state().id,
      .session = {.key = of.signers.session.key.address(),
                  .seal_key = {1},
                  .receipt_key = {2},
                  .operator_address = of.signers.operator_key.address(),
                  .model_root = model_root.value_or(model_->artifact.root()),
                  .spec_hash = machine::kSpecHash,
                  .runtime = {7},
                  .beacon = {3},
                  .epoch = keys_made_,
                  .not_before = seconds - 1,
                  .expiry = seconds + 86'400},
      .evidence = {{.name = "simulated", .data = {0}}}};
  document.signature = of.signers.session.key.sign(protocol::registration_digest(document));
  of.signers.session.session = protocol::session_id(document.session, state().id);
  of.signers.session.ledger = state().id;
  must(of.signers.operator_key, rollup::register_session(document, kTariff));
  of.session = std::move(document);
}

FishermanNode& World::add_fisherman(const std::string& name, std::uint64_t balance,
                                    const std::function<void(rollup::FishermanOptions&)>& change) {
  fishermen_.push_back(std::make_unique<FishermanNode>(
      FishermanNode{&add_node(name), nullptr, funded_key(balance)}));
  FishermanNode& made = *fishermen_.back();
  made.node->boot = [this, &made, change](Node& self) -> Status {
    rollup::FishermanOptions options{
        .key = made.key,
        .sampling_key = crypto::sha256({made.key.address()}),
        .weights = [this](const Hash&) { return &model_->weights; },
        .data = [this](const crypto::Address& address) -> rollup::DataPort* {
          for (const auto& one : operators_) {
            if (one->signers.operator_key.address() == address) return one->data.get();
          }
          return nullptr;
        },
        .stopwatch_ms = [this] { return weather_.now; },
    };
    if (change) change(options);
    made.role = std::make_unique<rollup::Fisherman>(*self.mirror, std::move(options));
    self.step = [&made](std::uint64_t now) { return made.role->step(now); };
    self.kill = [&made] { made.role.reset(); };
    return {};
  };
  start(*made.node);
  return made;
}

protocol::SignedRequest World::request(std::uint32_t max_tokens) {
  return make_request(model_->weights, *client_, next_counter_++, prompt_, max_tokens, state().id);
}

protocol::Receipt World::ask(OperatorNode& of, std::uint32_t max_tokens) {
  const protocol::Receipt receipt =
      answer_honestly(model_->weights, request(max_tokens), prompt_, of.signers);
  give(of, receipt);
  return receipt;
}

void World::give(OperatorNode& to, const protocol::Receipt& receipt) {
  const std::string text = protocol::encode_receipt(receipt).value();
  for (int i = 0; i < 1000; ++i) {
    if (to.role && to.role->add(text, weather_.now)) return;
    run_ms(kTickMs);
  }
  OTR_CHECK(false);
}

void World::run_ms(std::uint64_t duration_ms) {
  const std::uint64_t end = weather_.now + duration_ms;
  while (weather_.now < end) tick();
}

bool World::run_until(const std::function<bool()>& done, std::uint64_t at_most_ms) {
  const std::uint64_t end = weather_.now + at_most_ms;
  while (!done() && weather_.now < end) tick();
  return done();
}

void World::tick() {
  weather_.now += kTickMs;
  while (!weather_.under_way.empty() && weather_.under_way.begin()->first <= weather_.now) {
    const Bytes transaction = weather_.under_way.extract(weather_.under_way.begin()).mapped();
    (void)chain_.submit(transaction, weather_.now);
  }
  if (weather_.now >= next_checkpoint_) {
    OTR_CHECK(chain_.checkpoint(weather_.now).has_value());
    next_checkpoint_ = weather_.now + kCheckpointMs;
  }
  // Who comes first is chance.
  const std::uint64_t first = weather_.random.below(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = *nodes_[(first + i) % nodes_.size()];
    if (!node.is_up && weather_.now >= node.down_until) start(node);
    if (!node.is_up || !node.step) continue;
    if (weather_.now >= node.next_step && !node.link.has_crashed) {
      node.next_step = weather_.now + node.period_ms;
      const Status done = node.step(weather_.now);
      if (!done) node.last_error = done.error().message;
    }
    if (!node.link.has_crashed) continue;
    node.link.has_crashed = node.is_up = false;
    node.kill();
    node.mirror.reset();
    ++node.kills;
    node.down_until = weather_.now + weather_.random.below(2000);
  }
}

void World::start(Node& node) {
  auto mirror = rollup::Mirror::open(node.link, state().id);
  OTR_CHECK(mirror.has_value());
  node.mirror.emplace(*std::move(mirror));
  if (!node.mirror->catch_up()) return;
  const Status booted = node.boot(node);
  node.is_up = booted.has_value();
  if (!booted) node.last_error = booted.error().message;
}

std::uint64_t World::balance(const crypto::Address& of) const {
  const auto found = state().accounts.find(of);
  return found == state().accounts.end() ? 0 : found->second.balance;
}

std::uint64_t World::stake(const OperatorNode& of) const {
  return state().operators.at(of.signers.operator_key.address()).stake;
}

std::optional<ledger::ClaimKey> World::claim_of(OperatorNode& of,
                                                const protocol::Receipt& receipt) {
  if (!of.role) return std::nullopt;
  const auto at = of.role->posted(protocol::digest_of(receipt.claim, receipt.ledger));
  return at ? std::optional(ledger::ClaimKey{at->batch, at->index}) : std::nullopt;
}

}  // namespace otr::sim
