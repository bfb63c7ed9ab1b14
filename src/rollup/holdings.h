// What an operator holds: the receipts of its claims and the batches that it made of them. In the
// journal before anybody hears of it; in memory until their batch is final and paid.
#ifndef OTR_ROLLUP_HOLDINGS_H_
#define OTR_ROLLUP_HOLDINGS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "protocol/receipt.h"
#include "rollup/journal.h"

namespace otr::rollup {

class Holdings {
 public:
  using Text = std::shared_ptr<const std::string>;
  struct Entry {
    Text text;
    protocol::Receipt receipt;
    std::uint64_t since = 0;  // when it came; 0 before this process
    bool is_settled = false;  // or cannot be
    // Of the client's channel, that did not suffice.
    std::optional<std::uint64_t> short_deposit = {};
  };

  // `journal` must outlive it.
  explicit Holdings(Journal& journal) : journal_(journal) {}

  // --- Any thread

  // Durable when it returns; the same claim again is a success. kReject, code OTHER_ANSWER, where
  // another claim of the same request is or ever was held.
  [[nodiscard]] Status add(const std::string& text, const protocol::Receipt& receipt,
                           std::uint64_t now);
  // Of a batch, in order; kBadInput where it is none or was let go.
  [[nodiscard]] Result<std::vector<std::string>> receipts(const Hash& root) const;

  // --- The thread that steps

  // A record of an earlier process, in the order of the journal. kBadInput where it is damaged.
  [[nodiscard]] Status read(std::string_view record);
  // What was added since takes its place among those that wait.
  [[nodiscard]] Status empty_inbox();
  // Claim hashes in no batch on the ledger, in the order of coming.
  [[nodiscard]] const std::vector<Hash>& waiting() const { return waiting_; }
  // Writes down what a batch is made of, before it is posted, and serves it. Returns its root.
  [[nodiscard]] Result<Hash> compose(std::vector<Hash> claims);
  // The batch stands on the ledger: its claims wait no longer. The first time, that is.
  void mark_posted(const Hash& root);
  // The batch is final and paid: nobody has to be shown its receipts any more.
  void let_go(const Hash& root);

  // Requires a claim that was added, of no batch that was let go.
  [[nodiscard]] Entry& at(const Hash& claim) { return entries_.at(claim); }
  [[nodiscard]] const Entry& at(const Hash& claim) const { return entries_.at(claim); }
  // Claim hashes of all batches ever, by their roots; and the roots of those not let go.
  [[nodiscard]] const std::map<Hash, std::vector<Hash>>& batches() const { return batches_; }
  [[nodiscard]] const std::set<Hash>& live() const { return live_; }

 private:
  void take(Text text, protocol::Receipt receipt, std::uint64_t now);
  void serve(const Hash& root, std::vector<Hash> claims);

  Journal& journal_;
  // What any thread may touch.
  mutable std::mutex mutex_;
  struct Arrival {
    Text text;
    protocol::Receipt receipt;
    std::uint64_t at = 0;
  };
  std::vector<Arrival> inbox_;
  std::map<Hash, Hash> held_;                 // claim hashes by request hash, of all time
  std::map<Hash, std::vector<Text>> served_;  // receipts by batch root
  // Of the thread that steps.
  std::map<Hash, Entry> entries_;  // by claim hash
  std::vector<Hash> waiting_;
  std::map<Hash, std::vector<Hash>> batches_;
  std::set<Hash> live_, unposted_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_HOLDINGS_H_
