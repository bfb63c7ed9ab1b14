// Which rows of a model may have 8 act_bits (SPEC OP-18), by what they cost it, measured.
//
// A product takes about half the time where the row that enters it has 8 bits instead of 16: int8
// with one exponent for each token. The cost of a choice is KL(all 16 bits || the choice) of the
// distributions over the next token, in nats, teacher-forced on a calibration text. The search
// takes the rows with the most multiplications for the least cost until a budget is spent:
//
// 1. Each kind of row (attn, o, mlp, down) is tried alone in all layers, then the head.
// 2. Errors of different rows hardly correlate, so costs about add. The cheapest groups for each
//    multiplication are taken while their sum is within the budget; the cheapest group that was
//    not taken is split into two halves of its layers, which are tried instead of it; and again.
// 3. The union is measured, and loses its dearest groups until its own cost is within the budget.
//
// The head counts last: a prefill computes it for one row only. What leaves the engine's range
// (OUT_OF_RANGE) is refused, not an error. The same model, text and options give the same choice on
// one machine; on another, where exp and log may round differently, a cost that lies exactly on
// the budget can fall on the other side of it. So a choice is reported, not recomputed by others.
#ifndef OTR_EVAL_ACT_BITS_H_
#define OTR_EVAL_ACT_BITS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "eval/act_trials.h"
#include "model/artifact.h"

namespace otr::eval {

struct ActBitsOptions {
  // Greatest cost of all rows of 8 bits together: mean over the tokens and two standard errors of
  // it.
  double kl_budget = 2e-4;
  // And of the 99th percentile over the tokens: some tokens may cost more, but not a kind of them.
  double kl_p99_budget = 2e-3;
  std::uint64_t tokens = 2048;        // of calibration, about
  std::uint32_t window_tokens = 256;  // at least 2; cut to the context
  std::uint32_t max_trials = 40;      // at least 6; one trial runs all tokens of calibration
  unsigned threads = 1;
  // Called after every window of a trial; false stops with kCancelled. The search often ends
  // before `all`.
  std::function<bool(std::uint64_t done, std::uint64_t all)> progress = {};
};

struct ActBitsReport {
  model::ActBits bits;
  ActBitsCost cost;
  struct Kind {
    std::string name;
    std::uint32_t chosen = 0, layers = 0;  // 8 bits in `chosen` of `layers`; the head has one
    std::optional<double> kl_alone;        // mean, 8 bits in all layers; none: OUT_OF_RANGE
  };
  std::array<Kind, 5> kinds;
  double share = 0;  // of the layers' multiplications, those with 8 bits
  bool own_text = false;
  std::uint32_t trials = 0;
  double kl_budget = 0, kl_p99_budget = 0;
};

// Chooses for an artifact, whose own act_bits do not matter. The calibration text is `text`, or
// where there is none the model's own: sampled at temperature 1 from a fixed seed. Errors: kUsage
// where `text` has nothing to predict; the tokeniser's; kOutOfRange where the model leaves its
// range with all 16 bits; kCancelled; kIo where memory is short.
[[nodiscard]] Result<ActBitsReport> choose_act_bits(const model::Artifact& artifact,
                                                    std::optional<std::string_view> text,
                                                    const ActBitsOptions& options = {});

// A small table for people, with a line feed at the end.
[[nodiscard]] std::string to_text(const ActBitsReport& report);
[[nodiscard]] nlohmann::json to_json(const ActBitsReport& report);

}  // namespace otr::eval

#endif  // OTR_EVAL_ACT_BITS_H_
