// Whoever buys an answer and looks at the receipt: tier 1, with a worker in a SIMULATED TEE.
#ifndef OTR_SIM_DESK_H_
#define OTR_SIM_DESK_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "attest/policy.h"
#include "node/enclave.h"
#include "node/simulated_tee.h"
#include "protocol/receipt.h"
#include "sim/attack.h"
#include "sim/liar.h"
#include "sim/substitute.h"

namespace otr::sim {

class Desk {
 public:
  explicit Desk(std::uint64_t seed);
  ~Desk();
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;

  // A session of the operator for a model, attested (SIMULATED) by a machine of this measurement.
  [[nodiscard]] std::unique_ptr<node::Enclave> enclave(const Hash& model_root,
                                                       std::uint8_t measurement = 7);
  // The client's next request for an answer of the model with this root to this prompt.
  [[nodiscard]] protocol::SignedRequest request(std::vector<std::uint32_t> prompt = {3, 1, 4});
  // What weights answer under a session, as a whole receipt.
  [[nodiscard]] protocol::Receipt answer(const rollup::Weights& weights,
                                         const protocol::SignedRequest& request,
                                         const node::Enclave& session);
  // The receipt of a session, whoever computed it.
  [[nodiscard]] static protocol::Receipt of_session(protocol::Receipt receipt,
                                                    const node::Enclave& session);
  // Signs the claim again with both keys.
  void sign(protocol::Receipt& receipt, const node::Enclave& session) const;

  // What the client's own audit says: the code of its first failure, empty where all is right.
  // Checks, session, evidence by `policy` at `at`, and the answer computed again.
  [[nodiscard]] std::string judge(const protocol::Receipt& receipt) const;
  // What came of a false receipt beside the true one, which must be accepted.
  [[nodiscard]] Outcome compare(const protocol::Receipt& honest,
                                const protocol::Receipt& forged) const;

  std::vector<std::uint32_t> prompt{3, 1, 4};
  crypto::PrivateKey client, operator_key;
  attest::Policy policy;
  std::int64_t at = 0;  // unix seconds of the audit
  const Substitute& model;

 private:
  std::filesystem::path folder_;
  std::vector<std::unique_ptr<node::SimulatedTee>> machines_;
  std::uint64_t counter_ = 0;
};

}  // namespace otr::sim

#endif  // OTR_SIM_DESK_H_
