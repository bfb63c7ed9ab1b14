#include "openai/fields.h"

#include "text/json.h"
#include "text/utf8.h"

namespace otr::openai {
namespace {

// A prompt of token ids is the body with the most values.
constexpr JsonBounds kBounds = {.max_bytes = kMaxBodyBytes, .max_values = std::size_t{1} << 19};

}  // namespace

std::string_view kind_of(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "true or false";
  if (value.is_number_integer()) return "an integer";
  if (value.is_number()) return "a number with a fraction";
  if (value.is_string()) return "a string";
  return value.is_array() ? "an array" : "an object";
}

ApiError wrong_type(const std::string& param, std::string_view what, const Json& value) {
  return invalid_request(
      param,
      "'" + param + "' must be " + std::string(what) + ", not " + std::string(kind_of(value)) + ".",
      "invalid_type");
}

const Json& Fields::take(std::string_view name) {
  taken_.emplace(name);
  return text::member(*object_, name);
}

Parsed<std::optional<std::int64_t>> Fields::integer(std::string_view name, std::int64_t low,
                                                    std::int64_t high) {
  const Json& value = take(name);
  if (value.is_null()) return std::nullopt;
  const std::string range =
      "an integer from " + std::to_string(low) + " to " + std::to_string(high);
  if (!value.is_number_integer()) {
    return std::unexpected(wrong_type(param(name), range, value));
  }
  const bool above = value.is_number_unsigned() &&
                     value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  const auto number = above ? INT64_MAX : value.get<std::int64_t>();
  if (number < low || number > high) {
    return std::unexpected(invalid_request(
        param(name), "'" + param(name) + "' must be " + range + ", not " + value.dump() + ".",
        "out_of_range"));
  }
  return number;
}

Parsed<std::optional<double>> Fields::number(std::string_view name) {
  const Json& value = take(name);
  if (value.is_null()) return std::nullopt;
  if (!value.is_number()) return std::unexpected(wrong_type(param(name), "a number", value));
  return value.get<double>();
}

Parsed<bool> Fields::boolean(std::string_view name, bool otherwise) {
  const Json& value = take(name);
  if (value.is_null()) return otherwise;
  if (value.is_boolean()) return value.get<bool>();
  return std::unexpected(wrong_type(param(name), "true or false", value));
}

Parsed<std::optional<std::string>> Fields::text(std::string_view name, std::size_t max_bytes) {
  const Json& value = take(name);
  if (value.is_null()) return std::nullopt;
  if (!value.is_string()) return std::unexpected(wrong_type(param(name), "a string", value));
  auto text = value.get<std::string>();
  if (text.size() > max_bytes) {
    return std::unexpected(invalid_request(param(name),
                                           "'" + param(name) + "' must have at most " +
                                               std::to_string(max_bytes) + " bytes, not " +
                                               std::to_string(text.size()) + ".",
                                           "out_of_range"));
  }
  return text;
}

std::vector<std::string> Fields::unknown() const {
  constexpr std::size_t kMostNames = 32, kMostBytes = 64;
  std::vector<std::string> names;
  for (const auto& [name, value] : object_->items()) {
    if (taken_.contains(name)) continue;
    if (names.size() == kMostNames) break;
    names.push_back(text::utf8_lossy(std::string_view(name).substr(0, kMostBytes)));
  }
  return names;
}

Parsed<Json> parse_body(std::string_view body) {
  if (body.size() > kBounds.max_bytes) return std::unexpected(body_too_large(kBounds.max_bytes));
  Result<Json> parsed = text::parse_json(body, "The body", kBounds);
  if (!parsed) {
    return std::unexpected(invalid_request("", parsed.error().message + ".", "invalid_json"));
  }
  if (!parsed->is_object()) {
    return std::unexpected(invalid_request(
        "", "The body must be a JSON object, not " + std::string(kind_of(*parsed)) + ".",
        "invalid_type"));
  }
  return *std::move(parsed);
}

}  // namespace otr::openai
