// What the referee knows of a model, and the registration that proves it (SPEC REF-7); the encoding
// of witnesses. Steps, answers and games are tested by the module `dispute`, which makes them.
#include <gtest/gtest.h>

#include "base/reject.h"
#include "crypto/sha256.h"
#include "machine/program.h"
#include "model/artifact.h"
#include "model/random_artifact.h"
#include "referee/encoding.h"
#include "referee/reject.h"
#include "referee/statement.h"

namespace otr::referee {
namespace {

model::Artifact make_artifact(const model::RandomArtifactOptions& options) {
  return *model::parse_artifact(*model::encode_artifact(model::random_artifact(options)));
}

bool same(const machine::MatrixInfo& a, const machine::MatrixInfo& b) {
  return a.rows == b.rows && a.cols == b.cols && a.exponent == b.exponent &&
         a.has_bias == b.has_bias;
}

// The program that a configuration makes is the one that the engine lowers from the weights.
TEST(ModelFacts, AreThoseOfTheModel) {
  for (const model::RandomArtifactOptions& options : std::vector<model::RandomArtifactOptions>{
           {}, {.tied = false, .biases = true}, {.qk_norm = true, .mixed_act_bits = true}}) {
    const model::Artifact artifact = make_artifact(options);
    const ModelFacts facts =
        model_facts(artifact.root(), artifact.config(), artifact.view().token_bytes.size());
    const machine::Program program = machine::lower(artifact.view());
    ASSERT_EQ(facts.program.layers.size(), program.layers.size());
    EXPECT_TRUE(same(facts.program.embed, program.embed));
    EXPECT_TRUE(same(facts.program.head, program.head));
    EXPECT_EQ(facts.program.final_norm_exponent, program.final_norm_exponent);
    EXPECT_EQ(facts.program.head_bound, program.head_bound);
    for (std::size_t l = 0; l < program.layers.size(); ++l) {
      for (std::size_t m = 0; m < 7; ++m) {
        EXPECT_TRUE(same(facts.program.layers[l].matrices[m], program.layers[l].matrices[m]));
      }
      EXPECT_EQ(facts.program.layers[l].gain_exponents, program.layers[l].gain_exponents);
      EXPECT_EQ(facts.program.layers[l].bounds.attn, program.layers[l].bounds.attn);
      EXPECT_EQ(facts.program.layers[l].bounds.o, program.layers[l].bounds.o);
      EXPECT_EQ(facts.program.layers[l].bounds.mlp, program.layers[l].bounds.mlp);
      EXPECT_EQ(facts.program.layers[l].bounds.down, program.layers[l].bounds.down);
    }
    ASSERT_EQ(facts.tensors.size(), artifact.tensors().size());
    EXPECT_EQ(facts.tensors[facts.head.weight].name, options.tied ? "embed.weight" : "head.weight");
    EXPECT_EQ(facts.tensors[facts.layers[1].matrices[6].scale].name, "layers.1.w_down.scale");
    EXPECT_EQ(facts.layers[0].gains[1] == kNoTensor, !options.qk_norm);
  }
}

Registration registration_of(const model::Artifact& artifact) {
  merkle::Tree list, tokens;
  const std::string config = model::encode_config(artifact.config());
  list.append(crypto::sha256({as_bytes("OTR.conf"), as_bytes(config)}));
  list.append(crypto::sha256({as_bytes("OTR.toks"), as_bytes(artifact.tokenizer())}));
  list.append(crypto::sha256({as_bytes("OTR.tmpl"), as_bytes(artifact.chat_template())}));
  for (const model::Tensor& tensor : artifact.tensors()) list.append(tensor.root);
  const ByteView bytes = artifact.view().token_bytes;
  merkle::append_rows(tokens, merkle::Kind::kModelTensor, merkle::Type::kU8, bytes.size(), bytes);
  const ByteView tile = bytes.first(std::min<std::size_t>(bytes.size(), 512));
  return {.config = config,
          .token_bytes = bytes.size(),
          .config_path = list.open_range(0, 1),
          .token_tile = Bytes(tile.begin(), tile.end()),
          .token_path = tokens.open_range(0, 1),
          .list_path = list.open_range(list.size() - 1, list.size())};
}

TEST(Registration, ProvesConfigurationAndTokenBytes) {
  const model::Artifact artifact = make_artifact({});
  const Registration good = registration_of(artifact);
  ASSERT_TRUE(check_registration(artifact.root(), good));
  const auto code = [&](auto change) {
    Registration bad = good;
    change(bad);
    const auto facts = check_registration(artifact.root(), bad);
    return facts ? "taken" : facts.error().code;
  };
  EXPECT_EQ(code([](auto& r) { r.config.back() = ' '; }), "NOT_CANONICAL");
  EXPECT_EQ(code([](auto& r) { r.config_path[0][0] ^= 1; }), "PATH_INVALID");
  EXPECT_EQ(code([](auto& r) { r.config_path.pop_back(); }), "PATH_INVALID");
  EXPECT_EQ(code([](auto& r) { ++r.token_bytes; }), "PATH_INVALID");
  EXPECT_EQ(code([](auto& r) { r.token_bytes = 0; }), "LIMIT_EXCEEDED");
  EXPECT_EQ(code([](auto& r) { r.token_bytes = UINT64_MAX; }), "LIMIT_EXCEEDED");
  EXPECT_EQ(code([](auto& r) { r.token_tile[0] ^= 1; }), "PATH_INVALID");
  EXPECT_EQ(code([](auto& r) { r.list_path[0][0] ^= 1; }), "PATH_INVALID");
  EXPECT_EQ(code([](auto& r) { r.list_path.emplace_back(); }), "PATH_INVALID");
  EXPECT_FALSE(check_registration(Hash{1}, good));
}

TEST(Encoding, RefusesWhatNobodyWrites) {
  const auto code = [](const Bytes& bytes) {
    Decoder from(bytes);
    const auto proof = decode_proof(from);
    return proof ? "taken" : proof.error().code;
  };
  const auto with = [](Proof proof, const auto& change) {
    Bytes bytes;
    append(bytes, proof);
    change(bytes);
    return bytes;
  };
  EXPECT_EQ(code(with({}, [](auto&) {})), "taken");
  EXPECT_EQ(code({}), "MALFORMED");
  EXPECT_EQ(code(with({}, [](auto& b) { b[0] = 0; })), "MALFORMED");
  EXPECT_EQ(code(with({}, [](auto& b) { b[0] = 6; })), "MALFORMED");
  EXPECT_EQ(code(with({}, [](auto& b) { b[1] = 1; })), "NOT_CANONICAL");
  EXPECT_EQ(code(with({}, [](auto& b) { b[5] = 99; })), "MALFORMED");
  EXPECT_EQ(code(with({.kind = ProofKind::kHeader}, [](auto& b) { b[5] = 1; })), "NOT_CANONICAL");
  EXPECT_EQ(code(with({.kind = ProofKind::kPrompt}, [](auto& b) { b[6] = 1; })), "NOT_CANONICAL");
  EXPECT_EQ(code(with({}, [](auto& b) { b.back() = 65; })), "LIMIT_EXCEEDED");
  EXPECT_EQ(code(with({}, [](auto& b) { b.back() = 1; })), "MALFORMED");
  // A size far beyond the bytes allocates nothing.
  EXPECT_EQ(code(with({.witness = {Opening{.tiles = Bytes(4)}}},
                      [](auto& b) { b[b.size() - 7] = 0x7f; })),
            "MALFORMED");
}

TEST(MoveRejects, FollowTheSpecsCodes) {
  EXPECT_EQ(name_of(MoveReject::kStepUnknown), "STEP_UNKNOWN");
  EXPECT_EQ(name_of(MoveReject::kDemandInvalid), "DEMAND_INVALID");
  EXPECT_EQ(name_of(MoveReject::kParametersInvalid), "PARAMETERS_INVALID");
  EXPECT_EQ(static_cast<int>(MoveReject::kParametersInvalid), 43);
}

}  // namespace
}  // namespace otr::referee
