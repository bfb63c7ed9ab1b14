// The ledger of a simulated network: the real rules over rows in memory, with every invariant
// checked after every transaction (spec/SETTLEMENT.md, INV). SIMULATED: no disk, no sequencer.
#ifndef OTR_SIM_CHAIN_H_
#define OTR_SIM_CHAIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secp256k1.h"
#include "ledger/apply.h"
#include "settlement/store.h"

namespace otr::sim {

class Chain {
 public:
  Chain(Bytes genesis, crypto::PrivateKey sequencer);

  // kReject with the ledger's code.
  Status submit(ByteView transaction, std::uint64_t now);
  // Signed by the sequencer.
  Status checkpoint(std::uint64_t now);

  [[nodiscard]] const Bytes& genesis() const { return genesis_; }
  [[nodiscard]] const std::vector<settlement::Row>& rows() const { return rows_; }
  [[nodiscard]] const ledger::State& state() const { return state_; }
  // The events of all rows, in order.
  [[nodiscard]] const ledger::Events& events() const { return events_; }
  // The first broken invariant; empty while all hold.
  [[nodiscard]] const std::string& broken() const { return broken_; }

 private:
  const Bytes genesis_;
  const crypto::PrivateKey sequencer_;
  ledger::State state_;
  std::vector<settlement::Row> rows_;
  ledger::Events events_;
  std::string broken_;
};

}  // namespace otr::sim

#endif  // OTR_SIM_CHAIN_H_
