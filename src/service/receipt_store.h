// The receipts of a gateway or proxy, in one SQLite file (SPEC GATE-10: a receipt is on disk before
// anybody hears of it).
//
// One thread writes; what is queued while it waits for the disk is committed together, so that many
// answers share one flush. Journal mode WAL with synchronous=FULL: what `done` has announced is
// there after the process is killed, and after a power cut as far as disk and file system keep
// their word.
#ifndef OTR_SERVICE_RECEIPT_STORE_H_
#define OTR_SERVICE_RECEIPT_STORE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::service {

struct StoredReceipt {
  Hash id{};                 // the request hash
  Hash api_key{};            // ApiKeys::check of who asked; zero where anybody may ask
  std::int64_t created = 0;  // unix seconds
  std::string text;          // encode_receipt
};

struct ReceiptEntry {
  Hash id{};
  std::int64_t created = 0;
  std::uint64_t size_bytes = 0;
};

class ReceiptStore {
 public:
  static constexpr std::size_t kMaxQueuedBytes = std::size_t{256} << 20;

  // Opens the file, making it (mode 0600) where there is none. kIo with the path and what to do
  // where it cannot be used. `busy_ms`: how long a write waits for another process that holds it.
  [[nodiscard]] static Result<std::unique_ptr<ReceiptStore>> open(const std::filesystem::path& file,
                                                                  std::uint32_t busy_ms = 10'000);

  // Writes what is queued, then closes.
  ~ReceiptStore();
  ReceiptStore(const ReceiptStore&) = delete;
  ReceiptStore& operator=(const ReceiptStore&) = delete;

  // `done` is called once, on the writing thread, when the receipt is on disk, or with kIo when it
  // is not; it must not block. With too much queued it is called with kIo at once. The same receipt
  // again is a success; another under the same id kBadInput, and the first stays.
  void put(StoredReceipt receipt, std::function<void(Status)> done);

  // `tell` is called on the writing thread with each receipt that can be kept, before anybody can
  // read it here; with its error, which `done` gets, it is not kept. For whoever must have a
  // receipt before anybody hears of it. Once, before the first put.
  void tell_first(std::function<Status(const std::string& text)> tell);

  // Nothing where there is none, or where it is another API key's. Any thread.
  [[nodiscard]] Result<std::optional<std::string>> get(const Hash& id, const Hash& api_key);
  // Newest first; those of that API key.
  [[nodiscard]] Result<std::vector<ReceiptEntry>> list(const Hash& api_key, std::uint32_t limit);

 private:
  struct Impl;
  explicit ReceiptStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_RECEIPT_STORE_H_
