#include "engine/kv_cache.h"

#include <algorithm>
#include <new>

#include "base/check.h"

namespace otr::engine {
namespace {

constexpr std::align_val_t kLine{64};

std::size_t tile_size(std::size_t head_dim) {  // K, V and both exponents: a multiple of a line
  return kTilePositions * (3 * head_dim + 2);
}

}  // namespace

void KvPage::Free::operator()(void* memory) const { ::operator delete(memory, kLine); }

std::size_t KvPage::size_bytes(const machine::Shape& shape) {
  return std::size_t{shape.layers} * shape.kv_heads * tile_size(shape.head_dim);
}

// Zeroed, so that a kernel may read a whole block of positions of which some are still to come.
KvPage::KvPage(const machine::Shape& shape)
    : head_dim_(shape.head_dim),
      kv_heads_(shape.kv_heads),
      memory_(static_cast<std::uint8_t*>(::operator new(size_bytes(shape), kLine))) {
  std::fill_n(memory_.get(), size_bytes(shape), std::uint8_t{0});
}

KvTile KvPage::tile(std::uint32_t layer, std::uint32_t g) const {
  const std::uint8_t* begin =
      memory_.get() + (std::size_t{layer} * kv_heads_ + g) * tile_size(head_dim_);
  const auto* k = reinterpret_cast<const std::int16_t*>(begin);
  const auto* v = reinterpret_cast<const std::int8_t*>(k + kTilePositions * head_dim_);
  const std::int8_t* exponents = v + kTilePositions * head_dim_;
  return {k, v, exponents, exponents + kTilePositions};
}

void KvPage::write(std::uint32_t layer, std::uint32_t g, std::uint32_t u,
                   std::span<const std::int16_t> k, int k_exponent, std::span<const std::int8_t> v,
                   int v_exponent) {
  const KvTile to = tile(layer, g);
  auto* const keys =
      const_cast<std::int16_t*>(to.k) + u / kKeyBlock * kKeyBlock * head_dim_ + u % kKeyBlock * 2;
  auto* const values = const_cast<std::int8_t*>(to.v) + u / 2 * head_dim_ * 2 + u % 2;
  for (std::size_t j = 0; j < head_dim_; ++j) {
    keys[j / 2 * kKeyBlock * 2 + j % 2] = k[j];
    values[2 * j] = v[j];
  }
  const_cast<std::int8_t*>(to.k_exponent)[u] = static_cast<std::int8_t>(k_exponent);
  const_cast<std::int8_t*>(to.v_exponent)[u] = static_cast<std::int8_t>(v_exponent);
}

KvCache::KvCache(const machine::Shape& shape, std::vector<std::shared_ptr<KvPage>> pages)
    : shape_(shape),
      size_(static_cast<std::uint32_t>(pages.size() * kTilePositions)),
      pages_(std::move(pages)) {
  OTR_CHECK(size_ <= shape.context);
}

void KvCache::grow(std::uint32_t count) {
  OTR_CHECK(count <= shape_.context - size_);
  while (pages_.size() * kTilePositions < std::size_t{size_} + count) {
    pages_.push_back(std::make_shared<KvPage>(shape_));
  }
  size_ += count;
}

}  // namespace otr::engine
