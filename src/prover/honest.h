// An honest answer and its proof, for tests of completeness: whatever the engine answers without
// OUT_OF_RANGE has a witness that satisfies its circuit, and a proof that the verifier takes.
#ifndef OTR_PROVER_HONEST_H_
#define OTR_PROVER_HONEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/program.h"
#include "model/artifact.h"
#include "prover/hand_model.h"
#include "prover/witness.h"
#include "zk/row_lines.h"
#include "zk/rows.h"

namespace otr::prover {

// An answer of the engine with its witness. Fails the test where the engine answers and there is no
// witness, or where its rows are not the engine's.
class Honest {
 public:
  // Nothing where the outcome is OUT_OF_RANGE.
  static std::optional<Honest> answer(const HandModel& model, std::vector<std::uint32_t> prompt,
                                      std::uint32_t outputs, const machine::Sampling& sampling);

  [[nodiscard]] zk::Job job() const { return {model(), sampling, noise, prompt, output}; }
  [[nodiscard]] const machine::Model& model() const { return artifact.view(); }
  // A committed or virtual column as integers.
  [[nodiscard]] std::vector<std::int64_t> cells(std::string_view column) const;
  [[nodiscard]] const zk::RowLine& line(std::uint32_t layer, std::uint32_t t) const {
    return lines.rows[layer][t];
  }
  [[nodiscard]] const zk::RowScalars& row(std::uint32_t layer, std::uint32_t t) const {
    return witness.scalars.rows[layer][t];
  }

  // The name of the first thing that is wrong, empty where the witness satisfies its circuit.
  // `contractions`: also the sums, by their definition, which is slow for large models.
  [[nodiscard]] std::string wrong(bool contractions = true) const;
  // Why there is no proof that the verifier takes; empty where there is. Uses up the witness.
  [[nodiscard]] std::string prove();

  model::Artifact artifact;
  std::vector<std::uint32_t> prompt, output;
  machine::Sampling sampling;
  machine::NoiseBlock noise;
  Witness witness;
  zk::PublicRows publics;
  zk::Lines lines;

 private:
  explicit Honest(model::Artifact of) : artifact(std::move(of)) {}
};

// An honest answer whose witness satisfies its circuit; fails the test, and is nothing, where it
// has none.
std::optional<Honest> complete(const HandModel& model, const std::vector<std::uint32_t>& prompt,
                               std::uint32_t outputs = 1, const machine::Sampling& sampling = {});
// The whole proof, by default or only where OTR_EXHAUSTIVE is set.
enum class Proof { kAlways, kExhaustive };
void prove(Honest& honest, Proof when);

bool exhaustive();

}  // namespace otr::prover

#endif  // OTR_PROVER_HONEST_H_
