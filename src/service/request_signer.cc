#include "service/request_signer.h"

#include <utility>

#include "crypto/sha256.h"

namespace otr::service {

RequestSigner::RequestSigner(node::Home home, crypto::PrivateKey client, crypto::PrivateKey blind)
    : home_(std::move(home)),
      client_(std::move(client)),
      blind_(std::move(blind)),
      address_(client_.address()) {}

Result<std::unique_ptr<RequestSigner>> RequestSigner::open(const node::Home& home,
                                                           const char* client) {
  OTR_TRY_ASSIGN(crypto::PrivateKey key, home.key(client));
  OTR_TRY_ASSIGN(crypto::PrivateKey blind, home.key("blind"));
  return std::unique_ptr<RequestSigner>(new RequestSigner(home, std::move(key), std::move(blind)));
}

Result<std::uint64_t> RequestSigner::next_counter() {
  const std::lock_guard lock(mutex_);
  if (next_ == end_) {
    OTR_TRY_ASSIGN(next_, home_.reserve_counters(kCounterBlock));
    end_ = next_ + kCounterBlock;
  }
  return next_++;
}

Result<protocol::SignedRequest> RequestSigner::sign(protocol::Request request, const Hash& ledger) {
  protocol::SignedRequest made{.request = std::move(request)};
  made.request.client = address_;
  OTR_TRY_ASSIGN(made.request.counter, next_counter());
  made.request.task_id = protocol::task_id(address_, made.request.counter);
  made.signature = client_.sign(protocol::digest_of(made.request, ledger));
  return made;
}

Hash RequestSigner::blind_seed(const Hash& seed) const {
  // A deterministic signature is a function of the key that nobody can compute without it; the key
  // signs nothing else, and the signature goes nowhere.
  const Hash asked = crypto::sha256({as_bytes("OTR.blind"), seed});
  return crypto::sha256(blind_.sign(asked));
}

}  // namespace otr::service
