#include "engine/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace otr::engine {

PrefixCache::Key PrefixCache::key(const std::string& scope, const Entry* parent,
                                  std::span<const std::uint32_t> tokens) {
  OTR_CHECK(tokens.size() == kTilePositions);
  Key key(scope, parent == nullptr ? 0 : parent->id_, Tokens());
  std::ranges::copy(tokens, std::get<Tokens>(key).begin());
  return key;
}

PrefixCache::Entry* PrefixCache::find(const std::string& scope, Entry* from,
                                      std::span<const std::uint32_t> tokens) {
  std::size_t at = from == nullptr ? 0 : from->depth_ * kTilePositions;
  for (; tokens.size() >= at + kTilePositions; at += kTilePositions) {
    const auto found = entries_.find(key(scope, from, tokens.subspan(at, kTilePositions)));
    if (found == entries_.end()) break;
    from = found->second.get();
  }
  return from;
}

void PrefixCache::hold(Entry* entry, const Entry* from) {
  for (; entry != from; entry = entry->parent_) {
    OTR_CHECK(entry != nullptr);
    if (entry->holders_++ != 0) continue;
    --idle_;
    if (entry->children_ == 0) idle_leaves_.erase(entry->last_use_);
  }
}

void PrefixCache::release(Entry* entry) {
  for (; entry != nullptr; entry = entry->parent_) {
    entry->last_use_ = ++clock_;
    OTR_CHECK(entry->holders_ != 0);
    if (--entry->holders_ != 0) continue;
    ++idle_;
    if (entry->children_ == 0) idle_leaves_.emplace(entry->last_use_, entry);
  }
}

PrefixCache::Entry* PrefixCache::insert(const std::string& scope, Entry* parent,
                                        std::span<const std::uint32_t> tokens,
                                        std::shared_ptr<KvPage> page,
                                        const trace::TraceBuilder& trace) {
  OTR_CHECK(parent == nullptr || parent->held());
  Key name = key(scope, parent, tokens);
  if (const auto found = entries_.find(name); found != entries_.end()) {
    hold(found->second.get(), parent);
    return found->second.get();
  }
  std::unique_ptr<Entry> made(new Entry(parent, ++ids_, std::move(page), trace));
  Entry* const entry = made.get();
  entry->self_ = entries_.emplace(std::move(name), std::move(made)).first;
  entry->holders_ = 1;
  if (parent != nullptr) ++parent->children_;
  return entry;
}

bool PrefixCache::evict() {
  if (idle_leaves_.empty()) return false;
  const auto oldest = idle_leaves_.begin();
  Entry* const parent = oldest->second->parent_;
  entries_.erase(oldest->second->self_);
  idle_leaves_.erase(oldest);
  --idle_;
  if (parent != nullptr && --parent->children_ == 0 && !parent->held()) {
    idle_leaves_.emplace(parent->last_use_, parent);
  }
  return true;
}

std::vector<std::shared_ptr<KvPage>> PrefixCache::pages(const Entry* entry) {
  std::vector<std::shared_ptr<KvPage>> pages(entry == nullptr ? 0 : entry->depth_);
  for (; entry != nullptr; entry = entry->parent_) pages[entry->depth_ - 1] = entry->page_;
  return pages;
}

}  // namespace otr::engine
