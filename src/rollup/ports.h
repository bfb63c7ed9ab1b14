// What the roles of a rollup reach each other through. Every answer may be a lie and every call may
// be lost: whoever asks checks, and asks again.
//
// Implemented by rollup/sequencer.h in one process, by service/ledger_client.h over HTTP and by the
// simulation's network.
#ifndef OTR_ROLLUP_PORTS_H_
#define OTR_ROLLUP_PORTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "settlement/store.h"

namespace otr::rollup {

class LedgerPort {
 public:
  virtual ~LedgerPort() = default;
  [[nodiscard]] virtual Result<Bytes> genesis() = 0;
  // Rows above `after` in order, as many as fit an answer; none where there are none.
  [[nodiscard]] virtual Result<std::vector<settlement::Row>> rows(std::uint64_t after) = 0;
  // kReject with the ledger's code where it was refused. After any other error it is not known
  // whether it was taken: the rows say so, now or later.
  [[nodiscard]] virtual Status submit(ByteView transaction) = 0;
};

// A longer proof cannot be served, and so answers no draw.
inline constexpr std::size_t kMaxProofBytes = std::size_t{64} << 20;

// What an operator serves about its batches, off the ledger.
class DataPort {
 public:
  virtual ~DataPort() = default;
  // The receipts of all claims under a batch root, in order (SPEC RCPT-1). kNetwork where there is
  // nobody, kBadInput where the operator does not have or give them.
  [[nodiscard]] virtual Result<std::vector<std::string>> receipts(const Hash& batch_root) = 0;
  // The proof with this digest, by which it answered a draw (SPEC SET-30, lane 1), of at most
  // kMaxProofBytes. Errors alike.
  [[nodiscard]] virtual Result<Bytes> proof(const Hash& digest) = 0;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_PORTS_H_
