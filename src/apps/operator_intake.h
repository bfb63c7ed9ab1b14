// What an operator's process lets in: receipts that its own gateway countersigned, of sessions that
// stand on the ledger, so that whatever it has answered for can be posted.
#ifndef OTR_APPS_OPERATOR_INTAKE_H_
#define OTR_APPS_OPERATOR_INTAKE_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/receipt.h"
#include "rollup/operator.h"

namespace otr::apps {

struct IntakeGauges {
  std::uint64_t taken = 0;       // receipts, and the same again
  std::uint64_t refused = 0;     // for ever
  std::uint64_t sent_again = 0;  // not ready: to be brought again
};

class OperatorIntake {
 public:
  // `role` must outlive it. `state`: the ledger of now, whose sessions of this operator it takes
  // receipts of, in end_step.
  OperatorIntake(rollup::Operator& role, const crypto::Address& self, const ledger::State& state);

  // A receipt: durable when it returns. kBadInput and kReject with a code: never. kNetwork: its
  // session is not on the ledger yet (it is asked for), or no more, or the stake is in use. Any
  // thread.
  Status take(const std::string& receipt_text);

  // Sessions that receipts came of and that are not on the ledger. Any thread.
  [[nodiscard]] std::vector<protocol::SessionDocument> wanted() const;
  // Before and after a step: what the ledger is, how many claims more the free stake can carry than
  // wait for it, and why the last registration was refused, if it was. Claims beyond the stake
  // could not be posted in time, and whoever forces one takes the stake (SPEC SET-27).
  void begin_step();
  void end_step(const ledger::State& state, std::uint64_t now, std::uint64_t room,
                const std::string& refusal);
  [[nodiscard]] IntakeGauges gauges() const;
  // After which the journal takes no more, and the process has to begin again.
  [[nodiscard]] std::optional<Error> failure() const;

 private:
  struct Known {
    protocol::SessionDocument document;  // without evidence where the ledger has it
    bool is_registered = false, can_post = false;
  };
  Status check(const std::string& receipt_text);
  Status reserve(const protocol::Receipt& receipt);

  rollup::Operator& role_;
  const crypto::Address self_;
  const Hash ledger_;
  mutable std::mutex mutex_;        // guards what follows
  std::map<Hash, Known> sessions_;  // that receipts came of, by id
  std::set<Hash> taken_by_now_;     // claims, since this process began
  std::uint64_t room_ = 0;          // for more of them
  std::uint64_t taken_ = 0;         // since the last step began
  std::string refusal_;
  IntakeGauges gauges_;
  std::optional<Error> failure_;
};

}  // namespace otr::apps

#endif  // OTR_APPS_OPERATOR_INTAKE_H_
