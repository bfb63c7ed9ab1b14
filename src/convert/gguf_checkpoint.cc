#include "convert/gguf_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <ranges>

#include "base/check.h"

namespace otr::convert {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;  // of raw rows held while widening

struct Expected {
  std::string name;       // in the file
  std::string canonical;  // Hugging Face's
  std::vector<std::uint64_t> dims;
  std::uint32_t rotated_head = 0;
};

void expect_layer(const GgufConfig& source, std::uint32_t layer, std::vector<Expected>& out) {
  const machine::Shape& shape = source.config.shape;
  const std::uint64_t d = shape.hidden, q = shape.q_width(), kv = shape.kv_width(), ffn = shape.ffn;
  const std::uint32_t head = source.rotates_neighbours() ? shape.head_dim : 0;
  const std::string from = "blk." + std::to_string(layer) + ".";
  const std::string to = "model.layers." + std::to_string(layer) + ".";
  const auto add = [&](const char* name, const char* canonical, const char* kind,
                       std::vector<std::uint64_t> dims, std::uint32_t rotated = 0) {
    out.push_back({from + name + kind, to + canonical + kind, std::move(dims), rotated});
  };
  add("attn_norm", "input_layernorm", ".weight", {d});
  add("attn_q", "self_attn.q_proj", ".weight", {d, q}, head);
  add("attn_k", "self_attn.k_proj", ".weight", {d, kv}, head);
  add("attn_v", "self_attn.v_proj", ".weight", {d, kv});
  if (source.config.qkv_bias) {
    add("attn_q", "self_attn.q_proj", ".bias", {q}, head);
    add("attn_k", "self_attn.k_proj", ".bias", {kv}, head);
    add("attn_v", "self_attn.v_proj", ".bias", {kv});
  }
  if (shape.qk_norm) {
    add("attn_q_norm", "self_attn.q_norm", ".weight", {shape.head_dim});
    add("attn_k_norm", "self_attn.k_norm", ".weight", {shape.head_dim});
  }
  add("attn_output", "self_attn.o_proj", ".weight", {q, d});
  if (source.config.o_bias) add("attn_output", "self_attn.o_proj", ".bias", {d});
  add("ffn_norm", "post_attention_layernorm", ".weight", {d});
  add("ffn_gate", "mlp.gate_proj", ".weight", {d, ffn});
  add("ffn_up", "mlp.up_proj", ".weight", {d, ffn});
  add("ffn_down", "mlp.down_proj", ".weight", {ffn, d});
}

std::vector<Expected> expected_tensors(const GgufConfig& source) {
  const machine::Shape& shape = source.config.shape;
  const std::vector<std::uint64_t> vocabulary = {shape.hidden, shape.vocabulary};
  std::vector<Expected> out = {
      {"token_embd.weight", "model.embed_tokens.weight", vocabulary},
      {"output_norm.weight", "model.norm.weight", {shape.hidden}},
  };
  if (!source.config.tied) out.push_back({"output.weight", "lm_head.weight", vocabulary});
  for (std::uint32_t l = 0; l < shape.layers; ++l) expect_layer(source, l, out);
  return out;
}

// Why a model has a tensor that ours have not.
std::string hint_for(const std::string& name) {
  if (name.contains("_exps") || name.contains("_shexp") || name.contains("ffn_gate_inp")) {
    return " (a mixture of experts, which is not supported)";
  }
  if (name.contains("attn_qkv")) return " (q, k and v in one matrix, which is not supported)";
  if (name.contains(".lora_")) return " (a LoRA adapter: merge it into its model first)";
  if (name.starts_with("rope_factors")) return " (LongRoPE, which is not supported)";
  if (name.starts_with("v.") || name.starts_with("mm.")) {
    return " (a part that sees images, which is not supported)";
  }
  return "";
}

Status refuse_others(const GgufParts& parts, const std::set<std::string>& known) {
  std::string list;
  std::size_t count = 0;
  for (const auto& [name, place] : parts.places) {
    if (known.contains(name)) continue;
    if (++count > 10) continue;
    list += (list.empty() ? "" : ", ") + in_quotes(name) + hint_for(name);
  }
  if (count == 0) return {};
  return fail(ErrorKind::kBadInput, parts.first().path + ": " + std::to_string(count) +
                                        " tensors are not understood, and so the model is not: " +
                                        list + (count > 10 ? ", ..." : "") + ".");
}

Status check_types(const GgufParts& parts) {
  std::string first;
  std::size_t count = 0;
  for (const auto& [name, place] : parts.places) {
    if (place.tensor->type->widen != nullptr) continue;
    if (count++ == 0) first = in_quotes(name) + " is " + place.tensor->type->name;
  }
  if (count == 0) return {};
  return fail(ErrorKind::kBadInput, parts.first().path + ": " + std::to_string(count) + " of " +
                                        std::to_string(parts.places.size()) +
                                        " tensors have a type that cannot be " + "imported (" +
                                        first + "). Types that can: " + readable_gguf_types() +
                                        "; download or make the model as Q8_0 or F16.");
}

}  // namespace

Result<GgufCheckpoint> GgufCheckpoint::make(GgufParts parts, const GgufConfig& config) {
  GgufCheckpoint out;
  std::set<std::string> known;
  if (config.architecture == "llama") known.insert("rope_freqs.weight");
  const std::string what = parts.first().path + ": ";
  OTR_TRY(check_types(parts));
  const std::vector<Expected> all = expected_tensors(config);
  for (const Expected& expected : all) known.insert(expected.name);
  // First, since a tensor too many says best what kind of model this is.
  OTR_TRY(refuse_others(parts, known));
  for (const Expected& expected : all) {
    const auto found = parts.places.find(expected.name);
    if (found == parts.places.end()) {
      return fail(ErrorKind::kBadInput,
                  what + "there is no tensor '" + expected.name + "': the file is incomplete.");
    }
    const GgufTensor& tensor = *found->second.tensor;
    if (tensor.dims != expected.dims) {
      return fail(ErrorKind::kBadInput, what + "tensor '" + expected.name +
                                            "' has the dimensions " + shape_text(tensor.dims) +
                                            "; the metadata makes them " +
                                            shape_text(expected.dims) + ".");
    }
    out.entries_[expected.canonical] = {expected.name, found->second.part, &tensor,
                                        expected.rotated_head};
  }
  out.parts_ = std::move(parts);
  return out;
}

std::set<std::string> GgufCheckpoint::names() const {
  std::set<std::string> names;
  for (const auto& [name, entry] : entries_) names.insert(name);
  return names;
}

std::string GgufCheckpoint::type_of(const std::string& name) const {
  return entries_.at(name).tensor->type->name;
}

std::uint64_t GgufCheckpoint::size_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [name, entry] : entries_) sum += entry.tensor->size_bytes;
  return sum;
}

std::uint64_t GgufCheckpoint::stored_row(const Entry& entry, std::uint64_t row) {
  const std::uint64_t head = entry.rotated_head;
  if (head == 0) return row;
  const std::uint64_t half = head / 2;
  const std::uint64_t within = row % head;
  return row - within + within % half * 2 + within / half;
}

Status GgufCheckpoint::check_finite(const Entry& entry, std::span<const float> values,
                                    std::uint64_t first_element) const {
  const auto odd =
      std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); });
  if (odd == values.end()) return {};
  const GgufType& type = *entry.tensor->type;
  const std::uint64_t element = first_element + static_cast<std::uint64_t>(odd - values.begin());
  const std::uint64_t block = element / type.elements;
  return fail(ErrorKind::kBadInput,
              parts_.files[entry.part].path + ": tensor '" + entry.name + "' (" + type.name +
                  ") holds a number that is not finite: element " + std::to_string(element) +
                  ", in block " + std::to_string(block) + " at offset " +
                  hex(entry.tensor->offset + block * type.size_bytes) + ".");
}

Status GgufCheckpoint::read_elements(const Entry& entry, std::uint64_t begin,
                                     std::span<float> to) const {
  const GgufType& type = *entry.tensor->type;
  const GgufInput& input = parts_.files[entry.part].input;
  const std::size_t chunk = kBufferBytes / type.size_bytes * type.elements;
  Bytes raw;
  for (std::size_t at = 0; at < to.size(); at += chunk) {
    const std::span<float> some = to.subspan(at, std::min(chunk, to.size() - at));
    raw.resize(some.size() / type.elements * type.size_bytes);
    OTR_TRY(
        input.read_at(entry.tensor->offset + (begin + at) / type.elements * type.size_bytes, raw));
    widen_blocks(type, raw, some);
    OTR_TRY(check_finite(entry, some, begin + at));
  }
  return {};
}

Result<std::vector<float>> GgufCheckpoint::read_rows(const std::string& name,
                                                     const std::vector<std::uint64_t>& shape,
                                                     std::uint64_t begin, std::uint64_t end) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    return fail(ErrorKind::kBadInput, "the model has no tensor '" + name + "'.");
  }
  const Entry& entry = found->second;
  if (!std::ranges::equal(shape, entry.tensor->dims | std::views::reverse)) {
    return fail(ErrorKind::kBadInput,
                "the tensor '" + name + "' has another shape than " + shape_text(shape) + ".");
  }
  OTR_CHECK(begin <= end && end <= shape[0]);
  if (shape.size() == 1) {  // a vector is one row of blocks, of which elements are asked for
    std::vector<float> all(shape[0]);
    OTR_TRY(read_elements(entry, 0, all));
    std::vector<float> values;
    for (std::uint64_t i = begin; i < end; ++i) values.push_back(all[stored_row(entry, i)]);
    return values;
  }
  const std::uint64_t width = entry.tensor->dims[0];
  std::vector<float> values((end - begin) * width);
  if (entry.rotated_head == 0) {
    OTR_TRY(read_elements(entry, begin * width, values));
    return values;
  }
  for (std::uint64_t row = begin; row < end; ++row) {
    OTR_TRY(read_elements(entry, stored_row(entry, row) * width,
                          std::span(values).subspan((row - begin) * width, width)));
  }
  return values;
}

}  // namespace otr::convert
