// An exchange that is watched for ACI: adds the protocol's headers, hashes the bytes that go to the
// client, and has the signed receipt on disk before the client sees the answer's end. Inside of ACI
// only.
//
// It stands between the connection and the front's recording (idempotency.h), so a client that
// joined an answer is given its own hash, over what this very client was sent. What is withheld
// until the receipt is on disk: a whole answer, and of a stream its last part with "[DONE]". Where
// it cannot be stored, a stream is cut and a whole answer becomes a 500. A stream that fails has no
// receipt.
#ifndef OTR_SERVICE_ACI_EXCHANGE_H_
#define OTR_SERVICE_ACI_EXCHANGE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "crypto/ed25519.h"
#include "crypto/sha256.h"
#include "net/server.h"
#include "service/aci_ledger.h"

namespace otr::service {

// The keyset of a gateway, from one rotation to the next.
struct AciKeys {
  crypto::Ed25519Key receipt;
  Json keyset;
  std::string digest;
  std::int64_t not_after = 0;
};

// The ids in an X-Receipt-Id of the front: one request hash per answer.
[[nodiscard]] std::vector<Hash> receipt_ids_of(const net::Headers& headers);

class AciExchange final : public net::Exchange, public std::enable_shared_from_this<AciExchange> {
 public:
  AciExchange(std::shared_ptr<net::Exchange> inner, std::shared_ptr<const AciKeys> keys,
              std::shared_ptr<AciLedger> ledger, std::string allow_origin);

  // From now on the answer is one to a prompt, and gets a receipt. `sessions` (bare ids; empty:
  // any): an answer of another one is not given. Before the front gets it.
  void expect_answer(const Hash& api_key, std::optional<std::string> model,
                     std::vector<std::string> sessions);
  // Answers with this error, in place of forwarding, and with a receipt that says so.
  void refuse(net::Response response, const std::string& reason);

  [[nodiscard]] const net::Request& request() const override { return inner_->request(); }
  bool respond(net::Response response) override;
  bool begin_stream(unsigned status, net::Headers headers) override;
  bool write(std::string bytes) override;
  bool end() override;
  bool abort() override;
  void on_disconnect(std::function<void()> call) override;
  [[nodiscard]] std::size_t pending_bytes() const override { return inner_->pending_bytes(); }

 private:
  void dress(net::Headers& headers, const std::string& receipt_id) const;
  [[nodiscard]] net::Response problem(std::string_view code, std::string_view message) const;
  // Writes the receipt of what was said; `done` when it is on disk, or cannot be.
  void store(AciReceipt receipt, std::function<void(Status)> done);
  [[nodiscard]] Result<AciReceipt> receipt_of(const std::vector<Hash>& ids,
                                              const std::string& chat_unique) const;
  [[nodiscard]] bool is_pinned(const std::vector<Hash>& ids) const;
  void finish_stream(const Status& status, std::string rest);

  const std::shared_ptr<net::Exchange> inner_;
  const std::shared_ptr<const AciKeys> keys_;
  const std::shared_ptr<AciLedger> ledger_;
  // What waits for the disk is taken for given, unless its client is known to be gone: who keeps an
  // answer for a client that comes back (idempotency.h) asks that.
  std::atomic<bool> is_gone_ = false;
  const std::string allow_origin_;  // FrontOptions::allow_origin
  Hash request_body_{};

  // Set by expect_answer().
  bool has_receipt_ = false;
  Hash api_key_{};
  std::optional<std::string> model_;
  std::vector<std::string> pinned_;

  std::mutex mutex_;  // of what follows; never held when the inner exchange is called
  crypto::Sha256 hash_;
  std::vector<Hash> ids_;
  std::string all_ids_;  // as the front wrote them
  std::string held_;     // hashed, not sent
  bool is_over_ = false;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_ACI_EXCHANGE_H_
