#include "protocol/fields.h"

#include <utility>

#include "base/hex.h"

namespace otr::protocol {
namespace {

const Json& nothing() {
  static const Json kNothing;
  return kNothing;
}

}  // namespace

Fields::Fields(const Json& object, std::string path, std::initializer_list<std::string_view> names,
               Status& status)
    : object_(&object), path_(std::move(path)), status_(&status) {
  check_members(names);
}

void Fields::check_members(std::initializer_list<std::string_view> names) const {
  if (!object_->is_object()) return refuse(path_ + " must be an object.");
  for (const std::string_view name : names) {
    if (!object_->contains(name)) return refuse(where(name) + " is missing.");
  }
  if (object_->size() == names.size()) return;
  for (const auto& [name, value] : object_->items()) {
    if (std::ranges::find(names, name) != names.end()) continue;
    const std::string shown = name.size() > 40 ? "of a long name" : "\"" + name + "\"";
    return refuse(path_ + " has the member " + shown + ", which it must not.");
  }
}

void Fields::refuse(std::string message) const {
  if (*status_) *status_ = fail(ErrorKind::kBadInput, std::move(message), "MALFORMED");
}

std::string Fields::where(std::string_view name) const { return path_ + "." + std::string(name); }

const Json& Fields::member(std::string_view name) const {
  if (!object_->is_object()) return nothing();
  const auto found = object_->find(name);
  return found == object_->end() ? nothing() : *found;
}

Fields Fields::object(std::string_view name, std::initializer_list<std::string_view> names) const {
  return {member(name), where(name), names, *status_};
}

std::string Fields::text(std::string_view name) const {
  const Json& value = member(name);
  if (value.is_string()) return value.get<std::string>();
  refuse(where(name) + " must be a string.");
  return {};
}

const Json& Fields::array(std::string_view name) const {
  const Json& value = member(name);
  if (value.is_array()) return value;
  refuse(where(name) + " must be an array.");
  return nothing();
}

std::vector<std::string> Fields::texts(std::string_view name) const {
  std::vector<std::string> list;
  for (const Json& value : array(name)) {
    if (!value.is_string()) {
      refuse(where(name) + " must hold only strings.");
      return {};
    }
    list.push_back(value.get<std::string>());
  }
  return list;
}

std::vector<Hash> Fields::hashes(std::string_view name, std::size_t most) const {
  const Json& values = array(name);
  std::vector<Hash> list;
  if (values.size() > most) {
    refuse(where(name) + " must have at most " + std::to_string(most) + " hashes.");
    return list;
  }
  for (const Json& value : values) {
    Hash& hash = list.emplace_back();
    std::ranges::copy(hex(value, hash.size(), where(name) + "[]"), hash.begin());
  }
  return list;
}

std::vector<std::uint32_t> Fields::ids(std::string_view name) const {
  const Json& values = array(name);
  std::vector<std::uint32_t> list;
  list.reserve(values.size());
  for (const Json& value : values) {
    list.push_back(static_cast<std::uint32_t>(
        integer(value, 0, std::numeric_limits<std::uint32_t>::max(), where(name) + "[]")));
  }
  return list;
}

std::vector<std::pair<std::uint32_t, std::int32_t>> Fields::pairs(std::string_view name) const {
  std::vector<std::pair<std::uint32_t, std::int32_t>> list;
  const std::string at = where(name) + "[]";
  for (const Json& value : array(name)) {
    if (!value.is_array() || value.size() != 2) {
      refuse(at + " must be an array of two integers.");
      return {};
    }
    using Id = std::numeric_limits<std::uint32_t>;
    using Value = std::numeric_limits<std::int32_t>;
    list.emplace_back(
        static_cast<std::uint32_t>(integer(value[0], 0, Id::max(), at + "[0]")),
        static_cast<std::int32_t>(integer(value[1], Value::min(), Value::max(), at + "[1]")));
  }
  return list;
}

std::uint64_t Fields::decimal64(std::string_view name) const {
  const std::optional<std::uint64_t> value = parse_uint64(text(name));
  if (!value) refuse(where(name) + " must be a decimal string below 2^64 without leading zeros.");
  return value.value_or(0);
}

Uint256 Fields::decimal256(std::string_view name) const {
  const std::optional<Uint256> value = parse_uint256(text(name));
  if (!value) refuse(where(name) + " must be a decimal string below 2^256 without leading zeros.");
  return value.value_or(Uint256{});
}

Bytes Fields::hex(const Json& value, std::size_t size_bytes, const std::string& at) const {
  if (!value.is_string()) {
    refuse(at + " must be a string.");
    return {};
  }
  Result<Bytes> bytes = from_hex(value.get_ref<const std::string&>(), size_bytes, at);
  if (bytes) return *std::move(bytes);
  refuse(bytes.error().message + ".");
  return {};
}

std::int64_t Fields::integer(const Json& value, std::int64_t least, std::int64_t greatest,
                             const std::string& at) const {
  // A number above 2^63 is stored as unsigned, where `get` to a signed type would wrap.
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() ||
                     value.get<std::uint64_t>() <= static_cast<std::uint64_t>(greatest)) &&
                    value.get<std::int64_t>() >= least && value.get<std::int64_t>() <= greatest;
  if (fits) return value.get<std::int64_t>();
  refuse(at + " must be an integer from " + std::to_string(least) + " to " +
         std::to_string(greatest) + ".");
  return 0;
}

Json hex_list(const std::vector<Hash>& hashes) {
  Json list = Json::array();
  for (const Hash& hash : hashes) list.push_back(to_hex(hash));
  return list;
}

}  // namespace otr::protocol
