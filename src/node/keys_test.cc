// Keys and counters on disk: nobody else can read them, no counter comes twice, and a damaged
// file is named rather than replaced.
#include "node/keys.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <thread>

namespace otr::node {
namespace {

namespace fs = std::filesystem;

class Keys : public testing::Test {
 protected:
  Keys() {
    std::string name = testing::TempDir() + "otr keys XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    folder_ = root_ / "deep" / "home";
  }
  ~Keys() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  Home home() const { return *Home::open(folder_); }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }

  fs::path root_, folder_;
};

unsigned mode_of(const fs::path& path) {
  struct stat information = {};
  EXPECT_EQ(::stat(path.c_str(), &information), 0) << path;
  return information.st_mode & 0777;
}

// A child process that takes counters and reports each once it has it.
pid_t fork_counting(const fs::path& folder, int count, int out) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  for (int i = 0; i < count; ++i) {
    const auto home = Home::open(folder);
    const auto counter = home ? home->next_counter() : Result<std::uint64_t>(0);
    const std::uint64_t value = counter.value_or(0);
    if (::write(out, &value, sizeof value) != sizeof value) ::_exit(1);
  }
  ::_exit(0);
}

TEST_F(Keys, FolderAndFilesAreTheOwnersOnly) {
  const mode_t before = ::umask(0);
  for (const fs::path& name : {folder_, root_ / "with slash" / ""}) {
    const auto home = Home::open(name);
    ASSERT_TRUE(home) << home.error().message;
    ASSERT_TRUE(home->key("client"));
    ASSERT_TRUE(home->next_counter());
    EXPECT_EQ(mode_of(name), 0700U) << name;
    for (const char* file : {"client.key", "client.counter", "lock"}) {
      EXPECT_EQ(mode_of(name / file), 0600U) << file;
    }
  }
  ::umask(before);
}

TEST_F(Keys, AKeyStaysAndNamesDiffer) {
  const auto client = home().key("client")->address();
  EXPECT_EQ(home().key("client")->address(), client);
  EXPECT_NE(home().key("operator")->address(), client);
  EXPECT_EQ(fs::file_size(folder_ / "client.key"), 32U);
  EXPECT_NE(new_session_key()->address(), new_session_key()->address());
}

TEST_F(Keys, CountersOfManyThreads) {
  std::vector<std::vector<std::uint64_t>> got(4);
  {
    std::vector<std::jthread> threads;
    for (auto& list : got) {
      threads.emplace_back([&] {
        const Home mine = home();
        for (int i = 0; i < 10; ++i) list.push_back(*mine.next_counter());
      });
    }
  }
  std::set<std::uint64_t> all;
  for (const auto& list : got) all.insert(list.begin(), list.end());
  EXPECT_EQ(all.size(), 40U);
  EXPECT_EQ(*all.begin(), 1U);
  EXPECT_EQ(*all.rbegin(), 40U);
}

TEST_F(Keys, CountersOfManyProcesses) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) children.push_back(fork_counting(folder_, 10, pipe[1]));
  ::close(pipe[1]);
  std::set<std::uint64_t> all;
  std::uint64_t value = 0;
  while (::read(pipe[0], &value, sizeof value) == sizeof value) {
    EXPECT_NE(value, 0U);
    EXPECT_TRUE(all.insert(value).second) << value << " came twice";
  }
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  EXPECT_EQ(all.size(), 40U);
  ::close(pipe[0]);
}

TEST_F(Keys, NoCounterComesAgainAfterAKill) {
  std::uint64_t greatest = 0;
  for (int round = 0; round < 6; ++round) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = fork_counting(folder_, 1000000, pipe[1]);
    ::close(pipe[1]);
    std::uint64_t value = 0;
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(::read(pipe[0], &value, sizeof value), static_cast<ssize_t>(sizeof value));
      EXPECT_GT(value, greatest);
      greatest = value;
    }
    ::usleep(static_cast<useconds_t>(200 * round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(pipe[0], &value, sizeof value) == sizeof value) {
      EXPECT_GT(value, greatest);
      greatest = value;
    }
    ::close(pipe[0]);
  }
  EXPECT_GT(*home().next_counter(), greatest);
}

TEST_F(Keys, ADamagedKeyIsNamedAndKept) {
  ASSERT_TRUE(Home::open(folder_));
  for (const std::string& content :
       {std::string(), std::string(31, 'x'), std::string(33, 'x'), std::string(32, '\0'),
        std::string(32, '\xff'), std::string(100'000, 'x')}) {
    write("client.key", content);
    const auto key = home().key("client");
    ASSERT_FALSE(key) << content.size();
    EXPECT_EQ(key.error().kind, ErrorKind::kBadInput);
    EXPECT_NE(key.error().message.find("client.key"), std::string::npos) << key.error().message;
    EXPECT_EQ(fs::file_size(folder_ / "client.key"), content.size());
  }
}

TEST_F(Keys, ADamagedCounterIsNamedAndNotStartedAnew) {
  ASSERT_TRUE(Home::open(folder_));
  for (const std::string content :
       {"", "x", "-1", "+1", " 1", "1\n", "1x", "18446744073709551615", "18446744073709551616",
        "99999999999999999999999999999999999999999999"}) {
    write("client.counter", content);
    const auto counter = home().next_counter();
    ASSERT_FALSE(counter) << content;
    EXPECT_EQ(counter.error().kind, ErrorKind::kBadInput);
    EXPECT_NE(counter.error().message.find("client.counter"), std::string::npos);
    EXPECT_NE(counter.error().message.find("restore"), std::string::npos);
    EXPECT_EQ(fs::file_size(folder_ / "client.counter"), content.size());
  }
  write("client.counter", "18446744073709551614");
  EXPECT_EQ(*home().next_counter(), UINT64_MAX);
  EXPECT_FALSE(home().next_counter());
}

TEST_F(Keys, WhatIsNoFolderOrNoFileIsAnError) {
  std::ofstream(root_ / "file") << "x";
  const auto home_in_file = Home::open(root_ / "file");
  ASSERT_FALSE(home_in_file);
  EXPECT_EQ(home_in_file.error().kind, ErrorKind::kUsage);
  EXPECT_FALSE(Home::open(root_ / "file" / "below"));
  EXPECT_FALSE(Home::open("/proc/otr"));
  EXPECT_FALSE(Home::open(""));

  ASSERT_TRUE(Home::open(folder_));
  fs::create_symlink("client.key", folder_ / "client.key");
  EXPECT_FALSE(home().key("client"));
  fs::create_directory(folder_ / "client.counter");
  EXPECT_FALSE(home().next_counter());
}

}  // namespace
}  // namespace otr::node
