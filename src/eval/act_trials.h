// One model run with one choice of act_bits after the other, on the same windows.
//
// Weights do not depend on act_bits, so they are packed once; a trial changes only the bounds of
// rows. Needs memory for the packed weights and at most 512 MiB of logits.
#ifndef OTR_EVAL_ACT_TRIALS_H_
#define OTR_EVAL_ACT_TRIALS_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/forward.h"
#include "engine/packed.h"
#include "eval/windows.h"
#include "machine/model.h"
#include "model/config.h"
#include "text/tokenizer.h"

namespace otr::eval {

// What a choice costs on some windows. KL(all 16 bits || the choice) in nats per token.
struct ActBitsCost {
  std::uint64_t tokens = 0;  // judged
  double kl_mean = 0;
  double kl_error = 0;  // standard error of the mean
  double kl_p99 = 0;
  double perplexity_16 = 0;  // of the windows' tokens, with all 16 bits
  double perplexity = 0;     // with the choice
};

// Called often; an error ends the work with it.
using KeepOn = std::function<Status()>;

[[nodiscard]] model::ActBits all_16_bits(std::size_t layers);

class ActTrials {
 public:
  // `model` must outlive this. Throws std::bad_alloc, as begin() and run() do.
  ActTrials(const machine::Model& model, unsigned threads);

  [[nodiscard]] const machine::Model& model() const { return packed_.model(); }
  engine::Forward& forward() { return forward_; }
  void set_bits(const model::ActBits& bits);

  // Keeps what the model says of the windows with all 16 bits. Requires at least one, each with at
  // least two ids, ids below the vocabulary, all but the last of a window within the context. Where
  // the logits of all tokens are too many, every n-th token is judged. Once.
  [[nodiscard]] Status begin(std::vector<Window> windows, const KeepOn& on_window);
  // kOutOfRange where the choice leaves the engine's range.
  [[nodiscard]] Result<ActBitsCost> run(const model::ActBits& bits, const KeepOn& on_window);

 private:
  // Calls judge(i, logits, next token) for each token judged.
  template <class Judge>
  Status pass(const model::ActBits& bits, const Judge& judge, const KeepOn& on_window);

  engine::PackedModel packed_;
  engine::Forward forward_;
  std::vector<Window> windows_;
  std::size_t stride_ = 1;
  std::vector<std::int32_t> kept_;  // [judged][vocabulary]
  double loss_16_ = 0;
};

// Texts of the model's own with all 16 bits at temperature 1, always the same ones, with about
// `tokens` to predict. Each begins with the BOS or an ordinary token or both and ends with an end
// token or at `window_tokens` >= 2, which must be at most the context and one. kOutOfRange.
[[nodiscard]] Result<std::vector<Window>> sample_windows(ActTrials& trials,
                                                         const text::Tokenizer& tokenizer,
                                                         std::uint64_t tokens,
                                                         std::uint32_t window_tokens,
                                                         const KeepOn& on_step);

}  // namespace otr::eval

#endif  // OTR_EVAL_ACT_TRIALS_H_
