// Records are chained by hashes, since SQLite notices a changed record as little as a missing one;
// a mark beside the file (settlement/guard.h) says how many there must be.
#include "rollup/journal.h"

#include <sqlite3.h>

#include <mutex>
#include <utility>

#include "crypto/sha256.h"
#include "settlement/guard.h"
#include "settlement/sqlite.h"

namespace otr::rollup {
namespace {

using settlement::bind_bytes;
using settlement::column_bytes;
using settlement::Database;
using settlement::Head;
using settlement::Lock;
using settlement::Statement;

constexpr settlement::Wording kWording = {
    "The journal", "restore a copy of its folder; what it alone held is lost"};

constexpr const char* kSchema =
    "BEGIN IMMEDIATE;"
    "PRAGMA application_id=1330926154;"  // "OTLJ"
    "PRAGMA user_version=1;"
    "CREATE TABLE records(number INTEGER PRIMARY KEY, bytes BLOB NOT NULL, chain BLOB NOT NULL)"
    "  STRICT;"
    "COMMIT;";
constexpr const char* kApplicationId = "1330926154";

std::string name_of(const std::filesystem::path& file) {
  return std::string(kWording.name) + " " + file.string();
}

Hash chain_on(const Hash& before, ByteView record) {
  return crypto::sha256({as_bytes("OTR.jrnl"), before, record});
}

class FileJournal : public Journal {
 public:
  FileJournal(std::filesystem::path file, Lock lock, Head head, Database database)
      : file_(std::move(file)),
        lock_(std::move(lock)),
        head_(std::move(head)),
        database_(std::move(database)) {}

  Status begin();
  Status append(std::string_view record) override;
  Status read(const std::function<Status(std::string_view)>& visit) override;

 private:
  // Calls `visit` for each record, and returns the mark of the last.
  Result<Head::Mark> walk(const std::function<Status(std::string_view)>& visit) const;
  Status insert(std::string_view record);

  std::filesystem::path file_;
  Lock lock_;
  Head head_;
  Database database_;
  Statement insertion_;
  std::mutex mutex_;  // guards what follows, and the connection
  Head::Mark last_;
  bool is_broken_ = false;
};

// An empty file is one that was killed before it began.
Status FileJournal::begin() {
  OTR_TRY(database_.run("PRAGMA mmap_size=0; PRAGMA trusted_schema=OFF;"));
  OTR_TRY_ASSIGN(const std::string tables, database_.ask("SELECT count(*) FROM sqlite_schema"));
  OTR_TRY_ASSIGN(const std::string mode, database_.ask("PRAGMA journal_mode=WAL"));
  if (mode != "wal") {
    return fail(ErrorKind::kIo, name_of(file_) +
                                    " is on a file system that cannot keep a write-ahead log; "
                                    "choose another folder.");
  }
  OTR_TRY(database_.run("PRAGMA synchronous=FULL;"));
  if (tables == "0") OTR_TRY(database_.run(kSchema));
  OTR_TRY_ASSIGN(const std::string id, database_.ask("PRAGMA application_id"));
  OTR_TRY_ASSIGN(const std::string version, database_.ask("PRAGMA user_version"));
  if (id != kApplicationId || version != "1") {
    return fail(ErrorKind::kBadInput,
                "The file " + file_.string() + " is no journal of this version of otr.");
  }
  OTR_TRY_ASSIGN(const std::string pages, database_.ask("PRAGMA quick_check(1)"));
  if (pages != "ok") {
    return fail(ErrorKind::kIo,
                name_of(file_) + " is damaged: " + pages + "; " + kWording.repair + ".");
  }
  OTR_TRY_ASSIGN(insertion_,
                 database_.prepare("INSERT INTO records(number, bytes, chain) VALUES(?1, ?2, ?3)"));
  // The mark is never ahead of what is on disk, so that it must be met on the way.
  const auto mark = head_.read();
  if (mark) last_ = *mark;
  OTR_TRY_ASSIGN(last_, walk([](std::string_view) { return Status(); }));
  return {};
}

Result<Head::Mark> FileJournal::walk(const std::function<Status(std::string_view)>& visit) const {
  OTR_TRY_ASSIGN(const Statement statement,
                 database_.prepare("SELECT number, bytes, chain FROM records ORDER BY number"));
  Head::Mark at;
  bool is_marked = last_.height == 0;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement.get())) == SQLITE_ROW) {
    const auto number = static_cast<std::uint64_t>(sqlite3_column_int64(statement.get(), 0));
    const ByteView record = column_bytes(statement.get(), 1);
    const Hash chain = chain_on(at.tip, record);
    if (number != at.height + 1 || as_text(column_bytes(statement.get(), 2)) != as_text(chain)) {
      return fail(ErrorKind::kIo, name_of(file_) + " is damaged: record " +
                                      std::to_string(at.height + 1) + " is not what was written; " +
                                      kWording.repair + ".");
    }
    at = {number, chain};
    is_marked |= at.height == last_.height && at.tip == last_.tip;
    OTR_TRY(visit(as_text(record)));
  }
  if (code != SQLITE_DONE) return database_.error("read");
  if (is_marked) return at;
  return fail(ErrorKind::kIo, name_of(file_) + " ends at record " + std::to_string(at.height) +
                                  ", but " + std::to_string(last_.height) +
                                  " were acknowledged: its log (" + file_.filename().string() +
                                  "-wal) was lost or cut; " + kWording.repair + ".");
}

Status FileJournal::insert(std::string_view record) {
  const Head::Mark next{last_.height + 1, chain_on(last_.tip, as_bytes(record))};
  sqlite3_stmt* const statement = insertion_.get();
  sqlite3_bind_int64(statement, 1, static_cast<std::int64_t>(next.height));
  bind_bytes(statement, 2, as_bytes(record));
  bind_bytes(statement, 3, next.tip);
  const int code = sqlite3_step(statement);  // a transaction of its own
  Status status;
  if (code != SQLITE_DONE) status = database_.error("written");
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  OTR_TRY(status);
  last_ = next;
  return head_.write(next);
}

Status FileJournal::append(std::string_view record) {
  const std::lock_guard lock(mutex_);
  if (is_broken_) {
    return fail(ErrorKind::kIo,
                name_of(file_) + " has stopped after an error of its disk: open it again.");
  }
  const Status status = insert(record);
  is_broken_ = !status;
  return status;
}

Status FileJournal::read(const std::function<Status(std::string_view)>& visit) {
  const std::lock_guard lock(mutex_);
  OTR_TRY_ASSIGN(const Head::Mark end, walk(visit));
  static_cast<void>(end);
  return {};
}

}  // namespace

Result<std::unique_ptr<Journal>> open_journal(const std::filesystem::path& file) {
  OTR_TRY_ASSIGN(Lock lock, Lock::take(file, kWording.name));
  OTR_TRY_ASSIGN(Head head, Head::open(file));
  OTR_TRY_ASSIGN(Database database,
                 Database::open(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, {}, kWording));
  // Prompts and answers stand in it; SQLite gives its log the mode of the file.
  std::error_code failed;
  std::filesystem::permissions(
      file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, failed);
  if (failed) return database.error("opened");
  auto journal =
      std::make_unique<FileJournal>(file, std::move(lock), std::move(head), std::move(database));
  OTR_TRY(journal->begin());
  return journal;
}

}  // namespace otr::rollup
