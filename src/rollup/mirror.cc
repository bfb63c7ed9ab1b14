#include "rollup/mirror.h"

#include <variant>

namespace otr::rollup {
namespace {

using ledger::Stage;

bool is_over(const ledger::State& state, std::uint64_t batch) {
  const ledger::Batch& found = state.batches.at(batch);
  return found.status != ledger::BatchStatus::kOpen || ledger::is_void(state, found);
}

}  // namespace

Result<Mirror> Mirror::open(LedgerPort& port, const Hash& ledger_id) {
  OTR_TRY_ASSIGN(const Bytes genesis, port.genesis());
  if (ledger::ledger_id(genesis) != ledger_id) {
    return fail(ErrorKind::kReject,
                "The ledger that is shown is not the one asked for: check its address and id.",
                "LEDGER_MISMATCH");
  }
  OTR_TRY_ASSIGN(settlement::Replay replay, settlement::Replay::begin(genesis));
  return Mirror(port, std::move(replay));
}

Status Mirror::catch_up() {
  while (true) {
    OTR_TRY_ASSIGN(const std::vector<settlement::Row> rows, port_->rows(state().height));
    if (rows.empty()) break;
    for (const settlement::Row& row : rows) {
      OTR_TRY(replay_.add(row));
      note(row);
    }
  }
  drop_ended();
  return {};
}

// The row was taken, so it decodes.
void Mirror::note(const settlement::Row& row) {
  const ledger::Transaction taken = *ledger::decode_transaction(row.transaction);
  if (const auto* post = std::get_if<ledger::PostBatch>(&taken.body)) {
    const std::uint64_t number = state().batches.size();
    open_batches_.insert(number);
    batches_.try_emplace({state().batches.at(number).operator_address, post->root}, number);
  } else if (std::holds_alternative<ledger::Challenge>(taken.body) ||
             std::holds_alternative<ledger::DemandClaim>(taken.body)) {
    open_games_.insert(state().games.size());
  } else if (const auto* made = std::get_if<ledger::Move>(&taken.body)) {
    const ledger::ClaimKey& claim = state().games.at(made->game).claim_key;
    moves_[claim].push_back({made->game, *dispute::decode_move(made->move)});
  }
}

void Mirror::drop_ended() {
  std::set<ledger::ClaimKey> disputed;
  std::erase_if(open_games_, [&](std::uint64_t number) {
    const ledger::GameEntry& game = state().games.at(number);
    if (game.stage != Stage::kEnded) disputed.insert(game.claim_key);
    return game.stage == Stage::kEnded;
  });
  std::erase_if(open_batches_, [&](std::uint64_t number) { return is_over(state(), number); });
  // An answer binds the games that are still to come too, and shows its data only once.
  std::erase_if(moves_, [&](const auto& entry) {
    return !disputed.contains(entry.first) && !open_batches_.contains(entry.first.batch);
  });
}

const std::vector<GameMove>& Mirror::moves(const ledger::ClaimKey& claim) const {
  static const std::vector<GameMove> kNone;
  const auto found = moves_.find(claim);
  return found == moves_.end() ? kNone : found->second;
}

std::optional<std::uint64_t> Mirror::batch_of(const crypto::Address& operator_address,
                                              const Hash& root) const {
  const auto found = batches_.find({operator_address, root});
  return found == batches_.end() ? std::nullopt : std::optional(found->second);
}

Status Mirror::send(const crypto::PrivateKey& key, ledger::Body body) {
  ledger::Transaction transaction{.body = std::move(body)};
  const auto account = state().accounts.find(key.address());
  if (account != state().accounts.end()) transaction.nonce = account->second.nonce;
  ledger::sign(transaction, state().id, key);
  OTR_TRY(port_->submit(ledger::encode(transaction)));
  return catch_up();
}

}  // namespace otr::rollup
