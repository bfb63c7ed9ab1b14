// Receipts on disk: before they are announced, after a kill, on a disk that refuses.
#include "service/receipt_store.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <future>

#include "service/test_front.h"

namespace otr::service {
namespace {

StoredReceipt receipt(std::uint32_t number, std::string text = "text", std::uint8_t key = 0) {
  StoredReceipt made{.created = number, .text = std::move(text)};
  store_le(made.id.data(), number);
  made.api_key[0] = key;
  return made;
}

Status put(ReceiptStore& store, StoredReceipt one) {
  std::promise<Status> promise;
  store.put(std::move(one), [&](Status status) { promise.set_value(std::move(status)); });
  return promise.get_future().get();
}

TEST(ReceiptStoreTest, GivesBackWhatItTookToWhomItBelongs) {
  const TestFolder folder;
  const auto file = folder / "r.sqlite";
  const std::string text("a\0\xFF", 3);
  {
    auto store = *ReceiptStore::open(file);
    ASSERT_TRUE(put(*store, receipt(1, text, 7)));
    ASSERT_TRUE(put(*store, receipt(2, "", 7)));
    ASSERT_TRUE(put(*store, receipt(3, "other", 8)));
  }
  auto store = *ReceiptStore::open(file);
  const Hash mine = receipt(0, "", 7).api_key;
  EXPECT_EQ(**store->get(receipt(1).id, mine), text);
  EXPECT_EQ(**store->get(receipt(2).id, mine), "");
  EXPECT_EQ(*store->get(receipt(3).id, mine), std::nullopt);
  EXPECT_EQ(*store->get(receipt(4).id, mine), std::nullopt);
  const auto list = *store->list(mine, 10);
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].id, receipt(2).id);
  EXPECT_EQ(list[1].id, receipt(1).id);
  EXPECT_EQ(list[1].size_bytes, 3u);
  EXPECT_EQ(list[1].created, 1);
  EXPECT_EQ(store->list(mine, 1)->size(), 1u);
  struct stat facts{};
  ASSERT_EQ(::stat(file.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
}

TEST(ReceiptStoreTest, TheSameAgainIsFineAndAnotherUnderTheSameIdIsNot) {
  const TestFolder folder;
  auto store = *ReceiptStore::open(folder / "r.sqlite");
  EXPECT_TRUE(put(*store, receipt(1, "one")));
  EXPECT_TRUE(put(*store, receipt(1, "one")));
  const Status other = put(*store, receipt(1, "two"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::kBadInput);
  EXPECT_EQ(**store->get(receipt(1).id, Hash{}), "one");
}

TEST(ReceiptStoreTest, WhatWasNotToldIsNeverRead) {
  const TestFolder folder;
  auto store = *ReceiptStore::open(folder / "r.sqlite");
  std::vector<std::string> told;
  bool takes = false, was_readable = false;
  store->tell_first([&](const std::string& text) -> Status {
    told.push_back(text);
    was_readable |= takes && store->get(receipt(1).id, Hash{})->has_value();
    return takes ? Status() : fail(ErrorKind::kNetwork, "nobody is there");
  });
  const Status refused = put(*store, receipt(1, "one"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kNetwork);
  EXPECT_EQ(*store->get(receipt(1).id, Hash{}), std::nullopt);
  takes = true;
  EXPECT_TRUE(put(*store, receipt(1, "one")));
  EXPECT_FALSE(was_readable);
  EXPECT_EQ(**store->get(receipt(1).id, Hash{}), "one");
  // Of two answers the second is told to nobody; the same again may be told again, and stays.
  EXPECT_FALSE(put(*store, receipt(1, "two")));
  takes = false;
  EXPECT_FALSE(put(*store, receipt(1, "one")));
  EXPECT_EQ(**store->get(receipt(1).id, Hash{}), "one");
  EXPECT_EQ(told, (std::vector<std::string>{"one", "one", "one"}));
}

TEST(ReceiptStoreTest, ManyAtOnceShareFlushesAndAllArrive) {
  const TestFolder folder;
  auto store = *ReceiptStore::open(folder / "r.sqlite");
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < 50; ++i) {
        store->put(receipt(t * 1000 + i), [&](Status status) { good += status.has_value(); });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  store.reset();  // writes what is queued
  EXPECT_EQ(good, 200);
  EXPECT_EQ((*ReceiptStore::open(folder / "r.sqlite"))->list(Hash{}, 1000)->size(), 200u);
}

TEST(ReceiptStoreTest, OneBadReceiptDoesNotTakeOthersWithIt) {
  const TestFolder folder;
  auto store = *ReceiptStore::open(folder / "r.sqlite");
  ASSERT_TRUE(put(*store, receipt(1, "one")));
  std::vector<std::future<Status>> all;
  for (const auto& [number, text] : {std::pair(2, "x"), std::pair(1, "two"), std::pair(3, "y")}) {
    auto promise = std::make_shared<std::promise<Status>>();
    all.push_back(promise->get_future());
    store->put(receipt(static_cast<std::uint32_t>(number), text),
               [promise](Status status) { promise->set_value(std::move(status)); });
  }
  EXPECT_TRUE(all[0].get());
  EXPECT_FALSE(all[1].get());
  EXPECT_TRUE(all[2].get());
}

TEST(ReceiptStoreTest, WhatWasAnnouncedIsThereAfterAKill) {
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "SKIPPED: a child process cannot start threads under TSan";
#endif
  const TestFolder folder;
  const auto file = folder / "r.sqlite";
  int announced[2];
  ASSERT_EQ(::pipe(announced), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto store = *ReceiptStore::open(file);
    for (std::uint32_t i = 0;; ++i) {
      store->put(receipt(i, std::string(2000, 'r')), [i, to = announced[1]](Status status) {
        if (!status || ::write(to, &i, sizeof i) != sizeof i) ::_exit(1);
      });
      if (i % 8 == 0) ::usleep(200);
    }
  }
  ::close(announced[1]);
  std::vector<std::uint32_t> told;
  std::uint32_t number = 0;
  while (told.size() < 100 && ::read(announced[0], &number, sizeof number) == sizeof number) {
    told.push_back(number);
  }
  ::kill(child, SIGKILL);
  while (::read(announced[0], &number, sizeof number) == sizeof number) told.push_back(number);
  ::waitpid(child, nullptr, 0);
  ::close(announced[0]);
  ASSERT_GE(told.size(), 100u);
  auto store = *ReceiptStore::open(file);
  for (const std::uint32_t one : told) {
    EXPECT_EQ(**store->get(receipt(one).id, Hash{}), std::string(2000, 'r'));
  }
}

// SQLite says of the open file how it flushes: full, and a write-ahead log.
TEST(ReceiptStoreTest, TheFileIsAWriteAheadLogOfOurFormat) {
  const TestFolder folder;
  const auto store = *ReceiptStore::open(folder / "r.sqlite");
  EXPECT_TRUE(std::filesystem::exists(folder / "r.sqlite-wal"));
  std::ofstream(folder / "junk") << std::string(8192, 'j');
  const auto junk = ReceiptStore::open(folder / "junk");
  ASSERT_FALSE(junk);
  EXPECT_THAT(junk.error().message, testing::HasSubstr("move it away"));
}

TEST(ReceiptStoreTest, AFolderThatCannotBeUsedIsToldWhole) {
  const auto none = ReceiptStore::open("/proc/otr-none/r.sqlite");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kIo);
  EXPECT_THAT(none.error().message, testing::HasSubstr("/proc/otr-none/r.sqlite"));
  EXPECT_THAT(none.error().message, testing::HasSubstr("its folder must be there"));
}

TEST(ReceiptStoreTest, AFormatOfTheFutureIsRefused) {
  const TestFolder folder;
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "r.sqlite").c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "PRAGMA user_version=2", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  const auto future = ReceiptStore::open(folder / "r.sqlite");
  ASSERT_FALSE(future);
  EXPECT_THAT(future.error().message, testing::HasSubstr("format 2"));
}

TEST(ReceiptStoreTest, AFullDiskIsAnErrorAndRoomMakesItWorkAgain) {
  const TestFolder folder;
  auto store = *ReceiptStore::open(folder / "r.sqlite");
  ASSERT_TRUE(put(*store, receipt(1)));
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 64 << 10, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status full = put(*store, receipt(2, std::string(1 << 20, 'x')));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::kIo);
  EXPECT_THAT(full.error().message, testing::HasSubstr("r.sqlite"));
  EXPECT_EQ(*store->get(receipt(2).id, Hash{}), std::nullopt);
  EXPECT_EQ(**store->get(receipt(1).id, Hash{}), "text");
  EXPECT_TRUE(put(*store, receipt(2, "room")));
}

}  // namespace
}  // namespace otr::service
