// What an operator holds: the receipts of its claims and the batches that it made of them. In the
// journal before anybody hears of it; in memory until their batch is over and they are paid.
#ifndef OTR_ROLLUP_HOLDINGS_H_
#define OTR_ROLLUP_HOLDINGS_H_

#include <cstdint>
#include <functional>
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
  };

  // `journal` must outlive it.
  explicit Holdings(Journal& journal) : journal_(journal) {}

  // What of an earlier process needs to be in memory no more, so that it never is.
  struct Finished {
    // Nobody can dispute the batch, nor draw from it.
    std::function<bool(const Hash& root)> is_over;
    // Of such a batch: the claim is paid, or never will be.
    std::function<bool(const protocol::Receipt& receipt)> is_paid;
  };
  // Reads what an earlier process wrote, but for the records that are `others`. Before all else.
  // kBadInput where the journal is damaged.
  [[nodiscard]] Status read(const std::function<bool(std::string_view record)>& others,
                            const Finished& finished);

  // --- Any thread

  // Durable when it returns; the same claim again is a success. kReject, code OTHER_ANSWER, where
  // another claim of the same request is or ever was held.
  [[nodiscard]] Status add(const std::string& text, const protocol::Receipt& receipt,
                           std::uint64_t now);
  // Of a batch, in order; kBadInput where it is none or over.
  [[nodiscard]] Result<std::vector<std::string>> receipts(const Hash& root) const;

  // --- The thread that steps

  // What was added since takes its place among those that wait.
  [[nodiscard]] Status empty_inbox();
  // Claim hashes in no batch on the ledger, in the order of coming.
  [[nodiscard]] const std::vector<Hash>& waiting() const { return waiting_; }
  // Writes down what a batch is made of, before it is posted, and serves it. Returns its root.
  [[nodiscard]] Result<Hash> compose(std::vector<Hash> claims);
  // These batches stand on the ledger: their claims wait no longer, and what else was composed of
  // them will never be posted.
  void mark_posted(const std::set<Hash>& roots);
  // The batch is over: nobody has to be shown its receipts any more. The first time, that is.
  void close(const Hash& root);
  // The claim of such a batch is paid, or never will be.
  void forget(const Hash& claim) { entries_.erase(claim); }
  // No claim of the batch is held any more.
  void let_go(const Hash& root) { live_.erase(root); }

  [[nodiscard]] bool holds(const Hash& claim) const { return entries_.contains(claim); }
  // Requires a claim that was added and not forgotten.
  [[nodiscard]] const Entry& at(const Hash& claim) const { return entries_.at(claim); }
  // Claim hashes of all batches that are or may be on the ledger, by their roots; and the roots of
  // those not let go.
  [[nodiscard]] const std::map<Hash, std::vector<Hash>>& batches() const { return batches_; }
  [[nodiscard]] const std::set<Hash>& live() const { return live_; }

 private:
  Status read_batch(std::string_view record);
  Status take_up(const Finished& finished);
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
