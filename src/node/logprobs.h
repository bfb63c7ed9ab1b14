// How likely the model held a token, for people: natural logarithms of the softmax of its raw
// logits, before bias, penalties, temperature and filters, computed in floating point beside the
// exact arithmetic. NOT COVERED BY THE CLAIM: nobody signs them, no receipt holds them, and no
// check looks at them. Who recomputes the answer can compute them again.
#ifndef OTR_NODE_LOGPROBS_H_
#define OTR_NODE_LOGPROBS_H_

#include <cstdint>
#include <span>
#include <vector>

namespace otr::node {

struct TokenLogprob {
  std::uint32_t id = 0;
  double logprob = 0;

  bool operator==(const TokenLogprob&) const = default;
};

// Of one output token.
struct TokenLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> likeliest;  // descending; of equals the least id first

  bool operator==(const TokenLogprobs&) const = default;
};

// From the row of logits, 2^16 to the unit (SPEC OP-17), that `chosen` was chosen from. Requires
// chosen < logits.size(). Gives as many of the likeliest as asked for, or all there are.
TokenLogprobs logprobs_of(std::span<const std::int32_t> logits, std::uint32_t chosen,
                          unsigned likeliest);

}  // namespace otr::node

#endif  // OTR_NODE_LOGPROBS_H_
