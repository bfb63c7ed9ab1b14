#include "settlement/sqlite.h"

namespace otr::settlement {
namespace {

std::string advice_on(int code, const Wording& wording) {
  switch (code & 0xFF) {
    case SQLITE_FULL:
      return "; make room on its disk and open it again: nothing acknowledged is lost";
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return "; the file and its folder must be there and writable";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "; another process holds it";
    case SQLITE_IOERR:
      return "; its disk fails: copy the folder away, then open the copy";
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return std::string("; the file is damaged: ") + wording.repair;
    default:
      return "";
  }
}

}  // namespace

Result<Database> Database::open(const std::filesystem::path& file, int flags,
                                const std::string& vfs, Wording wording) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &handle, flags | SQLITE_OPEN_PRIVATECACHE,
                                   vfs.empty() ? nullptr : vfs.c_str());
  Database database(file, handle, wording);
  if (code != SQLITE_OK) return database.error("opened");
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, 5000);
  return database;
}

std::unexpected<Error> Database::error(const char* what) const {
  const int code = handle_ == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(handle_.get());
  const char* reason = handle_ == nullptr ? "out of memory" : sqlite3_errmsg(handle_.get());
  return fail(ErrorKind::kIo, std::string(wording_.name) + " " + file_.string() + " cannot be " +
                                  what + ": " + reason + advice_on(code, wording_) + ".");
}

Status Database::run(const char* sql) const {
  if (sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return error("written");
}

Result<Statement> Database::prepare(const char* sql) const {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(handle_.get(), sql, -1, &statement, nullptr) != SQLITE_OK) {
    return error("read");
  }
  return Statement(statement);
}

Result<std::string> Database::ask(const char* sql) const {
  OTR_TRY_ASSIGN(const Statement statement, prepare(sql));
  if (sqlite3_step(statement.get()) != SQLITE_ROW) return error("read");
  const ByteView text = column_bytes(statement.get(), 0);
  return std::string(as_text(text));
}

void bind_bytes(sqlite3_stmt* statement, int place, ByteView bytes) {
  // An empty blob is not NULL.
  sqlite3_bind_blob64(statement, place,
                      bytes.empty() ? "" : reinterpret_cast<const char*>(bytes.data()),
                      bytes.size(), SQLITE_STATIC);
}

ByteView column_bytes(sqlite3_stmt* statement, int place) {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement, place));
  const int size = sqlite3_column_bytes(statement, place);
  return data == nullptr ? ByteView() : ByteView(data, static_cast<std::size_t>(size));
}

}  // namespace otr::settlement
