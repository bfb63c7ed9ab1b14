// Typed access to a GGUF file's metadata. Errors name the file, the key, its offset and what is
// expected.
#ifndef OTR_CONVERT_GGUF_METADATA_H_
#define OTR_CONVERT_GGUF_METADATA_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convert/gguf.h"

namespace otr::convert {

// Absent keys give nothing; `file` must outlive it.
class GgufMetadata {
 public:
  explicit GgufMetadata(const GgufFile& file) : file_(file) {}

  [[nodiscard]] bool has(const std::string& key) const { return file_.header.find(key) != nullptr; }
  [[nodiscard]] Result<std::optional<std::string>> text(const std::string& key) const;
  [[nodiscard]] Result<std::optional<bool>> boolean(const std::string& key) const;
  // A whole number in [low, high], of any integer type. An array of one number for each layer is
  // taken if they are all equal, and refused as unsupported otherwise.
  [[nodiscard]] Result<std::optional<std::uint32_t>> size(const std::string& key, std::uint32_t low,
                                                          std::uint32_t high) const;
  [[nodiscard]] Result<std::uint32_t> required_size(const std::string& key, std::uint32_t low,
                                                    std::uint32_t high) const;
  // Of any number type. A binary32 stands for the shortest decimal number that it is nearest to,
  // which is what its author wrote: 1e-5, not 9.99999974738e-06.
  [[nodiscard]] Result<std::optional<double>> number(const std::string& key, double low,
                                                     double high) const;
  // An id; the greatest u32 (-1) means that there is none.
  [[nodiscard]] Result<std::optional<std::uint32_t>> id(const std::string& key) const;
  // Arrays; empty where absent.
  [[nodiscard]] Result<std::vector<std::string>> texts(const std::string& key) const;
  [[nodiscard]] Result<std::vector<std::int32_t>> integers(const std::string& key) const;
  [[nodiscard]] Result<std::vector<std::uint32_t>> float_bits(const std::string& key) const;

  [[nodiscard]] std::unexpected<Error> missing(const std::string& key) const;
  // "FILE: metadata 'key' at offset 0x40 WHY"
  [[nodiscard]] std::unexpected<Error> bad(const std::string& key, const std::string& why) const;

 private:
  const GgufFile& file_;
};

}  // namespace otr::convert

#endif  // OTR_CONVERT_GGUF_METADATA_H_
