// What lies at a path that somebody named as a model, seen from its first bytes and its names.
#ifndef OTR_CONVERT_SOURCE_KIND_H_
#define OTR_CONVERT_SOURCE_KIND_H_

#include <filesystem>

#include "base/result.h"

namespace otr::convert {

enum class SourceKind { kHuggingFace, kGguf };

// A folder with safetensors weights or a tokeniser, or a GGUF file whatever its name; otherwise an
// error that says what was found there and what to do.
[[nodiscard]] Result<SourceKind> source_kind(const std::filesystem::path& path);

}  // namespace otr::convert

#endif  // OTR_CONVERT_SOURCE_KIND_H_
