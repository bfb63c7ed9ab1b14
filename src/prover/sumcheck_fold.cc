#include "prover/sumcheck_fold.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace otr::prover {
namespace {

constexpr std::size_t kWorthSharing = 1024;  // pairs; about what two threads need to meet

}  // namespace

void split_work(engine::Pool& pool, std::size_t work, std::size_t count,
                const engine::Pool::Body& body) {
  if (work < kWorthSharing) {
    if (count != 0) body(0, count);
  } else {
    pool.split(count, body);
  }
}

LiveColumn live_column(std::vector<std::uint32_t> dims, std::vector<std::uint64_t> c0,
                       std::vector<std::uint64_t> c1) {
  LiveColumn column;
  column.dims = std::move(dims);
  column.words = std::move(c0);
  column.more = std::move(c1);
  column.count = column.words.size();
  column.c0 = column.words.data();
  column.c1 = column.more.empty() ? nullptr : column.more.data();
  return column;
}

void Folder::fold(LiveColumn& column, std::size_t n, const zk::Ext& rho) {
  OTR_CHECK(n >= 2 && column.count % n == 0);
  const std::size_t pairs = column.count / n * ((n + 1) / 2);
  const std::size_t need = 2 * pairs;
  if (spare_.size() < need) {
    spare_ = {};  // its memory goes back first
    spare_.resize(need);
  }
  split_work(pool_, pairs, pairs, [&](std::size_t begin, std::size_t end) {
    fold_pairs(column, n, rho, spare_.data(), spare_.data() + pairs, begin, end);
  });
  if (2 * column.words.size() >= spare_.size()) {
    std::swap(column.words, spare_);
  } else {  // a small column must not keep the memory of a large one
    if (column.words.size() < need) column.words.resize(need);
    std::copy_n(spare_.begin(), need, column.words.begin());
  }
  column.more = {};
  column.c0 = column.words.data();
  column.c1 = column.c0 + pairs;
  column.count = pairs;
}

void Folder::fold_pairs(const LiveColumn& column, std::size_t n, const zk::Ext& rho,
                        std::uint64_t* to0, std::uint64_t* to1, std::size_t begin,
                        std::size_t end) const {
  const auto whole = [&](std::size_t from, std::size_t to, std::size_t count) {
    if (column.c1 == nullptr) {
      kernels_.fold_base(column.c0 + from, count, rho, to0 + to, to1 + to);
    } else {
      kernels_.fold(column.c0 + from, column.c1 + from, count, rho, to0 + to, to1 + to);
    }
  };
  if (n % 2 == 0) return whole(2 * begin, begin, end - begin);
  const std::size_t m = (n + 1) / 2;
  while (begin < end) {  // run by run: the last of each has no neighbour
    const std::size_t run = begin / m;
    const std::size_t first = begin % m;
    const std::size_t last = std::min(m, first + (end - begin));
    const std::size_t full = std::min(last, m - 1);
    whole(run * n + 2 * first, begin, full - first);
    if (last == m) {
      const zk::Ext alone = column.at(run * n + n - 1) * (zk::kOne - rho);
      to0[run * m + m - 1] = alone.c0.v;
      to1[run * m + m - 1] = alone.c1.v;
    }
    begin += last - first;
  }
}

}  // namespace otr::prover
