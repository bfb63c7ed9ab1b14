#include "convert/import.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "convert/equalise.h"
#include "convert/float_model.h"
#include "convert/quantise.h"
#include "convert/rope.h"
#include "convert/source.h"
#include "convert/tokenizer_files.h"
#include "env/file.h"
#include "model/artifact.h"

namespace otr::convert {
namespace {

constexpr std::int32_t kMaxQkBias = (1 << 23) - 1;         // SPEC MODEL-4
constexpr std::int32_t kMaxOutputBias = 1 << 30;           // SPEC MODEL-4
constexpr std::size_t kHeaderRoom = std::size_t{1} << 20;  // for the header without its texts
constexpr int kLeastResidualFracBits = 8;

// round(size·eps·2^(2·frac_bits)) of SPEC OP-4 and OP-5, where size·eps stands for the mean.
Result<std::int64_t> integer_eps(std::uint32_t size, double eps, int frac_bits) {
  const double value = std::round(std::ldexp(size * eps, 2 * frac_bits));
  if (value > static_cast<double>(model::kMaxEps)) {
    return fail(ErrorKind::kBadInput,
                "config.json: rms_norm_eps is too large for the integers of an artifact; a smaller "
                "number of residual fraction bits may help.");
  }
  return static_cast<std::int64_t>(value);
}

// Collects the tensors in the order of SPEC MODEL-3, with their exponents and the report.
class Assembly {
 public:
  Assembly(const FloatConfig& source, const ImportOptions& options, TokenizerFiles files)
      : token_table_(std::move(files.tokens)) {
    model::Config& config = contents_.config;
    config.shape = source.shape;
    config.shape.residual_frac_bits = options.residual_frac_bits;
    config.shape.qk_frac_bits = options.qk_frac_bits;
    config.tied = source.tied;
    config.qk_bias = source.qkv_bias;
    config.o_bias = source.qkv_bias || source.o_bias;
    const std::vector<int> bits(source.shape.layers, 16);
    config.act_bits = {.attn = bits, .o = bits, .mlp = bits, .down = bits, .head = 16};
    config.eos_ids = std::move(files.eos_ids);
    contents_.tokenizer = std::move(files.document);
    contents_.chat_template = std::move(files.chat_template);
    contents_.token_bytes = token_table_.bytes.size();
  }

  // All memory at once, so that the file is not copied as it grows.
  Status reserve() {
    const auto layout = model::tensor_layout(contents_.config, contents_.token_bytes);
    const std::uint64_t size_bytes = layout.back().offset + layout.back().size_bytes + kHeaderRoom +
                                     2 * contents_.tokenizer.size() +
                                     2 * contents_.chat_template.size();
    try {
      contents_.data.reserve(size_bytes);
    } catch (const std::exception&) {
      return fail(ErrorKind::kIo, "there is no memory for the artifact of " +
                                      std::to_string(size_bytes) + " bytes.");
    }
    return {};
  }

  Status add_matrix(const std::string& name, const FloatMatrix& matrix) {
    OTR_TRY_ASSIGN(const QuantisedMatrix quantised,
                   quantise_matrix(matrix, max_exponent(name), name));
    append(contents_.data, as_bytes(std::span<const std::int8_t>(quantised.weight)));
    append(contents_.data, as_bytes(std::span<const std::uint16_t>(quantised.scale)));
    contents_.config.exponents[name] = quantised.exponent;
    const auto [least, greatest] = std::ranges::minmax(quantised.scale);
    report_.matrices.push_back({name, quantised.error, quantised.exponent, least, greatest});
    return {};
  }

  Status add_gain(const std::string& name, std::span<const float> gain) {
    const double root = std::sqrt(static_cast<double>(gain.size()));
    OTR_TRY_ASSIGN(const QuantisedGain quantised,
                   quantise_gain(gain, root, max_exponent(name), name));
    append(contents_.data, as_bytes(std::span<const std::int32_t>(quantised.gain)));
    contents_.config.exponents[name] = quantised.exponent;
    return {};
  }

  Status add_bias(const std::string& name, std::span<const double> bias, int frac_bits,
                  std::int32_t limit) {
    OTR_TRY_ASSIGN(const auto quantised, quantise_bias(bias, frac_bits, limit, name + ".bias"));
    append(contents_.data, as_bytes(std::span<const std::int32_t>(quantised)));
    return {};
  }

  void add_tail(const FloatConfig& source) {
    for (const double frequency : source.rope_frequency) {
      append_le(contents_.data, rope_step(frequency));
    }
    append(contents_.data, as_bytes(std::span<const std::uint32_t>(token_table_.offsets)));
    append(contents_.data, token_table_.bytes);
  }

  machine::Shape& shape() { return contents_.config.shape; }
  ImportReport& report() { return report_; }
  model::ArtifactContents& contents() { return contents_; }

 private:
  int max_exponent(const std::string& name) const {
    return model::max_exponent(name, contents_.config.shape.qk_frac_bits);
  }

  model::ArtifactContents contents_;
  TokenTable token_table_;
  ImportReport report_;
};

// The embedding decides the residual's fraction bits: SPEC MODEL-4 wants e_E >= F_x.
Status add_embedding(const Checkpoint& checkpoint, const FloatConfig& source, Assembly& assembly) {
  OTR_TRY_ASSIGN(const FloatMatrix embed,
                 load_vocabulary_matrix(checkpoint, source, "model.embed_tokens"));
  OTR_TRY(assembly.add_matrix("embed", embed));
  machine::Shape& shape = assembly.shape();
  const int exponent = assembly.report().matrices.back().exponent;
  if (exponent < kLeastResidualFracBits) {
    return fail(ErrorKind::kBadInput, "the embedding's weights are too large for an artifact.");
  }
  if (exponent < shape.residual_frac_bits) {
    shape.residual_frac_bits = exponent;
    assembly.report().warnings.push_back("the residual has " + std::to_string(exponent) +
                                         " fraction bits, because the embedding is large.");
  }
  OTR_TRY_ASSIGN(shape.eps, integer_eps(shape.hidden, source.eps, shape.residual_frac_bits));
  OTR_TRY_ASSIGN(shape.eps_qk, integer_eps(shape.head_dim, source.eps_qk, shape.qk_frac_bits));
  return {};
}

void prepare_layer(FloatLayer& layer, const FloatConfig& source, bool equalise) {
  fold_score_scale(layer, source.score_scale);
  if (!equalise) return;
  equalise_ffn(layer.w_up, layer.w_down);
  equalise_values(layer, source.shape);  // before the norm, whose readers it changes
  equalise_norm(layer.attn_norm, {&layer.wq, &layer.wk, &layer.wv});
  equalise_norm(layer.mlp_norm, {&layer.w_gate, &layer.w_up});
}

void warn_of_large_keys(std::uint32_t l, double likely, Assembly& assembly) {
  const int frac_bits = assembly.shape().qk_frac_bits;
  if (std::ldexp(likely, frac_bits) <= kMaxQkBias) return;
  assembly.report().warnings.push_back(
      "layer " + std::to_string(l) + ": queries or keys may reach " +
      std::to_string(std::lround(likely)) + ", beyond the range of " + std::to_string(frac_bits) +
      " fraction bits; repeat with fewer if running it says OUT_OF_RANGE.");
}

Status add_layer(FloatLayer layer, std::uint32_t l, const FloatConfig& source, bool equalise,
                 Assembly& assembly) {
  const std::vector<double> o_bias = fold_value_bias(layer, source.shape);
  prepare_layer(layer, source, equalise);
  warn_of_large_keys(l, balance_queries_and_keys(layer, source.shape), assembly);
  const machine::Shape& shape = assembly.shape();
  const std::string prefix = "layers." + std::to_string(l) + ".";
  const auto matrix = [&](const char* name, const FloatMatrix& values) {
    return assembly.add_matrix(prefix + name, values);
  };
  const auto qk_bias = [&](const char* name, const FloatMatrix& values) -> Status {
    const std::vector<double> bias(values.bias.begin(), values.bias.end());
    return assembly.add_bias(prefix + name, bias, shape.qk_frac_bits, kMaxQkBias);
  };
  OTR_TRY(assembly.add_gain(prefix + "attn_norm", layer.attn_norm));
  OTR_TRY(matrix("wq", layer.wq));
  OTR_TRY(qk_bias("wq", layer.wq));
  OTR_TRY(matrix("wk", layer.wk));
  OTR_TRY(qk_bias("wk", layer.wk));
  OTR_TRY(matrix("wv", layer.wv));
  if (shape.qk_norm) {
    OTR_TRY(assembly.add_gain(prefix + "q_norm", layer.q_norm));
    OTR_TRY(assembly.add_gain(prefix + "k_norm", layer.k_norm));
  }
  OTR_TRY(matrix("wo", layer.wo));
  OTR_TRY(assembly.add_bias(prefix + "wo", o_bias, shape.residual_frac_bits, kMaxOutputBias));
  OTR_TRY(assembly.add_gain(prefix + "mlp_norm", layer.mlp_norm));
  OTR_TRY(matrix("w_gate", layer.w_gate));
  OTR_TRY(matrix("w_up", layer.w_up));
  return matrix("w_down", layer.w_down);
}

Status add_head(const Checkpoint& checkpoint, const FloatConfig& source, bool equalise,
                Assembly& assembly) {
  OTR_TRY_ASSIGN(std::vector<float> gain, load_final_norm(checkpoint, source));
  if (source.tied) return assembly.add_gain("final_norm", gain);
  OTR_TRY_ASSIGN(FloatMatrix head, load_vocabulary_matrix(checkpoint, source, "lm_head"));
  if (equalise) equalise_norm(gain, {&head});
  OTR_TRY(assembly.add_gain("final_norm", gain));
  return assembly.add_matrix("head", head);
}

// The same weights with other act_bits, which stand in the header and in the first tensor.
Result<model::Artifact> with_act_bits(const model::Artifact& artifact, model::ActBits bits) {
  model::ArtifactContents contents{.config = artifact.config(),
                                   .tokenizer = artifact.tokenizer(),
                                   .chat_template = artifact.chat_template(),
                                   .data = {},
                                   .token_bytes = artifact.view().token_bytes.size()};
  contents.config.act_bits = std::move(bits);
  const model::TensorSpec& last = artifact.tensors().back().spec;
  const ByteView kept =
      artifact.file().last(last.offset + last.size_bytes - artifact.tensors()[1].spec.offset);
  try {
    contents.data.reserve(artifact.file().size() + kHeaderRoom);
  } catch (const std::exception&) {
    return fail(ErrorKind::kIo, "there is no memory for a second artifact with other act_bits.");
  }
  append(contents.data, kept);
  OTR_TRY_ASSIGN(Bytes bytes, model::encode_artifact(std::move(contents)));
  return model::parse_artifact(std::move(bytes));
}

// The artifact is read back before it is written, so that no file is left that nothing can run.
Result<ImportReport> write_artifact(Assembly assembly, const std::filesystem::path& out,
                                    const ImportOptions& options) {
  ImportReport report = std::move(assembly.report());
  report.residual_frac_bits = assembly.shape().residual_frac_bits;
  OTR_TRY_ASSIGN(Bytes bytes, model::encode_artifact(std::move(assembly.contents())));
  OTR_TRY_ASSIGN(model::Artifact artifact, model::parse_artifact(std::move(bytes)));
  if (options.choose_act_bits) {
    OTR_TRY_ASSIGN(model::ActBits bits, options.choose_act_bits(artifact));
    OTR_TRY_ASSIGN(artifact, with_act_bits(artifact, std::move(bits)));
  }
  OTR_TRY(env::write_file_atomically(out, artifact.file(), 0644));
  report.model_root = artifact.root();
  report.artifact_bytes = artifact.file().size();
  return report;
}

}  // namespace

Result<ImportReport> import_model(const std::filesystem::path& path,
                                  const std::filesystem::path& out, const ImportOptions& options) {
  OTR_TRY_ASSIGN(Source source, open_source(path));
  const FloatConfig& config = source.config;
  const Checkpoint& checkpoint = *source.checkpoint;
  OTR_TRY_ASSIGN(TokenizerFiles files, open_tokenizer(path, config.shape.vocabulary));

  const std::uint64_t parts = std::uint64_t{config.shape.layers} + 3;
  std::uint64_t done = 0;
  const auto announce = [&](std::string_view part) {
    if (options.progress) options.progress(part, done++, parts);
  };
  Assembly assembly(config, options, std::move(files));
  assembly.report().warnings = std::move(source.warnings);
  assembly.report().source_bytes = checkpoint.size_bytes();
  OTR_TRY(assembly.reserve());
  announce("embedding");
  OTR_TRY(add_embedding(checkpoint, config, assembly));
  for (std::uint32_t l = 0; l < config.shape.layers; ++l) {
    announce("layer " + std::to_string(l));
    OTR_TRY_ASSIGN(FloatLayer layer, load_layer(checkpoint, config, l));
    OTR_TRY(add_layer(std::move(layer), l, config, options.equalise, assembly));
  }
  announce("head");
  OTR_TRY(add_head(checkpoint, config, options.equalise, assembly));
  assembly.add_tail(config);
  announce("check and write");
  return write_artifact(std::move(assembly), out, options);
}

}  // namespace otr::convert
