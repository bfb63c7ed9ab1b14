#include "referee/statement.h"

#include <map>

#include "base/reject.h"
#include "crypto/sha256.h"
#include "machine/tables.h"
#include "referee/reject.h"

namespace otr::referee {
namespace {

using machine::MatrixInfo;

std::unexpected<Error> refuted(Reject code, std::string message) {
  return fail(ErrorKind::kReject, std::move(message), std::string(name_of(code)));
}

std::int32_t bound(int act_bits) { return act_bits == 16 ? 32639 : 127; }  // SPEC OP-18

// The program of a configuration, as machine::lower() makes it of a whole model.
machine::Program program_of(const model::Config& config) {
  const machine::Shape& s = config.shape;
  const auto matrix = [&](const std::string& name, std::uint32_t rows, std::uint32_t cols,
                          bool has_bias = false) {
    return MatrixInfo{rows, cols, config.exponents.at(name), has_bias};
  };
  machine::Program program{.shape = s,
                           .layers = {},
                           .embed = matrix("embed", s.vocabulary, s.hidden),
                           .head = {},
                           .final_norm_exponent = config.exponents.at("final_norm"),
                           .head_bound = bound(config.act_bits.head)};
  program.head = config.tied ? program.embed : matrix("head", s.vocabulary, s.hidden);
  for (std::uint32_t l = 0; l < s.layers; ++l) {
    const std::string at = "layers." + std::to_string(l) + ".";
    const auto gain = [&](const char* name) {
      const auto found = config.exponents.find(at + name);
      return found == config.exponents.end() ? 0 : found->second;  // no q/k norms
    };
    program.layers.push_back(
        {.matrices = {matrix(at + "wq", s.q_width(), s.hidden, config.qk_bias),
                      matrix(at + "wk", s.kv_width(), s.hidden, config.qk_bias),
                      matrix(at + "wv", s.kv_width(), s.hidden),
                      matrix(at + "wo", s.hidden, s.q_width(), config.o_bias),
                      matrix(at + "w_gate", s.ffn, s.hidden), matrix(at + "w_up", s.ffn, s.hidden),
                      matrix(at + "w_down", s.hidden, s.ffn)},
         .gain_exponents = {gain("attn_norm"), gain("q_norm"), gain("k_norm"), gain("mlp_norm")},
         .bounds = {.attn = bound(config.act_bits.attn[l]),
                    .o = bound(config.act_bits.o[l]),
                    .mlp = bound(config.act_bits.mlp[l]),
                    .down = bound(config.act_bits.down[l])}});
  }
  return program;
}

}  // namespace

ModelFacts model_facts(const Hash& root, const model::Config& config, std::uint64_t token_bytes) {
  ModelFacts facts{.root = root,
                   .program = program_of(config),
                   .tensors = model::tensor_layout(config, token_bytes),
                   .eos_ids = config.eos_ids};
  std::map<std::string, std::uint32_t> numbers;
  for (const model::TensorSpec& spec : facts.tensors) {
    numbers.emplace(spec.name, static_cast<std::uint32_t>(numbers.size()));
  }
  const auto number = [&](const std::string& name) {
    const auto found = numbers.find(name);
    return found == numbers.end() ? kNoTensor : found->second;
  };
  const auto matrix = [&](const std::string& name) {
    return MatrixTensors{number(name + ".weight"), number(name + ".scale"), number(name + ".bias")};
  };
  facts.embed = matrix("embed");
  facts.head = config.tied ? facts.embed : matrix("head");
  facts.final_norm = number("final_norm.gain");
  facts.rope_steps = number("rope.steps");
  facts.token_offsets = number("tokens.offsets");
  facts.token_bytes = number("tokens.bytes");
  for (std::uint32_t l = 0; l < config.shape.layers; ++l) {
    const std::string at = "layers." + std::to_string(l) + ".";
    facts.layers.push_back(
        {.matrices = {matrix(at + "wq"), matrix(at + "wk"), matrix(at + "wv"), matrix(at + "wo"),
                      matrix(at + "w_gate"), matrix(at + "w_up"), matrix(at + "w_down")},
         .gains = {number(at + "attn_norm.gain"), number(at + "q_norm.gain"),
                   number(at + "k_norm.gain"), number(at + "mlp_norm.gain")}});
  }
  return facts;
}

Result<ModelFacts> check_registration(const Hash& root, const Registration& registration) {
  using merkle::Kind;
  OTR_TRY_ASSIGN(const model::Config config, model::parse_config(registration.config));
  if (registration.token_bytes < 1 || registration.token_bytes > model::kMaxTokenBytes) {
    return fail(ErrorKind::kBadInput,
                "token_bytes must be from 1 to " + std::to_string(model::kMaxTokenBytes) + ".",
                std::string(name_of(Reject::kLimitExceeded)));
  }
  ModelFacts facts = model_facts(root, config, registration.token_bytes);
  const std::uint64_t count = 3 + facts.tensors.size();
  const auto opens = [&](std::uint64_t index, const Hash& leaf,
                         const std::vector<Hash>& path) -> Status {
    OTR_TRY_ASSIGN(const Hash top,
                   merkle::top_of_range(count, index, index + 1, std::span(&leaf, 1), path));
    if (merkle::root(Kind::kModel, merkle::Type::kHash, count, 1, top) == root) return {};
    return refuted(Reject::kPathInvalid,
                   "leaf " + std::to_string(index) + " of the model does not lead to its root.");
  };
  OTR_TRY(opens(0, crypto::sha256({as_bytes("OTR.conf"), as_bytes(registration.config)}),
                registration.config_path));
  const Hash tile = merkle::leaf(registration.token_tile);
  const std::uint64_t tiles = merkle::tiles_per_row(registration.token_bytes);
  OTR_TRY_ASSIGN(const Hash top,
                 merkle::top_of_range(tiles, 0, 1, std::span(&tile, 1), registration.token_path));
  OTR_TRY(
      opens(3 + facts.token_bytes,
            merkle::root(Kind::kModelTensor, merkle::Type::kU8, 1, registration.token_bytes, top),
            registration.list_path));
  return facts;
}

trace::TraceHeader Statement::header() const {
  return {.spec_hash = machine::kSpecHash,
          .model_root = model.root,
          .prompt_count = terms.prompt_count,
          .out_count = terms.out_count,
          .mode = terms.mode,
          .sampling = terms.sampling};
}

// SPEC REF-4, kind 1.
Status check_statement(const Statement& statement) {
  const Terms& terms = statement.terms;
  if (!terms.request_valid) {
    return refuted(Reject::kRequestInvalid, "no claim stands on a request that breaks REQ-5.");
  }
  if (terms.prompt_count != terms.request_prompt_count) {
    return refuted(Reject::kCountMismatch, "the claim has another prompt count than its request.");
  }
  if (terms.out_count < 1 || terms.out_count > terms.max_tokens ||
      statement.token_count() > statement.shape().context) {
    return refuted(Reject::kCountMismatch, "the claim says " + std::to_string(terms.out_count) +
                                               " output tokens, which the request and the model's "
                                               "context do not allow.");
  }
  if (terms.finish_reason < 1 || terms.finish_reason > 3) {
    return refuted(Reject::kFinishMismatch,
                   "there is no finish reason " + std::to_string(terms.finish_reason) + ".");
  }
  return {};
}

// SPEC MTRC-1.
Result<Position> position_of(const Statement& statement, const Leaf& leaf) {
  const machine::Shape& shape = statement.shape();
  if (!trace::exists(shape, leaf.stream)) {
    return reject(MoveReject::kStepUnknown, "the trace has no such tree.");
  }
  const trace::RowFormat format = trace::row_format(shape, leaf.stream);
  if (leaf.t >= trace::row_count(leaf.stream, statement.token_count()) ||
      leaf.tile >= merkle::tiles_per_row(format.cols)) {
    return reject(MoveReject::kStepUnknown, "the tree has no such leaf.");
  }
  const auto t = static_cast<std::uint32_t>(leaf.t);
  if (leaf.stream.kind != merkle::Kind::kTokenIds) return Position{t, leaf.stream.layer};
  if (t < statement.terms.prompt_count) {
    return reject(MoveReject::kStepUnknown, "a token of the prompt is made by no step.");
  }
  return Position{t - 1, machine::kHeadLayer};
}

}  // namespace otr::referee
