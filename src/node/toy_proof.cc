#include "node/toy_proof.h"

#include "base/check.h"
#include "model/random_artifact.h"
#include "node/proof.h"
#include "node/worker.h"
#include "trace/trace.h"

namespace otr::node {
namespace {

crypto::PrivateKey key_of(std::uint8_t byte) {
  return *crypto::PrivateKey::from_bytes(Bytes(32, byte));
}

protocol::SignedRequest request_of(const model::Artifact& artifact,
                                   const std::vector<std::uint32_t>& prompt,
                                   std::uint64_t counter) {
  protocol::SignedRequest request;
  const crypto::PrivateKey client = key_of(7);
  request.request.counter = counter;
  request.request.model_root = artifact.root();
  request.request.prompt_root = trace::token_root(prompt);
  request.request.prompt_count = static_cast<std::uint32_t>(prompt.size());
  request.request.max_tokens = 3;
  request.request.sampling.inv_t = 65536;
  request.request.sampling.top_p = 65536;
  request.request.client = client.address();
  request.request.task_id = protocol::task_id(client.address(), counter);
  request.signature = client.sign(protocol::digest_of(request.request, Hash{}));
  return request;
}

}  // namespace

model::Artifact toy_artifact(std::uint64_t seed) {
  return *model::parse_artifact(
      *model::encode_artifact(model::random_artifact({.seed = seed, .layers = 1})));
}

ToyProof toy_proof(const ToyOptions& options) {
  ToyProof made{toy_artifact(1), {}};
  const std::vector<std::uint32_t> prompt = {3, 1, 4};
  const engine::PackedModel packed(made.artifact.view());
  Worker worker(made.artifact, packed, key_of(8), key_of(9), 1);
  const auto receipt = worker.serve(
      request_of(made.artifact, prompt, options.counter), prompt, [](std::uint32_t) {},
      [] { return false; });
  OTR_CHECK(receipt.has_value());
  made.outputs = receipt->output_ids.size();
  ProveOptions prove;
  prove.beacon.fill(options.beacon);
  auto file = prove_receipt(*protocol::encode_receipt(*receipt), made.artifact, prove);
  OTR_CHECK(file.has_value());
  made.file = *std::move(file);
  return made;
}

}  // namespace otr::node
