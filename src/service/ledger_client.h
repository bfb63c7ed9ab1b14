// A ledger, and an operator's receipts, over HTTP (service/ledger_server.h). Nothing is believed of
// the server: what it sends is bounded in size, in form and in time, and rollup/mirror.h replays
// the rest.
#ifndef OTR_SERVICE_LEDGER_CLIENT_H_
#define OTR_SERVICE_LEDGER_CLIENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "net/client.h"
#include "rollup/ports.h"

namespace otr::service {

// Where to ask, and for how long. A server that sends a byte now and then must not hold up whoever
// has a clock to keep.
struct LedgerServerAddress {
  std::string url;  // http://host:port, without a path
  std::uint32_t whole_answer_ms = 60'000;
};

// Both block, and may be used from any thread but the client's own. `client` must outlive them.

class LedgerClient : public rollup::LedgerPort {
 public:
  LedgerClient(net::Client& client, LedgerServerAddress server)
      : client_(client), server_(std::move(server)) {}

  Result<Bytes> genesis() override;
  Result<std::vector<settlement::Row>> rows(std::uint64_t after) override;
  Status submit(ByteView transaction) override;

 private:
  net::Client& client_;
  const LedgerServerAddress server_;
};

class DataClient : public rollup::DataPort {
 public:
  DataClient(net::Client& client, LedgerServerAddress server)
      : client_(client), server_(std::move(server)) {}

  Result<std::vector<std::string>> receipts(const Hash& batch_root) override;
  Result<Bytes> proof(const Hash& digest) override;

 private:
  Result<std::string> fetch(const std::string& path, std::size_t max_bytes);
  net::Client& client_;
  const LedgerServerAddress server_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_LEDGER_CLIENT_H_
