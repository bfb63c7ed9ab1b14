#include "model/random_artifact.h"

#include "base/check.h"
#include "crypto/sha256.h"

namespace otr::model {
namespace {

// A stream of bytes from a seed: SHA-256 in counter mode, the same everywhere.
class Stream {
 public:
  explicit Stream(std::uint64_t seed) { append_le(state_, seed); }
  std::uint64_t next() {
    if (at_ == block_.size()) {
      block_ = crypto::sha256(state_);
      store_le(state_.data(), load_le<std::uint64_t>(state_.data()) + 0x9e3779b97f4a7c15);
      at_ = 0;
    }
    at_ += 8;
    return load_le<std::uint64_t>(block_.data() + at_ - 8);
  }
  // Uniform enough in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
  }

 private:
  Bytes state_;
  Hash block_;
  std::size_t at_ = 32;
};

template <class T>
void fill(Bytes& to, std::uint64_t size_bytes, Stream& stream, std::int64_t low,
          std::int64_t high) {
  for (std::uint64_t at = 0; at < size_bytes; at += sizeof(T)) {
    append_le(to, static_cast<T>(stream.between(low, high)));
  }
}

void fill_tensor(Bytes& to, const TensorSpec& spec, Stream& stream) {
  const std::string& name = spec.name;
  if (name.ends_with(".weight")) return fill<std::int8_t>(to, spec.size_bytes, stream, -127, 127);
  if (name.ends_with(".scale")) return fill<std::uint16_t>(to, spec.size_bytes, stream, 1, 4095);
  if (name.ends_with(".gain")) {
    return fill<std::int32_t>(to, spec.size_bytes, stream, -(1 << 16), 1 << 16);
  }
  if (name.ends_with(".bias")) {
    return fill<std::int32_t>(to, spec.size_bytes, stream, -1000, 1000);
  }
  if (name == "rope.steps") {
    return fill<std::uint64_t>(to, spec.size_bytes, stream, 0, std::int64_t{1} << 61);
  }
  const std::uint64_t count = spec.cols();
  if (name == "tokens.offsets") {  // the last token is empty
    for (std::uint64_t j = 0; j < count; ++j) {
      append_le(to, static_cast<std::uint32_t>(std::min(j, count - 2)));
    }
    return;
  }
  OTR_CHECK(name == "tokens.bytes");
  for (std::uint64_t j = 0; j < count; ++j) to.push_back(static_cast<std::uint8_t>('a' + j));
}

}  // namespace

ArtifactContents random_artifact(const RandomArtifactOptions& options) {
  ArtifactContents contents;
  Config& config = contents.config;
  config.shape = {.hidden = options.hidden,
                  .heads = options.heads,
                  .kv_heads = options.kv_heads,
                  .head_dim = options.head_dim,
                  .ffn = options.ffn,
                  .layers = options.layers,
                  .vocabulary = 17,
                  .context = 300,
                  .window = options.window,
                  .residual_frac_bits = 16,
                  .qk_frac_bits = 13,
                  .eps = 1 << 20,
                  .eps_qk = options.qk_norm ? 1 << 10 : 0,
                  .qk_norm = options.qk_norm};
  config.tied = options.tied;
  config.qk_bias = config.o_bias = options.biases;
  const auto bits = [&](std::uint32_t begin) {
    std::vector<int> list;
    for (std::uint32_t l = 0; l < options.layers; ++l) {
      list.push_back(options.mixed_act_bits && (begin + l) % 2 == 0 ? 8 : 16);
    }
    return list;
  };
  config.act_bits = {.attn = bits(0),
                     .o = bits(1),
                     .mlp = bits(1),
                     .down = bits(0),
                     .head = options.mixed_act_bits ? 8 : 16};
  config.eos_ids = {2, 16};
  for (const std::string& name : exponent_names(config)) {
    config.exponents[name] = name.ends_with("norm")        ? 16
                             : name.starts_with("layers.") ? options.exponent
                                                           : 22;
  }
  contents.tokenizer = R"({"for":"tests"})";
  contents.chat_template = "{{ messages }}";
  contents.token_bytes = config.shape.vocabulary - 1;
  Stream stream(options.seed);
  for (const TensorSpec& spec : tensor_layout(config, contents.token_bytes)) {
    if (spec.name != "numbers") fill_tensor(contents.data, spec, stream);
  }
  return contents;
}

}  // namespace otr::model
