#include "convert/random_model.h"

#include <array>
#include <cmath>
#include <cstring>
#include <exception>
#include <utility>

#include "convert/rope.h"
#include "model/artifact.h"

namespace otr::convert {
namespace {

struct NamedShape {
  const char* name;
  machine::Shape shape;
  bool tied;
};

// The numbers of bench/peer/shapes.json.
constexpr std::array<NamedShape, 4> kShapes = {{
    {"tiny",
     {.hidden = 64,
      .heads = 4,
      .kv_heads = 2,
      .head_dim = 16,
      .ffn = 160,
      .layers = 2,
      .vocabulary = 512},
     true},
    {"15m",
     {.hidden = 288,
      .heads = 6,
      .kv_heads = 6,
      .head_dim = 48,
      .ffn = 768,
      .layers = 6,
      .vocabulary = 32000},
     true},
    {"135m",
     {.hidden = 576,
      .heads = 9,
      .kv_heads = 3,
      .head_dim = 64,
      .ffn = 1536,
      .layers = 30,
      .vocabulary = 49152},
     true},
    {"1.1b",
     {.hidden = 2048,
      .heads = 32,
      .kv_heads = 4,
      .head_dim = 64,
      .ffn = 5632,
      .layers = 22,
      .vocabulary = 32000},
     false},
}};

constexpr int kGainExponent = 16;
constexpr double kRopeBase = 10000;
constexpr double kEps = 1e-5;
// Root of the mean square of a uniform weight in [-127, 127].
constexpr double kWeightRms = 73.3;
constexpr std::size_t kHeaderRoom = std::size_t{1} << 20;

// SplitMix64: one word from each state, so fast that the memory is slower.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

// A matrix's scales lie in [3/4·top, top], times 2^-exponent.
struct MatrixScale {
  std::uint32_t top = 0;
  int exponent = 0;
};

// For products of the size of their input: weights whose root mean square is 1/√cols. Queries and
// keys have the 1/√head_dim of their scores folded in, as an imported model has.
MatrixScale scale_of(const std::string& name, std::uint64_t cols, std::uint32_t head_dim) {
  double rms = 1 / std::sqrt(static_cast<double>(cols));
  if (name.ends_with(".wq") || name.ends_with(".wk")) {
    rms /= std::sqrt(std::sqrt(static_cast<double>(head_dim)));
  }
  int exponent = 0;
  const double significand = std::frexp(rms / kWeightRms / 0.875, &exponent);  // in [1/2, 1)
  return {static_cast<std::uint32_t>(std::lround(std::ldexp(significand, 12) * 0.999)),
          12 - exponent};
}

void fill_weights(std::span<std::uint8_t> to, Random& random) {
  // SPEC MODEL-4 has no -128: eight bytes at a time, it becomes 0.
  constexpr std::uint64_t kLow = 0x7f7f7f7f7f7f7f7f, kTop = ~kLow;
  std::size_t at = 0;
  for (; at + 8 <= to.size(); at += 8) {
    const std::uint64_t eight = random.next();
    const std::uint64_t low_is_zero = ~((eight & kLow) + kLow) & kTop;
    store_le(to.data() + at, eight & ~low_is_zero);
  }
  for (; at < to.size(); ++at) to[at] = static_cast<std::uint8_t>(random.next() % 127);
}

machine::Shape shape_of(const NamedShape& named, const RandomModelOptions& options) {
  machine::Shape shape = named.shape;
  shape.context = options.context;
  shape.residual_frac_bits = 16;
  shape.qk_frac_bits = 13;
  shape.eps = std::lround(std::ldexp(shape.hidden * kEps, 2 * shape.residual_frac_bits));
  return shape;
}

model::Config config_of(const NamedShape& named, const RandomModelOptions& options) {
  model::Config config;
  config.shape = shape_of(named, options);
  config.tied = named.tied;
  const std::vector<int> bits(config.shape.layers, options.act_bits);
  config.act_bits = {.attn = bits, .o = bits, .mlp = bits, .down = bits, .head = options.act_bits};
  for (const std::string& name : model::exponent_names(config)) config.exponents[name] = 0;
  for (const model::TensorSpec& spec : model::tensor_layout(config, 1)) {
    if (spec.name.ends_with(".gain")) {
      config.exponents[spec.name.substr(0, spec.name.rfind('.'))] = kGainExponent;
    } else if (spec.name.ends_with(".weight")) {
      const std::string name = spec.name.substr(0, spec.name.rfind('.'));
      config.exponents[name] = scale_of(name, spec.cols(), config.shape.head_dim).exponent;
    }
  }
  return config;
}

// Fills tensors in the order of SPEC MODEL-3; a matrix's scales follow its weights.
class Filler {
 public:
  Filler(const machine::Shape& shape, std::uint64_t seed) : shape_(shape), random_(seed) {}

  void fill(const model::TensorSpec& spec, std::span<std::uint8_t> to) {
    const std::string& name = spec.name;
    if (name.ends_with(".weight")) {
      scale_ = scale_of(name.substr(0, name.rfind('.')), spec.cols(), shape_.head_dim);
      fill_weights(to, random_);
    } else if (name.ends_with(".scale")) {
      for (std::size_t at = 0; at < to.size(); at += 2) {
        const std::uint64_t less = random_.next() % (scale_.top / 4);
        store_le(to.data() + at, static_cast<std::uint16_t>(scale_.top - less));
      }
    } else if (name.ends_with(".gain")) {
      const double root = std::sqrt(static_cast<double>(spec.cols()));
      const auto gain = static_cast<std::int32_t>(std::lround(std::ldexp(root, kGainExponent)));
      for (std::size_t at = 0; at < to.size(); at += 4) store_le(to.data() + at, gain);
    } else if (name == "rope.steps") {
      for (std::size_t at = 0; at < to.size(); at += 8) {
        const double share = static_cast<double>(at) / static_cast<double>(to.size());
        store_le(to.data() + at, rope_step(std::pow(kRopeBase, -share)));
      }
    } else if (name == "tokens.offsets") {  // the last token has one byte, all others none
      store_le(to.data() + to.size() - 4, std::uint32_t{1});
    } else {  // tokens.bytes
      to[0] = '.';
    }
  }

 private:
  const machine::Shape& shape_;
  Random random_;
  MatrixScale scale_;
};

}  // namespace

std::vector<std::string> random_model_shapes() {
  std::vector<std::string> names;
  for (const NamedShape& shape : kShapes) names.emplace_back(shape.name);
  return names;
}

Result<Bytes> random_model(const RandomModelOptions& options,
                           const std::function<bool()>& cancelled) {
  const NamedShape* named = nullptr;
  for (const NamedShape& shape : kShapes) {
    if (options.shape == shape.name) named = &shape;
  }
  if (named == nullptr) {
    return fail(ErrorKind::kUsage, "there is no shape '" + options.shape + "'");
  }
  if (options.context == 0 || options.context > machine::kMaxContext ||
      (options.act_bits != 8 && options.act_bits != 16)) {
    return fail(ErrorKind::kUsage, "the context must be 1 to " +
                                       std::to_string(machine::kMaxContext) +
                                       " tokens, and act_bits 8 or 16");
  }
  model::ArtifactContents contents;
  contents.config = config_of(*named, options);
  contents.tokenizer = "{}";
  contents.token_bytes = 1;
  const auto layout = model::tensor_layout(contents.config, contents.token_bytes);
  const std::uint64_t before = layout.front().size_bytes;  // of `numbers`, which encoding adds
  const std::uint64_t size = layout.back().offset + layout.back().size_bytes - before;
  try {
    contents.data.reserve(size + before + kHeaderRoom);
    contents.data.resize(size);
  } catch (const std::exception&) {
    return fail(ErrorKind::kIo,
                "there is no memory for the model's " + std::to_string(size) + " bytes");
  }
  Filler filler(contents.config.shape, options.seed);
  for (const model::TensorSpec& spec : layout) {
    if (spec.name == "numbers") continue;
    if (cancelled()) return fail(ErrorKind::kCancelled, "stopped: no model was written");
    filler.fill(spec, std::span(contents.data).subspan(spec.offset - before, spec.size_bytes));
  }
  return model::encode_artifact(std::move(contents));
}

}  // namespace otr::convert
