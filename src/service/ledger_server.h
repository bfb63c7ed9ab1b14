// The HTTP face of a ledger, and of an operator's receipts (docs/ledger.md).
//
//   GET  /v1/ledger/genesis            the genesis as it was written
//   GET  /v1/ledger/rows?after=N       rows above height N, as many as fit (ledger_wire.h)
//   POST /v1/ledger/transactions       one transaction: 200, or 422 with the ledger's code
//   GET  /v1/claims/0x{batch root}     the receipts of a batch; 404 where they are not here
//   GET  /v1/proofs/0x{digest}         the proof that answered a draw; 404 where it is not here
//   GET  /livez
//
// Anybody may ask, as anybody may follow a ledger and audit a batch: a transaction is worth its
// signature, whoever brings it. It promises no order of transactions that arrive at the same time.
//
// What peers that read slowly can make it hold is bounded: 32 requests at once wait for an answer
// or are being answered, two of them under way with as much as ledger_wire.h allows; and answers
// that are not yet taken hold at most `max_unwritten_bytes` together, but for those of up to 64
// KiB, of which each connection may hold one, so that whoever fills the bound keeps out no
// transaction. Beyond: 429. An answer that is not taken within a minute is cut, so that room
// returns.
#ifndef OTR_SERVICE_LEDGER_SERVER_H_
#define OTR_SERVICE_LEDGER_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "net/server.h"
#include "rollup/ports.h"

namespace otr::service {

class LedgerServer {
 public:
  // Four of the longest answers. Less than one of them would withhold such a batch.
  static constexpr std::size_t kMaxUnwrittenBytes = std::size_t{1} << 30;

  // Listens from now on. Either port may be null: then it has no such routes. Both are called from
  // any of a few threads and must outlive it.
  static Result<std::unique_ptr<LedgerServer>> start(
      net::ServerOptions options, rollup::LedgerPort* ledger, rollup::DataPort* data,
      std::size_t max_unwritten_bytes = kMaxUnwrittenBytes);
  ~LedgerServer();

  [[nodiscard]] std::uint16_t port() const;
  // Accepts no more; lets answers end until the deadline.
  void stop(std::uint32_t deadline_ms);

 private:
  class Body;
  explicit LedgerServer(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_LEDGER_SERVER_H_
