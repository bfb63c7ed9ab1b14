#include "rollup/posted.h"

#include "base/canonical_json.h"
#include "base/check.h"
#include "protocol/fields.h"

namespace otr::rollup {
namespace {

constexpr JsonBounds kBounds = {.max_bytes = std::size_t{64} << 10, .max_values = 256};
constexpr std::size_t kMaxPath = 64;

}  // namespace

std::string encode_posted(const Posted& posted) {
  const auto text = dump_canonical_json({{"batch", std::to_string(posted.batch)},
                                         {"index", posted.index},
                                         {"path", protocol::hex_list(posted.path)}},
                                        "a place in a batch");
  OTR_CHECK(text.has_value());
  return *text + "\n";
}

Result<Posted> decode_posted(std::string_view text) {
  if (!text.ends_with('\n')) {
    return fail(ErrorKind::kBadInput, "The place in a batch does not end with a line feed.",
                "NOT_CANONICAL");
  }
  text.remove_suffix(1);
  OTR_TRY_ASSIGN(const Json json, parse_canonical_json(text, "the place in a batch", kBounds));
  Status status;
  const protocol::Fields fields(json, "the place in a batch", {"batch", "index", "path"}, status);
  Posted posted{.batch = fields.decimal64("batch"),
                .index = fields.number<std::uint32_t>("index"),
                .path = fields.hashes("path", kMaxPath)};
  if (!status) return std::unexpected(status.error());
  return posted;
}

}  // namespace otr::rollup
