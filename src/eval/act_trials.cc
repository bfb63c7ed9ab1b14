#include "eval/act_trials.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/generate.h"
#include "eval/log_softmax.h"
#include "trace/noise.h"

namespace otr::eval {
namespace {

using engine::Forward;
using model::ActBits;

constexpr std::size_t kMaxKeptBytes = std::size_t{512} << 20;  // of the logits with 16 bits
constexpr std::uint32_t kMaxSampleRounds = 8;
constexpr std::uint32_t kTemperatureOne = 94548;  // 2^16·log2(e)

std::int32_t bound(int bits) { return bits == 16 ? 32639 : 127; }  // SPEC OP-18

class Sampler {
 public:
  Sampler(ActTrials& trials, const text::Tokenizer& tokenizer, std::uint32_t window_tokens)
      : trials_(trials), bos_(tokenizer.bos()), window_tokens_(window_tokens) {
    for (std::uint32_t id = 0; id < trials.model().shape.vocabulary; ++id) {
      if (!tokenizer.token_bytes(id).empty()) ordinary_.push_back(id);
    }
    if (bos_ && *bos_ >= trials.model().shape.vocabulary) bos_.reset();
  }

  // At least `tokens` to predict where rounds suffice; calls `on_step` after each token of all.
  Result<std::vector<Window>> sample(std::uint64_t tokens, const KeepOn& on_step) {
    trials_.set_bits(all_16_bits(trials_.model().layers.size()));
    std::vector<Window> windows;
    std::uint64_t have = 0;
    for (std::uint32_t round = 0; round < kMaxSampleRounds && have < tokens; ++round) {
      const std::uint64_t lacking = (tokens - have + window_tokens_ - 1) / window_tokens_;
      const auto count =
          std::min<std::size_t>(std::max<std::size_t>(lacking, 4), Forward::kMaxLogitRows);
      OTR_TRY(sample_round(count, windows, on_step));
      have = 0;
      for (const Window& window : windows) have += window.size() - 1;
    }
    return windows;
  }

 private:
  struct Sequence {
    Window known;
    engine::KvCache cache;
    machine::Sampling sampling;
    std::size_t prompt = 0;
    bool ended = false;
  };

  Sequence start(std::size_t index) {
    Sequence sequence{.known = {}, .cache = engine::KvCache(trials_.model().shape)};
    // A multiplier with no common divisor with any list of tokens spreads the starts over it.
    constexpr std::uint64_t kSpread = 2654435761;
    if (bos_) sequence.known.push_back(*bos_);
    const bool with_word = !bos_ || (index % 2 == 1 && window_tokens_ > 2);
    if (with_word && !ordinary_.empty()) {
      sequence.known.push_back(ordinary_[(index + 1) * kSpread % ordinary_.size()]);
    }
    if (sequence.known.empty()) sequence.known.push_back(0);
    sequence.prompt = sequence.known.size();
    sequence.sampling.inv_t = kTemperatureOne;
    sequence.sampling.seed[0] = static_cast<std::uint8_t>(index);
    sequence.sampling.seed[1] = static_cast<std::uint8_t>(index >> 8);
    return sequence;
  }

  Status sample_round(std::size_t count, std::vector<Window>& windows, const KeepOn& on_step) {
    std::vector<Sequence> sequences;
    for (std::size_t i = 0; i < count; ++i) sequences.push_back(start(started_++));
    while (true) {
      std::vector<Sequence*> live;
      for (Sequence& s : sequences) {
        if (!s.ended) live.push_back(&s);
      }
      if (live.empty()) break;
      OTR_TRY(step(live));
      OTR_TRY(on_step());
    }
    for (Sequence& s : sequences) windows.push_back(std::move(s.known));
    return {};
  }

  Status step(std::span<Sequence* const> live) {
    std::vector<engine::Segment> segments;
    std::vector<std::size_t> last_rows;
    std::size_t row_count = 0;
    for (Sequence* s : live) {
      const auto fresh = std::span<const std::uint32_t>(s->known).subspan(s->cache.size());
      segments.push_back({&s->cache, fresh});
      row_count += fresh.size();
      last_rows.push_back(row_count - 1);
    }
    for (Status& status : trials_.forward().run(segments)) OTR_TRY(std::move(status));
    const auto all_logits = trials_.forward().logits(last_rows);
    for (std::size_t i = 0; i < live.size(); ++i) {
      Sequence& s = *live[i];
      OTR_TRY_ASSIGN(const auto logits, all_logits[i]);
      const engine::Job job{.prompt = std::span<const std::uint32_t>(s.known).first(s.prompt),
                            .sampling = s.sampling,
                            .noise = trace::noise_block};
      s.known.push_back(engine::choose(logits, job, s.known));
      s.ended = s.known.size() >= window_tokens_ ||
                std::ranges::binary_search(trials_.model().eos_ids, s.known.back());
    }
    return {};
  }

  ActTrials& trials_;
  std::optional<std::uint32_t> bos_;
  std::uint32_t window_tokens_;
  std::vector<std::uint32_t> ordinary_;  // ids with bytes
  std::size_t started_ = 0;
};

}  // namespace

ActBits all_16_bits(std::size_t layers) {
  const std::vector<int> bits(layers, 16);
  return {.attn = bits, .o = bits, .mlp = bits, .down = bits, .head = 16};
}

ActTrials::ActTrials(const machine::Model& model, unsigned threads)
    : packed_(model, engine::best_kernel(), threads), forward_(packed_, threads) {}

void ActTrials::set_bits(const ActBits& bits) {
  std::vector<machine::RowBounds> layers;
  for (std::size_t l = 0; l < bits.attn.size(); ++l) {
    layers.push_back({.attn = bound(bits.attn[l]),
                      .o = bound(bits.o[l]),
                      .mlp = bound(bits.mlp[l]),
                      .down = bound(bits.down[l])});
  }
  packed_.set_bounds(layers, bound(bits.head));
}

template <class Judge>
Status ActTrials::pass(const ActBits& bits, const Judge& judge, const KeepOn& on_window) {
  set_bits(bits);
  std::size_t seen = 0, judged = 0;
  for (const Window& window : windows_) {
    engine::KvCache cache(model().shape);
    const std::span<const std::uint32_t> context(window.data(), window.size() - 1);
    for (std::size_t at = 0; at < context.size(); at += Forward::kMaxLogitRows) {
      const std::size_t size = std::min<std::size_t>(Forward::kMaxLogitRows, context.size() - at);
      OTR_TRY(forward_.run(cache, context.subspan(at, size), nullptr));
      std::vector<std::size_t> rows;
      for (std::size_t i = 0; i < size; ++i) {
        if (seen++ % stride_ == 0) rows.push_back(i);
      }
      if (rows.empty()) continue;
      const auto all_logits = forward_.logits(rows);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        OTR_TRY_ASSIGN(const auto logits, all_logits[i]);
        judge(judged++, logits, window[at + rows[i] + 1]);
      }
    }
    OTR_TRY(on_window());
  }
  return {};
}

Status ActTrials::begin(std::vector<Window> windows, const KeepOn& on_window) {
  windows_ = std::move(windows);
  std::size_t tokens = 0;
  for (const Window& window : windows_) tokens += window.size() - 1;
  const std::size_t row_bytes = model().shape.vocabulary * sizeof(std::int32_t);
  stride_ = tokens * row_bytes / kMaxKeptBytes + 1;
  kept_.reserve((tokens / stride_ + 1) * model().shape.vocabulary);
  return pass(
      all_16_bits(model().layers.size()),
      [&](std::size_t, std::span<const std::int32_t> logits, std::uint32_t next) {
        kept_.insert(kept_.end(), logits.begin(), logits.end());
        loss_16_ -= log_softmax(logits, kLogitUnit)[next];
      },
      on_window);
}

Result<ActBitsCost> ActTrials::run(const ActBits& bits, const KeepOn& on_window) {
  std::vector<double> kls;
  double loss = 0;
  const std::size_t vocabulary = model().shape.vocabulary;
  OTR_TRY(pass(
      bits,
      [&](std::size_t i, std::span<const std::int32_t> logits, std::uint32_t next) {
        const auto ours = log_softmax(logits, kLogitUnit);
        const auto kept = log_softmax(
            std::span<const std::int32_t>(kept_).subspan(i * vocabulary, vocabulary), kLogitUnit);
        double kl = 0;
        for (std::size_t j = 0; j < vocabulary; ++j) kl += std::exp(kept[j]) * (kept[j] - ours[j]);
        kls.push_back(kl);
        loss -= ours[next];
      },
      on_window));
  const auto count = static_cast<double>(kls.size());
  double sum = 0, squares = 0;
  for (const double kl : kls) sum += kl, squares += kl * kl;
  const double mean = sum / count;
  std::ranges::sort(kls);
  return ActBitsCost{.tokens = kls.size(),
                     .kl_mean = mean,
                     .kl_error = std::sqrt(std::max(squares / count - mean * mean, 0.0) / count),
                     .kl_p99 = kls[(kls.size() - 1) * 99 / 100],
                     .perplexity_16 = std::exp(loss_16_ / count),
                     .perplexity = std::exp(loss / count)};
}

Result<std::vector<Window>> sample_windows(ActTrials& trials, const text::Tokenizer& tokenizer,
                                           std::uint64_t tokens, std::uint32_t window_tokens,
                                           const KeepOn& on_step) {
  return Sampler(trials, tokenizer, window_tokens).sample(tokens, on_step);
}

}  // namespace otr::eval
