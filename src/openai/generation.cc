#include "openai/generation.h"

#include <algorithm>
#include <charconv>

#include "base/hex.h"
#include "openai/sampling.h"
#include "protocol/request.h"

namespace otr::openai {
namespace {

// A member, and the values that ask for nothing (null always does).
struct Neutral {
  const char* name;
  std::vector<Json> values;
};

const std::vector<Neutral>& unsupported_members() {
  static const std::vector<Neutral> members = {
      {"audio", {}},
      {"beam_width", {}},
      {"best_of", {1}},
      {"continue_final_message", {false}},
      {"dry_multiplier", {0}},
      {"dynatemp_range", {0}},
      {"echo", {false}},
      {"function_call", {"none", "auto"}},
      {"functions", {Json::array()}},
      {"grammar", {""}},
      {"guided_choice", {}},
      {"guided_grammar", {""}},
      {"guided_json", {}},
      {"guided_regex", {""}},
      {"ignore_eos", {false}},
      {"json_schema", {Json::object()}},
      {"length_penalty", {1}},
      {"min_tokens", {0}},
      {"mirostat", {0}},
      {"modalities", {Json::array({"text"})}},
      {"prompt_logprobs", {0}},
      {"repeat_penalty", {1}},
      {"repetition_penalty", {1}},
      {"response_format", {Json{{"type", "text"}}}},
      {"stop_token_ids", {Json::array()}},
      {"structured_outputs", {}},
      {"suffix", {""}},
      {"tool_choice", {"none", "auto"}},
      {"tools", {Json::array()}},
      {"top_a", {0}},
      {"typical_p", {1}},
      {"use_beam_search", {false}},
      {"web_search_options", {}},
      {"xtc_probability", {0}},
  };
  return members;
}

Parsed<std::vector<std::string>> parse_stop(Fields& fields) {
  const Json& value = fields.take("stop");
  const std::string param = fields.param("stop");
  std::vector<std::string> stop;
  if (value.is_null()) return stop;
  const Json list = value.is_array() ? value : Json::array({value});
  if (list.size() > protocol::kMaxStopStrings) {
    return std::unexpected(invalid_request(
        param,
        "'" + param + "' may have at most 4 strings, not " + std::to_string(list.size()) + ".",
        "out_of_range"));
  }
  for (const Json& one : list) {
    if (!one.is_string()) {
      return std::unexpected(wrong_type(param, "a string or an array of up to 4 strings",
                                        value.is_array() ? one : value));
    }
    stop.push_back(one.get<std::string>());
    if (stop.back().empty() || stop.back().size() > protocol::kMaxStopBytes) {
      return std::unexpected(invalid_request(
          param, "'" + param + "' must hold strings of 1 to 64 bytes.", "out_of_range"));
    }
  }
  std::ranges::sort(stop);
  stop.erase(std::ranges::unique(stop).begin(), stop.end());
  return stop;
}

// An object of ids, as JSON spells them in names, and numbers.
Parsed<std::vector<SamplingNumbers::Bias>> parse_logit_bias(Fields& fields) {
  const Json& value = fields.take("logit_bias");
  const std::string param = fields.param("logit_bias");
  std::vector<SamplingNumbers::Bias> biases;
  if (value.is_null() || (value.is_array() && value.empty())) return biases;
  if (!value.is_object()) {
    return std::unexpected(wrong_type(param, "an object of token ids and numbers", value));
  }
  for (const auto& [name, number] : value.items()) {
    SamplingNumbers::Bias bias;
    const char* const end = name.data() + name.size();
    const auto [stop, problem] = std::from_chars(name.data(), end, bias.id);
    if (stop != end || problem != std::errc()) {
      return std::unexpected(invalid_request(
          param,
          "'" + param + "' must be an object whose names are token ids, like {\"42\": -100}.",
          "invalid_value"));
    }
    if (!number.is_number()) {
      return std::unexpected(wrong_type(param + "." + std::to_string(bias.id), "a number", number));
    }
    bias.value = number.get<double>();
    biases.push_back(bias);
  }
  return biases;
}

// A number, of which -1 asks for a new seed as in llama-server and vLLM; or the 32 bytes of a
// receipt's seed as 0x and 64 digits, which reproduce its answer.
Parsed<std::optional<Hash>> parse_seed(Fields& fields) {
  const Json& value = fields.take("seed");
  const std::string param = fields.param("seed");
  if (value.is_null()) return std::nullopt;
  if (value.is_number_unsigned()) return seed_of_number(value.get<std::uint64_t>());
  if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    if (number == -1) return std::nullopt;
    return seed_of_number(static_cast<std::uint64_t>(number));
  }
  if (value.is_string()) {
    if (const auto seed = hash_from_hex(value.get_ref<const std::string&>(), param)) return *seed;
    return std::unexpected(invalid_request(
        param, "'" + param + "' must be an integer, or 0x and 64 lower-case hexadecimal digits.",
        "invalid_value"));
  }
  return std::unexpected(wrong_type(param, "an integer of 64 bits", value));
}

Parsed<bool> parse_sampling(Fields& fields, Generation& generation) {
  SamplingNumbers numbers;
  OTR_TRY_ASSIGN(const auto temperature, fields.number("temperature"));
  OTR_TRY_ASSIGN(const auto top_p, fields.number("top_p"));
  OTR_TRY_ASSIGN(const auto min_p, fields.number("min_p"));
  // vLLM's clients switch it off with -1.
  OTR_TRY_ASSIGN(const auto top_k, fields.integer("top_k", -1, UINT32_MAX));
  OTR_TRY_ASSIGN(const auto presence, fields.number("presence_penalty"));
  OTR_TRY_ASSIGN(const auto frequency, fields.number("frequency_penalty"));
  OTR_TRY_ASSIGN(numbers.logit_bias, parse_logit_bias(fields));
  OTR_TRY_ASSIGN(const auto seed, parse_seed(fields));
  numbers.temperature = temperature.value_or(1);
  numbers.top_p = top_p.value_or(1);
  numbers.min_p = min_p.value_or(0);
  numbers.top_k = static_cast<std::uint32_t>(std::max<std::int64_t>(0, top_k.value_or(0)));
  numbers.presence_penalty = presence.value_or(0);
  numbers.frequency_penalty = frequency.value_or(0);
  numbers.seed = seed.value_or(Hash{});
  generation.has_seed = seed.has_value();
  auto sampling = to_sampling(numbers);
  if (!sampling) {
    const std::string param = fields.param(sampling.error().field);
    return std::unexpected(
        invalid_request(param, "'" + param + "' " + sampling.error().why + ".", "out_of_range"));
  }
  generation.sampling = *std::move(sampling);
  return true;
}

// max_completion_tokens is the newer name of max_tokens; of both, they must agree.
Parsed<std::optional<std::uint32_t>> parse_max_tokens(Fields& fields) {
  OTR_TRY_ASSIGN(const auto older, fields.integer("max_tokens", 1, UINT32_MAX));
  OTR_TRY_ASSIGN(const auto newer, fields.integer("max_completion_tokens", 1, UINT32_MAX));
  if (older && newer && older != newer) {
    const std::string param = fields.param("max_tokens");
    return std::unexpected(
        invalid_request(param, "'max_tokens' and 'max_completion_tokens' differ: give one of them.",
                        "invalid_value"));
  }
  if (!older && !newer) return std::nullopt;
  return static_cast<std::uint32_t>(newer ? *newer : *older);
}

Parsed<bool> parse_stream(Fields& fields, Generation& generation) {
  OTR_TRY_ASSIGN(generation.stream, fields.boolean("stream", false));
  const Json& options = fields.take("stream_options");
  if (options.is_null()) return true;
  const std::string param = fields.param("stream_options");
  if (!options.is_object()) return std::unexpected(wrong_type(param, "an object", options));
  if (!generation.stream) {
    return std::unexpected(invalid_request(
        param, "'" + param + "' is allowed only where 'stream' is true.", "invalid_value"));
  }
  Fields of_stream(options, param + ".");
  OTR_TRY_ASSIGN(generation.include_usage, of_stream.boolean("include_usage", false));
  return true;
}

}  // namespace

Parsed<bool> refuse_unsupported(Fields& fields) {
  for (const Neutral& member : unsupported_members()) {
    const Json& value = fields.take(member.name);
    if (value.is_null() || std::ranges::find(member.values, value) != member.values.end()) continue;
    const std::string param = fields.param(member.name);
    return std::unexpected(unsupported(
        param, "'" + param + "' is not supported here: leave it out." +
                   (member.values.empty() ? std::string()
                                          : " Allowed is only " + member.values[0].dump() + ".")));
  }
  for (const char* const name :
       {"metadata", "parallel_tool_calls", "prediction", "prompt_cache_key", "reasoning_effort",
        "safety_identifier", "service_tier", "store", "user", "verbosity"}) {
    static_cast<void>(fields.take(name));  // of no effect on the answer
  }
  return true;
}

Parsed<Generation> parse_generation(Fields& fields) {
  Generation generation;
  OTR_TRY_ASSIGN(const auto model, fields.text("model", kMaxModelNameBytes));
  generation.model = model.value_or("");
  OTR_TRY(parse_sampling(fields, generation));
  OTR_TRY_ASSIGN(generation.max_tokens, parse_max_tokens(fields));
  OTR_TRY_ASSIGN(generation.stop, parse_stop(fields));
  OTR_TRY_ASSIGN(const auto n, fields.integer("n", 1, kMaxAnswers));
  generation.n = static_cast<std::uint32_t>(n.value_or(1));
  OTR_TRY(parse_stream(fields, generation));
  OTR_TRY(refuse_unsupported(fields));
  return generation;
}

Parsed<std::vector<std::uint32_t>> parse_ids(const Json& value, const std::string& param) {
  if (!value.is_array()) return std::unexpected(wrong_type(param, "an array of token ids", value));
  std::vector<std::uint32_t> ids;
  ids.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    const Json& id = value[i];
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > UINT32_MAX) {
      return std::unexpected(invalid_request(
          param, "'" + param + "[" + std::to_string(i) + "]' is not a token id.", "invalid_value"));
    }
    ids.push_back(id.get<std::uint32_t>());
  }
  return ids;
}

}  // namespace otr::openai
