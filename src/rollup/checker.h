// A checker of the genesis: verifies what operators answered for drawn claims, and signs what is
// right (SPEC SET-30), top to bottom in checker.cc. Lane 1 is the proof under the revealed beacon
// value, lane 2 the answer computed again.
//
// It signs nothing else: a checker's silence is no verdict, and what is false is a fisherman's to
// challenge. It decides everything from the ledger's state: killed and started again, it goes on.
#ifndef OTR_ROLLUP_CHECKER_H_
#define OTR_ROLLUP_CHECKER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "crypto/secp256k1.h"
#include "rollup/mirror.h"
#include "rollup/pass.h"
#include "rollup/ports.h"

namespace otr::rollup {

// The key must outlive the checker.
struct CheckerOptions {
  const crypto::PrivateKey& key;  // of one of the genesis's checkers; its account pays the fees
  std::function<const Weights*(const Hash& model_root)> weights;  // null: that model is not here
  // Who serves the data of an operator; null: nobody.
  std::function<DataPort*(const crypto::Address& operator_address)> data;
  std::function<std::uint64_t()> stopwatch_ms = {};  // how long a server takes; null: the machine's
};

struct CheckerGauges {
  std::uint64_t answered = 0;              // draws that it has seen answered
  std::uint64_t proven = 0, executed = 0;  // found right, by lane
  std::uint64_t disagreed = 0;             // found wrong: somebody should challenge; raise an alarm
  std::uint64_t withheld = 0;              // data that could not be had, so far
  std::uint64_t unknown_model = 0;
  std::uint64_t signed_count = 0;  // taken by the ledger
  std::uint64_t refused = 0;
  std::string last_disagreement, last_refusal;
};

class Checker {
 public:
  // `mirror` must outlive it.
  Checker(Mirror& mirror, CheckerOptions options);
  ~Checker();

  // Whether the ledger's genesis names this key. Nobody else's signature counts.
  [[nodiscard]] bool is_appointed() const;
  // Looks at the ledger once and does what is due. kReject: the ledger's port lies. Other errors of
  // the network pass: the next step tries again.
  [[nodiscard]] Status step(std::uint64_t now);
  [[nodiscard]] CheckerGauges gauges() const;

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_CHECKER_H_
