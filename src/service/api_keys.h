// Who may ask: API keys as OpenAI's clients send them.
#ifndef OTR_SERVICE_API_KEYS_H_
#define OTR_SERVICE_API_KEYS_H_

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "net/http.h"

namespace otr::service {

class ApiKeys {
 public:
  // Anybody may ask.
  ApiKeys() = default;

  // One key per line, of 8 to 512 visible ASCII characters; empty lines and those that begin with
  // '#' are passed over. kUsage for another line (by its number, never by its text), for a key that
  // stands twice, and for a file without any: that would let nobody in.
  [[nodiscard]] static Result<ApiKeys> load(const std::filesystem::path& file);
  [[nodiscard]] static Result<ApiKeys> parse(std::string_view text, std::string_view what);

  [[nodiscard]] bool is_open() const { return hashes_.empty(); }

  // The SHA-256 of the request's key, by which all else here calls it; zero where anybody may ask;
  // nothing where there is no valid key. The key is that of `Authorization: Bearer`, or else of
  // `x-api-key`. The time it takes does not depend on how much of a wrong key is right.
  [[nodiscard]] std::optional<Hash> check(const net::Request& request) const;

 private:
  std::vector<Hash> hashes_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_API_KEYS_H_
