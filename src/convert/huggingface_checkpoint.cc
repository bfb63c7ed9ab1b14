#include "convert/huggingface_checkpoint.h"

#include "base/check.h"
#include "env/file.h"
#include "text/json.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxShards = 4096;
constexpr const char* kIndexName = "model.safetensors.index.json";

// The names of the shards. They stay inside the folder: an index is a stranger's.
Result<std::set<std::string>> read_index(const fs::path& path) {
  OTR_TRY(env::check_is_file(path));
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(path, text::kTokenizerBounds.max_bytes));
  OTR_TRY_ASSIGN(const Json json, text::parse_json(as_text(bytes), path.string()));
  const Json map = json.is_object() ? text::member(json, "weight_map") : Json();
  if (!map.is_object() || map.empty()) {
    return fail(ErrorKind::kBadInput, path.string() + " has no object 'weight_map'.");
  }
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map.items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    if (name.empty() || name.find_first_of(std::string("/\0", 2)) != name.npos) {
      return fail(ErrorKind::kBadInput, path.string() + ": the shard of tensor '" +
                                            tensor.substr(0, 200) + "' is no plain file name.");
    }
    names.insert(name);
    if (names.size() > kMaxShards) {
      return fail(ErrorKind::kBadInput,
                  path.string() + " names more than " + std::to_string(kMaxShards) + " shards.");
    }
  }
  return names;
}

}  // namespace

Result<HuggingFaceCheckpoint> HuggingFaceCheckpoint::open(const fs::path& folder) {
  std::set<std::string> names = {"model.safetensors"};
  std::error_code ignored;
  if (!fs::exists(folder / "model.safetensors", ignored)) {
    if (!fs::exists(folder / kIndexName, ignored)) {
      return fail(ErrorKind::kUsage,
                  folder.string() + " has neither model.safetensors nor " + kIndexName +
                      ": name the folder of a Hugging Face model with safetensors weights.");
    }
    OTR_TRY_ASSIGN(names, read_index(folder / kIndexName));
  }
  HuggingFaceCheckpoint checkpoint;
  for (const std::string& name : names) {
    OTR_TRY_ASSIGN(SafetensorsFile file, SafetensorsFile::open(folder / name));
    const auto add = [&](const std::string& tensor) -> Status {
      if (checkpoint.file_of_.emplace(tensor, checkpoint.files_.size()).second) return {};
      return fail(ErrorKind::kBadInput, (folder / name).string() + ": the tensor '" +
                                            tensor.substr(0, 200) + "' is in another shard too.");
    };
    for (const auto& [tensor, place] : file.header().tensors) OTR_TRY(add(tensor));
    for (const auto& [tensor, dtype] : file.header().unreadable) OTR_TRY(add(tensor));
    checkpoint.files_.push_back(std::move(file));
  }
  return checkpoint;
}

std::set<std::string> HuggingFaceCheckpoint::names() const {
  std::set<std::string> names;
  for (const auto& [name, file] : file_of_) names.insert(name);
  return names;
}

std::string HuggingFaceCheckpoint::type_of(const std::string& name) const {
  const SafetensorsHeader& header = files_[file_of_.at(name)].header();
  if (const auto odd = header.unreadable.find(name); odd != header.unreadable.end()) {
    return odd->second.substr(0, 20);
  }
  switch (header.tensors.at(name).type) {
    case FloatType::kF32:
      return "F32";
    case FloatType::kF16:
      return "F16";
    case FloatType::kBF16:
      return "BF16";
  }
  OTR_CHECK(false);
}

std::uint64_t HuggingFaceCheckpoint::size_bytes() const {
  std::uint64_t sum = 0;
  for (const SafetensorsFile& file : files_) {
    for (const auto& [name, tensor] : file.header().tensors) sum += tensor.size_bytes;
  }
  return sum;
}

Result<std::vector<float>> HuggingFaceCheckpoint::read_rows(const std::string& name,
                                                            const std::vector<std::uint64_t>& shape,
                                                            std::uint64_t begin,
                                                            std::uint64_t end) const {
  const auto found = file_of_.find(name);
  if (found == file_of_.end()) {
    return fail(ErrorKind::kBadInput, "the model has no tensor '" + name + "'.");
  }
  const SafetensorsFile& file = files_[found->second];
  const SafetensorsHeader& header = file.header();
  if (header.unreadable.contains(name)) {
    return fail(ErrorKind::kBadInput, "the tensor '" + name + "' has the dtype " + type_of(name) +
                                          "; only F32, F16 and BF16 can be imported.");
  }
  const std::vector<std::uint64_t>& stored = header.tensors.at(name).shape;
  if (stored != shape) {
    return fail(ErrorKind::kBadInput, "the tensor '" + name + "' has the shape " +
                                          shape_text(stored) + "; config.json makes it " +
                                          shape_text(shape) + ".");
  }
  std::uint64_t width = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) width *= shape[i];
  return file.read(name, begin * width, end * width);
}

}  // namespace otr::convert
