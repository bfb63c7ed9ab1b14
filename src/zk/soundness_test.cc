// The budget of SPEC PB, recomputed in floating point from the text: the shapes that the project
// proves are below 2^-100, and what would not be is refused.
#include "zk/soundness.h"

#include <gtest/gtest.h>

#include <cmath>

#include "zk/argument.h"
#include "zk/lookup_tables.h"
#include "zk/opening.h"
#include "zk/verify.h"

namespace otr::zk {
namespace {

struct Case {
  std::string name;
  machine::Shape shape;
  std::uint32_t n_prompt, n_out;
};

machine::Shape shape_of(std::uint32_t hidden, std::uint32_t heads, std::uint32_t kv_heads,
                        std::uint32_t head_dim, std::uint32_t ffn, std::uint32_t layers,
                        std::uint32_t vocabulary) {
  machine::Shape shape;
  shape.hidden = hidden;
  shape.heads = heads;
  shape.kv_heads = kv_heads;
  shape.head_dim = head_dim;
  shape.ffn = ffn;
  shape.layers = layers;
  shape.vocabulary = vocabulary;
  shape.context = 131072;
  return shape;
}

std::vector<Case> cases() {
  machine::Shape normed = shape_of(4096, 32, 8, 128, 14336, 1, 128256);
  normed.qk_norm = true;
  return {
      {"one layer of 8B with head norms, 64 positions", normed, 64, 1},
      {"demo", shape_of(128, 4, 2, 32, 384, 4, 512), 32, 32},
      {"15M, 64 positions", shape_of(288, 6, 6, 48, 768, 6, 32000), 33, 32},
      {"124M, 32 positions", shape_of(768, 12, 12, 64, 3072, 12, 50257), 17, 16},
      {"one layer of 8B, 128 positions", shape_of(4096, 32, 8, 128, 14336, 1, 128256), 128, 1},
  };
}

// Everything that may be there: three limbs of each remainder, all optional columns.
CircuitOptions largest() {
  return {.q_r = 2,
          .q_c = 2,
          .k_r = 2,
          .k_c = 2,
          .v_r = 3,
          .q_g = 3,
          .k_g = 3,
          .gap = 2,
          .o_r = 3,
          .o_c = 2,
          .x_r = 3,
          .x_c = 3,
          .x_e = 3,
          .x_yh = true,
          .x_zh = true,
          .f_r = 3,
          .f_c = 3,
          .s_r = 2,
          .sampled = true,
          .e3 = true,
          .kept = true,
          .qk_bias = true,
          .o_bias = true,
          .penalties = true};
}

long double bits(const Circuit& circuit, const Dims& dims) {
  long double sum = 0;
  for (const Dim dim : dims)
    sum += std::ceil(std::log2(static_cast<long double>(circuit.size(dim))));
  return sum;
}

// SPEC PB-1 line by line, as a probability.
long double budget(const Circuit& circuit, std::uint64_t cell_claims) {
  long double leaves = 0;
  for (const TableTag tag : circuit.tables) leaves += table_rows(tag);
  long double claims = static_cast<long double>(circuit.tables.size() + cell_claims);
  long double rows = 0, contractions = 0, cells = 0;
  for (const TableTag tag : circuit.tables) cells += table_rows(tag);
  for (const Domain& domain : circuit.domains) {
    const long double b = bits(circuit, domain.dims);
    leaves += static_cast<long double>(domain.lookups.size()) * std::exp2(b);
    rows += b + static_cast<long double>(domain.zeros.size()) + b * domain.degree;
    const auto columns = static_cast<long double>(domain.committed.size());
    claims += columns;
    cells += columns * static_cast<long double>(circuit.cells(domain.dims));
  }
  for (const Contraction& c : circuit.contractions) {
    std::size_t factors = 0;
    std::vector<ColumnId> committed;
    for (const auto& term : c.terms) {
      factors = std::max(factors, term.size());
      for (const ColumnId id : term) {
        if (circuit.columns[id].kind == ColumnKind::kCommitted) committed.push_back(id);
      }
    }
    std::ranges::sort(committed);
    claims += static_cast<long double>(std::ranges::unique(committed).begin() - committed.begin());
    const Dims& output = circuit.columns[c.output].dims;
    const bool shared = std::ranges::any_of(c.sum, [&](Dim d) { return has(output, d); });
    contractions += bits(circuit, c.sum) * static_cast<long double>(factors + (shared ? 1 : 0));
    if (c.scalars) contractions += bits(circuit, output);
  }
  const long double nu = std::ceil(std::log2(leaves));
  const long double n = std::max(8.0L, std::ceil(std::log2(cells)));
  const long double kappa = n - std::min(9.0L, std::max(1.0L, std::floor((n - 6) / 2)));
  const long double b = kappa + std::ceil(std::log2(std::ceil(cells / std::exp2(kappa))));
  const long double layers = 3 * nu * (nu - 1) / 2 + 2 * nu;
  const long double sum = 3 * std::exp2(nu) / 65536 + 1 + layers + rows + contractions + claims +
                          2 * b + b * std::exp2(kappa + 1);
  return sum * std::exp2(-127.0L) + std::pow(0.75L, 216.0L) * std::exp2(-16.0L);
}

TEST(Soundness, ShapesOfTheProjectAreBelowTheBound) {
  static_assert(kQueries == 216 && kQueryGrindBits == 16 && kLookupGrindBits == 16);
  const long double order = std::pow(static_cast<long double>(kPrime), 2.0L);
  EXPECT_GT(order, std::exp2(127.0L));
  for (const Case& c : cases()) {
    const Circuit circuit = build_circuit(c.shape, c.n_prompt, c.n_out, 1 << 24, largest());
    const std::vector<ColumnShape> shapes = committed_shapes(circuit);
    ASSERT_TRUE(Layout::fits(shapes)) << c.name;
    const Layout layout(shapes);
    // More claims on cells than any scalars make: ten records of four cells for each head.
    const std::uint64_t claims = std::uint64_t{40} * (c.n_prompt + c.n_out) * c.shape.layers *
                                 (c.shape.heads + 2 * c.shape.kv_heads);
    const long double total = budget(circuit, claims);
    EXPECT_LE(total, std::exp2(-100.0L)) << c.name;
    EXPECT_TRUE(check_soundness(circuit, layout, claims)) << c.name;
    // The program's integers say the same, rounded up.
    const auto sum = static_cast<long double>(soundness_terms(circuit, layout, claims).sum());
    const long double mine =
        (total - std::pow(0.75L, 216.0L) * std::exp2(-16.0L)) * std::exp2(127.0L);
    EXPECT_NEAR(static_cast<double>(sum / mine), 1.0, 1e-4) << c.name;
    std::printf("  %s: 2^%.2f\n", c.name.c_str(), static_cast<double>(std::log2(total)));
  }
}

TEST(Soundness, TooLargeIsRefused) {
  // All layers of an 8B model at many positions: too many leaves for the lookups' term.
  const machine::Shape shape = shape_of(4096, 32, 8, 128, 14336, 32, 128256);
  for (const std::uint32_t n : {1024U, 4096U, 65536U}) {
    const Circuit circuit = build_circuit(shape, n, 1, 1 << 24, largest());
    const LeafPlan plan = plan_leaves(circuit);
    const long double lookups = 3 * std::exp2(static_cast<long double>(plan.nu)) / 65536;
    // Whatever the layout: the refusal must come from the terms, so a small layout is given.
    const Layout layout(std::vector<ColumnShape>{{{1024}}});
    EXPECT_EQ(check_soundness(circuit, layout, 0).has_value(), lookups < std::exp2(26.0L) - 65536)
        << n;
    if (n == 65536) EXPECT_FALSE(check_soundness(circuit, layout, 0));
  }
  // And so many claims on cells.
  const Circuit small = build_circuit(cases()[0].shape, 2, 1, 0, {});
  const Layout layout(committed_shapes(small));
  EXPECT_TRUE(check_soundness(small, layout, 1000));
  const Status refused = check_soundness(small, layout, std::size_t{1} << 26);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "PROOF_INVALID");
}

}  // namespace
}  // namespace otr::zk
