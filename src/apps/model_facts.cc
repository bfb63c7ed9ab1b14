// What a model is, in words and as JSON: of an artifact, or of one that an import would make.
#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "apps/model.h"
#include "chat/template.h"
#include "engine/kv_cache.h"
#include "model/layout.h"
#include "text/tokenizer.h"

namespace otr::apps {
namespace {

// Families differ in a few switches, so this is a guess by them.
std::string family_of(const model::Config& config) {
  if (config.shape.qk_norm) return "Qwen3";
  if (config.qk_bias) return "Qwen2";
  return config.shape.window != 0 ? "Mistral" : "Llama";
}

std::uint64_t count_parameters(const model::Config& config) {
  std::uint64_t count = 0;
  for (const model::TensorSpec& spec : model::tensor_layout(config, 1)) {
    const std::string_view name = spec.name;
    if (!name.ends_with(".weight") && !name.ends_with(".gain") && !name.ends_with(".bias"))
      continue;
    std::uint64_t elements = 1;
    for (const std::uint64_t size : spec.shape) elements *= size;
    count += elements;
  }
  return count;
}

std::string count_text(std::uint64_t count) {
  std::array<char, 40> text;
  const auto value = static_cast<double>(count);
  if (count >= 1'000'000'000) {
    std::snprintf(text.data(), text.size(), "%.2f billion", value / 1e9);
  } else if (count >= 1'000'000) {
    std::snprintf(text.data(), text.size(), "%.1f million", value / 1e6);
  } else {
    std::snprintf(text.data(), text.size(), "%.0f", value);
  }
  return text.data();
}

Json token_json(const text::Tokenizer& tokenizer, const Json& document, std::uint32_t id) {
  // The text of a control token stands only in the tokeniser's own lists.
  for (const Json& token : document.value("/document/added_tokens"_json_pointer, Json::array())) {
    if (token.value("id", -1) == static_cast<std::int64_t>(id)) {
      return {{"id", id}, {"text", token.value("content", "")}};
    }
  }
  for (const char* name : {"<s>", "</s>", "<|endoftext|>", "<|im_end|>", "<|eot_id|>"}) {
    if (tokenizer.find(name) == id) return {{"id", id}, {"text", name}};
  }
  return {{"id", id}, {"text", std::string(tokenizer.token_bytes(id))}};
}

Json describe_tokenizer(const std::string& source, const std::vector<std::uint32_t>& eos_ids) {
  const Json document = Json::parse(source, nullptr, false);
  const auto tokenizer = text::Tokenizer::parse(source);
  if (!document.is_object() || !tokenizer) {
    return {{"kind", "none"},
            {"problem", tokenizer ? "it is no object" : tokenizer.error().message}};
  }
  std::string kind = document.value("kind", "unknown");
  const Json type = document.value("/document/model/type"_json_pointer, Json());
  if (type.is_string()) kind += " " + type.get<std::string>();
  Json eos = Json::array();
  for (const std::uint32_t id : eos_ids) eos.push_back(token_json(*tokenizer, document, id));
  return {{"kind", kind},
          {"tokens", tokenizer->vocabulary_size()},
          {"bos", tokenizer->bos() ? token_json(*tokenizer, document, *tokenizer->bos()) : Json()},
          {"adds_bos", tokenizer->add_bos()},
          {"eos", eos}};
}

Json describe_template(const std::string& source) {
  Json json = {{"source", source}, {"supported", nullptr}, {"problem", nullptr}};
  if (source.empty()) return json;
  const Status checked = chat::check_template(source);
  json["supported"] = checked.has_value();
  if (!checked) json["problem"] = checked.error().message;
  return json;
}

// The exponents of each kind of matrix or gain over all layers.
Json describe_exponents(const model::Config& config) {
  Json json = Json::object();
  for (const auto& [name, exponent] : config.exponents) {
    const std::string kind = name.substr(name.rfind('.') + 1);
    if (!json.contains(kind)) json[kind] = {{"least", exponent}, {"greatest", exponent}};
    json[kind]["least"] = std::min(json[kind]["least"].get<int>(), exponent);
    json[kind]["greatest"] = std::max(json[kind]["greatest"].get<int>(), exponent);
  }
  return json;
}

Json describe_memory(const model::Config& config, std::uint64_t token_bytes) {
  const auto layout = model::tensor_layout(config, token_bytes);
  const std::uint64_t weights = layout.back().offset + layout.back().size_bytes;
  const std::uint64_t pages =
      (std::uint64_t{config.shape.context} + engine::kTilePositions - 1) / engine::kTilePositions;
  const std::uint64_t kv = pages * engine::KvPage::size_bytes(config.shape);
  return {{"weights_bytes", weights}, {"kv_bytes", kv}, {"total_bytes", weights + kv}};
}

std::string token_text(const Json& token) {
  return token.is_null() ? "none"
                         : std::to_string(token["id"].get<std::uint64_t>()) + " " +
                               token["text"].dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string act_bits_text(const Json& bits) {
  std::string text;
  for (const auto& [kind, values] : bits.items()) {
    const Json list = values.is_array() ? values : Json::array({values});
    const auto eights = std::count(list.begin(), list.end(), Json(8));
    if (eights == 0) continue;
    if (!text.empty()) text += ", ";
    text += kind + " 8 bits in " + std::to_string(eights) + " of " + std::to_string(list.size());
  }
  return text.empty() ? "16 bits everywhere" : text + ", 16 elsewhere";
}

std::string template_text(const Json& json) {
  const auto source = json["source"].get<std::string>();
  if (source.empty()) return "none: prompts are continued as they are";
  constexpr std::size_t kShown = 72;
  const std::string first = source.substr(0, std::min(source.find('\n'), kShown));
  const std::string shown =
      Json(first).dump(-1, ' ', false, Json::error_handler_t::replace) +
      (first.size() < source.size() ? "... (" + std::to_string(source.size()) + " bytes)" : "");
  if (json["supported"] == true) return "supported: " + shown;
  return "NOT SUPPORTED: " + json["problem"].get<std::string>() +
         "\n              Its text: " + shown + "; prompts can be given with --raw";
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  std::array<char, 40> text;
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) {
    std::snprintf(text.data(), text.size(), "%.2f GB", value / 1e9);
  } else if (bytes >= 1'000'000) {
    std::snprintf(text.data(), text.size(), "%.1f MB", value / 1e6);
  } else {
    std::snprintf(text.data(), text.size(), "%.1f kB", value / 1e3);
  }
  return text.data();
}

std::string line_text(std::string label, std::string_view value) {
  label.resize(std::max<std::size_t>(label.size() + 1, 14), ' ');
  return label + std::string(value) + "\n";
}

Json describe(const model::Config& config, const convert::ArtifactTexts& texts) {
  const machine::Shape& s = config.shape;
  const model::ActBits& bits = config.act_bits;
  return {{"family_guess", family_of(config)},
          {"parameters", count_parameters(config)},
          {"layers", s.layers},
          {"hidden", s.hidden},
          {"heads", s.heads},
          {"kv_heads", s.kv_heads},
          {"head_dim", s.head_dim},
          {"ffn", s.ffn},
          {"vocabulary", s.vocabulary},
          {"context", s.context},
          {"window", s.window},
          {"tied", config.tied},
          {"qk_norm", s.qk_norm},
          {"qk_bias", config.qk_bias},
          {"o_bias", config.o_bias},
          {"residual_frac_bits", s.residual_frac_bits},
          {"qk_frac_bits", s.qk_frac_bits},
          {"act_bits",
           {{"attn", bits.attn},
            {"o", bits.o},
            {"mlp", bits.mlp},
            {"down", bits.down},
            {"head", bits.head}}},
          {"exponents", describe_exponents(config)},
          {"tokenizer", describe_tokenizer(texts.tokenizer, config.eos_ids)},
          {"template", describe_template(texts.chat_template)},
          {"memory", describe_memory(config, texts.token_bytes)}};
}

std::string describe_text(const Json& m) {
  const auto number = [&](const char* name) {
    return std::to_string(m[name].get<std::uint64_t>());
  };
  const auto size = [&](const char* name) {
    return size_text(m["memory"][name].get<std::uint64_t>());
  };
  const Json& tokenizer = m["tokenizer"];
  std::string text = line_text("model", count_text(m["parameters"].get<std::uint64_t>()) +
                                            " parameters, shaped like " +
                                            m["family_guess"].get<std::string>() + " (a guess)");
  text += line_text("layers", number("layers") + " of hidden size " + number("hidden") +
                                  ", feed-forward " + number("ffn"));
  text += line_text("attention", number("heads") + " heads, " + number("kv_heads") +
                                     " key/value heads of " + number("head_dim") +
                                     (m["qk_norm"] == true ? ", q/k norms" : "") +
                                     (m["qk_bias"] == true ? ", biases" : ""));
  text += line_text("vocabulary", number("vocabulary") +
                                      (m["tied"] == true ? ", head tied to it" : ", own head"));
  text += line_text("context", number("context") + " tokens" +
                                   (m["window"] == 0 ? ", each sees all before it"
                                                     : ", each sees the last " + number("window")));
  text += line_text("weights", "int8 with a scale for each row");
  text += line_text("activations", act_bits_text(m["act_bits"]) +
                                       "; exact integers, a residual of "
                                       "32 bits with " +
                                       number("residual_frac_bits") + " behind the point");
  if (tokenizer.contains("problem")) {
    text +=
        line_text("tokeniser", "none that can be used: " + tokenizer["problem"].get<std::string>());
  } else {
    text += line_text("tokeniser", tokenizer["kind"].get<std::string>() + ", " +
                                       std::to_string(tokenizer["tokens"].get<std::uint64_t>()) +
                                       " tokens");
    text += line_text("begins with", token_text(tokenizer["bos"]) +
                                         (tokenizer["adds_bos"] == true ? "" : " (not added)"));
    std::string ends;
    for (const Json& token : tokenizer["eos"])
      ends += (ends.empty() ? "" : ", ") + token_text(token);
    text +=
        line_text("ends with", ends.empty() ? "no token: only --max-tokens ends an answer" : ends);
  }
  text += line_text("template", template_text(m["template"]));
  text += line_text("to run it", size("total_bytes") + " of memory: " + size("weights_bytes") +
                                     " of weights, " + size("kv_bytes") +
                                     " for keys and values of a full context");
  return text;
}

Json describe_plan(const convert::ImportPlan& plan) {
  Json json = describe(plan.config, plan.texts);
  json.erase("exponents");
  json["source"] = plan.path.string();
  json["source_format"] = plan.source.format;
  json["source_bytes"] = plan.source_bytes;
  json["source_types"] = plan.types;
  json["artifact_bytes_about"] = plan.artifact_bytes;
  json["warnings"] = plan.source.warnings;
  return json;
}

std::string plan_text(const convert::ImportPlan& plan, const Json& description) {
  std::string types;
  for (const auto& [type, count] : plan.types) {
    types += (types.empty() ? "" : ", ") + std::to_string(count) + " " + type;
  }
  std::string text = line_text("source", plan.path.string());
  text += line_text(
      "format", plan.source.format + ", " + size_text(plan.source_bytes) + ", matrices: " + types);
  text += line_text("import", "weights become int8, activations exact integers of 16 bits; " +
                                  size_text(plan.artifact_bytes) + " to write");
  text += describe_text(description);
  for (const std::string& warning : plan.source.warnings) text += line_text("warning", warning);
  return text;
}

}  // namespace otr::apps
