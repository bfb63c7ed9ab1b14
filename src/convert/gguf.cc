#include "convert/gguf.h"

#include <algorithm>
#include <bit>
#include <memory>

#include "base/check.h"
#include "env/file.h"
#include "text/utf8.h"

namespace otr::convert {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{256} << 20;
constexpr std::uint64_t kMaxStringBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kMaxEntries = std::uint64_t{1} << 16;  // of metadata, and tensors
constexpr std::uint64_t kMaxTexts = std::uint64_t{1} << 22;    // in arrays: tokens and merges
constexpr std::uint64_t kMaxArrays = std::uint64_t{1} << 16;   // in arrays
constexpr std::uint64_t kMaxAlignment = std::uint64_t{1} << 20;
constexpr std::size_t kMaxKeyBytes = 65535;
constexpr std::size_t kMaxNameBytes = 255;
constexpr int kMaxDepth = 8;  // of arrays in arrays
constexpr std::uint32_t kMaxDims = 4;
constexpr std::size_t kBufferBytes = std::size_t{64} << 10;
constexpr std::uint64_t kLeastEntryBytes = 8 + 1 + 4 + 1;           // key, type, value
constexpr std::uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // name to offset

// Reads the header forward. `where` says what is being read, for errors.
class Cursor {
 public:
  Cursor(const GgufInput& input, std::string_view what) : input_(input), what_(what) {}

  std::string where;

  std::uint64_t offset() const { return offset_; }
  std::uint64_t left() const { return input_.size_bytes - offset_; }

  // "FILE: tensor 3 'x': its dimensions at offset 0x40 ..."
  std::unexpected<Error> bad(std::uint64_t offset, const std::string& field,
                             const std::string& why) const {
    return fail(ErrorKind::kBadInput, std::string(what_) + ": " + where +
                                          (where.empty() ? "" : ": ") + field + " at offset " +
                                          hex(offset) + " " + why);
  }

  Status read(std::span<std::uint8_t> to, const char* field) {
    if (to.size() > left()) {
      return bad(offset_, field,
                 "lies beyond the end of the file (" + std::to_string(input_.size_bytes) +
                     " bytes): the file is cut short or damaged.");
    }
    if (to.size() > kMaxHeaderBytes - std::min(offset_, kMaxHeaderBytes)) {
      return bad(offset_, field, "lies beyond the largest header that is read, of 256 MiB.");
    }
    for (std::size_t done = 0; done < to.size();) {
      if (offset_ < buffer_begin_ || offset_ >= buffer_begin_ + buffer_.size()) OTR_TRY(refill());
      const std::size_t at = offset_ - buffer_begin_;
      const std::size_t count = std::min(to.size() - done, buffer_.size() - at);
      std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(at), count,
                  to.begin() + static_cast<std::ptrdiff_t>(done));
      done += count;
      offset_ += count;
    }
    return {};
  }

  template <std::unsigned_integral T>
  Result<T> number(const char* field) {
    std::uint8_t bytes[sizeof(T)];
    OTR_TRY(read(bytes, field));
    return load_le<T>(bytes);
  }

  Result<std::string> string(const char* field, std::uint64_t max_bytes) {
    const std::uint64_t begin = offset_;
    OTR_TRY_ASSIGN(const auto length, number<std::uint64_t>(field));
    if (length > left()) {
      return bad(begin, field,
                 "says that it has " + std::to_string(length) +
                     " bytes, more than the file has left (" + std::to_string(left()) + ").");
    }
    if (length > max_bytes) {
      return bad(begin, field,
                 "has " + std::to_string(length) + " bytes; at most " + std::to_string(max_bytes) +
                     " are read.");
    }
    std::string text(length, '\0');
    OTR_TRY(read({reinterpret_cast<std::uint8_t*>(text.data()), text.size()}, field));
    return text;
  }

  // A name or key: UTF-8, not empty.
  Result<std::string> identifier(const char* field, std::uint64_t max_bytes) {
    const std::uint64_t begin = offset_;
    OTR_TRY_ASSIGN(std::string text, string(field, max_bytes));
    if (text.empty()) return bad(begin, field, "is empty.");
    if (const auto odd = text::utf8_error(text)) {
      return bad(begin + 8 + *odd, field, "is not UTF-8.");
    }
    return text;
  }

 private:
  Status refill() {
    buffer_.resize(std::min<std::uint64_t>(kBufferBytes, left()));
    buffer_begin_ = offset_;
    return input_.read_at(offset_, buffer_);
  }

  const GgufInput& input_;
  std::string_view what_;
  std::uint64_t offset_ = 0;
  std::uint64_t buffer_begin_ = 0;
  Bytes buffer_;
};

class Parser {
 public:
  Parser(const GgufInput& input, std::string_view what) : input_(input), in_(input, what) {}

  Result<GgufHeader> parse() {
    OTR_TRY(read_version());
    OTR_TRY_ASSIGN(const std::uint64_t tensors,
                   read_count("the number of tensors", kLeastTensorBytes));
    OTR_TRY_ASSIGN(const std::uint64_t entries,
                   read_count("the number of metadata entries", kLeastEntryBytes));
    for (std::uint64_t i = 0; i < entries; ++i) OTR_TRY(read_entry(i));
    in_.where.clear();
    OTR_TRY(read_alignment());
    for (std::uint64_t i = 0; i < tensors; ++i) OTR_TRY(read_tensor(i));
    OTR_TRY(place_tensors());
    return std::move(header_);
  }

 private:
  Status read_version() {
    std::uint8_t magic[4] = {};
    OTR_TRY(in_.read(magic, "the magic"));
    if (as_text(magic) != "GGUF") return in_.bad(0, "the magic", "is not 'GGUF': no GGUF file.");
    OTR_TRY_ASSIGN(header_.version, in_.number<std::uint32_t>("the version"));
    const std::uint32_t version = header_.version;
    if (version == 2 || version == 3) return {};
    if (version == 1) {
      return in_.bad(4, "the version",
                     "is 1, of 2023, which is not read; convert the original model again with a "
                     "llama.cpp of today, or download a newer file.");
    }
    const std::uint32_t swapped = std::byteswap(version);
    if (swapped >= 1 && swapped <= 3) {
      return in_.bad(4, "the version",
                     "says that the file is big-endian, which is not read; convert it with "
                     "llama.cpp's gguf_convert_endian.py, or download the little-endian file.");
    }
    return in_.bad(4, "the version",
                   "is " + std::to_string(version) + "; versions 2 and 3 can be read.");
  }

  // A count is believed if the file is long enough for it.
  Result<std::uint64_t> read_count(const char* field, std::uint64_t least_bytes) {
    const std::uint64_t begin = in_.offset();
    OTR_TRY_ASSIGN(const auto count, in_.number<std::uint64_t>(field));
    if (count > in_.left() / least_bytes) {
      return in_.bad(begin, field,
                     "is " + std::to_string(count) + ", for which the file of " +
                         std::to_string(input_.size_bytes) +
                         " bytes is too short: it is cut short or damaged.");
    }
    if (count > kMaxEntries) {
      return in_.bad(begin, field,
                     "is " + std::to_string(count) + "; at most " + std::to_string(kMaxEntries) +
                         " are read.");
    }
    return count;
  }

  Status read_entry(std::uint64_t index) {
    in_.where = "metadata entry " + std::to_string(index);
    const std::uint64_t begin = in_.offset();
    OTR_TRY_ASSIGN(const std::string key, in_.identifier("the key", kMaxKeyBytes));
    in_.where += " " + in_quotes(key);
    OTR_TRY_ASSIGN(const GgufValueType type, read_type("the value's type"));
    if (header_.metadata.contains(key)) return in_.bad(begin, "the key", "is there twice.");
    OTR_TRY_ASSIGN(header_.metadata[key], read_value(type, 0));
    return {};
  }

  Result<GgufValueType> read_type(const char* field) {
    const std::uint64_t begin = in_.offset();
    OTR_TRY_ASSIGN(const auto type, in_.number<std::uint32_t>(field));
    if (type > static_cast<std::uint32_t>(GgufValueType::kF64)) {
      return in_.bad(begin, field, "is " + std::to_string(type) + ", which GGUF does not have.");
    }
    return static_cast<GgufValueType>(type);
  }

  Result<GgufValue> read_value(GgufValueType type, int depth) {
    GgufValue value{.type = type, .offset = in_.offset()};
    if (type == GgufValueType::kString) {
      OTR_TRY_ASSIGN(value.text, in_.string("the value", kMaxStringBytes));
    } else if (type == GgufValueType::kArray) {
      OTR_TRY(read_array(value, depth));
    } else {
      value.raw.resize(width_of(type));
      OTR_TRY(in_.read(value.raw, "the value"));
      OTR_TRY(check_booleans(type, value));
    }
    return value;
  }

  Status check_booleans(GgufValueType type, const GgufValue& value) {
    if (type != GgufValueType::kBool) return {};
    const auto odd = std::ranges::find_if(value.raw, [](std::uint8_t byte) { return byte > 1; });
    if (odd == value.raw.end()) return {};
    const auto begin = in_.offset() - value.raw.size();
    return in_.bad(begin + static_cast<std::uint64_t>(odd - value.raw.begin()), "the boolean",
                   "is neither 0 nor 1.");
  }

  Status read_array(GgufValue& value, int depth) {
    if (depth == kMaxDepth) {
      return in_.bad(value.offset, "the value",
                     "has arrays nested more than " + std::to_string(kMaxDepth) + " deep.");
    }
    OTR_TRY_ASSIGN(value.element_type, read_type("the type of the array's elements"));
    const std::uint64_t count_begin = in_.offset();
    OTR_TRY_ASSIGN(const auto count, in_.number<std::uint64_t>("the array's length"));
    const std::size_t width = width_of(value.element_type);
    const bool nested = value.element_type == GgufValueType::kArray;
    const std::uint64_t least = width > 0 ? width : nested ? 12 : 8;
    if (count > in_.left() / least) {
      return in_.bad(count_begin, "the array's length",
                     "is " + std::to_string(count) +
                         ", more elements than the file has room for (" +
                         std::to_string(in_.left()) + " bytes are left).");
    }
    if (width > 0) return read_numbers(value, count * width);
    std::uint64_t& all = nested ? arrays_ : texts_;
    all += count;
    if (const std::uint64_t most = nested ? kMaxArrays : kMaxTexts; all > most) {
      return in_.bad(count_begin, "the array's length",
                     "makes more than " + std::to_string(most) + (nested ? " arrays" : " strings") +
                         " in arrays of this file, which are not read.");
    }
    if (nested)
      value.arrays.reserve(count);
    else
      value.texts.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      if (nested) {
        OTR_TRY_ASSIGN(GgufValue element, read_value(GgufValueType::kArray, depth + 1));
        value.arrays.push_back(std::move(element));
      } else {
        OTR_TRY_ASSIGN(std::string text, in_.string("an element", kMaxStringBytes));
        value.texts.push_back(std::move(text));
      }
    }
    return {};
  }

  Status read_numbers(GgufValue& value, std::uint64_t size_bytes) {
    if (size_bytes > kMaxHeaderBytes) {
      return in_.bad(in_.offset(), "the array",
                     "has " + std::to_string(size_bytes) + " bytes; at most 256 MiB are read.");
    }
    value.raw.resize(size_bytes);
    OTR_TRY(in_.read(value.raw, "the array"));
    return check_booleans(value.element_type, value);
  }

  Status read_alignment() {
    const GgufValue* value = header_.find("general.alignment");
    if (value == nullptr) return {};
    in_.where = "metadata 'general.alignment'";
    const auto number = gguf_integer(value->type, value->raw, 0);
    if (value->type != GgufValueType::kU32 || *number == 0 || *number > kMaxAlignment ||
        !std::has_single_bit(static_cast<std::uint64_t>(*number))) {
      return in_.bad(
          value->offset, "the value",
          "is no u32 that is a power of two and at most " + std::to_string(kMaxAlignment) + ".");
    }
    header_.alignment = static_cast<std::uint32_t>(*number);
    return {};
  }

  Status read_tensor(std::uint64_t index) {
    in_.where = "tensor " + std::to_string(index);
    const std::uint64_t begin = in_.offset();
    OTR_TRY_ASSIGN(const std::string name, in_.identifier("the name", kMaxNameBytes));
    in_.where += " " + in_quotes(name);
    if (header_.tensors.contains(name)) return in_.bad(begin, "the name", "is there twice.");
    GgufTensor tensor;
    const std::uint64_t dims_begin = in_.offset();
    OTR_TRY(read_dims(tensor));
    const std::uint64_t type_begin = in_.offset();
    OTR_TRY_ASSIGN(const auto id, in_.number<std::uint32_t>("the type"));
    tensor.type = gguf_type(id);
    if (tensor.type == nullptr) return refuse_type(type_begin, id);
    if (tensor.dims[0] % tensor.type->elements != 0) {
      return in_.bad(dims_begin, "the dimensions",
                     "make rows of " + std::to_string(tensor.dims[0]) +
                         " elements, no multiple of a block of " + tensor.type->name + " (" +
                         std::to_string(tensor.type->elements) + ").");
    }
    std::uint64_t elements = 1;
    for (const std::uint64_t size : tensor.dims) elements *= size;
    tensor.size_bytes = elements / tensor.type->elements * tensor.type->size_bytes;
    const std::uint64_t offset_begin = in_.offset();
    OTR_TRY_ASSIGN(tensor.offset, in_.number<std::uint64_t>("the offset"));
    if (tensor.offset % header_.alignment != 0) {
      return in_.bad(offset_begin, "the offset",
                     "is " + std::to_string(tensor.offset) + ", no multiple of the alignment " +
                         std::to_string(header_.alignment) + ".");
    }
    places_.push_back({name, index, offset_begin});
    header_.tensors[name] = std::move(tensor);
    return {};
  }

  Status read_dims(GgufTensor& tensor) {
    const std::uint64_t begin = in_.offset();
    OTR_TRY_ASSIGN(const auto count, in_.number<std::uint32_t>("the number of dimensions"));
    if (count == 0 || count > kMaxDims) {
      return in_.bad(begin, "the number of dimensions",
                     "is " + std::to_string(count) + "; it must be 1 to 4.");
    }
    unsigned __int128 elements = 1;
    for (std::uint32_t d = 0; d < count; ++d) {
      const std::uint64_t at = in_.offset();
      OTR_TRY_ASSIGN(const auto size, in_.number<std::uint64_t>("a dimension"));
      if (size == 0) return in_.bad(at, "a dimension", "is 0.");
      elements *= size;
      // A block of 256 elements has at least 50 bytes, so that no readable file holds as many.
      if (elements > std::uint64_t{1} << 56) {
        return in_.bad(
            at, "a dimension",
            "is " + std::to_string(size) + ", which makes more elements than any file holds.");
      }
      tensor.dims.push_back(size);
    }
    return {};
  }

  std::unexpected<Error> refuse_type(std::uint64_t offset, std::uint32_t id) {
    const bool removed = id == 4 || id == 5 || (id >= 31 && id <= 33) || (id >= 36 && id <= 38);
    return in_.bad(offset, "the type",
                   "is " + std::to_string(id) +
                       (removed ? ", which ggml has removed" : ", which is not known") +
                       ". Can be imported: " + readable_gguf_types() +
                       "; download or make the model as Q8_0 or F16.");
  }

  // Every tensor lies in the file, and no two overlap.
  Status place_tensors() {
    const std::uint64_t align = header_.alignment;
    header_.data_begin = (in_.offset() + align - 1) / align * align;
    for (const Place& place : places_) {
      in_.where = "tensor " + std::to_string(place.index) + " " + in_quotes(place.name);
      GgufTensor& tensor = header_.tensors.at(place.name);
      const auto end =
          static_cast<unsigned __int128>(header_.data_begin) + tensor.offset + tensor.size_bytes;
      if (end > input_.size_bytes) {
        return in_.bad(place.offset_begin, "the offset",
                       "puts its " + std::to_string(tensor.size_bytes) + " bytes at " +
                           std::to_string(tensor.offset) + " of the data, beyond the end of the " +
                           "file (" + std::to_string(input_.size_bytes) +
                           " bytes): the file is cut short or damaged.");
      }
      tensor.offset += header_.data_begin;
    }
    const auto begin_of = [&](const Place& place) { return header_.tensors.at(place.name).offset; };
    std::ranges::sort(places_, {}, begin_of);
    for (std::size_t i = 1; i < places_.size(); ++i) {
      const GgufTensor& before = header_.tensors.at(places_[i - 1].name);
      if (before.offset + before.size_bytes <= begin_of(places_[i])) continue;
      in_.where = "tensor " + std::to_string(places_[i].index) + " " + in_quotes(places_[i].name);
      return in_.bad(places_[i].offset_begin, "the offset",
                     "makes it overlap tensor " + in_quotes(places_[i - 1].name) + ".");
    }
    return {};
  }

  struct Place {
    std::string name;
    std::uint64_t index;
    std::uint64_t offset_begin;  // where the header says the tensor's offset
  };

  const GgufInput& input_;
  Cursor in_;
  GgufHeader header_;
  std::uint64_t texts_ = 0;   // in arrays, so far
  std::uint64_t arrays_ = 0;  // in arrays, so far
  std::vector<Place> places_;
};

}  // namespace

const GgufValue* GgufHeader::find(const std::string& key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

Result<GgufHeader> parse_gguf_header(const GgufInput& input, std::string_view what) {
  return Parser(input, what).parse();
}

Result<GgufFile> open_gguf(const std::filesystem::path& path) {
  OTR_TRY_ASSIGN(env::InputFile opened, env::InputFile::open(path));
  const auto file = std::make_shared<const env::InputFile>(std::move(opened));
  GgufFile out{.path = path.string(),
               .input = {file->size_bytes(),
                         [file](std::uint64_t offset, std::span<std::uint8_t> to) {
                           return file->read_at(offset, to);
                         }},
               .header = {}};
  OTR_TRY_ASSIGN(out.header, parse_gguf_header(out.input, out.path));
  return out;
}

}  // namespace otr::convert
