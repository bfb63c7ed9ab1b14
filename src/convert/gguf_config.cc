#include "convert/gguf_config.h"

#include <array>
#include <cmath>

#include "convert/gguf_metadata.h"
#include "convert/rope.h"
#include "convert/shape_rules.h"

namespace otr::convert {
namespace {

constexpr std::uint32_t kAnySize = std::uint32_t{1} << 30;
constexpr const char* kSupported =
    "The architectures llama (also of Mistral and SmolLM), qwen2 and qwen3 can be imported";

// Keys of the architecture that change the function in a way no artifact can say, unless they have
// the value that changes nothing.
struct Neutral {
  const char* key;
  double value;
  const char* what;
};
constexpr std::array kNeutral = {
    Neutral{"expert_count", 0, "a mixture of experts"},
    Neutral{"expert_used_count", 0, "a mixture of experts"},
    Neutral{"attention.scale", 0, "another scale of the attention's scores"},
    Neutral{"attention.max_alibi_bias", 0, "ALiBi"},
    Neutral{"attention.clamp_kqv", 0, "clamped queries, keys and values"},
    Neutral{"attention.temperature_scale", 0, "a temperature of the attention"},
    Neutral{"attn_logit_softcapping", 0, "soft-capped attention scores"},
    Neutral{"final_logit_softcapping", 0, "soft-capped logits"},
    Neutral{"logit_scale", 1, "scaled logits"},
    Neutral{"residual_scale", 1, "a scaled residual"},
    Neutral{"embedding_scale", 1, "a scaled embedding"},
    Neutral{"rope.scaling.attn_factor", 1, "another attention factor of the rotation"},
    Neutral{"rope.scaling.yarn_log_multiplier", 0, "YaRN with a log multiplier"},
    Neutral{"rope.scaling.yarn_ext_factor", 1, "YaRN with an extrapolation factor"},
    Neutral{"rope.scaling.yarn_attn_factor", 1, "YaRN with an attention factor"},
    Neutral{"pooling_type", 0, "a model of embeddings (pooling)"},
    Neutral{"nextn_predict_layers", 0, "layers that predict further tokens"},
};

class Reader {
 public:
  explicit Reader(const GgufParts& parts) : parts_(parts), metadata_(parts.first()) {}

  Result<GgufConfig> read() {
    OTR_TRY(read_architecture());
    OTR_TRY(refuse_unsupported());
    OTR_TRY(read_sizes());
    OTR_TRY(read_window());
    OTR_TRY(read_eps());
    OTR_TRY(read_rope());
    FloatConfig& config = out_.config;
    config.tied = parts_.find("output.weight") == nullptr;
    config.o_bias = parts_.find("blk.0.attn_output.bias") != nullptr;
    config.qkv_bias = parts_.find("blk.0.attn_q.bias") != nullptr;
    return std::move(out_);
  }

 private:
  const std::string& path() const { return parts_.first().path; }
  std::string key(const char* name) const { return out_.architecture + "." + name; }

  std::unexpected<Error> refuse(const std::string& why) const {
    return fail(ErrorKind::kBadInput, path() + ": " + why);
  }

  Status read_architecture() {
    OTR_TRY_ASSIGN(const auto type, metadata_.text("general.type"));
    if (type && *type != "model") {
      return refuse("general.type is " + in_quotes(*type) +
                    ", no whole model: import the model that it belongs to" +
                    (*type == "adapter" ? ", with the adapter merged into it." : "."));
    }
    OTR_TRY_ASSIGN(const auto name, metadata_.text("general.architecture"));
    if (!name) return metadata_.missing("general.architecture");
    if (*name != "llama" && *name != "qwen2" && *name != "qwen3") {
      return metadata_.bad(
          "general.architecture",
          "is " + in_quotes(*name) + ", which is not supported. " + kSupported + ".");
    }
    out_.architecture = *name;
    if (parts_.places.empty()) {
      return refuse(
          "holds only a vocabulary, no weights: it cannot be imported as a model (its tokeniser "
          "can be used: otr tokenize).");
    }
    return {};
  }

  Status refuse_unsupported() {
    for (const Neutral& neutral : kNeutral) {
      const std::string name = key(neutral.key);
      OTR_TRY_ASSIGN(const auto value, metadata_.number(name, -1e30, 1e30));
      if (value && *value != neutral.value) {
        return metadata_.bad(name,
                             std::string("asks for ") + neutral.what + ", which is not supported.");
      }
    }
    OTR_TRY_ASSIGN(const bool causal, flag("attention.causal", true));
    if (!causal) return metadata_.bad(key("attention.causal"), "is false, which is not supported.");
    OTR_TRY_ASSIGN(const bool parallel, flag("use_parallel_residual", false));
    if (parallel) {
      return metadata_.bad(key("use_parallel_residual"), "is true, which is not supported.");
    }
    if (metadata_.has(key("rope.dimension_sections"))) {
      return metadata_.bad(key("rope.dimension_sections"),
                           "asks for a rotation in sections, which is not supported.");
    }
    return {};
  }

  Result<bool> flag(const char* name, bool otherwise) const {
    OTR_TRY_ASSIGN(const auto value, metadata_.boolean(key(name)));
    return value.value_or(otherwise);
  }

  Status read_sizes() {
    using namespace machine;
    Shape& shape = out_.config.shape;
    const auto size = [&](const char* name, std::uint32_t high) {
      return metadata_.required_size(key(name), 1, high);
    };
    OTR_TRY_ASSIGN(shape.hidden, size("embedding_length", kMaxHidden));
    OTR_TRY_ASSIGN(shape.layers, size("block_count", kMaxLayers));
    OTR_TRY_ASSIGN(shape.ffn, size("feed_forward_length", kMaxFfn));
    OTR_TRY_ASSIGN(shape.heads, size("attention.head_count", kMaxHeads));
    OTR_TRY_ASSIGN(const auto kv_heads,
                   metadata_.size(key("attention.head_count_kv"), 1, kMaxHeads));
    shape.kv_heads = kv_heads.value_or(shape.heads);
    OTR_TRY(read_head_size(shape));
    OTR_TRY(check_heads(shape, path()));
    shape.qk_norm = out_.architecture == "qwen3";
    OTR_TRY_ASSIGN(const std::uint32_t context, size("context_length", kAnySize));
    shape.context = usable_context(context, out_.warnings);
    return read_vocabulary(shape);
  }

  Status read_head_size(machine::Shape& shape) {
    OTR_TRY_ASSIGN(const auto keys,
                   metadata_.size(key("attention.key_length"), 2, machine::kMaxHeadDim));
    OTR_TRY_ASSIGN(const auto values,
                   metadata_.size(key("attention.value_length"), 2, machine::kMaxHeadDim));
    if (!keys && shape.hidden % shape.heads != 0) {
      return refuse(key("embedding_length") + " must be a multiple of " +
                    key("attention.head_count") + ", or " + key("attention.key_length") + " set.");
    }
    shape.head_dim = keys.value_or(shape.hidden / shape.heads);
    if (values && *values != shape.head_dim) {
      return metadata_.bad(key("attention.value_length"),
                           "is " + std::to_string(*values) + ", but keys have " +
                               std::to_string(shape.head_dim) +
                               " elements: different sizes are not supported.");
    }
    OTR_TRY_ASSIGN(const auto rotated, metadata_.size(key("rope.dimension_count"), 0, kAnySize));
    if (rotated && *rotated != shape.head_dim) {
      return metadata_.bad(key("rope.dimension_count"),
                           "is " + std::to_string(*rotated) + " of " +
                               std::to_string(shape.head_dim) +
                               " elements of a head: a partial rotation is not supported.");
    }
    return {};
  }

  // The embedding has a row for every id, whatever the metadata says.
  Status read_vocabulary(machine::Shape& shape) {
    const GgufTensor* embedding = parts_.find("token_embd.weight");
    if (embedding == nullptr) return refuse("there is no tensor 'token_embd.weight'.");
    if (embedding->dims.size() != 2 || embedding->dims[1] > machine::kMaxVocabulary) {
      return refuse("tensor 'token_embd.weight' has the dimensions " + shape_text(embedding->dims) +
                    "; it must have two, the second (the vocabulary) at most 262144.");
    }
    shape.vocabulary = static_cast<std::uint32_t>(embedding->dims[1]);
    OTR_TRY_ASSIGN(const auto said, metadata_.size(key("vocab_size"), 1, kAnySize));
    if (said && *said != shape.vocabulary) {
      out_.warnings.push_back(key("vocab_size") + " is " + std::to_string(*said) +
                              ", but the embedding has rows for " +
                              std::to_string(shape.vocabulary) + " tokens, which are taken.");
    }
    return {};
  }

  // A window of these architectures is the original model's, and holds for all layers.
  Status read_window() {
    const std::string pattern = key("attention.sliding_window_pattern");
    if (metadata_.has(pattern)) {
      return metadata_.bad(pattern,
                           "asks for a sliding window in some layers only, which is not "
                           "supported.");
    }
    OTR_TRY_ASSIGN(const auto window, metadata_.size(key("attention.sliding_window"), 0, kAnySize));
    machine::Shape& shape = out_.config.shape;
    if (!window || *window == 0 || *window >= shape.context) return {};
    shape.window = *window;
    out_.warnings.push_back("attention sees the last " + std::to_string(*window) + " positions (" +
                            key("attention.sliding_window") + "); llama.cpp ignores this key.");
    return {};
  }

  Status read_eps() {
    const std::string name = key("attention.layer_norm_rms_epsilon");
    OTR_TRY_ASSIGN(const auto eps, metadata_.number(name, 0, 1));
    if (!eps) return metadata_.missing(name);
    out_.config.eps = *eps;
    out_.config.eps_qk = out_.config.shape.qk_norm ? *eps : 0;
    return {};
  }

  Status read_rope() {
    OTR_TRY_ASSIGN(const auto base, metadata_.number(key("rope.freq_base"), 2, 1e15));
    const double theta = base.value_or(10000);
    Rope rope = plain_rope(theta, out_.config.shape.head_dim);
    OTR_TRY(scale(theta, rope));
    OTR_TRY(divide(rope));
    out_.config.rope_frequency = std::move(rope.frequency);
    out_.config.score_scale = rope.attention_factor * rope.attention_factor /
                              std::sqrt(static_cast<double>(out_.config.shape.head_dim));
    return {};
  }

  // rope.scaling.*; as in llama.cpp, a factor without a type is linear, and 0 is no factor.
  Status scale(double theta, Rope& rope) {
    OTR_TRY_ASSIGN(const auto named, metadata_.text(key("rope.scaling.type")));
    const std::string type = named.value_or("linear");
    if (type != "none" && type != "linear" && type != "yarn") {
      return metadata_.bad(key("rope.scaling.type"), "is " + in_quotes(type) +
                                                         ", which is not supported (none, linear "
                                                         "and yarn are).");
    }
    const char* name =
        metadata_.has(key("rope.scaling.factor")) ? "rope.scaling.factor" : "rope.scale_linear";
    OTR_TRY_ASSIGN(const auto given, metadata_.number(key(name), 0, 1e6));
    const double factor = given.value_or(0) == 0 ? 1 : *given;
    if (type == "none") return {};
    if (factor < 1) return metadata_.bad(key(name), "is less than 1, which is not supported.");
    if (type == "yarn") return scale_by_yarn(factor, theta, rope);
    for (double& f : rope.frequency) f /= factor;
    return {};
  }

  Status scale_by_yarn(double factor, double theta, Rope& rope) {
    const auto number = [&](const char* name, double otherwise, double low,
                            double high) -> Result<double> {
      OTR_TRY_ASSIGN(const auto value, metadata_.number(key(name), low, high));
      return value.value_or(otherwise);
    };
    YarnRule rule{.factor = factor};
    OTR_TRY_ASSIGN(const std::uint32_t context,
                   metadata_.required_size(key("context_length"), 1, kAnySize));
    OTR_TRY_ASSIGN(rule.original_context,
                   number("rope.scaling.original_context_length", context, 1, 1e9));
    OTR_TRY_ASSIGN(rule.beta_fast, number("rope.scaling.yarn_beta_fast", 32, 1e-3, 1e6));
    OTR_TRY_ASSIGN(rule.beta_slow, number("rope.scaling.yarn_beta_slow", 1, 1e-3, 1e6));
    scale_yarn(rule, theta, rope);
    rope.attention_factor = yarn_scale(factor, 1);
    return {};
  }

  // Llama 3's rule comes as one divisor for each frequency.
  Status divide(Rope& rope) {
    const auto found = parts_.places.find("rope_freqs.weight");
    if (found == parts_.places.end() || out_.architecture != "llama") return {};
    const GgufTensor& tensor = *found->second.tensor;
    const std::size_t count = rope.frequency.size();
    if (tensor.dims != std::vector<std::uint64_t>{count} || tensor.type->id != 0) {
      return refuse("tensor 'rope_freqs.weight' must be " + std::to_string(count) +
                    " elements of F32; it is " + shape_text(tensor.dims) + " of " +
                    tensor.type->name + ".");
    }
    Bytes raw(tensor.size_bytes);
    OTR_TRY(parts_.files[found->second.part].input.read_at(tensor.offset, raw));
    std::vector<float> divisors(count);
    widen_blocks(*tensor.type, raw, divisors);
    for (std::size_t i = 0; i < count; ++i) {
      // At least 1/4, so that a step of the rotation stays below a turn (SPEC TAB-7).
      if (!(divisors[i] >= 0.25F && divisors[i] <= 1e9F)) {
        return refuse("tensor 'rope_freqs.weight' at offset " + hex(tensor.offset) +
                      " has an element that is not in [0.25, 1e9], at index " + std::to_string(i) +
                      ".");
      }
      rope.frequency[i] /= divisors[i];
    }
    return {};
  }

  const GgufParts& parts_;
  GgufMetadata metadata_;
  GgufConfig out_;
};

}  // namespace

Result<GgufConfig> read_gguf_config(const GgufParts& parts) { return Reader(parts).read(); }

}  // namespace otr::convert
