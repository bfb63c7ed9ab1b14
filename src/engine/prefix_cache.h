// Full pages of KV rows by the tokens that they follow from, kept for sequences that begin alike.
//
// A tree: an entry stands for 128 tokens behind those of its parent, and holds their page of KV
// rows and the state of the trace at the page's end, so that who takes it goes on with both
// exactly. All tokens from position 0 on are compared, not hashes of them: two prompts can not be
// taken for one another, and nobody can make lookups slow by choosing tokens.
//
// Memory: besides its page an entry keeps 128 token ids and the frontiers of a trace, one of about
// 1.9 KB for each tree (L·(2·G + 1) + 1 trees: 1 MB beside a page of 12 MB at L = 32, G = 8, D =
// 128).
//
// Sequences share pages only within one scope, a string of the caller's choice: how fast a first
// token comes tells whether somebody in the same scope has sent the same prompt before, so clients
// that shall not learn this of each other need different scopes.
#ifndef OTR_ENGINE_PREFIX_CACHE_H_
#define OTR_ENGINE_PREFIX_CACHE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "engine/kv_cache.h"
#include "trace/trace.h"

namespace otr::engine {

class PrefixCache {
 public:
  class Entry;

 private:
  using Tokens = std::array<std::uint32_t, kTilePositions>;
  // Scope, id of the parent (0: none) and tokens.
  using Key = std::tuple<std::string, std::uint64_t, Tokens>;
  using Entries = std::map<Key, std::unique_ptr<Entry>>;

 public:
  // Owned by the cache. Its address is stable, and it stays at least as long as somebody holds it.
  class Entry {
   public:
    std::size_t depth() const { return depth_; }  // pages from position 0 to its end
    const std::shared_ptr<KvPage>& page() const { return page_; }
    // Holds the tokens and the rows of all 128·depth() positions. Of Keep::kTops.
    const trace::TraceBuilder& trace() const { return trace_; }
    bool held() const { return holders_ != 0; }
    Entry* parent() const { return parent_; }  // null at depth 1

   private:
    friend class PrefixCache;
    Entry(Entry* parent, std::uint64_t id, std::shared_ptr<KvPage> page, trace::TraceBuilder trace)
        : parent_(parent),
          depth_(parent == nullptr ? 1 : parent->depth_ + 1),
          id_(id),
          page_(std::move(page)),
          trace_(std::move(trace)) {}

    Entry* parent_;
    std::size_t depth_;
    std::uint64_t id_;  // never used twice
    Entries::iterator self_;
    std::size_t holders_ = 0;  // who holds an entry holds its ancestors too
    std::size_t children_ = 0;
    std::uint64_t last_use_ = 0;
    std::shared_ptr<KvPage> page_;
    trace::TraceBuilder trace_;
  };

  PrefixCache() = default;
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // The deepest entry whose tokens are the first ones of `tokens` (from position 0 on), looked for
  // from `from` on, which stands for the first of them; null is the beginning. Returns `from` where
  // there is none. O(pages found · log entries).
  Entry* find(const std::string& scope, Entry* from, std::span<const std::uint32_t> tokens);

  // Holds the entry and its ancestors below `from`, which the caller holds already (or null).
  void hold(Entry* entry, const Entry* from);
  // Gives back the entry and all its ancestors; null is allowed.
  void release(Entry* entry);

  // Adds a full page behind `parent` (held by the caller, or null) and holds it for the caller. If
  // there is such an entry already, holds and returns that: its page has the same bits.
  // Requires kTilePositions tokens, a full page and a trace that ends with it.
  Entry* insert(const std::string& scope, Entry* parent, std::span<const std::uint32_t> tokens,
                std::shared_ptr<KvPage> page, const trace::TraceBuilder& trace);

  // Removes the entry that was held longest ago and that nobody holds now; one with children goes
  // after them. False if all entries are held. O(log entries).
  bool evict();

  // The pages of 128·entry->depth() positions; none for null.
  static std::vector<std::shared_ptr<KvPage>> pages(const Entry* entry);

  std::size_t held() const { return entries_.size() - idle_; }  // entries that somebody holds
  std::size_t idle() const { return idle_; }                    // all of which can be evicted

 private:
  static Key key(const std::string& scope, const Entry* parent,
                 std::span<const std::uint32_t> tokens);

  Entries entries_;
  std::map<std::uint64_t, Entry*> idle_leaves_;  // by their last use
  std::size_t idle_ = 0;
  std::uint64_t ids_ = 0, clock_ = 0;
};

}  // namespace otr::engine

#endif  // OTR_ENGINE_PREFIX_CACHE_H_
