#include "engine/forward.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "base/check.h"
#include "engine/rows.h"
#include "machine/program.h"
#include "machine/tables.h"

namespace otr::engine {

using machine::kSigned24;
using machine::kSigned32;

namespace {

constexpr std::size_t kPieceWidth = kBlockRows * kMostBlocks;

// In the order of Forward::Stage.
constexpr std::array<const char*, 6> kStageNames = {"q and k projection (SPEC OP-6)",
                                                    "q and k norms (SPEC OP-5)",
                                                    "q, k and v rows (SPEC OP-8, OP-9)",
                                                    "attention residual (SPEC OP-14)",
                                                    "gate row (SPEC OP-15)",
                                                    "feed-forward residual (SPEC OP-14)"};

}  // namespace

void Forward::Input::shape(std::size_t count, std::size_t cols, std::int32_t bound) {
  // A line more than a row needs: rows a power of two apart would meet in the same sets of a cache.
  row_size = (encoded_size(cols) + 63) / 64 * 64 + 64;
  bytes.resize(count * row_size);
  rows.resize(count);
  exponents.resize(count);
  bits = bound <= 127 ? 8 : 16;
}

// What the sums of some rows are shifted by: the rows' exponents and what the matrix adds to them.
class Forward::Shifts {
 public:
  Shifts(const Input& input, std::size_t i, std::size_t rows, int plus) {
    for (std::size_t r = 0; r < rows; ++r) shifts_[r] = input.exponents[i + r] + plus;
  }
  const int* data() const { return shifts_.data(); }

 private:
  std::array<int, kMostRows> shifts_;
};

Forward::Forward(const PackedModel& packed, unsigned threads)
    : packed_(packed),
      model_(packed.model()),
      kernel_(packed.kernel()),
      pool_(threads),
      scratch_(threads) {}

Forward::Forward(const machine::Model& model, unsigned threads)
    : own_(std::make_unique<PackedModel>(model, best_kernel(), threads)),
      packed_(*own_),
      model_(own_->model()),
      kernel_(own_->kernel()),
      pool_(threads),
      scratch_(threads) {}

void Forward::refuse(std::uint32_t rows, std::size_t i, std::size_t layer, Stage stage) {
  for (; rows != 0; rows >>= 1, ++i) {
    if ((rows & 1) != 0) refuse(i, layer, stage);
  }
}

void Forward::refuse(std::size_t i, std::size_t layer, Stage stage) {
  const std::lock_guard lock(refused_mutex_);
  std::optional<Refusal>& refusal = refused_[rows_[i].segment];
  const std::uint32_t t = rows_[i].t;
  const auto place = std::tuple(layer, stage, t);
  if (!refusal || place < std::tuple(refusal->layer, refusal->stage, refusal->t)) {
    refusal = {layer, t, stage};
  }
}

namespace {

// Asks for the part `index` of `parts` of the weights that come next, while those at hand are still
// being multiplied: else their first use waits for memory.
void prefetch_part(const std::uint8_t* next, std::size_t size, std::size_t index,
                   std::size_t parts) {
  constexpr std::size_t kLine = 64;
  const std::size_t lines = size / kLine;
  for (std::size_t n = lines * index / parts; n < lines * (index + 1) / parts; ++n) {
    __builtin_prefetch(next + n * kLine, 0, 2);
  }
}

// The same for what is about to be written.
void prefetch_to_write(const std::uint8_t* to, std::size_t size) {
  constexpr std::size_t kLine = 64;
  for (std::size_t at = 0; at < size; at += kLine) __builtin_prefetch(to + at, 1, 2);
}

}  // namespace

template <class Body>
void Forward::multiply(std::initializer_list<Product> products, const Input& input,
                       const Body& body) {
  // One unit is the two blocks of a piece; a thread takes as many at a time as stay in the second
  // cache while all rows pass over them, so that the rows come but once for all of them.
  constexpr std::size_t kPanelBytes = std::size_t{3} << 17;
  const auto units_of = [](const PackedMatrix& m) {
    return (m.blocks() + kMostBlocks - 1) / kMostBlocks;
  };
  std::size_t units = 0;
  for (const Product& product : products) units += units_of(*product.matrix);
  const std::size_t pieces = (input.rows.size() + kMostRows - 1) / kMostRows;
  const auto run_panel = [&](const Product& product, std::size_t which, std::size_t begin,
                             std::size_t end, std::size_t next) {
    const PackedMatrix& m = *product.matrix;
    alignas(64) std::array<std::int64_t, kMostRows * kPieceWidth> acc;
    for (std::size_t piece = 0; piece < pieces; ++piece) {
      const std::size_t i = piece * kMostRows;
      const std::size_t rows = std::min(kMostRows, input.rows.size() - i);
      if (pieces > 1) {
        prefetch_part(m.block(end), (next - end) * m.groups() * kGroupBytes, piece, pieces);
      }
      for (std::size_t block = begin; block < end; block += kMostBlocks) {
        const std::size_t blocks = std::min(kMostBlocks, end - block), n = block * kBlockRows;
        for (std::size_t r = 0; pieces > 1 && r < rows; ++r) {
          prefetch_to_write(static_cast<const std::uint8_t*>(product.data) +
                                ((i + r) * m.matrix.rows + n) * product.element_size,
                            blocks * kBlockRows * product.element_size);
        }
        kernel_.multiply(m.block(block), blocks, m.groups(), input.rows.data() + i, rows,
                         input.bits, acc.data());
        body(which, n, i,
             Piece{acc.data(), rows, std::min<std::size_t>(blocks * kBlockRows, m.matrix.rows - n),
                   blocks * kBlockRows, &m.matrix.scale[n],
                   m.matrix.bias.empty() ? nullptr : &m.matrix.bias[n]});
      }
    }
  };
  pool_.split(units, [&](std::size_t begin, std::size_t end) {
    std::size_t which = 0, first = 0;  // first unit of the matrix
    for (const Product& product : products) {
      const PackedMatrix* const m = product.matrix;
      const std::size_t last = first + units_of(*m);
      const std::size_t panel =
          std::max<std::size_t>(1, kPanelBytes / (kMostBlocks * m->groups() * kGroupBytes));
      const auto block_of = [&](std::size_t unit) {
        return std::min((std::min({unit, end, last}) - first) * kMostBlocks, m->blocks());
      };
      for (std::size_t u = std::max(begin, first); u < std::min(end, last); u += panel) {
        run_panel(product, which, block_of(u), block_of(u + panel), block_of(u + 2 * panel));
      }
      first = last;
      ++which;
    }
  });
}

void Forward::begin(std::span<const Segment> segments) {
  segments_.assign(segments.begin(), segments.end());
  refused_.assign(segments.size(), std::nullopt);
  rows_.clear();
  for (std::size_t s = 0; s < segments.size(); ++s) {
    const std::uint32_t first = segments[s].cache->size();
    const auto count = static_cast<std::uint32_t>(segments[s].tokens.size());
    OTR_CHECK(count > 0 && count <= model_.shape.context - first);
    for (std::uint32_t i = 0; i < count; ++i) rows_.push_back({s, first + i});
    segments[s].cache->grow(count);
  }
  OTR_CHECK(!rows_.empty() && rows_.size() <= kMaxRows);
  all_rows_.resize(rows_.size());
  for (std::size_t i = 0; i < rows_.size(); ++i) all_rows_[i] = i;
}

void Forward::embed(std::span<const Segment> segments) {
  const std::size_t d = model_.shape.hidden, half = model_.shape.head_dim / 2;
  const int s = model_.embed.exponent - model_.shape.residual_frac_bits;  // >= 0 by MODEL-4
  std::vector<std::uint32_t> ids;
  for (const Segment& segment : segments) {
    ids.insert(ids.end(), segment.tokens.begin(), segment.tokens.end());
  }
  x_.resize(rows_.size() * d);
  angles_.resize(rows_.size() * half);
  pool_.split(rows_.size(), [&](std::size_t begin, std::size_t end) {
    std::vector<std::int8_t> weights(d);
    for (std::size_t i = begin; i < end; ++i) {
      for (std::size_t k = 0; k < d; ++k) weights[k] = packed_.embedding(ids[i], k);
      embed_row(weights, model_.embed.scale[ids[i]], s, x_.data() + i * d);
      for (std::size_t j = 0; j < half; ++j) {
        angles_[i * half + j] = machine::angle(rows_[i].t, model_.rope_steps[j]);
      }
    }
  });
}

void Forward::norm(const machine::Gain& gain, std::int32_t bound,
                   std::span<const std::size_t> rows) {
  const std::size_t d = model_.shape.hidden;
  a_.shape(rows.size(), d, bound);
  pool_.split(rows.size(), [&](std::size_t begin, std::size_t end) {
    std::vector<std::int64_t> scratch(d);
    std::vector<std::int16_t> row(d);
    for (std::size_t i = begin; i < end; ++i) {
      a_.exponents[i] = norm_row(std::span(x_).subspan(rows[i] * d, d), gain, model_.shape.eps,
                                 bound, scratch, row.data());
      a_.rows[i] = kernel_.encode(row.data(), d, a_.bits, a_.at(i));
    }
  });
}

void Forward::project_qkv(std::size_t layer) {
  const PackedModel::Layer& l = packed_.layer(layer);
  const std::array<const machine::Matrix*, 3> matrices = {&l.wq.matrix, &l.wk.matrix, &l.wv.matrix};
  q_.resize(rows_.size() * l.wq.matrix.rows);
  k_.resize(rows_.size() * l.wk.matrix.rows);
  v_.resize(rows_.size() * l.wv.matrix.rows);
  multiply({{&l.wq, q_.data(), 4}, {&l.wk, k_.data(), 4}, {&l.wv, v_.data(), 8}}, a_,
           [&](std::size_t which, std::size_t n, std::size_t i, const Piece& piece) {
             const machine::Matrix& m = *matrices[which];
             if (which == 2) return scaled(piece, &v_[i * m.rows + n], m.rows);
             const Shifts shifts(a_, i, piece.rows, m.exponent - model_.shape.qk_frac_bits);
             refuse(linear(piece, shifts.data(), kSigned24,
                           (which == 0 ? q_ : k_).data() + i * m.rows + n, m.rows),
                    i, layer, Stage::kProjection);
           });
}

void Forward::make_qkv_rows(std::size_t layer) {
  const machine::Shape& shape = model_.shape;
  const machine::Layer& weights = model_.layers[layer];
  const std::size_t d = shape.head_dim, rows = rows_.size();
  q_rows_.resize(rows * shape.q_width());
  q_exponents_.resize(rows * shape.heads);
  k_rows_.resize(shape.kv_heads * rows * (d + 1));
  v_rows_.resize(shape.kv_heads * rows * (d + 1));
  pool_.split(rows, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const auto angles = std::span(std::as_const(angles_)).subspan(i * (d / 2), d / 2);
      const auto checked = [&](int exponent, int least) {
        if (exponent >= least) return exponent;
        refuse(i, layer, Stage::kRows);
        return least;
      };
      const auto normed = [&](std::span<std::int32_t> y, const machine::Gain& gain) {
        if (shape.qk_norm && !head_norm(y, gain, shape.eps_qk, shape.qk_frac_bits)) {
          refuse(i, layer, Stage::kHeadNorm);
        }
        return y;
      };
      for (std::size_t h = 0; h < shape.heads; ++h) {
        const auto y =
            normed(std::span(q_).subspan(i * shape.q_width() + h * d, d), weights.q_norm);
        q_exponents_[i * shape.heads + h] =
            checked(rotated_row(y, angles, shape.qk_frac_bits, machine::q_bound(shape.head_dim),
                                q_rows_.data() + i * shape.q_width() + h * d),
                    4);
      }
      for (std::uint32_t g = 0; g < shape.kv_heads; ++g) {
        const auto y =
            normed(std::span(k_).subspan(i * shape.kv_width() + g * d, d), weights.k_norm);
        const auto k = std::span(k_rows_).subspan((g * rows + i) * (d + 1), d + 1);
        const auto v = std::span(v_rows_).subspan((g * rows + i) * (d + 1), d + 1);
        const int f_k =
            checked(rotated_row(y, angles, shape.qk_frac_bits, machine::kKBound, k.data()), 4);
        const int f_v =
            checked(quantise<std::int8_t>(std::span(v_).subspan(i * shape.kv_width() + g * d, d),
                                          weights.wv.exponent + a_.exponents[i], machine::kVBound,
                                          machine::kRowCap, v.data()),
                    -30);
        k[d] = static_cast<std::int16_t>(f_k);
        v[d] = static_cast<std::int8_t>(f_v);
        segments_[rows_[i].segment].cache->write(static_cast<std::uint32_t>(layer), g, rows_[i].t,
                                                 k.first(d), f_k, v.first(d), f_v);
      }
    }
  });
}

void Forward::attention(std::size_t layer) {
  const machine::Shape& shape = model_.shape;
  const std::size_t d = shape.head_dim;
  const std::size_t group = shape.heads / shape.kv_heads;
  o_.resize(rows_.size() * shape.q_width());
  o_outputs_.resize(rows_.size() * shape.heads);
  // One unit is some neighbouring rows of a segment and one key/value head.
  struct Unit {
    std::size_t begin, end;
  };
  std::vector<Unit> units;
  const std::size_t together = std::max<std::size_t>(1, kMostQueries / group);
  for (std::size_t i = 0; i < rows_.size();) {
    std::size_t end = i + 1;
    while (end < rows_.size() && end < i + together && rows_[end].segment == rows_[i].segment) {
      ++end;
    }
    units.push_back({i, end});
    i = end;
  }
  const auto run_unit = [&](const Unit& unit, std::uint32_t g, AttentionScratch& scratch) {
    std::vector<Query> queries;
    const auto flush = [&] {
      if (queries.empty()) return;
      attend(kernel_, queries, *segments_[rows_[unit.begin].segment].cache,
             static_cast<std::uint32_t>(layer), g, d, scratch);
      queries.clear();
    };
    for (std::size_t i = unit.begin; i < unit.end; ++i) {
      for (std::size_t h = g * group; h < (g + 1) * group; ++h) {
        const std::size_t at = i * shape.heads + h;
        queries.push_back({q_rows_.data() + at * d, q_exponents_[at],
                           machine::first_attended(rows_[i].t, shape.window), rows_[i].t,
                           o_.data() + at * d, &o_outputs_[at]});
        if (queries.size() == kMostQueries) flush();
      }
    }
    flush();
  };
  // Later positions cost more, so units are dealt out in turn, not in blocks.
  const std::size_t shares = pool_.threads();
  pool_.split(shares, [&](std::size_t begin, std::size_t end) {
    for (std::size_t share = begin; share < end; ++share) {
      for (std::size_t n = share; n < units.size() * shape.kv_heads; n += shares) {
        run_unit(units[n / shape.kv_heads], static_cast<std::uint32_t>(n % shape.kv_heads),
                 scratch_[share]);
      }
    }
  });
}

// OP-13: one exponent for all heads of a position.
void Forward::attention_rows(std::size_t layer) {
  const machine::Shape& shape = model_.shape;
  const std::size_t d = shape.head_dim;
  const std::int32_t bound = model_.layers[layer].bounds.o;
  o_rows_.shape(rows_.size(), shape.q_width(), bound);
  pool_.split(rows_.size(), [&](std::size_t begin, std::size_t end) {
    std::vector<std::int16_t> row(shape.q_width());
    for (std::size_t i = begin; i < end; ++i) {
      const auto heads = std::span(o_outputs_).subspan(i * shape.heads, shape.heads);
      int f = machine::kRowCap;
      for (const HeadOutput& head : heads) {
        f = std::min(f,
                     machine::row_exponent(head.extremes, head.exponent, bound, machine::kRowCap));
      }
      o_rows_.exponents[i] = f;
      for (std::size_t h = 0; h < shape.heads; ++h) {
        round_head(std::span(o_).subspan((i * shape.heads + h) * d, d), heads[h].r,
                   heads[h].exponent - f, row.data() + h * d);
      }
      o_rows_.rows[i] = kernel_.encode(row.data(), row.size(), o_rows_.bits, o_rows_.at(i));
    }
  });
}

void Forward::add_residual(std::size_t layer, const PackedMatrix& matrix, const Input& input,
                           Stage stage) {
  const machine::Matrix& m = matrix.matrix;
  multiply({{&matrix, x_.data(), 4}}, input,
           [&](std::size_t, std::size_t n, std::size_t i, const Piece& piece) {
             const Shifts shifts(input, i, piece.rows,
                                 m.exponent - model_.shape.residual_frac_bits);
             refuse(add_linear(piece, shifts.data(), &x_[i * m.rows + n], m.rows), i, layer, stage);
           });
}

void Forward::gate_rows(std::size_t layer) {
  const std::size_t n_ff = model_.shape.ffn;
  products_.resize(rows_.size() * n_ff);
  gates_.resize(rows_.size() * n_ff);
  gate_exponents_.resize(rows_.size());
  multiply({{&packed_.layer(layer).w_gate, products_.data(), 8}}, a_,
           [&](std::size_t, std::size_t n, std::size_t i, const Piece& piece) {
             scaled(piece, &products_[i * n_ff + n], n_ff);
           });
  pool_.split(rows_.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      gate_exponents_[i] = gate_row(std::span(products_).subspan(i * n_ff, n_ff),
                                    model_.layers[layer].w_gate.exponent + a_.exponents[i],
                                    std::span(gates_).subspan(i * n_ff, n_ff));
      if (gate_exponents_[i] >= 0) continue;
      refuse(i, layer, Stage::kGate);
      gate_exponents_[i] = 0;
    }
  });
}

void Forward::feed_forward_rows(std::size_t layer) {
  const std::size_t n_ff = model_.shape.ffn;
  const machine::Layer& weights = model_.layers[layer];
  multiply({{&packed_.layer(layer).w_up, products_.data(), 8}}, a_,
           [&](std::size_t, std::size_t n, std::size_t i, const Piece& piece) {
             gated(piece, &gates_[i * n_ff + n], &products_[i * n_ff + n], n_ff);
           });
  h_.shape(rows_.size(), n_ff, weights.bounds.down);
  pool_.split(rows_.size(), [&](std::size_t begin, std::size_t end) {
    std::vector<std::int16_t> row(n_ff);
    for (std::size_t i = begin; i < end; ++i) {
      h_.exponents[i] =
          quantise<std::int16_t>(std::span(products_).subspan(i * n_ff, n_ff),
                                 gate_exponents_[i] + weights.w_up.exponent + a_.exponents[i],
                                 weights.bounds.down, machine::kRowCap, row.data());
      h_.rows[i] = kernel_.encode(row.data(), n_ff, h_.bits, h_.at(i));
    }
  });
}

std::vector<Status> Forward::run(std::span<const Segment> segments) {
  begin(segments);
  embed(segments);
  for (std::size_t l = 0; l < model_.layers.size(); ++l) {
    const machine::Layer& layer = model_.layers[l];
    norm(layer.attn_norm, layer.bounds.attn, all_rows_);
    project_qkv(l);
    make_qkv_rows(l);
    attention(l);
    attention_rows(l);
    add_residual(l, packed_.layer(l).wo, o_rows_, Stage::kAttention);
    norm(layer.mlp_norm, layer.bounds.mlp, all_rows_);
    gate_rows(l);
    feed_forward_rows(l);
    add_residual(l, packed_.layer(l).w_down, h_, Stage::kFeedForward);
    append_to_traces(l);
    // Nothing stands any more: the rest would only cost time.
    if (std::ranges::all_of(refused_, [](const auto& refusal) { return refusal.has_value(); }))
      break;
  }
  std::vector<Status> statuses;
  for (const auto& refusal : refused_) {
    if (!refusal) {
      statuses.emplace_back();
      continue;
    }
    statuses.push_back(fail(ErrorKind::kOutOfRange,
                            "the exact arithmetic left its range at position " +
                                std::to_string(refusal->t) + ", layer " +
                                std::to_string(refusal->layer) + ", " +
                                kStageNames[static_cast<std::size_t>(refusal->stage)] +
                                "; no claim can be signed on this request",
                            "OUT_OF_RANGE"));
  }
  return statuses;
}

Status Forward::run(KvCache& cache, std::span<const std::uint32_t> tokens,
                    trace::TraceBuilder* trace) {
  const Segment segment{&cache, tokens, trace};
  return run(std::span(&segment, 1)).front();
}

std::vector<Result<std::span<const std::int32_t>>> Forward::logits(
    std::span<const std::size_t> rows) {
  OTR_CHECK(!rows.empty() && rows.size() <= kMaxLogitRows);
  for (const std::size_t row : rows) OTR_CHECK(row < rows_.size());
  norm(model_.final_norm, model_.head_bound, rows);
  const machine::Matrix& m = packed_.head().matrix;
  logits_.resize(rows.size() * m.rows);
  std::vector<std::atomic<bool>> outside(rows.size());
  multiply({{&packed_.head(), logits_.data(), 4}}, a_,
           [&](std::size_t, std::size_t n, std::size_t i, const Piece& piece) {
             const Shifts shifts(a_, i, piece.rows, m.exponent - 16);
             const std::uint32_t refused =
                 linear(piece, shifts.data(), kSigned32, &logits_[i * m.rows + n], m.rows);
             for (std::size_t r = 0; r < piece.rows; ++r) {
               if ((refused >> r & 1) != 0) outside[i + r] = true;
             }
           });
  std::vector<Result<std::span<const std::int32_t>>> results;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (outside[i]) {
      results.push_back(fail(ErrorKind::kOutOfRange,
                             "the exact arithmetic left its range at position " +
                                 std::to_string(rows_[rows[i]].t) +
                                 ", logits (SPEC OP-17); no claim can be signed on this request",
                             "OUT_OF_RANGE"));
    } else {
      results.emplace_back(std::span(logits_).subspan(i * m.rows, m.rows));
    }
  }
  return results;
}

Result<std::span<const std::int32_t>> Forward::logits(std::size_t row) {
  return logits(std::span(&row, 1)).front();
}

}  // namespace otr::engine
