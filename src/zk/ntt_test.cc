// The code of the commitment against evaluation of polynomials (SPEC PC-3).
#include "zk/ntt.h"

#include <gmock/gmock.h>

#include <random>

namespace otr::zk {
namespace {

Felt evaluate(const std::vector<Felt>& coefficients, Felt x) {
  Felt sum;
  for (std::size_t i = coefficients.size(); i-- > 0;) sum = sum * x + coefficients[i];
  return sum;
}

TEST(ParityCodeTest, IsThePolynomialAtTheOddPowers) {
  std::mt19937_64 random(3);
  for (int kappa = 1; kappa <= 10; ++kappa) {
    const std::size_t n = std::size_t{1} << kappa;
    const Felt omega = root_of_unity(kappa + 1);
    std::vector<Felt> coefficients(n);
    for (Felt& x : coefficients) x = {random() % kPrime};
    std::vector<std::uint64_t> row(n);
    for (std::size_t i = 0; i < n; ++i) row[i] = evaluate(coefficients, power(omega, 2 * i)).v;
    const ParityCode code(kappa);
    ASSERT_EQ(code.places(), n);
    code.extend(row);
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(row[i], evaluate(coefficients, power(omega, 2 * i + 1)).v) << kappa << " " << i;
    }
  }
}

// Sizes above the first-level cache, where the levels are walked in pairs: monomials of all
// degrees.
TEST(ParityCodeTest, IsThePolynomialAtTheOddPowersWhenLong) {
  for (const int kappa : {12, 13, 14, 15}) {
    const std::size_t n = std::size_t{1} << kappa;
    const ParityCode code(kappa);
    for (const std::size_t degree : {std::size_t{1}, n / 3, n - 1}) {
      const Felt base = power(root_of_unity(kappa + 1), degree);
      std::vector<std::uint64_t> row(n), parity(n);
      for (std::size_t i = 0; i < n; ++i) {
        row[i] = power(base, 2 * i).v;
        parity[i] = power(base, 2 * i + 1).v;
      }
      code.extend(row);
      EXPECT_EQ(row, parity) << kappa << " " << degree;
    }
  }
}

}  // namespace
}  // namespace otr::zk
