// The embedded ledger as a port: whoever holds the Store is the sequencer (SPEC STORE).
#ifndef OTR_ROLLUP_SEQUENCER_H_
#define OTR_ROLLUP_SEQUENCER_H_

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "rollup/ports.h"
#include "settlement/store.h"

namespace otr::rollup {

// From any thread.
class Sequencer : public LedgerPort {
 public:
  // `unix_ms` is the ledger's clock. Reads the rows of the store's file.
  [[nodiscard]] static Result<std::unique_ptr<Sequencer>> open(
      const std::filesystem::path& file, settlement::StoreOptions options,
      std::function<std::uint64_t()> unix_ms);

  Result<Bytes> genesis() override;
  Result<std::vector<settlement::Row>> rows(std::uint64_t after) override;
  Status submit(ByteView transaction) override;

  // A checkpoint now, if anything happened since the last.
  [[nodiscard]] Status checkpoint();
  // A last one; nothing is taken afterwards.
  [[nodiscard]] Status close();

 private:
  Sequencer(std::filesystem::path file, std::unique_ptr<settlement::Store> store,
            std::function<std::uint64_t()> unix_ms)
      : file_(std::move(file)), store_(std::move(store)), unix_ms_(std::move(unix_ms)) {}

  const std::filesystem::path file_;
  std::mutex mutex_;
  std::unique_ptr<settlement::Store> store_;
  const std::function<std::uint64_t()> unix_ms_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_SEQUENCER_H_
