// The vectors of SPEC chapter TRACE that need no execution: ids, headers, the list under the root,
// and divergences.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

#include "base/hex.h"
#include "base/test_vectors.h"
#include "machine/tables.h"
#include "machine/test_sampling.h"
#include "model/artifact.h"
#include "trace/divergence.h"

namespace otr::trace {
namespace {

using merkle::Kind;
using nlohmann::json;

const std::map<std::string, Kind> kKinds = {{"token", Kind::kTokenIds},
                                            {"K", Kind::kKey},
                                            {"V", Kind::kValue},
                                            {"residual", Kind::kResidual}};

Hash hash_of(const json& hex) { return hash_from_hex(hex.get<std::string>(), "hash").value(); }

std::string vectors_folder() { return OTR_SOURCE_DIR "/spec/vectors/"; }

TraceHeader header_of(const json& in, const json& out) {
  std::ifstream file(vectors_folder() + in["model"].get<std::string>(), std::ios::binary);
  Bytes bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const json& sampling = in["sampling"];
  return {.spec_hash = machine::kSpecHash,
          .model_root = model::parse_artifact(std::move(bytes)).value().root(),
          .prompt_count = static_cast<std::uint32_t>(in["prompt"].size()),
          .out_count = static_cast<std::uint32_t>(out["output_ids"].size()),
          .mode = Privacy::kPublic,
          .sampling = {.inv_t = sampling["inv_t"],
                       .top_k = sampling["top_k"],
                       .top_p = sampling["top_p"],
                       .min_p = sampling["min_p"],
                       .presence = sampling["presence"],
                       .frequency = sampling["frequency"],
                       .seed = hash_of(sampling["seed"]),
                       .logit_bias = machine::logit_bias_of(sampling["logit_bias"])}};
}

// SPEC TRACE-1, TRACE-4, and TRACE-5 over the roots that the vector lists; the engine's tests make
// them.
TEST(Conformance, TokenRootsHeadersAndTraceRoots) {
  std::ifstream file(vectors_folder() + "forward.json");
  const json cases = json::parse(file)["cases"];
  std::size_t count = 0;
  for (const json& one : cases) {
    if (!one.contains("out")) continue;
    SCOPED_TRACE(one["name"]);
    const json& out = one["out"];
    if (one["rule"] == "TRACE-1") {
      EXPECT_EQ(token_root(one["in"]["ids"].get<std::vector<std::uint32_t>>()),
                hash_of(out["root"]));
    }
    if (!out.contains("trace_root")) continue;
    const Hash header = hash_of(header_of(one["in"], out));
    EXPECT_EQ(header, hash_of(out["header"]));
    std::vector<std::uint32_t> ids = one["in"]["prompt"];
    ids.insert(ids.end(), out["output_ids"].begin(), out["output_ids"].end());
    EXPECT_EQ(token_root(ids), hash_of(out["token_root"]));
    std::vector<Hash> list = {header, token_root(ids)};
    for (const json& layer : out["layers"]) {
      for (std::size_t head = 0; head < layer["k"].size(); ++head) {
        list.push_back(hash_of(layer["k"][head]));
        list.push_back(hash_of(layer["v"][head]));
      }
      list.push_back(hash_of(layer["residual"]));
    }
    EXPECT_EQ(merkle::list_root(Kind::kTrace, list), hash_of(out["trace_root"]));
    ++count;
  }
  EXPECT_GT(count, 0);
}

// A trace of zeros with ones in the first cell of each leaf in `changed`.
TraceBuilder trace_with(const json& changed) {
  machine::Shape shape;
  shape.hidden = 1025;
  shape.heads = 8;
  shape.kv_heads = 8;
  shape.head_dim = 2;
  shape.layers = 4;
  const auto cell = [&](std::uint64_t t, const StreamId& stream, std::uint64_t tile) {
    return std::ranges::any_of(changed, [&](const json& leaf) {
      return leaf["t"] == t && kKinds.at(leaf["kind"]) == stream.kind &&
             leaf["layer"] == stream.layer && leaf["head"] == stream.kv_head &&
             leaf["tile"] == tile;
    });
  };
  TraceBuilder builder(shape, TraceBuilder::Keep::kRows);
  for (std::uint64_t t = 0; t < 7; ++t) {
    builder.append_token(cell(t, {}, 0));
    for (std::uint32_t layer = 0; layer < shape.layers && t < 6; ++layer) {
      for (std::uint32_t head = 0; head < shape.kv_heads; ++head) {
        const std::vector<std::int16_t> k = {cell(t, {Kind::kKey, layer, head}, 0), 0};
        const std::vector<std::int8_t> v = {cell(t, {Kind::kValue, layer, head}, 0), 0};
        builder.append_kv(layer, head, k, 4, v, 0);
      }
      std::vector<std::int32_t> x(shape.hidden);
      for (std::size_t tile = 0; tile < 3; ++tile) {
        x[tile * merkle::kTileElements] = cell(t, {Kind::kResidual, layer, 0}, tile);
      }
      builder.append_residual(layer, x);
    }
  }
  return builder;
}

TEST(Conformance, Divergences) {
  check_vectors("forward", "TRACE-6", [](const json& in) -> json {
    const auto first = first_divergence(trace_with(json::array()), trace_with(in["differ"]));
    if (!first) return json::object();
    const auto kind =
        std::ranges::find(kKinds, first->stream.kind, [](const auto& one) { return one.second; });
    return {{"first",
             {{"t", first->t},
              {"kind", kind->first},
              {"layer", first->stream.layer},
              {"head", first->stream.kv_head},
              {"tile", first->tile}}}};
  });
}

}  // namespace
}  // namespace otr::trace
