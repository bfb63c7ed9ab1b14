#include "prover/cells.h"

#include <algorithm>

namespace otr::prover {

ColumnViews views_of(const Columns& witness, const Columns& publics) {
  ColumnViews views(witness.begin(), witness.end());
  for (std::size_t id = 0; id < views.size(); ++id) {
    if (views[id].empty()) views[id] = publics[id];
  }
  return views;
}

RunEvaluator::RunEvaluator(const zk::Circuit& circuit, const zk::Dims& domain,
                           const zk::Expression& expression, const ColumnViews& columns) {
  for (std::size_t d = 1; d < domain.size(); ++d) above_.push_back(circuit.size(domain[d]));
  for (const zk::Term& term : expression) {
    Product product{term.coefficient, {}};
    for (const zk::ColumnId id : term.factors) {
      const zk::Dims& dims = circuit.columns[id].dims;
      Factor factor{columns[id].data(), zk::has(dims, domain[0]), {}};
      for (std::size_t d = 1; d < domain.size(); ++d) {
        std::uint64_t stride = 1;
        for (const zk::Dim dim : dims) {
          if (dim == domain[d]) break;
          stride *= circuit.size(dim);
        }
        factor.strides.push_back(zk::has(dims, domain[d]) ? stride : 0);
      }
      constant_ = constant_ && !factor.along;
      product.factors.push_back(std::move(factor));
    }
    products_.push_back(std::move(product));
  }
}

void RunEvaluator::run(std::uint64_t row, std::span<std::uint64_t> out) const {
  const std::size_t count = constant_ ? 1 : out.size();
  std::fill_n(out.begin(), count, 0);
  std::vector<std::uint32_t> at(above_.size());
  for (std::size_t d = 0; d < above_.size(); ++d) {
    at[d] = static_cast<std::uint32_t>(row % above_[d]);
    row /= above_[d];
  }
  for (const Product& product : products_) {
    zk::Felt scale = product.coefficient;
    std::array<const std::uint64_t*, 4> along{};
    std::size_t factors = 0;
    for (const Factor& factor : product.factors) {
      const std::uint64_t* cells = factor.cells;
      for (std::size_t d = 0; d < at.size(); ++d) cells += at[d] * factor.strides[d];
      if (factor.along) {
        along[factors++] = cells;
      } else {
        scale *= zk::Felt{*cells};
      }
    }
    if (factors == 1 && scale == zk::Felt{1}) {
      for (std::size_t i = 0; i < count; ++i) out[i] = (zk::Felt{out[i]} + zk::Felt{along[0][i]}).v;
      continue;
    }
    for (std::size_t i = 0; i < count; ++i) {
      zk::Felt value = scale;
      for (std::size_t f = 0; f < factors; ++f) value *= zk::Felt{along[f][i]};
      out[i] = (zk::Felt{out[i]} + value).v;
    }
  }
}

std::vector<zk::Ext> fold_column(const zk::Circuit& circuit, const zk::Dims& dims,
                                 std::span<const std::uint64_t> cells, const zk::Dims& kept,
                                 const zk::DimPoints& points) {
  // Where the lowest dimensions are folded together, one weighted sum gives each result.
  const auto first = std::ranges::find_if(dims, [&](zk::Dim d) { return zk::has(kept, d); });
  const zk::Dims low(dims.begin(), first);
  const std::vector<zk::Ext> weights = zk::eq_product(circuit, low, points);
  const zk::Dims rest(first, dims.end());
  std::vector<zk::Ext> folded(cells.size() / weights.size());
  for (std::size_t i = 0; i < folded.size(); ++i) {
    folded[i] = low.empty() ? zk::ext(zk::Felt{cells[i]})
                            : zk::dot(cells.subspan(i * weights.size(), weights.size()), weights);
  }
  // The others one at a time, the highest first: whole runs below it are added up.
  zk::Dims left = rest;
  for (std::size_t d = left.size(); d-- > 0;) {
    if (zk::has(kept, left[d])) continue;
    std::uint64_t below = 1;
    for (std::size_t i = 0; i < d; ++i) below *= circuit.size(left[i]);
    const std::uint64_t size = circuit.size(left[d]);
    const std::vector<zk::Ext> table = zk::eq_table(at(points, left[d]), size);
    std::vector<zk::Ext> next(folded.size() / size);
    for (std::size_t outer = 0; outer < next.size() / below; ++outer) {
      for (std::uint64_t x = 0; x < size; ++x) {
        const zk::Ext* from = folded.data() + (outer * size + x) * below;
        zk::Ext* to = next.data() + outer * below;
        for (std::uint64_t i = 0; i < below; ++i) to[i] += from[i] * table[x];
      }
    }
    folded = std::move(next);
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(d));
  }
  return folded;
}

}  // namespace otr::prover
