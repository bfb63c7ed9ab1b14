// How likely the model held each token of an answer, for people: natural logarithms of the softmax
// of its raw logits, before bias, penalties, temperature and filters, computed in floating point
// beside the exact arithmetic. NOT COVERED BY THE CLAIM: nobody signs them, no receipt holds them,
// and no check looks at them. Who recomputes the answer can compute them again.
#ifndef OTR_APPS_LOGPROBS_H_
#define OTR_APPS_LOGPROBS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/canonical_json.h"
#include "machine/model.h"

namespace otr::apps {

inline constexpr unsigned kMaxLogprobs = 20;

struct TokenLogprob {
  std::uint32_t id = 0;
  double logprob = 0;
};

struct Logprobs {
  struct Position {
    TokenLogprob chosen;
    std::vector<TokenLogprob> likeliest;  // descending; of equals the least id first
  };
  std::vector<Position> positions;  // of the output tokens
};

// Takes the rows of logits of an answer, 2^16 to the unit (SPEC OP-17), and the token chosen from
// each, in turn.
class LogprobCollector {
 public:
  explicit LogprobCollector(unsigned likeliest) : count_(likeliest) {}
  void push_logits(std::span<const std::int32_t> logits);
  void push_token(std::uint32_t id);  // below the length of the row before
  const Logprobs& logprobs() const { return logprobs_; }

 private:
  unsigned count_;
  std::vector<double> row_;
  Logprobs logprobs_;
};

std::string to_text(const Logprobs& logprobs, const machine::Model& model);
Json to_json(const Logprobs& logprobs, const machine::Model& model);

}  // namespace otr::apps

#endif  // OTR_APPS_LOGPROBS_H_
