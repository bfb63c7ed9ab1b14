// The tiles of a witness after their paths were checked: where a replayed step, and every other
// proof, reads. What is read and not there, and what is there and not read, is noted.
#ifndef OTR_REFEREE_OPENED_H_
#define OTR_REFEREE_OPENED_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "machine/replay.h"
#include "referee/opening.h"
#include "referee/statement.h"

namespace otr::referee {

// Where an address of a step stands (SPEC REF-2): the tree, and the element in it. Nothing for
// noise and tables, which are constants. The claimed element is the micro-tensor's own.
struct Element {
  TreeId tree;
  std::uint64_t index = 0;
};
[[nodiscard]] std::optional<Element> place_of(const ModelFacts& model, const machine::StepId& id,
                                              const machine::Address& address);

class Opened {
 public:
  // SPEC MTRC-4's order and every path: NOT_CANONICAL, LIMIT_EXCEEDED, PATH_INVALID. All three
  // must outlive it.
  [[nodiscard]] static Result<Opened> open(const Statement& statement, const MicroTrace* micro,
                                           const Witness& witness);

  // An element; 0 where it is not opened, which complete() tells.
  [[nodiscard]] std::int64_t element(const TreeId& tree, std::uint64_t index);
  // The bytes of one tile; empty where it is not opened.
  [[nodiscard]] ByteView tile(const TreeId& tree, std::uint64_t leaf);
  // The run that ends before `end`; nothing where there is none. Reads nothing.
  [[nodiscard]] const Opening* run_ending(const TreeId& tree, std::uint64_t end) const;

  // WITNESS_INCOMPLETE if something was read that is not there, WITNESS_SURPLUS if something is
  // there that nothing read.
  [[nodiscard]] Status complete() const;

 private:
  struct Run {
    const Opening* opening;
    TreeFacts facts;
    std::vector<bool> read;  // tiles
  };
  // The bytes of the tile from its begin, noted as read; empty where it is not opened.
  [[nodiscard]] static ByteView read_tile(Run& run, std::uint64_t leaf);
  [[nodiscard]] static bool holds(const Run& run, std::uint64_t leaf) {
    return leaf >= run.opening->begin && leaf < run.opening->end;
  }

  std::vector<Run> runs_;
  bool missed_ = false;
};

// A State (machine/step.h) that reads from a witness: the replay of one step.
class OpenedState : public machine::AddressedState<OpenedState> {
 public:
  OpenedState(const Statement& statement, const machine::StepId& id, Opened& opened)
      : statement_(statement), id_(id), opened_(opened) {}

  template <class Fetch>
  std::int64_t read_at(const machine::Address& address, Fetch) {
    return read(address);
  }

 private:
  [[nodiscard]] std::int64_t read(const machine::Address& address);

  const Statement& statement_;
  const machine::StepId id_;
  Opened& opened_;
};

}  // namespace otr::referee

#endif  // OTR_REFEREE_OPENED_H_
