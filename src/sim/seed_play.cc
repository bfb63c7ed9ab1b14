#include "sim/seed_play.h"

#include <algorithm>
#include <utility>

namespace otr::sim {
namespace {

constexpr std::uint64_t kPause = 100;         // between two looks of the script
constexpr std::uint64_t kAsking = 20'000;     // the time in which questions come
constexpr std::uint64_t kLongest = 400'000;   // all of it
constexpr std::uint64_t kLongestCut = 2'000;  // far below every window and clock
constexpr std::uint64_t kBetweenCuts = 4'000;
constexpr std::uint64_t kLongestNap = 4'000;  // of a fisherman
constexpr std::uint64_t kPatience = 5'000;    // of a client whose receipt is not posted

ledger::Parameters parameters_for(Random& random) {
  ledger::Parameters parameters = ledger::example_parameters(true);
  parameters.window = 16'000;
  parameters.post = 6'000;
  parameters.force = 8'000;
  parameters.draw = 8'000;
  parameters.report = 2'000;
  parameters.draw_ppm = static_cast<std::uint32_t>(random.below(300'000));
  ledger::set_least_waits(parameters);
  return parameters;
}

Faults faults_for(Random& random) {
  if (random.below(6) == 0) return {};
  return {.lose_request = static_cast<std::uint32_t>(random.below(150'000)),
          .lose_answer = static_cast<std::uint32_t>(random.below(100'000)),
          .delay = static_cast<std::uint32_t>(random.below(150'000)),
          .max_delay_ms = random.below(1'500),
          .repeat = static_cast<std::uint32_t>(random.below(100'000)),
          .crash = static_cast<std::uint32_t>(random.below(30'000))};
}

}  // namespace

// Whoever told the client this must be slashed for it, posted or not.
bool must_fall(const Told& told) {
  if (told.player->kind == Kind::kEquivocates) return !told.is_true;
  return told.player->kind == Kind::kNeverPosts && !told.is_revoked;
}

SeedPlay::SeedPlay(std::uint64_t seed)
    : seed_(seed),
      random_(seed ^ 0x5eed),
      world_({.seed = seed, .faults = faults_for(random_), .parameters = parameters_for(random_)}),
      begin_(world_.weather().now) {}

// --- The stage

void SeedPlay::set_stage() {
  const std::uint64_t honest = 1 + random_.below(2);
  const std::uint64_t cheats = random_.below(4);
  for (std::uint64_t i = 0; i < honest; ++i) add_player(Kind::kHonest);
  for (std::uint64_t i = 0; i < cheats; ++i) {
    const Kind kinds[] = {Kind::kLiar,       Kind::kLiar,        Kind::kFallsSilent,
                          Kind::kNeverPosts, Kind::kEquivocates, Kind::kCanary};
    add_player(kinds[random_.below(std::size(kinds))]);
  }
  // The first is honest and has its float, so that INV-6 speaks of every seed.
  const std::uint64_t hunters = 1 + random_.below(3);
  for (std::uint64_t i = 0; i < hunters; ++i) add_hunter(i);
  for (std::uint64_t i = random_.below(3); i > 0; --i) add_accuser();
  add_client();
}

void SeedPlay::add_player(Kind kind) {
  Player& player = players_.emplace_back();
  player.kind = kind;
  if (kind == Kind::kLiar || kind == Kind::kFallsSilent) {
    const auto defence = static_cast<Defence>(random_.below(kDefences));
    player.liar = std::make_unique<Liar>(world_.weights(), defence);
  }
  if (kind == Kind::kCanary) {
    const crypto::PrivateKey& funder = funders_.emplace_back(world_.funded_key(10 * kStake));
    player.canaries = std::make_unique<CanaryNode>(world_, funder);
  }
  const std::uint64_t batch_every_ms = random_.below(1'500);
  const auto max_batch = static_cast<std::uint32_t>(1 + random_.below(6));
  player.at = &world_.add_operator("operator " + std::to_string(players_.size()), kStake,
                                   [=, &player](rollup::OperatorOptions& options) {
                                     options.batch_every_ms = batch_every_ms;
                                     options.max_batch = max_batch;
                                     if (player.liar) options.respond = std::ref(*player.liar);
                                     if (player.canaries) {
                                       options.respond = [&player](const auto&... all) {
                                         return player.canaries->respond(all...);
                                       };
                                     }
                                   });
  Node& node = *player.at->node;
  node.period_ms = 100 + random_.below(300);
  const bool is_bent = random_.below(3) == 0;
  const auto service = is_bent ? static_cast<Service>(random_.below(kServices)) : Service::kHonest;
  player.data = std::make_unique<BentData>(*player.at->data, service, random_);
  if (kind != Kind::kFallsSilent) return;
  // Its process runs, and does nothing any more.
  const auto boot = node.boot;
  const auto hush = [&player](Node& self) {
    if (self.step) {
      self.step = [&player, step = self.step](std::uint64_t at) {
        return player.is_silent ? Status() : step(at);
      };
    }
  };
  hush(node);
  node.boot = [boot, hush](Node& self) -> Status {
    OTR_TRY(boot(self));
    hush(self);
    return {};
  };
}

void SeedPlay::add_hunter(std::uint64_t number) {
  const bool is_lazy = number > 0 && random_.below(3) == 0;
  const bool is_poor = number > 0 && random_.below(3) == 0;
  const auto check_ppm = static_cast<std::uint32_t>(is_lazy ? random_.below(500'000) : 1'000'000);
  FishermanNode& made = world_.add_fisherman(
      "fisherman " + std::to_string(number), is_poor ? 9'000 : kFloat,
      [this, check_ppm, number](rollup::FishermanOptions& options) {
        options.check_ppm = check_ppm;
        options.attends = number % 2 == 0;
        options.data = [this](const crypto::Address& address) { return data_of(address); };
      });
  made.node->period_ms = 100 + random_.below(500);
  hunters_.push_back({&made, !is_lazy && !is_poor});
}

void SeedPlay::add_accuser() {
  const crypto::PrivateKey& key = accusers_.emplace_back(world_.funded_key(kFloat));
  std::uint32_t& left = accusations_.emplace_back(static_cast<std::uint32_t>(1 + random_.below(4)));
  const std::size_t number = accuser_roles_.size();
  accuser_roles_.emplace_back();
  Node& node = world_.add_node("accuser " + std::to_string(number));
  node.boot = [this, number, &key, &left](Node& self) -> Status {
    accuser_roles_[number] = std::make_unique<Accuser>(
        *self.mirror, AccuserOptions{key, random_, left, [this](const crypto::Address& address) {
                                       return data_of(address);
                                     }});
    self.step = [this, number](std::uint64_t at) { return accuser_roles_[number]->step(at); };
    self.kill = [this, number] { accuser_roles_[number].reset(); };
    return {};
  };
}

// One process that watches all receipts of the client, by operator.
void SeedPlay::add_client() {
  Node& node = world_.add_node("client");
  node.boot = [this](Node& self) -> Status {
    watchers_.clear();
    for (std::size_t i = 0; i < players_.size(); ++i) {
      watchers_.push_back(
          std::make_unique<rollup::Watcher>(*self.mirror, world_.client(), kPatience));
    }
    for (Told* one : std::exchange(watched_, {})) {
      watched_.push_back(one);
      for (std::size_t i = 0; i < players_.size(); ++i) {
        if (&players_[i] == one->player) watchers_[i]->add(one->receipt, now());
      }
    }
    self.step = [this](std::uint64_t at) -> Status {
      for (std::size_t i = 0; i < watchers_.size(); ++i) {
        OTR_TRY(watchers_[i]->step(at, players_[i].data.get()));
      }
      return {};
    };
    self.kill = [this] { watchers_.clear(); };
    return {};
  };
}

bool SeedPlay::is_honest(const crypto::Address& operator_address) const {
  return std::ranges::any_of(players_, [&](const Player& player) {
    return (player.kind == Kind::kHonest || player.kind == Kind::kCanary) &&
           player.at->signers.operator_key.address() == operator_address;
  });
}

rollup::DataPort* SeedPlay::data_of(const crypto::Address& operator_address) const {
  for (const Player& player : players_) {
    if (player.at->signers.operator_key.address() == operator_address) return player.data.get();
  }
  return nullptr;
}

// --- The play

void SeedPlay::ask() {
  Player& player = players_[random_.below(players_.size())];
  const auto max_tokens = static_cast<std::uint32_t>(1 + random_.below(7));
  const protocol::SignedRequest request = world_.request(max_tokens);
  const Signing& signers = player.at->signers;
  const auto honest = [&] {
    return answer_honestly(world_.weights(), request, world_.prompt(), signers);
  };
  if (player.kind == Kind::kCanary) {
    if (!player.is_canary_due) player.canaries->make(*player.at);
    player.is_canary_due = true;
    return;
  }
  if (player.kind == Kind::kEquivocates) {
    Liar liar(world_.weights(), Defence::kYields);
    const bool is_true_posted = random_.below(2) == 0;
    tell(player, honest(), is_true_posted);
    tell(player, liar.forge(Lie::kToken, request, world_.prompt(), signers, random_),
         !is_true_posted);
    return;
  }
  if (!player.liar || random_.below(3) == 0) {
    return tell(player, honest(), player.kind != Kind::kNeverPosts);
  }
  const auto lie = static_cast<Lie>(random_.below(kLies));
  tell(player, player.liar->forge(lie, request, world_.prompt(), signers, random_), true);
}

void SeedPlay::tell(Player& player, protocol::Receipt receipt, bool is_for_posting) {
  Told& told = told_.emplace_back();
  told.player = &player;
  told.is_true = is_true(world_.weights(), receipt, world_.prompt(), player.at->signers);
  told.is_for_posting = is_for_posting;
  told.text = *protocol::encode_receipt(receipt);
  told.hash = protocol::digest_of(receipt.claim, receipt.ledger);
  told.receipt = std::move(receipt);
  watched_.push_back(&told);
  if (watchers_.empty()) return;
  for (std::size_t i = 0; i < players_.size(); ++i) {
    if (&players_[i] == &player) watchers_[i]->add(told.receipt, now());
  }
}

// Hands the operators what they have not acknowledged; some gateways try only once.
void SeedPlay::give() {
  for (Player& player : players_) {
    if (player.is_canary_due) player.is_canary_due = !player.canaries->hand_over();
  }
  for (Told& told : told_) {
    if (!told.is_for_posting || told.is_given || !told.player->at->role) continue;
    Node& node = *told.player->at->node;
    if (!node.is_up || node.link.has_crashed || told.player->is_silent) continue;
    told.is_given = told.player->at->role->add(told.text, now()).has_value();
    if (told.is_given && told.player->kind == Kind::kFallsSilent && random_.below(4) == 0) {
      told.player->is_silent = !told.is_true;
    }
    if (told.is_given && random_.below(12) == 0) node.link.has_crashed = true;
  }
}

void SeedPlay::break_something() {
  for (const auto& node : world_.nodes()) {
    std::uint64_t& until = cut_until_[node->name];
    node->link.is_cut = now() < until;
    if (now() < until + kBetweenCuts || random_.below(100) != 0) continue;
    until = now() + random_.below(kLongestCut);
    ++cuts_;
  }
  for (const auto& node : world_.nodes()) {
    if (node->is_up && random_.below(600) == 0) node->link.has_crashed = true;
  }
  for (const Hunter& hunter : hunters_) {
    Node& node = *hunter.at->node;
    if (!node.is_up || random_.below(300) != 0) continue;
    node.link.has_crashed = true;
    world_.run_ms(kPause);
    node.down_until = now() + random_.below(kLongestNap);
  }
  if (now() < begin_ + kAsking && random_.below(400) == 0) {
    revoke(players_[random_.below(players_.size())]);
  }
}

// A worker goes, another comes; what is not posted of the old session never will be.
void SeedPlay::revoke(Player& player) {
  // A canary that can be posted no more burns its bond: nobody who funds canaries does this.
  if (world_.stake(*player.at) == 0 || player.canaries) return;
  const Hash old = player.at->signers.session.session;
  world_.new_session(*player.at);
  (void)world_.send(player.at->signers.operator_key, ledger::RevokeSession{old});
  for (Told& told : told_) told.is_revoked |= told.receipt.claim.session == old;
}

// Nothing is left that could still change what the rules speak of.
bool SeedPlay::is_settled() {
  const ledger::State& state = world_.state();
  for (const auto& [number, game] : state.games) {
    if (game.stage != ledger::Stage::kEnded) return false;
  }
  for (const auto& [hash, force] : state.forces) {
    if (force.status == ledger::ForceStatus::kOpen) return false;
  }
  for (const auto& [key, canary] : state.canaries) {
    if (canary.status == ledger::CanaryStatus::kOpen) return false;
  }
  for (const auto& [number, batch] : state.batches) {
    if (ledger::is_void(state, batch)) continue;
    if (now() < ledger::window_end(state, batch)) return false;
    const bool is_open = batch.status == ledger::BatchStatus::kOpen;
    if (is_open && is_honest(batch.operator_address)) return false;
  }
  for (const Told& told : told_) {
    const bool is_due = told.player->kind == Kind::kHonest && !told.is_revoked;
    if (is_due && !state.settled_requests.contains(
                      {told.receipt.claim.request_hash, told.receipt.operator_address}))
      return false;
    if (must_fall(told) && world_.stake(*told.player->at) != 0) return false;
  }
  return true;
}

void SeedPlay::play() {
  std::uint64_t next_ask = now();
  while (now() < begin_ + kAsking || (!is_settled() && now() < begin_ + kLongest)) {
    if (now() >= next_ask && now() < begin_ + kAsking) {
      ask();
      next_ask = now() + random_.below(3'000);
    }
    give();
    break_something();
    world_.run_ms(kPause);
  }
  // The weather clears, for whoever wants to look.
  world_.weather().faults = {};
  for (const auto& node : world_.nodes()) node->link.is_cut = false;
  world_.run_ms(2 * kLongestNap);
}

}  // namespace otr::sim
