// A small notation for the expressions of SPEC PT, so that circuit.cc reads next to the SPEC.
#ifndef OTR_ZK_EXPRESSION_H_
#define OTR_ZK_EXPRESSION_H_

#include <utility>

#include "zk/circuit.h"

namespace otr::zk {

struct Poly {
  Expression terms;
};

inline Poly number(std::int64_t value) { return {{{felt(value), {}}}}; }
inline Poly column(ColumnId id) { return {{{Felt{1}, {id}}}}; }

inline Poly operator+(Poly a, const Poly& b) {
  a.terms.insert(a.terms.end(), b.terms.begin(), b.terms.end());
  return a;
}
inline Poly operator*(const Poly& a, const Poly& b) {
  Poly product;
  for (const Term& s : a.terms) {
    for (const Term& t : b.terms) {
      Term term{s.coefficient * t.coefficient, s.factors};
      term.factors.insert(term.factors.end(), t.factors.begin(), t.factors.end());
      product.terms.push_back(std::move(term));
    }
  }
  return product;
}
inline Poly operator-(Poly a, const Poly& b) { return std::move(a) + number(-1) * b; }

}  // namespace otr::zk

#endif  // OTR_ZK_EXPRESSION_H_
