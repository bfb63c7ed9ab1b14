#include "convert/gguf_metadata.h"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace otr::convert {
namespace {

bool is_number(GgufValueType type) { return width_of(type) > 0 && type != GgufValueType::kBool; }

bool is_integer(GgufValueType type) {
  return is_number(type) && type != GgufValueType::kF32 && type != GgufValueType::kF64;
}

// "u32", "array of string".
std::string type_text(const GgufValue& value) {
  if (value.type != GgufValueType::kArray) return name_of(value.type);
  return "array of " + std::to_string(value.size()) + " " + name_of(value.element_type);
}

double as_written(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double number = value;
  std::from_chars(text, end, number);
  return number;
}

}  // namespace

std::unexpected<Error> GgufMetadata::bad(const std::string& key, const std::string& why) const {
  return fail(ErrorKind::kBadInput, file_.path + ": metadata " + in_quotes(key) + " at offset " +
                                        hex(file_.header.find(key)->offset) + " " + why);
}

std::unexpected<Error> GgufMetadata::missing(const std::string& key) const {
  std::string message = file_.path + ": the metadata has no " + in_quotes(key);
  const std::string suffix = key.substr(key.find('.'));
  for (const auto& [other, value] : file_.header.metadata) {
    if (other.ends_with(suffix)) {
      message += ", only " + in_quotes(other) + " of another architecture";
      break;
    }
  }
  return fail(ErrorKind::kBadInput, message + ": the file is damaged or incomplete.");
}

Result<std::optional<std::string>> GgufMetadata::text(const std::string& key) const {
  const GgufValue* value = file_.header.find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type == GgufValueType::kString) return value->text;
  return bad(key, "is " + type_text(*value) + "; it must be a string.");
}

Result<std::optional<bool>> GgufMetadata::boolean(const std::string& key) const {
  const GgufValue* value = file_.header.find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type == GgufValueType::kBool) return value->raw[0] != 0;
  return bad(key, "is " + type_text(*value) + "; it must be a bool.");
}

Result<std::optional<std::uint32_t>> GgufMetadata::size(const std::string& key, std::uint32_t low,
                                                        std::uint32_t high) const {
  const GgufValue* value = file_.header.find(key);
  if (value == nullptr) return std::nullopt;
  const bool layers = value->type == GgufValueType::kArray;
  const GgufValueType type = layers ? value->element_type : value->type;
  const std::string range =
      "a whole number in [" + std::to_string(low) + ", " + std::to_string(high) + "].";
  if (!is_integer(type) || (layers && value->size() == 0)) {
    return bad(key, "is " + type_text(*value) + "; it must be " + range);
  }
  const auto first = *gguf_integer(type, value->raw, 0);
  for (std::size_t i = 1; layers && i < value->size(); ++i) {
    if (*gguf_integer(type, value->raw, i) != first) {
      return bad(key, "differs from layer to layer, which is not supported.");
    }
  }
  if (first >= low && first <= high) return static_cast<std::uint32_t>(first);
  const bool negative = first < 0;
  const auto magnitude = static_cast<std::uint64_t>(negative ? -first : first);
  return bad(key, "is " + std::string(negative ? "-" : "") + std::to_string(magnitude) +
                      "; it must be " + range);
}

Result<std::uint32_t> GgufMetadata::required_size(const std::string& key, std::uint32_t low,
                                                  std::uint32_t high) const {
  OTR_TRY_ASSIGN(const auto value, size(key, low, high));
  if (!value) return missing(key);
  return *value;
}

Result<std::optional<double>> GgufMetadata::number(const std::string& key, double low,
                                                   double high) const {
  const GgufValue* value = file_.header.find(key);
  if (value == nullptr) return std::nullopt;
  std::ostringstream range;
  range << "; it must be a number in [" << low << ", " << high << "].";
  if (!is_number(value->type)) return bad(key, "is " + type_text(*value) + range.str());
  double number = gguf_number(value->type, value->raw, 0);
  // Written so that what is not a number at all fails the comparison.
  if (!(number >= low && number <= high)) {
    std::ostringstream shown;
    shown << number;
    return bad(key, "is " + shown.str() + range.str());
  }
  if (value->type == GgufValueType::kF32) number = as_written(static_cast<float>(number));
  return number;
}

Result<std::optional<std::uint32_t>> GgufMetadata::id(const std::string& key) const {
  const GgufValue* value = file_.header.find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = is_integer(value->type) ? gguf_integer(value->type, value->raw, 0)
                                              : std::optional<__int128>();
  if (!number || *number < -1 || *number > UINT32_MAX) {
    return bad(key, "is " + type_text(*value) + "; it must be a token id of 32 bits.");
  }
  if (*number == -1 || *number == UINT32_MAX) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

Result<std::vector<std::string>> GgufMetadata::texts(const std::string& key) const {
  const GgufValue* value = file_.header.find(key);
  if (value == nullptr) return std::vector<std::string>();
  if (value->type == GgufValueType::kArray && value->element_type == GgufValueType::kString) {
    return value->texts;
  }
  return bad(key, "is " + type_text(*value) + "; it must be an array of strings.");
}

Result<std::vector<std::int32_t>> GgufMetadata::integers(const std::string& key) const {
  std::vector<std::int32_t> out;
  const GgufValue* value = file_.header.find(key);
  if (value == nullptr) return out;
  if (value->type != GgufValueType::kArray || !is_integer(value->element_type)) {
    return bad(key, "is " + type_text(*value) + "; it must be an array of integers.");
  }
  for (std::size_t i = 0; i < value->size(); ++i) {
    const auto number = *gguf_integer(value->element_type, value->raw, i);
    if (number < INT32_MIN || number > INT32_MAX) {
      return bad(key, "has an element beyond 32 bits, at index " + std::to_string(i) + ".");
    }
    out.push_back(static_cast<std::int32_t>(number));
  }
  return out;
}

Result<std::vector<std::uint32_t>> GgufMetadata::float_bits(const std::string& key) const {
  std::vector<std::uint32_t> out;
  const GgufValue* value = file_.header.find(key);
  if (value == nullptr) return out;
  if (value->type != GgufValueType::kArray || value->element_type != GgufValueType::kF32) {
    return bad(key, "is " + type_text(*value) + "; it must be an array of f32.");
  }
  for (std::size_t i = 0; i < value->size(); ++i) {
    out.push_back(load_le<std::uint32_t>(value->raw.data() + 4 * i));
  }
  return out;
}

}  // namespace otr::convert
