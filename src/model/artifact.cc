#include "model/artifact.h"

#include <sys/mman.h>

#include <algorithm>
#include <map>

#include "base/canonical_json.h"
#include "base/check.h"
#include "crypto/sha256.h"

namespace otr::model {
namespace {

std::unexpected<Error> malformed(std::string why) {
  return fail(ErrorKind::kBadInput, "the artifact " + std::move(why), "MALFORMED");
}
std::unexpected<Error> invalid(std::string why) {
  return fail(ErrorKind::kBadInput, "the artifact " + std::move(why), "MODEL_INVALID");
}

struct Header {
  Json json;
  std::size_t size_bytes = 0;  // of the length and the text, where the data begins
};

// SPEC MODEL-1: length, canonical JSON, at most 7 spaces.
Result<Header> read_header(ByteView bytes) {
  if (bytes.size() < 8) return malformed("is shorter than the 8 bytes of its header's length.");
  const auto length = load_le<std::uint64_t>(bytes.data());
  if (length > kMaxHeaderBytes) {
    return fail(ErrorKind::kBadInput,
                "the artifact says its header has " + std::to_string(length) +
                    " bytes; the limit is " + std::to_string(kMaxHeaderBytes) + ".",
                "LIMIT_EXCEEDED");
  }
  if (length > bytes.size() - 8) {
    return malformed("ends inside its header of " + std::to_string(length) + " bytes.");
  }
  std::string_view text = as_text(bytes.subspan(8, length));
  const std::size_t last = text.find_last_not_of(' ');
  const std::size_t spaces = last == text.npos ? text.size() : text.size() - last - 1;
  text.remove_suffix(spaces);
  if (length % 8 != 0 || spaces > 7) {
    return fail(ErrorKind::kBadInput,
                "the artifact's header must end with the fewest spaces that make its length a "
                "multiple of 8.",
                "NOT_CANONICAL");
  }
  OTR_TRY_ASSIGN(Json json, parse_canonical_json(text, "the artifact's header"));
  if (!json.is_object()) return malformed("has a header that is no object.");
  return Header{std::move(json), 8 + length};
}

// The metadata's strings by name, exactly those of SPEC MODEL-1.
Result<std::map<std::string, std::string>> read_metadata(const Json& header) {
  const auto found = header.find("__metadata__");
  if (found == header.end() || !found->is_object()) return malformed("has no metadata.");
  std::map<std::string, std::string> strings;
  for (const char* name : {"otr.config", "otr.format", "otr.template", "otr.tokenizer"}) {
    const auto member = found->find(name);
    if (member == found->end() || !member->is_string()) {
      return malformed(std::string("has no string '") + name + "' in its metadata.");
    }
    strings[name] = member->get<std::string>();
  }
  if (found->size() != strings.size()) {
    return malformed("has metadata beside otr.config, otr.format, otr.template, otr.tokenizer.");
  }
  if (strings["otr.format"] != kFormat) {
    return malformed("has another otr.format than '" + std::string(kFormat) + "'.");
  }
  if (strings["otr.template"].size() > kMaxTemplateBytes) {
    return fail(ErrorKind::kBadInput,
                "the artifact's otr.template is longer than " + std::to_string(kMaxTemplateBytes) +
                    " bytes.",
                "LIMIT_EXCEEDED");
  }
  return strings;
}

// The one size that the configuration does not say.
Result<std::uint64_t> read_token_bytes(const Json& header) {
  const Json* shape = nullptr;
  if (const auto entry = header.find("tokens.bytes"); entry != header.end() && entry->is_object()) {
    if (const auto member = entry->find("shape"); member != entry->end()) shape = &*member;
  }
  if (shape == nullptr || !shape->is_array() || shape->size() != 1 ||
      !(*shape)[0].is_number_unsigned() || (*shape)[0] == 0U) {
    return malformed("has no tensor 'tokens.bytes' with one size that is at least 1.");
  }
  const auto size = (*shape)[0].get<std::uint64_t>();
  if (size > kMaxTokenBytes) {
    return fail(
        ErrorKind::kBadInput,
        "the artifact's tokens.bytes has more than " + std::to_string(kMaxTokenBytes) + " bytes.",
        "LIMIT_EXCEEDED");
  }
  return size;
}

// SPEC MODEL-3: the header says of every tensor what the configuration makes it say.
Status check_entries(const Json& header, const std::vector<TensorSpec>& layout) {
  for (const TensorSpec& spec : layout) {
    const auto entry = header.find(spec.name);
    if (entry == header.end()) return malformed("has no tensor '" + spec.name + "'.");
    const Json expected = header_entry(spec);
    if (*entry != expected) {
      return malformed("says of tensor '" + spec.name + "' " + entry->dump().substr(0, 160) +
                       ", which must be " + expected.dump() + ".");
    }
  }
  if (header.size() == layout.size() + 1) return {};
  for (const auto& [name, entry] : header.items()) {
    const bool known = name == "__metadata__" || std::ranges::any_of(layout, [&](const auto& spec) {
                         return spec.name == name;
                       });
    if (!known) return malformed("has the unknown tensor '" + name.substr(0, 80) + "'.");
  }
  OTR_CHECK(false);  // more members than known names, so one of them is unknown
}

template <class T>
std::span<const T> elements(const Tensor& tensor) {
  return {reinterpret_cast<const T*>(tensor.data.data()), tensor.data.size() / sizeof(T)};
}

// Refuses the first element outside [low, high]. The loop over a block has no branch in it, so that
// the compiler makes vectors of it: weights are gigabytes.
template <class T>
Status check_range(const Tensor& tensor, T low, T high) {
  const std::span<const T> values = elements<T>(tensor);
  constexpr std::size_t kBlock = 4096;
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    bool outside = false;
    for (const T value : block) outside |= (value < low) | (value > high);
    if (!outside) continue;
    const auto bad =
        std::ranges::find_if(block, [&](T value) { return value < low || value > high; });
    return invalid("holds " + std::to_string(*bad) + " in tensor '" + tensor.spec.name +
                   "', element " + std::to_string(begin + (bad - block.begin())) +
                   "; the range is [" + std::to_string(low) + ", " + std::to_string(high) + "].");
  }
  return {};
}

// SPEC MODEL-4 for one tensor; its name says what it is.
Status check_values(const Tensor& tensor) {
  constexpr std::int32_t kMax23 = (1 << 23) - 1;
  constexpr std::int32_t kMaxOutputBias = 1 << 30;
  const std::string& name = tensor.spec.name;
  if (name.ends_with(".weight")) return check_range<std::int8_t>(tensor, -127, 127);
  if (name.ends_with(".scale")) return check_range<std::uint16_t>(tensor, 1, 4095);
  if (name.ends_with(".gain")) return check_range<std::int32_t>(tensor, -kMax23, kMax23);
  if (name.ends_with(".wo.bias")) {
    return check_range<std::int32_t>(tensor, -kMaxOutputBias, kMaxOutputBias);
  }
  if (name.ends_with(".bias")) return check_range<std::int32_t>(tensor, -kMax23, kMax23);
  return {};
}

// SPEC MODEL-3: `numbers` says again what the configuration says.
Status check_numbers(std::span<const std::int64_t> numbers, const Config& config) {
  const std::vector<std::int64_t> expected = config_numbers(config);
  const auto [bad, right] = std::ranges::mismatch(numbers, expected);
  if (bad == numbers.end() && right == expected.end()) return {};
  OTR_CHECK(bad != numbers.end() && right != expected.end());  // the layout has the same count
  return invalid("holds " + std::to_string(*bad) + " in tensor 'numbers', element " +
                 std::to_string(bad - numbers.begin()) + "; otr.config makes it " +
                 std::to_string(*right) + ".");
}

Status check_token_offsets(std::span<const std::uint32_t> offsets, std::uint64_t token_bytes) {
  if (offsets.front() != 0) return invalid("has tokens.offsets that do not begin with 0.");
  if (offsets.back() != token_bytes) {
    return invalid("has tokens.offsets that do not end with the length of tokens.bytes.");
  }
  for (std::size_t j = 0; j + 1 < offsets.size(); ++j) {
    if (offsets[j] > offsets[j + 1]) {
      return invalid("has tokens.offsets that descend behind element " + std::to_string(j) + ".");
    }
    if (offsets[j + 1] - offsets[j] > kMaxTokenSize) {
      return invalid("has a token, " + std::to_string(j) + ", of " +
                     std::to_string(offsets[j + 1] - offsets[j]) + " bytes; the limit is " +
                     std::to_string(kMaxTokenSize) + ".");
    }
  }
  return {};
}

// Makes the views of machine::Model from the tensors, which are complete and have their sizes.
class ModelViews {
 public:
  ModelViews(const Config& config, std::span<const Tensor> tensors) : config_(config) {
    for (const Tensor& tensor : tensors) tensors_[tensor.spec.name] = &tensor;
  }

  machine::Model make() const {
    machine::Model model;
    model.shape = config_.shape;
    model.embed = matrix("embed");
    for (std::uint32_t l = 0; l < config_.shape.layers; ++l) model.layers.push_back(layer(l));
    model.final_norm = gain("final_norm");
    model.head = config_.tied ? model.embed : matrix("head");
    model.head_bound = bound(config_.act_bits.head);
    model.rope_steps = values<std::uint64_t>("rope.steps");
    model.eos_ids = config_.eos_ids;
    model.token_offsets = values<std::uint32_t>("tokens.offsets");
    model.token_bytes = values<std::uint8_t>("tokens.bytes");
    return model;
  }

 private:
  static std::int32_t bound(int bits) { return bits == 16 ? 32639 : 127; }  // SPEC OP-18

  template <class T>
  std::span<const T> values(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return {};  // a bias that the model does not have
    return elements<T>(*found->second);
  }
  machine::Matrix matrix(const std::string& name) const {
    const TensorSpec& spec = tensors_.at(name + ".weight")->spec;
    return {.weight = values<std::int8_t>(name + ".weight"),
            .scale = values<std::uint16_t>(name + ".scale"),
            .bias = values<std::int32_t>(name + ".bias"),
            .rows = static_cast<std::uint32_t>(spec.shape[0]),
            .cols = static_cast<std::uint32_t>(spec.shape[1]),
            .exponent = config_.exponents.at(name)};
  }
  machine::Gain gain(const std::string& name) const {
    return {values<std::int32_t>(name + ".gain"), config_.exponents.at(name)};
  }
  machine::Layer layer(std::uint32_t l) const {
    const std::string prefix = "layers." + std::to_string(l) + ".";
    machine::Layer layer;
    layer.attn_norm = gain(prefix + "attn_norm");
    layer.wq = matrix(prefix + "wq");
    layer.wk = matrix(prefix + "wk");
    layer.wv = matrix(prefix + "wv");
    if (config_.shape.qk_norm) {
      layer.q_norm = gain(prefix + "q_norm");
      layer.k_norm = gain(prefix + "k_norm");
    }
    layer.wo = matrix(prefix + "wo");
    layer.mlp_norm = gain(prefix + "mlp_norm");
    layer.w_gate = matrix(prefix + "w_gate");
    layer.w_up = matrix(prefix + "w_up");
    layer.w_down = matrix(prefix + "w_down");
    const ActBits& bits = config_.act_bits;
    layer.bounds = {.attn = bound(bits.attn[l]),
                    .o = bound(bits.o[l]),
                    .mlp = bound(bits.mlp[l]),
                    .down = bound(bits.down[l])};
    return layer;
  }

  const Config& config_;
  std::map<std::string, const Tensor*> tensors_;
};

// SPEC MODEL-6.
Hash model_root(std::string_view config, std::string_view tokenizer, std::string_view chat_template,
                std::span<const Tensor> tensors) {
  std::vector<Hash> hashes = {
      crypto::sha256({as_bytes("OTR.conf"), as_bytes(config)}),
      crypto::sha256({as_bytes("OTR.toks"), as_bytes(tokenizer)}),
      crypto::sha256({as_bytes("OTR.tmpl"), as_bytes(chat_template)}),
  };
  for (const Tensor& tensor : tensors) hashes.push_back(tensor.root);
  return merkle::list_root(merkle::Kind::kModel, hashes);
}

}  // namespace

// Makes an artifact of a file, whoever holds its bytes.
class ArtifactReader {
 public:
  ArtifactReader(Bytes bytes, ByteView file, const CheckProgress& progress) : progress_(progress) {
    artifact_.bytes_ = std::move(bytes);
    artifact_.file_ = file;
  }

  Result<Artifact> read() {
    OTR_TRY_ASSIGN(const Header header, read_header(artifact_.file_));
    OTR_TRY_ASSIGN(auto metadata, read_metadata(header.json));
    OTR_TRY_ASSIGN(artifact_.config_, parse_config(metadata["otr.config"]));
    OTR_TRY_ASSIGN(const std::uint64_t token_bytes, read_token_bytes(header.json));
    const std::vector<TensorSpec> layout = tensor_layout(artifact_.config_, token_bytes);
    OTR_TRY(check_entries(header.json, layout));
    OTR_TRY(read_tensors(layout, artifact_.file_.subspan(header.size_bytes)));
    OTR_TRY(check_token_offsets(artifact_.model_.token_offsets, token_bytes));
    artifact_.tokenizer_ = std::move(metadata["otr.tokenizer"]);
    artifact_.template_ = std::move(metadata["otr.template"]);
    artifact_.root_ = model_root(metadata["otr.config"], artifact_.tokenizer_, artifact_.template_,
                                 artifact_.tensors_);
    return std::move(artifact_);
  }

 private:
  Status read_tensors(const std::vector<TensorSpec>& layout, ByteView data) {
    const std::uint64_t data_end = layout.back().offset + layout.back().size_bytes;
    if (data.size() != data_end) {
      return malformed("has " + std::to_string(data.size()) + " bytes of data; its header says " +
                       std::to_string(data_end) + ".");
    }
    for (const TensorSpec& spec : layout) {
      Tensor tensor{spec, data.subspan(spec.offset, spec.size_bytes), {}};
      if (reinterpret_cast<std::uintptr_t>(tensor.data.data()) % merkle::size_bytes(spec.type) !=
          0) {
        auto& copy = artifact_.aligned_.emplace_back((spec.size_bytes + 7) / 8);
        std::memcpy(copy.data(), tensor.data.data(), spec.size_bytes);
        tensor.data = as_bytes(std::span<const std::uint64_t>(copy)).first(spec.size_bytes);
      }
      OTR_TRY(check_values(tensor));
      tensor.root = merkle::tensor_root(merkle::Kind::kModelTensor, tensor.spec.type,
                                        tensor.spec.cols(), tensor.data);
      if (progress_ && !progress_(spec.offset + spec.size_bytes)) {
        return fail(ErrorKind::kCancelled, "stopped while checking the artifact.");
      }
      artifact_.tensors_.push_back(std::move(tensor));
    }
    artifact_.model_ = ModelViews(artifact_.config_, artifact_.tensors_).make();
    return check_numbers(elements<std::int64_t>(artifact_.tensors_.front()), artifact_.config_);
  }

  const CheckProgress& progress_;
  Artifact artifact_;
};

Result<Artifact> parse_artifact(Bytes bytes) {
  const ByteView file = bytes;
  return ArtifactReader(std::move(bytes), file, {}).read();
}

Result<Hash> check_artifact(ByteView file, const CheckProgress& progress) {
  OTR_TRY_ASSIGN(const Artifact artifact, ArtifactReader({}, file, progress).read());
  return artifact.root();
}

void Artifact::give_back(std::span<const std::int8_t> weights) {
  const std::int8_t* const begin = weights.data();
  const auto forget = [&](machine::Matrix& matrix) {
    if (matrix.weight.data() == begin) matrix.weight = {};
  };
  for (machine::Layer& l : model_.layers) {
    for (machine::Matrix* m : {&l.wq, &l.wk, &l.wv, &l.wo, &l.w_gate, &l.w_up, &l.w_down}) {
      forget(*m);
    }
  }
  forget(model_.head);
  forget(model_.embed);
  // Whole pages only, of the greatest size that a Linux has: the system takes whole pages, and what
  // stands beside the weights must stay.
  constexpr std::uintptr_t kPage = std::uintptr_t{64} << 10;
  const auto from = (reinterpret_cast<std::uintptr_t>(begin) + kPage - 1) / kPage * kPage;
  const auto to = (reinterpret_cast<std::uintptr_t>(begin) + weights.size()) / kPage * kPage;
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

Result<Bytes> encode_front(const Config& config, std::string_view tokenizer,
                           std::string_view chat_template, std::uint64_t token_bytes) {
  OTR_TRY_ASSIGN(const std::string header,
                 encode_header(tensor_layout(config, token_bytes), encode_config(config), tokenizer,
                               chat_template));
  const std::vector<std::int64_t> numbers = config_numbers(config);
  Bytes front;
  append(front, as_bytes(header));
  append(front, as_bytes(std::span<const std::int64_t>(numbers)));
  return front;
}

Result<Bytes> encode_artifact(ArtifactContents contents) {
  const auto layout = tensor_layout(contents.config, contents.token_bytes);
  const std::uint64_t numbers_size = layout.front().size_bytes;
  if (contents.data.size() + numbers_size != layout.back().offset + layout.back().size_bytes) {
    return fail(ErrorKind::kUsage, "the data of the artifact has " +
                                       std::to_string(contents.data.size()) +
                                       " bytes, which is not what its configuration needs.");
  }
  OTR_TRY_ASSIGN(const Bytes front, encode_front(contents.config, contents.tokenizer,
                                                 contents.chat_template, contents.token_bytes));
  contents.data.insert(contents.data.begin(), front.begin(), front.end());
  return std::move(contents.data);
}

}  // namespace otr::model
