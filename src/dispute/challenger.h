// The challenger's side of a game: from "my trace root is another" to the step that is wrong (the
// honest strategies of SPEC chapter 26).
//
// It keeps no place in the game: each call walks again from what it knows, so that it goes on after
// a restart from the ledger's moves alone, whoever sent the data and in whatever order.
#ifndef OTR_DISPUTE_CHALLENGER_H_
#define OTR_DISPUTE_CHALLENGER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "dispute/archive.h"
#include "dispute/game.h"
#include "dispute/position.h"

namespace otr::dispute {

// The claim's tokens are not those the archive was computed from: compute these.
struct Recompute {
  std::vector<std::uint32_t> tokens;
};
// By all that is known the claim is right.
struct Nothing {};
using Next = std::variant<Action, Recompute, Nothing>;

class Challenger {
 public:
  // `mine`: the challenger's computation of the claim's own tokens, layer after layer. If a
  // position left its range (SPEC ARITH-5) or its token is none of the model's, the computation
  // ends there: that is `broken`, and the rows it did not come to are zero. `choices`: what the
  // challenger's head chose for each output position before `broken`. `mine` must outlive it.
  Challenger(Archive& mine, std::span<const std::uint32_t> choices,
             std::optional<referee::Position> broken = {});

  // Data of the claim, from a reveal in any game or from anybody's server; `micro` where it is of a
  // micro-tensor. Refused where the claim does not hold it: DEMAND_INVALID, PATH_INVALID.
  [[nodiscard]] Status learn(const referee::MicroTrace* micro, const referee::Demand& demand,
                             const referee::Opening& opening);
  // The roots of an answer (SPEC MTRC-5).
  void learn(const referee::Answer& answer);

  // What to do now. Requires a game on the claim in a phase in which the challenger moves.
  [[nodiscard]] Next next(const Game& game);

 private:
  using Found = std::variant<std::uint64_t, referee::Demand, Nothing>;  // a leaf that differs

  [[nodiscard]] const referee::Opening* known(const Hash& micro_root,
                                              const referee::Demand& demand) const;
  [[nodiscard]] std::optional<std::uint64_t> shown_tile(const Hash& micro_root,
                                                        const referee::TreeId& tree);
  // The leftmost leaf that the claim has and the archive does not, or what must be known first.
  [[nodiscard]] Found walk(const Hash& micro_root, const referee::TreeId& tree);
  [[nodiscard]] Next search();
  [[nodiscard]] Next search_tokens();
  [[nodiscard]] Next search_stream(std::uint64_t list_leaf);
  [[nodiscard]] Next search_words();
  [[nodiscard]] std::optional<referee::Proof> prove_finish();
  [[nodiscard]] Next prove(const referee::MicroTrace& micro);
  [[nodiscard]] Next prove_step(const referee::MicroTrace& micro, const machine::StepId& id,
                                const std::vector<Hash>& roots);
  // The step to prove in a cut that differs (SPEC PROG-6).
  [[nodiscard]] Next prove_cut(const referee::MicroTrace& micro, machine::Tensor cut,
                               const std::vector<Hash>& roots);
  [[nodiscard]] Next prove_tensor(const referee::MicroTrace& micro, machine::Tensor tensor,
                                  const std::vector<Hash>& roots);

  Archive& mine_;
  const std::vector<std::uint32_t> choices_;
  const std::optional<referee::Position> broken_;
  const bool is_same_trace_;
  // By micro-trace root, zero for the trees of the claim.
  std::map<std::pair<Hash, referee::Demand>, referee::Opening> known_;
  std::map<Hash, std::vector<Hash>> roots_;
  std::optional<referee::Position> computed_;  // whose tensors are in honest_
  Computed honest_;
};

}  // namespace otr::dispute

#endif  // OTR_DISPUTE_CHALLENGER_H_
