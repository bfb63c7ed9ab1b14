#include "convert/gguf.h"

#include <gtest/gtest.h>

#include <fstream>

#include "convert/gguf_metadata.h"
#include "convert/test_gguf.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

std::string error_of(const Bytes& bytes) {
  const auto header = parse_bytes(bytes);
  return header ? "accepted" : header.error().message;
}

void expect_error(const Bytes& bytes, const std::string& part) {
  const std::string message = error_of(bytes);
  EXPECT_NE(message.find(part), std::string::npos) << message << "\n  lacks: " << part;
}

TestGguf small() {
  TestGguf file;
  file.add("general.architecture", "llama");
  file.add("a.list", std::vector<std::string>{"x", "", "yz"});
  file.add("a.flag", true);
  file.metadata.push_back(
      {"a.numbers", 9, gguf_array(GgufValueType::kI16, 2, gguf_number_bytes(0x7fff8000U))});
  file.tensors.push_back({"one", {32, 2}, 8, Bytes(68, 1)});
  file.tensors.push_back({"two", {3}, 0, Bytes(12, 2)});
  return file;
}

// A file whose only metadata is `value` of a type.
Bytes with_value(std::uint32_t type, const Bytes& value) {
  TestGguf file;
  file.metadata.push_back({"k", type, value});
  return file.encode();
}

Bytes with_tensor(const TestGgufTensor& tensor) {
  TestGguf file;
  file.tensors.push_back(tensor);
  return file.encode();
}

TEST(Gguf, ReadsWhatIsThere) {
  for (const std::uint32_t version : {2U, 3U}) {
    TestGguf file = small();
    file.version = version;
    const auto header = parse_bytes(file.encode());
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->version, version);
    EXPECT_EQ(header->metadata.size(), 4U);
    EXPECT_EQ(header->find("general.architecture")->text, "llama");
    EXPECT_EQ(header->find("a.list")->texts, (std::vector<std::string>{"x", "", "yz"}));
    EXPECT_EQ(header->find("a.flag")->raw, Bytes{1});
    const GgufValue& numbers = *header->find("a.numbers");
    EXPECT_EQ(numbers.size(), 2U);
    EXPECT_TRUE(gguf_integer(numbers.element_type, numbers.raw, 0) == -32768);
    EXPECT_TRUE(gguf_integer(numbers.element_type, numbers.raw, 1) == 32767);
    const GgufTensor& one = header->tensors.at("one");
    EXPECT_EQ(one.dims, (std::vector<std::uint64_t>{32, 2}));
    EXPECT_STREQ(one.type->name, "Q8_0");
    EXPECT_EQ(one.offset, header->data_begin);
    EXPECT_EQ(one.size_bytes, 68U);
    EXPECT_EQ(header->tensors.at("two").offset, header->data_begin + 96);
  }
}

TEST(Gguf, AlignmentMovesTheData) {
  for (const std::uint32_t alignment : {1U, 8U, 256U}) {
    TestGguf file = small();
    file.alignment = alignment;
    file.add("general.alignment", alignment);
    const auto header = parse_bytes(file.encode());
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->data_begin % alignment, 0U);
  }
  for (const std::uint32_t odd : {0U, 3U, 1U << 21, ~0U}) {
    TestGguf file = small();
    file.add("general.alignment", odd);
    expect_error(file.encode(), "metadata 'general.alignment'");
  }
  TestGguf text = small();
  text.add("general.alignment", "32");
  expect_error(text.encode(), "no u32 that is a power of two");
}

TEST(Gguf, VersionsAndByteOrder) {
  expect_error(as_text(small().encode()).empty() ? Bytes() : Bytes{'G', 'G', 'U'},
               "the magic at offset 0x0 lies beyond the end of the file");
  expect_error({'G', 'G', 'M', 'L', 3, 0, 0, 0}, "is not 'GGUF'");
  for (const auto& [version, part] :
       {std::pair<std::uint32_t, const char*>{1, "convert the original model again"},
        {4, "versions 2 and 3 can be read"},
        {0, "is 0; versions"},
        {0x03000000, "big-endian"},
        {0x02000000, "big-endian"}}) {
    TestGguf file = small();
    file.version = version;
    expect_error(file.encode(), part);
  }
}

TEST(Gguf, CountsThatLie) {
  for (const std::uint64_t count :
       {std::uint64_t{100}, std::uint64_t{1} << 60, ~std::uint64_t{0}}) {
    Bytes bytes = small().encode();
    store_le(bytes.data() + 8, count);
    expect_error(bytes, "the number of tensors at offset 0x8 is " + std::to_string(count));
    bytes = small().encode();
    store_le(bytes.data() + 16, count);
    expect_error(bytes, "the number of metadata entries at offset 0x10 is ");
  }
  Bytes zeros(std::size_t{4} << 20);
  std::copy_n(small().encode().begin(), 8, zeros.begin());
  store_le<std::uint64_t>(zeros.data() + 16, 70000);
  expect_error(zeros, "at most 65536 are read");
}

TEST(Gguf, StringsThatLie) {
  for (const std::uint64_t length :
       {std::uint64_t{40}, std::uint64_t{1} << 62, ~std::uint64_t{0}}) {
    Bytes value;
    append_le(value, length);
    append(value, as_bytes("abc"));
    expect_error(with_value(8, value), "metadata entry 0 'k': the value at offset 0x25 says that");
    expect_error(with_value(9, gguf_array(GgufValueType::kString, 1, value)),
                 "an element at offset 0x31 says that it has");
  }
  TestGguf empty;
  empty.add("", true);
  expect_error(empty.encode(), "metadata entry 0: the key at offset 0x18 is empty");
  TestGguf odd;
  odd.add("ab\xff", true);
  expect_error(odd.encode(), "the key at offset 0x22 is not UTF-8");
  TestGguf longest;
  longest.add(std::string(65536, 'k'), true);
  expect_error(longest.encode(), "has 65536 bytes; at most 65535");
}

TEST(Gguf, Arrays) {
  expect_error(with_value(13, {}), "the value's type at offset 0x21 is 13");
  expect_error(with_value(9, gguf_array(static_cast<GgufValueType>(77), 0, {})), "is 77");
  for (const auto type : {GgufValueType::kU8, GgufValueType::kF64, GgufValueType::kString,
                          GgufValueType::kArray, GgufValueType::kBool}) {
    expect_error(with_value(9, gguf_array(type, std::uint64_t{1} << 60, Bytes(64))),
                 "the array's length at offset 0x29 is 1152921504606846976");
  }
  Bytes nested = gguf_array(GgufValueType::kU8, 1, Bytes{9});
  for (int depth = 1; depth < 8; ++depth) nested = gguf_array(GgufValueType::kArray, 1, nested);
  EXPECT_EQ(error_of(with_value(9, nested)), "accepted");
  for (int depth = 8; depth < 1000; ++depth) {
    nested = gguf_array(GgufValueType::kArray, 1, nested);
    if (depth == 8 || depth == 999) {
      expect_error(with_value(9, nested), "nested more than 8 deep");
    }
  }
  expect_error(with_value(9, gguf_array(GgufValueType::kBool, 3, Bytes{1, 0, 2})),
               "the boolean at offset 0x33 is neither 0 nor 1");
  expect_error(with_value(7, Bytes{2}), "the boolean at offset 0x25");
}

// Elements cost more memory than bytes of the file; there are bounds on their numbers.
TEST(Gguf, ManyElements) {
  const std::uint64_t texts = (std::uint64_t{1} << 22) + 1;
  expect_error(with_value(9, gguf_array(GgufValueType::kString, texts, Bytes(texts * 8))),
               "makes more than 4194304 strings");
  EXPECT_EQ(error_of(with_value(9, gguf_array(GgufValueType::kString, 5000, Bytes(40000)))),
            "accepted");
  const std::uint64_t arrays = (std::uint64_t{1} << 16) + 1;
  expect_error(with_value(9, gguf_array(GgufValueType::kArray, arrays, Bytes(arrays * 12))),
               "makes more than 65536 arrays");
}

TEST(Gguf, Duplicates) {
  TestGguf keys = small();
  keys.add("a.flag", 5U);
  expect_error(keys.encode(), "metadata entry 4 'a.flag': the key at offset 0x");
  expect_error(keys.encode(), "is there twice");
  TestGguf tensors = small();
  tensors.tensors.push_back(tensors.tensors[0]);
  expect_error(tensors.encode(), "tensor 2 'one': the name at offset 0x");
}

TEST(Gguf, ShapesThatAreNone) {
  expect_error(with_tensor({"t", {}, 0, {}}),
               "tensor 0 't': the number of dimensions at offset "
               "0x21 is 0; it must be 1 to 4");
  expect_error(with_tensor({"t", {1, 1, 1, 1, 1}, 0, Bytes(4)}), "is 5; it must be 1 to 4");
  expect_error(with_tensor({"t", {4, 0}, 0, {}}), "a dimension at offset 0x2d is 0");
  const std::uint64_t big = std::uint64_t{1} << 32;
  for (const auto& dims : {std::vector<std::uint64_t>{~std::uint64_t{0}},
                           {big, big},
                           {big, big, big, big},
                           {~std::uint64_t{0}, ~std::uint64_t{0}, 2, 2}}) {
    expect_error(with_tensor({"t", dims, 0, {}}), "more elements than any file holds");
  }
  expect_error(with_tensor({"t", {33}, 8, Bytes(34)}), "no multiple of a block of Q8_0 (32)");
  expect_error(with_tensor({"t", {128, 2}, 12, Bytes(144)}), "no multiple of a block of Q4_K");
  expect_error(with_tensor({"t", {1000, 1000}, 0, Bytes(4)}), "beyond the end of the file");
}

TEST(Gguf, TypesOfTensors) {
  expect_error(with_tensor({"t", {32}, 4, Bytes(24)}), "is 4, which ggml has removed");
  expect_error(with_tensor({"t", {32}, 99, Bytes(24)}),
               "is 99, which is not known. Can be "
               "imported: F32, F16, Q4_0");
  EXPECT_EQ(error_of(with_tensor({"t", {256}, 23, Bytes(136)})), "accepted");
}

TEST(Gguf, PlacesOfTensors) {
  const auto with_offset = [](std::uint64_t offset) {
    Bytes bytes = small().encode();
    const std::string_view text = as_text(bytes);
    const std::size_t at = text.find("two") + 3 + 4 + 8 + 4;
    store_le(bytes.data() + at, offset);
    return bytes;
  };
  EXPECT_EQ(error_of(with_offset(96)), "accepted");
  expect_error(with_offset(64), "makes it overlap tensor 'one'");
  expect_error(with_offset(0), "overlap");
  expect_error(with_offset(100), "tensor 1 'two': the offset at offset 0x");
  expect_error(with_offset(100), "is 100, no multiple of the alignment 32");
  expect_error(with_offset(128), "beyond the end of the file");
  expect_error(with_offset(~std::uint64_t{31}), "beyond the end of the file");
  expect_error(with_offset(std::uint64_t{1} << 63), "beyond the end of the file");
}

// Control characters of a stranger do not reach the terminal.
TEST(Gguf, ErrorsArePrintable) {
  TestGguf file;
  file.metadata.push_back({"a\x1b[31m\nb", 13, {}});
  const std::string message = error_of(file.encode());
  EXPECT_NE(message.find("'a?[31m?b'"), std::string::npos) << message;
}

// Wherever the file ends, and whatever one byte becomes: an error or a header that holds together.
TEST(Gguf, EveryEndAndEveryByte) {
  const Bytes good = small().encode();
  const auto header = parse_bytes(good);
  ASSERT_TRUE(header);
  for (std::size_t size = 0; size < good.size(); ++size) {
    const auto cut =
        parse_bytes(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
    // Nothing but the padding behind the last tensor may be missing.
    EXPECT_EQ(cut.has_value(), size >= header->tensors.at("two").offset + 12) << size;
    if (!cut) {
      EXPECT_NE(cut.error().message.find(size < 24 || size < header->data_begin ? "offset 0x"
                                                                                : "damaged"),
                std::string::npos)
          << cut.error().message;
    }
  }
  int accepted = 0;
  for (std::size_t at = 0; at < header->data_begin; ++at) {
    for (const int value : {0, 1, 2, 9, 0x7f, 0x80, 0xfe, 0xff}) {
      Bytes bytes = good;
      bytes[at] = static_cast<std::uint8_t>(value);
      const auto parsed = parse_bytes(bytes);
      if (!parsed) continue;
      ++accepted;
      for (const auto& [name, tensor] : parsed->tensors) {
        EXPECT_LE(tensor.offset + tensor.size_bytes, bytes.size());
      }
    }
  }
  EXPECT_GT(accepted, 100);
}

TEST(Gguf, FilesAreReadInPieces) {
  TestGguf file = small();
  file.add("long", std::string_view(std::string(200000, 'x')));
  std::vector<std::string> tokens;
  for (int i = 0; i < 30000; ++i) tokens.push_back("token " + std::to_string(i));
  file.add("tokens", tokens);
  const TemporaryFolder folder;
  file.write(folder.path() / "x");
  const auto opened = open_gguf(folder.path() / "x");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->header.find("tokens")->texts, tokens);
  EXPECT_EQ(opened->header.find("long")->text.size(), 200000U);
  EXPECT_FALSE(open_gguf(folder.path() / "none"));
}

TEST(Gguf, NumbersAsTheirAuthorsWroteThem) {
  TestGguf file;
  file.add("eps", 1e-5F);
  file.add("base", 10000.0F);
  const TemporaryFolder folder;
  file.write(folder.path() / "x");
  const auto opened = open_gguf(folder.path() / "x");
  ASSERT_TRUE(opened);
  const GgufMetadata metadata(*opened);
  EXPECT_EQ(metadata.number("eps", 0, 1)->value(), 1e-5);
  EXPECT_EQ(metadata.number("base", 0, 1e9)->value(), 10000.0);
  EXPECT_FALSE(metadata.number("none", 0, 1)->has_value());
}

TEST(Gguf, RealVocabularies) {
  const fs::path shared = fs::path(OTR_SOURCE_DIR) / ".." / "shared" / "models";
  int read = 0;
  for (const char* name : {"ggml-vocab-gpt-2.gguf", "ggml-vocab-llama-spm.gguf"}) {
    if (!fs::exists(shared / name)) continue;
    const auto file = open_gguf(shared / name);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_GE(file->header.find("tokenizer.ggml.tokens")->texts.size(), 32000U);
    EXPECT_TRUE(file->header.tensors.empty());
    ++read;
  }
  if (read == 0) GTEST_SKIP() << "NOT TESTED: no vocabularies in ../shared/models.";
}

}  // namespace
}  // namespace otr::convert
