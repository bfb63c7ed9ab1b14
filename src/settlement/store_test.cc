// The embedded ledger against everything that happens to files: kills, losses of power, full and
// read-only disks, changed rows, damaged pages, logs that were cut.
#include "settlement/store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "env/file.h"
#include "ledger/transaction.h"
#include "settlement/flat_file.h"
#include "settlement/test_faults.h"

namespace otr::settlement {
namespace {

namespace fs = std::filesystem;

crypto::PrivateKey key_of(std::uint8_t number) {
  Bytes scalar(32);
  scalar[31] = number;
  return crypto::PrivateKey::from_bytes(scalar).value();
}

constexpr std::uint64_t kStart = 1'790'000'000'000;

Bytes genesis() {
  ledger::Genesis made;
  made.issuer = key_of(1).address();
  made.sequencer = key_of(2).address();
  made.trial = 1;
  made.time = kStart;
  made.parameters = ledger::example_parameters(true);
  return ledger::encode(made);
}

Bytes mint(std::uint64_t nonce, std::uint64_t amount = 5) {
  ledger::Transaction transaction;
  transaction.nonce = nonce;
  transaction.body = ledger::Mint{key_of(3).address(), amount};
  ledger::sign(transaction, ledger::ledger_id(genesis()), key_of(1));
  return ledger::encode(transaction);
}

// Signing is slow; the same transactions serve every case.
const std::vector<Bytes>& mints() {
  static const std::vector<Bytes> all = [] {
    std::vector<Bytes> made;
    for (std::uint64_t i = 0; i < 64; ++i) made.push_back(mint(i));
    return made;
  }();
  return all;
}

std::span<const Bytes> group(std::size_t begin, std::size_t count) {
  return std::span(mints()).subspan(begin, count);
}

StoreOptions with_key() {
  StoreOptions options;
  options.sequencer = key_of(2);
  return options;
}

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("otr-store-" + std::to_string(::getpid()));
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }
  [[nodiscard]] fs::path file() const { return folder / "ledger.db"; }
  // A ledger of `count` transactions in groups of four, shut.
  void make(std::size_t count) const {
    auto store = Store::create(file(), genesis(), {}).value();
    for (std::size_t i = 0; i < count; i += 4) {
      ASSERT_TRUE(store->append(group(i, std::min<std::size_t>(4, count - i)), kStart + i));
    }
  }
  static void run_sql(const fs::path& path, const std::string& sql, bool must = true) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
    const int code = sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr);
    EXPECT_EQ(code == SQLITE_OK, must) << sqlite3_errmsg(database);
    sqlite3_close(database);
  }
  void expect_refused(const std::string& part) const {
    const auto opened = Store::open(file(), {});
    ASSERT_FALSE(opened) << "opened what is damaged";
    EXPECT_NE(opened.error().message.find(part), std::string::npos) << opened.error().message;
  }

  fs::path folder;
};

TEST_F(StoreTest, AppendsAndReplays) {
  Hash digest;
  {
    auto store = Store::create(file(), genesis(), {}).value();
    const auto outcomes = store->append(group(0, 3), kStart).value();
    EXPECT_EQ(outcomes.size(), 3u);
    const std::vector<Bytes> mixed = {mints()[3], mints()[3], Bytes{1, 2}, mints()[4]};
    const auto second = store->append(mixed, kStart + 5).value();
    EXPECT_TRUE(second[0]);
    EXPECT_EQ(second[1].error().code, "NONCE");
    EXPECT_EQ(second[2].error().code, "MALFORMED");
    EXPECT_TRUE(second[3]);
    EXPECT_EQ(store->state().height, 5u);
    digest = ledger::digest_of(store->state());
  }
  const auto store = Store::open(file(), {}).value();
  EXPECT_EQ(store->state().height, 5u);
  EXPECT_EQ(ledger::digest_of(store->state()), digest);
  EXPECT_TRUE(is_store(file()));
  EXPECT_FALSE(Store::create(file(), genesis(), {}));
  EXPECT_FALSE(Store::open(folder / "none", {}));
}

TEST_F(StoreTest, CheckpointsAreSignedNowAndThenAndAtTheEnd) {
  StoreOptions options = with_key();
  options.checkpoint_every = 4;
  auto store = Store::create(file(), genesis(), std::move(options)).value();
  ASSERT_TRUE(store->append(group(0, 4), kStart));
  EXPECT_EQ(store->state().checkpoint_count, 1u);
  ASSERT_TRUE(store->append(group(4, 1), kStart));
  EXPECT_EQ(store->state().checkpoint_count, 1u);
  ASSERT_TRUE(store->close(kStart));
  EXPECT_EQ(store->state().checkpoint_count, 2u);
  EXPECT_FALSE(store->append(group(5, 1), kStart)) << "it is shut";
  store.reset();
  EXPECT_EQ(Store::open(file(), {}).value()->state().checkpoint_count, 2u);
}

TEST_F(StoreTest, OneProcessWritesAndOthersRead) {
  auto store = Store::create(file(), genesis(), {}).value();
  ASSERT_TRUE(store->append(group(0, 4), kStart));
  const auto second = Store::open(file(), {});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("held by another process"), std::string::npos);
  std::uint64_t seen = 0;
  const auto read = read_rows(file(), 2, [&](const Row& row) -> Status {
    seen = seen * 10 + row.height;
    return {};
  });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(seen, 34u);
  EXPECT_EQ(verify_store(file()).value().height, 4u);
}

TEST_F(StoreTest, RowsCannotBeChangedOrRemoved) {
  make(8);
  run_sql(file(), "UPDATE transactions SET time = 1 WHERE height = 3", false);
  run_sql(file(), "DELETE FROM transactions WHERE height = 8", false);
  run_sql(file(), "UPDATE genesis SET bytes = x'00'", false);
  EXPECT_TRUE(Store::open(file(), {}));
  // Whoever removes the triggers first is found out by the replay.
  run_sql(file(), "DROP TRIGGER rows_stay; UPDATE transactions SET time = time + 1 WHERE height=3");
  expect_refused("Transaction 3");
}

TEST_F(StoreTest, ChangedRowsAreFound) {
  const char* const changes[] = {
      "UPDATE transactions SET tip = zeroblob(32) WHERE height = 5",
      "UPDATE transactions SET tip = x'00' WHERE height = 5",
      "UPDATE transactions SET bytes = zeroblob(90) WHERE height = 5",
      "DELETE FROM transactions WHERE height = 5",
      "UPDATE transactions SET time = 1 WHERE height = 5",
  };
  for (const char* change : changes) {
    TearDown();
    SetUp();
    make(8);
    run_sql(file(), std::string("DROP TRIGGER rows_stay; DROP TRIGGER rows_are_kept;") + change);
    expect_refused("Transaction 5");
  }
}

// Whoever follows a ledger must not be made to skip a row by a false copy of it that comes first.
TEST_F(StoreTest, ARefusedRowLeavesAReplayAsItWas) {
  Replay replay = *Replay::begin(genesis());
  ledger::State truth = replay.state();
  Row row{.height = 1, .time = kStart + 1, .transaction = mints()[0]};
  ASSERT_TRUE(ledger::apply(truth, row.transaction, row.time));
  row.tip = truth.tip;
  const auto refused = [&](Row changed, std::string_view why) {
    const Status added = replay.add(changed);
    ASSERT_FALSE(added) << why;
    EXPECT_NE(added.error().message.find(why), std::string::npos) << added.error().message;
    EXPECT_EQ(replay.state().height, 0U) << why;
    EXPECT_EQ(ledger::digest_of(replay.state()),
              ledger::digest_of(*ledger::genesis_state(genesis())))
        << why;
  };
  Row changed = row;
  changed.tip[0] ^= 1;
  refused(changed, "another tip");
  changed = row;
  changed.time += 1;
  refused(changed, "another tip");
  changed = row;
  changed.time = kStart - 1;
  refused(changed, "time falls");
  changed = row;
  changed.transaction = mints()[1];
  refused(changed, "another tip");
  changed.tip = ledger::next_tip(replay.state(), changed.time, changed.transaction);
  refused(changed, "nonce");
  changed = row;
  changed.height = 2;
  refused(changed, "missing");
  ASSERT_TRUE(replay.add(row));
  EXPECT_EQ(replay.state().tip, row.tip);
}

TEST_F(StoreTest, ALostOrCutLogIsNoticed) {
  make(8);
  run_sql(file(), "DROP TRIGGER rows_are_kept; DELETE FROM transactions WHERE height > 6");
  expect_refused("8 were acknowledged");
  fs::remove(fs::path(file()) += "-head");
  EXPECT_TRUE(Store::open(file(), {})) << "without the note nobody can know";
}

TEST_F(StoreTest, ACutLogOfALiveLedgerIsNoticed) {
  const fs::path copy = folder / "copy.db";
  {
    auto store = Store::create(file(), genesis(), {}).value();
    for (std::size_t i = 0; i < 16; i += 2) ASSERT_TRUE(store->append(group(i, 2), kStart));
    // As a crash would leave it: the log is not yet part of the file.
    for (const char* part : {"", "-wal", "-head"}) {
      fs::copy_file(fs::path(file()) += part, fs::path(copy) += part);
    }
  }
  const fs::path log = fs::path(copy) += "-wal";
  const auto whole = fs::file_size(log);
  ASSERT_GT(whole, 8192u);
  const fs::path again = folder / "again.db";
  for (const std::uintmax_t size : {whole - 1, whole / 2, std::uintmax_t{100}, std::uintmax_t{0}}) {
    for (const char* part : {"", "-wal", "-head"}) {
      fs::copy_file(fs::path(copy) += part, fs::path(again) += part,
                    fs::copy_options::overwrite_existing);
    }
    fs::remove(fs::path(again) += "-shm");
    fs::resize_file(fs::path(again) += "-wal", size);
    EXPECT_FALSE(Store::open(again, {})) << "a log of " << size << " bytes";
  }
  EXPECT_EQ(Store::open(copy, {}).value()->state().height, 16u);
}

TEST_F(StoreTest, DamagedPagesAreRefusedAndAnExportRestores) {
  make(32);
  const fs::path flat = folder / "ledger.otr";
  ASSERT_EQ(export_store(file(), flat).value(), 32u);
  const auto size = fs::file_size(file());
  std::size_t refused = 0, tried = 0;
  const fs::path whole = folder / "whole.db";
  fs::copy_file(file(), whole);
  for (std::uintmax_t at = 200; at < size; at += 997, ++tried) {
    fs::copy_file(whole, file(), fs::copy_options::overwrite_existing);
    std::fstream damaged(file(), std::ios::in | std::ios::out | std::ios::binary);
    damaged.seekg(static_cast<std::streamoff>(at));
    const int old = damaged.get();
    damaged.seekp(static_cast<std::streamoff>(at));
    damaged.put(static_cast<char>(old ^ 0x41));
    damaged.close();
    const auto opened = Store::open(file(), {});
    if (!opened) {
      ++refused;
      EXPECT_FALSE(opened.error().message.empty());
    } else {
      // A byte of a page that holds nothing: the ledger must be what it was.
      EXPECT_EQ((*opened)->state().height, 32u);
    }
  }
  EXPECT_GT(refused, tried / 5) << "of " << tried;
  const fs::path restored = folder / "restored.db";
  ASSERT_EQ(import_store(env::read_file(flat, 1 << 20).value(), restored).value(), 32u);
  EXPECT_EQ(Store::open(restored, {}).value()->state().tip,
            Store::open(whole, {}).value()->state().tip);
}

TEST_F(StoreTest, OtherFilesAreNoLedgers) {
  std::ofstream(file()) << "This is not a ledger, but long enough to look like something else.";
  expect_refused("cannot be");
  EXPECT_FALSE(is_store(file()));
  fs::remove(file());
  run_sql(file(), "CREATE TABLE a(b)");
  expect_refused("no ledger");
}

TEST_F(StoreTest, AReadOnlyLedgerIsRefusedClearly) {
  make(4);
  if (::geteuid() == 0) {
    // Root may write everything but what is no folder.
    const auto opened = Store::create(file() / "x.db", genesis(), {});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, ErrorKind::kIo);
    return;
  }
  fs::permissions(folder, fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_FALSE(Store::open(file(), {}));
  fs::permissions(folder, fs::perms::owner_all);
}

TEST_F(StoreTest, ExportsVerifyWithoutSqliteAndHostileOnesDoNot) {
  make(6);
  const fs::path flat = folder / "ledger.otr";
  ASSERT_TRUE(export_store(file(), flat));
  const Bytes good = env::read_file(flat, 1 << 20).value();
  EXPECT_EQ(verify_flat_file(good).value().height, 6u);
  EXPECT_TRUE(is_flat_file(good));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(verify_flat_file(ByteView(good).first(size)));
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(verify_flat_file(longer));
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    Bytes bad = good;
    bad[random() % bad.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
    EXPECT_FALSE(verify_flat_file(bad)) << "a changed byte passes";
  }
  EXPECT_FALSE(import_store(longer, folder / "bad.db"));
  EXPECT_FALSE(fs::exists(folder / "bad.db")) << "a bad export leaves nothing behind";
}

// Appends until something fails; returns the height that was acknowledged.
std::uint64_t append_until_failure(const fs::path& file) {
  StoreOptions options;
  options.vfs = kFaultVfs;
  auto store = Store::open(file, std::move(options));
  if (!store) return 4;
  std::uint64_t acknowledged = (*store)->state().height;
  for (std::size_t i = acknowledged; i < 16; i += 3) {
    const auto outcomes = (*store)->append(group(i, 3), kStart + i);
    if (!outcomes) break;
    acknowledged = (*store)->state().height;
  }
  return acknowledged;
}

TEST_F(StoreTest, EveryFaultAtEveryOperationKeepsWhatWasAcknowledged) {
  for (const Fault fault : {Fault::kDiskFull, Fault::kIoError, Fault::kLoseNothing, Fault::kLoseAll,
                            Fault::kLoseSome}) {
    make(4);
    arm_faults(Fault::kNone, 0);
    EXPECT_EQ(append_until_failure(file()), 16u) << "without a fault";
    const std::uint64_t operations = fault_operations();
    settle_disk();
    for (std::uint64_t at = 1; at <= operations; ++at) {
      TearDown();
      SetUp();
      make(4);
      arm_faults(fault, at);
      const std::uint64_t acknowledged = append_until_failure(file());
      settle_disk();
      const auto opened = Store::open(file(), {});
      ASSERT_TRUE(opened) << "fault " << static_cast<int>(fault) << " at " << at << ": "
                          << opened.error().message;
      const ledger::State& state = (*opened)->state();
      EXPECT_GE(state.height, acknowledged) << "fault " << static_cast<int>(fault) << " at " << at;
      // Groups of three after the first four: no part of a group without the rest.
      EXPECT_EQ((state.height - 4) % 3, 0u) << "fault " << static_cast<int>(fault) << " at " << at;
      EXPECT_EQ(state.minted, 5 * state.height);
    }
    EXPECT_GT(operations, 10u);
    TearDown();
    SetUp();
  }
}

// Appends for ever, and says after each group how high the ledger is.
[[noreturn]] void write_for_ever(const fs::path& file, int announce) {
  auto store = Store::open(file, {});
  if (!store) ::_exit(3);
  while (true) {
    const std::uint64_t height = (*store)->state().height;
    std::vector<Bytes> two = {mint(height), mint(height + 1)};
    if (!(*store)->append(two, kStart + height)) ::_exit(4);
    const std::uint64_t now = (*store)->state().height;
    if (::write(announce, &now, sizeof now) != sizeof now) ::_exit(5);
  }
}

TEST_F(StoreTest, KilledAtAnyInstructionItKeepsWhatWasAcknowledged) {
  make(4);
  std::mt19937 random(11);
  std::uint64_t acknowledged = 4;
  for (int round = 0; round < 12; ++round) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(pipe[0]);
      write_for_ever(file(), pipe[1]);
    }
    ::close(pipe[1]);
    std::uint64_t height = 0;
    if (::read(pipe[0], &height, sizeof height) == sizeof height) acknowledged = height;
    ::usleep(static_cast<useconds_t>(random() % 40'000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    while (::read(pipe[0], &height, sizeof height) == sizeof height) acknowledged = height;
    ::close(pipe[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself: " << WEXITSTATUS(status);
    const auto opened = Store::open(file(), {});
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_GE((*opened)->state().height, acknowledged);
    EXPECT_EQ((*opened)->state().height % 2, 0u) << "half of a group";
    acknowledged = (*opened)->state().height;
  }
}

}  // namespace
}  // namespace otr::settlement
