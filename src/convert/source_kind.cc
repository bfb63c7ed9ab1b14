#include "convert/source_kind.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "env/file.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSniffedBytes = std::size_t{1} << 16;
constexpr std::size_t kMaxFolderEntries = 10000;
constexpr const char* kCanImport =
    "A model to import is a GGUF file, or the folder of a Hugging Face model (config.json, "
    "tokenizer.json, *.safetensors)";

std::unexpected<Error> refuse(const fs::path& path, const std::string& why,
                              ErrorKind kind = ErrorKind::kUsage) {
  return fail(kind, path.string() + " " + why);
}

// The first bytes say which format; "" for none of these.
struct Magic {
  std::string_view bytes;
  const char* meaning;
};
constexpr Magic kMagics[] = {
    {"tjgg", "is a GGML file of 2023 (ggjt), older than GGUF: download a GGUF of this model."},
    {"lmgg", "is a GGML file of 2023 (ggml), older than GGUF: download a GGUF of this model."},
    {"fmgg", "is a GGML file of 2023 (ggmf), older than GGUF: download a GGUF of this model."},
    {"algg", "is a LoRA adapter of 2023 (ggla), no whole model: merge it into its model first."},
    {"24ka", "is a llama2.c checkpoint of version 1 or 2: export the model for Hugging Face."},
    {"PK\3\4",
     "is a ZIP archive, such as PyTorch's weights (.bin, .pt, .pth): convert them to safetensors "
     "and name the folder."},
    {"\x80\2",
     "is a Python pickle, such as PyTorch's weights (.bin, .pt, .ckpt), which may run programs "
     "and is never read: convert it to safetensors and name the folder."},
    {"\x89HDF", "is an HDF5 file of Keras weights: convert the model to safetensors or GGUF."},
    {"\x1f\x8b", "is compressed (gzip): unpack it first."},
    {"version https://git-lfs",
     "is a pointer of Git LFS, not the file itself: fetch it with 'git lfs pull'."},
    {"<", "is a web page or XML, not the model: the download went wrong."},
    {"{", "is a JSON file: name the folder that holds it with the model's weights."},
};

// A llama2.c checkpoint of version 0 begins with its sizes.
bool looks_like_llama2c(ByteView head) {
  if (head.size() < 28) return false;
  std::int32_t sizes[7];  // dim, hidden_dim, layers, heads, kv_heads, vocabulary, context
  for (int i = 0; i < 7; ++i) sizes[i] = load_le<std::int32_t>(head.data() + 4 * i);
  const bool positive = std::ranges::all_of(
      std::span(sizes), [](std::int32_t s) { return s != 0 && s > -(1 << 20) && s < 1 << 20; });
  return positive && sizes[0] > 0 && sizes[1] > 0 && sizes[2] > 0 && sizes[2] <= 256 &&
         sizes[3] > 0 && sizes[4] > 0 && sizes[0] % sizes[3] == 0 && sizes[3] % sizes[4] == 0;
}

bool looks_like_safetensors(ByteView head, std::uint64_t size_bytes) {
  return head.size() > 8 && head[8] == '{' && load_le<std::uint64_t>(head.data()) <= size_bytes - 8;
}

Result<SourceKind> kind_of_file(const fs::path& path) {
  OTR_TRY_ASSIGN(const env::InputFile file, env::InputFile::open(path));
  if (file.size_bytes() == 0) {
    return refuse(path, "is empty: the download went wrong.", ErrorKind::kBadInput);
  }
  Bytes head(std::min<std::uint64_t>(kSniffedBytes, file.size_bytes()));
  OTR_TRY(file.read_at(0, head));
  const std::string_view text = as_text(head);
  if (text.starts_with("GGUF")) return SourceKind::kGguf;
  if (looks_like_safetensors(head, file.size_bytes())) {
    if (text.contains("\"otr.format\"")) {
      return refuse(path,
                    "is a model artifact already: give it to 'otr ask --model', or import "
                    "the model that it was made from.");
    }
    if (text.contains("lora_")) {
      return refuse(path, "is a LoRA adapter, no whole model: merge it into its model first.");
    }
    return refuse(path,
                  "is a safetensors file: name the folder that holds it with config.json and "
                  "tokenizer.json.");
  }
  for (const Magic& magic : kMagics) {
    if (text.starts_with(magic.bytes)) return refuse(path, magic.meaning);
  }
  if (looks_like_llama2c(head)) {
    return refuse(path,
                  "looks like a llama2.c checkpoint: convert it with "
                  "tools/llama2c_to_hf.py and import the folder that this makes.");
  }
  return refuse(path, "is no model in a known format. " + std::string(kCanImport) + ".");
}

// Names in the folder, in order.
Result<std::vector<std::string>> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator() && names.size() < kMaxFolderEntries;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return refuse(folder, "cannot be read: " + error.message() + ".", ErrorKind::kIo);
  std::ranges::sort(names);
  return names;
}

Result<SourceKind> kind_of_folder(const fs::path& path) {
  OTR_TRY_ASSIGN(const std::vector<std::string> names, names_in(path));
  const auto has = [&](std::string_view name) {
    return std::ranges::find(names, name) != names.end();
  };
  const auto ending = [&](std::initializer_list<std::string_view> ends) {
    const auto found = std::ranges::find_if(names, [&](const std::string& name) {
      return std::ranges::any_of(ends, [&](std::string_view end) { return name.ends_with(end); });
    });
    return found == names.end() ? std::string() : *found;
  };
  if (has("model.safetensors") || has("model.safetensors.index.json")) {
    if (has("config.json")) return SourceKind::kHuggingFace;
    return refuse(path, "has weights, but no config.json: download all of the model's files.");
  }
  if (const std::string gguf = ending({".gguf"}); !gguf.empty()) {
    return refuse(path, "is a folder with GGUF files: name the file itself, such as " +
                            (path / gguf).string() + ".");
  }
  if (has("adapter_config.json")) {
    return refuse(path, "holds a LoRA adapter, no whole model: merge it into its model first.");
  }
  if (has("params.json")) {
    return refuse(path,
                  "holds a model in its maker's own format (params.json): download it as a "
                  "Hugging Face model or as GGUF.");
  }
  if (const std::string torch = ending({".bin", ".pt", ".pth", ".ckpt"}); !torch.empty()) {
    return refuse(path, "has weights as PyTorch saves them only (" + torch +
                            "), which may run programs and are never read: convert them to "
                            "safetensors, or download the model with model.safetensors.");
  }
  if (const std::string loose = ending({".safetensors"}); !loose.empty()) {
    return refuse(path,
                  "has " + loose +
                      ", but neither model.safetensors nor "
                      "model.safetensors.index.json: name the folder of a Hugging Face model.");
  }
  // A tokeniser alone can be used as such; as a model, it is refused for its weights.
  if (has("tokenizer.json") || has("tokenizer.model")) return SourceKind::kHuggingFace;
  return refuse(path, "is a folder without a model. " + std::string(kCanImport) + ".");
}

}  // namespace

Result<SourceKind> source_kind(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    return refuse(path, "does not exist. " + std::string(kCanImport) + ".");
  }
  if (error) return refuse(path, "cannot be read: " + error.message() + ".", ErrorKind::kIo);
  return fs::is_directory(status) ? kind_of_folder(path) : kind_of_file(path);
}

}  // namespace otr::convert
