#include "attest/pem.h"

#include <string>

#include "attest/encoding.h"

namespace otr::attest {
namespace {

constexpr std::size_t kMaxBlocks = 16;
constexpr std::string_view kBlanks = " \t\r\n";

std::unexpected<Error> malformed(std::string message, std::size_t offset) {
  return fail(ErrorKind::kBadInput,
              "PEM: " + std::move(message) + " at offset " + std::to_string(offset), "MALFORMED");
}

}  // namespace

Result<std::vector<Bytes>> read_pem(std::string_view text, std::string_view label) {
  const std::string begin = "-----BEGIN " + std::string(label) + "-----";
  const std::string end = "-----END " + std::string(label) + "-----";
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  std::vector<Bytes> blocks;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(kBlanks, at)) != std::string_view::npos) {
    if (text.substr(at, begin.size()) != begin) return malformed("no " + begin, at);
    if (blocks.size() == kMaxBlocks) return malformed("more than 16 blocks", at);
    const std::size_t from = at + begin.size();
    const std::size_t to = text.find("-----", from);
    if (to == std::string_view::npos || text.substr(to, end.size()) != end) {
      return malformed("no " + end + " for the block", at);
    }
    std::optional<Bytes> block = from_base64(without_space(text.substr(from, to - from)));
    if (!block) return malformed("no base64 in the block", at);
    blocks.push_back(*std::move(block));
    at = to + end.size();
  }
  if (blocks.empty()) return malformed("no " + begin, 0);
  return blocks;
}

}  // namespace otr::attest
