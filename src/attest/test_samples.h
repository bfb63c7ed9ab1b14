// For tests: real evidence of other people, where it is at hand (../shared/attestation-samples,
// which is no part of this repository).
#ifndef OTR_ATTEST_TEST_SAMPLES_H_
#define OTR_ATTEST_TEST_SAMPLES_H_

#include <string>
#include <vector>

#include "attest/bundle.h"

namespace otr::attest {

[[nodiscard]] bool have_samples();

// Files, or the files of folders in order of their names; paths inside the samples' folder.
[[nodiscard]] std::vector<Item> sample_items(const std::vector<std::string>& paths);

#define OTR_NEED_SAMPLES()            \
  if (!::otr::attest::have_samples()) \
  GTEST_SKIP() << "NOT TESTED on real evidence: ../shared/attestation-samples is absent"

}  // namespace otr::attest

#endif  // OTR_ATTEST_TEST_SAMPLES_H_
