// The weights of a model as the kernels read them (kernels.h), made once from the canonical bytes.
#ifndef OTR_ENGINE_PACKED_H_
#define OTR_ENGINE_PACKED_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/kernels.h"
#include "machine/model.h"

namespace otr::engine {

// A packed matrix; owns nothing.
struct PackedMatrix {
  machine::Matrix matrix;  // without its weights
  const std::uint8_t* data = nullptr;
  std::uint8_t flip = 0;

  std::size_t groups() const { return group_count(matrix.cols); }
  std::size_t blocks() const { return (matrix.rows + kBlockRows - 1) / kBlockRows; }
  const std::uint8_t* block(std::size_t b) const { return data + b * groups() * kGroupBytes; }
  std::size_t size_bytes() const { return blocks() * groups() * kGroupBytes; }
  std::int8_t weight(std::size_t n, std::size_t k) const {
    return static_cast<std::int8_t>(
        block(n / kBlockRows)[k / kGroupColumns * kGroupBytes + n % kBlockRows * kGroupColumns +
                              k % kGroupColumns] ^
        flip);
  }
};

class PackedModel {
 public:
  // Called with the canonical weights of a matrix when they have been copied and are not read
  // again.
  using DoneWith = std::function<void(std::span<const std::int8_t>)>;

  struct Layer {
    PackedMatrix wq, wk, wv, wo, w_gate, w_up, w_down;
  };

  // Packs every matrix that a pass multiplies. What `model` views must outlive this, but for the
  // weights given to `done_with`. A table of embeddings that is not also the head is not packed and
  // goes on being read where it is. Threads: those of packing. Throws
  // std::bad_alloc, and std::system_error where threads are refused.
  explicit PackedModel(const machine::Model& model, const Kernel& kernel = best_kernel(),
                       unsigned threads = 1, const DoneWith& done_with = {});
  ~PackedModel();
  PackedModel(const PackedModel&) = delete;
  PackedModel& operator=(const PackedModel&) = delete;

  // Other bounds of the rows that enter products (SPEC OP-18), on which no weight depends: one for
  // each layer. No engine may be in a pass.
  void set_bounds(std::span<const machine::RowBounds> layers, std::int32_t head);

  const machine::Model& model() const { return model_; }
  const Kernel& kernel() const { return kernel_; }
  const Layer& layer(std::size_t l) const { return layers_[l]; }
  const PackedMatrix& head() const { return head_; }
  // Weight k of the embedding of token `id`.
  std::int8_t embedding(std::uint32_t id, std::size_t k) const {
    return tied_ ? head_.weight(id, k)
                 : model_.embed.weight[std::size_t{id} * model_.embed.cols + k];
  }

 private:
  std::vector<PackedMatrix*> matrices();

  machine::Model model_;
  const Kernel& kernel_;
  bool tied_ = false;
  std::vector<Layer> layers_;
  PackedMatrix head_;
  std::uint8_t* memory_ = nullptr;
  std::size_t size_bytes_ = 0;  // of the memory
};

}  // namespace otr::engine

#endif  // OTR_ENGINE_PACKED_H_
