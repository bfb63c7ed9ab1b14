#include "rollup/auditor.h"

#include <algorithm>

#include "crypto/sha256.h"

namespace otr::rollup {

Hash beacon_value(const Hash& secret, std::uint64_t length, std::uint64_t n) {
  Hash value = secret;
  for (std::uint64_t i = n; i < length; ++i) value = crypto::sha256({as_bytes("OTR.beac"), value});
  return value;
}

Hash beacon_anchor(const Hash& secret, std::uint64_t length) {
  return beacon_value(secret, length, 0);
}

bool is_checkpoint_due(const Mirror& mirror, std::uint64_t now) {
  const ledger::State& state = mirror.state();
  if (now < state.last_reveal_at + ledger::parameters_at(state, now).beacon_interval) return false;
  if (!state.checkpoints.empty() &&
      state.checkpoints.rbegin()->second.height >= state.last_reveal_height) {
    return false;
  }
  return std::ranges::any_of(mirror.open_batches(), [&](std::uint64_t number) {
    return state.batches.at(number).round > state.revealed_round;
  });
}

Status Auditor::step(std::uint64_t now) {
  OTR_TRY(mirror_.catch_up());
  const ledger::State& state = mirror_.state();
  const std::uint64_t round = state.revealed_round + 1;
  const std::uint64_t interval = ledger::parameters_at(state, now).beacon_interval;
  if (round > length_ || state.checkpoints.empty() || now < state.last_reveal_at + interval) {
    return {};
  }
  const auto& [number, checkpoint] = *state.checkpoints.rbegin();
  if (checkpoint.height < state.last_reveal_height) return {};  // it names nothing new
  return mirror_.send(key_, ledger::Reveal{.round = round,
                                           .value = beacon_value(secret_, length_, round),
                                           .checkpoint = number,
                                           .tip = checkpoint.tip});
}

}  // namespace otr::rollup
