#include "zk/argument.h"

#include <algorithm>

#include "zk/lookup_tables.h"

namespace otr::zk {
namespace {

std::unexpected<Error> malformed(std::string message) {
  return fail(ErrorKind::kReject, std::move(message), "MALFORMED");
}

class Writer {
 public:
  void hash(const Hash& h) { append(bytes, h); }
  void number(std::uint64_t n) { append_le(bytes, n); }
  void element(Felt a) { append_le(bytes, a.v); }
  void element(const Ext& a) {
    element(a.c0);
    element(a.c1);
  }
  void elements(std::span<const Ext> list) {
    for (const Ext& a : list) element(a);
  }
  Bytes bytes;
};

class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}

  Hash hash() {
    Hash h;
    std::copy_n(take(32), 32, h.begin());
    return h;
  }
  std::uint64_t number() { return load_le<std::uint64_t>(take(8)); }
  Felt felt() {
    const std::uint64_t v = number();
    canonical_ = canonical_ && v < kPrime;
    return {v};
  }
  Ext element() {
    const Felt c0 = felt();
    return {c0, felt()};
  }
  std::vector<Ext> elements(std::size_t count) {
    std::vector<Ext> list(count);
    for (Ext& a : list) a = element();
    return list;
  }
  bool canonical() const { return canonical_; }

 private:
  const std::uint8_t* take(std::size_t count) {  // the caller has checked the whole length
    const std::uint8_t* from = bytes_.data();
    bytes_ = bytes_.subspan(count);
    return from;
  }
  ByteView bytes_;
  bool canonical_ = true;
};

}  // namespace

std::vector<ColumnId> committed_factors(const Circuit& circuit, const Contraction& contraction) {
  std::vector<ColumnId> list;
  for (const auto& term : contraction.terms) {
    for (const ColumnId id : term) {
      const bool committed = circuit.columns[id].kind == ColumnKind::kCommitted;
      if (committed && std::ranges::find(list, id) == list.end()) list.push_back(id);
    }
  }
  return list;
}

std::size_t degree_of(const Circuit& circuit, const Contraction& contraction) {
  std::size_t degree = 0;
  for (const auto& term : contraction.terms) degree = std::max(degree, term.size());
  const Dims& output = circuit.columns[contraction.output].dims;
  const bool shared =
      std::ranges::any_of(contraction.sum, [&](Dim dim) { return has(output, dim); });
  return degree + (shared ? 1 : 0);
}

std::size_t variables_of(const Circuit& circuit, const Dims& dims) {
  int bits = 0;
  for (const Dim dim : dims) bits += bits_of(circuit.size(dim));
  return static_cast<std::size_t>(bits);
}

std::vector<ColumnShape> committed_shapes(const Circuit& circuit) {
  std::vector<ColumnShape> shapes;
  for (const ColumnId id : circuit.committed) shapes.push_back({circuit.box_of(id)});
  return shapes;
}

ArgumentShape shape_of(const Circuit& circuit, const Layout& layout) {
  ArgumentShape shape;
  shape.nu = plan_leaves(circuit).nu;
  for (const Domain& domain : circuit.domains) {
    shape.domains.push_back(
        {variables_of(circuit, domain.dims) * static_cast<std::size_t>(domain.degree),
         domain.committed.size() + domain.virtuals.size()});
  }
  for (const Contraction& c : circuit.contractions) {
    shape.contractions.push_back({variables_of(circuit, c.sum) * degree_of(circuit, c),
                                  committed_factors(circuit, c).size()});
  }
  shape.tables = circuit.tables.size();
  shape.opening_messages = 2 * static_cast<std::size_t>(layout.bits());
  shape.combined = std::size_t{1} << layout.kappa();
  shape.queries = kQueries;
  shape.cells = layout.rows();
  shape.path = static_cast<std::size_t>(layout.kappa());
  return shape;
}

std::uint64_t ArgumentShape::size_bytes() const {
  std::uint64_t elements = 2 + domains.size() + tables + opening_messages + 1 + combined;
  for (std::size_t k = 0; k < nu; ++k) elements += 3 * k + 4;
  for (const Size& s : domains) elements += s.messages + s.values;
  for (const Size& s : contractions) elements += s.messages + s.values;
  return 64 + 8 + 16 * elements + 8 + queries * (8 * cells + 32 * path);
}

Status check_size(const Circuit& circuit, std::optional<std::uint64_t> argument_bytes) {
  const std::vector<ColumnShape> shapes = committed_shapes(circuit);
  if (!Layout::fits(shapes)) return reject_proof("the pass has too many cells for one proof");
  const Layout layout(shapes);
  if (layout.cells() > kMaxProofCells) {
    return reject_proof("the pass has " + std::to_string(layout.cells()) +
                        " cells; a proof has at most 2^29: prove a shorter answer");
  }
  const std::uint64_t expected = shape_of(circuit, layout).size_bytes();
  if (argument_bytes.value_or(expected) == expected) return {};
  return fail(ErrorKind::kReject,
              "the argument has " + std::to_string(*argument_bytes) + " bytes and not " +
                  std::to_string(expected),
              "MALFORMED");
}

Bytes encode_argument(const Argument& a) {
  Writer out;
  out.hash(a.commitment.data_root);
  out.hash(a.commitment.parity_root);
  out.number(a.nonce);
  out.elements(a.gkr.root);
  for (const GkrProof::Layer& layer : a.gkr.layers) {
    out.elements(layer.rounds.messages);
    out.elements(layer.values);
  }
  out.elements(a.domain_sums);
  out.elements(a.multiplicities);
  for (const auto* list : {&a.domains, &a.contractions}) {
    for (const Reduction& r : *list) {
      out.elements(r.sumcheck.messages);
      out.elements(r.values);
    }
  }
  out.elements(a.opening.sumcheck.messages);
  out.element(a.opening.value);
  out.elements(a.opening.combined);
  out.number(a.opening.nonce);
  for (const OpenedPlace& place : a.opening.queries) {
    for (const Felt cell : place.cells) out.element(cell);
    for (const Hash& h : place.path) out.hash(h);
  }
  return std::move(out.bytes);
}

Result<Argument> decode_argument(ByteView bytes, const ArgumentShape& shape) {
  if (bytes.size() != shape.size_bytes()) {
    return malformed("the argument has " + std::to_string(bytes.size()) + " bytes and not " +
                     std::to_string(shape.size_bytes()));
  }
  Reader in(bytes);
  Argument a;
  a.commitment.data_root = in.hash();
  a.commitment.parity_root = in.hash();
  a.nonce = in.number();
  for (Ext& e : a.gkr.root) e = in.element();
  for (std::size_t k = 0; k < shape.nu; ++k) {
    GkrProof::Layer layer;
    layer.rounds.messages = in.elements(3 * k);
    for (Ext& e : layer.values) e = in.element();
    a.gkr.layers.push_back(std::move(layer));
  }
  a.domain_sums = in.elements(shape.domains.size());
  a.multiplicities = in.elements(shape.tables);
  const auto read = [&](const std::vector<ArgumentShape::Size>& sizes) {
    std::vector<Reduction> list;
    for (const ArgumentShape::Size& size : sizes) {
      Reduction r{{in.elements(size.messages)}, {}};
      r.values = in.elements(size.values);
      list.push_back(std::move(r));
    }
    return list;
  };
  a.domains = read(shape.domains);
  a.contractions = read(shape.contractions);
  a.opening.sumcheck.messages = in.elements(shape.opening_messages);
  a.opening.value = in.element();
  a.opening.combined = in.elements(shape.combined);
  a.opening.nonce = in.number();
  for (std::size_t q = 0; q < shape.queries; ++q) {
    OpenedPlace place;
    for (std::size_t c = 0; c < shape.cells; ++c) place.cells.push_back(in.felt());
    for (std::size_t h = 0; h < shape.path; ++h) place.path.push_back(in.hash());
    a.opening.queries.push_back(std::move(place));
  }
  if (!in.canonical()) return malformed("an element of the argument is not below p");
  return a;
}

}  // namespace otr::zk
