// The members of a request body, read one by one; a wrong one is refused by its name.
#ifndef OTR_OPENAI_FIELDS_H_
#define OTR_OPENAI_FIELDS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "openai/error.h"

namespace otr::openai {

// What a value is, in words: "a string", "null".
[[nodiscard]] std::string_view kind_of(const Json& value);

// 400 naming `param`: "'param' must be WHAT, not KIND." with the code invalid_type.
[[nodiscard]] ApiError wrong_type(const std::string& param, std::string_view what,
                                  const Json& value);

// Null counts as absent everywhere. The object must outlive the reader; `path` goes before the
// names of its members in errors, as in "messages[2].".
class Fields {
 public:
  explicit Fields(const Json& object, std::string path = {})
      : object_(&object), path_(std::move(path)) {}

  // The member; null where there is none. It then is known.
  [[nodiscard]] const Json& take(std::string_view name);
  [[nodiscard]] std::string param(std::string_view name) const { return path_ + std::string(name); }

  // Requires high < 2^63 - 1.
  [[nodiscard]] Parsed<std::optional<std::int64_t>> integer(std::string_view name, std::int64_t low,
                                                            std::int64_t high);
  // Any finite number; who uses it says what range it has.
  [[nodiscard]] Parsed<std::optional<double>> number(std::string_view name);
  [[nodiscard]] Parsed<bool> boolean(std::string_view name, bool otherwise);
  // At most `max_bytes` bytes.
  [[nodiscard]] Parsed<std::optional<std::string>> text(std::string_view name,
                                                        std::size_t max_bytes = SIZE_MAX);

  // The names of members that nobody took, cut to a length and number fit for a log.
  [[nodiscard]] std::vector<std::string> unknown() const;

 private:
  const Json* object_;
  std::string path_;
  std::set<std::string, std::less<>> taken_;
};

// The JSON object in a body. 400 naming the offset or the key that stands twice, 413 if it is
// longer than kMaxBodyBytes.
inline constexpr std::size_t kMaxBodyBytes = std::size_t{4} << 20;
[[nodiscard]] Parsed<Json> parse_body(std::string_view body);

}  // namespace otr::openai

#endif  // OTR_OPENAI_FIELDS_H_
