// A safetensors file of floats as others write it: u64 header length, JSON header, data.
//
// The header is a stranger's: it is bounded, every range lies inside the file, no two overlap, and
// sizes agree with shapes. Data is read tensor by tensor, so that a file may exceed the memory.
#ifndef OTR_CONVERT_SAFETENSORS_H_
#define OTR_CONVERT_SAFETENSORS_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "env/file.h"

namespace otr::convert {

enum class FloatType { kF32, kF16, kBF16 };

struct FloatTensor {
  FloatType type = FloatType::kF32;
  std::vector<std::uint64_t> shape;
  std::uint64_t offset = 0;  // in the data, which begins behind the header
  std::uint64_t size_bytes = 0;
};

// What a header may say. Other dtypes than F32, F16 and BF16 are kept by name only, for the error
// of whoever needs that tensor.
struct SafetensorsHeader {
  std::map<std::string, FloatTensor> tensors;
  std::map<std::string, std::string> unreadable;  // name -> its dtype
};

// `text` is the header's JSON, `data_bytes` what follows it in the file; `what` names the file.
[[nodiscard]] Result<SafetensorsHeader> parse_safetensors_header(std::string_view text,
                                                                 std::uint64_t data_bytes,
                                                                 std::string_view what);

// IEEE 754 binary16 to binary32, exactly.
[[nodiscard]] float half_to_float(std::uint16_t half);

// Widens raw elements to float, exactly. Requires raw.size() to be `to.size()` elements.
void widen(FloatType type, ByteView raw, std::span<float> to);

class SafetensorsFile {
 public:
  [[nodiscard]] static Result<SafetensorsFile> open(const std::filesystem::path& path);

  [[nodiscard]] const SafetensorsHeader& header() const { return header_; }
  // Elements [begin, end) of a tensor of header(), which must have them. kBadInput if one is not
  // finite, with its index.
  [[nodiscard]] Result<std::vector<float>> read(const std::string& name, std::uint64_t begin,
                                                std::uint64_t end) const;

 private:
  SafetensorsFile(env::InputFile file, SafetensorsHeader header, std::uint64_t data_begin,
                  std::string what);

  env::InputFile file_;
  SafetensorsHeader header_;
  std::uint64_t data_begin_;
  std::string what_;
};

}  // namespace otr::convert

#endif  // OTR_CONVERT_SAFETENSORS_H_
