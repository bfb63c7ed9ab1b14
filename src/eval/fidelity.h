// How far the exact engine is from a float model on a text: what rounding costs.
//
// Both models predict every token of the text from the true tokens before it (teacher forcing).
// Perplexity is exp of the mean loss in nats; KL is KL(float || exact) of the two distributions
// over the next token, in nats; the exact engine's distribution is softmax(logit·2^-16) in double.
#ifndef OTR_EVAL_FIDELITY_H_
#define OTR_EVAL_FIDELITY_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "convert/float_model.h"
#include "eval/windows.h"
#include "machine/model.h"
#include "model/artifact.h"

namespace otr::eval {

struct FidelityOptions {
  std::uint32_t window_tokens = 512;  // at least 2; cut to the context
  std::uint64_t max_tokens = 0;       // stop after the window in which so many are predicted; 0: no
  unsigned threads = 1;
  // Called after every window; false stops with kCancelled.
  std::function<bool(std::uint64_t done_tokens, std::uint64_t all_tokens)> progress = {};
};

struct FidelityReport {
  std::uint64_t windows = 0;
  std::uint64_t tokens = 0;  // predicted
  double exact_perplexity = 0;
  double float_perplexity = 0;
  double kl_mean = 0;
  double kl_p99 = 0;  // the 99th percentile over the tokens
  double kl_max = 0;
  double top1_agreement = 0;  // share of tokens with the same most likely next token
  // exact over float, less one: 0.005 is half a percent worse.
  [[nodiscard]] double perplexity_change() const { return exact_perplexity / float_perplexity - 1; }
};

// Compares two models on windows of ids. kUsage if their vocabularies differ or there is no window,
// kBadInput if an id is beyond the vocabulary or a window beyond a context, kOutOfRange (with the
// window's number) if the exact arithmetic leaves its range.
[[nodiscard]] Result<FidelityReport> compare(const machine::Model& exact,
                                             const convert::FloatModel& reference,
                                             std::span<const Window> windows,
                                             const FidelityOptions& options = {});

// The same for a text, by the artifact's own tokeniser. Further errors: kUsage if the text has
// nothing to predict; the tokeniser's.
[[nodiscard]] Result<FidelityReport> evaluate(const model::Artifact& artifact,
                                              const convert::FloatModel& reference,
                                              std::string_view text,
                                              const FidelityOptions& options = {});

// A small table for people, with a line feed at the end.
[[nodiscard]] std::string to_text(const FidelityReport& report);
// The report's members by their names, and perplexity_change.
[[nodiscard]] nlohmann::json to_json(const FidelityReport& report);

}  // namespace otr::eval

#endif  // OTR_EVAL_FIDELITY_H_
