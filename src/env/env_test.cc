#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "env/clock.h"
#include "env/file.h"
#include "env/random.h"
#include "env/signal.h"

namespace otr::env {
namespace {

namespace fs = std::filesystem;

// A fresh folder with a blank in its name, removed afterwards.
class File : public testing::Test {
 protected:
  File() {
    std::string name = testing::TempDir() + "otr env XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~File() override {
    ::chmod(folder_.c_str(), 0700);
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  std::size_t entry_count() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  std::string content(const fs::path& path) const {
    const Bytes bytes = read_file(path, 1 << 20).value();
    return std::string(as_text(bytes));
  }
  fs::path folder_;
};

void expect_error(const Status& status, ErrorKind kind, std::string_view part) {
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().kind, kind);
  EXPECT_NE(status.error().message.find(part), std::string::npos) << status.error().message;
}

Status status_of(const Result<Bytes>& result) {
  return result ? Status() : Status(std::unexpected(result.error()));
}

TEST_F(File, WritesReadsAndReplaces) {
  const fs::path path = folder_ / "receipt.json";
  ASSERT_TRUE(write_file_atomically(path, as_bytes("first"), 0600));
  EXPECT_EQ(content(path), "first");
  ASSERT_TRUE(write_file_atomically(path, as_bytes(""), 0640));
  EXPECT_EQ(content(path), "");
  struct stat information = {};
  ASSERT_EQ(::stat(path.c_str(), &information), 0);
  EXPECT_EQ(information.st_mode & 0777u, 0640u);
  EXPECT_EQ(entry_count(), 1u);
}

TEST_F(File, ReadsUpToTheLimitAndReportsProgress) {
  const fs::path path = folder_ / "model";
  const Bytes bytes((std::size_t{1} << 24) + 12345, 7);
  ASSERT_TRUE(write_file_atomically(path, bytes, 0600));
  std::size_t last_bytes = 0;
  const auto read = read_file(path, bytes.size(), [&](std::size_t done, std::size_t total) {
    EXPECT_GT(done, last_bytes);
    EXPECT_EQ(total, bytes.size());
    last_bytes = done;
  });
  EXPECT_EQ(read.value(), bytes);
  EXPECT_EQ(last_bytes, bytes.size());
  expect_error(status_of(read_file(path, bytes.size() - 1)), ErrorKind::kBadInput, "limit of");
}

TEST_F(File, ReadsAPipeAndBoundsIt) {
  const fs::path path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const std::string text(100'000, 'x');
  for (const std::size_t limit : {text.size(), text.size() - 1}) {
    std::thread writer([&] { std::ofstream(path) << text; });
    const auto read = read_file(path, limit);
    writer.join();
    EXPECT_EQ(read.has_value(), limit == text.size());
    if (read) EXPECT_EQ(as_text(*read), text);
  }
}

TEST_F(File, ReadsPartsAndSaysWhereTheFileEnds) {
  const fs::path path = folder_ / "parts";
  ASSERT_TRUE(write_file_atomically(path, as_bytes("0123456789"), 0600));
  Result<InputFile> opened = InputFile::open(path);
  ASSERT_TRUE(opened) << opened.error().message;
  const InputFile file = std::move(*opened);
  EXPECT_EQ(file.size_bytes(), 10U);
  Bytes part(4);
  ASSERT_TRUE(file.read_at(3, part));
  EXPECT_EQ(as_text(part), "3456");
  ASSERT_TRUE(file.read_at(10, {}));
  expect_error(file.read_at(7, part), ErrorKind::kBadInput, "ends at byte 10");
  EXPECT_FALSE(InputFile::open(folder_ / "absent"));
  EXPECT_FALSE(InputFile::open(folder_));
}

TEST_F(File, AnEndlessFileStopsAtTheLimit) {
  expect_error(status_of(read_file("/dev/zero", 1 << 20)), ErrorKind::kBadInput, "/dev/zero");
}

TEST_F(File, MissingFileAndFolderSayWhere) {
  expect_error(status_of(read_file(folder_ / "none", 10)), ErrorKind::kIo, "none: No such file");
  expect_error(status_of(read_file(folder_, 10)), ErrorKind::kIo, "Is a directory");
  expect_error(write_file_atomically(folder_ / "none" / "f", as_bytes("x"), 0600), ErrorKind::kIo,
               "none: No such file");
}

TEST_F(File, NameTooLongLeavesNothing) {
  expect_error(write_file_atomically(folder_ / std::string(300, 'n'), as_bytes("x"), 0600),
               ErrorKind::kIo, "File name too long");
  expect_error(status_of(read_file(std::string(5000, 'n'), 10)), ErrorKind::kIo, "too long");
  EXPECT_EQ(entry_count(), 0u);
}

TEST_F(File, ALongestNameIsStillWritten) {
  EXPECT_TRUE(write_file_atomically(folder_ / std::string(255, 'n'), as_bytes("x"), 0600));
}

TEST_F(File, ReadOnlyFolderKeepsTheOldFile) {
  const fs::path path = folder_ / "file";
  ASSERT_TRUE(write_file_atomically(path, as_bytes("old"), 0644));
  ASSERT_EQ(::chmod(folder_.c_str(), 0555), 0);
  const uid_t user = ::geteuid();  // root may write anywhere, so it must be somebody else
  if (user == 0) ASSERT_EQ(::seteuid(65534), 0);
  const Status status = write_file_atomically(path, as_bytes("new"), 0600);
  ASSERT_EQ(::seteuid(user), 0);
  expect_error(status, ErrorKind::kIo, "Permission denied");
  EXPECT_EQ(content(path), "old");
}

TEST_F(File, FollowsALinkAndRefusesWhatIsNoFile) {
  const fs::path real = folder_ / "real";
  ASSERT_TRUE(write_file_atomically(real, as_bytes("old"), 0600));
  fs::create_symlink(real, folder_ / "link");
  ASSERT_TRUE(write_file_atomically(folder_ / "link", as_bytes("new"), 0600));
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(content(real), "new");
  fs::create_symlink(folder_ / "nowhere", folder_ / "dangling");
  EXPECT_FALSE(write_file_atomically(folder_ / "dangling", as_bytes("x"), 0600));
  expect_error(write_file_atomically(folder_, as_bytes("x"), 0600), ErrorKind::kUsage, "regular");
  fs::create_symlink("/dev/null", folder_ / "device");
  expect_error(write_file_atomically(folder_ / "device", as_bytes("x"), 0600), ErrorKind::kUsage,
               "not a regular file");
}

TEST_F(File, FullDeviceSaysSo) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  expect_error(write_all(full, as_bytes("x"), "standard output"), ErrorKind::kIo,
               "standard output: No space left on device. The disk is full");
  ::close(full);
}

// A write that stops halfway, here at the limit on file sizes, as on a disk that fills up.
TEST_F(File, AWriteCutShortKeepsTheOldFileAndLeavesNoOther) {
  const fs::path path = folder_ / "file";
  ASSERT_TRUE(write_file_atomically(path, as_bytes("old"), 0600));
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {1000, before.rlim_max};
  ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = write_file_atomically(path, Bytes(5000, 1), 0600);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, SIG_DFL);
  expect_error(status, ErrorKind::kIo, "File too large");
  EXPECT_EQ(content(path), "old");
  EXPECT_EQ(entry_count(), 1u);
}

TEST_F(File, AFullDiskKeepsTheOldFile) {
  if (::mount("none", folder_.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "NOT TESTED: a full disk needs the right to mount a small tmpfs.";
  }
  const fs::path path = folder_ / "file";
  EXPECT_TRUE(write_file_atomically(path, as_bytes("old"), 0600));
  expect_error(write_file_atomically(path, Bytes(200'000, 1), 0600), ErrorKind::kIo,
               "The disk is full");
  EXPECT_EQ(content(path), "old");
  EXPECT_EQ(entry_count(), 1u);
  EXPECT_EQ(::umount(folder_.c_str()), 0);
}

TEST_F(File, APendingFileIsSeenOnlyOncePublished) {
  const fs::path path = folder_ / "model";
  {
    Result<PendingFile> dropped = PendingFile::create(path);
    ASSERT_TRUE(dropped) << dropped.error().message;
    ASSERT_TRUE(dropped->write_at(0, as_bytes("dropped")));
    EXPECT_FALSE(fs::exists(path));
    EXPECT_EQ(entry_count(), 1u);
  }
  EXPECT_EQ(entry_count(), 0u);
  PendingFile file = PendingFile::create(path).value();
  EXPECT_TRUE(file.view().value().empty());
  ASSERT_TRUE(file.write_at(3, as_bytes("data")));
  ASSERT_TRUE(file.write_at(0, as_bytes("abc")));
  EXPECT_EQ(as_text(file.view().value()), "abcdata");
  ASSERT_TRUE(file.write_at(7, as_bytes("!")));
  EXPECT_EQ(as_text(file.view().value()), "abcdata!");
  EXPECT_EQ(file.size_bytes(), 8U);
  PendingFile moved = std::move(file);
  ASSERT_TRUE(moved.publish(0640));
  EXPECT_EQ(content(path), "abcdata!");
  EXPECT_EQ(entry_count(), 1u);
}

// Longer than the blocks in which it moves, so that the order of the blocks matters.
TEST_F(File, APendingFileShiftsBothWays) {
  Bytes data((std::size_t{1} << 24) * 2 + 77);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * i >> 8);
  for (const std::uint64_t to : {3, 40, 41, 100, 5000}) {
    PendingFile file = PendingFile::create(folder_ / "model").value();
    ASSERT_TRUE(file.write_at(40, data));
    ASSERT_TRUE(file.shift(40, to));
    EXPECT_EQ(file.size_bytes(), to + data.size());
    const ByteView all = file.view().value();
    ASSERT_EQ(all.size(), to + data.size());
    EXPECT_TRUE(std::ranges::equal(all.subspan(to), data)) << to;
    ASSERT_TRUE(file.publish(0600));
    EXPECT_EQ(fs::file_size(folder_ / "model"), to + data.size());
  }
}

TEST(Random, TwoDrawsDiffer) {
  const Hash first = random_32_bytes().value();
  EXPECT_NE(first, random_32_bytes().value());
  EXPECT_NE(first, Hash{});
}

TEST(Clock, RunsForward) {
  EXPECT_GT(unix_seconds(), 1'700'000'000);
  const std::int64_t start_ns = monotonic_ns();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_GE(monotonic_ns() - start_ns, 2'000'000);
}

// In child processes, so that the flag of this one stays down.
TEST(SignalDeathTest, TheFirstSetsTheFlagAndTheSecondKills) {
  EXPECT_FALSE(interrupted());
  for (const int number : {SIGINT, SIGTERM}) {
    EXPECT_EXIT(
        {
          install_interrupt_flag();
          ::raise(number);
          ::_exit(interrupted() ? 42 : 1);
        },
        testing::ExitedWithCode(42), "");
  }
  EXPECT_EXIT(
      {
        install_interrupt_flag();
        ::raise(SIGTERM);
        ::raise(SIGINT);
        ::_exit(1);
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST(SignalDeathTest, AnInterruptStopsReading) {
  EXPECT_EXIT(
      {
        install_interrupt_flag();
        ::raise(SIGINT);
        const auto read = read_file("/dev/zero", 1 << 20);
        ::_exit(!read && read.error().kind == ErrorKind::kCancelled ? 42 : 1);
      },
      testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace otr::env
