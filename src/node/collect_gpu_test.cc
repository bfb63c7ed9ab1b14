#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "node/evidence.h"
#include "node/transcript.h"

namespace otr::node {
namespace {

// A driver of two GPUs, whose answers a test changes. NVML has C functions and so global state.
struct FakeNvml {
  int init = 0, count_result = 0, report_result = 0;
  unsigned count = 2, feature = 1, multi_gpu = 0, report_bytes = 100, chain_bytes = 5;
  bool other_nonce = false, has_settings = false;
  int started = 0;
};
FakeNvml fake;

int nvml_init() {
  ++fake.started;
  return fake.init;
}
int nvml_shutdown() {
  --fake.started;
  return 0;
}
const char* nvml_error_string(int) { return "a reason"; }
int nvml_count(unsigned* count) {
  *count = fake.count;
  return fake.count_result;
}
int nvml_device(unsigned index, void** device) {
  *device = reinterpret_cast<void*>(static_cast<std::uintptr_t>(index + 1));
  return 0;
}
int nvml_state(void* to) {
  static_cast<unsigned*>(to)[1] = fake.feature;
  return 0;
}
int nvml_settings(void* to) {
  auto* settings = static_cast<unsigned*>(to);
  EXPECT_EQ(settings[0], 20U | 1U << 24);  // version 1 of a structure of 20 bytes
  settings[2] = fake.feature;
  settings[4] = fake.multi_gpu;
  return 0;
}
int nvml_certificate(void* device, void* to) {
  auto* certificate = static_cast<std::uint8_t*>(to);
  store_le(certificate + 4, fake.chain_bytes);
  std::memcpy(certificate + 8 + 0x1000, "CHAIN", 5);
  certificate[8 + 0x1000 + 4] =
      static_cast<std::uint8_t>('0' + reinterpret_cast<std::uintptr_t>(device));
  return 0;
}
int nvml_report(void* device, void* to) {
  auto* report = static_cast<std::uint8_t*>(to);
  store_le(report + 4, fake.report_bytes);
  std::uint8_t* bytes = report + 12 + 32;
  bytes[0] = static_cast<std::uint8_t>(reinterpret_cast<std::uintptr_t>(device));
  std::memcpy(bytes + 4, report + 12, 32);  // the request with the caller's nonce
  if (fake.other_nonce) bytes[4] ^= 1;
  return fake.report_result;
}

std::map<std::string, void*> symbols() {
  std::map<std::string, void*> all = {
      {"nvmlInit_v2", reinterpret_cast<void*>(&nvml_init)},
      {"nvmlShutdown", reinterpret_cast<void*>(&nvml_shutdown)},
      {"nvmlErrorString", reinterpret_cast<void*>(&nvml_error_string)},
      {"nvmlDeviceGetCount_v2", reinterpret_cast<void*>(&nvml_count)},
      {"nvmlDeviceGetHandleByIndex_v2", reinterpret_cast<void*>(&nvml_device)},
      {"nvmlSystemGetConfComputeState", reinterpret_cast<void*>(&nvml_state)},
      {"nvmlDeviceGetConfComputeGpuCertificate", reinterpret_cast<void*>(&nvml_certificate)},
      {"nvmlDeviceGetConfComputeGpuAttestationReport", reinterpret_cast<void*>(&nvml_report)}};
  if (fake.has_settings) {
    all["nvmlSystemGetConfComputeSettings"] = reinterpret_cast<void*>(&nvml_settings);
  }
  return all;
}

class CollectGpu : public testing::Test {
 protected:
  void SetUp() override { fake = {}; }
  void TearDown() override { EXPECT_EQ(fake.started, 0) << "NVML was not shut down"; }

  // The kind of error with which opening or collecting ends.
  std::optional<ErrorKind> failure(std::size_t nonces = 2) {
    system_.symbols = symbols();
    const auto gpus = open_gpus(system_);
    if (!gpus) return gpus.error().kind;
    const auto evidence = (*gpus)->collect(std::vector<Hash>(nonces, Hash{7}));
    if (!evidence) return evidence.error().kind;
    return std::nullopt;
  }

  test::Transcript system_{{{.call = "load libnvidia-ml.so.1"}}};
};

TEST_F(CollectGpu, AReportOfEachGpuOverItsNonce) {
  system_.symbols = symbols();
  const auto gpus = open_gpus(system_);
  ASSERT_TRUE(gpus) << gpus.error().message;
  EXPECT_EQ((*gpus)->count().value_or(0), 2U);
  const std::vector<Hash> nonces = {Hash{1, 2, 3}, Hash{4, 5, 6}};
  const auto evidence = (*gpus)->collect(nonces);
  ASSERT_TRUE(evidence) << evidence.error().message;
  ASSERT_EQ(evidence->size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const CollectedEvidence& one = (*evidence)[i];
    EXPECT_EQ(one.kind, "nvidia-gpu");
    EXPECT_EQ(one.report.size(), 100U);
    EXPECT_EQ(one.report[0], i + 1);
    EXPECT_TRUE(std::equal(nonces[i].begin(), nonces[i].end(), one.report.begin() + 4));
    ASSERT_EQ(one.extra.size(), 1U);
    EXPECT_EQ(as_text(one.extra[0]), "CHAI" + std::to_string(i + 1));
  }
}

TEST_F(CollectGpu, ConfidentialComputingMustBeOn) {
  fake.feature = 0;
  EXPECT_EQ(failure(), ErrorKind::kUsage);
}

TEST_F(CollectGpu, ProtectedPcieIsSaidElsewhere) {
  fake.feature = 0;
  fake.multi_gpu = 1;
  fake.has_settings = true;
  EXPECT_EQ(failure(), std::nullopt);
}

TEST_F(CollectGpu, OneNonceForEachGpu) { EXPECT_EQ(failure(1), ErrorKind::kUsage); }

TEST_F(CollectGpu, NoGpuIsNotAttested) {
  fake.count = 0;
  EXPECT_EQ(failure(0), ErrorKind::kUsage);
}

TEST_F(CollectGpu, TooManyGpus) {
  fake.count = 65;
  EXPECT_EQ(failure(65), ErrorKind::kIo);
}

TEST_F(CollectGpu, SizesBeyondTheRoom) {
  fake.report_bytes = 0x2001;
  EXPECT_EQ(failure(), ErrorKind::kBadInput);
}

TEST_F(CollectGpu, AChainBeyondTheRoom) {
  fake.chain_bytes = 0xffffffff;
  EXPECT_EQ(failure(), ErrorKind::kBadInput);
}

TEST_F(CollectGpu, AReportOverAnotherNonce) {
  fake.other_nonce = true;
  EXPECT_EQ(failure(), ErrorKind::kBadInput);
}

TEST_F(CollectGpu, AReportTooShortForANonce) {
  fake.report_bytes = 35;
  EXPECT_EQ(failure(), ErrorKind::kBadInput);
}

TEST_F(CollectGpu, TheDriversErrorsAreTold) {
  fake.report_result = 3;
  EXPECT_EQ(failure(), ErrorKind::kIo);
}

TEST_F(CollectGpu, ALibraryThatDoesNotStart) {
  fake.init = 9;
  fake.started = -1;  // what did not start is not shut down
  EXPECT_EQ(failure(), ErrorKind::kIo);
}

TEST_F(CollectGpu, NoLibraryAndAnOldOne) {
  EXPECT_EQ(open_gpus(system_).error().kind, ErrorKind::kUsage);
  test::Transcript old({{.call = "load libnvidia-ml.so.1"}});
  old.symbols = symbols();
  old.symbols.erase("nvmlDeviceGetConfComputeGpuAttestationReport");
  EXPECT_EQ(open_gpus(old).error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace otr::node
