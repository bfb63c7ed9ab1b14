// What our GGUF reader reads, for comparison with the programs of others (the scripts beside this
// file). Test code only.
//
//   dump FILE...     one line of JSON for each file
//   widen TYPE       blocks of ggml's type TYPE on standard input, floats on standard output
//   files FOLDER     writes well-formed files with all kinds of metadata
//   models FOLDER    writes small models, and beside each our logits after some tokens
#include <cmath>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <random>
#include <string>

#include "convert/float_model.h"
#include "convert/gguf.h"
#include "convert/test_gguf.h"
#include "text/utf8.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

// Integers as decimal text and floats by their bits, since JSON's numbers hold neither.
Json number_json(GgufValueType type, ByteView raw, std::size_t index) {
  if (type == GgufValueType::kBool) return raw[index] != 0;
  const double number = gguf_number(type, raw, index);
  if (type == GgufValueType::kF32) {
    return std::isnan(number) ? "nan" : hex(load_le<std::uint32_t>(raw.data() + 4 * index));
  }
  if (type == GgufValueType::kF64) {
    return std::isnan(number) ? "nan" : hex(load_le<std::uint64_t>(raw.data() + 8 * index));
  }
  if (type == GgufValueType::kU64) return std::to_string(load_le<std::uint64_t>(&raw[8 * index]));
  return std::to_string(static_cast<std::int64_t>(*gguf_integer(type, raw, index)));
}

Json value_json(const GgufValue& value) {
  if (value.type == GgufValueType::kString) return text::utf8_lossy(value.text);
  if (value.type != GgufValueType::kArray) return number_json(value.type, value.raw, 0);
  Json list = Json::array();
  for (const std::string& text : value.texts) list.push_back(text::utf8_lossy(text));
  for (const GgufValue& array : value.arrays) list.push_back(value_json(array));
  if (width_of(value.element_type) > 0) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      list.push_back(number_json(value.element_type, value.raw, i));
    }
  }
  return list;
}

Json header_json(const GgufHeader& header) {
  Json metadata = Json::object();
  for (const auto& [key, value] : header.metadata) {
    metadata[key] = {static_cast<int>(value.type), value_json(value)};
    if (value.type == GgufValueType::kArray) {
      metadata[key].push_back(static_cast<int>(value.element_type));
    }
  }
  Json tensors = Json::object();
  for (const auto& [name, tensor] : header.tensors) {
    Json dims = Json::array();
    for (const std::uint64_t size : tensor.dims) dims.push_back(std::to_string(size));
    tensors[name] = {dims, tensor.type->id, std::to_string(tensor.offset)};
  }
  return {{"version", header.version}, {"metadata", metadata}, {"tensors", tensors}};
}

void dump(const std::string& path) {
  const auto file = open_gguf(path);
  const Json json = file ? header_json(file->header) : Json{{"error", file.error().message}};
  std::cout << json.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

int widen(std::uint32_t id) {
  const GgufType* type = gguf_type(id);
  if (type == nullptr || type->widen == nullptr) return 1;
  const std::string input((std::istreambuf_iterator<char>(std::cin)), {});
  std::vector<float> values(input.size() / type->size_bytes * type->elements);
  widen_blocks(*type, as_bytes(input), values);
  std::cout.write(reinterpret_cast<const char*>(values.data()),
                  static_cast<std::streamsize>(values.size() * sizeof(float)));
  return 0;
}

using Random = std::mt19937_64;

Bytes random_bytes(Random& random, std::size_t count) {
  Bytes out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(static_cast<std::uint8_t>(random()));
  return out;
}

// Some UTF-8, sometimes bytes that are none.
std::string random_text(Random& random) {
  std::string out;
  for (std::uint64_t n = random() % 12; n > 0; --n) {
    const std::uint64_t kind = random() % 8;
    if (kind < 5) out.push_back(static_cast<char>(random() % 128));
    if (kind == 5) text::append_utf8(out, static_cast<char32_t>(0x80 + random() % 0xd000));
    if (kind == 6) text::append_utf8(out, static_cast<char32_t>(0x10000 + random() % 0xfffff));
    if (kind == 7) out.push_back(static_cast<char>(random()));
  }
  return out;
}

constexpr std::size_t kWidths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

Bytes random_value(Random& random, std::uint32_t type, int depth) {
  if (type == 8) return gguf_string(random_text(random));
  if (type == 7) return {static_cast<std::uint8_t>(random() % 2)};
  if (type != 9) return random_bytes(random, kWidths[type]);
  const auto element = static_cast<std::uint32_t>(random() % (depth < 3 ? 13 : 9));
  const std::uint64_t count = random() % 5;
  Bytes all;
  for (std::uint64_t i = 0; i < count; ++i) {
    append(all, random_value(random, element, depth + 1));
  }
  return gguf_array(static_cast<GgufValueType>(element), count, all);
}

TestGguf random_file(Random& random) {
  TestGguf file;
  file.version = 2 + random() % 2;
  if (random() % 2 == 0) {
    file.alignment = std::uint64_t{1} << (random() % 10);
    file.add("general.alignment", static_cast<std::uint32_t>(file.alignment));
  }
  for (std::uint64_t n = random() % 12; n > 0; --n) {
    const auto type = static_cast<std::uint32_t>(random() % 13);
    file.metadata.push_back({"key." + std::to_string(n), type, random_value(random, type, 0)});
  }
  for (std::uint64_t n = random() % 6; n > 0; --n) {
    const GgufType* type = nullptr;
    while (type == nullptr) type = gguf_type(static_cast<std::uint32_t>(random() % 43));
    TestGgufTensor tensor{"tensor." + std::to_string(n), {}, type->id, {}};
    tensor.dims = {type->elements * (1 + random() % 3)};
    while (tensor.dims.size() < 1 + random() % 4) tensor.dims.push_back(1 + random() % 4);
    std::uint64_t count = 1;
    for (const std::uint64_t size : tensor.dims) count *= size;
    tensor.data = random_bytes(random, count / type->elements * type->size_bytes);
    file.tensors.push_back(std::move(tensor));
  }
  return file;
}

void write_files(const fs::path& folder) {
  Random random(1);
  for (int i = 0; i < 300; ++i) {
    random_file(random).write(folder / ("random-" + std::to_string(i) + ".gguf"));
  }
  for (const char* name : {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
    gguf_of(random_model(name, 1)).write(folder / (std::string(name) + ".gguf"));
  }
}

// Our float32 model's logits after each of some prefixes.
void write_model_and_logits(const fs::path& folder, const std::string& name,
                            const TestModel& model) {
  const fs::path path = folder / (name + ".gguf");
  gguf_of(model).write(path);
  const auto loaded = load_float_model(path);
  if (!loaded) {
    std::cerr << loaded.error().message << "\n";
    std::exit(1);
  }
  std::vector<std::uint32_t> ids;
  Random random(3);
  for (int i = 0; i < 48; ++i) ids.push_back(static_cast<std::uint32_t>(random() % 256));
  Json cases = Json::array();
  for (const std::size_t count : {1U, 5U, 48U}) {
    cases.push_back(
        {{"count", count}, {"logits", float_logits(*loaded, std::span(ids).first(count))}});
  }
  write_text(folder / (name + ".json"), Json{{"ids", ids}, {"cases", cases}}.dump());
}

void write_models(const fs::path& folder) {
  for (const char* name : {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
    write_model_and_logits(folder, name, random_model(name, 20));
  }
  TestModel linear = random_model("Qwen2ForCausalLM", 21);
  linear.config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.5}};
  write_model_and_logits(folder, "linear", linear);
  TestModel llama3 = random_model("LlamaForCausalLM", 22);
  llama3.config["rope_theta"] = 500000.0;
  llama3.config["rope_scaling"] = {{"rope_type", "llama3"},
                                   {"factor", 8.0},
                                   {"low_freq_factor", 1.0},
                                   {"high_freq_factor", 4.0},
                                   {"original_max_position_embeddings", 64}};
  write_model_and_logits(folder, "llama3", llama3);
  TestModel yarn = random_model("Qwen3ForCausalLM", 23);
  yarn.config["rope_scaling"] = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}};
  write_model_and_logits(folder, "yarn", yarn);
  TestModel tied = random_model("LlamaForCausalLM", 24);
  tied.config["tie_word_embeddings"] = true;
  write_model_and_logits(folder, "tied", tied);
  TestModel window = random_model("MistralForCausalLM", 25);
  window.config["sliding_window"] = 4;
  write_model_and_logits(folder, "window", window);
}

int run(int argc, char** argv) {
  const std::string command = argc > 2 ? argv[1] : "";
  if (command == "widen") return widen(static_cast<std::uint32_t>(std::stoul(argv[2])));
  if (command == "files") return write_files(argv[2]), 0;
  if (command == "models") return write_models(argv[2]), 0;
  if (command != "dump") return 2;
  for (int i = 2; i < argc; ++i) dump(argv[i]);
  return 0;
}

}  // namespace
}  // namespace otr::convert

int main(int argc, char** argv) { return otr::convert::run(argc, argv); }
