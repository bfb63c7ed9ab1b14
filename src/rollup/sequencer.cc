#include "rollup/sequencer.h"

#include <span>
#include <utility>

namespace otr::rollup {
namespace {

constexpr std::size_t kRowsAtOnce = 1024;
constexpr std::size_t kBytesAtOnce = std::size_t{8} << 20;

}  // namespace

Result<std::unique_ptr<Sequencer>> Sequencer::open(const std::filesystem::path& file,
                                                   settlement::StoreOptions options,
                                                   std::function<std::uint64_t()> unix_ms) {
  OTR_TRY_ASSIGN(auto store, settlement::Store::open(file, std::move(options)));
  return std::unique_ptr<Sequencer>(new Sequencer(file, std::move(store), std::move(unix_ms)));
}

Result<Bytes> Sequencer::genesis() {
  const std::lock_guard lock(mutex_);
  return store_->genesis();
}

Result<std::vector<settlement::Row>> Sequencer::rows(std::uint64_t after) {
  {
    const std::lock_guard lock(mutex_);
    if (after >= store_->state().height) return std::vector<settlement::Row>{};
  }
  std::vector<settlement::Row> rows;
  std::size_t bytes = 0;
  constexpr std::string_view kFull = "FULL";
  const auto read = settlement::read_rows(file_, after, [&](const settlement::Row& row) -> Status {
    bytes += row.transaction.size();
    if (!rows.empty() && (rows.size() == kRowsAtOnce || bytes > kBytesAtOnce)) {
      return fail(ErrorKind::kCancelled, "enough", std::string(kFull));
    }
    rows.push_back(row);
    return {};
  });
  if (!read && read.error().code != kFull) return std::unexpected(read.error());
  return rows;
}

Status Sequencer::submit(ByteView transaction) {
  const std::lock_guard lock(mutex_);
  const Bytes bytes(transaction.begin(), transaction.end());
  OTR_TRY_ASSIGN(const auto outcomes, store_->append(std::span(&bytes, 1), unix_ms_()));
  if (!outcomes.front()) return std::unexpected(outcomes.front().error());
  return {};
}

Status Sequencer::checkpoint() {
  const std::lock_guard lock(mutex_);
  return store_->checkpoint(unix_ms_());
}

Status Sequencer::close() {
  const std::lock_guard lock(mutex_);
  return store_->close(unix_ms_());
}

}  // namespace otr::rollup
