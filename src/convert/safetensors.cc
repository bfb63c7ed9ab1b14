#include "convert/safetensors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/check.h"
#include "text/json.h"

namespace otr::convert {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{64} << 20;
constexpr std::size_t kBlockBytes = std::size_t{1} << 20;  // of raw data held while widening

std::unexpected<Error> bad(std::string_view what, const std::string& why) {
  return fail(ErrorKind::kBadInput, std::string(what) + " " + why);
}

std::uint64_t element_bytes(FloatType type) { return type == FloatType::kF32 ? 4 : 2; }

std::optional<FloatType> float_type(const std::string& name) {
  if (name == "F32") return FloatType::kF32;
  if (name == "F16") return FloatType::kF16;
  if (name == "BF16") return FloatType::kBF16;
  return std::nullopt;
}

bool is_size_list(const Json& value, std::size_t min_count, std::size_t max_count) {
  return value.is_array() && value.size() >= min_count && value.size() <= max_count &&
         std::ranges::all_of(value, [](const Json& size) { return size.is_number_unsigned(); });
}

// shape, type and place agree with each other and lie inside the data.
Result<FloatTensor> parse_entry(const Json& entry, FloatType type, std::uint64_t data_bytes,
                                const std::string& what) {
  const Json& shape = text::member(entry, "shape");
  const Json& offsets = text::member(entry, "data_offsets");
  if (!is_size_list(shape, 0, 8)) return bad(what, "has no 'shape' of at most 8 sizes.");
  if (!is_size_list(offsets, 2, 2)) return bad(what, "has no 'data_offsets' of two numbers.");
  FloatTensor tensor{type, shape.get<std::vector<std::uint64_t>>(), offsets[0], 0};
  const std::uint64_t end = offsets[1];
  if (tensor.offset > end || end > data_bytes) {
    return bad(what, "lies at bytes " + std::to_string(tensor.offset) + " to " +
                         std::to_string(end) + " of the data, which has " +
                         std::to_string(data_bytes) + ": the file is cut short or damaged.");
  }
  tensor.size_bytes = end - tensor.offset;
  unsigned __int128 expected = element_bytes(type);
  for (const std::uint64_t size : tensor.shape) {
    expected *= size;
    if (expected > data_bytes) break;  // so that eight sizes cannot wrap
  }
  if (expected != tensor.size_bytes) {
    return bad(what, "has " + std::to_string(tensor.size_bytes) +
                         " bytes, which is not what its shape and dtype need.");
  }
  return tensor;
}

Status check_overlaps(const SafetensorsHeader& header, std::string_view what) {
  std::vector<const std::pair<const std::string, FloatTensor>*> order;
  for (const auto& named : header.tensors) {
    if (named.second.size_bytes > 0) order.push_back(&named);
  }
  std::ranges::sort(order, {}, [](const auto* named) { return named->second.offset; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const FloatTensor& before = order[i - 1]->second;
    if (before.offset + before.size_bytes > order[i]->second.offset) {
      return bad(what, "has tensors that overlap: '" + order[i - 1]->first + "' and '" +
                           order[i]->first + "'.");
    }
  }
  return {};
}

}  // namespace

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000U} << 16;
  const std::uint32_t exponent = (half >> 10) & 31;
  const std::uint32_t fraction = half & 0x3ffU;
  if (exponent == 0) {  // zero or subnormal: fraction · 2^-24
    const float value = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

Result<SafetensorsHeader> parse_safetensors_header(std::string_view source,
                                                   std::uint64_t data_bytes,
                                                   std::string_view what) {
  OTR_TRY_ASSIGN(const Json json, text::parse_json(source, std::string(what) + ": the header"));
  if (!json.is_object()) return bad(what, "has a header that is no JSON object.");
  SafetensorsHeader header;
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") continue;
    const std::string tensor_what = std::string(what) + ": tensor '" + name.substr(0, 200) + "'";
    if (!entry.is_object()) return bad(tensor_what, "is no JSON object.");
    const Json& dtype = text::member(entry, "dtype");
    if (!dtype.is_string()) return bad(tensor_what, "has no 'dtype'.");
    const auto type = float_type(dtype.get<std::string>());
    if (!type) {
      header.unreadable[name] = dtype.get<std::string>();
      continue;
    }
    OTR_TRY_ASSIGN(header.tensors[name], parse_entry(entry, *type, data_bytes, tensor_what));
  }
  OTR_TRY(check_overlaps(header, what));
  return header;
}

void widen(FloatType type, ByteView raw, std::span<float> to) {
  OTR_CHECK(raw.size() == to.size() * element_bytes(type));
  if (type == FloatType::kF32) {
    std::memcpy(to.data(), raw.data(), raw.size());
    return;
  }
  for (std::size_t i = 0; i < to.size(); ++i) {
    const auto bits = load_le<std::uint16_t>(raw.data() + 2 * i);
    to[i] = type == FloatType::kBF16 ? std::bit_cast<float>(std::uint32_t{bits} << 16)
                                     : half_to_float(bits);
  }
}

SafetensorsFile::SafetensorsFile(env::InputFile file, SafetensorsHeader header,
                                 std::uint64_t data_begin, std::string what)
    : file_(std::move(file)),
      header_(std::move(header)),
      data_begin_(data_begin),
      what_(std::move(what)) {}

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  const std::string what = path.string();
  OTR_TRY_ASSIGN(env::InputFile file, env::InputFile::open(path));
  Bytes length_bytes(8);
  OTR_TRY(file.read_at(0, length_bytes));
  const auto length = load_le<std::uint64_t>(length_bytes.data());
  if (length > kMaxHeaderBytes || length > file.size_bytes() - 8) {
    return bad(what, "is no safetensors file, or cut short: it says its header has " +
                         std::to_string(length) + " bytes.");
  }
  Bytes text(length);
  OTR_TRY(file.read_at(8, text));
  OTR_TRY_ASSIGN(SafetensorsHeader header,
                 parse_safetensors_header(as_text(text), file.size_bytes() - 8 - length, what));
  return SafetensorsFile(std::move(file), std::move(header), 8 + length, what);
}

Result<std::vector<float>> SafetensorsFile::read(const std::string& name, std::uint64_t begin,
                                                 std::uint64_t end) const {
  const FloatTensor& tensor = header_.tensors.at(name);
  const std::uint64_t width = element_bytes(tensor.type);
  OTR_CHECK(begin <= end && end <= tensor.size_bytes / width);
  const std::uint64_t size_bytes = (end - begin) * width;
  std::vector<float> values(end - begin);
  Bytes block(std::min<std::uint64_t>(kBlockBytes, size_bytes));
  for (std::uint64_t at = 0; at < size_bytes; at += block.size()) {
    const auto raw = std::span(block).first(std::min<std::uint64_t>(block.size(), size_bytes - at));
    OTR_TRY(file_.read_at(data_begin_ + tensor.offset + begin * width + at, raw));
    widen(tensor.type, raw, std::span(values).subspan(at / width, raw.size() / width));
  }
  // The loop without a branch is much the faster one, and finds nothing but in damaged files.
  bool finite = true;
  for (const float value : values) finite &= std::abs(value) <= std::numeric_limits<float>::max();
  if (finite) return values;
  const auto odd =
      std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); });
  return bad(what_, "holds a number that is not finite in tensor '" + name + "', element " +
                        std::to_string(begin + (odd - values.begin())) + ".");
}

}  // namespace otr::convert
