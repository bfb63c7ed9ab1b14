// The settle flow, top to bottom in operator.cc: an operator's countersigned claims become batches,
// batches are defended, drawn, finalised and paid.
//
// It decides everything from the ledger's state and its journal, anew at every step: killed at any
// moment and started again, it goes on where the ledger is. Receipts are in the journal before
// anybody hears of them (SPEC GATE-10).
#ifndef OTR_ROLLUP_OPERATOR_H_
#define OTR_ROLLUP_OPERATOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/secp256k1.h"
#include "dispute/game.h"
#include "protocol/receipt.h"
#include "rollup/journal.h"
#include "rollup/mirror.h"
#include "rollup/pass.h"
#include "rollup/posted.h"
#include "rollup/prover.h"

namespace otr::rollup {

// The key must outlive the operator.
struct OperatorOptions {
  const crypto::PrivateKey& key;
  std::uint64_t value = 1;         // what a claim may carry (SPEC SET-20)
  std::uint32_t max_batch = 1024;  // claims
  // A batch is posted when it is full, or its oldest claim this old or older than half the time
  // that a force allows.
  std::uint64_t batch_every_ms = 0;
  // The weights of the model of a root, to answer with; null: none here.
  std::function<const Weights*(const Hash& model_root)> weights;
  // Draws are answered by proofs where they can be had in time (prover.h); nothing: by
  // re-execution.
  std::optional<ProverOptions> prover;
  // What to play on a claim; null: what an honest worker plays. Cheats set it.
  std::function<dispute::Action(const protocol::Receipt&, const dispute::Game&,
                                const dispute::Facts&)>
      respond;
};

struct OperatorGauges {
  std::uint64_t claims_waiting = 0;  // countersigned, not posted
  std::uint64_t batches_open = 0, batches_final = 0, batches_void = 0;
  std::uint64_t games_open = 0;
  std::uint64_t next_clock_ms = 0;  // the first of its clocks to run out; 0: none runs
  std::uint64_t refused = 0;        // own transactions that the ledger refused
  std::string last_refusal;
  ProverGauges proofs;
};

class Operator : public DataPort {
 public:
  // Reads its journal. `mirror` and `journal` must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<Operator>> open(Mirror& mirror, Journal& journal,
                                                              OperatorOptions options);

  // A receipt that it countersigned, of its own session on this ledger. Durable when it returns.
  // The same again is a success. Any thread; the rest is one thread's.
  // kBadInput where it is no receipt, kReject where it is another operator's, or sealed: who cannot
  // show prompt and request on demand must not post the claim (docs/limitations.md); or where it
  // holds another answer to the same request, both of which would cost its stake (SPEC SET-28).
  [[nodiscard]] Status add(const std::string& receipt_text, std::uint64_t now);

  // Looks at the ledger once and does what is due. kReject: the ledger's port lies. Other errors of
  // the network pass: the next step tries again.
  [[nodiscard]] Status step(std::uint64_t now);

  Result<std::vector<std::string>> receipts(const Hash& batch_root) override;
  Result<Bytes> proof(const Hash& digest) override;
  // Where a claim of its own stands; nothing before its batch is on the ledger. Of the thread that
  // steps.
  [[nodiscard]] std::optional<Posted> posted(const Hash& claim_hash) const;
  [[nodiscard]] OperatorGauges gauges() const;

 private:
  struct Body;
  explicit Operator(std::unique_ptr<Body> body);

 public:
  ~Operator() override;

 private:
  std::unique_ptr<Body> body_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_OPERATOR_H_
