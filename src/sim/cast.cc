#include "sim/cast.h"

#include <stdlib.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "crypto/sha256.h"
#include "machine/tensors.h"
#include "rollup/batch_data.h"
#include "rollup/clocks.h"
#include "trace/micro_trace.h"

namespace otr::sim {
namespace {

using machine::Tensor;

Hash random_hash(Random& random) {
  Hash hash;
  for (auto& byte : hash) byte = static_cast<std::uint8_t>(random.below(256));
  return hash;
}

}  // namespace

protocol::Receipt Liar::forge_tensor(const protocol::SignedRequest& request,
                                     const protocol::Receipt& honest, const Signing& signers,
                                     bool is_leaf_alone, Random& random) {
  const machine::Model& model = weights_.artifact.view();
  const referee::ModelFacts facts = referee::model_facts(
      weights_.artifact.root(), weights_.artifact.config(), model.token_bytes.size());
  const std::size_t rows = honest.prompt_ids.size() + honest.output_ids.size() - 1;
  const referee::Position at{static_cast<std::uint32_t>(random.below(rows)),
                             static_cast<std::uint32_t>(random.below(model.shape.layers))};
  const auto& sampling = request.request.sampling;
  std::vector<Tensor> tensors = trace::micro_tensors_of(facts.program, sampling, at.t, at.layer);
  if (is_leaf_alone) tensors = {Tensor::kK, Tensor::kV, Tensor::kXOut};
  const Tensor tensor = tensors[random.below(tensors.size())];
  const std::uint64_t size =
      machine::shape_of(facts.program, sampling, at.t, at.layer, tensor).size();
  const Alter alter = element_changed(at, tensor, random.below(size), is_leaf_alone);
  protocol::Receipt forged = forge_execution(weights_, request, honest.prompt_ids, alter, signers);
  defences_.try_emplace(forged.claim.trace_root, weights_, alter, true);
  return forged;
}

protocol::Receipt Liar::forge(Lie lie, const protocol::SignedRequest& request,
                              const std::vector<std::uint32_t>& prompt_ids, const Signing& signers,
                              Random& random) {
  protocol::Receipt honest = answer_honestly(weights_, request, prompt_ids, signers);
  protocol::Claim claim = honest.claim;
  const auto sign = [&] {
    return sign_anything(weights_, request, prompt_ids, honest.output_ids, claim, honest.trace_path,
                         signers);
  };
  switch (lie) {
    case Lie::kToken: {
      const auto at = static_cast<std::uint32_t>(random.below(honest.output_ids.size()));
      const auto token =
          static_cast<std::uint32_t>(random.below(weights_.artifact.view().shape.vocabulary));
      const auto t = static_cast<std::uint32_t>(prompt_ids.size()) - 1 + at;
      protocol::Receipt forged = forge_token(weights_, request, prompt_ids, at, token, signers);
      defences_.try_emplace(forged.claim.trace_root, weights_, token_at(t, token), false);
      return forged;
    }
    case Lie::kTensor:
    case Lie::kLeaf:
      return forge_tensor(request, honest, signers, lie == Lie::kLeaf, random);
    case Lie::kRoot:
      claim.trace_root = random_hash(random);
      return sign();
    case Lie::kFinish:
      claim.finish_reason = static_cast<std::uint8_t>(claim.finish_reason % 3 + 1);
      return sign();
    case Lie::kCount:
      claim.out_count += random.below(2) == 0 ? 1 : 1000;
      return sign();
    case Lie::kPrompt: {
      std::vector<std::uint32_t> other = prompt_ids;
      other[random.below(other.size())] ^= 1;
      return answer_honestly(weights_, request, other, signers);
    }
  }
  return honest;
}

dispute::Action Liar::operator()(const protocol::Receipt& receipt, const dispute::Game& game,
                                 const dispute::Facts& facts) {
  if (defence_ == Defence::kYields) return dispute::Concede{};
  if (defence_ == Defence::kStubborn) return dispute::Close{};
  if (!referee::check_statement(facts.statement)) return dispute::Concede{};
  const Alter nothing = [](const auto&, auto, auto&) {};
  LiarsDefence& defence =
      defences_.try_emplace(receipt.claim.trace_root, weights_, nothing, false).first->second;
  if (defence_ == Defence::kFights) return defence(receipt, game, facts);
  return LiarsDefence(weights_, nothing, false)(receipt, game, facts);
}

bool is_true(const rollup::Weights& weights, const protocol::Receipt& receipt,
             const std::vector<std::uint32_t>& prompt_ids, const Signing& signers) {
  const protocol::Claim own = answer_honestly(weights, receipt.request, prompt_ids, signers).claim;
  const protocol::Claim& claim = receipt.claim;
  return claim.trace_root == own.trace_root && claim.finish_reason == own.finish_reason &&
         claim.out_count == own.out_count && claim.prompt_count == own.prompt_count;
}

Result<std::vector<std::string>> BentData::receipts(const Hash& batch_root) {
  const Hash before = std::exchange(another_, batch_root);
  const Service service =
      service_ == Service::kFickle ? static_cast<Service>(random_.below(kServices - 1)) : service_;
  if (service == Service::kSilent) return fail(ErrorKind::kNetwork, "SIMULATED: nobody there.");
  if (service == Service::kRefuses) return fail(ErrorKind::kBadInput, "SIMULATED: refused.");
  if (service == Service::kAnotherBatch) return there_.receipts(before);
  OTR_TRY_ASSIGN(std::vector<std::string> texts, there_.receipts(batch_root));
  std::string& one = texts[random_.below(texts.size())];
  if (service == Service::kShort) texts.pop_back();
  if (service == Service::kShuffled) std::ranges::reverse(texts);
  if (service == Service::kGarbage) one[random_.below(one.size())] ^= 1;
  if (service != Service::kPrompt && service != Service::kOutput && service != Service::kCounter) {
    return texts;
  }
  OTR_TRY_ASSIGN(protocol::Receipt receipt, protocol::decode_receipt(one));
  if (service == Service::kCounter) {
    ++receipt.request.request.counter;
    OTR_TRY_ASSIGN(one, protocol::encode_receipt(receipt));
    return texts;
  }
  auto& ids = service == Service::kPrompt ? receipt.prompt_ids : receipt.output_ids;
  if (!ids.empty()) ids[random_.below(ids.size())] = static_cast<std::uint32_t>(random_.next());
  if (random_.below(4) == 0) ids.clear();
  OTR_TRY_ASSIGN(one, protocol::encode_receipt(receipt));
  return texts;
}

Result<Bytes> BentData::proof(const Hash& digest) {
  if (service_ == Service::kSilent) return fail(ErrorKind::kNetwork, "SIMULATED: nobody there.");
  if (service_ == Service::kRefuses) return fail(ErrorKind::kBadInput, "SIMULATED: refused.");
  OTR_TRY_ASSIGN(Bytes proof, there_.proof(digest));
  if (service_ == Service::kGarbage) proof[random_.below(proof.size())] ^= 1;
  return proof;
}

Status Accuser::step(std::uint64_t now) {
  OTR_TRY(mirror_.catch_up());
  for (const std::uint64_t number : std::set(mirror_.open_games())) {
    if (mirror_.state().games.at(number).challenger == options_.key.address()) {
      OTR_TRY(play(number, now));
    }
  }
  return options_.games_left > 0 && options_.random.below(8) == 0 ? accuse(now) : Status();
}

Status Accuser::accuse(std::uint64_t now) {
  const ledger::State& state = mirror_.state();
  const auto& open = mirror_.open_batches();
  if (open.empty()) return {};
  const std::uint64_t number =
      *std::next(open.begin(), static_cast<std::ptrdiff_t>(options_.random.below(open.size())));
  const ledger::Batch& batch = state.batches.at(number);
  if (now >= ledger::window_end(state, batch)) return {};
  const auto index = static_cast<std::uint32_t>(options_.random.below(batch.count));
  --options_.games_left;
  const auto claims = rollup::fetch_batch(*options_.data(batch.operator_address), batch,
                                          ledger::claims_ledger(state));
  if (!claims || options_.random.below(4) == 0) {
    return mirror_.send(options_.key, ledger::DemandClaim{number, index});
  }
  std::vector<Hash> hashes;
  for (const auto& one : *claims) {
    hashes.push_back(protocol::digest_of(one.claim, ledger::claims_ledger(state)));
  }
  return mirror_.send(options_.key, ledger::Challenge{.batch = number,
                                                      .index = index,
                                                      .claim = (*claims)[index].claim,
                                                      .path = rollup::batch_path(hashes, index),
                                                      .request = (*claims)[index].request});
}

Status Accuser::move(std::uint64_t number, dispute::Action action) {
  const Hash& digest = mirror_.state().games.at(number).game_digest;
  const dispute::Move made{dispute::Side::kChallenger, digest, std::move(action)};
  return mirror_.send(options_.key, ledger::Move{number, dispute::encode_move(made)});
}

Status Accuser::play(std::uint64_t number, std::uint64_t now) {
  const ledger::GameEntry& game = mirror_.state().games.at(number);
  if (rollup::is_due_to_close(mirror_.state(), game, dispute::Side::kChallenger, now)) {
    return mirror_.send(options_.key, ledger::CloseGame{number});
  }
  if (!rollup::is_turn_of(game, dispute::Side::kChallenger)) return {};
  Random& random = options_.random;
  const std::uint32_t tokens = game.request.prompt_count + game.claim.out_count;
  const std::uint64_t style = number % 5;
  if (style == 0) return {};  // lets its clock run out
  if (style == 1 || game.game.move_count > 12) return move(number, dispute::Concede{});
  if (!game.game.leaf && style == 2) {
    const std::uint64_t at = random.below(tokens);
    return move(number, referee::Demand{{referee::Place::kTokens, 0, 0}, 0, at, at + 1});
  }
  if (!game.game.leaf) {
    return move(number, dispute::Challenge{{.t = random.below(tokens), .stream = {}, .tile = 0}});
  }
  const Status bluff =
      move(number,
           referee::Proof{.kind = referee::ProofKind::kStep, .tensor = Tensor::kToken, .index = 0});
  if (bluff || bluff.error().kind != ErrorKind::kReject) return bluff;
  return move(number, dispute::Concede{});
}

std::unique_ptr<CheckerNode> add_checker(World& world, std::uint8_t number,
                                         rollup::DataPort& data) {
  auto made = std::make_unique<CheckerNode>(CheckerNode{
      .node = &world.add_node("checker"), .key = world.checker(number), .data = &data, .role = {}});
  const crypto::PrivateKey patron = world.funded_key(1'000);
  OTR_CHECK(world.send(patron, ledger::Transfer{made->key.address(), 900}).has_value());
  CheckerNode& checker = *made;
  checker.node->boot = [&world, &checker](Node& self) -> Status {
    checker.role = std::make_unique<rollup::Checker>(
        *self.mirror,
        rollup::CheckerOptions{.key = checker.key,
                               .weights = [&world](const Hash&) { return &world.weights(); },
                               .data = [&checker](const crypto::Address&) { return checker.data; },
                               .stopwatch_ms = [&world] { return world.weather().now; }});
    self.step = [&checker](std::uint64_t now) { return checker.role->step(now); };
    self.kill = [&checker] { checker.role.reset(); };
    return {};
  };
  return made;
}

protocol::Receipt attested(protocol::Receipt receipt, const OperatorNode& by) {
  receipt.evidence_kind = protocol::kSession;
  receipt.session = by.session;
  return receipt;
}

ProofFolder::ProofFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "otr-proofs-XXXXXX").string();
  OTR_CHECK(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

ProofFolder::~ProofFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

rollup::ProverOptions ProofFolder::at_once() const {
  return {.folder = path_, .ns_per_unit = 1, .beside = [](const auto& run) { run(); }};
}

Result<Bytes> ProofShelf::proof(const Hash& digest) {
  const auto found = proofs_.find(digest);
  return found != proofs_.end() ? Result<Bytes>(found->second) : there_.proof(digest);
}

Hash ProofShelf::put(Bytes proof) {
  const Hash digest = crypto::sha256({proof});
  proofs_[digest] = std::move(proof);
  return digest;
}

}  // namespace otr::sim
