#include "attest/test_samples.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "env/file.h"

namespace otr::attest {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(OTR_SOURCE_DIR) / "../shared/attestation-samples";

}  // namespace

bool have_samples() { return fs::exists(kFolder / "SOURCES.md"); }

std::vector<Item> sample_items(const std::vector<std::string>& paths) {
  std::vector<Item> items;
  for (const std::string& path : paths) {
    std::vector<fs::path> files;
    if (fs::is_directory(kFolder / path)) {
      for (const auto& entry : fs::directory_iterator(kFolder / path)) {
        if (entry.is_regular_file()) files.push_back(entry.path());
      }
      std::ranges::sort(files);
    } else {
      files.push_back(kFolder / path);
    }
    for (const fs::path& file : files) {
      const auto bytes = env::read_file(file, kMaxItemBytes);
      EXPECT_TRUE(bytes) << file;
      if (bytes) items.push_back({fs::relative(file, kFolder).string(), *bytes});
    }
  }
  return items;
}

}  // namespace otr::attest
