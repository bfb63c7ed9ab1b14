// What holds after every call, whoever calls (spec/SETTLEMENT.md, INV-1 to INV-4 and INV-7), as one
// function that the tests, the simulator and `otr ledger verify` ask.
//
// INV-5 and INV-6 speak of honest parties and are tested by playing them.
#ifndef OTR_LEDGER_INVARIANTS_H_
#define OTR_LEDGER_INVARIANTS_H_

#include "base/result.h"
#include "ledger/state.h"

namespace otr::ledger {

// Of one state. kReject with the invariant's id as code.
[[nodiscard]] Status check_invariants(const State& state);

// Of two states of one ledger, `after` the later.
[[nodiscard]] Status check_invariants(const State& before, const State& after);

}  // namespace otr::ledger

#endif  // OTR_LEDGER_INVARIANTS_H_
