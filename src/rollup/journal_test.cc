// What a role wrote is there after any end of its process, and what is not what it wrote is
// refused.
#include "rollup/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <vector>

namespace otr::rollup {
namespace {

using testing::HasSubstr;

std::vector<std::string> records_of(Journal& journal) {
  std::vector<std::string> records;
  const Status read = journal.read([&](std::string_view record) -> Status {
    records.emplace_back(record);
    return {};
  });
  EXPECT_TRUE(read) << read.error().message;
  return records;
}

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~JournalTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Journal> open() {
    auto opened = open_journal(file_);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *std::move(opened) : nullptr;
  }
  void write(int count) {
    const auto journal = open();
    for (int i = 0; i < count; ++i) ASSERT_TRUE(journal->append(record(i)));
  }
  static std::string record(int i) { return "record " + std::to_string(i) + std::string(100, 'x'); }
  void refused(std::string_view why) {
    const auto opened = open_journal(file_);
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message, HasSubstr(why));
    EXPECT_THAT(opened.error().message, HasSubstr(file_.string()));
  }
  std::string content() const {
    std::ifstream file(file_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  void replace_content(const std::string& bytes) const {
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << bytes;
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("otr-journal-" + std::to_string(::getpid()));
  const std::filesystem::path file_ = folder_ / "journal.db";
};

TEST_F(JournalTest, KeepsRecordsInOrder) {
  const std::vector<std::string> written = {"first", "", std::string("\0\xff", 2),
                                            std::string(std::size_t{3} << 20, 'z'), "first"};
  {
    const auto journal = open();
    EXPECT_TRUE(records_of(*journal).empty());
    for (const std::string& one : written) ASSERT_TRUE(journal->append(one));
    EXPECT_EQ(records_of(*journal), written);
  }
  const auto journal = open();
  EXPECT_EQ(records_of(*journal), written);
  ASSERT_TRUE(journal->append("more"));
  EXPECT_EQ(records_of(*journal).size(), written.size() + 1);
  EXPECT_EQ(std::filesystem::status(file_).permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(JournalTest, AnErrorOfTheVisitorEndsReading) {
  write(3);
  const auto journal = open();
  int seen = 0;
  const Status read = journal->read([&](std::string_view) -> Status {
    if (++seen == 2) return fail(ErrorKind::kBadInput, "mine");
    return {};
  });
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message, "mine");
  EXPECT_EQ(seen, 2);
}

TEST_F(JournalTest, OnlyOneMayHoldIt) {
  const auto journal = open();
  refused("held by another process");
}

TEST_F(JournalTest, AFolderThatIsNotThereIsNamed) {
  const auto opened = open_journal(folder_ / "none" / "journal.db");
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("folder must be there"));
}

// A child that appends and says so, one byte for each, until it is killed.
int append_until_killed(const std::filesystem::path& file, int first, int acknowledge) {
  const auto journal = open_journal(file);
  if (!journal) return 1;
  for (int i = first;; ++i) {
    if (!(*journal)->append("record " + std::to_string(i))) return 1;
    if (::write(acknowledge, "a", 1) != 1) return 1;
  }
}

// Returns how many were acknowledged, at least `until`.
int kill_after(const std::filesystem::path& file, int first, int until) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(append_until_killed(file, first, ends[1]));
  ::close(ends[1]);
  int acknowledged = 0;
  char byte = 0;
  while (acknowledged < until && ::read(ends[0], &byte, 1) == 1) ++acknowledged;
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  while (::read(ends[0], &byte, 1) == 1) ++acknowledged;
  ::close(ends[0]);
  EXPECT_TRUE(WIFSIGNALED(status));
  return acknowledged;
}

TEST_F(JournalTest, WhatWasAcknowledgedSurvivesAKill) {
  int count = 0;
  for (int round = 0; round < 12; ++round) {
    const int acknowledged = count + kill_after(file_, count, 1 + round % 5);
    const auto journal = open();
    ASSERT_NE(journal, nullptr);
    const std::vector<std::string> records = records_of(*journal);
    ASSERT_GE(std::ssize(records), acknowledged);
    count = static_cast<int>(records.size());
    ASSERT_LE(count, acknowledged + 1);  // the one that nobody heard of
    for (int i = 0; i < count; ++i) ASSERT_EQ(records[i], "record " + std::to_string(i));
  }
}

TEST_F(JournalTest, ALostLogIsNoticed) {
  kill_after(file_, 0, 3);
  ASSERT_TRUE(std::filesystem::remove(file_.string() + "-wal"));
  refused("acknowledged");
}

TEST_F(JournalTest, AChangedRecordIsNoticed) {
  write(5);
  const std::string good = content();
  const std::size_t at = good.find("record 2");
  ASSERT_NE(at, std::string::npos);
  std::string changed = good;
  changed[at + 7] = '7';
  replace_content(changed);
  refused("record 3 is not what was written");
  replace_content(good);
  EXPECT_EQ(records_of(*open()).size(), 5U);
}

TEST_F(JournalTest, ARemovedRecordIsNoticed) {
  write(5);
  for (const char* sql :
       {"DELETE FROM records WHERE number = 5", "UPDATE records SET number = 9 WHERE number = 4"}) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(file_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(database);
    const auto opened = open_journal(file_);
    ASSERT_FALSE(opened) << sql;
    EXPECT_THAT(opened.error().message, HasSubstr("record")) << sql;
  }
}

TEST_F(JournalTest, ACutFileIsRefused) {
  write(200);
  const std::string good = content();
  for (const std::size_t size : {good.size() / 2, std::size_t{4096}, std::size_t{100}}) {
    replace_content(good.substr(0, size));
    EXPECT_FALSE(open_journal(file_)) << size;
  }
  // Of nothing at all only the mark knows.
  replace_content("");
  refused("acknowledged");
}

TEST_F(JournalTest, AnotherFileIsRefused) {
  replace_content(std::string(8192, 'q'));
  refused("not a database");
  replace_content("");
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(file_.c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, "CREATE TABLE t(a)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  refused("is no journal");
}

}  // namespace
}  // namespace otr::rollup
