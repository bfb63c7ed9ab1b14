#include "convert/import.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "convert/equalise.h"
#include "convert/float_model.h"
#include "convert/quantise.h"
#include "convert/rope.h"
#include "env/signal.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

constexpr std::int32_t kMaxQkBias = (1 << 23) - 1;  // SPEC MODEL-4
constexpr std::int32_t kMaxOutputBias = 1 << 30;    // SPEC MODEL-4
constexpr int kLeastResidualFracBits = 8;

// Writes the tensors in the order of SPEC MODEL-3, with their exponents and the report.
class Import {
 public:
  Import(const ImportPlan& plan, const ImportOptions& options)
      : plan_(plan), options_(options), source_(plan.source.config) {
    report_.config = plan.config;
    report_.warnings = plan.source.warnings;
    report_.source_bytes = plan.source_bytes;
  }

  Result<ImportReport> run(const fs::path& out) {
    OTR_TRY_ASSIGN(ArtifactWriter writer, ArtifactWriter::create(out, config(), plan_.texts));
    writer_ = &writer;
    OTR_TRY(add_embedding());
    for (std::uint32_t l = 0; l < source_.shape.layers; ++l) OTR_TRY(add_layer(l));
    OTR_TRY(add_head());
    OTR_TRY(add_tail());
    OTR_TRY_ASSIGN(report_.model_root, finish());
    if (options_.choose_act_bits) OTR_TRY(choose_act_bits());
    report_.artifact_bytes = writer.written_bytes();
    OTR_TRY(writer.publish());
    return std::move(report_);
  }

 private:
  model::Config& config() { return report_.config; }
  machine::Shape& shape() { return report_.config.shape; }

  // Between two blocks of any long work.
  Status go_on(std::string_view part, std::uint64_t done_bytes) {
    const bool more =
        !options_.progress ||
        options_.progress(part, std::min(done_bytes, plan_.artifact_bytes), plan_.artifact_bytes);
    if (more && !env::interrupted()) return {};
    return fail(ErrorKind::kCancelled, "stopped; no model was written.");
  }
  Status begin_part(std::string part) {
    part_ = std::move(part);
    return go_on(part_, writer_->written_bytes());
  }

  template <class T>
  Status append(const std::vector<T>& values) {
    return writer_->append(as_bytes(std::span<const T>(values)));
  }
  int max_exponent(const std::string& name) {
    return model::max_exponent(name, shape().qk_frac_bits);
  }

  Status add_rows(const std::string& name, const MatrixRows& rows) {
    const WeightSink sink = [&](std::span<const std::int8_t> weights) -> Status {
      OTR_TRY(writer_->append(as_bytes(weights)));
      return go_on(part_, writer_->written_bytes());
    };
    OTR_TRY_ASSIGN(const QuantisedMatrix quantised,
                   quantise_matrix(rows, max_exponent(name), name, sink));
    OTR_TRY(append(quantised.scale));
    config().exponents[name] = quantised.exponent;
    const auto [least, greatest] = std::ranges::minmax(quantised.scale);
    report_.matrices.push_back({.name = name,
                                .source_type = plan_.source.checkpoint->type_of(source_name(name)),
                                .error = quantised.error,
                                .peak = quantised.peak,
                                .outliers = quantised.outliers,
                                .exponent = quantised.exponent,
                                .least_scale = least,
                                .greatest_scale = greatest});
    return {};
  }

  // The matrix is given up, so that its memory is free for the next.
  Status add_matrix(const std::string& name, FloatMatrix matrix) {
    return add_rows(name, rows_of(matrix));
  }

  Status add_gain(const std::string& name, std::span<const float> gain) {
    const double root = std::sqrt(static_cast<double>(gain.size()));
    OTR_TRY_ASSIGN(const QuantisedGain quantised,
                   quantise_gain(gain, root, max_exponent(name), name));
    config().exponents[name] = quantised.exponent;
    return append(quantised.gain);
  }

  Status add_bias(const std::string& name, std::span<const double> bias, int frac_bits,
                  std::int32_t limit) {
    OTR_TRY_ASSIGN(const auto quantised, quantise_bias(bias, frac_bits, limit, name + ".bias"));
    return append(quantised);
  }

  // Rows of the embedding or the head as they are needed, changed by `change`.
  template <class Change>
  MatrixRows vocabulary_rows(const char* name, const Change& change) {
    return {source_.shape.vocabulary, source_.shape.hidden,
            [this, name, &change](std::uint64_t begin,
                                  std::uint64_t end) -> Result<std::span<const float>> {
              OTR_TRY_ASSIGN(block_, load_vocabulary_rows(*plan_.source.checkpoint, source_, name,
                                                          begin, end));
              change(block_);
              return block_;
            }};
  }

  Status add_embedding();
  Status add_layer(std::uint32_t l);
  Status add_attention(const std::string& prefix, FloatLayer& layer,
                       std::span<const double> o_bias);
  void warn_of_large_keys(std::uint32_t l, double likely);
  Status add_head();
  Status add_tail();
  Result<Hash> finish();
  Status choose_act_bits();

  const ImportPlan& plan_;
  const ImportOptions& options_;
  const FloatConfig& source_;
  ImportReport report_;
  ArtifactWriter* writer_ = nullptr;
  std::string part_;
  std::vector<float> block_;
};

// The embedding decides the residual's fraction bits: SPEC MODEL-4 wants e_E >= F_x.
Status Import::add_embedding() {
  OTR_TRY(begin_part("embedding"));
  const auto same = [](std::span<float>) {};
  OTR_TRY(add_rows("embed", vocabulary_rows("model.embed_tokens", same)));
  const int exponent = config().exponents.at("embed");
  if (exponent < kLeastResidualFracBits) {
    return fail(ErrorKind::kBadInput, "the embedding's weights are too large for an artifact.");
  }
  if (exponent < shape().residual_frac_bits) {
    shape().residual_frac_bits = exponent;
    report_.warnings.push_back("the residual has " + std::to_string(exponent) +
                               " fraction bits, because the embedding is large.");
  }
  return set_eps(source_, shape());
}

void prepare_layer(FloatLayer& layer, const FloatConfig& source, bool equalise) {
  fold_score_scale(layer, source.score_scale);
  if (!equalise) return;
  equalise_ffn(layer.w_up, layer.w_down);
  equalise_values(layer, source.shape);  // before the norm, whose readers it changes
  equalise_norm(layer.attn_norm, {&layer.wq, &layer.wk, &layer.wv});
  equalise_norm(layer.mlp_norm, {&layer.w_gate, &layer.w_up});
}

void Import::warn_of_large_keys(std::uint32_t l, double likely) {
  const int frac_bits = shape().qk_frac_bits;
  if (std::ldexp(likely, frac_bits) <= kMaxQkBias) return;
  report_.warnings.push_back("layer " + std::to_string(l) + ": queries or keys may reach " +
                             std::to_string(std::lround(likely)) + ", beyond the range of " +
                             std::to_string(frac_bits) +
                             " fraction bits; repeat with fewer if running it says OUT_OF_RANGE.");
}

Status Import::add_attention(const std::string& prefix, FloatLayer& layer,
                             std::span<const double> o_bias) {
  const auto with_bias = [&](const char* name, FloatMatrix& matrix) -> Status {
    const std::vector<double> bias(matrix.bias.begin(), matrix.bias.end());
    OTR_TRY(add_matrix(prefix + name, std::move(matrix)));
    return add_bias(prefix + name, bias, shape().qk_frac_bits, kMaxQkBias);
  };
  OTR_TRY(add_gain(prefix + "attn_norm", layer.attn_norm));
  OTR_TRY(with_bias("wq", layer.wq));
  OTR_TRY(with_bias("wk", layer.wk));
  OTR_TRY(add_matrix(prefix + "wv", std::move(layer.wv)));
  if (shape().qk_norm) {
    OTR_TRY(add_gain(prefix + "q_norm", layer.q_norm));
    OTR_TRY(add_gain(prefix + "k_norm", layer.k_norm));
  }
  OTR_TRY(add_matrix(prefix + "wo", std::move(layer.wo)));
  return add_bias(prefix + "wo", o_bias, shape().residual_frac_bits, kMaxOutputBias);
}

Status Import::add_layer(std::uint32_t l) {
  OTR_TRY(begin_part("layer " + std::to_string(l)));
  OTR_TRY_ASSIGN(FloatLayer layer, load_layer(*plan_.source.checkpoint, source_, l));
  const std::vector<double> o_bias = fold_value_bias(layer, source_.shape);
  prepare_layer(layer, source_, options_.equalise);
  warn_of_large_keys(l, balance_queries_and_keys(layer, source_.shape));
  const std::string prefix = "layers." + std::to_string(l) + ".";
  OTR_TRY(add_attention(prefix, layer, o_bias));
  OTR_TRY(add_gain(prefix + "mlp_norm", layer.mlp_norm));
  OTR_TRY(add_matrix(prefix + "w_gate", std::move(layer.w_gate)));
  OTR_TRY(add_matrix(prefix + "w_up", std::move(layer.w_up)));
  return add_matrix(prefix + "w_down", std::move(layer.w_down));
}

Status Import::add_head() {
  OTR_TRY(begin_part("head"));
  OTR_TRY_ASSIGN(std::vector<float> gain, load_final_norm(*plan_.source.checkpoint, source_));
  if (source_.tied) return add_gain("final_norm", gain);
  if (!options_.equalise) {
    const auto same = [](std::span<float>) {};
    OTR_TRY(add_gain("final_norm", gain));
    return add_rows("head", vocabulary_rows("lm_head", same));
  }
  ColumnEqualiser columns(gain);
  const auto add = [&](std::span<float> rows) { columns.add(rows); };
  OTR_TRY(for_blocks(vocabulary_rows("lm_head", add),
                     [&](auto) { return go_on(part_, writer_->written_bytes()); }));
  columns.make_factors();
  columns.multiply(gain);
  OTR_TRY(add_gain("final_norm", gain));
  const auto divide = [&](std::span<float> rows) { columns.divide(rows); };
  return add_rows("head", vocabulary_rows("lm_head", divide));
}

Status Import::add_tail() {
  std::vector<std::uint64_t> steps;
  for (const double frequency : source_.rope_frequency) steps.push_back(rope_step(frequency));
  OTR_TRY(append(steps));
  OTR_TRY(append(plan_.tokens.offsets));
  return writer_->append(plan_.tokens.bytes);
}

// The artifact is checked before it is published, so that no file is left that nothing can run.
Result<Hash> Import::finish() {
  return writer_->finish([&](std::uint64_t done) { return go_on("checking", done).has_value(); });
}

Status Import::choose_act_bits() {
  OTR_TRY_ASSIGN(const model::Artifact artifact, writer_->read_back());
  OTR_TRY_ASSIGN(config().act_bits, options_.choose_act_bits(artifact));
  OTR_TRY_ASSIGN(report_.model_root, finish());
  return {};
}

// A source must not lose a file to its own import.
Status check_out(const fs::path& source, const fs::path& out) {
  std::error_code error;
  if (!fs::exists(out, error)) return {};
  const auto refuse = [&] {
    return fail(ErrorKind::kUsage, out.string() + " is a file of the source " + source.string() +
                                       ": name another one to write to.");
  };
  if (fs::equivalent(source, out, error)) return refuse();
  const fs::path file = fs::canonical(out, error);
  if (!fs::is_directory(source, error) || !fs::equivalent(source, file.parent_path(), error)) {
    return {};
  }
  for (const char* extension : {".safetensors", ".json", ".model", ".jinja", ".gguf", ".bin"}) {
    if (file.extension() == extension) return refuse();
  }
  return {};
}

}  // namespace

Result<ImportReport> import_model(const ImportPlan& plan, const fs::path& out,
                                  const ImportOptions& options) {
  OTR_TRY(check_out(plan.path, out));
  try {
    return Import(plan, options).run(out);
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::kIo,
                "there is no memory for one layer in float32: close other "
                "programs, or import on a larger machine.");
  }
}

Result<ImportReport> import_model(const fs::path& path, const fs::path& out,
                                  const ImportOptions& options) {
  OTR_TRY_ASSIGN(const ImportPlan plan, plan_import(path));
  return import_model(plan, out, options);
}

}  // namespace otr::convert
