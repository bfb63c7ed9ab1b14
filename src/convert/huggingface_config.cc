#include "convert/huggingface_config.h"

#include <cmath>

#include "convert/json_numbers.h"
#include "convert/rope.h"
#include "convert/shape_rules.h"
#include "env/file.h"

namespace otr::convert {
namespace {

constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;

std::unexpected<Error> unsupported(const std::string& why) {
  return fail(ErrorKind::kBadInput, "config.json: " + why);
}

Result<std::string> read_architecture(const Json& json) {
  const Json& list = text::member(json, "architectures");
  const std::string name =
      list.is_array() && list.size() == 1 && list[0].is_string() ? list[0].get<std::string>() : "";
  for (const char* known :
       {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
    if (name == known) return name;
  }
  return unsupported("the architecture " + (name.empty() ? "" : "'" + name.substr(0, 80) + "' ") +
                     "is not supported; 'architectures' must be one of LlamaForCausalLM, "
                     "MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM.");
}

// Members that would change the function in a way no artifact can say.
Status refuse_unsupported(const Json& json) {
  OTR_TRY_ASSIGN(const std::string act, text::string_member(json, "hidden_act", "config.json"));
  if (!act.empty() && act != "silu") {
    return unsupported("hidden_act '" + act.substr(0, 40) + "' is not supported; only silu is.");
  }
  OTR_TRY_ASSIGN(const bool mlp_bias, text::bool_member(json, "mlp_bias", false, "config.json"));
  if (mlp_bias) return unsupported("mlp_bias is not supported.");
  OTR_TRY_ASSIGN(const double part, number_in_or(json, "partial_rotary_factor", 1, 0, 1));
  if (part != 1) return unsupported("partial_rotary_factor is not supported.");
  if (!text::member(json, "quantization_config").is_null()) {
    return unsupported("quantized weights are not supported: import the original model.");
  }
  return {};
}

Status read_sizes(const Json& json, machine::Shape& shape, std::vector<std::string>& warnings) {
  using namespace machine;
  OTR_TRY_ASSIGN(shape.hidden, size_in(json, "hidden_size", 1, kMaxHidden));
  OTR_TRY_ASSIGN(shape.heads, size_in(json, "num_attention_heads", 1, kMaxHeads));
  OTR_TRY_ASSIGN(shape.kv_heads,
                 size_in_or(json, "num_key_value_heads", shape.heads, 1, kMaxHeads));
  OTR_TRY_ASSIGN(shape.head_dim, size_in_or(json, "head_dim", 0, 2, kMaxHeadDim));
  if (shape.head_dim == 0) {
    if (shape.hidden % shape.heads != 0) {
      return unsupported("hidden_size must be a multiple of num_attention_heads, or head_dim set.");
    }
    shape.head_dim = shape.hidden / shape.heads;
  }
  OTR_TRY(check_heads(shape, "config.json"));
  OTR_TRY_ASSIGN(shape.ffn, size_in(json, "intermediate_size", 1, kMaxFfn));
  OTR_TRY_ASSIGN(shape.layers, size_in(json, "num_hidden_layers", 1, kMaxLayers));
  OTR_TRY_ASSIGN(shape.vocabulary, size_in(json, "vocab_size", 1, kMaxVocabulary));
  OTR_TRY_ASSIGN(const std::uint32_t context,
                 size_in(json, "max_position_embeddings", 1, std::uint32_t{1} << 30));
  shape.context = usable_context(context, warnings);
  return {};
}

// Whether all layers slide (true) or none (false), as far as 'layer_types' says so.
Result<bool> read_layer_types(const Json& types, bool otherwise) {
  if (types.is_null()) return otherwise;
  bool full = false;
  bool sliding = false;
  for (const Json& type : types) {
    if (type == "full_attention") {
      full = true;
    } else if (type == "sliding_attention") {
      sliding = true;
    } else {
      return unsupported("layer_types has an entry that is not supported.");
    }
  }
  if (full && sliding) {
    return unsupported("a sliding window in some layers only is not supported (layer_types).");
  }
  return sliding;
}

Result<std::uint32_t> read_window(const Json& json, const std::string& architecture,
                                  const machine::Shape& shape) {
  if (architecture == "LlamaForCausalLM") return 0U;
  OTR_TRY_ASSIGN(const std::uint32_t window,
                 size_in_or(json, "sliding_window", 0, 1, std::uint32_t{1} << 30));
  bool slides = window > 0;
  if (architecture != "MistralForCausalLM") {
    OTR_TRY_ASSIGN(slides, text::bool_member(json, "use_sliding_window", false, "config.json"));
    slides = slides && window > 0;
    OTR_TRY_ASSIGN(const std::uint32_t first,
                   size_in_or(json, "max_window_layers", 28, 0, std::uint32_t{1} << 30));
    if (slides && first > 0 && first < shape.layers) {
      return unsupported(
          "a sliding window in some layers only is not supported "
          "(max_window_layers).");
    }
    slides = slides && first == 0;
  }
  OTR_TRY_ASSIGN(slides, read_layer_types(text::member(json, "layer_types"), slides));
  if (slides && window == 0) return unsupported("layer_types slides without a sliding_window.");
  return slides && window < shape.context ? window : 0U;
}

}  // namespace

Result<HuggingFaceConfig> parse_huggingface_config(std::string_view source, std::string_view what) {
  OTR_TRY_ASSIGN(const Json json, text::parse_json(source, what));
  if (!json.is_object()) return unsupported("it is no JSON object.");
  OTR_TRY_ASSIGN(const std::string architecture, read_architecture(json));
  OTR_TRY(refuse_unsupported(json));
  HuggingFaceConfig out;
  FloatConfig& config = out.config;
  OTR_TRY(read_sizes(json, config.shape, out.warnings));
  OTR_TRY_ASSIGN(config.shape.window, read_window(json, architecture, config.shape));
  config.shape.qk_norm = architecture == "Qwen3ForCausalLM";
  OTR_TRY_ASSIGN(config.eps, number_in_or(json, "rms_norm_eps", 1e-6, 0, 1));
  config.eps_qk = config.shape.qk_norm ? config.eps : 0;
  OTR_TRY_ASSIGN(config.tied, text::bool_member(json, "tie_word_embeddings", false, what));
  OTR_TRY_ASSIGN(const bool bias, text::bool_member(json, "attention_bias", false, what));
  const bool may_have_bias =
      architecture == "LlamaForCausalLM" || architecture == "Qwen3ForCausalLM";
  config.o_bias = bias && may_have_bias;
  config.qkv_bias = config.o_bias || architecture == "Qwen2ForCausalLM";
  OTR_TRY_ASSIGN(Rope rope, parse_rope(json, config.shape.head_dim));
  config.rope_frequency = std::move(rope.frequency);
  config.score_scale =
      rope.attention_factor * rope.attention_factor / std::sqrt(config.shape.head_dim);
  return out;
}

Result<HuggingFaceConfig> read_huggingface_config(const std::filesystem::path& path) {
  OTR_TRY(env::check_is_file(path));  // a pipe in a folder would make us wait for ever
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(path, kMaxConfigBytes));
  return parse_huggingface_config(as_text(bytes), path.string());
}

}  // namespace otr::convert
