// The SIMULATED TEE: it protects nothing (SPEC ATT-12; attest/simulated.h has the wire format).
//
// Each installation makes its own root and leaf certificate once, in a folder, and signs reports
// with the leaf's key like hardware would. Whoever can read the folder can sign any measurement;
// that is why a policy must name the root of the installation before it accepts anything.
#ifndef OTR_NODE_SIMULATED_TEE_H_
#define OTR_NODE_SIMULATED_TEE_H_

#include <filesystem>
#include <memory>

#include "node/evidence.h"

namespace otr::node {

class SimulatedTee final : public EvidenceSource {
 public:
  // Opens FOLDER/simulated-tee.identity (0600), which holds the leaf's key, leaf and root, making
  // it on first use; of processes that start at once all get the same. The root's own key is
  // thrown away once it has signed the leaf. kIo with the path where the file cannot be made or
  // read; kBadInput where it is damaged or its parts do not belong together.
  [[nodiscard]] static Result<std::unique_ptr<SimulatedTee>> open(const SimulatedOptions& options);
  ~SimulatedTee() override;

  [[nodiscard]] std::string_view kind() const override { return "simulated"; }
  [[nodiscard]] bool hardware() const override { return false; }
  [[nodiscard]] Result<CollectedEvidence> collect(const ReportData& report_data) override;
  // SHA-256 of the root's DER: what a policy names in [simulated].roots.
  [[nodiscard]] Hash root_hash() const;

 private:
  struct State;
  explicit SimulatedTee(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace otr::node

#endif  // OTR_NODE_SIMULATED_TEE_H_
