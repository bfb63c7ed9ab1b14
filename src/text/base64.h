// Base64 with padding (RFC 4648, section 4), in its only canonical form.
#ifndef OTR_TEXT_BASE64_H_
#define OTR_TEXT_BASE64_H_

#include <optional>
#include <string>
#include <string_view>

namespace otr::text {

[[nodiscard]] std::string to_base64(std::string_view bytes);

// None for white space, wrong padding, foreign characters and unused bits that are not zero.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace otr::text

#endif  // OTR_TEXT_BASE64_H_
