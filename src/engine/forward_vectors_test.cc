// SPEC PROG and TRACE: whole executions of the tiny models against the vectors, by the reference
// engine and by the fast one, which cuts the same positions into different chunks.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "engine/generate.h"
#include "engine/reference.h"
#include "machine/test_sampling.h"
#include "model/artifact.h"
#include "protocol/finish.h"
#include "trace/micro_trace.h"
#include "trace/noise.h"

namespace otr::engine {
namespace {

using machine::kHeadLayer;
using machine::Sampling;
using merkle::Kind;
using nlohmann::json;
using trace::TraceBuilder;
using Ids = std::vector<std::uint32_t>;

json hex(const Hash& hash) { return to_hex(hash); }

const std::string kVectors = OTR_SOURCE_DIR "/spec/vectors/";

Bytes bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << "cannot read " << path;
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

// The cases of whole executions: those that name PROG-2.
std::vector<json> executions() {
  const Bytes text = bytes_of(kVectors + "forward.json");
  const json document = json::parse(text, nullptr, false);
  std::vector<json> cases;
  if (!document.is_object()) return cases;
  for (const json& c : document["cases"]) {
    const json& rules = c["rule"];
    if (std::ranges::find(rules, json("PROG-2")) != rules.end()) cases.push_back(c);
  }
  return cases;
}

const model::Artifact& artifact_of(const json& in) {
  static std::map<std::string, model::Artifact> all;
  const std::string name = in["model"];
  if (const auto it = all.find(name); it != all.end()) return it->second;
  auto artifact = model::parse_artifact(bytes_of(kVectors + name));
  EXPECT_TRUE(artifact) << name << ": " << artifact.error().message;
  return all.emplace(name, std::move(artifact).value()).first->second;
}

Sampling sampling_of(const json& in) {
  return {.inv_t = in["inv_t"],
          .top_k = in["top_k"],
          .top_p = in["top_p"],
          .min_p = in["min_p"],
          .presence = in["presence"],
          .frequency = in["frequency"],
          .seed = hash_from_hex(in["seed"].get<std::string>(), "seed").value(),
          .logit_bias = machine::logit_bias_of(in["logit_bias"])};
}

struct Execution {
  const model::Artifact& artifact;
  Sampling sampling;
  Ids prompt;
  protocol::Request request;  // what ends the answer

  explicit Execution(const json& in)
      : artifact(artifact_of(in)), sampling(sampling_of(in["sampling"])), prompt(in["prompt"]) {
    request.prompt_count = static_cast<std::uint32_t>(prompt.size());
    request.max_tokens = in["max_tokens"];
    request.stop = in["stop"].get<std::vector<std::string>>();
  }
  const machine::Model& model() const { return artifact.view(); }
  Job job() const { return {prompt, sampling, trace::noise_block}; }
  trace::TraceHeader header(std::size_t out_count) const {
    return {.spec_hash = machine::kSpecHash,
            .model_root = artifact.root(),
            .prompt_count = static_cast<std::uint32_t>(prompt.size()),
            .out_count = static_cast<std::uint32_t>(out_count),
            .sampling = sampling};
  }
};

template <class T>
json row_as(const TraceBuilder& trace, const trace::StreamId& stream, std::uint64_t t) {
  const auto format = trace::row_format(trace.shape(), stream);
  const ByteView row = trace.rows(stream).subspan(t * format.size_bytes(), format.size_bytes());
  std::vector<T> values(format.cols);
  std::memcpy(values.data(), row.data(), row.size());
  return values;
}

// All of "out" that the trace shows.
void expect_trace(const TraceBuilder& trace, const trace::TraceHeader& header, const json& out) {
  EXPECT_EQ(hex(hash_of(header)), out["header"]);
  EXPECT_EQ(hex(trace.token_root()), out["token_root"]);
  EXPECT_EQ(hex(trace.root(header)), out["trace_root"]);
  for (const json& wanted : out["rows"]) {
    const std::string kind = wanted["kind"];
    const std::uint32_t layer = wanted["layer"], t = wanted["t"];
    json row;
    if (kind == "residual") {
      row = row_as<std::int32_t>(trace, {Kind::kResidual, layer, 0}, t);
    } else if (kind == "K") {
      row = row_as<std::int16_t>(trace, {Kind::kKey, layer, wanted["head"]}, t);
    } else {
      row = row_as<std::int8_t>(trace, {Kind::kValue, layer, wanted["head"]}, t);
    }
    EXPECT_EQ(row, wanted["row"]) << kind << " of layer " << layer << ", position " << t;
  }
  std::vector<std::pair<trace::StreamId, json>> trees;
  for (std::uint32_t l = 0; l < out["layers"].size(); ++l) {
    const json& layer = out["layers"][l];
    for (std::uint32_t g = 0; g < trace.shape().kv_heads; ++g) {
      trees.push_back({{Kind::kKey, l, g}, layer["k"][g]});
      trees.push_back({{Kind::kValue, l, g}, layer["v"][g]});
    }
    trees.push_back({{Kind::kResidual, l, 0}, layer["residual"]});
  }
  for (const auto& [stream, root] : trees) {
    const auto format = trace::row_format(trace.shape(), stream);
    EXPECT_EQ(hex(merkle::tensor_root(stream.kind, format.type, format.cols, trace.rows(stream))),
              root)
        << "kind " << static_cast<int>(stream.kind) << ", layer " << stream.layer;
  }
}

// As a worker runs it: prompt in chunks, then a token at a time until the answer ends.
TEST(ForwardVectors, FastEngineGenerates) {
  const auto cases = executions();
  ASSERT_GE(cases.size(), 20u);
  for (const json& c : cases) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const Execution run(c["in"]);
    TraceBuilder trace(run.model().shape, TraceBuilder::Keep::kRows);
    Forward forward(run.model(), 2);
    protocol::FinishDetector finish(run.model(), run.request);
    int reason = 0;
    const auto ids = generate(
        forward, run.model(), run.job(), trace,
        [&](std::uint32_t id) {
          const auto ended = finish.push(id);
          if (ended) reason = static_cast<int>(*ended);
          return ended.has_value();
        },
        [] { return false; });
    if (c.contains("reject")) {
      ASSERT_FALSE(ids);
      EXPECT_EQ(ids.error().kind, ErrorKind::kOutOfRange);
      EXPECT_EQ(ids.error().code, c["reject"].get<std::string>());
      continue;
    }
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, c["out"]["output_ids"].get<Ids>());
    EXPECT_EQ(reason, c["out"]["finish_reason"]);
    expect_trace(trace, run.header(ids->size()), c["out"]);
  }
}

// As a checker runs it, and in chunks of other sizes.
TEST(ForwardVectors, FastEngineRecomputesInAnyChunks) {
  for (const json& c : executions()) {
    if (c.contains("reject")) continue;
    SCOPED_TRACE(c["name"].get<std::string>());
    const Execution run(c["in"]);
    const Ids output = c["out"]["output_ids"];
    Forward forward(run.model(), 3);
    TraceBuilder checked(run.model().shape, TraceBuilder::Keep::kTops);
    const auto again =
        recompute(forward, run.model(), run.job(), output, checked, [] { return false; });
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->chosen, output);
    EXPECT_EQ(hex(checked.root(run.header(output.size()))), c["out"]["trace_root"]);

    Ids known = run.prompt;
    known.insert(known.end(), output.begin(), output.end());
    for (const std::size_t chunk : {1, 5, 64}) {
      TraceBuilder trace(run.model().shape, TraceBuilder::Keep::kTops);
      for (const std::uint32_t id : known) trace.append_token(id);
      KvCache cache(run.model().shape);
      const std::size_t positions = known.size() - 1;
      for (std::size_t at = 0; at < positions; at += chunk) {
        const std::size_t count = std::min(chunk, positions - at);
        ASSERT_TRUE(forward.run(cache, std::span(known).subspan(at, count), &trace));
      }
      EXPECT_EQ(hex(trace.root(run.header(output.size()))), c["out"]["trace_root"]) << chunk;
    }
  }
}

// Hands what the reference computed at a position to the trace.
void append_position(const Reference& reference, std::uint32_t t, TraceBuilder& trace) {
  const machine::Shape& shape = trace.shape();
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    for (std::uint32_t g = 0; g < shape.kv_heads; ++g) {
      const CachedRow& k = reference.state().k_rows[l * shape.kv_heads + g][t];
      const CachedRow& v = reference.state().v_rows[l * shape.kv_heads + g][t];
      const std::vector<std::int8_t> values(v.begin(), v.begin() + shape.head_dim);
      trace.append_kv(l, g, std::span(k).first(shape.head_dim), k.back(), values, v.back());
    }
    trace.append_residual(l, reference.state().residuals[l][t]);
  }
}

void expect_micro_trace(const Reference& reference, std::uint32_t t, std::uint32_t layer,
                        const json& wanted) {
  const auto roots = trace::micro_roots(reference.program(), reference.state().sampling, t, layer,
                                        reference.state().tensors);
  json tensors = json::array();
  for (const trace::MicroRoot& one : roots) {
    tensors.push_back(
        {static_cast<int>(one.tensor), one.shape.rows, one.shape.cols, to_hex(one.root)});
  }
  ASSERT_EQ(tensors.size(), wanted["tensors"].size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(tensors[i], wanted["tensors"][i]) << machine::info(roots[i].tensor).name;
  }
  EXPECT_EQ(hex(trace::micro_trace_root(reference.program(), reference.state().sampling, t, layer,
                                        reference.state().tensors)),
            wanted["root"]);
}

TEST(ForwardVectors, ReferenceAndMicroTraces) {
  for (const json& c : executions()) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const Execution run(c["in"]);
    const auto n_prompt = static_cast<std::uint32_t>(run.prompt.size());
    Reference reference(run.model(), run.sampling, n_prompt, trace::noise_block);
    std::size_t seen = 0;
    const json micro = c.contains("out") ? c["out"]["micro"] : json::array();
    reference.observe([&](std::uint32_t t, std::uint32_t layer) {
      for (const json& wanted : micro) {
        const std::int64_t at = layer == kHeadLayer ? -1 : std::int64_t{layer};
        if (wanted["t"] != t || wanted["layer"] != at) continue;
        SCOPED_TRACE("micro-trace of " + std::to_string(t) + ", layer " + std::to_string(at));
        expect_micro_trace(reference, t, layer, wanted);
        ++seen;
      }
    });
    TraceBuilder trace(run.model().shape, TraceBuilder::Keep::kRows);
    Ids known = run.prompt;
    const std::size_t out_count = c.contains("out") ? c["out"]["output_ids"].size() : 99;
    Status status;
    for (std::uint32_t t = 0; status && known.size() < n_prompt + out_count; ++t) {
      status = reference.advance(known[t]);
      if (!status) break;
      append_position(reference, t, trace);
      if (t + 1 < n_prompt) continue;
      const auto id = reference.choose();
      if (!id) status = std::unexpected(id.error());
      if (id) known.push_back(*id);
    }
    if (c.contains("reject")) {
      ASSERT_FALSE(status);
      EXPECT_EQ(status.error().code, c["reject"].get<std::string>());
      const json& at = c["at"];
      EXPECT_NE(status.error().message.find("position " + at["t"].dump() + ", layer " +
                                            at["layer"].dump() + ","),
                std::string::npos)
          << status.error().message << " instead of " << at.dump();
      continue;
    }
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(Ids(known.begin() + n_prompt, known.end()), c["out"]["output_ids"].get<Ids>());
    EXPECT_EQ(seen, micro.size());
    for (const std::uint32_t id : known) trace.append_token(id);
    expect_trace(trace, run.header(out_count), c["out"]);
  }
}

// Penalties count the output alone (SPEC SAMP-1). The prompt here ends with what the model says
// anyway, so that an engine that counted the prompt too would be turned away from it.
TEST(ForwardVectors, PenaltiesLeaveThePromptAlone) {
  json in = executions().at(0)["in"];
  in["sampling"]["inv_t"] = 0;
  const auto answer = [](const Execution& run, std::size_t count) {
    Forward forward(run.model(), 1);
    TraceBuilder trace(run.model().shape, TraceBuilder::Keep::kTops);
    const auto ids = generate(
        forward, run.model(), run.job(), trace, [&](std::uint32_t) { return --count == 0; },
        [] { return false; });
    EXPECT_TRUE(ids);
    return ids.value_or(Ids());
  };
  const Execution plain(in);
  const Ids said = answer(plain, 12);
  Ids prompt = plain.prompt;
  prompt.insert(prompt.end(), said.begin(), said.end());
  in["prompt"] = prompt;
  in["sampling"]["presence"] = machine::kMaxPenalty;
  const Execution penalised(in);
  const Ids ids = answer(penalised, 12);

  Reference reference(penalised.model(), penalised.sampling,
                      static_cast<std::uint32_t>(prompt.size()), trace::noise_block);
  Ids truth;
  for (const std::uint32_t id : prompt) ASSERT_TRUE(reference.advance(id));
  while (truth.size() < ids.size()) {
    const auto id = reference.choose();
    ASSERT_TRUE(id);
    truth.push_back(*id);
    ASSERT_TRUE(reference.advance(*id));
  }
  EXPECT_EQ(ids, truth);
  // Else the test could not tell the two apart.
  EXPECT_TRUE(std::ranges::any_of(
      ids, [&](std::uint32_t id) { return std::ranges::find(prompt, id) != prompt.end(); }));
}

}  // namespace
}  // namespace otr::engine
