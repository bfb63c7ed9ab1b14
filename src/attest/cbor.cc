#include "attest/cbor.h"

#include <algorithm>
#include <array>

namespace otr::attest {
namespace {

constexpr unsigned kNumber = 0, kBytes = 2, kText = 3, kArray = 4, kMap = 5, kTag = 6;
constexpr unsigned kIndefinite = 31;
constexpr std::uint8_t kNull = 0xf6, kBreak = 0xff;
constexpr std::array<std::string_view, 8> kMajorNames = {
    "a number", "a negative number", "a byte string", "a text", "an array", "a map",
    "a tag",    "a simple value"};

}  // namespace

std::unexpected<Error> CborReader::malformed(std::string_view what, std::string_view why) const {
  return fail(ErrorKind::kBadInput,
              std::string(name_) + ", offset " + std::to_string(at_) + ", " + std::string(what) +
                  ": " + std::string(why),
              "MALFORMED");
}

Result<CborReader::Head> CborReader::head(unsigned major, std::string_view what) {
  if (at_ >= bytes_.size()) return malformed(what, "the bytes end here");
  const unsigned found = bytes_[at_] >> 5, low = bytes_[at_] & 31;
  if (found != major) {
    return malformed(what, std::string(kMajorNames[found]) + " stands here, not " +
                               std::string(kMajorNames[major]));
  }
  if (low < 24) {
    ++at_;
    return Head{.value = low};
  }
  if (low == kIndefinite && (major == kArray || major == kMap)) {
    ++at_;
    return Head{.indefinite = true};
  }
  if (low > 27) return malformed(what, "its length is indefinite or reserved");
  const std::size_t width = std::size_t{1} << (low - 24);
  if (bytes_.size() - at_ - 1 < width) return malformed(what, "the bytes end in its length");
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) value = value << 8 | bytes_[at_ + 1 + i];
  const std::uint64_t least = width == 1 ? 24 : std::uint64_t{1} << (8 * (width / 2));
  if (value < least) return malformed(what, "its length or value is not in the shortest form");
  at_ += 1 + width;
  return Head{.value = value};
}

Result<CborReader::Entries> CborReader::entries(unsigned major, std::string_view what) {
  OTR_TRY_ASSIGN(const Head begun, head(major, what));
  if (begun.indefinite) return Entries{};
  return Entries{.left = begun.value};
}

Result<CborReader::Entries> CborReader::array(std::string_view what) {
  return entries(kArray, what);
}

Result<CborReader::Entries> CborReader::map(std::string_view what) { return entries(kMap, what); }

Result<bool> CborReader::more(Entries& entries, std::string_view what) {
  if (entries.left) {
    if (*entries.left == 0) return false;
    --*entries.left;
    return true;
  }
  if (at_ >= bytes_.size()) return malformed(what, "the bytes end before its break");
  if (bytes_[at_] != kBreak) return true;
  ++at_;
  return false;
}

Result<std::uint64_t> CborReader::number(std::string_view what) {
  OTR_TRY_ASSIGN(const Head read, head(kNumber, what));
  return read.value;
}

Result<ByteView> CborReader::bytes(std::string_view what, std::size_t max_bytes) {
  OTR_TRY_ASSIGN(const Head read, head(kBytes, what));
  if (read.value > bytes_.size() - at_) return malformed(what, "it is longer than what follows");
  if (read.value > max_bytes) {
    return malformed(what, "it has " + std::to_string(read.value) + " bytes; at most " +
                               std::to_string(max_bytes) + " are allowed");
  }
  const ByteView content = bytes_.subspan(at_, read.value);
  at_ += read.value;
  return content;
}

Result<std::string> CborReader::text(std::string_view what, std::size_t max_bytes) {
  OTR_TRY_ASSIGN(const Head read, head(kText, what));
  if (read.value > bytes_.size() - at_) return malformed(what, "it is longer than what follows");
  if (read.value > max_bytes) {
    return malformed(what, "it has " + std::to_string(read.value) + " bytes; at most " +
                               std::to_string(max_bytes) + " are allowed");
  }
  const ByteView content = bytes_.subspan(at_, read.value);
  if (!std::ranges::all_of(content, [](std::uint8_t c) { return c >= 0x20 && c < 0x7f; })) {
    return malformed(what, "it holds characters other than printable ASCII");
  }
  at_ += read.value;
  return std::string(as_text(content));
}

bool CborReader::take_null() {
  if (at_ >= bytes_.size() || bytes_[at_] != kNull) return false;
  ++at_;
  return true;
}

bool CborReader::take_tag(std::uint8_t small) {
  if (at_ >= bytes_.size() || bytes_[at_] != (kTag << 5 | small)) return false;
  ++at_;
  return true;
}

Status CborReader::end() {
  if (at_ == bytes_.size()) return {};
  return malformed("end", std::to_string(bytes_.size() - at_) + " bytes follow the end");
}

}  // namespace otr::attest
