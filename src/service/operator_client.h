// A gateway's way to its operator's process (role_server.h): every receipt is there, on disk,
// before a client hears of it (SPEC GATE-10).
#ifndef OTR_SERVICE_OPERATOR_CLIENT_H_
#define OTR_SERVICE_OPERATOR_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"
#include "crypto/secp256k1.h"
#include "net/client.h"

namespace otr::service {

struct OperatorAddress {
  std::string url;  // http://host:port, without a path
  // For how long an answer waits for an operator that is being started again.
  std::uint32_t patience_ms = 10'000;
};

class OperatorClient {
 public:
  // `client` must outlive it.
  OperatorClient(net::Client& client, OperatorAddress at) : client_(client), at_(std::move(at)) {}

  // Whether the process there works for this operator: kUsage where it does not, kNetwork where
  // there is none.
  [[nodiscard]] Status check(const crypto::Address& self);

  // Hands a receipt in (ReceiptStore::tell_first); durable there after a success. One of a
  // sealed answer is left alone: nobody could show on demand what it says. Blocks, for as long as
  // its patience; not at all for a second after it was in vain, so that those who wait behind it
  // learn it too. One thread at a time.
  [[nodiscard]] Status hand_in(const std::string& receipt_text);
  // kNetwork in that second: what is asked now would be computed in vain. Any thread.
  [[nodiscard]] Status is_ready() const;

 private:
  Status try_once(const std::string& receipt_text);

  net::Client& client_;
  const OperatorAddress at_;
  std::atomic<std::int64_t> rests_until_ns_ = 0;  // after a failure
  bool is_down_ = false;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_OPERATOR_CLIENT_H_
