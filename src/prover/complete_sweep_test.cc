// Completeness by sweeps: every exponent of every tensor, and random models of all sizes and
// exponents. Whatever the engine answers must have a witness that satisfies its circuit; and the
// shifts that were met must be those that SPEC PS-5 and PS-6 tell apart. OTR_EXHAUSTIVE=1 takes
// many more and proves a part of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <random>
#include <set>

#include "prover/honest.h"

namespace otr::prover {
namespace {

using Prompt = std::vector<std::uint32_t>;

// The shifts that were met, by the names of SPEC PT-2, and how many models were refused.
struct Tally {
  bool met(const char* name, std::initializer_list<int> list) const {
    return std::ranges::all_of(list, [&](int s) { return shifts.at(name).contains(s); });
  }

  std::map<std::string, std::set<int>> shifts;
  int answered = 0, out_of_range = 0, wide = 0;

  void note(const Honest& honest);
  void print() const;
};

void Tally::note(const Honest& honest) {
  ++answered;
  wide += honest.witness.scalars.gap == 2;
  const auto add = [&](const char* name, int s) { shifts[name].insert(s); };
  for (const auto& layer : honest.lines.rows) {
    for (const zk::RowLine& line : layer) {
      add("s_q", line.s_q), add("s_k", line.s_k), add("s_w", line.s_w), add("s_n", line.s_n);
      add("s_m", line.s_m), add("s_d", line.s_d), add("s_g", line.s_g), add("s_h", line.s_h);
      for (const int s : line.s_v) add("s_v", s);
      for (const int s : line.s_rk) add("s_rk", s);
      for (const auto& norm : line.q_norms) add("s_qn", norm.shift);
      for (const auto& norm : line.k_norms) add("s_kn", norm.shift);
      for (const auto& head : line.heads) {
        add("s_r", head.s_r), add("s_a", head.s_a), add("s_o", head.s_o);
      }
    }
  }
  for (const auto& line : honest.lines.outputs) add("s_l", line.s_l);
}

void Tally::print() const {
  std::printf("%d answered, %d out of range, %d with two limbs of gaps\n", answered, out_of_range,
              wide);
  for (const auto& [name, met] : shifts) {
    std::printf("  %-4s:", name.c_str());
    for (const int s : met) std::printf(" %d", s);
    std::printf("\n");
  }
}

// Whether the model has an answer; if so it must have a witness.
bool try_model(const HandModel& model, const Prompt& prompt, std::uint32_t outputs,
               const machine::Sampling& sampling, Tally& tally, bool prove = false) {
  auto honest = Honest::answer(model, prompt, outputs, sampling);
  if (!honest) {
    ++tally.out_of_range;
    return false;
  }
  tally.note(*honest);
  EXPECT_EQ(honest->wrong(), "");
  if (prove) EXPECT_EQ(honest->prove(), "");
  return true;
}

// One token after another, of a one-hot model whose first token makes everything great and whose
// second everything small.
HandModel steep_model(int frac_bits, int bits) {
  machine::Shape shape = hand_shape(3, 2, 1, 2, 3, 1, 3);
  shape.residual_frac_bits = frac_bits;
  HandModel model(shape);
  model.make_one_hot();
  model.set_bits(bits);
  for (const char* name : {"wq", "wk", "wv", "w_gate", "w_up"}) {
    const std::string matrix = std::string("layers.0.") + name;
    model.set(matrix, 0, 0, 127, 1);
    model.set(matrix, 1, 0, -127, 1);
    model.set(matrix, 1, 1, 1, 1);
  }
  for (const char* name : {"layers.0.wo", "layers.0.w_down", "head"}) {
    model.set(name, 0, 0, -127, 1);
    model.set(name, 1, 1, 1, 1);
    model.set(name, 2, 0, 126, 1);
  }
  return model;
}

TEST(CompleteSweep, EveryExponentOfEveryMatrix) {
  Tally tally;
  for (const char* name : {".wq", ".wk", ".wv", ".wo", ".w_gate", ".w_up", ".w_down", "head"}) {
    const bool rotated = std::string_view(name) == ".wq" || std::string_view(name) == ".wk";
    for (int e = 0; e <= (rotated ? 26 : 33); ++e) {
      for (const int frac_bits : {8, 20}) {
        for (const int scale : {1, 4095}) {
          const int bits = (e + frac_bits / 8 + scale) % 2 == 0 ? 8 : 16;
          for (const int taken : exhaustive() ? std::vector{8, 16} : std::vector{bits}) {
            HandModel model = steep_model(frac_bits, taken);
            model.set_exponent(name, e);
            const std::string matrix = name[0] == '.' ? std::string("layers.0") + name : name;
            std::ranges::fill(model[matrix + ".scale"], scale);
            SCOPED_TRACE(matrix + " " + std::to_string(e));
            try_model(model, {1, 0, 2, 0}, 1, {}, tally);
          }
        }
      }
    }
  }
  tally.print();
  // The borders of limbs (19, 38), of yh and zh (30) and of their ranges (29, 44, 55).
  for (const char* name : {"s_w", "s_d"}) {
    EXPECT_TRUE(tally.met(name, {2, 18, 19, 20, 29, 30, 31, 37, 38, 39, 44, 45, 54, 55})) << name;
  }
  for (const char* name : {"s_q", "s_k", "s_g", "s_h", "s_l"}) {
    EXPECT_TRUE(tally.met(name, {0, 1, 18, 19, 20, 30})) << name;
  }
  EXPECT_TRUE(tally.met("s_o", {19, 20, 36}));
  EXPECT_TRUE(tally.met("s_v", {0, 18, 20, 26}));
}

TEST(CompleteSweep, EveryExponentOfEveryGain) {
  Tally tally;
  for (const char* name : {"attn_norm", "mlp_norm", "final_norm"}) {
    for (int e = 0; e <= 22; ++e) {
      for (const int size : {0, 1, 7, 8, 14, 15, 22}) {
        HandModel model = steep_model(12, (e + size) % 2 == 0 ? 8 : 16);
        model.set_exponent(name, e);
        model.set_exponent(".wq", 26), model.set_exponent(".wk", 26);
        model.set_exponent("head", 33), model.set_exponent("w_gate", 33);
        const std::string gain = std::string(name) == "final_norm" ? "" : "layers.0.";
        auto& gains = model[gain + name + ".gain"];
        gains = {std::int64_t{1} << size, 1, -((std::int64_t{2} << size) - 1)};
        SCOPED_TRACE(std::string(name) + " " + std::to_string(e) + " " + std::to_string(size));
        try_model(model, {1, 0, 2, 0}, 1, {}, tally);
      }
    }
  }
  tally.print();
  for (const char* name : {"s_q", "s_k", "s_g"}) EXPECT_TRUE(tally.met(name, {19, 20, 38})) << name;
  EXPECT_TRUE(tally.met("s_l", {19, 20, 36, 37}));
  EXPECT_TRUE(tally.met("s_m", {19, 20, 38, 39}));
}

// Random models: sizes, exponents and magnitudes of all tensors.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  int between(int low, int high) {
    return low + static_cast<int>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }
  template <class T>
  T one_of(std::initializer_list<T> list) {
    return list.begin()[random_() % list.size()];
  }
  machine::Shape shape();
  HandModel model();
  machine::Sampling sampling(std::uint32_t vocabulary);

 private:
  void fill(HandModel& model, const std::string& name, int weight_bits, int scale_bits);
  void exponents(HandModel& model, const std::map<std::string, int>& size);
  std::mt19937_64 random_;
};

machine::Shape Draw::shape() {
  const auto kv = static_cast<std::uint32_t>(between(1, 3));
  const auto size = [&](int high) { return static_cast<std::uint32_t>(between(1, high)); };
  machine::Shape shape =
      hand_shape(size(40), kv * size(3), kv, 2 * size(6), size(30), size(3), size(20));
  shape.residual_frac_bits = between(8, 20);
  shape.qk_frac_bits = between(8, 13);
  shape.eps = one_of<std::int64_t>({0, 1, 1 << 20, std::int64_t{1} << 40});
  shape.window = static_cast<std::uint32_t>(one_of({0, 0, 1, 3}));
  shape.qk_norm = between(0, 3) == 0;
  if (shape.qk_norm) shape.eps_qk = one_of<std::int64_t>({0, 1, 1 << 20, std::int64_t{1} << 40});
  return shape;
}

// Exponents with which there is an answer more often than not. The real numbers are a row of about
// 2^-f_a·2^14 times weights.
void Draw::exponents(HandModel& model, const std::map<std::string, int>& size) {
  const machine::Shape& shape = model.config.shape;
  for (auto& [name, e] : model.config.exponents) {
    const bool attention = name.ends_with(".wq") || name.ends_with(".wk") || name.ends_with(".wv");
    const std::size_t dot = name.rfind('.');
    const std::string layer = dot == std::string::npos ? "" : name.substr(0, dot + 1);
    if (name.ends_with("norm")) continue;
    if (name == "embed") {
      e = between(shape.residual_frac_bits, 33);
      continue;
    }
    const std::string gain =
        name == "head" ? "final_norm" : layer + (attention ? "attn_norm" : "mlp_norm");
    const int bits = size.at(name);
    const int f = std::min(20, model.config.exponents.at(gain) + 14 - size.at(gain));
    if (name.ends_with(".wq") || name.ends_with(".wk")) {
      const int most = shape.qk_frac_bits + 18;
      const int s = between(std::clamp(bits + 14 - 8 - shape.qk_frac_bits, 0, 38), 38);
      e = std::clamp(s + shape.qk_frac_bits - f, 0, most);
    } else if (name.ends_with("gate")) {
      e = between(std::clamp(bits - f, 0, 33), 33);
    } else if (name == "head") {
      e = between(std::clamp(16 - f, 0, 33), 33);
    } else {
      e = between(0, 33);
    }
  }
}

HandModel Draw::model() {
  HandModel model(shape(), between(0, 1) == 1);
  std::map<std::string, int> size;  // bits of a matrix's weights and scales, or of a gain
  for (const auto& [name, ignored] : model.config.exponents) {
    const bool zero = between(0, 40) == 0;
    if (name.ends_with("norm")) {
      size[name] = between(0, 23);
      model.set_exponent(name, between(0, 22));
      const int limit = (1 << size[name]) - 1;
      for (auto& g : model[name + ".gain"]) g = zero ? 0 : between(-limit, limit);
      continue;
    }
    const int weight_bits = between(1, 7), scale_bits = between(1, 12);
    size[name] = weight_bits + scale_bits;
    const int limit = (1 << weight_bits) - 1;
    for (auto& w : model[name + ".weight"]) w = zero ? 0 : between(-limit, limit);
    for (auto& m : model[name + ".scale"]) m = between(1, (1 << scale_bits) - 1);
  }
  for (auto& [name, values] : model.tensors) {
    if (!name.ends_with(".bias")) continue;
    const int limit = (1 << between(0, name.ends_with("wo.bias") ? 30 : 20)) - 1;
    for (auto& b : values) b = between(-limit, limit);
  }
  for (auto& step : model["rope.steps"]) step = static_cast<std::int64_t>(random_() >> 1);
  exponents(model, size);
  auto& bits = model.config.act_bits;
  for (auto* list : {&bits.attn, &bits.o, &bits.mlp, &bits.down}) {
    for (int& b : *list) b = one_of({8, 16});
  }
  bits.head = one_of({8, 16});
  return model;
}

machine::Sampling Draw::sampling(std::uint32_t vocabulary) {
  machine::Sampling s;
  s.inv_t = static_cast<std::uint32_t>(one_of({0, 0, 1, 94548, (1 << 22) - 1, 1 << 22, 1 << 24}));
  s.min_p = static_cast<std::uint32_t>(one_of({0, 0, 1, 3000, 65536}));
  s.presence = one_of({0, 0, 1, -(1 << 20), 1 << 20});
  s.frequency = one_of({0, 0, 1, -(1 << 20), 1 << 20});
  for (auto& byte : s.seed) byte = static_cast<std::uint8_t>(random_());
  // From the seed, so that the models that are drawn do not depend on it.
  constexpr std::int32_t kEnd = machine::kMaxLogitBias;
  constexpr std::int32_t kValues[] = {0, 0, 1, -1, kEnd, -kEnd, 3000, -70000};
  for (std::uint32_t id = 0; s.seed[31] % 2 == 1 && id < vocabulary; ++id) {
    const std::int32_t value = kValues[s.seed[id % 31] % 8];
    if (value != 0 && s.logit_bias.size() < 300) s.logit_bias.push_back({id, value});
  }
  return s;
}

TEST(CompleteSweep, RandomModels) {
  Tally tally;
  const int wanted = exhaustive() ? 60000 : 600;
  Draw draw(1);
  for (int i = 0; tally.answered < wanted && i < 40 * wanted && !HasFailure(); ++i) {
    SCOPED_TRACE(i);
    const HandModel model = draw.model();
    Prompt prompt(static_cast<std::size_t>(draw.between(1, 9)));
    for (auto& id : prompt) {
      id = static_cast<std::uint32_t>(
          draw.between(0, static_cast<int>(model.config.shape.vocabulary) - 1));
    }
    const auto outputs = static_cast<std::uint32_t>(draw.between(1, 6));
    const machine::Sampling sampling = draw.sampling(model.config.shape.vocabulary);
    try_model(model, prompt, outputs, sampling, tally, exhaustive() && tally.answered % 500 == 0);
  }
  tally.print();
  EXPECT_EQ(tally.answered, wanted);
  EXPECT_GT(tally.wide, 2);
  for (const char* name : {"s_qn", "s_kn"}) EXPECT_TRUE(tally.met(name, {19, 20, 38, 39})) << name;
  EXPECT_TRUE(tally.met("s_n", {0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_TRUE(tally.met("s_r", {15, 18, 19, 20, 23, 24}));
  EXPECT_TRUE(tally.met("s_o", {35, 36}));
}

}  // namespace
}  // namespace otr::prover
