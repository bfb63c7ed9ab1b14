// Workers that lie, and how they defend it (SIMULATED cheats for the simulation, the catalogue of
// attacks and the demo). Everything they make is signed with real keys.
#ifndef OTR_SIM_LIAR_H_
#define OTR_SIM_LIAR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "dispute/game.h"
#include "dispute/position.h"
#include "node/signed_claim.h"
#include "protocol/receipt.h"
#include "rollup/pass.h"

namespace otr::sim {

// Changes what was computed of a position, in the order of the pass.
using Alter =
    std::function<void(const dispute::Execution&, referee::Position, trace::MicroTensors&)>;

// Who signs, and for which ledger.
struct Signers {
  node::ClaimSigner session;
  crypto::PrivateKey operator_key;
};

// The same by whoever has the keys at hand.
struct Signing {
  Signing(const Signers& signers) : session(signers.session), operator_key(signers.operator_key) {}
  Signing(const node::ClaimSigner& of_session, const crypto::PrivateKey& of_operator)
      : session(of_session), operator_key(of_operator) {}
  const node::ClaimSigner& session;
  const crypto::PrivateKey& operator_key;
};

// A request of a client for an answer of these weights.
[[nodiscard]] protocol::SignedRequest make_request(const rollup::Weights& weights,
                                                   const crypto::PrivateKey& client,
                                                   std::uint64_t counter,
                                                   std::span<const std::uint32_t> prompt_ids,
                                                   std::uint32_t max_tokens, const Hash& ledger);

// The honest answer, by the engine.
[[nodiscard]] protocol::Receipt answer_honestly(const rollup::Weights& weights,
                                                const protocol::SignedRequest& request,
                                                std::span<const std::uint32_t> prompt_ids,
                                                const Signing& signers);

// The answer with another token at output position `at`, and honestly on from there. Fast: of all
// rows only that choice is false.
[[nodiscard]] protocol::Receipt forge_token(const rollup::Weights& weights,
                                            const protocol::SignedRequest& request,
                                            std::span<const std::uint32_t> prompt_ids,
                                            std::uint32_t at, std::uint32_t token,
                                            const Signing& signers);

// The answer with whatever tokens, up to where an answer ends. Of all rows only the choices that
// are not the model's are false.
[[nodiscard]] protocol::Receipt forge_tokens(const rollup::Weights& weights,
                                             const protocol::SignedRequest& request,
                                             std::span<const std::uint32_t> prompt_ids,
                                             std::vector<std::uint32_t> output_ids,
                                             const Signing& signers);

// The answer of an execution in which `alter` changed what it liked; slow: by the machine's steps.
[[nodiscard]] protocol::Receipt forge_execution(const rollup::Weights& weights,
                                                const protocol::SignedRequest& request,
                                                std::span<const std::uint32_t> prompt_ids,
                                                const Alter& alter, const Signing& signers);

// Signs whatever claim it is given.
[[nodiscard]] protocol::Receipt sign_anything(const rollup::Weights& weights,
                                              const protocol::SignedRequest& request,
                                              std::span<const std::uint32_t> prompt_ids,
                                              std::vector<std::uint32_t> output_ids,
                                              protocol::Claim claim, std::vector<Hash> trace_path,
                                              const Signing& signers);

// Plays a false claim: answers and reveals what the altered execution made, so that the game comes
// to the step itself.
class LiarsDefence {
 public:
  // `weights` must outlive it. `is_in_rows`: the lie changes rows of layers and not only choices.
  LiarsDefence(const rollup::Weights& weights, Alter alter, bool is_in_rows)
      : weights_(weights), alter_(std::move(alter)), is_in_rows_(is_in_rows) {}
  dispute::Action operator()(const protocol::Receipt& receipt, const dispute::Game& game,
                             const dispute::Facts& facts);

 private:
  [[nodiscard]] rollup::Pass alter_pass(const protocol::Request& request,
                                        std::span<const std::uint32_t> tokens) const;
  const rollup::Weights& weights_;
  Alter alter_;
  bool is_in_rows_;
  std::map<Hash, std::shared_ptr<rollup::Case>> cases_;  // by trace root
};

// Sets every output token.
[[nodiscard]] Alter tokens_are(std::uint32_t prompt_count, std::vector<std::uint32_t> output_ids);
// Changes one element of a tensor of a layer by one, and what follows from it as the program says,
// or with `is_alone` nothing else.
[[nodiscard]] Alter element_changed(referee::Position at, machine::Tensor tensor,
                                    std::uint64_t index, bool is_alone);

// Sets the token that the head chooses after position t.
[[nodiscard]] Alter token_at(std::uint32_t t, std::uint32_t token);

}  // namespace otr::sim

#endif  // OTR_SIM_LIAR_H_
