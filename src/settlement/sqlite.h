// The little of SQLite that the store needs: handles that close themselves, and errors that say
// what to do.
#ifndef OTR_SETTLEMENT_SQLITE_H_
#define OTR_SETTLEMENT_SQLITE_H_

#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::settlement {

struct Closer {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Closer>;

// How errors call a file, and what they advise where it is damaged.
struct Wording {
  const char* name = "The ledger";
  const char* repair = "restore it with `otr ledger import` from an export";
};

class Database {
 public:
  // `flags` of sqlite3_open_v2; `vfs` empty for SQLite's own.
  [[nodiscard]] static Result<Database> open(const std::filesystem::path& file, int flags,
                                             const std::string& vfs, Wording wording = {});

  [[nodiscard]] Status run(const char* sql) const;
  [[nodiscard]] Result<Statement> prepare(const char* sql) const;
  // The first column of the first row, as text.
  [[nodiscard]] Result<std::string> ask(const char* sql) const;
  // kIo with the path, SQLite's reason and what to do; `what` was to be done to the file.
  [[nodiscard]] std::unexpected<Error> error(const char* what) const;

 private:
  Database(std::filesystem::path file, sqlite3* handle, Wording wording)
      : file_(std::move(file)), wording_(wording), handle_(handle) {}

  std::filesystem::path file_;
  Wording wording_;
  std::unique_ptr<sqlite3, Closer> handle_;
};

// Requires `bytes` to outlive the step that reads them.
void bind_bytes(sqlite3_stmt* statement, int place, ByteView bytes);
[[nodiscard]] ByteView column_bytes(sqlite3_stmt* statement, int place);

}  // namespace otr::settlement

#endif  // OTR_SETTLEMENT_SQLITE_H_
