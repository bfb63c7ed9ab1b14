// The settle flow, top to bottom: step() says what an operator does, in this order.
#include "rollup/operator.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "crypto/sha256.h"
#include "dispute/worker.h"
#include "rollup/batch_data.h"
#include "rollup/clocks.h"
#include "rollup/holdings.h"
#include "rollup/registration.h"

namespace otr::rollup {
namespace {

using dispute::Side;
using ledger::ClaimKey;

constexpr std::uint8_t kLaneProof = 1, kLaneExecution = 2;
// Rows of disputed claims in memory (their trees take about as much again), unless one has more.
constexpr std::uint64_t kCaseBytes = std::uint64_t{1} << 30;
// A batch takes no further claim then: whoever checks it has seconds to read it.
constexpr std::uint64_t kBatchBytes = std::uint64_t{32} << 20;

}  // namespace

struct Operator::Body {
  Body(Mirror& its_mirror, Journal& its_journal, OperatorOptions chosen)
      : mirror(its_mirror), holdings(its_journal), options(std::move(chosen)) {}

  Mirror& mirror;
  Holdings holdings;
  const OperatorOptions options;
  std::unique_ptr<Prover> prover;  // null: no proofs
  mutable std::mutex mutex;        // of the gauges
  OperatorGauges gauges;
  struct Kept {
    std::shared_ptr<Case> computed;
    std::uint64_t used = 0;  // the greater, the later
  };
  std::map<Hash, Kept> cases;  // of claims with games, those used last
  std::uint64_t uses = 0;
  std::uint64_t final_before = 0, void_before = 0;  // batches that were let go

  [[nodiscard]] const ledger::State& state() const { return mirror.state(); }
  [[nodiscard]] crypto::Address self() const { return options.key.address(); }
  [[nodiscard]] const ledger::Operator* stakes() const;
  [[nodiscard]] bool can_pay_fee() const;
  [[nodiscard]] std::vector<std::uint64_t> own_batches() const;
  [[nodiscard]] const std::vector<Hash>* claims_of(std::uint64_t batch) const;
  [[nodiscard]] std::vector<Hash> path(const std::vector<Hash>& hashes, const Hash& claim) const;
  [[nodiscard]] bool is_over(const Hash& root) const;
  [[nodiscard]] bool is_paid(const protocol::Receipt& receipt) const;

  Status read(Journal& journal);
  void count_over(const Hash& root);
  void take_stock();
  Status send(ledger::Body body);
  Status sent(Status status);
  Status defend(std::uint64_t number, std::uint64_t now);
  Status show_claim(std::uint64_t number, const ledger::GameEntry& game, const Hash& claim);
  std::shared_ptr<Case> case_of(const Hash& claim);
  Status answer_forces();
  Status answer_draws(std::uint64_t number, std::uint64_t now);
  Status answer_draw(const ClaimKey& key, const std::vector<Hash>& hashes, std::uint64_t now);
  Status post(std::uint64_t now);
  [[nodiscard]] std::vector<Hash> next_batch(std::uint64_t now) const;
  Status finalise(std::uint64_t number, std::uint64_t now);
  Status settle();
  Result<bool> pay(std::uint64_t number, std::uint32_t index, const std::vector<Hash>& hashes);
};

Operator::Operator(std::unique_ptr<Body> body) : body_(std::move(body)) {}
Operator::~Operator() = default;

Result<std::unique_ptr<Operator>> Operator::open(Mirror& mirror, Journal& journal,
                                                 OperatorOptions options) {
  auto body = std::make_unique<Body>(mirror, journal, std::move(options));
  if (body->options.prover) {
    OTR_TRY_ASSIGN(body->prover, Prover::open(journal, *body->options.prover));
  }
  OTR_TRY(body->read(journal));
  return std::unique_ptr<Operator>(new Operator(std::move(body)));
}

Status Operator::step(std::uint64_t now) {
  Body& body = *body_;
  // 1. What has happened, by its own replay.
  OTR_TRY(body.mirror.catch_up());
  OTR_TRY(body.holdings.empty_inbox());
  body.take_stock();
  // 2. What costs a word each and has the shortest clocks; claims that wait become a batch.
  OTR_TRY(body.answer_forces());
  for (const std::uint64_t number : body.own_batches()) OTR_TRY(body.answer_draws(number, now));
  OTR_TRY(body.post(now));
  // 3. Games, which may take computing, the first clock to run out first.
  for (const std::uint64_t number :
       by_deadline(body.state(), body.mirror.open_games(), Side::kWorker)) {
    OTR_TRY(body.defend(number, now));
  }
  // 4. Batches whose time is over become final, in order, and are paid.
  for (const std::uint64_t number : body.own_batches()) OTR_TRY(body.finalise(number, now));
  OTR_TRY(body.settle());
  body.take_stock();
  return {};
}

// --- What it holds

Status Operator::Body::read(Journal& journal) {
  OTR_TRY(holdings.read(Prover::is_record,
                        {.is_over = [this](const Hash& root) { return is_over(root); },
                         .is_paid = [this](const auto& receipt) { return is_paid(receipt); }}));
  for (const auto& [root, hashes] : holdings.batches()) {
    if (!holdings.live().contains(root)) count_over(root);
  }
  if (!prover) return {};
  return journal.read([&](std::string_view record) {
    return Prover::is_record(record) ? prover->read(record) : Status();
  });
}

// Nobody can dispute the batch any more, nor draw from it.
bool Operator::Body::is_over(const Hash& root) const {
  const auto number = mirror.batch_of(self(), root);
  if (!number) return false;
  const ledger::Batch& batch = state().batches.at(*number);
  const bool is_open = batch.status == ledger::BatchStatus::kOpen;
  return batch.held == 0 && (!is_open || ledger::is_void(state(), batch));
}

// Who has put no money aside does not pay.
bool Operator::Body::is_paid(const protocol::Receipt& receipt) const {
  return !state().channels.contains({receipt.request.request.client, self()}) ||
         state().settled_requests.contains({receipt.claim.request_hash, self()});
}

void Operator::Body::count_over(const Hash& root) {
  const auto number = mirror.batch_of(self(), root);
  if (!number) return;
  ++(ledger::is_void(state(), state().batches.at(*number)) ? void_before : final_before);
}

Status Operator::add(const std::string& receipt_text, std::uint64_t now) {
  OTR_TRY_ASSIGN(const protocol::Receipt receipt, protocol::decode_receipt(receipt_text));
  if (receipt.operator_address != body_->self() || receipt.ledger != body_->state().id) {
    return fail(ErrorKind::kReject, "The receipt is of another operator or ledger.");
  }
  if (receipt.request.request.mode != 0) {
    return fail(ErrorKind::kReject,
                "The receipt is of a sealed request: what it says cannot be shown on demand.");
  }
  return body_->holdings.add(receipt_text, receipt, now);
}

Result<std::vector<std::string>> Operator::receipts(const Hash& batch_root) {
  return body_->holdings.receipts(batch_root);
}

Result<Bytes> Operator::proof(const Hash& digest) {
  if (body_->prover) return body_->prover->read(digest);
  return fail(ErrorKind::kBadInput, "This operator makes no proofs.");
}

std::optional<Posted> Operator::posted(const Hash& claim_hash) const {
  for (const auto& [root, hashes] : body_->holdings.batches()) {
    const auto at = std::ranges::find(hashes, claim_hash);
    const auto number = body_->mirror.batch_of(body_->self(), root);
    if (at == hashes.end() || !number) continue;
    const auto index = static_cast<std::uint32_t>(at - hashes.begin());
    return Posted{*number, index, batch_path(hashes, index)};
  }
  return std::nullopt;
}

OperatorGauges Operator::gauges() const {
  const std::lock_guard lock(body_->mutex);
  return body_->gauges;
}

const ledger::Operator* Operator::Body::stakes() const {
  const auto found = state().operators.find(self());
  return found == state().operators.end() ? nullptr : &found->second;
}

bool Operator::Body::can_pay_fee() const {
  const auto account = state().accounts.find(self());
  return account != state().accounts.end() &&
         account->second.balance >= ledger::parameters_at(state(), state().time).fee;
}

std::vector<std::uint64_t> Operator::Body::own_batches() const {
  std::vector<std::uint64_t> numbers;
  for (const std::uint64_t number : mirror.open_batches()) {
    if (state().batches.at(number).operator_address == self()) numbers.push_back(number);
  }
  return numbers;
}

// Null of a batch that is not in the journal: somebody else has the operator's key.
const std::vector<Hash>* Operator::Body::claims_of(std::uint64_t batch) const {
  const auto found = holdings.batches().find(state().batches.at(batch).root);
  return found == holdings.batches().end() ? nullptr : &found->second;
}

std::vector<Hash> Operator::Body::path(const std::vector<Hash>& hashes, const Hash& claim) const {
  const auto at = std::ranges::find(hashes, claim) - hashes.begin();
  return batch_path(hashes, static_cast<std::uint32_t>(at));
}

// --- 1. What has happened

void Operator::Body::take_stock() {
  const std::lock_guard lock(mutex);
  gauges.batches_final = final_before;
  gauges.batches_void = void_before;
  std::set<Hash> posted;
  for (const Hash& root : holdings.live()) {
    const auto number = mirror.batch_of(self(), root);
    if (!number) continue;
    posted.insert(root);
    const ledger::Batch& batch = state().batches.at(*number);
    gauges.batches_final += batch.status == ledger::BatchStatus::kFinal;
    gauges.batches_void += ledger::is_void(state(), batch);
  }
  holdings.mark_posted(posted);
  gauges.claims_waiting = holdings.waiting().size();
  gauges.batches_open = own_batches().size();
  if (prover) gauges.proofs = prover->gauges();
  std::set<Hash> disputed;
  for (const std::uint64_t number : mirror.open_games()) {
    const ClaimKey& key = state().games.at(number).claim_key;
    if (const auto* hashes = claims_of(key.batch)) disputed.insert((*hashes)[key.index]);
  }
  std::erase_if(cases, [&](const auto& entry) { return !disputed.contains(entry.first); });
  gauges.games_open = gauges.next_clock_ms = 0;
  for (const std::uint64_t number : mirror.open_games()) {
    const ledger::GameEntry& game = state().games.at(number);
    if (state().batches.at(game.claim_key.batch).operator_address != self()) continue;
    ++gauges.games_open;
    const std::uint64_t end = clock_end(state(), game, Side::kWorker);
    if (end != 0 && (gauges.next_clock_ms == 0 || end < gauges.next_clock_ms)) {
      gauges.next_clock_ms = end;
    }
  }
}

// The ledger's refusal is no reason to stop: the next step looks at the state again.
Status Operator::Body::sent(Status status) {
  if (status || status.error().kind != ErrorKind::kReject) return status;
  const std::lock_guard lock(mutex);
  ++gauges.refused;
  gauges.last_refusal = status.error().message;
  return {};
}

Status Operator::Body::send(ledger::Body body) {
  return sent(mirror.send(options.key, std::move(body)));
}

// --- 2. Games, forces, draws

Status Operator::Body::defend(std::uint64_t number, std::uint64_t now) {
  const ledger::GameEntry& game = state().games.at(number);
  const ledger::Batch& batch = state().batches.at(game.claim_key.batch);
  if (batch.operator_address != self() || game.stage == ledger::Stage::kEnded) return {};
  if (is_due_to_close(state(), game, Side::kWorker, now)) return send(ledger::CloseGame{number});
  const std::vector<Hash>* const hashes = claims_of(game.claim_key.batch);
  if (hashes == nullptr) return {};
  const Hash claim = (*hashes)[game.claim_key.index];
  if (game.stage == ledger::Stage::kDemanded) return show_claim(number, game, claim);
  if (!is_turn_of(game, Side::kWorker)) return {};
  const std::shared_ptr<Case> committed = case_of(claim);
  if (!committed) return {};
  dispute::Facts facts{.statement = committed->statement(), .bound = std::nullopt};
  if (game.game.leaf) facts.bound = ledger::bound_answer(state(), game.claim_key, *game.game.leaf);
  const dispute::Move move{
      .side = Side::kWorker,
      .state = game.game_digest,
      .action = options.respond ? options.respond(holdings.at(claim).receipt, game.game, facts)
                                : dispute::respond(committed->archive(), game.game, facts)};
  return send(ledger::Move{number, dispute::encode_move(move)});
}

Status Operator::Body::show_claim(std::uint64_t number, const ledger::GameEntry& game,
                                  const Hash& claim) {
  const protocol::Receipt& receipt = holdings.at(claim).receipt;
  return send(ledger::RevealClaim{.game = number,
                                  .claim = receipt.claim,
                                  .path = path(*claims_of(game.claim_key.batch), claim),
                                  .request = receipt.request.request});
}

std::shared_ptr<Case> Operator::Body::case_of(const Hash& claim) {
  if (const auto known = cases.find(claim); known != cases.end()) {
    known->second.used = ++uses;
    return known->second.computed;
  }
  const protocol::Receipt& receipt = holdings.at(claim).receipt;
  const protocol::Request& request = receipt.request.request;
  const Weights* const weights = options.weights ? options.weights(request.model_root) : nullptr;
  if (weights == nullptr) return nullptr;
  std::vector<std::uint32_t> tokens = receipt.prompt_ids;
  tokens.insert(tokens.end(), receipt.output_ids.begin(), receipt.output_ids.end());
  const auto made = std::make_shared<Case>(
      *weights, request, receipt.claim, receipt.prompt_ids,
      compute_pass(*weights, request.sampling, request.prompt_count, tokens));
  cases[claim] = {made, ++uses};
  std::uint64_t bytes = 0;
  for (const auto& [hash, kept] : cases) bytes += kept.computed->row_bytes();
  while (bytes > kCaseBytes && cases.size() > 1) {
    const auto oldest =
        std::ranges::min_element(cases, {}, [](const auto& entry) { return entry.second.used; });
    bytes -= oldest->second.computed->row_bytes();
    cases.erase(oldest);
  }
  return made;
}

Status Operator::Body::answer_forces() {
  std::vector<ledger::ForceAnswer> answers;
  for (const auto& [hash, force] : state().forces) {
    if (force.operator_address != self() || force.status != ledger::ForceStatus::kOpen) continue;
    for (const auto& [root, hashes] : holdings.batches()) {
      const auto number = mirror.batch_of(self(), root);
      const auto at = std::ranges::find(hashes, hash);
      if (!number || at == hashes.end()) continue;
      answers.push_back({.claim_hash = hash,
                         .batch = *number,
                         .index = static_cast<std::uint32_t>(at - hashes.begin()),
                         .path = path(hashes, hash)});
    }
  }
  for (ledger::ForceAnswer& one : answers) OTR_TRY(send(std::move(one)));
  return {};
}

Status Operator::Body::answer_draws(std::uint64_t number, std::uint64_t now) {
  const std::vector<Hash>* const hashes = claims_of(number);
  for (std::uint32_t index = 0; hashes != nullptr && index < hashes->size(); ++index) {
    if (!is_answer_due(state(), {number, index})) continue;
    OTR_TRY(answer_draw({number, index}, *hashes, now));
  }
  return {};
}

// By a proof, or with the receipt, from which anybody executes the claim again (SPEC SET-30).
Status Operator::Body::answer_draw(const ClaimKey& key, const std::vector<Hash>& hashes,
                                   std::uint64_t now) {
  const ledger::Batch& batch = state().batches.at(key.batch);
  const Hash& claim = hashes[key.index];
  const Holdings::Entry& entry = holdings.at(claim);
  ledger::AnswerDraw body{.batch = key.batch,
                          .index = key.index,
                          .claim_hash = claim,
                          .path = path(hashes, claim),
                          .lane = kLaneExecution,
                          .digest = crypto::sha256({as_bytes(*entry.text)})};
  if (prover && ledger::is_drawn(state(), batch, key.index).value_or(false)) {
    const Hash& model = state().sessions.at(batch.session).session.model_root;
    const Weights* const weights = options.weights ? options.weights(model) : nullptr;
    OTR_TRY_ASSIGN(const Prover::Answer answer,
                   prover->answer({state(), batch, claim, entry.text, weights}, now));
    if (answer.is_awaited) return {};
    if (answer.proof) {
      body.lane = kLaneProof;
      body.digest = *answer.proof;
    }
  }
  return send(std::move(body));
}

// --- 3. Post

// Claims of one registered session, the oldest first; none while it is worth waiting for more.
std::vector<Hash> Operator::Body::next_batch(std::uint64_t now) const {
  std::vector<Hash> hashes;
  std::optional<Hash> session;
  bool is_due = false;
  std::uint64_t bytes = 0;
  const ledger::Operator* const stake = stakes();
  const ledger::Parameters parameters = ledger::parameters_at(state(), now);
  const auto reserve = ledger::reserve_of(parameters, options.value);
  if (stake == nullptr || !reserve) return {};
  // What is countersigned may be forced at once, and its session may end: no longer than that.
  const std::uint64_t patience = std::min(options.batch_every_ms, parameters.force / 2);
  const std::uint64_t room = stake->free_stake() / std::max<std::uint64_t>(*reserve, 1);
  const std::uint64_t limit =
      std::min<std::uint64_t>({room, options.max_batch, parameters.max_count});
  for (const Hash& hash : holdings.waiting()) {
    const Holdings::Entry& entry = holdings.at(hash);
    // Of a session that cannot, nothing may stand in the way of others.
    if (!can_post(state(), entry.receipt.claim.session, now)) continue;
    if (!session) session = entry.receipt.claim.session;
    if (*session != entry.receipt.claim.session || hashes.size() == limit) continue;
    if (bytes >= kBatchBytes) break;
    bytes += entry.text->size();
    hashes.push_back(hash);
    is_due |= now >= entry.since + patience || state().forces.contains(hash);
  }
  const bool is_full = hashes.size() == limit || bytes >= kBatchBytes;
  return is_due || is_full ? hashes : std::vector<Hash>{};
}

Status Operator::Body::post(std::uint64_t now) {
  std::vector<Hash> hashes = next_batch(now);
  if (hashes.empty()) return {};
  const auto count = static_cast<std::uint32_t>(hashes.size());
  const Hash session = holdings.at(hashes.front()).receipt.claim.session;
  // What it is made of is on disk before anybody can ask.
  OTR_TRY_ASSIGN(const Hash root, holdings.compose(std::move(hashes)));
  OTR_TRY(send(ledger::PostBatch{.session = session,
                                 .sequence = stakes()->next_sequence,
                                 .root = root,
                                 .count = count,
                                 .value = options.value}));
  take_stock();
  return {};
}

// --- 4. Finality and payment

Status Operator::Body::finalise(std::uint64_t number, std::uint64_t now) {
  const ledger::Batch& batch = state().batches.at(number);
  if (batch.status != ledger::BatchStatus::kOpen || batch.sequence != stakes()->finalised)
    return {};
  const std::uint64_t at = ledger::final_at(state(), batch, now);
  return at == 0 || now < at ? Status() : send(ledger::Finalise{number});
}

// Of batches that are over, every claim of a client that has put money aside (SPEC SET-15).
Status Operator::Body::settle() {
  for (const Hash& root : std::set<Hash>(holdings.live())) {
    if (!is_over(root)) continue;
    holdings.close(root);
    const std::uint64_t number = *mirror.batch_of(self(), root);
    const std::vector<Hash>& hashes = holdings.batches().at(root);
    std::size_t unpaid = 0;
    for (std::uint32_t index = 0; index < hashes.size(); ++index) {
      if (!holdings.holds(hashes[index])) continue;
      OTR_TRY_ASSIGN(const bool is_done, pay(number, index, hashes));
      if (is_done) holdings.forget(hashes[index]);
      unpaid += is_done ? 0 : 1;
    }
    if (unpaid != 0) continue;
    count_over(root);
    holdings.let_go(root);
  }
  return {};
}

// Whether the claim is paid, or never will be: after `close` its client may have taken all back.
Result<bool> Operator::Body::pay(std::uint64_t number, std::uint32_t index,
                                 const std::vector<Hash>& hashes) {
  const ledger::Batch& batch = state().batches.at(number);
  const protocol::Receipt& receipt = holdings.at(hashes[index]).receipt;
  const protocol::SignedRequest& request = receipt.request;
  const bool is_given_up =
      state().time > batch.posted_at + ledger::parameters_of(state(), batch).close;
  if (batch.status != ledger::BatchStatus::kFinal || is_paid(receipt) || is_given_up ||
      is_canary(state(), {number, index})) {
    return true;
  }
  const std::uint64_t deposit = state().channels.at({request.request.client, self()}).deposit;
  if (!is_payable(state(), {number, index}) || !can_pay_fee() ||
      deposit < ledger::pay_of(state(), batch, receipt.claim, request.request)) {
    return false;
  }
  const Status paid =
      mirror.send(options.key, ledger::Settle{.batch = number,
                                              .index = index,
                                              .claim = receipt.claim,
                                              .path = path(hashes, hashes[index]),
                                              .request = request.request,
                                              .request_signature = request.signature,
                                              .claim_signature = receipt.claim_signature});
  OTR_TRY(sent(paid));
  // Refused for another reason it is refused for ever.
  return paid || (paid.error().code != "NONCE" && paid.error().code != "INSUFFICIENT");
}

}  // namespace otr::rollup
