#include "service/receipt_store.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace otr::service {
namespace {

constexpr const char* kSchema =
    "PRAGMA synchronous=FULL;"
    "CREATE TABLE IF NOT EXISTS receipts("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,"
    "  api_key BLOB NOT NULL, created INTEGER NOT NULL, text BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS receipts_of_key ON receipts(api_key, number);";
constexpr int kFormat = 1;  // PRAGMA user_version

struct Closer {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, Closer>;
using Statement = std::unique_ptr<sqlite3_stmt, Closer>;

std::unexpected<Error> io_error(const std::filesystem::path& file, sqlite3* database,
                                const char* what) {
  const int code = database == nullptr ? SQLITE_NOMEM : sqlite3_errcode(database);
  std::string advice;
  if (code == SQLITE_FULL) advice = "; make room on its disk";
  if (code == SQLITE_CANTOPEN || code == SQLITE_READONLY) {
    advice = "; its folder must be there and writable";
  }
  if (code == SQLITE_BUSY) advice = "; another process holds it";
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
    advice = "; move it away to begin a new one, or restore a copy";
  }
  return fail(ErrorKind::kIo,
              "the receipt store " + file.string() + " cannot be " + what + ": " +
                  (database == nullptr ? "out of memory" : sqlite3_errmsg(database)) + advice);
}

Result<Database> open_database(const std::filesystem::path& file, std::uint32_t busy_ms) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(
      file.c_str(), &raw,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_PRIVATECACHE,
      nullptr);
  Database database(raw);
  if (code != SQLITE_OK) return io_error(file, raw, "opened");
  sqlite3_extended_result_codes(raw, 0);
  sqlite3_busy_timeout(raw, static_cast<int>(std::min<std::uint32_t>(busy_ms, 3'600'000)));
  return database;
}

Result<Statement> prepare(const std::filesystem::path& file, sqlite3* database, const char* sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database, sql, -1, &raw, nullptr) != SQLITE_OK) {
    return io_error(file, database, "used");
  }
  return Statement(raw);
}

// The value of the first column of the first row, as text.
Result<std::string> ask(const std::filesystem::path& file, sqlite3* database, const char* sql) {
  OTR_TRY_ASSIGN(const Statement statement, prepare(file, database, sql));
  if (sqlite3_step(statement.get()) != SQLITE_ROW) return io_error(file, database, "used");
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), 0));
  return std::string(text == nullptr ? "" : text);
}

// Not `bind`: of a std::array, the compiler would take that for std::bind.
void bind_bytes(sqlite3_stmt* statement, int place, ByteView bytes) {
  // The bytes outlive the step that reads them; an empty blob is not NULL.
  sqlite3_bind_blob64(statement, place,
                      bytes.empty() ? "" : reinterpret_cast<const char*>(bytes.data()),
                      bytes.size(), SQLITE_STATIC);
}

std::string_view column(sqlite3_stmt* statement, int place) {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement, place));
  const int size = sqlite3_column_bytes(statement, place);
  return data == nullptr ? std::string_view()
                         : std::string_view(data, static_cast<std::size_t>(size));
}

// A statement that is asked again and again, ready for the next use when this goes.
class Use {
 public:
  explicit Use(const Statement& statement) : statement_(statement.get()) {}
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  sqlite3_stmt* get() const { return statement_; }

 private:
  sqlite3_stmt* statement_;
};

}  // namespace

struct ReceiptStore::Impl {
  struct Put {
    StoredReceipt receipt;
    std::function<void(Status)> done;
    Status status;
  };

  Status prepare_all();
  void write_for_ever();
  void write(std::vector<Put>& batch);
  Status insert(const StoredReceipt& receipt);
  Status run(const char* sql);

  std::filesystem::path file;
  Database writer, reader;
  Statement insertion, lookup;   // of the writer
  Statement selection, listing;  // of the reader, under read_mutex
  std::mutex read_mutex;

  std::mutex mutex;
  std::condition_variable wake;
  std::vector<Put> queue;
  std::function<Status(const std::string&)> tell;
  std::size_t queued_bytes = 0;
  bool ends = false;
  std::thread thread;
};

Status ReceiptStore::Impl::run(const char* sql) {
  if (sqlite3_exec(writer.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return io_error(file, writer.get(), "written");
}

Status ReceiptStore::Impl::prepare_all() {
  OTR_TRY_ASSIGN(const std::string mode, ask(file, writer.get(), "PRAGMA journal_mode=WAL"));
  if (mode != "wal") {
    return fail(ErrorKind::kIo, "the receipt store " + file.string() +
                                    " is on a file system that cannot keep a write-ahead log; "
                                    "choose another folder");
  }
  OTR_TRY_ASSIGN(const std::string version, ask(file, writer.get(), "PRAGMA user_version"));
  if (version != "0" && version != std::to_string(kFormat)) {
    return fail(ErrorKind::kBadInput, "the receipt store " + file.string() + " has format " +
                                          version + ", this program knows " +
                                          std::to_string(kFormat) + ": choose another file");
  }
  OTR_TRY(run(kSchema));
  OTR_TRY(run(("PRAGMA user_version=" + std::to_string(kFormat)).c_str()));
  OTR_TRY_ASSIGN(insertion, prepare(file, writer.get(),
                                    "INSERT INTO receipts(id, api_key, created, text) "
                                    "VALUES(?1, ?2, ?3, ?4) ON CONFLICT(id) DO NOTHING"));
  OTR_TRY_ASSIGN(lookup, prepare(file, writer.get(), "SELECT text FROM receipts WHERE id=?1"));
  OTR_TRY_ASSIGN(selection, prepare(file, reader.get(),
                                    "SELECT text FROM receipts WHERE id=?1 AND api_key=?2"));
  OTR_TRY_ASSIGN(listing, prepare(file, reader.get(),
                                  "SELECT id, created, length(text) FROM receipts "
                                  "WHERE api_key=?1 ORDER BY number DESC LIMIT ?2"));
  return {};
}

Status ReceiptStore::Impl::insert(const StoredReceipt& receipt) {
  const Use use(insertion);
  bind_bytes(use.get(), 1, receipt.id);
  bind_bytes(use.get(), 2, receipt.api_key);
  sqlite3_bind_int64(use.get(), 3, receipt.created);
  bind_bytes(use.get(), 4, as_bytes(receipt.text));
  if (sqlite3_step(use.get()) != SQLITE_DONE) return io_error(file, writer.get(), "written");
  if (sqlite3_changes(writer.get()) == 1) return {};
  const Use known(lookup);
  bind_bytes(known.get(), 1, receipt.id);
  if (sqlite3_step(known.get()) != SQLITE_ROW) return io_error(file, writer.get(), "read");
  if (column(known.get(), 0) == receipt.text) return {};
  return fail(ErrorKind::kBadInput,
              "another receipt of the same request is in the store already; it stays");
}

// All of a batch is on disk or none of it; only a receipt that contradicts an older one is left out
// alone.
void ReceiptStore::Impl::write(std::vector<Put>& batch) {
  Status whole = run("BEGIN IMMEDIATE");
  for (std::size_t i = 0; i < batch.size() && whole; ++i) {
    whole = run("SAVEPOINT receipt");
    if (!whole) break;
    Status& status = batch[i].status;
    status = insert(batch[i].receipt);
    if (!status && status.error().kind == ErrorKind::kIo) {
      whole = status;
      break;
    }
    // While nobody can read it: what was not told is not here.
    if (status && tell) status = tell(batch[i].receipt.text);
    whole = run(status ? "RELEASE receipt" : "ROLLBACK TO receipt; RELEASE receipt");
  }
  if (whole) whole = run("COMMIT");
  if (whole) return;
  static_cast<void>(run("ROLLBACK"));
  for (Put& put : batch) put.status = whole;
}

void ReceiptStore::Impl::write_for_ever() {
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [this] { return ends || !queue.empty(); });
    if (queue.empty()) return;
    std::vector<Put> batch = std::exchange(queue, {});
    queued_bytes = 0;
    lock.unlock();
    write(batch);
    for (Put& put : batch) put.done(std::move(put.status));
    batch.clear();
    lock.lock();
  }
}

ReceiptStore::ReceiptStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->write_for_ever(); });
}

ReceiptStore::~ReceiptStore() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ends = true;
  }
  impl_->wake.notify_one();
  impl_->thread.join();
}

Result<std::unique_ptr<ReceiptStore>> ReceiptStore::open(const std::filesystem::path& file,
                                                         std::uint32_t busy_ms) {
  auto impl = std::make_unique<Impl>();
  impl->file = file;
  OTR_TRY_ASSIGN(impl->writer, open_database(file, busy_ms));
  // Prompts and answers stand in it; SQLite gives its log the mode of the file.
  if (::chmod(file.c_str(), 0600) != 0) return io_error(file, impl->writer.get(), "opened");
  OTR_TRY_ASSIGN(impl->reader, open_database(file, busy_ms));
  OTR_TRY(impl->prepare_all());
  return std::unique_ptr<ReceiptStore>(new ReceiptStore(std::move(impl)));
}

void ReceiptStore::put(StoredReceipt receipt, std::function<void(Status)> done) {
  bool is_queued = false;
  {
    const std::lock_guard lock(impl_->mutex);
    if (receipt.text.size() <= kMaxQueuedBytes - std::min(kMaxQueuedBytes, impl_->queued_bytes)) {
      impl_->queued_bytes += receipt.text.size();
      impl_->queue.push_back({std::move(receipt), std::move(done), {}});
      is_queued = true;
    }
  }
  if (is_queued) return impl_->wake.notify_one();
  done(fail(ErrorKind::kIo, "the receipt store " + impl_->file.string() +
                                " is too slow: too many receipts wait for its disk"));
}

void ReceiptStore::tell_first(std::function<Status(const std::string& text)> tell) {
  const std::lock_guard lock(impl_->mutex);
  impl_->tell = std::move(tell);
}

Result<std::optional<std::string>> ReceiptStore::get(const Hash& id, const Hash& api_key) {
  const std::lock_guard lock(impl_->read_mutex);
  const Use use(impl_->selection);
  bind_bytes(use.get(), 1, id);
  bind_bytes(use.get(), 2, api_key);
  const int code = sqlite3_step(use.get());
  if (code == SQLITE_DONE) return std::nullopt;
  if (code != SQLITE_ROW) return io_error(impl_->file, impl_->reader.get(), "read");
  return std::string(column(use.get(), 0));
}

Result<std::vector<ReceiptEntry>> ReceiptStore::list(const Hash& api_key, std::uint32_t limit) {
  const std::lock_guard lock(impl_->read_mutex);
  const Use use(impl_->listing);
  bind_bytes(use.get(), 1, api_key);
  sqlite3_bind_int64(use.get(), 2, limit);
  std::vector<ReceiptEntry> entries;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(use.get())) == SQLITE_ROW) {
    ReceiptEntry entry;
    const std::string_view id = column(use.get(), 0);
    std::copy_n(id.begin(), std::min(id.size(), entry.id.size()), entry.id.begin());
    entry.created = sqlite3_column_int64(use.get(), 1);
    entry.size_bytes = static_cast<std::uint64_t>(sqlite3_column_int64(use.get(), 2));
    entries.push_back(entry);
  }
  if (code != SQLITE_DONE) return io_error(impl_->file, impl_->reader.get(), "read");
  return entries;
}

}  // namespace otr::service
