// The prefix cache alone: what it finds, what it keeps and what it gives up.
#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace otr::engine {
namespace {

using Ids = std::vector<std::uint32_t>;
using Entry = PrefixCache::Entry;

const machine::Shape kShape = {.hidden = 8,
                               .heads = 2,
                               .kv_heads = 1,
                               .head_dim = 4,
                               .ffn = 8,
                               .layers = 1,
                               .vocabulary = 17,
                               .context = 128 * 8};

Ids some_tokens(std::size_t pages, std::uint32_t seed) {
  std::mt19937 random(seed);
  Ids ids(pages * kTilePositions);
  for (auto& id : ids) id = random() % kShape.vocabulary;
  return ids;
}

// A trace of so many tokens, which stands for what a sequence has computed.
trace::TraceBuilder trace_of(std::span<const std::uint32_t> ids) {
  trace::TraceBuilder trace(kShape, trace::TraceBuilder::Keep::kTops);
  for (const std::uint32_t id : ids) trace.append_token(id);
  return trace;
}

// Inserts all pages of the ids and holds them; the deepest entry.
Entry* insert_all(PrefixCache& cache, const std::string& scope, const Ids& ids) {
  Entry* entry = nullptr;
  for (std::size_t end = kTilePositions; end <= ids.size(); end += kTilePositions) {
    entry = cache.insert(scope, entry, std::span(ids).first(end).last(kTilePositions),
                         std::make_shared<KvPage>(kShape), trace_of(std::span(ids).first(end)));
  }
  return entry;
}

TEST(PrefixCache, FindsTheLongestPrefixOfWholePages) {
  PrefixCache cache;
  const Ids ids = some_tokens(3, 1);
  Entry* const last = insert_all(cache, "a", ids);
  EXPECT_EQ(cache.find("a", nullptr, ids), last);
  EXPECT_EQ(last->depth(), 3u);
  EXPECT_EQ(last->trace().token_root(), trace_of(ids).token_root());
  const auto pages = PrefixCache::pages(last);
  ASSERT_EQ(pages.size(), 3u);
  EXPECT_EQ(pages[2], last->page());
  EXPECT_EQ(pages[0], last->parent()->parent()->page());

  const Entry* const second = last->parent();
  EXPECT_EQ(cache.find("a", nullptr, std::span(ids).first(383)), second);
  EXPECT_EQ(cache.find("a", nullptr, std::span(ids).first(256)), second);
  EXPECT_EQ(cache.find("a", nullptr, std::span(ids).first(127)), nullptr);
  EXPECT_EQ(cache.find("a", last->parent(), ids), last);
  EXPECT_EQ(cache.find("a", last, ids), last);
  EXPECT_TRUE(PrefixCache::pages(nullptr).empty());
}

TEST(PrefixCache, OneOtherTokenAnywhereIsAnotherPrefix) {
  PrefixCache cache;
  const Ids ids = some_tokens(2, 2);
  Entry* const last = insert_all(cache, "a", ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    Ids other = ids;
    other[i] ^= 0x80000000;
    EXPECT_EQ(cache.find("a", nullptr, other), i < 128 ? nullptr : last->parent()) << i;
  }
  // The same 128 tokens somewhere else are not the same page.
  const Ids second(ids.begin() + 128, ids.end());
  EXPECT_EQ(cache.find("a", nullptr, second), nullptr);
  Ids twice(ids.begin(), ids.begin() + 128);
  twice.insert(twice.end(), ids.begin(), ids.begin() + 128);
  EXPECT_EQ(cache.find("a", nullptr, twice), last->parent());
}

TEST(PrefixCache, ScopesShareNothing) {
  PrefixCache cache;
  const Ids ids = some_tokens(1, 3);
  Entry* const mine = insert_all(cache, "a", ids);
  for (const std::string& scope : {std::string(), std::string("b"), std::string("a\0", 2)}) {
    EXPECT_EQ(cache.find(scope, nullptr, ids), nullptr);
    EXPECT_NE(insert_all(cache, scope, ids)->page(), mine->page());
  }
  EXPECT_EQ(cache.held(), 4u);
}

TEST(PrefixCache, InsertingTwiceSharesTheFirst) {
  PrefixCache cache;
  const Ids ids = some_tokens(2, 4);
  Entry* const first = insert_all(cache, "a", ids);
  const std::weak_ptr<KvPage> page = first->page();
  EXPECT_EQ(insert_all(cache, "a", ids), first);
  EXPECT_EQ(cache.held(), 2u);
  cache.release(first);
  EXPECT_EQ(cache.held(), 2u);  // once more
  EXPECT_FALSE(cache.evict());
  cache.release(first);
  EXPECT_EQ(cache.held(), 0u);
  EXPECT_EQ(cache.idle(), 2u);
  EXPECT_FALSE(page.expired());
  EXPECT_TRUE(cache.evict());
  EXPECT_TRUE(page.expired());  // the deepest goes first
  EXPECT_EQ(cache.find("a", nullptr, ids)->depth(), 1u);
  EXPECT_TRUE(cache.evict());
  EXPECT_FALSE(cache.evict());
  EXPECT_EQ(cache.idle(), 0u);
}

TEST(PrefixCache, EvictsWhatWasHeldLongestAgo) {
  PrefixCache cache;
  std::vector<Ids> prompts;
  for (std::uint32_t i = 0; i < 4; ++i) prompts.push_back(some_tokens(1, 10 + i));
  for (const Ids& prompt : prompts) cache.release(insert_all(cache, "a", prompt));
  // Looking is no use; holding is.
  Entry* const oldest = cache.find("a", nullptr, prompts[0]);
  cache.hold(oldest, nullptr);
  cache.release(oldest);
  EXPECT_NE(cache.find("a", nullptr, prompts[1]), nullptr);
  for (const std::size_t gone : {1, 2, 3, 0}) {
    EXPECT_NE(cache.find("a", nullptr, prompts[gone]), nullptr);
    EXPECT_TRUE(cache.evict());
    EXPECT_EQ(cache.find("a", nullptr, prompts[gone]), nullptr);
  }
}

// A parent is as young as its youngest child: here the first prompt's second page goes, then the
// others, and the first page, which was in use to the last, goes last.
TEST(PrefixCache, AParentGoesAfterItsChildrenByItsOwnAge) {
  PrefixCache cache;
  const Ids ids = some_tokens(2, 20), other = some_tokens(1, 21);
  cache.release(insert_all(cache, "a", ids));
  cache.release(insert_all(cache, "a", other));
  Entry* const first = cache.find("a", nullptr, std::span(ids).first(128));
  cache.hold(first, nullptr);
  cache.release(first);
  EXPECT_TRUE(cache.evict());
  EXPECT_EQ(cache.find("a", nullptr, ids), first);
  EXPECT_TRUE(cache.evict());
  EXPECT_EQ(cache.find("a", nullptr, other), nullptr);
  EXPECT_EQ(cache.find("a", nullptr, ids), first);
  EXPECT_TRUE(cache.evict());
  EXPECT_EQ(cache.held() + cache.idle(), 0u);
}

// Against a plain list: random sequences take, extend and give back prefixes of a small alphabet.
TEST(PrefixCache, CountsAndContentsAgreeWithAPlainModel) {
  std::mt19937 random(5);
  PrefixCache cache;
  std::vector<Ids> all;
  for (std::uint32_t i = 0; i < 12; ++i) {
    Ids ids = some_tokens(random() % 4 + 1, i);
    if (i > 0) {  // a common beginning
      const Ids& other = all[random() % all.size()];
      const std::size_t common = std::min(other.size(), ids.size()) / 128 / 2 * 128;
      std::copy_n(other.begin(), common, ids.begin());
    }
    all.push_back(ids);
  }
  std::vector<Entry*> holding;
  for (int i = 0; i < 4000; ++i) {
    const std::size_t before = cache.held() + cache.idle();
    if (random() % 3 == 0 && !holding.empty()) {
      const std::size_t which = random() % holding.size();
      cache.release(holding[which]);
      holding.erase(holding.begin() + static_cast<long>(which));
      EXPECT_EQ(cache.held() + cache.idle(), before);
    } else if (random() % 3 == 0) {
      EXPECT_EQ(cache.evict(), cache.held() + cache.idle() < before);
    } else if (holding.size() < 5) {
      const Ids& ids = all[random() % all.size()];
      Entry* entry = cache.find("", nullptr, ids);
      cache.hold(entry, nullptr);
      const std::size_t depth = entry == nullptr ? 0 : entry->depth();
      for (std::size_t end = (depth + 1) * 128; end <= ids.size(); end += 128) {
        const auto known = std::span(ids).first(end);
        entry = cache.insert("", entry, known.last(128), std::make_shared<KvPage>(kShape),
                             trace_of(known));
      }
      EXPECT_EQ(entry->trace().token_root(), trace_of(ids).token_root());
      holding.push_back(entry);
    }
    std::set<const Entry*> held;
    for (const Entry* entry : holding) {
      for (; entry != nullptr; entry = entry->parent()) held.insert(entry);
    }
    ASSERT_EQ(cache.held(), held.size());
  }
  for (Entry* entry : holding) cache.release(entry);
  while (cache.evict()) continue;
  EXPECT_EQ(cache.held() + cache.idle(), 0u);
}

}  // namespace
}  // namespace otr::engine
