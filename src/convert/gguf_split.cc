#include "convert/gguf_split.h"

#include <cstdio>

#include "convert/gguf_metadata.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kMaxParts = 512;  // each is an open file

// "-00002-of-00003.gguf"
std::string suffix_of(std::uint32_t number, std::uint32_t count) {
  char text[40];
  std::snprintf(text, sizeof text, "-%05u-of-%05u.gguf", number, count);
  return text;
}

Status check_sibling(const GgufFile& file, std::uint32_t index, std::uint32_t count) {
  const GgufMetadata metadata(file);
  OTR_TRY_ASSIGN(const std::uint32_t no, metadata.required_size("split.no", 0, UINT16_MAX));
  OTR_TRY_ASSIGN(const std::uint32_t of, metadata.required_size("split.count", 0, UINT16_MAX));
  if (no == index && of == count) return {};
  return fail(ErrorKind::kBadInput,
              file.path + ": its metadata (split.no, split.count) says that it is part " +
                  std::to_string(no + 1) + " of " + std::to_string(of) + ", not " +
                  std::to_string(index + 1) + " of " + std::to_string(count) + ".");
}

}  // namespace

const GgufTensor* GgufParts::find(const std::string& name) const {
  const auto found = places.find(name);
  return found == places.end() ? nullptr : found->second.tensor;
}

Result<GgufParts> join_gguf_parts(std::vector<GgufFile> files) {
  GgufParts parts;
  parts.files = std::move(files);
  for (std::size_t i = 0; i < parts.files.size(); ++i) {
    for (const auto& [name, tensor] : parts.files[i].header.tensors) {
      const auto [at, added] = parts.places.emplace(name, GgufParts::Place{i, &tensor});
      if (!added) {
        return fail(ErrorKind::kBadInput, parts.files[i].path + ": tensor " + in_quotes(name) +
                                              " is in " + parts.files[at->second.part].path +
                                              " too.");
      }
    }
  }
  return parts;
}

Result<GgufParts> open_gguf_parts(const fs::path& path) {
  std::vector<GgufFile> files;
  OTR_TRY_ASSIGN(GgufFile first, open_gguf(path));
  files.push_back(std::move(first));
  const GgufMetadata metadata(files[0]);
  OTR_TRY_ASSIGN(const auto found, metadata.size("split.count", 0, kMaxParts));
  const std::uint32_t count = found.value_or(1);
  if (count <= 1) return join_gguf_parts(std::move(files));
  OTR_TRY_ASSIGN(const std::uint32_t no, metadata.required_size("split.no", 0, UINT16_MAX));
  if (no != 0) {
    return fail(ErrorKind::kUsage, path.string() + " is part " + std::to_string(no + 1) + " of " +
                                       std::to_string(count) +
                                       " of a split model: name its first part, which ends in '" +
                                       suffix_of(1, count) + "'.");
  }
  const std::string name = path.filename().string();
  const std::string suffix = suffix_of(1, count);
  if (!name.ends_with(suffix)) {
    return fail(ErrorKind::kUsage, path.string() + " is the first of " + std::to_string(count) +
                                       " parts, but its name does not end in '" + suffix +
                                       "', by which the others are found: give them their names "
                                       "back.");
  }
  const std::string stem = name.substr(0, name.size() - suffix.size());
  OTR_TRY_ASSIGN(const auto total, metadata.size("split.tensors.count", 0, INT32_MAX));
  for (std::uint32_t i = 1; i < count; ++i) {
    const fs::path sibling = path.parent_path() / (stem + suffix_of(i + 1, count));
    std::error_code ignored;
    if (!fs::exists(sibling, ignored)) {
      return fail(ErrorKind::kUsage, path.string() + " is the first of " + std::to_string(count) +
                                         " parts, and " + sibling.string() + " is missing.");
    }
    OTR_TRY_ASSIGN(GgufFile file, open_gguf(sibling));
    OTR_TRY(check_sibling(file, i, count));
    files.push_back(std::move(file));
  }
  OTR_TRY_ASSIGN(GgufParts parts, join_gguf_parts(std::move(files)));
  if (total && *total != parts.places.size()) {
    return fail(ErrorKind::kBadInput, path.string() + ": split.tensors.count says " +
                                          std::to_string(*total) + " tensors; the parts have " +
                                          std::to_string(parts.places.size()) + ".");
  }
  return parts;
}

}  // namespace otr::convert
