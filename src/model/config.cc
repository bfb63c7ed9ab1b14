#include "model/config.h"

#include <algorithm>

#include "base/canonical_json.h"
#include "base/check.h"

namespace otr::model {
namespace {

// Members and types that are not those of SPEC MODEL-2, and values that MODEL-4 forbids.
std::unexpected<Error> malformed(const std::string& why) {
  return fail(ErrorKind::kBadInput, "otr.config: " + why, "MALFORMED");
}
std::unexpected<Error> invalid(const std::string& why) {
  return fail(ErrorKind::kBadInput, "otr.config: " + why, "MODEL_INVALID");
}

// An integer of [low, high]; `what` names the member in the error.
Result<std::int64_t> integer_in(const Json& value, const std::string& what, std::int64_t low,
                                std::int64_t high) {
  if (!value.is_number_integer()) return malformed(what + " must be an integer.");
  const bool fits =
      !value.is_number_unsigned() || value.get<std::uint64_t>() <= static_cast<std::uint64_t>(high);
  if (!fits || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
    return invalid(what + " must be an integer in [" + std::to_string(low) + ", " +
                   std::to_string(high) + "].");
  }
  return value.get<std::int64_t>();
}

// Reads the members of one object and then knows whether there were others.
class Reader {
 public:
  explicit Reader(const Json& object, std::string prefix = "")
      : object_(object), prefix_(std::move(prefix)) {}

  template <class T>
  Status integer(const char* name, T& to, std::int64_t low, std::int64_t high) {
    OTR_TRY_ASSIGN(const Json* value, member(name));
    OTR_TRY_ASSIGN(const std::int64_t number, integer_in(*value, name, low, high));
    to = static_cast<T>(number);
    return {};
  }

  Status boolean(const char* name, bool& to) {
    OTR_TRY_ASSIGN(const Json* value, member(name));
    if (!value->is_boolean()) return malformed(std::string(name) + " must be true or false.");
    to = value->get<bool>();
    return {};
  }

  Result<const Json*> member(const char* name) {
    const auto found = object_.find(name);
    if (found == object_.end()) return malformed(prefix_ + name + " is missing.");
    seen_.push_back(name);
    return &*found;
  }

  Status no_others() const {
    for (const auto& [name, value] : object_.items()) {
      if (std::ranges::find(seen_, name) == seen_.end()) {
        return malformed("the member '" + prefix_ + name.substr(0, 80) + "' is not known.");
      }
    }
    return {};
  }

 private:
  const Json& object_;
  std::string prefix_;  // of the names in errors
  std::vector<std::string> seen_;
};

Status read_shape(Reader& reader, machine::Shape& shape) {
  using namespace machine;
  OTR_TRY(reader.integer("hidden", shape.hidden, 1, kMaxHidden));
  OTR_TRY(reader.integer("heads", shape.heads, 1, kMaxHeads));
  OTR_TRY(reader.integer("kv_heads", shape.kv_heads, 1, kMaxHeads));
  OTR_TRY(reader.integer("head_dim", shape.head_dim, 2, kMaxHeadDim));
  OTR_TRY(reader.integer("ffn", shape.ffn, 1, kMaxFfn));
  OTR_TRY(reader.integer("layers", shape.layers, 1, kMaxLayers));
  OTR_TRY(reader.integer("vocabulary", shape.vocabulary, 1, kMaxVocabulary));
  OTR_TRY(reader.integer("context", shape.context, 1, kMaxContext));
  OTR_TRY(reader.integer("window", shape.window, 0, kMaxContext));
  OTR_TRY(reader.integer("residual_frac_bits", shape.residual_frac_bits, 8, 20));
  OTR_TRY(reader.integer("qk_frac_bits", shape.qk_frac_bits, 8, 13));
  OTR_TRY(reader.integer("eps", shape.eps, 0, kMaxEps));
  OTR_TRY(reader.integer("eps_qk", shape.eps_qk, 0, kMaxEps));
  OTR_TRY(reader.boolean("qk_norm", shape.qk_norm));
  if (shape.heads % shape.kv_heads != 0) return invalid("heads must be a multiple of kv_heads.");
  if (shape.head_dim % 2 != 0) return invalid("head_dim must be even.");
  if (shape.q_width() > kMaxHeadsTimesDim) {
    return invalid("heads times head_dim must be at most " + std::to_string(kMaxHeadsTimesDim) +
                   ".");
  }
  if (shape.window >= shape.context) return invalid("window must be less than context.");
  if (!shape.qk_norm && shape.eps_qk != 0) return invalid("eps_qk must be 0 without q/k norms.");
  return {};
}

Result<int> read_bits(const Json& value, const std::string& what) {
  OTR_TRY_ASSIGN(const std::int64_t number, integer_in(value, what, 8, 16));
  if (number != 8 && number != 16) return invalid(what + " must be 8 or 16.");
  return static_cast<int>(number);
}

Status read_act_bits(const Json& object, std::uint32_t layers, ActBits& bits) {
  if (!object.is_object()) return malformed("act_bits must be an object.");
  Reader reader(object, "act_bits.");
  const std::pair<const char*, std::vector<int>*> rows[] = {
      {"attn", &bits.attn}, {"o", &bits.o}, {"mlp", &bits.mlp}, {"down", &bits.down}};
  for (const auto& [name, to] : rows) {
    OTR_TRY_ASSIGN(const Json* list, reader.member(name));
    const std::string what = std::string("act_bits.") + name;
    if (!list->is_array() || list->size() != layers) {
      return malformed(what + " must be an array with one number for each layer.");
    }
    for (const Json& value : *list) {
      OTR_TRY_ASSIGN(const int number, read_bits(value, what));
      to->push_back(number);
    }
  }
  OTR_TRY_ASSIGN(const Json* head, reader.member("head"));
  OTR_TRY_ASSIGN(bits.head, read_bits(*head, "act_bits.head"));
  return reader.no_others();
}

Status read_eos_ids(const Json& list, std::uint32_t vocabulary, std::vector<std::uint32_t>& ids) {
  if (!list.is_array()) return malformed("eos_ids must be an array.");
  if (list.size() > kMaxEosIds) return invalid("eos_ids has more than 16 ids.");
  for (const Json& value : list) {
    OTR_TRY_ASSIGN(const std::int64_t id, integer_in(value, "eos_ids", 0, vocabulary - 1));
    if (!ids.empty() && id <= ids.back()) return invalid("eos_ids must be ascending.");
    ids.push_back(static_cast<std::uint32_t>(id));
  }
  return {};
}

Status read_exponents(const Json& object, Config& config) {
  if (!object.is_object()) return malformed("exponents must be an object.");
  const std::vector<std::string> names = exponent_names(config);
  for (const std::string& name : names) {
    const auto found = object.find(name);
    if (found == object.end()) return malformed("exponents has no member '" + name + "'.");
    OTR_TRY_ASSIGN(
        const std::int64_t exponent,
        integer_in(*found, "exponents." + name, 0, max_exponent(name, config.shape.qk_frac_bits)));
    config.exponents[name] = static_cast<int>(exponent);
  }
  if (object.size() != names.size()) {
    return malformed("exponents has members that name no matrix or gain.");
  }
  if (config.exponents["embed"] < config.shape.residual_frac_bits) {
    return invalid("exponents.embed must be at least residual_frac_bits.");
  }
  return {};
}

}  // namespace

std::vector<std::string> exponent_names(const Config& config) {
  std::vector<std::string> names = {"embed"};
  for (std::uint32_t l = 0; l < config.shape.layers; ++l) {
    const std::string layer = "layers." + std::to_string(l) + ".";
    for (const char* name : {"attn_norm", "wq", "wk", "wv"}) names.push_back(layer + name);
    if (config.shape.qk_norm) {
      for (const char* name : {"q_norm", "k_norm"}) names.push_back(layer + name);
    }
    for (const char* name : {"wo", "mlp_norm", "w_gate", "w_up", "w_down"}) {
      names.push_back(layer + name);
    }
  }
  names.emplace_back("final_norm");
  if (!config.tied) names.emplace_back("head");
  return names;
}

int max_exponent(std::string_view name, int qk_frac_bits) {
  if (name.ends_with("_norm")) return 22;
  if (name.ends_with(".wq") || name.ends_with(".wk")) return qk_frac_bits + 18;
  return 33;
}

std::vector<std::int64_t> config_numbers(const Config& config) {
  const machine::Shape& s = config.shape;
  std::vector<std::int64_t> numbers = {s.hidden,       s.heads,
                                       s.kv_heads,     s.head_dim,
                                       s.ffn,          s.layers,
                                       s.vocabulary,   s.context,
                                       s.window,       s.residual_frac_bits,
                                       s.qk_frac_bits, s.eps,
                                       s.eps_qk,       config.tied,
                                       config.qk_bias, config.o_bias,
                                       s.qk_norm,      config.act_bits.head};
  for (std::uint32_t l = 0; l < s.layers; ++l) {
    const ActBits& bits = config.act_bits;
    numbers.insert(numbers.end(), {bits.attn.at(l), bits.o.at(l), bits.mlp.at(l), bits.down.at(l)});
  }
  for (const std::string& name : exponent_names(config)) {
    numbers.push_back(config.exponents.at(name));
  }
  numbers.push_back(static_cast<std::int64_t>(config.eos_ids.size()));
  numbers.insert(numbers.end(), config.eos_ids.begin(), config.eos_ids.end());
  return numbers;
}

Result<Config> parse_config(std::string_view text) {
  OTR_TRY_ASSIGN(const Json json, parse_canonical_json(text, "otr.config"));
  if (!json.is_object()) return malformed("it must be an object.");
  Config config;
  Reader reader(json);
  OTR_TRY(read_shape(reader, config.shape));
  OTR_TRY(reader.boolean("tied", config.tied));
  OTR_TRY(reader.boolean("qk_bias", config.qk_bias));
  OTR_TRY(reader.boolean("o_bias", config.o_bias));
  OTR_TRY_ASSIGN(const Json* act_bits, reader.member("act_bits"));
  OTR_TRY(read_act_bits(*act_bits, config.shape.layers, config.act_bits));
  OTR_TRY_ASSIGN(const Json* eos_ids, reader.member("eos_ids"));
  OTR_TRY(read_eos_ids(*eos_ids, config.shape.vocabulary, config.eos_ids));
  OTR_TRY_ASSIGN(const Json* exponents, reader.member("exponents"));
  OTR_TRY(read_exponents(*exponents, config));
  OTR_TRY(reader.no_others());
  return config;
}

std::string encode_config(const Config& config) {
  const machine::Shape& shape = config.shape;
  const ActBits& bits = config.act_bits;
  const Json json = {
      {"act_bits",
       {{"attn", bits.attn},
        {"down", bits.down},
        {"head", bits.head},
        {"mlp", bits.mlp},
        {"o", bits.o}}},
      {"context", shape.context},
      {"eos_ids", config.eos_ids},
      {"eps", shape.eps},
      {"eps_qk", shape.eps_qk},
      {"exponents", config.exponents},
      {"ffn", shape.ffn},
      {"head_dim", shape.head_dim},
      {"heads", shape.heads},
      {"hidden", shape.hidden},
      {"kv_heads", shape.kv_heads},
      {"layers", shape.layers},
      {"o_bias", config.o_bias},
      {"qk_bias", config.qk_bias},
      {"qk_frac_bits", shape.qk_frac_bits},
      {"qk_norm", shape.qk_norm},
      {"residual_frac_bits", shape.residual_frac_bits},
      {"tied", config.tied},
      {"vocabulary", shape.vocabulary},
      {"window", shape.window},
  };
  Result<std::string> text = dump_canonical_json(json, "otr.config");
  OTR_CHECK(text.has_value());  // integers and ASCII names only
  return *std::move(text);
}

}  // namespace otr::model
