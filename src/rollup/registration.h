// What puts a model and a session into the ledger's registries, made of what everybody holds.
#ifndef OTR_ROLLUP_REGISTRATION_H_
#define OTR_ROLLUP_REGISTRATION_H_

#include <cstdint>

#include "ledger/state.h"
#include "ledger/transaction.h"
#include "model/artifact.h"
#include "protocol/session.h"

namespace otr::rollup {

// Prices of one token, in the ledger's smallest unit.
struct Tariff {
  std::uint64_t prompt = 0;
  std::uint64_t output = 0;
};

// SPEC SET-16. `highest` bounds the tariffs of the model's sessions. Reads the whole artifact.
[[nodiscard]] ledger::RegisterModel register_model(const model::Artifact& artifact, Tariff highest,
                                                   bool weights_published);

// SPEC SET-18. Requires a document that its session key signed for the ledger.
[[nodiscard]] ledger::RegisterSession register_session(const protocol::SessionDocument& document,
                                                       Tariff tariff);

// Whether a batch of the session would be taken now (SPEC SET-20).
[[nodiscard]] bool can_post(const ledger::State& state, const Hash& session, std::uint64_t now);

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_REGISTRATION_H_
