// Recording and replaying accessors: how one step becomes a witness, and a witness a verdict.
//
// A witness is the list of the values a step read, in order, each with its address. The referee of
// a dispute opens every address under the claim's roots; replaying then needs nothing else. An
// address is derived, never taken from the witness: a read of another address is refused.
#ifndef OTR_MACHINE_REPLAY_H_
#define OTR_MACHINE_REPLAY_H_

#include <vector>

#include "machine/step.h"

namespace otr::machine {

enum class Source : std::uint8_t {
  kMicro,
  kToken,
  kResidual,
  kK,
  kV,
  kWeight,
  kScale,
  kBias,
  kGain,
  kRopeStep,
  kTable,
  kNoise,
  kClaimed
};

// Where a value stands: the source, then up to three coordinates in the order of its arguments.
struct Address {
  Source source = Source::kMicro;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  std::uint64_t d = 0;

  bool operator==(const Address&) const = default;
};

struct Access {
  Address address;
  std::int64_t value = 0;

  bool operator==(const Access&) const = default;
};

// The members a State must have, in terms of one function `read(Address, fetch)`.
template <class Derived>
class AddressedState {
 public:
  std::int64_t micro(Tensor tensor, std::uint64_t i) {
    return read({Source::kMicro, static_cast<std::uint64_t>(tensor), i},
                [&](auto& s) { return s.micro(tensor, i); });
  }
  std::int64_t token(std::uint32_t t) {
    return read({Source::kToken, t}, [&](auto& s) { return s.token(t); });
  }
  std::int64_t residual(std::uint32_t layer, std::uint32_t t, std::uint64_t j) {
    return read({Source::kResidual, layer, t, j}, [&](auto& s) { return s.residual(layer, t, j); });
  }
  std::int64_t k(std::uint32_t layer, std::uint32_t g, std::uint32_t t, std::uint32_t j) {
    return read({Source::kK, layer, g, t, j}, [&](auto& s) { return s.k(layer, g, t, j); });
  }
  std::int64_t v(std::uint32_t layer, std::uint32_t g, std::uint32_t t, std::uint32_t j) {
    return read({Source::kV, layer, g, t, j}, [&](auto& s) { return s.v(layer, g, t, j); });
  }
  std::int64_t weight(MatrixId m, std::uint32_t layer, std::uint64_t n, std::uint64_t k) {
    return read({Source::kWeight, static_cast<std::uint64_t>(m), layer, n, k},
                [&](auto& s) { return s.weight(m, layer, n, k); });
  }
  std::int64_t scale(MatrixId m, std::uint32_t layer, std::uint64_t n) {
    return read({Source::kScale, static_cast<std::uint64_t>(m), layer, n},
                [&](auto& s) { return s.scale(m, layer, n); });
  }
  std::int64_t bias(MatrixId m, std::uint32_t layer, std::uint64_t n) {
    return read({Source::kBias, static_cast<std::uint64_t>(m), layer, n},
                [&](auto& s) { return s.bias(m, layer, n); });
  }
  std::int64_t gain(GainId g, std::uint32_t layer, std::uint64_t j) {
    return read({Source::kGain, static_cast<std::uint64_t>(g), layer, j},
                [&](auto& s) { return s.gain(g, layer, j); });
  }
  std::uint64_t rope_step(std::uint64_t i) {
    return static_cast<std::uint64_t>(read({Source::kRopeStep, i}, [&](auto& s) {
      return static_cast<std::int64_t>(s.rope_step(i));
    }));
  }
  std::int64_t table(TableId id, std::uint64_t row, std::uint64_t column) {
    return read({Source::kTable, static_cast<std::uint64_t>(id), row, column},
                [&](auto& s) { return s.table(id, row, column); });
  }
  std::uint32_t noise_word(std::uint32_t t, std::uint64_t j) {
    return static_cast<std::uint32_t>(
        read({Source::kNoise, t, j}, [&](auto& s) { return std::int64_t{s.noise_word(t, j)}; }));
  }
  std::int64_t claimed() {
    return read({Source::kClaimed}, [&](auto& s) { return s.claimed(); });
  }

 private:
  template <class Fetch>
  std::int64_t read(const Address& address, Fetch fetch) {
    return static_cast<Derived*>(this)->read_at(address, fetch);
  }
};

// Passes every read on to `inner` and keeps it.
template <class Inner>
class RecordingState : public AddressedState<RecordingState<Inner>> {
 public:
  explicit RecordingState(Inner& inner) : inner_(inner) {}

  const std::vector<Access>& witness() const { return witness_; }

  template <class Fetch>
  std::int64_t read_at(const Address& address, Fetch fetch) {
    const std::int64_t value = fetch(inner_);
    witness_.push_back({address, value});
    return value;
  }

 private:
  Inner& inner_;
  std::vector<Access> witness_;
};

// Answers reads from a witness. Values may be anything; a witness whose addresses are not those
// the step reads, in order, or that is too short or too long, is not complete().
class ReplayingState : public AddressedState<ReplayingState> {
 public:
  explicit ReplayingState(std::span<const Access> witness) : witness_(witness) {}

  bool complete() const { return !astray_ && next_ == witness_.size(); }

  template <class Fetch>
  std::int64_t read_at(const Address& address, Fetch) {
    if (astray_ || next_ == witness_.size() || witness_[next_].address != address) {
      astray_ = true;
      return 0;
    }
    return witness_[next_++].value;
  }

 private:
  std::span<const Access> witness_;
  std::size_t next_ = 0;
  bool astray_ = false;
};

}  // namespace otr::machine

#endif  // OTR_MACHINE_REPLAY_H_
