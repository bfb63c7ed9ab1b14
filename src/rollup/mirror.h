// A role's own copy of the ledger: the replay of every transaction, signatures included, so that
// nothing is believed of the sequencer but that it has shown all (SPEC STORE-2, STORE-5).
#ifndef OTR_ROLLUP_MIRROR_H_
#define OTR_ROLLUP_MIRROR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "crypto/secp256k1.h"
#include "dispute/game.h"
#include "ledger/state.h"
#include "ledger/transaction.h"
#include "rollup/ports.h"

namespace otr::rollup {

struct GameMove {
  std::uint64_t game = 0;
  dispute::Move move;
};

class Mirror {
 public:
  // The ledger of this id, from its genesis on. kReject where the port shows another one.
  [[nodiscard]] static Result<Mirror> open(LedgerPort& port, const Hash& ledger_id);

  // Takes up what is new. kReject where a row does not follow from those before: the port lies, or
  // shows another history than before; the mirror stays at what it had.
  [[nodiscard]] Status catch_up();

  [[nodiscard]] const ledger::State& state() const { return replay_.state(); }
  // Moves of the games against a claim in the order of the ledger, those of ended games too as long
  // as one is open or may be opened. What was revealed in one game serves all.
  [[nodiscard]] const std::vector<GameMove>& moves(const ledger::ClaimKey& claim) const;
  // Games that have not ended, and batches that are neither final nor void, ascending.
  [[nodiscard]] const std::set<std::uint64_t>& open_games() const { return open_games_; }
  [[nodiscard]] const std::set<std::uint64_t>& open_batches() const { return open_batches_; }
  // The first batch of an operator with this root; nothing where there is none.
  [[nodiscard]] std::optional<std::uint64_t> batch_of(const crypto::Address& operator_address,
                                                      const Hash& root) const;

  // Signs as the account with its next nonce, submits, and catches up. kReject with the ledger's
  // code; any other error: look at the state again before sending it again. The nonce is that of
  // the mirror, so the same call cannot be taken twice.
  [[nodiscard]] Status send(const crypto::PrivateKey& key, ledger::Body body);

 private:
  Mirror(LedgerPort& port, settlement::Replay replay) : port_(&port), replay_(std::move(replay)) {}
  void note(const settlement::Row& row);
  void drop_ended();

  LedgerPort* port_;
  settlement::Replay replay_;
  std::map<ledger::ClaimKey, std::vector<GameMove>> moves_;
  std::set<std::uint64_t> open_games_, open_batches_;
  std::map<std::pair<crypto::Address, Hash>, std::uint64_t> batches_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_MIRROR_H_
