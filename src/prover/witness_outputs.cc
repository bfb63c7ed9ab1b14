// The logits of every output and which of them the proof names (SPEC OP-17, SAMP-1).
#include <atomic>

#include "prover/pass.h"
#include "zk/row_lines.h"

namespace otr::prover {

Status run_outputs(Pass& pass) {
  const machine::Model& model = pass.job.model;
  const std::size_t d = pass.shape.hidden;
  const std::size_t first = pass.job.prompt.size() - 1;
  const std::vector<std::int32_t>& x = pass.rows.x.back();
  RowSet rows(pass.outputs, d);
  std::vector<std::int64_t> scratch(std::max<std::size_t>(d, pass.shape.vocabulary));
  for (std::size_t o = 0; o < pass.outputs; ++o) {
    rows.exponents[o] = engine::norm_row(std::span(x).subspan((first + o) * d, d), model.final_norm,
                                         pass.shape.eps, model.head_bound, scratch, rows.data(o));
  }
  Cells& acc = pass.column("s.acc");
  Cells& y = pass.column("s.y");
  std::atomic<bool> in_range = true;
  multiply(pass.pool, model.head, rows, [&](std::size_t n, std::size_t o, std::int64_t sum) {
    const std::size_t cell = o * model.head.rows + n;
    const engine::Rounded logit =
        engine::linear(sum * model.head.scale[n], model.head.exponent + rows.exponents[o] - 16);
    if (!logit.in_range || !machine::kSigned32.holds(logit.value)) in_range = false;
    acc[cell] = zk::felt(sum).v;
    y[cell] = zk::felt(logit.value).v;
  });
  if (!in_range) return pass.out_of_range(pass.shape.layers, "logits (SPEC OP-17)");

  const auto logits = std::span(scratch).first(model.head.rows);
  for (std::size_t o = 0; o < pass.outputs; ++o) {
    const std::uint64_t* cells = y.data() + o * logits.size();
    std::ranges::transform(cells, cells + logits.size(), logits.begin(), integer_of);
    for (const zk::Penalty& p : zk::penalties_at(pass.job, o)) logits[p.id] -= p.value;
    const auto greatest = std::ranges::max_element(logits);  // the first, so the lowest id
    const auto named = static_cast<std::uint32_t>(greatest - logits.begin());
    pass.scalars.outputs[o] = {*greatest, named,
                               static_cast<std::int32_t>(integer_of(cells[named])),
                               static_cast<std::int32_t>(integer_of(cells[pass.job.output[o]]))};
  }
  return {};
}

}  // namespace otr::prover
