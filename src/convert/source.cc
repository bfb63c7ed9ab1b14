#include "convert/source.h"

#include "convert/huggingface_checkpoint.h"
#include "convert/huggingface_config.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

Result<Source> open_huggingface(const fs::path& folder) {
  OTR_TRY_ASSIGN(HuggingFaceConfig read, read_huggingface_config(folder / "config.json"));
  OTR_TRY_ASSIGN(HuggingFaceCheckpoint checkpoint, HuggingFaceCheckpoint::open(folder));
  OTR_TRY(check_names(checkpoint, read.config));
  return Source{.format = "Hugging Face directory",
                .config = std::move(read.config),
                .checkpoint = std::make_unique<HuggingFaceCheckpoint>(std::move(checkpoint)),
                .warnings = std::move(read.warnings)};
}

}  // namespace

Result<Source> open_source(const fs::path& path) { return open_huggingface(path); }

Result<TokenizerFiles> open_tokenizer(const fs::path& path,
                                      std::optional<std::uint32_t> vocabulary) {
  return read_tokenizer_files(path, vocabulary);
}

}  // namespace otr::convert
