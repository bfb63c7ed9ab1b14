#include "convert/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"
#include "convert/json_numbers.h"

namespace otr::convert {
namespace {

using std::numbers::pi;

// The rule of Llama 3.1: long wavelengths are slowed, short ones kept, between them a blend.
Status scale_llama3(const Json& scaling, std::vector<double>& frequency) {
  OTR_TRY_ASSIGN(const double factor, number_in(scaling, "factor", 1, 1e6));
  OTR_TRY_ASSIGN(const double low, number_in(scaling, "low_freq_factor", 1e-3, 1e6));
  OTR_TRY_ASSIGN(const double high, number_in(scaling, "high_freq_factor", 1e-3, 1e6));
  OTR_TRY_ASSIGN(const double original,
                 number_in(scaling, "original_max_position_embeddings", 1, 1e9));
  if (low >= high) {
    return fail(ErrorKind::kBadInput,
                "config.json: low_freq_factor must be less than high_freq_factor.");
  }
  for (double& f : frequency) {
    const double turns = original * f / (2 * pi);  // within the original context
    if (turns > high) continue;
    const double kept = turns < low ? 0 : (turns - low) / (high - low);
    f = (1 - kept) * f / factor + kept * f;
  }
  return {};
}

Result<double> yarn_attention_factor(const Json& scaling, double factor) {
  OTR_TRY_ASSIGN(const double given, number_in_or(scaling, "attention_factor", 0, 0, 1e3));
  if (given > 0) return given;
  OTR_TRY_ASSIGN(const double mscale, number_in_or(scaling, "mscale", 0, 0, 1e3));
  OTR_TRY_ASSIGN(const double mscale_all, number_in_or(scaling, "mscale_all_dim", 0, 0, 1e3));
  if (mscale > 0 && mscale_all > 0) {
    return yarn_scale(factor, mscale) / yarn_scale(factor, mscale_all);
  }
  return yarn_scale(factor, 1);
}

Result<YarnRule> read_yarn(const Json& scaling, double context) {
  YarnRule rule;
  OTR_TRY_ASSIGN(rule.factor, number_in(scaling, "factor", 1, 1e6));
  OTR_TRY_ASSIGN(rule.original_context,
                 number_in_or(scaling, "original_max_position_embeddings", context, 1, 1e9));
  OTR_TRY_ASSIGN(rule.beta_fast, number_in_or(scaling, "beta_fast", 32, 1e-3, 1e6));
  OTR_TRY_ASSIGN(rule.beta_slow, number_in_or(scaling, "beta_slow", 1, 1e-3, 1e6));
  OTR_TRY_ASSIGN(rule.truncate, text::bool_member(scaling, "truncate", true, "config.json"));
  return rule;
}

// rope_parameters (newer files) or rope_scaling; null where the file has none.
Result<Json> scaling_of(const Json& config) {
  const Json& parameters = text::member(config, "rope_parameters");
  if (parameters.is_null()) return text::member(config, "rope_scaling");
  if (!parameters.is_object()) {
    return fail(ErrorKind::kBadInput, "config.json: rope_parameters is no object.");
  }
  for (const auto& [name, value] : parameters.items()) {
    if (!value.is_object()) continue;
    return fail(ErrorKind::kBadInput, "config.json: rope_parameters has parameters for '" +
                                          name.substr(0, 80) +
                                          "' alone; a rotation for each kind of layer is not "
                                          "supported.");
  }
  return parameters;
}

}  // namespace

Rope plain_rope(double theta, std::uint32_t head_dim) {
  Rope rope;
  for (std::uint32_t i = 0; i < head_dim / 2; ++i) {
    rope.frequency.push_back(std::pow(theta, -2.0 * i / head_dim));
  }
  return rope;
}

void scale_yarn(const YarnRule& rule, double theta, Rope& rope) {
  const auto head_dim = static_cast<double>(2 * rope.frequency.size());
  const auto dimension_of = [&](double turns) {
    return head_dim * std::log(rule.original_context / (turns * 2 * pi)) / (2 * std::log(theta));
  };
  double low = dimension_of(rule.beta_fast);
  double high = dimension_of(rule.beta_slow);
  if (rule.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, head_dim - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < rope.frequency.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    rope.frequency[i] *= ramp / rule.factor + (1 - ramp);
  }
}

double yarn_scale(double factor, double m) {
  return factor <= 1 ? 1 : 0.1 * m * std::log(factor) + 1;
}

Result<Rope> parse_rope(const Json& config, std::uint32_t head_dim) {
  OTR_TRY_ASSIGN(const Json scaling, scaling_of(config));
  if (!scaling.is_null() && !scaling.is_object()) {
    return fail(ErrorKind::kBadInput, "config.json: rope_scaling must be an object or null.");
  }
  const Json empty = Json::object();
  const Json& rules = scaling.is_object() ? scaling : empty;
  OTR_TRY_ASSIGN(const double outer_theta, number_in_or(config, "rope_theta", 10000, 2, 1e15));
  OTR_TRY_ASSIGN(const double theta, number_in_or(rules, "rope_theta", outer_theta, 2, 1e15));
  OTR_TRY_ASSIGN(const double part, number_in_or(rules, "partial_rotary_factor", 1, 0, 1));
  if (part != 1) {
    return fail(ErrorKind::kBadInput, "config.json: partial_rotary_factor is not supported.");
  }
  OTR_TRY_ASSIGN(std::string type, text::string_member(rules, "rope_type", "rope_scaling"));
  if (type.empty()) {
    OTR_TRY_ASSIGN(type, text::string_member(rules, "type", "rope_scaling"));
  }

  Rope rope = plain_rope(theta, head_dim);
  if (type.empty() || type == "default") return rope;
  if (type == "linear") {
    OTR_TRY_ASSIGN(const double factor, number_in(rules, "factor", 1, 1e6));
    for (double& f : rope.frequency) f /= factor;
    return rope;
  }
  if (type == "llama3") {
    OTR_TRY(scale_llama3(rules, rope.frequency));
    return rope;
  }
  if (type == "yarn") {
    OTR_TRY_ASSIGN(const double context, number_in(config, "max_position_embeddings", 1, 1e9));
    OTR_TRY_ASSIGN(const YarnRule rule, read_yarn(rules, context));
    scale_yarn(rule, theta, rope);
    OTR_TRY_ASSIGN(rope.attention_factor, yarn_attention_factor(rules, rule.factor));
    return rope;
  }
  return fail(ErrorKind::kBadInput,
              "config.json: the RoPE scaling '" + type.substr(0, 40) +
                  "' is not supported (default, linear, llama3 and yarn are).");
}

std::uint64_t rope_step(double frequency) {
  const long double turns =
      static_cast<long double>(frequency) / (2 * std::numbers::pi_v<long double>);
  OTR_CHECK(turns >= 0 && turns < 1);
  return static_cast<std::uint64_t>(std::floor(std::ldexp(turns, 64) + 0.5L));
}

}  // namespace otr::convert
