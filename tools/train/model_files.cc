#include "model_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

namespace otr::train {
namespace {

static_assert(std::endian::native == std::endian::little, "files are written as memory holds them");

constexpr char kCheckpointMagic[8] = {'O', 'T', 'R', 'T', 'R', 'A', 'I', '1'};

using Chunk = std::span<const char>;

template <class T>
Chunk chunk_of(const T* data, size_t count) {
  return {reinterpret_cast<const char*>(data), count * sizeof(T)};
}

Status write_file(const std::string& path, const std::vector<Chunk>& chunks) {
  const std::string temporary = path + ".tmp";
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(temporary.c_str(), "wb"),
                                                       &std::fclose);
  bool ok = file != nullptr;
  for (const Chunk& chunk : chunks) {
    ok = ok && std::fwrite(chunk.data(), 1, chunk.size(), file.get()) == chunk.size();
  }
  ok = ok && std::fflush(file.get()) == 0 && ::fsync(::fileno(file.get())) == 0;
  ok = ok && std::rename(temporary.c_str(), path.c_str()) == 0;
  if (!ok) return fail(ErrorKind::kIo, "cannot write " + path + ": " + std::strerror(errno) + ".");
  return {};
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorKind::kIo, "cannot open " + path + ".");
  return std::string(std::istreambuf_iterator<char>(in), {});
}

Result<int> positive_int(const nlohmann::json& config, const char* key) {
  const auto it = config.find(key);
  if (it == config.end() || !it->is_number_integer() || it->get<int64_t>() < 1 ||
      it->get<int64_t>() > 1 << 20) {
    return fail(ErrorKind::kBadInput,
                std::string("config.json: ") + key + " must be a small positive integer.");
  }
  return it->get<int>();
}

}  // namespace

Result<Shape> read_shape(const std::string& folder) {
  OTR_TRY_ASSIGN(const std::string text, read_file(folder + "/config.json"));
  const nlohmann::json config = nlohmann::json::parse(text, nullptr, false);
  if (!config.is_object()) return fail(ErrorKind::kBadInput, "config.json is not a JSON object.");
  Shape shape;
  OTR_TRY_ASSIGN(shape.layers, positive_int(config, "num_hidden_layers"));
  OTR_TRY_ASSIGN(shape.hidden, positive_int(config, "hidden_size"));
  OTR_TRY_ASSIGN(shape.heads, positive_int(config, "num_attention_heads"));
  OTR_TRY_ASSIGN(shape.kv_heads, positive_int(config, "num_key_value_heads"));
  OTR_TRY_ASSIGN(shape.head_dim, positive_int(config, "head_dim"));
  OTR_TRY_ASSIGN(shape.ffn, positive_int(config, "intermediate_size"));
  OTR_TRY_ASSIGN(shape.vocab, positive_int(config, "vocab_size"));
  OTR_TRY_ASSIGN(shape.context, positive_int(config, "max_position_embeddings"));
  for (auto [key, value] :
       {std::pair{"rope_theta", &shape.rope_theta}, std::pair{"rms_norm_eps", &shape.rms_eps}}) {
    const auto it = config.find(key);
    if (it == config.end() || !it->is_number() || it->get<double>() <= 0) {
      return fail(ErrorKind::kBadInput,
                  std::string("config.json: ") + key + " must be a positive number.");
    }
    *value = it->get<double>();
  }
  if (shape.heads % shape.kv_heads != 0 || shape.head_dim % 2 != 0 || shape.vocab > kIdMask ||
      !config.value("tie_word_embeddings", false)) {
    return fail(ErrorKind::kBadInput,
                "config.json: heads must be a multiple of kv heads, head_dim even, vocab_size "
                "below 32768 and the embeddings tied.");
  }
  return shape;
}

Result<std::vector<Document>> read_documents(const std::string& path, const Shape& shape, int bos) {
  OTR_TRY_ASSIGN(const std::string bytes, read_file(path));
  std::vector<Document> documents;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    uint16_t word = 0;
    std::memcpy(&word, &bytes[i], 2);
    const int id = word & kIdMask;
    if (id >= shape.vocab) {
      return fail(ErrorKind::kBadInput, path + ": id " + std::to_string(id) + " at byte " +
                                            std::to_string(i) + " is outside the vocabulary.");
    }
    if (id == bos) documents.emplace_back();
    if (documents.empty()) return fail(ErrorKind::kBadInput, path + " does not begin with bos.");
    documents.back().push_back(word);
    if (documents.back().size() > static_cast<size_t>(shape.context)) {
      return fail(ErrorKind::kBadInput, path + ": the document that ends at byte " +
                                            std::to_string(i) + " is longer than the context.");
    }
  }
  if (documents.empty()) return fail(ErrorKind::kBadInput, path + " is empty.");
  return documents;
}

Status write_model(const std::string& folder, const Shape& shape,
                   const std::vector<float>& params) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::vector<Chunk> chunks(2);
  size_t at = 0;
  for (const NamedTensor& t : named_tensors(shape)) {
    const size_t rows = static_cast<size_t>(t.rows);
    const size_t count = t.cols == 0 ? rows : rows * static_cast<size_t>(t.cols);
    nlohmann::json dims = {t.rows};
    if (t.cols != 0) dims.push_back(t.cols);
    const size_t end = at + count * sizeof(float);
    header[t.name] = {{"dtype", "F32"}, {"shape", dims}, {"data_offsets", {at, end}}};
    at = end;
    chunks.push_back(chunk_of(&params[t.offset], count));
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t size = text.size();
  chunks[0] = chunk_of(&size, 1);
  chunks[1] = Chunk(text);
  return write_file(folder + "/model.safetensors", chunks);
}

Result<std::vector<float>> read_model(const std::string& folder, const Shape& shape) {
  const std::string path = folder + "/model.safetensors";
  OTR_TRY_ASSIGN(const std::string bytes, read_file(path));
  uint64_t header_size = 0;
  if (bytes.size() >= 8) std::memcpy(&header_size, bytes.data(), 8);
  if (header_size == 0 || header_size > bytes.size() - 8) {
    return fail(ErrorKind::kBadInput, path + ": the header's size is wrong.");
  }
  const auto header = nlohmann::json::parse(bytes.substr(8, header_size), nullptr, false);
  const size_t data = 8 + header_size;
  std::vector<float> params(Layout(shape).size);
  for (const NamedTensor& t : named_tensors(shape)) {
    const size_t rows = static_cast<size_t>(t.rows);
    const size_t count = t.cols == 0 ? rows : rows * static_cast<size_t>(t.cols);
    const auto it = header.is_object() ? header.find(t.name) : header.end();
    if (it == header.end() || it->value("dtype", "") != "F32" ||
        !it->value("data_offsets", nlohmann::json()).is_array()) {
      return fail(ErrorKind::kBadInput, path + ": no F32 tensor " + t.name + ".");
    }
    const auto& offsets = (*it)["data_offsets"];
    const uint64_t begin = offsets.size() == 2 ? offsets[0].get<uint64_t>() : bytes.size();
    if (begin > bytes.size() - data || (bytes.size() - data - begin) / sizeof(float) < count) {
      return fail(ErrorKind::kBadInput, path + ": " + t.name + " lies outside the file.");
    }
    std::memcpy(&params[t.offset], &bytes[data + begin], count * sizeof(float));
  }
  return params;
}

Status write_checkpoint(const std::string& path, const TrainingState& s) {
  const uint64_t head[5] = {s.step, s.epoch, s.cursor, s.fingerprint, s.params.size()};
  return write_file(path, {chunk_of(kCheckpointMagic, 8), chunk_of(head, 5),
                           chunk_of(s.params.data(), s.params.size()),
                           chunk_of(s.first_moment.data(), s.first_moment.size()),
                           chunk_of(s.second_moment.data(), s.second_moment.size())});
}

Result<bool> read_checkpoint(const std::string& path, TrainingState& s) {
  if (!std::filesystem::exists(path)) return false;
  OTR_TRY_ASSIGN(const std::string bytes, read_file(path));
  uint64_t head[5] = {};
  const size_t array_bytes = s.params.size() * sizeof(float);
  if (bytes.size() == 8 + sizeof head + 3 * array_bytes &&
      std::memcmp(bytes.data(), kCheckpointMagic, 8) == 0) {
    std::memcpy(head, &bytes[8], sizeof head);
  }
  if (head[4] != s.params.size() || head[3] != s.fingerprint) {
    return fail(ErrorKind::kBadInput, path + " belongs to another run or is damaged; delete it.");
  }
  s.step = head[0];
  s.epoch = head[1];
  s.cursor = head[2];
  size_t at = 8 + sizeof head;
  for (std::vector<float>* array : {&s.params, &s.first_moment, &s.second_moment}) {
    std::memcpy(array->data(), &bytes[at], array_bytes);
    at += array_bytes;
  }
  return true;
}

}  // namespace otr::train
