#include "zk/mle.h"

namespace otr::zk {

std::unexpected<Error> reject_proof(std::string message) {
  return fail(ErrorKind::kReject, std::move(message), "PROOF_INVALID");
}

Ext eq(std::span<const Ext> a, std::span<const Ext> b) {
  Ext product = kOne;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const Ext both = a[i] * b[i];
    product *= both + both + kOne - a[i] - b[i];
  }
  return product;
}

Ext eq_at(std::span<const Ext> a, std::uint64_t x) {
  Ext product = kOne;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product *= (x >> i & 1) != 0 ? a[i] : kOne - a[i];
  }
  return product;
}

std::vector<Ext> eq_table(std::span<const Ext> a, std::size_t n) {
  std::vector<Ext> table(n);
  if (n == 0) return table;
  table[0] = kOne;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::size_t half = std::size_t{1} << i;
    for (std::size_t x = 0; x < half && x < n; ++x) {
      const Ext high = table[x] * a[i];
      if (x + half < n) table[x + half] = high;
      table[x] -= high;
    }
  }
  return table;
}

Ext eq_prefix(std::span<const Ext> a, std::span<const Ext> b, std::uint64_t n) {
  // Highest bit first: what lies below n is what agrees with n so far and has a 0 where n has a 1.
  const std::size_t bits = a.size();
  if (bits < 64 && n >> bits != 0) return eq(a, b);
  Ext below = kZero;
  Ext equal = kOne;
  for (std::size_t i = bits; i-- > 0;) {
    const Ext one = a[i] * b[i];
    const Ext zero = one + kOne - a[i] - b[i];
    const bool bit = (n >> i & 1) != 0;
    below = below * (one + zero) + (bit ? equal * zero : kZero);
    equal *= bit ? one : zero;
  }
  return below;
}

Ext interpolate(std::span<const Ext> values, Ext x) {
  // Lagrange at 0 … d; d is at most 7, so the products of differences are small integers.
  Ext sum = kZero;
  for (std::size_t i = 0; i < values.size(); ++i) {
    Ext numerator = values[i];
    Felt denominator{1};
    for (std::size_t j = 0; j < values.size(); ++j) {
      if (j == i) continue;
      numerator *= x - ext(static_cast<std::int64_t>(j));
      denominator *= felt(static_cast<std::int64_t>(i) - static_cast<std::int64_t>(j));
    }
    sum += numerator * inverse(denominator);
  }
  return sum;
}

Result<Point> check_sumcheck(Transcript& transcript, const Sumcheck& proof, std::size_t variables,
                             std::size_t degree, Ext& claim) {
  if (proof.messages.size() != variables * degree) {
    return reject_proof("a sumcheck has the wrong number of messages");
  }
  Point point;
  std::vector<Ext> values(degree + 1);
  for (std::size_t i = 0; i < variables; ++i) {
    const auto sent = std::span(proof.messages).subspan(i * degree, degree);
    transcript.absorb(Label::kSumcheck, sent);
    values[0] = sent[0];
    values[1] = claim - sent[0];
    for (std::size_t j = 2; j <= degree; ++j) values[j] = sent[j - 1];
    point.push_back(transcript.challenge());
    claim = interpolate(values, point.back());
  }
  return point;
}

}  // namespace otr::zk
