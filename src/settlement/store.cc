#include "settlement/store.h"

#include <sqlite3.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/hex.h"
#include "ledger/transaction.h"
#include "settlement/guard.h"
#include "settlement/sqlite.h"

namespace otr::settlement {
namespace {

using ledger::Events;

constexpr const char* kSchema =
    "PRAGMA application_id=1330926151;"  // "OTLG"
    "PRAGMA user_version=1;"
    "CREATE TABLE genesis(id INTEGER PRIMARY KEY CHECK(id = 1), bytes BLOB NOT NULL) STRICT;"
    "CREATE TABLE transactions(height INTEGER PRIMARY KEY, time INTEGER NOT NULL,"
    "  bytes BLOB NOT NULL, tip BLOB NOT NULL) STRICT;"
    "CREATE TRIGGER genesis_stays BEFORE UPDATE ON genesis"
    "  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TRIGGER genesis_is_kept BEFORE DELETE ON genesis"
    "  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TRIGGER rows_stay BEFORE UPDATE ON transactions"
    "  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TRIGGER rows_are_kept BEFORE DELETE ON transactions"
    "  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;";
constexpr const char* kApplicationId = "1330926151";

std::unexpected<Error> differs(std::uint64_t height, const std::string& what) {
  return fail(ErrorKind::kReject, "Transaction " + std::to_string(height) +
                                      " of the ledger is not what was written: " + what +
                                      " Restore it with `otr ledger import` from an export.");
}

Status check_identity(const Database& database, const std::filesystem::path& file) {
  OTR_TRY_ASSIGN(const std::string id, database.ask("PRAGMA application_id"));
  OTR_TRY_ASSIGN(const std::string version, database.ask("PRAGMA user_version"));
  if (id == kApplicationId && version == "1") return {};
  return fail(ErrorKind::kBadInput,
              "The file " + file.string() + " is no ledger of this version of otr.");
}

Result<Bytes> read_genesis(const Database& database) {
  OTR_TRY_ASSIGN(const Statement statement, database.prepare("SELECT bytes FROM genesis"));
  if (sqlite3_step(statement.get()) != SQLITE_ROW) return database.error("read");
  const ByteView bytes = column_bytes(statement.get(), 0);
  return Bytes(bytes.begin(), bytes.end());
}

// Visits every row above `after` and returns the height of the last.
Result<std::uint64_t> visit_rows(const Database& database, std::uint64_t after,
                                 const std::function<Status(const Row&)>& visit) {
  OTR_TRY_ASSIGN(const Statement statement,
                 database.prepare("SELECT height, time, bytes, tip FROM transactions "
                                  "WHERE height > ?1 ORDER BY height"));
  sqlite3_bind_int64(statement.get(), 1, static_cast<std::int64_t>(after));
  std::uint64_t height = after;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement.get())) == SQLITE_ROW) {
    Row row;
    row.height = static_cast<std::uint64_t>(sqlite3_column_int64(statement.get(), 0));
    row.time = static_cast<std::uint64_t>(sqlite3_column_int64(statement.get(), 1));
    const ByteView bytes = column_bytes(statement.get(), 2);
    const ByteView tip = column_bytes(statement.get(), 3);
    row.transaction.assign(bytes.begin(), bytes.end());
    if (tip.size() != row.tip.size()) return differs(row.height, "its tip has no 32 bytes.");
    std::copy(tip.begin(), tip.end(), row.tip.begin());
    OTR_TRY(visit(row));
    height = row.height;
  }
  if (code != SQLITE_DONE) return database.error("read");
  return height;
}

}  // namespace

Result<Replay> Replay::begin(ByteView genesis) {
  OTR_TRY_ASSIGN(ledger::State state, ledger::genesis_state(genesis));
  return Replay(std::move(state));
}

Status Replay::add(const Row& row) {  // SPEC STORE-2
  if (row.height != state_.height + 1) {
    return differs(state_.height + 1, "it is missing.");
  }
  // Before it is applied: what is refused leaves the state as it was.
  if (row.time < state_.time) return differs(row.height, "its time falls.");
  if (ledger::next_tip(state_, row.time, row.transaction) != row.tip) {
    return differs(row.height, "it has another tip.");
  }
  const Result<Events> taken = ledger::apply(state_, row.transaction, row.time);
  if (!taken) return differs(row.height, taken.error().message);
  return {};
}

struct Store::Impl {
  Impl(std::filesystem::path path, Lock held, Head noted, Database opened, StoreOptions chosen)
      : file(std::move(path)),
        lock(std::move(held)),
        head(std::move(noted)),
        database(std::move(opened)),
        options(std::move(chosen)) {}

  static Result<std::unique_ptr<Impl>> open(const std::filesystem::path& file, StoreOptions options,
                                            int flags);
  Status begin();
  Status load();
  Status insert(const Bytes& transaction);
  Status commit();
  Result<std::vector<Result<Events>>> append(std::span<const Bytes> transactions,
                                             std::uint64_t now);
  Result<Bytes> make_checkpoint() const;

  std::filesystem::path file;
  Lock lock;
  Head head;
  Database database;
  StoreOptions options;
  Statement insertion;
  Bytes genesis;
  ledger::State state;
  std::uint64_t checkpointed_height = 0;
  bool is_broken = false;  // the state may be ahead of the disk
  bool is_closed = false;
};

Result<std::unique_ptr<Store::Impl>> Store::Impl::open(const std::filesystem::path& file,
                                                       StoreOptions options, int flags) {
  OTR_TRY_ASSIGN(Lock lock, Lock::take(file));
  OTR_TRY_ASSIGN(Head head, Head::open(file));
  OTR_TRY_ASSIGN(Database database,
                 Database::open(file, flags | SQLITE_OPEN_READWRITE, options.vfs));
  auto impl = std::make_unique<Impl>(file, std::move(lock), std::move(head), std::move(database),
                                     std::move(options));
  OTR_TRY(impl->database.run("PRAGMA mmap_size=0; PRAGMA trusted_schema=OFF;"));
  return impl;
}

// Of every connection that writes (SPEC STORE-1).
Status Store::Impl::begin() {
  OTR_TRY_ASSIGN(const std::string mode, database.ask("PRAGMA journal_mode=WAL"));
  if (mode != "wal") {
    return fail(ErrorKind::kIo, "The ledger " + file.string() +
                                    " is on a file system that cannot keep a write-ahead log; "
                                    "choose another folder.");
  }
  OTR_TRY(database.run("PRAGMA synchronous=FULL;"));
  OTR_TRY_ASSIGN(insertion, database.prepare("INSERT INTO transactions(height, time, bytes, tip) "
                                             "VALUES(?1, ?2, ?3, ?4)"));
  return {};
}

Status Store::Impl::load() {
  OTR_TRY_ASSIGN(genesis, read_genesis(database));
  OTR_TRY_ASSIGN(Replay replay, Replay::begin(genesis));
  const auto mark = head.read();
  bool is_marked = !mark || mark->height == 0;
  OTR_TRY_ASSIGN(const std::uint64_t height, visit_rows(database, 0, [&](const Row& row) {
                   is_marked |= mark && mark->height == row.height && mark->tip == row.tip;
                   return replay.add(row);
                 }));
  if (!is_marked) {
    return fail(ErrorKind::kReject,
                "The ledger " + file.string() + " ends at transaction " + std::to_string(height) +
                    ", but " + std::to_string(mark->height) + " were acknowledged: its log (" +
                    file.filename().string() +
                    "-wal) was lost or cut. Restore it, or the ledger from an export with `otr "
                    "ledger import`.");
  }
  state = std::move(replay.state());
  if (!state.checkpoints.empty()) {
    checkpointed_height = state.checkpoints.rbegin()->second.height + 1;
  }
  return {};
}

Status Store::Impl::insert(const Bytes& transaction) {
  sqlite3_stmt* const statement = insertion.get();
  sqlite3_bind_int64(statement, 1, static_cast<std::int64_t>(state.height));
  sqlite3_bind_int64(statement, 2, static_cast<std::int64_t>(state.time));
  bind_bytes(statement, 3, transaction);
  bind_bytes(statement, 4, state.tip);
  const int code = sqlite3_step(statement);
  Status status;
  if (code != SQLITE_DONE) status = database.error("written");
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return status;
}

Status Store::Impl::commit() {
  OTR_TRY(database.run("COMMIT"));
  return head.write({state.height, state.tip});
}

Result<Bytes> Store::Impl::make_checkpoint() const {
  if (!options.sequencer) {
    return fail(ErrorKind::kUsage, "A checkpoint needs the sequencer's key.");
  }
  const auto account = state.accounts.find(options.sequencer->address());
  ledger::Transaction transaction;
  transaction.nonce = account == state.accounts.end() ? 0 : account->second.nonce;
  transaction.body = ledger::Checkpoint{state.height, state.tip, ledger::digest_of(state)};
  ledger::sign(transaction, state.id, *options.sequencer);
  return ledger::encode(transaction);
}

Result<std::vector<Result<Events>>> Store::Impl::append(std::span<const Bytes> transactions,
                                                        std::uint64_t now) {
  if (is_broken || is_closed) {
    return fail(ErrorKind::kIo, "The ledger " + file.string() +
                                    " has stopped after an error of its disk: open it again.");
  }
  // Until the commit has come back nobody knows what is on disk.
  is_broken = true;
  std::vector<Result<Events>> outcomes;
  outcomes.reserve(transactions.size());
  OTR_TRY(database.run("BEGIN IMMEDIATE"));
  const std::uint64_t height = state.height;
  for (const Bytes& transaction : transactions) {
    outcomes.push_back(ledger::apply(state, transaction, now));
    if (outcomes.back()) OTR_TRY(insert(transaction));
  }
  if (state.height == height) {
    OTR_TRY(database.run("ROLLBACK"));
  } else {
    OTR_TRY(commit());
  }
  is_broken = false;
  return outcomes;
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::create(const std::filesystem::path& file, ByteView genesis,
                                             StoreOptions options) {
  OTR_TRY_ASSIGN(ledger::State state, ledger::genesis_state(genesis));
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) {
    return fail(ErrorKind::kUsage, "There is a file " + file.string() +
                                       " already: choose another for the new ledger.");
  }
  OTR_TRY_ASSIGN(auto impl, Impl::open(file, std::move(options), SQLITE_OPEN_CREATE));
  OTR_TRY_ASSIGN(const std::string mode, impl->database.ask("PRAGMA journal_mode=WAL"));
  OTR_TRY(impl->database.run("PRAGMA synchronous=FULL; BEGIN IMMEDIATE;"));
  OTR_TRY(impl->database.run(kSchema));
  {
    OTR_TRY_ASSIGN(const Statement insertion,
                   impl->database.prepare("INSERT INTO genesis(id, bytes) VALUES(1, ?1)"));
    bind_bytes(insertion.get(), 1, genesis);
    if (sqlite3_step(insertion.get()) != SQLITE_DONE) return impl->database.error("written");
  }
  OTR_TRY(impl->database.run("COMMIT"));
  OTR_TRY(impl->begin());
  impl->genesis.assign(genesis.begin(), genesis.end());
  impl->state = std::move(state);
  OTR_TRY(impl->head.write({0, impl->state.tip}));
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

Result<std::unique_ptr<Store>> Store::open(const std::filesystem::path& file,
                                           StoreOptions options) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) {
    return fail(ErrorKind::kUsage, "There is no ledger " + file.string() + ".");
  }
  OTR_TRY_ASSIGN(auto impl, Impl::open(file, std::move(options), 0));
  OTR_TRY(check_identity(impl->database, file));
  OTR_TRY_ASSIGN(const std::string pages, impl->database.ask("PRAGMA quick_check(1)"));
  if (pages != "ok") {
    return fail(ErrorKind::kReject, "The ledger " + file.string() + " is damaged: " + pages +
                                        ". Restore it with `otr ledger import` from an export.");
  }
  OTR_TRY(impl->begin());
  OTR_TRY(impl->load());
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

Result<std::vector<Result<Events>>> Store::append(std::span<const Bytes> transactions,
                                                  std::uint64_t now) {
  OTR_TRY_ASSIGN(auto outcomes, impl_->append(transactions, now));
  const bool is_due =
      impl_->options.sequencer &&
      impl_->state.height - impl_->checkpointed_height >= impl_->options.checkpoint_every;
  // What was asked for is on disk; a checkpoint that fails is seen by the next call.
  if (is_due) static_cast<void>(checkpoint(now));
  return outcomes;
}

Status Store::checkpoint(std::uint64_t now) {  // SPEC STORE-5
  OTR_TRY_ASSIGN(const Bytes bytes, impl_->make_checkpoint());
  OTR_TRY_ASSIGN(const auto outcomes, impl_->append(std::span(&bytes, 1), now));
  if (!outcomes[0]) return std::unexpected(outcomes[0].error());
  impl_->checkpointed_height = impl_->state.height;
  return {};
}

Status Store::close(std::uint64_t now) {
  Status status;
  if (impl_->options.sequencer && !impl_->is_broken &&
      impl_->state.height != impl_->checkpointed_height) {
    status = checkpoint(now);
  }
  impl_->is_closed = true;
  return status;
}

const ledger::State& Store::state() const { return impl_->state; }
const Bytes& Store::genesis() const { return impl_->genesis; }

bool is_store(const std::filesystem::path& file) {
  const auto database = Database::open(file, SQLITE_OPEN_READONLY, {});
  if (!database) return false;
  return check_identity(*database, file).has_value();
}

Result<ReadRows> read_rows(const std::filesystem::path& file, std::uint64_t after,
                           const std::function<Status(const Row&)>& visit) {
  OTR_TRY_ASSIGN(const Database database, Database::open(file, SQLITE_OPEN_READONLY, {}));
  OTR_TRY(check_identity(database, file));
  // One view of the ledger, whatever is appended meanwhile.
  OTR_TRY(database.run("BEGIN"));
  ReadRows read;
  OTR_TRY_ASSIGN(read.genesis, read_genesis(database));
  OTR_TRY_ASSIGN(read.height, visit_rows(database, after, visit));
  return read;
}

}  // namespace otr::settlement
