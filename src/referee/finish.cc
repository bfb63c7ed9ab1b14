#include "referee/finish.h"

#include <algorithm>
#include <string>

#include "model/layout.h"
#include "referee/opened.h"
#include "referee/reject.h"

namespace otr::referee {
namespace {

constexpr TreeId kTokenTree{Place::kTokens, 0, 0};

// The text of the tokens of a run.
struct Tail {
  std::string text;
  std::size_t before_last = 0;  // bytes of the text before the last token
  std::uint64_t last_id = 0;
  bool is_broken = false;  // an id or an offset that no valid execution has
};

Tail read_tail(const Statement& statement, Opened& opened, std::uint64_t begin, std::uint64_t end) {
  const ModelFacts& model = statement.model;
  const TreeId offsets{Place::kModel, model.token_offsets, 0};
  const TreeId bytes{Place::kModel, model.token_bytes, 0};
  const auto size = static_cast<std::int64_t>(model.tensors[model.token_bytes].cols());
  Tail tail;
  for (std::uint64_t u = begin; u < end; ++u) {
    tail.before_last = tail.text.size();
    tail.last_id = static_cast<std::uint64_t>(opened.element(kTokenTree, u));
    if (tail.last_id >= statement.shape().vocabulary) {
      tail.is_broken = true;
      continue;
    }
    const std::int64_t from = opened.element(offsets, tail.last_id);
    const std::int64_t to = opened.element(offsets, tail.last_id + 1);
    if (from > to || to > size || to - from > static_cast<std::int64_t>(model::kMaxTokenSize)) {
      tail.is_broken = true;
      continue;
    }
    for (std::int64_t i = from; i < to; ++i) {
      tail.text += static_cast<char>(opened.element(bytes, static_cast<std::uint64_t>(i)));
    }
  }
  return tail;
}

// SPEC SAMP-10 at position t, as far as the tail shows; 0: the answer does not end there.
std::uint8_t end_at(const Statement& statement, const Tail& tail, bool is_last) {
  const Terms& terms = statement.terms;
  if (std::ranges::binary_search(statement.model.eos_ids, tail.last_id)) return 1;
  const auto stands = [&](const std::string& stop) {
    return tail.text.find(stop) != std::string::npos;
  };
  if (std::ranges::any_of(terms.stop, stands)) return 2;
  const bool is_full = statement.token_count() == statement.shape().context;
  return is_last && (terms.out_count == terms.max_tokens || is_full) ? 3 : 0;
}

}  // namespace

Result<Verdict> adjudicate_finish(const Statement& statement, std::uint32_t t,
                                  const Witness& witness) {
  const Terms& terms = statement.terms;
  if (t < terms.prompt_count || t >= statement.token_count()) {
    return reject(MoveReject::kStepUnknown, "the answer has no token there.");
  }
  OTR_TRY_ASSIGN(Opened opened, Opened::open(statement, nullptr, witness));
  const Opening* run = opened.run_ending(kTokenTree, std::uint64_t{t} + 1);
  if (run == nullptr || run->begin < terms.prompt_count ||
      run->end - run->begin > kMaxFinishTokens) {
    return reject(MoveReject::kWitnessIncomplete,
                  "the witness has no run of output tokens that ends with position " +
                      std::to_string(t) + ", or a longer one than is read.");
  }
  const Tail tail = read_tail(statement, opened, run->begin, run->end);
  OTR_TRY(opened.complete());
  const std::string at = "position " + std::to_string(t);
  if (tail.is_broken) {
    return Verdict{Reject::kOutOfRange, "a token up to " + at + " is none of the model's."};
  }
  const bool is_last = t + 1 == statement.token_count();
  const std::uint8_t end = end_at(statement, tail, is_last);
  std::size_t longest = 1;
  for (const std::string& stop : terms.stop) longest = std::max(longest, stop.size());
  const bool is_whole = run->begin == terms.prompt_count || tail.before_last >= longest - 1;
  const bool is_certain = end == 1 || end == 2 || is_whole;
  if (is_last ? end != terms.finish_reason && is_certain : end != 0) {
    return Verdict{Reject::kFinishMismatch,
                   "at " + at + " the answer has the end " + std::to_string(end) +
                       " (0: none); the claim says that it ends at position " +
                       std::to_string(statement.token_count() - 1) + " with " +
                       std::to_string(terms.finish_reason) + "."};
  }
  return reject(MoveReject::kNotRefuted, "the end of the answer is as the claim says.");
}

}  // namespace otr::referee
