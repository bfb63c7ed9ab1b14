#include "text/bpe.h"

#include <algorithm>
#include <tuple>

namespace otr::text {
namespace {

constexpr std::uint32_t kNone = UINT32_MAX;

struct Symbol {
  std::uint32_t id;  // kNone once merged into its left neighbour
  std::uint32_t previous;
  std::uint32_t next;
};

struct Candidate {
  std::uint32_t rank;
  std::uint32_t position;
  std::uint32_t result;

  // Turned round, because the heap of the standard library keeps the greatest on top.
  bool operator<(const Candidate& other) const {
    return std::tie(other.rank, other.position) < std::tie(rank, position);
  }
};

}  // namespace

Bpe::Bpe(std::uint32_t vocabulary_size, std::span<const Merge> by_rank)
    : starts_(vocabulary_size + 1, 0) {
  struct Ranked {
    Merge merge;
    std::uint32_t rank;
  };
  std::vector<Ranked> ranked;
  ranked.reserve(by_rank.size());
  for (const Merge& merge : by_rank) {
    ranked.push_back({merge, static_cast<std::uint32_t>(ranked.size())});
  }
  std::ranges::sort(
      ranked, {}, [](const Ranked& r) { return std::tuple(r.merge.left, r.merge.right, r.rank); });
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    const Merge& merge = ranked[i].merge;
    const bool repeated = i + 1 < ranked.size() && ranked[i + 1].merge.left == merge.left &&
                          ranked[i + 1].merge.right == merge.right;
    if (repeated) continue;
    entries_.push_back({merge.right, ranked[i].rank, merge.result});
    ++starts_[merge.left + 1];
  }
  for (std::size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
}

const Bpe::Entry* Bpe::find(std::uint32_t left, std::uint32_t right) const {
  const auto first = entries_.begin() + starts_[left];
  const auto last = entries_.begin() + starts_[left + 1];
  const auto found = std::ranges::lower_bound(first, last, right, {}, &Entry::right);
  return found != last && found->right == right ? &*found : nullptr;
}

void Bpe::append(std::span<const std::uint32_t> symbols, std::vector<std::uint32_t>& ids) const {
  const auto count = static_cast<std::uint32_t>(symbols.size());
  std::vector<Symbol> chain(count);
  std::vector<Candidate> heap;
  const auto offer = [&](std::uint32_t position) {
    if (position == kNone || chain[position].next == kNone) return;
    const Entry* entry = find(chain[position].id, chain[chain[position].next].id);
    if (entry == nullptr) return;
    heap.push_back({entry->rank, position, entry->result});
    std::push_heap(heap.begin(), heap.end());
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    chain[i] = {symbols[i], i == 0 ? kNone : i - 1, i + 1 == count ? kNone : i + 1};
  }
  for (std::uint32_t i = 0; i < count; ++i) offer(i);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = chain[best.position];
    if (left.id == kNone || left.next == kNone) continue;
    // A candidate grows stale when a neighbour was merged in the meantime. Like the original, it
    // is still taken when the new pair has the same result.
    Symbol& right = chain[left.next];
    const Entry* entry = find(left.id, right.id);
    if (entry == nullptr || entry->result != best.result) continue;
    left.id = best.result;
    right.id = kNone;
    left.next = right.next;
    if (left.next != kNone) chain[left.next].previous = best.position;
    offer(left.previous);
    offer(best.position);
  }
  for (std::uint32_t i = 0; i != kNone && i < count; i = chain[i].next) ids.push_back(chain[i].id);
}

}  // namespace otr::text
