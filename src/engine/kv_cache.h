// The K and V rows of one sequence, in pages of 128 positions: the attention tiles of SPEC OP-11.
//
// A page that is full never changes again, so sequences that begin with the same tokens may share
// it. Rows are stored as the kernels read them (kernels.h).
#ifndef OTR_ENGINE_KV_CACHE_H_
#define OTR_ENGINE_KV_CACHE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/kernels.h"
#include "machine/model.h"

namespace otr::engine {

// The rows of 128 positions in all layers and key/value heads.
class KvPage {
 public:
  explicit KvPage(const machine::Shape& shape);

  static std::size_t size_bytes(const machine::Shape& shape);
  KvTile tile(std::uint32_t layer, std::uint32_t g) const;
  // Writes the rows of the position `u` of the page. Different threads may write different ones.
  void write(std::uint32_t layer, std::uint32_t g, std::uint32_t u, std::span<const std::int16_t> k,
             int k_exponent, std::span<const std::int8_t> v, int v_exponent);

 private:
  struct Free {
    void operator()(void* memory) const;
  };
  std::size_t head_dim_, kv_heads_;
  std::unique_ptr<std::uint8_t, Free> memory_;
};

class KvCache {
 public:
  explicit KvCache(const machine::Shape& shape) : shape_(shape) {}
  // A sequence that begins with full pages of another: 128·pages.size() positions.
  KvCache(const machine::Shape& shape, std::vector<std::shared_ptr<KvPage>> pages);
  KvCache(KvCache&&) = default;
  KvCache& operator=(KvCache&&) = default;

  std::uint32_t size() const { return size_; }  // positions held
  std::span<const std::shared_ptr<KvPage>> pages() const { return pages_; }
  KvTile tile(std::uint32_t layer, std::uint32_t g, std::size_t page) const {
    return pages_[page]->tile(layer, g);
  }
  // Makes room for `count` more positions, whose rows are to be written. Throws std::bad_alloc.
  void grow(std::uint32_t count);
  // As KvPage::write, at position t < size().
  void write(std::uint32_t layer, std::uint32_t g, std::uint32_t t, std::span<const std::int16_t> k,
             int k_exponent, std::span<const std::int8_t> v, int v_exponent) {
    pages_[t / kTilePositions]->write(layer, g, t % kTilePositions, k, k_exponent, v, v_exponent);
  }

 private:
  machine::Shape shape_;
  std::uint32_t size_ = 0;
  std::vector<std::shared_ptr<KvPage>> pages_;
};

}  // namespace otr::engine

#endif  // OTR_ENGINE_KV_CACHE_H_
