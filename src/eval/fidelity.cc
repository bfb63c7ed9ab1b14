#include "eval/fidelity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/check.h"
#include "engine/forward.h"
#include "eval/float_forward.h"
#include "eval/log_softmax.h"
#include "text/tokenizer.h"

namespace otr::eval {
namespace {

std::size_t most_likely(const std::vector<double>& log_probabilities) {
  return static_cast<std::size_t>(std::ranges::max_element(log_probabilities) -
                                  log_probabilities.begin());
}

class Comparison {
 public:
  Comparison(const machine::Model& exact, const convert::FloatModel& reference, unsigned threads)
      : model_(exact), exact_(exact, threads), float_(reference, threads) {}

  Status add(const Window& window) {
    engine::KvCache cache(model_.shape);
    float_.reset();
    const std::span<const std::uint32_t> context(window.data(), window.size() - 1);
    for (std::size_t at = 0; at < context.size(); at += engine::Forward::kChunk) {
      const auto chunk =
          context.subspan(at, std::min<std::size_t>(engine::Forward::kChunk, context.size() - at));
      OTR_TRY(exact_.run(cache, chunk, nullptr));
      float_.run(chunk);
      for (std::size_t i = 0; i < chunk.size(); ++i) {
        OTR_TRY_ASSIGN(const auto logits, exact_.logits(i));
        add(log_softmax(logits, kLogitUnit), log_softmax(float_.logits(i), 1.0),
            window[at + i + 1]);
      }
    }
    ++windows_;
    return {};
  }

  [[nodiscard]] std::uint64_t tokens() const { return kl_.size(); }

  // Requires at least one token.
  [[nodiscard]] FidelityReport report() && {
    const auto count = static_cast<double>(kl_.size());
    double sum = 0;
    for (const double kl : kl_) sum += kl;
    std::ranges::sort(kl_);
    return {.windows = windows_,
            .tokens = kl_.size(),
            .exact_perplexity = std::exp(exact_loss_ / count),
            .float_perplexity = std::exp(float_loss_ / count),
            .kl_mean = sum / count,
            .kl_p99 = kl_[(kl_.size() - 1) * 99 / 100],
            .kl_max = kl_.back(),
            .top1_agreement = static_cast<double>(agreements_) / count};
  }

 private:
  void add(const std::vector<double>& exact, const std::vector<double>& reference,
           std::uint32_t next) {
    exact_loss_ -= exact[next];
    float_loss_ -= reference[next];
    double kl = 0;
    for (std::size_t j = 0; j < exact.size(); ++j) {
      kl += std::exp(reference[j]) * (reference[j] - exact[j]);
    }
    kl_.push_back(kl);
    if (most_likely(exact) == most_likely(reference)) ++agreements_;
  }

  const machine::Model& model_;
  engine::Forward exact_;
  FloatForward float_;
  std::uint64_t windows_ = 0;
  double exact_loss_ = 0, float_loss_ = 0;
  std::uint64_t agreements_ = 0;
  std::vector<double> kl_;  // of each token
};

std::string number(double value, std::chars_format format, int digits) {
  std::array<char, 400> buffer;  // any double in fixed notation with a few digits
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format, digits);
  OTR_CHECK(error == std::errc());
  return {buffer.data(), end};
}

Status check_windows(std::span<const Window> windows, std::uint32_t vocabulary,
                     std::uint32_t context) {
  if (windows.empty()) return fail(ErrorKind::kUsage, "there is nothing to predict in the text.");
  for (const Window& window : windows) {
    if (window.size() < 2 || window.size() - 1 > context) {
      return fail(ErrorKind::kBadInput,
                  "a window of " + std::to_string(window.size()) +
                      " tokens: it must have at least two, and all but the last must fit the "
                      "context of " +
                      std::to_string(context) + ".");
    }
    const std::uint32_t greatest = std::ranges::max(window);
    if (greatest >= vocabulary) {
      return fail(ErrorKind::kBadInput, "the text has the token id " + std::to_string(greatest) +
                                            ", but the model's vocabulary ends at " +
                                            std::to_string(vocabulary - 1) + ".");
    }
  }
  return {};
}

}  // namespace

Result<FidelityReport> compare(const machine::Model& exact, const convert::FloatModel& reference,
                               std::span<const Window> windows, const FidelityOptions& options) {
  const machine::Shape& shape = reference.config.shape;
  if (exact.shape.vocabulary != shape.vocabulary) {
    return fail(ErrorKind::kUsage,
                "the reference has " + std::to_string(shape.vocabulary) + " tokens and the model " +
                    std::to_string(exact.shape.vocabulary) + ": they are not the same model.");
  }
  OTR_TRY(check_windows(windows, shape.vocabulary, std::min(exact.shape.context, shape.context)));
  std::uint64_t all_tokens = 0;
  for (const Window& window : windows) all_tokens += window.size() - 1;
  const std::uint64_t wanted =
      options.max_tokens == 0 ? all_tokens : std::min(options.max_tokens, all_tokens);
  Comparison comparison(exact, reference, std::max(options.threads, 1U));
  for (std::size_t i = 0; i < windows.size() && comparison.tokens() < wanted; ++i) {
    if (Status added = comparison.add(windows[i]); !added) {
      Error error = std::move(added).error();
      error.message = "window " + std::to_string(i + 1) + " of " + std::to_string(windows.size()) +
                      ": " + error.message;
      return std::unexpected(std::move(error));
    }
    if (options.progress && !options.progress(comparison.tokens(), wanted)) {
      return fail(ErrorKind::kCancelled, "the evaluation was stopped.");
    }
  }
  return std::move(comparison).report();
}

Result<FidelityReport> evaluate(const model::Artifact& artifact,
                                const convert::FloatModel& reference, std::string_view source,
                                const FidelityOptions& options) {
  OTR_TRY_ASSIGN(const text::Tokenizer tokenizer, text::Tokenizer::parse(artifact.tokenizer()));
  const machine::Model& model = artifact.view();
  const std::uint32_t context = std::min(model.shape.context, reference.config.shape.context);
  if (options.window_tokens < 2) {
    return fail(ErrorKind::kUsage, "a window must have at least two tokens.");
  }
  // The last token of a window is only predicted, so it needs no place in the context.
  OTR_TRY_ASSIGN(const std::vector<Window> windows,
                 cut_windows(tokenizer, source, std::min(options.window_tokens, context + 1)));
  return compare(model, reference, windows, options);
}

std::string to_text(const FidelityReport& r) {
  const auto fixed = [](double value, int digits) {
    return number(value, std::chars_format::fixed, digits);
  };
  const auto small = [](double value) { return number(value, std::chars_format::scientific, 2); };
  std::string out;
  const auto line = [&](std::string name, const std::string& value) {
    name.resize(24, ' ');
    out += name + value + '\n';
  };
  line("tokens predicted",
       std::to_string(r.tokens) + " in " + std::to_string(r.windows) + " windows");
  line("perplexity, float", fixed(r.float_perplexity, 5));
  line("perplexity, exact", fixed(r.exact_perplexity, 5));
  line("difference", fixed(100 * r.perplexity_change(), 4) + " %");
  line("KL(float || exact)", small(r.kl_mean) + " nats/token; 99 % of tokens below " +
                                 small(r.kl_p99) + ", greatest " + small(r.kl_max));
  line("same greedy token", fixed(100 * r.top1_agreement, 3) + " %");
  return out;
}

nlohmann::json to_json(const FidelityReport& r) {
  return {{"windows", r.windows},
          {"tokens", r.tokens},
          {"exact_perplexity", r.exact_perplexity},
          {"float_perplexity", r.float_perplexity},
          {"perplexity_change", r.perplexity_change()},
          {"kl_mean", r.kl_mean},
          {"kl_p99", r.kl_p99},
          {"kl_max", r.kl_max},
          {"top1_agreement", r.top1_agreement}};
}

}  // namespace otr::eval
