#include "prover/domain_lines.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace otr::prover {
namespace {

constexpr std::array<const char*, zk::kDimCount> kDimNames = {"i", "j", "h", "g", "d", "f",
                                                              "t", "l", "u", "T", "o", "v"};

}  // namespace

DomainLines::DomainLines(const Witness& witness,
                         const std::vector<std::vector<std::uint64_t>>& publics,
                         const zk::Domain& domain)
    : domain_(domain),
      box_(witness.circuit.box(domain.dims)),
      at_(box_.size()),
      readers_(witness.circuit.columns.size()) {
  const auto add = [&](zk::ColumnId id) {
    if (readers_[id].cells != nullptr) return;
    add_reader(witness.circuit, id,
               witness.columns[id].empty() ? publics.at(id) : witness.columns[id]);
  };
  const auto add_all = [&](const zk::Expression& expression) {
    for (const zk::Term& term : expression) std::ranges::for_each(term.factors, add);
  };
  if (domain.masked) add(domain.mask);
  for (const zk::Lookup& lookup : domain.lookups) std::ranges::for_each(lookup.tuple, add_all);
  for (const zk::Zero& zero : domain.zeros) add_all(zero.value);
}

void DomainLines::add_reader(const zk::Circuit& circuit, zk::ColumnId id,
                             const std::vector<std::uint64_t>& cells) {
  const zk::Dims& dims = circuit.columns[id].dims;
  OTR_CHECK(cells.size() == circuit.cells(dims));
  Reader& reader = readers_[id];
  reader.cells = cells.data();
  reader.strides.resize(box_.size());
  std::uint64_t stride = 1;
  for (const zk::Dim dim : dims) {
    const auto at = std::ranges::find(domain_.dims, dim);
    OTR_CHECK(at != domain_.dims.end());
    reader.strides[static_cast<std::size_t>(at - domain_.dims.begin())] = stride;
    stride *= circuit.size(dim);
  }
  used_.push_back(id);
}

std::uint64_t DomainLines::count() const {
  std::uint64_t product = 1;
  for (std::size_t d = 1; d < box_.size(); ++d) product *= box_[d];
  return product;
}

void DomainLines::seek(std::uint64_t line) {
  for (std::size_t d = 1; d < box_.size(); ++d) {
    at_[d] = static_cast<std::uint32_t>(line % box_[d]);
    line /= box_[d];
  }
  for (const zk::ColumnId id : used_) {
    Reader& reader = readers_[id];
    reader.offset = 0;
    for (std::size_t d = 1; d < box_.size(); ++d) reader.offset += at_[d] * reader.strides[d];
  }
}

void DomainLines::evaluate(const zk::Expression& expression, std::span<zk::Felt> out) const {
  std::ranges::fill(out, zk::Felt{});
  for (const zk::Term& term : expression) add_term(term, out);
}

// Most factors do not change along a line, and most terms have at most one that does.
void DomainLines::add_term(const zk::Term& term, std::span<zk::Felt> out) const {
  zk::Felt constant = term.coefficient;
  std::array<const Reader*, 8> varying;
  std::size_t count = 0;
  for (const zk::ColumnId id : term.factors) {
    const Reader& reader = readers_[id];
    if (reader.strides[0] == 0) {
      constant *= zk::Felt{reader.cells[reader.offset]};
    } else {
      OTR_CHECK(count < varying.size());
      varying[count++] = &reader;
    }
  }
  const auto cell = [](const Reader& reader, std::size_t i) {
    return zk::Felt{reader.cells[reader.offset + i * reader.strides[0]]};
  };
  if (count == 1 && constant.v == 1) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += cell(*varying[0], i);
    return;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    zk::Felt product = constant;
    for (std::size_t k = 0; k < count; ++k) product *= cell(*varying[k], i);
    out[i] += product;
  }
}

std::string DomainLines::place(std::uint32_t i) const {
  std::string text;
  for (std::size_t d = 0; d < box_.size(); ++d) {
    text += (d == 0 ? "" : ", ") +
            std::string(kDimNames[static_cast<std::size_t>(domain_.dims[d])]) + " " +
            std::to_string(d == 0 ? i : at_[d]);
  }
  return text;
}

}  // namespace otr::prover
