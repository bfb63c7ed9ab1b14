// What the tests of this module share: toy models, keys and signed requests.
#ifndef OTR_NODE_TEST_REQUESTS_H_
#define OTR_NODE_TEST_REQUESTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "crypto/secp256k1.h"
#include "model/artifact.h"
#include "model/random_artifact.h"
#include "protocol/request.h"
#include "trace/trace.h"

namespace otr::node {

inline crypto::PrivateKey key_of(std::uint8_t byte) {
  return *crypto::PrivateKey::from_bytes(Bytes(32, byte));
}

inline const Bytes& model_file(std::uint64_t seed) {
  static const Bytes files[] = {*model::encode_artifact(model::random_artifact({.seed = 1})),
                                *model::encode_artifact(model::random_artifact({.seed = 2}))};
  return files[seed - 1];
}

inline const model::Artifact& artifact(std::uint64_t seed = 1) {
  static const model::Artifact models[] = {*model::parse_artifact(model_file(1)),
                                           *model::parse_artifact(model_file(2))};
  return models[seed - 1];
}

inline machine::Sampling sampled(std::uint8_t seed) {
  machine::Sampling sampling{.inv_t = 65536};
  sampling.top_p = 65536;
  sampling.seed[0] = seed;
  return sampling;
}

inline machine::Sampling greedy() {
  machine::Sampling sampling;
  sampling.top_p = 65536;
  return sampling;
}

inline const std::vector<std::uint32_t> kPrompt = {3, 1, 4, 1, 5};

struct Ask {
  std::vector<std::uint32_t> prompt = kPrompt;
  machine::Sampling sampling = greedy();
  std::uint32_t max_tokens = 12;
  std::vector<std::string> stop = {};
};

inline void sign_request(protocol::SignedRequest& request) {
  const crypto::PrivateKey client = key_of(7);
  request.request.client = client.address();
  request.request.task_id = protocol::task_id(client.address(), request.request.counter);
  request.signature = client.sign(protocol::digest_of(request.request, Hash{}));
}

inline protocol::SignedRequest request_of(const Ask& ask,
                                          const model::Artifact& model = artifact()) {
  protocol::SignedRequest request;
  request.request.counter = 1;
  request.request.model_root = model.root();
  request.request.prompt_root = trace::token_root(ask.prompt);
  request.request.prompt_count = static_cast<std::uint32_t>(ask.prompt.size());
  request.request.max_tokens = ask.max_tokens;
  request.request.sampling = ask.sampling;
  request.request.stop = ask.stop;
  sign_request(request);
  return request;
}

}  // namespace otr::node

#endif  // OTR_NODE_TEST_REQUESTS_H_
