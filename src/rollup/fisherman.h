// The audit flow, top to bottom in fisherman.cc: fetch what was posted, recompute a sample that
// nobody can predict, challenge what is false, play every game to its end, and report draws that
// were not answered.
//
// It decides everything from the ledger's state, anew at every step, and needs nothing of its own
// but its keys: killed in mid-game and started again, it computes again and goes on. What a data
// server withholds it demands on the ledger; what a server gives it checks against the claim.
#ifndef OTR_ROLLUP_FISHERMAN_H_
#define OTR_ROLLUP_FISHERMAN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/secp256k1.h"
#include "rollup/mirror.h"
#include "rollup/pass.h"
#include "rollup/ports.h"

namespace otr::rollup {

// The key must outlive the fisherman.
struct FishermanOptions {
  const crypto::PrivateKey& key;        // pays bonds, receives rewards
  Hash sampling_key{};                  // secret, of the ECVRF (RFC 9381)
  std::uint32_t check_ppm = 1'000'000;  // share of claims that it recomputes
  bool attends = false;  // says so on the ledger of every claim that it finds true (SPEC SET-39)
  std::function<const Weights*(const Hash& model_root)> weights;  // null: that model is not here
  // Who serves the data of an operator; null: nobody, all is demanded on the ledger.
  std::function<DataPort*(const crypto::Address& operator_address)> data;
  std::function<std::uint64_t()> stopwatch_ms = {};  // how long a server takes; null: the machine's
  std::uint64_t trace_bytes = std::uint64_t{1} << 30;  // of traces in memory, or else one trace
};

struct FishermanGauges {
  std::uint64_t claims_seen = 0, sampled = 0;
  std::uint64_t agreed = 0;  // recomputed, equal to the claim
  std::uint64_t false_claims = 0;
  std::uint64_t sealed = 0;  // not for its eyes
  std::uint64_t unknown_model = 0;
  std::uint64_t missed = 0;    // sampled, and the window ended before it had looked: raise an alarm
  std::uint64_t withheld = 0;  // demanded on the ledger
  std::uint64_t games_open = 0, games_won = 0, games_lost = 0;
  std::uint64_t canaries_found = 0;
  std::uint64_t attended = 0;         // by itself
  std::uint64_t attention_true = 0;   // of others, on claims that it has recomputed
  std::uint64_t attention_false = 0;  // likewise: they cannot have computed them
  std::uint64_t bonds_at_risk = 0;
  std::uint64_t to_fetch = 0;       // batches, now: a step more would fetch one
  std::uint64_t traces_kept = 0;    // in memory, of false claims and games
  std::uint64_t next_clock_ms = 0;  // the first of its own clocks to run out; 0: none runs
  std::uint64_t refused = 0;
  std::string last_refusal;
};

class Fisherman {
 public:
  // `mirror` must outlive it.
  Fisherman(Mirror& mirror, FishermanOptions options);
  ~Fisherman();

  // Looks at the ledger once and does what is due. It asks one server for one batch at most: what
  // is left to fetch is left to the next steps. kReject: the ledger's port lies. Other errors of
  // the network pass: the next step tries again.
  [[nodiscard]] Status step(std::uint64_t now);
  [[nodiscard]] FishermanGauges gauges() const;

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_FISHERMAN_H_
