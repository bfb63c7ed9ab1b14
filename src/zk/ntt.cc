#include "zk/ntt.h"

#include "base/check.h"

namespace otr::zk {
namespace {

// One row.
struct Single {
  static constexpr std::size_t kWidth = 1;
  Felt v;

  static Single load(const std::uint64_t* from) { return {{*from}}; }
  static Single broadcast(std::uint64_t x) { return {{x}}; }
  void store(std::uint64_t* to) const { *to = v.v; }
  friend Single operator+(Single a, Single b) { return {a.v + b.v}; }
  friend Single operator-(Single a, Single b) { return {a.v - b.v}; }
  friend Single operator*(Single a, Single b) { return {a.v * b.v}; }
};

}  // namespace

ParityCode::ParityCode(int kappa) {
  OTR_CHECK(kappa >= 1 && kappa <= 31);
  const std::size_t n = std::size_t{1} << kappa;
  // ω^0 … ω^(n-1), by doubling, so that no product waits for the one before it.
  std::vector<Felt> powers(n);
  powers[0] = {1};
  Felt jump = root_of_unity(kappa + 1);
  for (std::size_t have = 1; have < n; have *= 2, jump *= jump) {
    for (std::size_t i = 0; i < have; ++i) powers[have + i] = powers[i] * jump;
  }
  down_.resize(n);
  up_.resize(n);
  for (std::size_t h = 2; h < n; h *= 2) {
    const std::size_t step = n / h;
    down_[h] = 1;
    for (std::size_t i = 1; i < h; ++i) down_[h + i] = (-powers[n - i * step]).v;  // ω^n = -1
    for (std::size_t i = 0; i < h; ++i) up_[h + i] = powers[(2 * i + 1) * (step / 2)].v;
  }
  const Felt scale = inverse(Felt{n});
  down_[1] = scale.v;
  up_[1] = (powers[n / 2] * scale).v;
}

void ParityCode::extend(std::span<std::uint64_t> row) const {
  OTR_CHECK(row.size() == places());
  zk::extend<Single>(row.data(), row.size(), twiddles());
}

}  // namespace otr::zk
