// What a role must not lose, as records on disk in the order in which they were written.
#ifndef OTR_ROLLUP_JOURNAL_H_
#define OTR_ROLLUP_JOURNAL_H_

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace otr::rollup {

class Journal {
 public:
  virtual ~Journal() = default;
  // On disk when it returns success; after an error it may or may not be there after a restart, and
  // nothing more is written.
  [[nodiscard]] virtual Status append(std::string_view record) = 0;
  // All records, in order.
  [[nodiscard]] virtual Status read(const std::function<Status(std::string_view)>& visit) = 0;
};

// In one SQLite file (WAL, synchronous FULL), made where there is none. One process at a time.
[[nodiscard]] Result<std::unique_ptr<Journal>> open_journal(const std::filesystem::path& file);

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_JOURNAL_H_
