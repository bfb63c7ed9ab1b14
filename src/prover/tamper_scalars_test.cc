// What stands in clear: every scalar changed to its neighbours and to extremes, every trace row,
// and records that do not demand their exponents (SPEC PS-2 to PS-5). Either the verifier's own
// arithmetic refuses it, or the argument has nothing that fits.
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <map>

#include "prover/lies.h"

namespace otr::prover {
namespace {

bool exhaustive() { return std::getenv("OTR_EXHAUSTIVE") != nullptr; }

// Calls body(name, field) for every number of the scalars of a row, of an output.
template <class Body>
void each_field(zk::Record& record, const std::string& name, const Body& body) {
  body(name + ".exponent", record.exponent);
  body(name + ".named", record.named);
  body(name + ".value", record.value);
}
template <class Body>
void each_field(zk::RowScalars& row, const Body& body) {
  for (zk::Record& r : row.q) each_field(r, "q", body);
  for (zk::Record& r : row.k) each_field(r, "k", body);
  for (zk::Record& r : row.v) each_field(r, "v", body);
  for (std::uint64_t& sum : row.q_sumsq) body("q.sumsq", sum);
  for (std::uint64_t& sum : row.k_sumsq) body("k.sumsq", sum);
  for (auto& head : row.tiles) {
    for (zk::TileScalars& tile : head) {
      body("tile.m", tile.m);
      body("tile.x", tile.x);
      body("tile.mu", tile.mu);
      body("tile.mr", tile.mr);
      body("tile.xu", tile.xu);
      body("tile.xr", tile.xr);
    }
  }
  for (zk::HeadScalars& head : row.heads) {
    body("head.sum", head.sum);
    each_field(head.shift, "A", body);
  }
  each_field(row.o, "o", body);
  each_field(row.norm_shift, "norm", body);
  body("norm.sumsq", row.norm_sumsq);
  each_field(row.m, "m", body);
  each_field(row.g, "g", body);
  each_field(row.h, "h", body);
}
template <class Body>
void each_field(zk::OutputScalars& output, const Body& body) {
  body("l_max", output.l_max);
  body("named", output.named);
  body("named_logit", output.named_logit);
  body("token_logit", output.token_logit);
}

// Calls body(name) with each change in place.
template <class Body>
void each_change(zk::Scalars& scalars, const Body& body) {
  const auto change = [&](const std::string& name, auto& field) {
    using T = std::remove_reference_t<decltype(field)>;
    using U = std::make_unsigned_t<T>;
    using Limits = std::numeric_limits<T>;
    const T truth = field;
    std::set<T> lies = {static_cast<T>(static_cast<U>(truth) + 1U),
                        static_cast<T>(static_cast<U>(truth) - 1U), Limits::min(), Limits::max(),
                        T{0}};
    if (name.ends_with("exponent")) {  // one byte in the file
      lies.erase(Limits::min()), lies.erase(Limits::max());
      lies.insert(static_cast<T>(-128)), lies.insert(static_cast<T>(127));
    }
    lies.erase(truth);
    for (const T lie : lies) {
      field = lie;
      body(name);
    }
    field = truth;
  };
  for (auto& layer : scalars.rows) {
    for (std::size_t t = 0; t < layer.size(); ++t) {
      if (exhaustive() || t == 0 || t + 1 == layer.size()) each_field(layer[t], change);
    }
  }
  for (zk::OutputScalars& output : scalars.outputs) each_field(output, change);
}

TEST(Scalars, EveryNumberChanged) {
  std::map<std::string, int> by_rows, by_argument;
  std::vector<Play> all = plays();
  all.push_back({.name = "head norms", .artifact = {.seed = 6, .qk_norm = true}, .sampling = {}});
  for (const Play& play : all) {
    const Scene scene(play);
    Lie lie = scene.truth();
    each_change(lie.witness.scalars, [&](const std::string& name) {
      Lie changed{lie.witness, {}};
      if (!changed.recompute(scene)) {
        ++by_rows[name];
        return;
      }
      // Of equal scores either may be named.
      const bool place = name == "tile.mu" || name == "tile.xu";
      if (place && changed.wrong(scene).empty()) return;
      ++by_argument[name];
      EXPECT_NE(changed.wrong(scene), std::set<std::string>()) << play.name << ": " << name;
      // Nor with remainders that are made for it.
      changed.fill(scene);
      EXPECT_NE(changed.wrong(scene), std::set<std::string>()) << play.name << ": " << name;
    });
  }
  for (const char* name : {"q.exponent", "k.value", "v.exponent", "tile.mu", "tile.x", "head.sum",
                           "A.exponent", "A.value", "o.exponent", "norm.exponent", "m.exponent",
                           "g.value", "h.exponent", "l_max", "named_logit", "q.sumsq", "k.sumsq"}) {
    EXPECT_GT(by_rows[name], 0) << name;
  }
  // What no native check sees, some constraint does.
  for (const char* name : {"tile.m", "tile.mr", "tile.xr", "head.sum", "norm.sumsq", "A.value",
                           "m.value", "token_logit", "q.sumsq", "k.sumsq"}) {
    EXPECT_GT(by_argument[name], 0) << name;
  }
}

// The same changes in the bytes of a proof.
TEST(Scalars, ProofOfOthersIsRefused) {
  const Scene scene(plays()[0]);
  const auto proof =
      prove_pass(scene.statement(), scene.job(), scene.truth().witness, scene.pool(), {});
  ASSERT_TRUE(proof);
  zk::Scalars scalars = scene.truth().witness.scalars;
  int n = 0;
  each_change(scalars, [&](const std::string& name) {
    if (++n % 7 != 0 && !exhaustive()) return;
    const Bytes bytes = zk::encode_scalars(scalars);
    const Status verified =
        zk::verify_pass(scene.statement(), scene.job(), {proof->rows, bytes, proof->argument});
    EXPECT_FALSE(verified) << name;
    if (!verified) EXPECT_EQ(verified.error().code, "PROOF_INVALID") << name;
  });
  for (const int gap : {0, 2, 3, 255}) {
    scalars.gap = static_cast<std::uint8_t>(gap);
    EXPECT_FALSE(zk::verify_pass(scene.statement(), scene.job(),
                                 {proof->rows, zk::encode_scalars(scalars), proof->argument}));
  }
}

TEST(TraceRows, EveryByteChanged) {
  const Scene scene(plays()[0]);
  const auto proof =
      prove_pass(scene.statement(), scene.job(), scene.truth().witness, scene.pool(), {});
  ASSERT_TRUE(proof);
  Bytes rows = proof->rows;
  const std::size_t step = exhaustive() ? 1 : 5;
  for (std::size_t at = 0; at < rows.size(); at += step) {
    const std::uint8_t truth = rows[at];
    rows[at] ^= static_cast<std::uint8_t>(1 << at % 8);
    EXPECT_FALSE(
        zk::verify_pass(scene.statement(), scene.job(), {rows, proof->scalars, proof->argument}))
        << at;
    rows[at] = truth;
  }
}

// A value that is named and is not the row's: refused because of the claims on its cells alone.
TEST(Records, ClaimsOnCellsAreNeeded) {
  std::set<std::string> proven;
  const auto attempt = [&](const Scene& scene, const std::string& name, Lie lie) {
    if (!lie.recompute(scene)) return;
    const std::set<std::string> wrong = lie.wrong(scene);
    if (wrong.empty() || std::ranges::any_of(wrong, [](const std::string& what) {
          return !what.starts_with("cell ");
        })) {
      return;
    }
    if (!proven.insert(name).second) return;
    if (!exhaustive() && name != "m.value" && name != "tile.mr") return;
    const Status refused = try_lie(scene, lie);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code, "PROOF_INVALID");
    for (const std::string& what : wrong) lie.excuse(what);
    const Status taken = try_lie(scene, std::move(lie));
    EXPECT_TRUE(taken) << name << ": " << taken.error().message;
  };
  for (const Play& play : plays()) {
    const Scene scene(play);
    Lie lie = scene.truth();
    each_change(lie.witness.scalars, [&](const std::string& name) {
      if (!proven.contains(name)) attempt(scene, name, lie);
    });
  }
  for (const char* name :
       {"q.value", "k.value", "v.value", "A.value", "o.value", "norm.value", "m.value", "g.value",
        "h.value", "tile.mr", "tile.xr", "tile.mu", "tile.xu", "named"}) {
    EXPECT_TRUE(proven.contains(name)) << name;
  }
}

}  // namespace
}  // namespace otr::prover
