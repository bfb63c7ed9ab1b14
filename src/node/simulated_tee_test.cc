#include "node/simulated_tee.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "attest/simulated.h"
#include "env/clock.h"

namespace otr::node {
namespace {

namespace fs = std::filesystem;

class SimulatedTeeTest : public testing::Test {
 protected:
  SimulatedTeeTest() {
    std::string name = testing::TempDir() + "otr sim XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = fs::path(name) / "home";
    options_.folder = folder_;
    options_.measurement.fill(0x42);
  }
  ~SimulatedTeeTest() override { fs::remove_all(folder_.parent_path()); }

  [[nodiscard]] fs::path file() const { return folder_ / "simulated-tee.identity"; }

  fs::path folder_;
  SimulatedOptions options_;
};

ReportData report_data(std::uint8_t byte) {
  ReportData data{};
  data.fill(byte);
  return data;
}

TEST_F(SimulatedTeeTest, ReportsAreAcceptedUnderItsOwnRoot) {
  const auto tee = SimulatedTee::open(options_);
  ASSERT_TRUE(tee) << tee.error().message;
  EXPECT_EQ((*tee)->kind(), "simulated");
  EXPECT_FALSE((*tee)->hardware());
  attest::Policy policy;
  policy.simulated.emplace();
  policy.simulated->roots = {(*tee)->root_hash()};
  policy.simulated->measurement.values = {Bytes(48, 0x42)};
  for (std::uint8_t byte = 0; byte < 4; ++byte) {
    const auto evidence = (*tee)->collect(report_data(byte));
    ASSERT_TRUE(evidence) << evidence.error().message;
    EXPECT_EQ(evidence->kind, "simulated");
    const auto report = attest::parse_simulated(evidence->report);
    ASSERT_TRUE(report) << report.error().message;
    attest::Verdict verdict;
    attest::verify_simulated(verdict, *report, env::unix_seconds());
    attest::appraise_simulated(verdict, *report, policy, {.report_data = Bytes(64, byte)});
    EXPECT_TRUE(verdict.accepted())
        << (verdict.failure() == nullptr ? "" : verdict.failure()->value);
    EXPECT_FALSE(verdict.hardware);
    for (const attest::Certificate& one : report->chain) {
      EXPECT_TRUE(one.subject_common_name().starts_with("SIMULATED - NO SECURITY"));
    }
  }
}

TEST_F(SimulatedTeeTest, AnInstallationKeepsItsRootAndTwoDiffer) {
  const auto first = SimulatedTee::open(options_);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ((*SimulatedTee::open(options_))->root_hash(), (*first)->root_hash());
  struct stat status{};
  ASSERT_EQ(::stat(file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat(folder_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  SimulatedOptions other = options_;
  other.folder = folder_.parent_path() / "other";
  EXPECT_NE((*SimulatedTee::open(other))->root_hash(), (*first)->root_hash());
  EXPECT_TRUE(open_tee("simulated", options_));
}

TEST_F(SimulatedTeeTest, AllWhoStartAtOnceGetTheSame) {
  std::vector<Hash> roots(8);
  std::vector<std::thread> threads;
  for (Hash& root : roots) {
    threads.emplace_back([&] { root = (*SimulatedTee::open(options_))->root_hash(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Hash& root : roots) EXPECT_EQ(root, roots[0]);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);  // nothing is left behind
}

TEST_F(SimulatedTeeTest, ADamagedFileIsToldAndNotReplaced) {
  ASSERT_TRUE(SimulatedTee::open(options_));
  std::ifstream in(file(), std::ios::binary);
  const std::string good(std::istreambuf_iterator<char>(in), {});
  const auto kind_of = [&](const std::string& content) {
    std::ofstream(file(), std::ios::binary | std::ios::trunc) << content;
    const auto tee = SimulatedTee::open(options_);
    return tee ? std::nullopt : std::optional(tee.error().kind);
  };
  EXPECT_EQ(kind_of(good), std::nullopt);
  for (std::size_t size = 0; size < good.size(); size += 37) {
    EXPECT_EQ(kind_of(good.substr(0, size)), ErrorKind::kBadInput) << size;
  }
  EXPECT_EQ(kind_of(good + "x"), ErrorKind::kBadInput);
  EXPECT_EQ(kind_of(std::string(good.size(), '\xff')), ErrorKind::kBadInput);
  // The key of another installation.
  SimulatedOptions other = options_;
  other.folder = folder_.parent_path() / "other";
  ASSERT_TRUE(SimulatedTee::open(other));
  std::ifstream second(other.folder / "simulated-tee.identity", std::ios::binary);
  const std::string foreign(std::istreambuf_iterator<char>(second), {});
  const std::size_t key_bytes =
      4 + load_le<std::uint32_t>(reinterpret_cast<const std::uint8_t*>(good.data()));
  EXPECT_EQ(kind_of(foreign.substr(0, key_bytes) + good.substr(key_bytes)), ErrorKind::kBadInput);
}

TEST_F(SimulatedTeeTest, AFolderThatCannotBeMade) {
  options_.folder = "/proc/none/here";
  const auto tee = SimulatedTee::open(options_);
  ASSERT_FALSE(tee);
  EXPECT_EQ(tee.error().kind, ErrorKind::kIo);
}

}  // namespace
}  // namespace otr::node
