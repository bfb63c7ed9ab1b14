// The natural logarithms of softmax(logits·unit).
#ifndef OTR_EVAL_LOG_SOFTMAX_H_
#define OTR_EVAL_LOG_SOFTMAX_H_

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace otr::eval {

inline constexpr double kLogitUnit = 1.0 / 65536;  // of the exact engine's logits: SPEC OP-17

template <class T>
std::vector<double> log_softmax(std::span<const T> logits, double unit) {
  const double greatest = static_cast<double>(std::ranges::max(logits)) * unit;
  std::vector<double> out;
  out.reserve(logits.size());
  double total = 0;
  for (const T logit : logits) {
    out.push_back(static_cast<double>(logit) * unit - greatest);
    total += std::exp(out.back());
  }
  for (double& value : out) value -= std::log(total);
  return out;
}

}  // namespace otr::eval

#endif  // OTR_EVAL_LOG_SOFTMAX_H_
