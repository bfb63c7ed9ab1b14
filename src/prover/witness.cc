#include "prover/witness.h"

#include <utility>

#include "prover/fill.h"
#include "prover/pass.h"
#include "zk/row_lines.h"
#include "zk/rows.h"

namespace otr::prover {
namespace {

Status run_layers(Pass& pass) {
  std::vector<std::int32_t> x = zk::embed_rows(pass.job);
  for (std::uint32_t l = 0; l < pass.shape.layers; ++l) {
    const RowSet a = attn_rows(pass, l, x);
    OTR_TRY(project_qkv(pass, l, a));
    OTR_TRY_ASSIGN(const RowSet q, make_qkv_rows(pass, l, a));
    const RowSet o = attend(pass, l, q);
    OTR_TRY(add_attention(pass, l, o, x));
    const RowSet m = mlp_rows(pass, l, x);
    OTR_TRY_ASSIGN(const RowSet h, feed_forward_rows(pass, l, m));
    OTR_TRY(add_feed_forward(pass, l, h, x));
    pass.rows.x[l] = x;
  }
  return {};
}

// The witness with the columns that the pass has; the limbs are still to be filled.
Witness take_columns(Pass&& pass, const zk::Lines& lines) {
  Witness witness;
  witness.options = zk::options_of(pass.job, lines, pass.scalars.gap);
  witness.circuit =
      zk::build_circuit(pass.shape, static_cast<std::uint32_t>(pass.job.prompt.size()),
                        pass.outputs, pass.job.sampling.inv_t, witness.options);
  witness.columns.resize(witness.circuit.columns.size());
  for (auto& [name, cells] : pass.columns) {
    witness.columns[witness.circuit.find(name)] = std::move(cells);
  }
  witness.rows = std::move(pass.rows);
  witness.scalars = std::move(pass.scalars);
  return witness;
}

}  // namespace

Result<Witness> make_witness(const machine::Model& model, const machine::Sampling& sampling,
                             machine::NoiseBlock noise, std::span<const std::uint32_t> prompt,
                             std::span<const std::uint32_t> output, engine::Pool& pool) {
  OTR_TRY(zk::check_provable(sampling));
  const zk::Job job{model, sampling, noise, prompt, output};
  Pass pass(job, pool);
  OTR_TRY(run_layers(pass));
  OTR_TRY(run_outputs(pass));
  OTR_TRY_ASSIGN(const zk::Lines lines, zk::derive_lines(job, pass.rows, pass.scalars));
  Witness witness = take_columns(std::move(pass), lines);
  fill_rows(job, lines, witness, pool);
  fill_outputs(job, lines, witness, pool);
  return witness;
}

}  // namespace otr::prover
