// For tests: small random Hugging Face directories, and a plain float forward pass to compare what
// two float models compute.
#ifndef OTR_CONVERT_TEST_MODELS_H_
#define OTR_CONVERT_TEST_MODELS_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "convert/float_model.h"
#include "text/json.h"

namespace otr::convert {

// A directory that exists as long as the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct TestTensor {
  std::vector<std::uint64_t> shape;
  std::vector<float> values;
};

// A model as its files say it; change it before writing to make a case.
struct TestModel {
  Json config;
  std::map<std::string, TestTensor> tensors;
  std::string dtype = "F32";  // or F16, BF16
  int shards = 1;
};

// hidden 48, 4 heads over 2 of 10 or 12 elements, ffn 56, 2 layers, 260 ids of which the tokeniser
// knows 256. Biases and q/k norms where the architecture has them, gains far from 1.
[[nodiscard]] TestModel random_model(const std::string& architecture, std::uint64_t seed);

void write_model(const TestModel& model, const std::filesystem::path& folder);
void write_text(const std::filesystem::path& path, std::string_view text);

// Logits of the last position, in double.
[[nodiscard]] std::vector<double> float_logits(const FloatModel& model,
                                               std::span<const std::uint32_t> ids);

// sqrt(Σ (a - b)² / Σ a²), both without their mean.
[[nodiscard]] double relative_distance(std::span<const double> a, std::span<const double> b);

}  // namespace otr::convert

#endif  // OTR_CONVERT_TEST_MODELS_H_
