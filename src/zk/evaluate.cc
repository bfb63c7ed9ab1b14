#include "zk/evaluate.h"

#include <algorithm>

#include "base/multiversion.h"

namespace otr::zk {
namespace {

__extension__ using Wide = unsigned __int128;
__extension__ using SignedWide = __int128;

// A sum of products of u64 that is reduced once: 2^64 products fit.
struct Accumulator {
  Wide low = 0;
  std::uint64_t high = 0;

  void add(std::uint64_t a, std::uint64_t b) {
    const Wide product = Wide{a} * b;
    low += product;
    high += low < product ? 1 : 0;
  }
  // 2^128 = 2^64·2^64 = kEpsilon² mod p.
  Felt reduce() const { return reduce128(low) + Felt{kEpsilon} * Felt{kEpsilon} * reduce128(high); }
};

Felt reduce_signed(SignedWide v) {
  return v < 0 ? -reduce128(static_cast<Wide>(-v)) : reduce128(static_cast<Wide>(v));
}

constexpr std::size_t kTileColumns = 512;

// acc[j][k] += limb[j]·(w[k] + 128): unsigned, so that it vectorises to 32 × 32 → 64 bit products.
OTR_MULTIVERSION void add_row(const std::int8_t* w, std::size_t count,
                              const std::array<std::uint32_t, 4>& limbs,
                              std::array<std::array<std::uint64_t, kTileColumns>, 4>& acc) {
  for (std::size_t j = 0; j < 4; ++j) {
    const std::uint64_t limb = limbs[j];
    std::uint64_t* sum = acc[j].data();
    for (std::size_t k = 0; k < count; ++k) {
      sum[k] += limb * static_cast<std::uint8_t>(w[k] + 128);
    }
  }
}

}  // namespace

Ext dot(std::span<const std::uint64_t> values, std::span<const Ext> weights) {
  Accumulator c0, c1;
  for (std::size_t i = 0; i < values.size(); ++i) {
    c0.add(values[i], weights[i].c0.v);
    c1.add(values[i], weights[i].c1.v);
  }
  return {c0.reduce(), c1.reduce()};
}

Ext dot(std::span<const std::int16_t> values, std::span<const Ext> weights) {
  SignedWide c0 = 0;
  SignedWide c1 = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    c0 += SignedWide{values[i]} * weights[i].c0.v;
    c1 += SignedWide{values[i]} * weights[i].c1.v;
  }
  return {reduce_signed(c0), reduce_signed(c1)};
}

Ext dot(std::span<const Ext> values, std::span<const Ext> weights) {
  Ext sum = kZero;
  for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * weights[i];
  return sum;
}

std::vector<Ext> eq_product(const Circuit& circuit, const Dims& dims, const DimPoints& points) {
  std::vector<Ext> product = {kOne};
  for (const Dim dim : dims) {
    const std::vector<Ext> table = eq_table(at(points, dim), circuit.size(dim));
    std::vector<Ext> next;
    next.reserve(product.size() * table.size());
    for (const Ext& outer : table) {
      for (const Ext& inner : product) next.push_back(inner * outer);
    }
    product = std::move(next);
  }
  return product;
}

Ext evaluate(const Circuit& circuit, const Dims& dims, std::span<const std::uint64_t> values,
             const DimPoints& points) {
  if (dims.empty()) return ext(Felt{values[0]});
  const std::vector<Ext> inner = eq_table(at(points, dims[0]), circuit.size(dims[0]));
  const std::vector<Ext> outer = eq_product(circuit, Dims(dims.begin() + 1, dims.end()), points);
  Ext sum = kZero;
  for (std::size_t row = 0; row < outer.size(); ++row) {
    sum += outer[row] * dot(values.subspan(row * inner.size(), inner.size()), inner);
  }
  return sum;
}

std::vector<Ext> fold_rows(const machine::Matrix& matrix, std::span<const Ext> weights,
                           std::size_t begin, std::size_t end) {
  std::vector<Ext> folded(end - begin);
  std::array<std::array<std::uint64_t, kTileColumns>, 4> acc;
  for (std::size_t first = begin; first < end; first += kTileColumns) {
    const std::size_t count = std::min(kTileColumns, end - first);
    for (auto& list : acc) list.fill(0);
    std::array<std::uint64_t, 4> offsets{};
    // A limb times a byte is below 2^40, so 2^24 rows fit; LIM-1 allows 2^18.
    for (std::size_t n = 0; n < matrix.rows; ++n) {
      const Ext w = weights[n];
      if (w == kZero) continue;
      const std::array<std::uint32_t, 4> limbs = {
          static_cast<std::uint32_t>(w.c0.v), static_cast<std::uint32_t>(w.c0.v >> 32),
          static_cast<std::uint32_t>(w.c1.v), static_cast<std::uint32_t>(w.c1.v >> 32)};
      for (std::size_t j = 0; j < 4; ++j) offsets[j] += std::uint64_t{limbs[j]} * 128;
      add_row(matrix.weight.data() + n * matrix.cols + first, count, limbs, acc);
    }
    for (std::size_t k = 0; k < count; ++k) {
      const auto limb = [&](std::size_t j) {
        return SignedWide{acc[j][k]} - SignedWide{offsets[j]};
      };
      folded[first - begin + k] = {reduce_signed(limb(0) + limb(1) * (SignedWide{1} << 32)),
                                   reduce_signed(limb(2) + limb(3) * (SignedWide{1} << 32))};
    }
  }
  return folded;
}

std::vector<Ext> row_weights(const Circuit& circuit, const Column& column,
                             const machine::Shape& shape, const DimPoints& points) {
  using enum machine::MatrixId;
  switch (column.matrix) {
    case kWq:
    case kWk: {
      const Dims dims(column.dims.begin() + 1, column.dims.end() - 1);  // i, head
      const std::vector<Ext> product = eq_product(circuit, dims, points);
      const std::size_t half = shape.head_dim / 2;
      std::vector<Ext> weights(2 * product.size());
      for (std::size_t n = 0; n < product.size(); ++n) {
        const std::size_t head = n / half;
        weights[head * shape.head_dim + static_cast<std::size_t>(column.half) * half + n % half] =
            product[n];
      }
      return weights;
    }
    case kWv:
      return eq_product(circuit, {Dim::kJ, Dim::kG}, points);
    case kWo:
    case kDown:
      return eq_product(circuit, {Dim::kD}, points);
    case kGate:
    case kUp:
      return eq_product(circuit, {Dim::kF}, points);
    case kEmbed:
    case kHead:
      return eq_product(circuit, {Dim::kV}, points);
  }
  return {};
}

const machine::Matrix& matrix_of(const machine::Model& model, machine::MatrixId id,
                                 std::uint32_t layer) {
  using enum machine::MatrixId;
  switch (id) {
    case kWq:
      return model.layers[layer].wq;
    case kWk:
      return model.layers[layer].wk;
    case kWv:
      return model.layers[layer].wv;
    case kWo:
      return model.layers[layer].wo;
    case kGate:
      return model.layers[layer].w_gate;
    case kUp:
      return model.layers[layer].w_up;
    case kDown:
      return model.layers[layer].w_down;
    case kEmbed:
      return model.embed;
    case kHead:
      return model.head;
  }
  return model.embed;
}

Ext evaluate_weights(const Circuit& circuit, const machine::Model& model, const Column& column,
                     const DimPoints& points) {
  const std::vector<Ext> rows = row_weights(circuit, column, model.shape, points);
  const bool is_output = column.matrix == machine::MatrixId::kWo;
  const Dims inner = is_output ? Dims{Dim::kJ, Dim::kH} : Dims{column.dims[0]};
  const std::vector<Ext> cols = eq_product(circuit, inner, points);
  if (column.matrix == machine::MatrixId::kHead) {
    return dot(std::span<const Ext>(fold_rows(model.head, rows, 0, model.head.cols)), cols);
  }
  const std::vector<Ext> layers = eq_table(at(points, Dim::kL), model.shape.layers);
  Ext sum = kZero;
  for (std::uint32_t l = 0; l < model.shape.layers; ++l) {
    const machine::Matrix& matrix = matrix_of(model, column.matrix, l);
    sum += layers[l] * dot(std::span<const Ext>(fold_rows(matrix, rows, 0, matrix.cols)), cols);
  }
  return sum;
}

}  // namespace otr::zk
