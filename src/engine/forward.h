// The fast engine: passes of rows through all layers, with KV caches and threads.
//
// A pass holds rows of one or several sequences. Same bits as engine/reference.h for every kernel,
// chunking, thread count and company of other sequences (SPEC OP): all that crosses rows or threads
// is exact integer sums and maxima.
#ifndef OTR_ENGINE_FORWARD_H_
#define OTR_ENGINE_FORWARD_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/attention.h"
#include "engine/kv_cache.h"
#include "engine/packed.h"
#include "engine/pool.h"
#include "machine/model.h"
#include "machine/tables.h"
#include "trace/trace.h"

namespace otr::engine {

// The next positions of one sequence: one token each, from the end of its cache on.
struct Segment {
  KvCache* cache = nullptr;
  std::span<const std::uint32_t> tokens;
  trace::TraceBuilder* trace = nullptr;  // may be null
};

class Forward {
 public:
  static constexpr std::uint32_t kChunk = 256;        // rows of a pass that suit a long prompt
  static constexpr std::uint32_t kMaxRows = 1024;     // of one pass
  static constexpr std::uint32_t kMaxLogitRows = 64;  // of one call of logits()

  // `packed` must outlive the engine.
  Forward(const PackedModel& packed, unsigned threads);
  // Packs the weights for itself alone. `model` must outlive the engine.
  Forward(const machine::Model& model, unsigned threads);

  const machine::Model& model() const { return model_; }

  // Runs the rows of all segments, in this order, through all layers. Appends them to each
  // segment's cache and, where there is one, to its trace (K, V and residual rows; tokens are
  // appended by who chose them). Requires caches and traces to be distinct, 1 <= all tokens <=
  // kMaxRows, no segment empty, ids below the vocabulary, and room in the context. One status for
  // each segment: after kOutOfRange its cache and trace must not be used again; the others stand.
  std::vector<Status> run(std::span<const Segment> segments);
  // The same for one.
  Status run(KvCache& cache, std::span<const std::uint32_t> tokens, trace::TraceBuilder* trace);

  // The logits after some rows of the last pass, valid until the next call; one result for each.
  // Requires at most kMaxLogitRows rows of segments that stand.
  std::vector<Result<std::span<const std::int32_t>>> logits(std::span<const std::size_t> rows);
  Result<std::span<const std::int32_t>> logits(std::size_t row);

 private:
  // Where a row can leave its range, in the order of a layer.
  enum class Stage { kProjection, kHeadNorm, kRows, kAttention, kGate, kFeedForward };
  // The input of products: one encoded row with an exponent for each row of the pass.
  struct Input {
    std::vector<std::uint8_t> bytes;
    std::vector<InputRow> rows;
    std::vector<int> exponents;
    std::size_t row_size = 0;
    int bits = 16;

    void shape(std::size_t count, std::size_t cols, std::int32_t bound);
    std::uint8_t* at(std::size_t i) { return bytes.data() + i * row_size; }
  };
  class Shifts;
  struct Row {
    std::size_t segment = 0;
    std::uint32_t t = 0;
  };

  void begin(std::span<const Segment> segments);
  void embed(std::span<const Segment> segments);
  // Into a_: the rows of x_ that `rows` names, or all.
  void norm(const machine::Gain& gain, std::int32_t bound, std::span<const std::size_t> rows);
  void project_qkv(std::size_t layer);
  void make_qkv_rows(std::size_t layer);
  void attention(std::size_t layer);
  void attention_rows(std::size_t layer);
  void add_residual(std::size_t layer, const PackedMatrix& matrix, const Input& input, Stage stage);
  void gate_rows(std::size_t layer);
  void feed_forward_rows(std::size_t layer);
  void append_to_traces(std::size_t layer);

  // A matrix, and where its products go: data[row of the input][row of the matrix].
  struct Product {
    const PackedMatrix* matrix = nullptr;
    const void* data = nullptr;
    std::size_t element_size = 0;
  };
  // Calls body(which, n, i, piece) for pieces that together are all products of the rows n of each
  // matrix with the rows i of the input. The places they go to are fetched before.
  template <class Body>
  void multiply(std::initializer_list<Product> products, const Input& input, const Body& body);
  // Notes that row i left its range; of a segment's the first by layer, stage and position is kept.
  // From any thread.
  void refuse(std::size_t i, std::size_t layer, Stage stage);
  // The same for each row i + r whose bit r is set.
  void refuse(std::uint32_t rows, std::size_t i, std::size_t layer, Stage stage);

  std::unique_ptr<const PackedModel> own_;
  const PackedModel& packed_;
  const machine::Model& model_;
  const Kernel& kernel_;
  Pool pool_;

  std::vector<Segment> segments_;
  std::vector<Row> rows_;  // of the pass
  std::vector<std::size_t> all_rows_;
  std::vector<machine::Angle> angles_;  // [row][head_dim/2]
  std::mutex refused_mutex_;
  struct Refusal {
    std::size_t layer = 0;
    std::uint32_t t = 0;
    Stage stage{};
  };
  std::vector<std::optional<Refusal>> refused_;  // [segment]

  std::vector<std::int32_t> x_;  // [row][hidden]
  std::vector<std::int32_t> q_, k_;
  std::vector<std::int64_t> v_;
  std::vector<std::int64_t> products_;  // [row][ffn]: of the gates, then gates times up
  std::vector<std::int16_t> gates_;     // [row][ffn], silu of the gate row
  std::vector<int> gate_exponents_;
  std::vector<std::int16_t> q_rows_, k_rows_;
  std::vector<std::int8_t> v_rows_;
  std::vector<int> q_exponents_;  // [row][head]
  std::vector<std::int32_t> o_;
  std::vector<HeadOutput> o_outputs_;  // [row][head]
  Input a_, o_rows_, h_;
  std::vector<AttentionScratch> scratch_;  // [thread]
  std::vector<std::int32_t> logits_;
  std::vector<Hash> hashes_;
};

}  // namespace otr::engine

#endif  // OTR_ENGINE_FORWARD_H_
