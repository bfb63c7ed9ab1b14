#include "model/layout.h"

#include "base/bytes.h"
#include "base/check.h"

namespace otr::model {
namespace {

using merkle::Type;

const char* dtype_name(Type type) {
  switch (type) {
    case Type::kI8:
      return "I8";
    case Type::kU8:
      return "U8";
    case Type::kU16:
      return "U16";
    case Type::kI32:
      return "I32";
    case Type::kU32:
      return "U32";
    case Type::kI64:
      return "I64";
    case Type::kU64:
      return "U64";
    default:
      OTR_CHECK(false);  // tensor_layout uses no other
  }
}

class Layout {
 public:
  void add(std::string name, Type type, std::vector<std::uint64_t> shape) {
    std::uint64_t size_bytes = merkle::size_bytes(type);
    for (const std::uint64_t size : shape) size_bytes *= size;
    specs.push_back({std::move(name), type, std::move(shape), end_, size_bytes});
    end_ += size_bytes;
  }
  void add_matrix(const std::string& name, std::uint64_t rows, std::uint64_t cols,
                  bool bias = false) {
    add(name + ".weight", Type::kI8, {rows, cols});
    add(name + ".scale", Type::kU16, {rows});
    if (bias) add(name + ".bias", Type::kI32, {rows});
  }
  void add_gain(const std::string& name, std::uint64_t size) {
    add(name + ".gain", Type::kI32, {size});
  }

  std::vector<TensorSpec> specs;

 private:
  std::uint64_t end_ = 0;
};

}  // namespace

std::vector<TensorSpec> tensor_layout(const Config& config, std::uint64_t token_bytes) {
  const machine::Shape& shape = config.shape;
  const std::uint64_t d = shape.hidden;
  // The shape and its flags, act_bits, the exponents and eos_ids (config_numbers).
  const std::uint64_t numbers = 18 + std::uint64_t{4} * shape.layers +
                                exponent_names(config).size() + 1 + config.eos_ids.size();
  Layout layout;
  layout.add("numbers", Type::kI64, {numbers, 1});
  layout.add_matrix("embed", shape.vocabulary, d);
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    const std::string layer = "layers." + std::to_string(l) + ".";
    layout.add_gain(layer + "attn_norm", d);
    layout.add_matrix(layer + "wq", shape.q_width(), d, config.qk_bias);
    layout.add_matrix(layer + "wk", shape.kv_width(), d, config.qk_bias);
    layout.add_matrix(layer + "wv", shape.kv_width(), d);
    if (shape.qk_norm) {
      layout.add_gain(layer + "q_norm", shape.head_dim);
      layout.add_gain(layer + "k_norm", shape.head_dim);
    }
    layout.add_matrix(layer + "wo", d, shape.q_width(), config.o_bias);
    layout.add_gain(layer + "mlp_norm", d);
    layout.add_matrix(layer + "w_gate", shape.ffn, d);
    layout.add_matrix(layer + "w_up", shape.ffn, d);
    layout.add_matrix(layer + "w_down", d, shape.ffn);
  }
  layout.add_gain("final_norm", d);
  if (!config.tied) layout.add_matrix("head", shape.vocabulary, d);
  layout.add("rope.steps", Type::kU64, {shape.head_dim / 2});
  layout.add("tokens.offsets", Type::kU32, {std::uint64_t{shape.vocabulary} + 1});
  layout.add("tokens.bytes", Type::kU8, {token_bytes});
  return std::move(layout.specs);
}

Json header_entry(const TensorSpec& spec) {
  return {{"data_offsets", {spec.offset, spec.offset + spec.size_bytes}},
          {"dtype", dtype_name(spec.type)},
          {"shape", spec.shape}};
}

Result<std::string> encode_header(const std::vector<TensorSpec>& layout, std::string_view config,
                                  std::string_view tokenizer, std::string_view chat_template) {
  Json json;
  json["__metadata__"] = {{"otr.config", config},
                          {"otr.format", kFormat},
                          {"otr.template", chat_template},
                          {"otr.tokenizer", tokenizer}};
  for (const TensorSpec& spec : layout) json[spec.name] = header_entry(spec);
  OTR_TRY_ASSIGN(std::string text, dump_canonical_json(json, "the header"));
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string header(8, '\0');
  store_le<std::uint64_t>(reinterpret_cast<std::uint8_t*>(header.data()), text.size());
  return header + text;
}

}  // namespace otr::model
