#include "ledger/test_world.h"

#include <array>
#include <memory>

#include "base/check.h"
#include "crypto/sha256.h"
#include "dispute/game.h"
#include "ledger/invariants.h"
#include "machine/tables.h"
#include "model/artifact.h"
#include "protocol/eip712.h"

namespace otr::ledger {
namespace {

constexpr std::uint64_t kStart = 1'790'000'000'000;  // 2026
constexpr std::size_t kBeaconValues = 64;

Hash beacon_step(const Hash& value) { return crypto::sha256({as_bytes("OTR.beac"), value}); }

}  // namespace

const crypto::PrivateKey& key_of(std::uint8_t who) {
  static std::map<std::uint8_t, crypto::PrivateKey> keys;
  const auto found = keys.find(who);
  if (found != keys.end()) return found->second;
  Bytes scalar(32);
  scalar[31] = who;
  return keys.emplace(who, crypto::PrivateKey::from_bytes(scalar).value()).first->second;
}

Address address_of(std::uint8_t who) {
  static std::map<std::uint8_t, Address> addresses;
  const auto [found, is_new] = addresses.try_emplace(who);
  if (is_new) found->second = key_of(who).address();
  return found->second;
}

World::World(std::string_view artifact) {
  beacon_.resize(kBeaconValues);
  beacon_.back() = {42};
  for (std::size_t i = kBeaconValues - 1; i-- > 0;) beacon_[i] = beacon_step(beacon_[i + 1]);
  Genesis made;
  made.sequencer = address_of(kSequencer);
  made.issuer = address_of(kIssuer);
  made.auditor = address_of(kAuditor);
  made.governor = address_of(kGovernor);
  made.checkers = {address_of(kCheckerA), address_of(kCheckerB), address_of(kCheckerC)};
  made.quorum = 2;
  made.beacon_anchor = beacon_step(beacon_[0]);
  made.trial = 1;
  made.time = now = kStart;
  made.parameters = example_parameters(true);
  made.parameters.draw_ppm = 500'000;
  genesis = encode(made);
  state = genesis_state(genesis).value();
  for (const std::uint8_t who : {kClient, kOperator, kOther, kFisherman}) {
    must(kIssuer, Mint{address_of(who), 100'000'000});
  }
  register_model(artifact);
  for (const std::uint8_t who : {kOperator, kOther}) {
    must(who, Stake{10'000'000});
    session[who] = new_session(who);
    must(kClient, Deposit{address_of(who), 1'000'000});
  }
}

void World::register_model(std::string_view artifact) {
  const ByteView bytes = as_bytes(artifact);
  const auto parsed = model::parse_artifact(Bytes(bytes.begin(), bytes.end())).value();
  model = parsed.root();
  RegisterModel body{.root = model, .max_prompt_tariff = 10, .max_output_tariff = 100};
  const std::string config = model::encode_config(parsed.config());
  body.config.assign(config.begin(), config.end());
  merkle::Tree list;
  list.append(crypto::sha256({as_bytes("OTR.conf"), as_bytes(config)}));
  list.append(crypto::sha256({as_bytes("OTR.toks"), as_bytes(parsed.tokenizer())}));
  list.append(crypto::sha256({as_bytes("OTR.tmpl"), as_bytes(parsed.chat_template())}));
  for (const model::Tensor& tensor : parsed.tensors()) list.append(tensor.root);
  const ByteView tokens = parsed.tensors().back().data;
  merkle::Tree tiles;
  merkle::append_rows(tiles, merkle::Kind::kModelTensor, merkle::Type::kU8, tokens.size(), tokens);
  body.token_bytes = tokens.size();
  body.config_path = list.open_range(0, 1);
  body.token_tile.assign(tokens.begin(),
                         tokens.begin() + std::min<std::ptrdiff_t>(512, std::ssize(tokens)));
  body.token_path = tiles.open_range(0, 1);
  body.list_path = list.open_range(list.size() - 1, list.size());
  must(kOther, body);
}

Transaction World::make(std::uint8_t who, Body body) const {
  Transaction transaction;
  const auto account = state.accounts.find(address_of(who));
  transaction.nonce = account == state.accounts.end() ? 0 : account->second.nonce;
  transaction.body = std::move(body);
  sign(transaction, state.id, key_of(who));
  return transaction;
}

bool World::apply_bytes(ByteView bytes) {
  const State before = state;
  const Result<Events> done = apply(state, bytes, now);
  if (!done) {
    code = done.error().code;
    message = done.error().message;
    if (digest_of(before) != digest_of(state)) failure = "INV-4: a refusal has changed the state";
    if (code.empty()) failure = "a refusal without a code: " + message;
    return false;
  }
  const Status held = check_invariants(before, state);
  if (!held) failure = held.error().message;
  events = *done;
  log.emplace_back(state.time, Bytes(bytes.begin(), bytes.end()));
  return true;
}

bool World::send(std::uint8_t who, Body body) {
  return apply_bytes(encode(make(who, std::move(body))));
}

void World::must(std::uint8_t who, Body body) {
  const std::string name(name_of(body));
  if (!send(who, std::move(body))) failure = name + " was refused: " + code + " " + message;
}

protocol::Request World::request(std::uint64_t counter, std::uint8_t mode) const {
  protocol::Request made;
  made.client = address_of(kClient);
  made.counter = counter;
  made.task_id = protocol::task_id(made.client, counter);
  made.model_root = model;
  made.prompt_root = {9};
  made.prompt_count = 3;
  made.max_tokens = 5;
  made.price = protocol::uint256(1000);
  made.mode = mode;
  made.deadline = 1'800'000'000;
  return made;
}

protocol::Claim World::claim(const protocol::Request& request, const Hash& in_session) const {
  protocol::Claim made;
  made.request_hash = protocol::digest_of(request, state.id);
  made.trace_root = {7};
  made.prompt_count = request.prompt_count;
  made.out_count = 4;
  made.finish_reason = 1;
  made.session = in_session;
  return made;
}

PostedBatch World::make_batch(const Hash& in_session, std::uint32_t count,
                              std::uint64_t counter) const {
  PostedBatch batch;
  for (std::uint32_t i = 0; i < count; ++i) {
    batch.requests.push_back(request(counter + i));
    batch.claims.push_back(claim(batch.requests.back(), in_session));
    batch.hashes.push_back(protocol::digest_of(batch.claims.back(), state.id));
    batch.tree.append(batch.hashes.back());
  }
  return batch;
}

bool World::post(std::uint8_t who, PostedBatch& batch, const Hash& in_session,
                 std::uint64_t value) {
  const auto self = state.operators.find(address_of(who));
  const PostBatch body{
      .session = in_session,
      .sequence = self == state.operators.end() ? 0 : self->second.next_sequence,
      .root = batch_root(batch.hashes),
      .count = static_cast<std::uint32_t>(batch.hashes.size()),
      .value = value,
  };
  if (!send(who, body)) return false;
  batch.number = state.batches.size();
  return true;
}

Hash World::new_session(std::uint8_t who) {
  const std::uint8_t session_key = next_session_key_++;
  const Hash evidence = {session_key};
  RegisterSession body{.evidence = evidence, .prompt_tariff = 2, .output_tariff = 10};
  body.session = {.key = address_of(session_key),
                  .seal_key = {1},
                  .receipt_key = {2},
                  .operator_address = address_of(who),
                  .model_root = model,
                  .spec_hash = machine::kSpecHash,
                  .runtime = {who},
                  .beacon = {3},
                  .epoch = session_key,
                  .not_before = now / 1000 - 1,
                  .expiry = now / 1000 + 86'400};
  const Hash id = protocol::session_id(body.session, state.id);
  const Hash words = protocol::StructHasher("Registration(bytes32 session,bytes32 evidence)")
                         .word(id)
                         .word(evidence)
                         .finish();
  body.signature = key_of(session_key).sign(protocol::signing_digest(state.id, words));
  return send(who, body) ? id : Hash{};
}

bool World::checkpoint() {
  return send(kSequencer, Checkpoint{state.height, state.tip, digest_of(state)});
}

bool World::reveal() {
  if (!checkpoint() || state.revealed_round >= beacon_.size()) return false;
  const Hash tip = state.checkpoints.at(state.checkpoint_count).tip;
  return send(kAuditor, Reveal{state.revealed_round + 1, beacon_[state.revealed_round],
                               state.checkpoint_count, tip});
}

namespace {

// The leaf that random canaries name, and random challengers find now and then.
Hash random_leaf(Chooser& chooser) {
  referee::Leaf leaf;
  leaf.t = chooser.below(8);
  return leaf_hash(leaf);
}

void random_attention_step(World& world, Chooser& chooser, const PostedBatch& batch,
                           std::uint32_t index, std::uint8_t who) {
  const Hash leaf = random_leaf(chooser);
  const Batch& posted = world.state.batches.at(batch.number);
  const Hash commitment = canary_commitment(
      {address_of(kOther), posted.operator_address, posted.sequence}, {}, batch.hashes[0], leaf);
  switch (chooser.below(4)) {
    case 0:
      world.send(who, Attend{batch.number, index, leaf});
      return;
    case 1:
      world.send(who, MissCanary{address_of(kOther), commitment});
      return;
    default:
      world.send(kOther,
                 RevealCanary{{},
                              leaf,
                              batch.number,
                              batch.claims[0],
                              batch.requests[0],
                              key_of(kClient).sign(consent_digest(world.state.id, commitment)),
                              key_of(kOperator).sign(consent_digest(world.state.id, commitment))});
      return;
  }
}

// One of the ways to do something about a claim of a batch.
void random_claim_step(World& world, Chooser& chooser, const PostedBatch& batch) {
  const auto index = static_cast<std::uint32_t>(chooser.below(batch.hashes.size()));
  const std::uint8_t who =
      std::array<std::uint8_t, 4>{kClient, kOperator, kOther, kFisherman}[chooser.below(4)];
  const protocol::Claim& claim = batch.claims[index];
  const protocol::Request& request = batch.requests[index];
  const Hash ledger = world.state.id;
  switch (chooser.below(9)) {
    case 8:
      return random_attention_step(world, chooser, batch, index, who);
    case 0:
      world.send(who, Challenge{batch.number, index, claim, batch.path(index), request});
      return;
    case 1:
      world.send(who, DemandClaim{batch.number, index});
      return;
    case 2:
      world.send(who,
                 AnswerDraw{batch.number, index, batch.hashes[index], batch.path(index), 2, {}});
      return;
    case 3:
      world.send(who, MissDraw{batch.number, index});
      return;
    case 4:
      world.send(who, Settle{batch.number, index, claim, batch.path(index), request,
                             key_of(kClient).sign(protocol::digest_of(request, ledger)),
                             key_of(kSessionKey).sign(protocol::digest_of(claim, ledger))});
      return;
    case 5: {
      Force body{.claim = claim, .request = request};
      const Hash digest = protocol::digest_of(claim, ledger);
      body.claim_signature = key_of(kSessionKey).sign(digest);
      body.countersignature =
          key_of(kOperator).sign(protocol::countersignature_digest(digest, ledger));
      body.request_signature = key_of(kClient).sign(protocol::digest_of(request, ledger));
      world.send(who, body);
      return;
    }
    case 6:
      world.send(who, ForceAnswer{batch.hashes[index], batch.number, index, batch.path(index)});
      return;
    default:
      world.send(who, ForceMissed{batch.hashes[index]});
      return;
  }
}

void random_game_step(World& world, Chooser& chooser, const std::vector<PostedBatch>& batches) {
  if (world.state.games.empty()) return;
  const std::uint64_t number = 1 + chooser.below(world.state.games.size());
  const GameEntry& game = world.state.games.at(number);
  const std::uint8_t who =
      std::array<std::uint8_t, 4>{kClient, kOperator, kOther, kFisherman}[chooser.below(4)];
  const PostedBatch* batch = nullptr;
  for (const PostedBatch& one : batches) {
    if (one.number == game.claim_key.batch) batch = &one;
  }
  const auto side = chooser.below(2) == 0 ? dispute::Side::kChallenger : dispute::Side::kWorker;
  switch (chooser.below(4)) {
    case 0:
      world.send(who, CloseGame{number});
      return;
    case 1:
      if (batch == nullptr) return;
      world.send(who, RevealClaim{number, batch->claims[game.claim_key.index],
                                  batch->path(game.claim_key.index),
                                  batch->requests[game.claim_key.index]});
      return;
    case 2: {
      const dispute::Move move{
          .side = side, .state = game.game_digest, .action = dispute::Concede{}};
      world.send(who, Move{number, dispute::encode_move(move)});
      return;
    }
    default: {
      referee::Leaf leaf;
      leaf.t = chooser.below(8);
      const dispute::Move move{
          .side = side, .state = game.game_digest, .action = dispute::Challenge{leaf}};
      world.send(who, Move{number, dispute::encode_move(move)});
      return;
    }
  }
}

void random_money_step(World& world, Chooser& chooser) {
  const std::uint8_t who =
      std::array<std::uint8_t, 4>{kClient, kOperator, kOther, kFisherman}[chooser.below(4)];
  const std::uint64_t amount =
      chooser.below(3) == 0 ? chooser.below(1u << 30) : chooser.below(5000);
  const Address to = address_of(chooser.below(2) == 0 ? kOperator : kOther);
  switch (chooser.below(9)) {
    case 0:
      world.send(who, Transfer{address_of(kClient), amount});
      return;
    case 1:
      world.send(who, Withdraw{amount});
      return;
    case 2:
      world.send(who, Stake{amount});
      return;
    case 3:
      world.send(who, Unstake{amount});
      return;
    case 4:
      world.send(who, Release{});
      return;
    case 5:
      world.send(who, Deposit{to, amount});
      return;
    case 6:
      world.send(who, Close{to});
      return;
    case 7:
      world.send(who, Refund{to});
      return;
    default: {
      const std::uint64_t through = 1 + chooser.below(world.state.batches.size() + 1);
      const Hash words = protocol::StructHasher(
                             "Voucher(address operator,uint64 epoch,uint64 through,uint64 "
                             "cumulative)")
                             .address(address_of(who))
                             .number(chooser.below(3))
                             .number(through)
                             .number(amount)
                             .finish();
      world.send(who,
                 Redeem{address_of(kClient), through, amount,
                        key_of(kClient).sign(protocol::signing_digest(world.state.id, words))});
      return;
    }
  }
}

void random_operator_step(World& world, Chooser& chooser, std::vector<PostedBatch>& batches) {
  const std::uint8_t who = chooser.below(2) == 0 ? kOperator : kOther;
  switch (chooser.below(6)) {
    case 0:
    case 1: {
      const auto count = static_cast<std::uint32_t>(1 + chooser.below(5));
      PostedBatch batch = world.make_batch(world.session[who], count, chooser.below(40));
      for (std::uint64_t i = chooser.below(4); i-- > 0;) {
        const Hash leaf = random_leaf(chooser);
        const auto self = world.state.operators.find(address_of(who));
        if (self == world.state.operators.end()) break;
        world.send(kOther, CommitCanary{canary_commitment({address_of(kOther), address_of(who),
                                                           self->second.next_sequence},
                                                          {}, batch.hashes[0], leaf),
                                        10'000 + chooser.below(9), chooser.below(12'000'000)});
      }
      if (world.post(who, batch, world.session[who], 1 + chooser.below(1000))) {
        batches.push_back(std::move(batch));
      }
      return;
    }
    case 2:
      world.send(who, Finalise{1 + chooser.below(world.state.batches.size() + 1)});
      return;
    case 3:
      world.reveal();
      return;
    case 4:
      if (chooser.below(4) == 0) {
        const Hash made = world.new_session(who);
        if (made != Hash{}) world.session[who] = made;
      }
      return;
    default:
      if (chooser.below(10) == 0) world.send(kAuditor, RevokeSession{world.session[who]});
      if (chooser.below(40) == 0) {
        protocol::Claim a = world.claim(world.request(chooser.below(9)), world.session[who]);
        protocol::Claim b = a;
        b.trace_root = {8};
        const auto sign_one = [&](const protocol::Claim& claim) {
          return key_of(who).sign(protocol::countersignature_digest(
              protocol::digest_of(claim, world.state.id), world.state.id));
        };
        world.send(kFisherman, Equivocate{a, sign_one(a), b, sign_one(b)});
      }
      return;
  }
}

}  // namespace

void random_step(World& world, Chooser& chooser, std::vector<PostedBatch>& batches) {
  if (chooser.below(3) == 0) world.pass(chooser.below(3000));
  if (chooser.below(60) == 0) world.pass(chooser.below(400'000));
  const std::uint64_t kind = chooser.below(10);
  if (kind < 3) return random_money_step(world, chooser);
  if (kind < 6) return random_operator_step(world, chooser, batches);
  if (kind < 8) return random_game_step(world, chooser, batches);
  if (batches.empty()) return;
  const std::size_t newest = std::min<std::size_t>(batches.size(), 6);
  random_claim_step(world, chooser, batches[batches.size() - 1 - chooser.below(newest)]);
}

}  // namespace otr::ledger
