#include "service/api_keys.h"

#include <algorithm>

#include "crypto/sha256.h"
#include "env/file.h"

namespace otr::service {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{16} << 20;
constexpr std::size_t kMinKeyBytes = 8, kMaxKeyBytes = 512;

std::string_view without_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") + 1 - first);
}

bool is_key(std::string_view text) {
  return text.size() >= kMinKeyBytes && text.size() <= kMaxKeyBytes &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

std::string_view key_in(const net::Request& request) {
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view value = request.header("authorization").value_or("");
  if (net::equal_ignoring_case(value.substr(0, kScheme.size()), kScheme)) {
    return without_blanks(value.substr(kScheme.size()));
  }
  return request.header("x-api-key").value_or("");
}

// Hashes of secrets, compared to the last byte whatever they are.
bool equal_in_constant_time(const Hash& a, const Hash& b) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

Result<ApiKeys> ApiKeys::load(const std::filesystem::path& file) {
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(file, kMaxFileBytes));
  return parse(as_text(bytes), file.string());
}

Result<ApiKeys> ApiKeys::parse(std::string_view text, std::string_view what) {
  ApiKeys keys;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::string_view key = without_blanks(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.size(), std::min(text.find('\n'), text.size()) + 1));
    if (key.empty() || key.starts_with('#')) continue;
    const std::string place = std::string(what) + ", line " + std::to_string(line);
    if (!is_key(key)) {
      return fail(ErrorKind::kUsage,
                  place + ": an API key has 8 to 512 visible ASCII characters and no blanks");
    }
    keys.hashes_.push_back(crypto::sha256(as_bytes(key)));
    if (std::ranges::count(keys.hashes_, keys.hashes_.back()) > 1) {
      return fail(ErrorKind::kUsage, place + ": this API key stands there twice");
    }
  }
  if (keys.hashes_.empty()) {
    return fail(ErrorKind::kUsage, std::string(what) +
                                       " holds no API key, so nobody could ask: write one per "
                                       "line, or leave the setting out to let anybody ask");
  }
  return keys;
}

std::optional<Hash> ApiKeys::check(const net::Request& request) const {
  if (is_open()) return Hash{};
  const Hash hash = crypto::sha256(as_bytes(key_in(request)));
  bool found = false;
  for (const Hash& known : hashes_) found |= equal_in_constant_time(hash, known);
  return found ? std::optional(hash) : std::nullopt;
}

}  // namespace otr::service
