// The sessions of a worker, one after the other: a new one begins well before the last one ends, so
// that gateways and clients change over without a gap (SPEC GATE-12).
//
// Each has keys and evidence of its own. The older one lives on until it expires: requests for it
// are still taken, and an answer that has begun under it ends under it. Then it is let go of, and
// with the last answer under it its keys are wiped.
#ifndef OTR_NODE_SESSIONS_H_
#define OTR_NODE_SESSIONS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "env/clock.h"
#include "node/enclave.h"
#include "node/evidence.h"

namespace otr::node {

// SPEC GATE-12: how much earlier than it is made a session begins, for clients whose clocks are
// behind, since there is no trusted clock inside.
inline constexpr std::uint64_t kClockSkewSeconds = 120;
inline constexpr std::uint64_t kMinLifetimeSeconds = 8;
inline constexpr std::uint64_t kMaxLifetimeSeconds =
    protocol::kMaxSessionSeconds - kClockSkewSeconds;
inline constexpr std::int64_t kRenewalRetrySeconds = 5;  // after one that failed

struct SessionsOptions {
  crypto::Address operator_address{};
  Hash model_root{};
  Hash ledger{};                           // where the sessions are to be registered; zero: nowhere
  std::uint64_t lifetime_seconds = 86400;  // of each, from when it is made
  std::function<Result<std::vector<protocol::EvidenceItem>>()> collateral;  // EnclaveOptions
  std::function<std::int64_t()> unix_seconds = env::unix_seconds;
  // A session was renewed, or could not be; for the log. On the thread of the sessions.
  std::function<void(const Result<Hash>& id)> on_renewal;
};

class Sessions {
 public:
  // Makes the first session. `tee` and `gpus` (null: none) must outlive it. kUsage for a lifetime
  // out of range; otherwise as Enclave::create.
  static Result<std::unique_ptr<Sessions>> start(EvidenceSource& tee, GpuEvidenceSource* gpus,
                                                 SessionsOptions options);
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  // From any thread; they wait for no hardware. Those that have not expired, the newest first:
  // none only if renewal has failed for long.
  [[nodiscard]] std::vector<std::shared_ptr<const Enclave>> live() const;
  [[nodiscard]] std::shared_ptr<const Enclave> find(const Hash& id) const;  // null: not live

  // Evidence for this nonce of each that is live, in the order of live(). As slow as the hardware.
  [[nodiscard]] Result<std::vector<protocol::SessionDocument>> fresh_documents(const Hash& nonce);

  // One look at the clock: lets go of what has expired, and makes the next session if 3/4 of the
  // newest one's time have passed. A thread does so every half second; tests do so themselves.
  void tend();

 private:
  class Body;
  explicit Sessions(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace otr::node

#endif  // OTR_NODE_SESSIONS_H_
