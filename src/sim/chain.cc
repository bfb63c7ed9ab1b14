#include "sim/chain.h"

#include <utility>

#include "ledger/invariants.h"

namespace otr::sim {

Chain::Chain(Bytes genesis, crypto::PrivateKey sequencer)
    : genesis_(std::move(genesis)),
      sequencer_(std::move(sequencer)),
      state_(ledger::genesis_state(genesis_).value()) {}

Status Chain::submit(ByteView transaction, std::uint64_t now) {
  const ledger::State before = state_;
  const Result<ledger::Events> done = ledger::apply(state_, transaction, now);
  if (!done) return std::unexpected(done.error());
  const Status held = ledger::check_invariants(before, state_);
  if (!held && broken_.empty()) broken_ = held.error().message;
  events_.insert(events_.end(), done->begin(), done->end());
  rows_.push_back({.height = state_.height,
                   .time = state_.time,
                   .transaction = Bytes(transaction.begin(), transaction.end()),
                   .tip = state_.tip});
  return {};
}

Status Chain::checkpoint(std::uint64_t now) {
  ledger::Transaction transaction{
      .body = ledger::Checkpoint{state_.height, state_.tip, ledger::digest_of(state_)}};
  const auto account = state_.accounts.find(sequencer_.address());
  if (account != state_.accounts.end()) transaction.nonce = account->second.nonce;
  ledger::sign(transaction, state_.id, sequencer_);
  return submit(ledger::encode(transaction), now);
}

}  // namespace otr::sim
