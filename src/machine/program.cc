#include "machine/program.h"

namespace otr::machine {
namespace {

MatrixInfo info_of(const Matrix& m) { return {m.rows, m.cols, m.exponent, !m.bias.empty()}; }

}  // namespace

Program lower(const Model& model) {
  Program program{.shape = model.shape,
                  .layers = {},
                  .embed = info_of(model.embed),
                  .head = info_of(model.head),
                  .final_norm_exponent = model.final_norm.exponent,
                  .head_bound = model.head_bound};
  for (const Layer& l : model.layers) {
    program.layers.push_back(
        {.matrices = {info_of(l.wq), info_of(l.wk), info_of(l.wv), info_of(l.wo), info_of(l.w_gate),
                      info_of(l.w_up), info_of(l.w_down)},
         .gain_exponents = {l.attn_norm.exponent, l.q_norm.exponent, l.k_norm.exponent,
                            l.mlp_norm.exponent},
         .bounds = l.bounds});
  }
  return program;
}

}  // namespace otr::machine
