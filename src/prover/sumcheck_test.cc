// The sumcheck prover against a slow one on dense padded tables, tolerance zero, and against the
// verifier's half.
#include "prover/sumcheck.h"

#include <gmock/gmock.h>

#include <random>
#include <string>

#include "base/bytes.h"

namespace otr::prover {
namespace {

using zk::Ext;
using Random = std::mt19937_64;

Ext random_ext(Random& random) { return {{random() % zk::kPrime}, {random() % zk::kPrime}}; }

zk::Transcript new_transcript() { return zk::Transcript(as_bytes("sumcheck test")); }

// --- The slow one --------------------------------------------------------------------------------

using Table = std::vector<Ext>;  // over all bits of all dimensions, lowest first

// The places of an index of all bits in each dimension.
std::vector<std::uint64_t> places(const SumcheckProblem& problem, std::uint64_t x) {
  std::vector<std::uint64_t> list;
  for (const std::uint32_t size : problem.sizes) {
    const int bits = zk::bits_of(size);
    list.push_back(x & ((std::uint64_t{1} << bits) - 1));
    x >>= bits;
  }
  return list;
}

std::size_t variables(const SumcheckProblem& problem) {
  std::size_t sum = 0;
  for (const std::uint32_t size : problem.sizes) sum += zk::bits_of(size);
  return sum;
}

Table dense(const SumcheckProblem& problem, const SumcheckColumn& column) {
  Table table(std::size_t{1} << variables(problem));
  for (std::uint64_t x = 0; x < table.size(); ++x) {
    const auto place = places(problem, x);
    std::size_t index = 0, stride = 1;
    bool inside = true;
    for (const std::uint32_t d : column.dims) {
      inside = inside && place[d] < problem.sizes[d];
      index += place[d] * stride;
      stride *= problem.sizes[d];
    }
    if (!inside) continue;
    table[x] = {{column.c0[index]}, {column.c1.empty() ? 0 : column.c1[index]}};
  }
  return table;
}

Table dense_eq(const SumcheckProblem& problem, std::size_t d) {
  Table table(std::size_t{1} << variables(problem));
  for (std::uint64_t x = 0; x < table.size(); ++x) {
    const std::uint64_t place = places(problem, x)[d];
    if (place < problem.sizes[d]) table[x] = zk::eq_at(*problem.eq[d], place);
  }
  return table;
}

struct Slow {
  explicit Slow(const SumcheckProblem& from) : problem(from) {
    for (const SumcheckColumn& column : from.columns) columns.push_back(dense(from, column));
    for (std::size_t d = 0; d < from.sizes.size(); ++d) {
      if (from.eq[d]) eq.push_back(dense_eq(from, d));
    }
  }
  // f on the line through the pair at 2y.
  Ext at(std::size_t y, Ext x) const {
    const auto value = [&](const Table& table) {
      return table[2 * y] + x * (table[2 * y + 1] - table[2 * y]);
    };
    Ext sum = zk::kZero;
    for (const SumcheckTerm& term : problem.terms) {
      Ext product = term.coefficient;
      for (const std::uint32_t column : term.columns) product *= value(columns[column]);
      sum += product;
    }
    for (const Table& table : eq) sum *= value(table);
    return sum;
  }
  Ext sum(Ext x) const {
    Ext total = zk::kZero;
    const Table& any = columns.empty() ? eq[0] : columns[0];
    for (std::size_t y = 0; y < any.size() / 2; ++y) total += at(y, x);
    return total;
  }
  void bind(Ext rho) {
    const auto fold = [&](Table& table) {
      for (std::size_t y = 0; y < table.size() / 2; ++y) {
        table[y] = table[2 * y] + rho * (table[2 * y + 1] - table[2 * y]);
      }
      table.resize(table.size() / 2);
    };
    for (Table& table : columns) fold(table);
    for (Table& table : eq) fold(table);
  }

  const SumcheckProblem& problem;
  std::vector<Table> columns, eq;
};

SumcheckResult slow_sumcheck(zk::Transcript& transcript, const SumcheckProblem& problem,
                             Ext& claim) {
  Slow slow(problem);
  SumcheckResult result;
  for (std::size_t i = 0; i < variables(problem); ++i) {
    if (i == 0) claim = slow.sum(zk::kZero) + slow.sum(zk::kOne);
    std::vector<Ext> message = {slow.sum(zk::kZero)};
    for (std::size_t x = 2; x <= problem.degree; ++x) {
      message.push_back(slow.sum(zk::ext(static_cast<std::int64_t>(x))));
    }
    transcript.absorb(zk::Label::kSumcheck, message);
    result.proof.messages.insert(result.proof.messages.end(), message.begin(), message.end());
    result.point.push_back(transcript.challenge());
    slow.bind(result.point.back());
  }
  for (const Table& table : slow.columns) result.values.push_back(table[0]);
  return result;
}

// --- Random problems -----------------------------------------------------------------------------

SumcheckColumn random_column(const std::vector<std::uint32_t>& sizes,
                             std::vector<std::uint32_t> dims, bool base, Random& random) {
  std::size_t cells = 1;
  for (const std::uint32_t d : dims) cells *= sizes[d];
  SumcheckColumn column{std::move(dims), {}, {}};
  for (std::size_t i = 0; i < cells; ++i) {
    column.c0.push_back(random() % 8 == 0 ? zk::kPrime - 1 : random() % zk::kPrime);
    if (!base) column.c1.push_back(random() % zk::kPrime);
  }
  return column;
}

struct Shape {
  std::vector<std::uint32_t> sizes;
  bool all_eq = false;
  std::size_t degree = 1;
};

SumcheckProblem random_problem(const Shape& shape, Random& random) {
  SumcheckProblem problem{.sizes = shape.sizes, .degree = shape.degree};
  std::vector<std::uint32_t> whole;
  bool some_eq = false;
  for (std::uint32_t d = 0; d < shape.sizes.size(); ++d) {
    whole.push_back(d);
    problem.eq.emplace_back();
    if (!shape.all_eq && (shape.degree == 1 || random() % 2 != 0)) continue;
    some_eq = true;
    zk::Point& point = problem.eq.back().emplace();
    for (int i = 0; i < zk::bits_of(shape.sizes[d]); ++i) point.push_back(random_ext(random));
  }
  // Two columns of all dimensions, then one of every subset, in F and in K.
  for (const bool base : {true, false}) {
    problem.columns.push_back(random_column(shape.sizes, whole, base, random));
  }
  for (std::uint32_t subset = 0; subset < 1U << whole.size(); ++subset) {
    std::vector<std::uint32_t> dims;
    for (const std::uint32_t d : whole) {
      if ((subset >> d & 1) != 0) dims.push_back(d);
    }
    problem.columns.push_back(random_column(shape.sizes, dims, random() % 2 == 0, random));
  }
  const std::size_t room = shape.degree - (some_eq ? 1 : 0);
  for (std::size_t i = random() % 9; i-- > 0;) {
    SumcheckTerm term{random() % 4 == 0 ? zk::kOne : random_ext(random), {}};
    for (std::size_t k = random() % (room + 1); k-- > 0;) {
      const bool again = !term.columns.empty() && random() % 4 == 0;
      term.columns.push_back(again ? term.columns[0]
                                   : static_cast<std::uint32_t>(random() % problem.columns.size()));
    }
    if (!shape.all_eq) {  // each dimension must be covered
      if (term.columns.empty() && room > 0) term.columns.emplace_back();
      if (term.columns.empty()) continue;
      term.columns[0] = static_cast<std::uint32_t>(random() % 2);
    }
    problem.terms.push_back(std::move(term));
  }
  return problem;
}

std::string describe(const SumcheckProblem& problem) {
  std::string text = "degree " + std::to_string(problem.degree) + ", sizes";
  for (std::size_t d = 0; d < problem.sizes.size(); ++d) {
    text += " " + std::to_string(problem.sizes[d]) + (problem.eq[d] ? " with eq" : "");
  }
  for (const SumcheckTerm& term : problem.terms) {
    text += "; term";
    for (const std::uint32_t column : term.columns) text += " " + std::to_string(column);
  }
  return text;
}

// --- The tests -----------------------------------------------------------------------------------

class SumcheckTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!supported(GetParam())) {
      GTEST_SKIP() << "this machine lacks the instruction set: its sumcheck is NOT TESTED";
    }
  }

  void expect_like_slow(const SumcheckProblem& problem) {
    SCOPED_TRACE(describe(problem));
    Ext claim;
    zk::Transcript slow_transcript = new_transcript();
    const SumcheckResult expected = slow_sumcheck(slow_transcript, problem, claim);
    const Ext after = slow_transcript.challenge();
    for (engine::Pool* pool : {&one_, &two_}) {
      zk::Transcript transcript = new_transcript();
      const SumcheckResult got = prove_sumcheck(transcript, problem, *pool, GetParam());
      ASSERT_EQ(got.proof.messages, expected.proof.messages);
      ASSERT_EQ(got.point, expected.point);
      ASSERT_EQ(got.values, expected.values);
      ASSERT_EQ(transcript.challenge(), after);
    }
    if (variables(problem) > 0) expect_verifies(problem, expected, claim);
  }

  void expect_verifies(const SumcheckProblem& problem, const SumcheckResult& result, Ext claim) {
    zk::Transcript transcript = new_transcript();
    const auto point =
        zk::check_sumcheck(transcript, result.proof, variables(problem), problem.degree, claim);
    ASSERT_TRUE(point.has_value());
    Ext f = zk::kZero;
    for (const SumcheckTerm& term : problem.terms) {
      Ext product = term.coefficient;
      for (const std::uint32_t column : term.columns) product *= result.values[column];
      f += product;
    }
    auto rest = std::span<const Ext>(*point);
    for (std::size_t d = 0; d < problem.sizes.size(); ++d) {
      const auto here = rest.first(zk::bits_of(problem.sizes[d]));
      rest = rest.subspan(here.size());
      if (problem.eq[d]) f *= zk::eq_prefix(*problem.eq[d], here, problem.sizes[d]);
    }
    EXPECT_EQ(claim, f);
  }

  engine::Pool one_{1}, two_{2};
};

TEST_P(SumcheckTest, SaysWhatTheSlowOneSays) {
  Random random(18);
  constexpr std::uint32_t kSizes[] = {1, 2, 3, 5, 8, 11};
  for (int trial = 0; trial < 300; ++trial) {
    Shape shape{.all_eq = random() % 2 == 0, .degree = 1 + random() % 5};
    std::size_t bits = 0;
    for (std::size_t d = 1 + random() % 4; d-- > 0;) {
      const std::uint32_t size = kSizes[random() % std::size(kSizes)];
      if (bits + zk::bits_of(size) > 8) continue;
      bits += zk::bits_of(size);
      shape.sizes.push_back(size);
    }
    if (shape.sizes.empty()) continue;
    expect_like_slow(random_problem(shape, random));
    if (HasFatalFailure()) return;
  }
}

// Runs of more than a block, and enough pairs that threads share them.
TEST_P(SumcheckTest, CutsLongRunsAndManyRuns) {
  Random random(19);
  for (const bool all_eq : {true, false}) {
    expect_like_slow(random_problem({{1023}, all_eq, 4}, random));
    expect_like_slow(random_problem({{2049}, all_eq, 3}, random));
    expect_like_slow(random_problem({{131, 17}, all_eq, 3}, random));
    expect_like_slow(random_problem({{3, 700}, all_eq, 3}, random));
    expect_like_slow(random_problem({{10, 3, 100}, all_eq, 3}, random));
    if (HasFatalFailure()) return;
  }
}

// Every term has the mask: it is taken out, and what is left may be a constant.
TEST_P(SumcheckTest, TakesOutWhatTermsHaveInCommon) {
  Random random(20);
  SumcheckProblem problem = random_problem({{11, 5}, true, 5}, random);
  problem.terms = {{random_ext(random), {0}},
                   {random_ext(random), {0, 1}},
                   {random_ext(random), {5, 0, 0}},
                   {random_ext(random), {0, 1, 3, 3}}};
  expect_like_slow(problem);
}

TEST_P(SumcheckTest, HasNoRoundsWithoutVariables) {
  Random random(21);
  expect_like_slow(random_problem({{1, 1}, true, 3}, random));
}

INSTANTIATE_TEST_SUITE_P(AllSets, SumcheckTest,
                         testing::Values(Isa::kPortable, Isa::kAvx2, Isa::kAvx512));

}  // namespace
}  // namespace otr::prover
