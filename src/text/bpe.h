// Byte-pair encoding: the merges of a vocabulary, applied to one word.
#ifndef OTR_TEXT_BPE_H_
#define OTR_TEXT_BPE_H_

#include <cstdint>
#include <span>
#include <vector>

namespace otr::text {

struct Merge {
  std::uint32_t left;
  std::uint32_t right;
  std::uint32_t result;
};

class Bpe {
 public:
  Bpe() = default;
  // `by_rank`: the first merge is the most urgent. All ids must be less than `vocabulary_size`. Of
  // two merges of the same pair the later counts, as in the readers of Hugging Face.
  Bpe(std::uint32_t vocabulary_size, std::span<const Merge> by_rank);

  // Merges the pair of lowest rank, of those the leftmost, until none is left; appends the result
  // to `ids`. Time n log n in the number of symbols, whatever they are.
  void append(std::span<const std::uint32_t> symbols, std::vector<std::uint32_t>& ids) const;

 private:
  struct Entry {
    std::uint32_t right;
    std::uint32_t rank;
    std::uint32_t result;
  };

  [[nodiscard]] const Entry* find(std::uint32_t left, std::uint32_t right) const;

  // Entries of left id i are entries_[starts_[i] .. starts_[i + 1]), sorted by right. A table of
  // this kind cannot be slowed down by chosen ids, as a hash table can.
  std::vector<std::uint32_t> starts_;
  std::vector<Entry> entries_;
};

}  // namespace otr::text

#endif  // OTR_TEXT_BPE_H_
