// The fast engine: chunks of positions through all layers, with a KV cache and threads.
//
// Same bits as engine/reference.h for every chunking and thread count (SPEC OP): all that crosses
// positions or threads is exact integer sums and maxima.
#ifndef OTR_ENGINE_FORWARD_H_
#define OTR_ENGINE_FORWARD_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/attention.h"
#include "engine/pool.h"
#include "machine/model.h"
#include "trace/trace.h"

namespace otr::engine {

// The K and V rows of one sequence. Grows by chunks; memory follows the positions in use.
class KvCache {
 public:
  explicit KvCache(const machine::Shape& shape);

  std::uint32_t size() const { return size_; }  // positions held
  KvRows rows(std::uint32_t layer, std::uint32_t g) const;

 private:
  friend class Forward;
  struct Head {
    std::vector<std::int16_t> k;
    std::vector<std::int8_t> k_exponent, v, v_exponent;
  };
  void grow(std::uint32_t positions);

  machine::Shape shape_;
  std::uint32_t size_ = 0;
  std::vector<Head> heads_;  // [layer · G + g]
};

class Forward {
 public:
  static constexpr std::uint32_t kChunk = 64;  // most positions of one run

  // `model` must outlive the engine.
  Forward(const machine::Model& model, unsigned threads);

  // Runs the positions that follow the cache, one for each token, through all layers. Appends
  // their rows to the cache and, if it is not null, to the trace (K, V and residual rows; tokens
  // are appended by who chose them). Requires 1 <= tokens.size() <= kChunk, ids below the
  // vocabulary, and room in the context. After kOutOfRange the cache must not be used again.
  Status run(KvCache& cache, std::span<const std::uint32_t> tokens, trace::TraceBuilder* trace);

  // The logits after position `index` of the last run's chunk; valid until the next call.
  Result<std::span<const std::int32_t>> logits(std::size_t index);

 private:
  struct Rows {  // one int16 row with an exponent for each position of the chunk
    std::vector<std::int16_t> values;
    std::vector<int> exponents;
    std::size_t width = 0;

    void shape(std::size_t positions, std::size_t row_width);
    std::span<const std::int16_t> row(std::size_t i) const {
      return std::span(values).subspan(i * width, width);
    }
    std::int16_t* data(std::size_t i) { return values.data() + i * width; }
  };

  // The stages of a layer, in order; each returns whether everything stayed in range.
  bool embed(std::span<const std::uint32_t> tokens);
  bool norm(const machine::Gain& gain, std::int32_t bound, std::size_t first, std::size_t count);
  bool project_qkv(const machine::Layer& layer);
  bool make_qkv_rows(const machine::Layer& layer, std::uint32_t layer_index, KvCache& cache);
  bool attention(const machine::Layer& layer, std::uint32_t layer_index, const KvCache& cache);
  bool add_residual(const machine::Matrix& matrix, const Rows& input);
  bool gate_and_up(const machine::Layer& layer);
  bool feed_forward_rows(const machine::Layer& layer);

  void append_to_trace(trace::TraceBuilder& trace, std::uint32_t layer, const KvCache& cache);
  // Calls body(n, i, acc·scale) for every row n of the matrix and position i of the input.
  template <class Body>
  void multiply(const machine::Matrix& matrix, const Rows& input, const Body& body);
  Error out_of_range(std::uint32_t layer, const char* stage) const;

  const machine::Model& model_;
  Pool pool_;
  std::uint32_t first_ = 0;      // position of the chunk's first token
  std::size_t positions_ = 0;    // of the chunk
  std::vector<std::int32_t> x_;  // [position][hidden]
  std::vector<std::int32_t> q_, k_;
  std::vector<std::int64_t> v_, gate_, up_, o_;
  std::vector<int> o_exponents_;  // [position][head]
  std::vector<int> q_exponents_;
  std::vector<std::int16_t> q_rows_;
  Rows a_, o_rows_, h_;
  std::vector<std::int32_t> logits_;
};

}  // namespace otr::engine

#endif  // OTR_ENGINE_FORWARD_H_
