// What a gateway has to remember so that ACI's receipts can be written: which submissions answered
// a request, and the records of the sessions that they were sent to. Inside of ACI only.
//
// The facts stand between the front, which knows no ACI, and the exchange that sees the bytes
// (aci_exchange.h): they are noted where submissions go upstream, and found by the request hashes
// that the front sends as X-Receipt-Id.
#ifndef OTR_SERVICE_ACI_LEDGER_H_
#define OTR_SERVICE_ACI_LEDGER_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "service/aci_forms.h"
#include "service/receipt_store.h"
#include "service/upstream.h"

namespace otr::service {

class AciLedger : public std::enable_shared_from_this<AciLedger> {
 public:
  static constexpr std::size_t kMaxAnswers = 16'384;  // remembered; the oldest goes first
  static constexpr std::size_t kMaxSessions = 256;

  struct Cited {
    AciSession session;
    std::atomic<bool> is_lost = false;  // its record is not on disk: nothing may cite it
  };

  // `sealed`: what goes upstream is sealed (aci_forms.h).
  AciLedger(ReceiptStore& store, bool sealed) : store_(&store), sealed_(sealed) {}

  // The record of this session, made and stored where there is none that is still valid at `now`.
  [[nodiscard]] Result<std::shared_ptr<const Cited>> cite(const AppraisedSession& session,
                                                          std::int64_t now);
  // The text of a record, also of an old one.
  [[nodiscard]] Result<std::optional<std::string>> session_text(const Hash& id);

  void forwarded(AciAnswer answer, std::shared_ptr<const Cited> cited);
  void claimed(const Hash& request_hash, const Hash& claim, const Hash& trace_root);
  // Of all of these requests, in order; nothing where one is not known (any more).
  [[nodiscard]] std::optional<std::vector<AciAnswer>> answers_of(
      const std::vector<Hash>& request_hashes) const;
  // That every session cited is on disk.
  [[nodiscard]] bool are_stored(const std::vector<AciAnswer>& answers) const;

  // Receipts, by id and by the id that the response itself has. As ReceiptStore::put, but that a
  // receipt of the same bytes under the same id is a success: it was given again.
  void put(const std::vector<std::string>& ids, const Hash& api_key, const Hash& response_body,
           std::string text, std::function<void(Status)> done);
  [[nodiscard]] Result<std::optional<std::string>> receipt_text(std::string_view id,
                                                                const Hash& api_key);
  // The store goes: from now on nothing is stored or found.
  void close();

 private:
  struct Fact {
    AciAnswer answer;
    std::shared_ptr<const Cited> cited;
  };
  [[nodiscard]] Status check_same(std::string_view id, const Hash& api_key,
                                  const Hash& response_body, const Status& status);

  mutable std::mutex mutex_;
  ReceiptStore* store_;
  const bool sealed_;
  std::map<Hash, Fact> answers_;
  std::deque<Hash> order_;
  std::map<Hash, std::shared_ptr<Cited>> sessions_;  // by OTR's id
};

// Notes what goes through it to `inner`, which must outlive it.
class AciUpstream final : public Upstream {
 public:
  AciUpstream(Upstream& inner, std::shared_ptr<AciLedger> ledger)
      : inner_(inner), ledger_(std::move(ledger)) {}

  std::expected<std::shared_ptr<const AppraisedSession>, UpstreamError> session(
      const Hash& model_root) override {
    return inner_.session(model_root);
  }
  std::shared_ptr<UpstreamCall> submit(const protocol::Submission& submission,
                                       const std::shared_ptr<const AppraisedSession>& session,
                                       UpstreamEvents events) override;

 private:
  Upstream& inner_;
  const std::shared_ptr<AciLedger> ledger_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_ACI_LEDGER_H_
