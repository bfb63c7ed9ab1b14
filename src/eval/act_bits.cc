#include "eval/act_bits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <new>

#include "base/check.h"
#include "eval/act_trials.h"
#include "text/tokenizer.h"

namespace otr::eval {
namespace {

using model::ActBits;

constexpr std::size_t kKindCount = 5;
constexpr std::size_t kHead = 4;
constexpr const char* kKindNames[kKindCount] = {"attn", "o", "mlp", "down", "head"};

std::span<int> bits_of(ActBits& bits, std::size_t kind) {
  switch (kind) {
    case 0:
      return bits.attn;
    case 1:
      return bits.o;
    case 2:
      return bits.mlp;
    case 3:
      return bits.down;
    default:
      return {&bits.head, 1};
  }
}

// Rows of one kind in some layers, [begin, end), or of the head.
struct Group {
  std::size_t kind = 0, begin = 0, end = 1;
  double work = 0;                                        // multiplications for each token
  double cost = std::numeric_limits<double>::infinity();  // of this group alone

  bool can_split() const { return end - begin > 1; }
  double rate() const { return cost / work; }
};

// The cheapest first, the head last.
bool before(const Group& a, const Group& b) {
  if ((a.kind == kHead) != (b.kind == kHead)) return b.kind == kHead;
  return a.rate() < b.rate();
}

double work_of_layer(const machine::Shape& shape, std::size_t kind) {
  const double d = shape.hidden;
  switch (kind) {
    case 0:
      return d * (shape.q_width() + 2.0 * shape.kv_width());
    case 1:
      return d * shape.q_width();
    case 2:
      return 2 * d * shape.ffn;
    case 3:
      return d * shape.ffn;
    default:
      return d * shape.vocabulary;
  }
}

class Search {
 public:
  Search(ActTrials& trials, const ActBitsOptions& options, KeepOn on_window)
      : trials_(trials), options_(options), on_window_(std::move(on_window)) {}

  Result<ActBitsReport> run() {
    OTR_TRY(try_kinds());
    while (true) {
      std::ranges::sort(groups_, before);
      const std::vector<bool> taken = affordable();
      const std::size_t dear = static_cast<std::size_t>(
          std::ranges::find_if(groups_,
                               [&](const Group& g) {
                                 return !taken[static_cast<std::size_t>(&g - groups_.data())] &&
                                        g.can_split();
                               }) -
          groups_.begin());
      // The two halves, and a few trials for the union.
      if (dear == groups_.size() || used_ + 4 > options_.max_trials) break;
      Group left = groups_[dear], right = groups_[dear];
      groups_.erase(groups_.begin() + static_cast<std::ptrdiff_t>(dear));
      left.end = right.begin = (left.begin + left.end) / 2;
      OTR_TRY(add(left));
      OTR_TRY(add(right));
    }
    return choose_union();
  }

 private:
  Status try_kinds() {
    const std::size_t layers = trials_.model().layers.size();
    for (std::size_t kind = 0; kind < kKindCount; ++kind) {
      Group group{.kind = kind, .end = kind == kHead ? 1 : layers};
      OTR_TRY_ASSIGN(const auto cost, add(group));
      report_.kinds[kind].name = kKindNames[kind];
      report_.kinds[kind].layers = static_cast<std::uint32_t>(group.end);
      if (cost) report_.kinds[kind].kl_alone = cost->kl_mean;
    }
    return {};
  }

  // Tries a choice. Nothing where it leaves the range.
  Result<std::optional<ActBitsCost>> measure(const ActBits& bits) {
    ++used_;
    Result<ActBitsCost> cost = trials_.run(bits, on_window_);
    if (!cost && cost.error().kind == ErrorKind::kOutOfRange) return std::nullopt;
    if (!cost) return std::unexpected(std::move(cost).error());
    return *cost;
  }

  // What a measured cost counts; more than any budget where it leaves the range or too many tokens
  // pay.
  double counted(const std::optional<ActBitsCost>& cost) const {
    if (!cost || cost->kl_p99 > options_.kl_p99_budget) {
      return std::numeric_limits<double>::infinity();
    }
    return std::max(cost->kl_mean + 2 * cost->kl_error, 0.0);
  }

  Result<std::optional<ActBitsCost>> add(Group group) {
    ActBits bits = all_16_bits(trials_.model().layers.size());
    mark(group, bits);
    OTR_TRY_ASSIGN(const auto cost, measure(bits));
    group.cost = counted(cost);
    group.work = work_of_layer(trials_.model().shape, group.kind) *
                 static_cast<double>(group.end - group.begin);
    groups_.push_back(group);
    return cost;
  }

  static void mark(const Group& group, ActBits& bits) {
    std::ranges::fill(bits_of(bits, group.kind).subspan(group.begin, group.end - group.begin), 8);
  }

  // Of the sorted groups, those that the budget pays for.
  std::vector<bool> affordable() const {
    std::vector<bool> taken;
    double left = options_.kl_budget;
    for (const Group& group : groups_) {
      taken.push_back(group.cost <= left);
      if (taken.back()) left -= group.cost;
    }
    return taken;
  }

  Result<ActBitsReport> choose_union() {
    const std::vector<bool> taken = affordable();
    std::vector<Group> chosen;
    double sum = 0;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      if (!taken[i]) continue;
      chosen.push_back(groups_[i]);
      sum += groups_[i].cost;
    }
    while (true) {
      report_.bits = all_16_bits(trials_.model().layers.size());
      for (const Group& group : chosen) mark(group, report_.bits);
      OTR_TRY_ASSIGN(const auto cost, measure(report_.bits));
      if (cost && counted(cost) <= options_.kl_budget) {
        report_.cost = *cost;
        return std::move(*this).report();
      }
      // All 16 bits cost nothing, so something is chosen.
      OTR_CHECK(!chosen.empty());
      // Costs more together than the sum says: as much more is dropped at once, so that few trials
      // do.
      const double excess = std::min(counted(cost) / options_.kl_budget, 2.0);
      const double keep = used_ < options_.max_trials ? sum / excess : 0;
      do {
        sum -= chosen.back().cost;
        chosen.pop_back();
      } while (!chosen.empty() && sum >= keep);
    }
  }

  ActBitsReport report() && {
    double work = 0, all_work = 0;
    for (std::size_t kind = 0; kind < kKindCount; ++kind) {
      const auto chosen =
          static_cast<std::uint32_t>(std::ranges::count(bits_of(report_.bits, kind), 8));
      report_.kinds[kind].chosen = chosen;
      if (kind == kHead) continue;
      work += work_of_layer(trials_.model().shape, kind) * chosen;
      all_work += work_of_layer(trials_.model().shape, kind) * report_.kinds[kind].layers;
    }
    report_.share = work / all_work;
    report_.trials = used_;
    report_.kl_budget = options_.kl_budget;
    report_.kl_p99_budget = options_.kl_p99_budget;
    return std::move(report_);
  }

  ActTrials& trials_;
  const ActBitsOptions& options_;
  KeepOn on_window_;
  std::vector<Group> groups_;
  std::uint32_t used_ = 0;
  ActBitsReport report_;
};

// Whole windows of the text, evenly spread over it, with about `tokens` to predict.
std::vector<Window> spread(std::vector<Window> windows, std::uint64_t tokens) {
  std::uint64_t all = 0;
  for (const Window& window : windows) all += window.size() - 1;
  const std::size_t step = std::max<std::size_t>((all + tokens / 2) / tokens, 1);
  std::vector<Window> some;
  for (std::size_t i = 0; i < windows.size(); i += step) some.push_back(std::move(windows[i]));
  return some;
}

Result<ActBitsReport> choose(const model::Artifact& artifact, std::optional<std::string_view> text,
                             const ActBitsOptions& options) {
  OTR_TRY_ASSIGN(const text::Tokenizer tokenizer, text::Tokenizer::parse(artifact.tokenizer()));
  const std::uint32_t window_tokens =
      std::min(options.window_tokens, artifact.view().shape.context + 1);
  std::uint64_t done = 0, all = 1;
  const auto advance = [&](std::uint64_t to) -> Status {
    done = std::min(to, all);
    if (!options.progress || options.progress(done, all)) return {};
    return fail(ErrorKind::kCancelled, "the choice of act_bits was stopped.");
  };
  ActTrials trials(artifact.view(), std::max(options.threads, 1U));
  std::vector<Window> windows;
  if (text) {
    OTR_TRY_ASSIGN(windows, cut_windows(tokenizer, *text, window_tokens));
    windows = spread(std::move(windows), options.tokens);
    if (windows.empty()) {
      return fail(ErrorKind::kUsage, "there is nothing to predict in the calibration text.");
    }
    all = windows.size() * (options.max_trials + 1);
  } else {
    // A sampled token takes about as long as a few trials of it.
    const std::uint64_t count = options.tokens / window_tokens + 1;
    all = count * (options.max_trials + 1) + window_tokens;
    OTR_TRY_ASSIGN(windows, sample_windows(trials, tokenizer, options.tokens, window_tokens, [&] {
                     return advance(std::min<std::uint64_t>(done + 1, window_tokens));
                   }));
    all = done + windows.size() * (options.max_trials + 1);
  }
  const auto on_window = [&] { return advance(done + 1); };
  OTR_TRY(trials.begin(std::move(windows), on_window));
  OTR_TRY_ASSIGN(ActBitsReport report, Search(trials, options, on_window).run());
  report.own_text = !text;
  return report;
}

std::string formatted(const char* format, auto... values) {
  char line[200];
  std::snprintf(line, sizeof line, format, values...);
  return line;
}

}  // namespace

Result<ActBitsReport> choose_act_bits(const model::Artifact& artifact,
                                      std::optional<std::string_view> text,
                                      const ActBitsOptions& options) {
  if (options.window_tokens < 2 || options.tokens < 1 || options.max_trials < kKindCount + 1) {
    return fail(ErrorKind::kUsage,
                "the choice of act_bits needs windows of at least 2 tokens and 6 trials.");
  }
  try {
    return choose(artifact, text, options);
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::kIo, "there is no memory to choose act_bits; import with --act8 off.");
  }
}

std::string to_text(const ActBitsReport& r) {
  std::string out = formatted(
      "8 act_bits for %.1f %% of the layers' multiplications, chosen on %llu tokens of %s\n",
      100 * r.share, static_cast<unsigned long long>(r.cost.tokens),
      r.own_text ? "the model's own text" : "the text given");
  out += "rows    layers of 8 bits   KL if all and alone\n";
  for (const auto& kind : r.kinds) {
    out += formatted("%-8s%6u of %-6u   ", kind.name.c_str(), kind.chosen, kind.layers);
    out += kind.kl_alone ? formatted("%.2e nats/token\n", *kind.kl_alone) : "out of range\n";
  }
  out +=
      formatted("together: KL %.2e nats/token (at most %.1e), 99 %% of tokens below %.2e (%.1e)\n",
                r.cost.kl_mean, r.kl_budget, r.cost.kl_p99, r.kl_p99_budget);
  out += formatted("perplexity %.5f with 16 bits, %.5f with the choice; %u trials\n",
                   r.cost.perplexity_16, r.cost.perplexity, r.trials);
  return out;
}

nlohmann::json to_json(const ActBitsReport& r) {
  nlohmann::json kinds = nlohmann::json::object();
  for (const auto& kind : r.kinds) {
    kinds[kind.name] = {{"chosen", kind.chosen},
                        {"layers", kind.layers},
                        {"kl_alone", kind.kl_alone ? nlohmann::json(*kind.kl_alone) : nullptr}};
  }
  return {{"kinds", kinds},
          {"share", r.share},
          {"own_text", r.own_text},
          {"tokens", r.cost.tokens},
          {"kl_mean", r.cost.kl_mean},
          {"kl_error", r.cost.kl_error},
          {"kl_p99", r.cost.kl_p99},
          {"kl_budget", r.kl_budget},
          {"kl_p99_budget", r.kl_p99_budget},
          {"perplexity_16", r.cost.perplexity_16},
          {"perplexity", r.cost.perplexity},
          {"trials", r.trials}};
}

}  // namespace otr::eval
