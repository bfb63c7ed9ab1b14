// The client that a front is: its key, its counters, and the requests it signs (SPEC REQ).
#ifndef OTR_SERVICE_REQUEST_SIGNER_H_
#define OTR_SERVICE_REQUEST_SIGNER_H_

#include <cstdint>
#include <memory>
#include <mutex>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secp256k1.h"
#include "node/keys.h"
#include "protocol/request.h"

namespace otr::service {

class RequestSigner {
 public:
  // Takes counters from the disk so many at a time: a crash leaves out the rest of a block, and no
  // counter is ever used twice.
  static constexpr std::uint32_t kCounterBlock = 1024;

  // The keys `client` and "blind" of the folder, made where they are not there.
  [[nodiscard]] static Result<std::unique_ptr<RequestSigner>> open(const node::Home& home,
                                                                   const char* client = "client");

  // Fills in client, counter and task id, and signs for `ledger`. The rest is the caller's to have
  // checked. From any thread; waits for the disk once in kCounterBlock calls.
  [[nodiscard]] Result<protocol::SignedRequest> sign(protocol::Request request, const Hash& ledger);

  // SPEC SEAL-4: a seed that nobody else can guess, the same for the same `seed`.
  [[nodiscard]] Hash blind_seed(const Hash& seed) const;

  [[nodiscard]] const crypto::Address& address() const { return address_; }

 private:
  RequestSigner(node::Home home, crypto::PrivateKey client, crypto::PrivateKey blind);
  [[nodiscard]] Result<std::uint64_t> next_counter();

  const node::Home home_;
  const crypto::PrivateKey client_, blind_;
  const crypto::Address address_;
  std::mutex mutex_;
  std::uint64_t next_ = 0, end_ = 0;  // counters at hand
};

}  // namespace otr::service

#endif  // OTR_SERVICE_REQUEST_SIGNER_H_
