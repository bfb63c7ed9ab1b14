// What a claim says, all of it public: what the referee judges by (SPEC REF-1, REF-7).
//
// Names of trees, shapes and addresses are derived from a Statement and never taken from a peer.
#ifndef OTR_REFEREE_STATEMENT_H_
#define OTR_REFEREE_STATEMENT_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "machine/program.h"
#include "machine/step_reads.h"
#include "model/config.h"
#include "model/layout.h"
#include "trace/divergence.h"
#include "trace/header.h"

namespace otr::referee {

// Numbers of tensors in the order of SPEC MODEL-3; kNoTensor where a model has none.
inline constexpr std::uint32_t kNoTensor = UINT32_MAX;
struct MatrixTensors {
  std::uint32_t weight = kNoTensor;
  std::uint32_t scale = kNoTensor;
  std::uint32_t bias = kNoTensor;
};
struct LayerTensors {
  std::array<MatrixTensors, 7> matrices;  // machine::MatrixId kWq to kDown
  std::array<std::uint32_t, 4> gains;     // machine::GainId kAttnNorm to kMlpNorm
};

// A registered model: everything a referee needs of it but its weights, which proofs open.
struct ModelFacts {
  Hash root{};
  machine::Program program;
  std::vector<model::TensorSpec> tensors;  // order of SPEC MODEL-3
  std::vector<std::uint32_t> eos_ids;      // ascending
  std::vector<LayerTensors> layers;
  MatrixTensors embed, head;
  std::uint32_t final_norm = kNoTensor;
  std::uint32_t rope_steps = kNoTensor;
  std::uint32_t token_offsets = kNoTensor;
  std::uint32_t token_bytes = kNoTensor;
};

// Requires a configuration that parse_config accepted and token_bytes in [1, kMaxTokenBytes].
// That they belong to `root` is what check_registration says.
[[nodiscard]] ModelFacts model_facts(const Hash& root, const model::Config& config,
                                     std::uint64_t token_bytes);

// What registers a model: its configuration, and why it is that of the root (SPEC REF-7).
struct Registration {
  std::string config;             // the text otr.config
  std::uint64_t token_bytes = 0;  // size of tokens.bytes
  std::vector<Hash> config_path;  // leaf 0 of SPEC MODEL-6
  Bytes token_tile;               // tile 0 of tokens.bytes
  std::vector<Hash> token_path;   // to the top of its tree
  std::vector<Hash> list_path;    // from its root to the list's
};
// The facts; errors of parse_config, LIMIT_EXCEEDED and PATH_INVALID.
[[nodiscard]] Result<ModelFacts> check_registration(const Hash& root,
                                                    const Registration& registration);

// What request and claim say that a dispute can be about (SPEC REQ-2, CLAIM-1). dispute/terms.h
// makes it of the signed words.
struct Terms {
  bool request_valid = false;  // SPEC REQ-5, as far as it needs no prompt ids
  Hash prompt_root{};
  std::uint32_t request_prompt_count = 0;
  std::uint32_t max_tokens = 0;
  trace::Privacy mode = trace::Privacy::kPublic;
  machine::Sampling sampling;
  std::vector<std::string> stop;
  Hash trace_root{};
  std::uint32_t prompt_count = 0;
  std::uint32_t out_count = 0;
  std::uint8_t finish_reason = 0;
};

// One claim on one request for one model. Holds references.
struct Statement {
  const ModelFacts& model;
  const Terms& terms;

  [[nodiscard]] machine::StepContext context() const {
    return {model.program, terms.sampling, terms.prompt_count};
  }
  [[nodiscard]] const machine::Shape& shape() const { return model.program.shape; }
  // Positions of the trace. At least 2 and at most the context where check_statement passes.
  [[nodiscard]] std::uint64_t token_count() const {
    return std::uint64_t{terms.prompt_count} + terms.out_count;
  }
  [[nodiscard]] trace::TraceHeader header() const;  // SPEC TRACE-4
};

// SPEC REF-4, kind 1: kReject with the code that refutes the claim; nothing if it stands. Every
// other function of the referee requires a Statement for which this passes.
[[nodiscard]] Status check_statement(const Statement& statement);

// A leaf of the trace, and the position whose micro-trace makes it (SPEC MTRC-1).
using Leaf = trace::Divergence;
struct Position {
  std::uint32_t t = 0;
  std::uint32_t layer = 0;  // machine::kHeadLayer for the head

  friend bool operator==(const Position&, const Position&) = default;
};
// STEP_UNKNOWN if the trace has no such leaf, or it is a token of the prompt. Any leaf is allowed.
[[nodiscard]] Result<Position> position_of(const Statement& statement, const Leaf& leaf);

}  // namespace otr::referee

#endif  // OTR_REFEREE_STATEMENT_H_
