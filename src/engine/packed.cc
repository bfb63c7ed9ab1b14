#include "engine/packed.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/check.h"
#include "engine/pool.h"

namespace otr::engine {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

// Zeroed memory on huge pages where the system has them, because a pass streams through all of it
// and small pages cost a miss of the TLB every 4 KiB.
std::uint8_t* allocate(std::size_t size) {
  void* memory = ::mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::uint8_t*>(memory);
  const std::size_t skip = round_up(reinterpret_cast<std::uintptr_t>(begin), kHugePage) -
                           reinterpret_cast<std::uintptr_t>(begin);
  if (skip != 0) ::munmap(begin, skip);
  ::munmap(begin + skip + size, kHugePage - skip);
  ::madvise(begin + skip, size, MADV_HUGEPAGE);
  return begin + skip;
}

void pack_block(const machine::Matrix& matrix, std::size_t b, std::uint8_t flip,
                std::uint8_t* out) {
  const std::size_t cols = matrix.cols, groups = group_count(cols);
  std::memset(out, flip, groups * kGroupBytes);
  const std::size_t rows = std::min<std::size_t>(kBlockRows, matrix.rows - b * kBlockRows);
  for (std::size_t n = 0; n < rows; ++n) {
    const std::int8_t* from = matrix.weight.data() + (b * kBlockRows + n) * cols;
    std::uint8_t* to = out + n * kGroupColumns;
    std::size_t k = 0;
    for (; k + kGroupColumns <= cols; k += kGroupColumns, to += kGroupBytes) {
      std::uint32_t four;
      std::memcpy(&four, from + k, sizeof four);
      four ^= flip * 0x01010101U;
      std::memcpy(to, &four, sizeof four);
    }
    for (std::size_t j = 0; k + j < cols; ++j)
      to[j] = static_cast<std::uint8_t>(from[k + j]) ^ flip;
  }
}

}  // namespace

PackedModel::PackedModel(const machine::Model& model, const Kernel& kernel, unsigned threads,
                         const DoneWith& done_with)
    : model_(model),
      kernel_(kernel),
      tied_(model.head.weight.data() == model.embed.weight.data()),
      layers_(model.layers.size()) {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const machine::Layer& from = model_.layers[l];
    layers_[l] = {{from.wq},     {from.wk},   {from.wv},    {from.wo},
                  {from.w_gate}, {from.w_up}, {from.w_down}};
  }
  head_ = {model_.head};
  for (const PackedMatrix* matrix : matrices()) size_bytes_ += round_up(matrix->size_bytes(), 64);
  size_bytes_ = round_up(size_bytes_, kHugePage);
  memory_ = allocate(size_bytes_);
  try {
    Pool pool(threads);
    std::uint8_t* next = memory_;
    for (PackedMatrix* packed : matrices()) {
      packed->flip = kernel.weight_flip;
      packed->data = next;
      const std::size_t block_size = packed->groups() * kGroupBytes;
      pool.split(packed->blocks(), [&](std::size_t begin, std::size_t end) {
        for (std::size_t b = begin; b < end; ++b) {
          pack_block(packed->matrix, b, kernel.weight_flip, next + b * block_size);
        }
      });
      next += round_up(packed->size_bytes(), 64);
      if (done_with) done_with(packed->matrix.weight);
      packed->matrix.weight = {};
    }
    for (machine::Layer& l : model_.layers) {
      for (machine::Matrix* m : {&l.wq, &l.wk, &l.wv, &l.wo, &l.w_gate, &l.w_up, &l.w_down}) {
        m->weight = {};
      }
    }
    model_.head.weight = {};
    if (tied_) model_.embed.weight = {};
  } catch (...) {
    ::munmap(memory_, size_bytes_);
    throw;
  }
}

PackedModel::~PackedModel() { ::munmap(memory_, size_bytes_); }

void PackedModel::set_bounds(std::span<const machine::RowBounds> layers, std::int32_t head) {
  OTR_CHECK(layers.size() == model_.layers.size());
  for (std::size_t l = 0; l < layers.size(); ++l) model_.layers[l].bounds = layers[l];
  model_.head_bound = head;
}

std::vector<PackedMatrix*> PackedModel::matrices() {
  std::vector<PackedMatrix*> list;
  for (Layer& l : layers_) {
    for (PackedMatrix* m : {&l.wq, &l.wk, &l.wv, &l.wo, &l.w_gate, &l.w_up, &l.w_down}) {
      list.push_back(m);
    }
  }
  list.push_back(&head_);
  return list;
}

}  // namespace otr::engine
