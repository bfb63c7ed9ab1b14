// What an operator serves about a batch, checked against the batch's root: data from anybody. And
// how long a server is left alone that keeps its asker waiting.
#ifndef OTR_ROLLUP_BATCH_DATA_H_
#define OTR_ROLLUP_BATCH_DATA_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ledger/state.h"
#include "protocol/claim.h"
#include "protocol/request.h"
#include "rollup/ports.h"

namespace otr::rollup {

struct ClaimData {
  Hash receipt{};  // of the text that was shown
  protocol::Claim claim;
  protocol::Request request;  // of the claim's request hash
  // Those under the request's prompt root; empty where they were not given.
  std::vector<std::uint32_t> prompt_ids;
  // As many as the claim says, or none. A hint: nothing binds them before the trace is opened.
  std::vector<std::uint32_t> output_ids;
};

// All claims of the batch in order. Claims and requests are those under its root; kBadInput where
// that cannot be had.
[[nodiscard]] Result<std::vector<ClaimData>> fetch_batch(DataPort& data, const ledger::Batch& batch,
                                                         const Hash& claims_ledger);

// Opens leaf `index` of the batch over these claim hashes (SPEC SET-20). Requires it to be one.
[[nodiscard]] std::vector<Hash> batch_path(std::span<const Hash> claim_hashes, std::uint32_t index);

// When operators' servers are asked. One that failed or was slow is left alone for a while, so that
// nobody keeps an asker from all the others, or from its games.
class Patience {
 public:
  // Null: the machine's clock.
  explicit Patience(std::function<std::uint64_t()> stopwatch_ms);

  // How long: 20 seconds, or an eighth of the batch's window where that is less.
  [[nodiscard]] static std::uint64_t pause_ms(const ledger::State& state,
                                              const ledger::Batch& batch);
  void leave_alone(const ledger::State& state, const ledger::Batch& batch, std::uint64_t now);
  [[nodiscard]] bool may_ask(const ledger::Batch& batch, std::uint64_t now) const;
  // Higher for who was asked later; 0: never.
  [[nodiscard]] std::uint64_t turn_of(const ledger::Batch& batch) const;

  // The Result that `call` gets from the server of this batch's operator.
  template <class Call>
  [[nodiscard]] auto ask(const ledger::State& state, const ledger::Batch& batch, std::uint64_t now,
                         const Call& call) {
    const std::uint64_t began = stopwatch_ms_();
    auto got = call();
    const std::uint64_t end = stopwatch_ms_();
    note(state, batch, now, end - std::min(began, end), got.has_value());
    return got;
  }

 private:
  struct Server {
    std::uint64_t turn = 0, alone_until = 0;
  };
  void note(const ledger::State& state, const ledger::Batch& batch, std::uint64_t now,
            std::uint64_t took_ms, bool has_answered);

  const std::function<std::uint64_t()> stopwatch_ms_;
  std::map<crypto::Address, Server> servers_;
  std::uint64_t turns_ = 0;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_BATCH_DATA_H_
