// For tests: GGUF files, well-formed or not, and the models of test_models.h written as such.
#ifndef OTR_CONVERT_TEST_GGUF_H_
#define OTR_CONVERT_TEST_GGUF_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "convert/gguf.h"
#include "convert/test_models.h"

namespace otr::convert {

// Values as they stand in a file.
[[nodiscard]] Bytes gguf_string(std::string_view text);
[[nodiscard]] Bytes gguf_strings(const std::vector<std::string>& texts);  // of an array
[[nodiscard]] Bytes gguf_array(GgufValueType element, std::uint64_t count, ByteView elements);
template <class T>
[[nodiscard]] Bytes gguf_number_bytes(T value) {
  Bytes out(sizeof value);
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

struct TestEntry {
  std::string key;
  std::uint32_t type;
  Bytes value;
};

struct TestGgufTensor {
  std::string name;
  std::vector<std::uint64_t> dims;
  std::uint32_t type = 0;
  Bytes data;
};

// A file in parts that a test may change before encode().
struct TestGguf {
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;  // says the writer, not the metadata
  std::vector<TestEntry> metadata;
  std::vector<TestGgufTensor> tensors;

  void add(const std::string& key, std::string_view text);
  void add(const std::string& key, const char* text) { add(key, std::string_view(text)); }
  void add(const std::string& key, bool value);
  void add(const std::string& key, std::uint32_t value);
  void add(const std::string& key, float value);
  void add(const std::string& key, const std::vector<std::string>& texts);
  void erase(const std::string& key);
  [[nodiscard]] TestGgufTensor& tensor(const std::string& name);
  void erase_tensor(const std::string& name);

  [[nodiscard]] Bytes encode() const;
  void write(const std::filesystem::path& path) const;
};

// The model of test_models.h with the metadata, names, order of rows and tokeniser that
// llama.cpp's converter gives it. F32.
[[nodiscard]] TestGguf gguf_of(const TestModel& model);

// From bytes that outlive it.
[[nodiscard]] GgufInput memory_input(ByteView bytes);
[[nodiscard]] Result<GgufHeader> parse_bytes(const Bytes& bytes);

}  // namespace otr::convert

#endif  // OTR_CONVERT_TEST_GGUF_H_
