#include <cmath>
#include <string_view>

#include "convert/float_model.h"
#include "convert/import.h"

namespace otr::convert {
namespace {

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

model::Config plan_config(const FloatConfig& source, std::vector<std::uint32_t> eos_ids,
                          int residual_frac_bits, int qk_frac_bits) {
  model::Config config;
  config.shape = source.shape;
  config.shape.residual_frac_bits = residual_frac_bits;
  config.shape.qk_frac_bits = qk_frac_bits;
  config.tied = source.tied;
  config.qk_bias = source.qkv_bias;
  config.o_bias = source.qkv_bias || source.o_bias;
  const std::vector<int> bits(source.shape.layers, 16);
  config.act_bits = {.attn = bits, .o = bits, .mlp = bits, .down = bits, .head = 16};
  config.eos_ids = std::move(eos_ids);
  return config;
}

// Asks for no row of every matrix and gain, which checks name, shape and type; counts the types of
// the matrices.
Status check_tensors(ImportPlan& plan) {
  const Checkpoint& checkpoint = *plan.source.checkpoint;
  for (const model::TensorSpec& spec : model::tensor_layout(plan.config, 1)) {
    const std::string_view name = spec.name;
    const bool matrix = name.ends_with(".weight");
    if (!matrix && !name.ends_with(".gain")) continue;
    const std::string source = source_name(spec.name.substr(0, name.rfind('.')));
    if (auto none = checkpoint.read_rows(source, spec.shape, 0, 0); !none) {
      return std::unexpected(std::move(none).error());
    }
    if (matrix) ++plan.types[checkpoint.type_of(source)];
  }
  return {};
}

}  // namespace

Status set_eps(const FloatConfig& source, machine::Shape& shape) {
  OTR_TRY_ASSIGN(shape.eps, integer_eps(shape.hidden, source.eps, shape.residual_frac_bits));
  OTR_TRY_ASSIGN(shape.eps_qk, integer_eps(shape.head_dim, source.eps_qk, shape.qk_frac_bits));
  return {};
}

Result<ImportPlan> plan_import(const std::filesystem::path& path, int residual_frac_bits,
                               int qk_frac_bits) {
  OTR_TRY_ASSIGN(Source source, open_source(path));
  OTR_TRY_ASSIGN(TokenizerFiles files, open_tokenizer(path, source.config.shape.vocabulary));
  ImportPlan plan{.path = path, .source = std::move(source), .tokens = std::move(files.tokens)};
  plan.config =
      plan_config(plan.source.config, std::move(files.eos_ids), residual_frac_bits, qk_frac_bits);
  OTR_TRY(set_eps(plan.source.config, plan.config.shape));
  plan.texts = {.tokenizer = std::move(files.document),
                .chat_template = std::move(files.chat_template),
                .token_bytes = plan.tokens.bytes.size()};
  plan.source_bytes = plan.source.checkpoint->size_bytes();
  OTR_TRY(check_tensors(plan));
  OTR_TRY_ASSIGN(plan.artifact_bytes, artifact_size(plan.config, plan.texts));
  return plan;
}

}  // namespace otr::convert
