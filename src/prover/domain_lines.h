// The expressions of a domain, evaluated cell by cell (SPEC PL-2, PT-2): slow and direct, for the
// multiplicities and for checks.
#ifndef OTR_PROVER_DOMAIN_LINES_H_
#define OTR_PROVER_DOMAIN_LINES_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "prover/witness.h"
#include "zk/circuit.h"
#include "zk/field.h"

namespace otr::prover {

// Walks a domain by lines: all indices of the lowest dimension, the others being fixed.
class DomainLines {
 public:
  // `publics` by ColumnId, as those of a witness. Both and the domain must outlive this, and all
  // columns that its expressions name must have their size.
  DomainLines(const Witness& witness, const std::vector<std::vector<std::uint64_t>>& publics,
              const zk::Domain& domain);

  [[nodiscard]] std::uint64_t count() const;  // lines
  [[nodiscard]] std::uint32_t length() const { return box_[0]; }
  void seek(std::uint64_t line);

  // Of the line: its expression's values, and which cells the mask leaves.
  void evaluate(const zk::Expression& expression, std::span<zk::Felt> out) const;
  [[nodiscard]] bool inside(std::uint32_t i) const {
    return !domain_.masked || value(domain_.mask, i).v != 0;
  }
  // The place of a cell of the line, for a person: "t 3, l 0".
  [[nodiscard]] std::string place(std::uint32_t i) const;

 private:
  struct Reader {
    const std::uint64_t* cells = nullptr;
    std::vector<std::uint64_t> strides;  // by dimension of the domain
    std::uint64_t offset = 0;            // of the line
  };
  void add_reader(const zk::Circuit& circuit, zk::ColumnId id,
                  const std::vector<std::uint64_t>& cells);
  void add_term(const zk::Term& term, std::span<zk::Felt> out) const;
  [[nodiscard]] zk::Felt value(zk::ColumnId id, std::uint32_t i) const {
    const Reader& reader = readers_[id];
    return {reader.cells[reader.offset + i * reader.strides[0]]};
  }

  const zk::Domain& domain_;
  std::vector<std::uint32_t> box_;
  std::vector<std::uint32_t> at_;  // indices of the line, the lowest 0
  std::vector<Reader> readers_;    // by ColumnId
  std::vector<zk::ColumnId> used_;
};

}  // namespace otr::prover

#endif  // OTR_PROVER_DOMAIN_LINES_H_
