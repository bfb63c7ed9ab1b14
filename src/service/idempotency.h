// One answer for a request that is sent again (SPEC GATE-9).
//
// Every request for an answer is answered into a Recording, which stands between the one who
// answers and the connections that listen: a retry is attached to it, gets what was said from the
// beginning, byte for byte, and then what comes.
//
//  - With an `Idempotency-Key` (of one API key) the answer is kept after its end, for an hour, and
//    repeated. Another body under the same key is refused with 409. What ended with an error before
//    there was a claim is not kept: sent again, it is tried again.
//  - Without one, `x-stainless-retry-count` of at least 1 joins the one identical body that is
//    pending from that API key. Where there are several, or none, it is a new request.
//  - A client that is gone may come back: an answer that nobody listens to is kept going, or kept,
//    for a grace, unless its client has seen the beginning of a stream and gave no key, since
//    clients do not retry that.
//
// All of it is in memory: after a restart a retry is a new request, with a new counter and task id,
// hence a second claim. So it is for an answer that was too long to be kept, which a key then
// refuses with 409.
#ifndef OTR_SERVICE_IDEMPOTENCY_H_
#define OTR_SERVICE_IDEMPOTENCY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "net/server.h"
#include "openai/error.h"
#include "service/work_queue.h"

namespace otr::service {

struct IdempotencyOptions {
  std::uint32_t retry_grace_ms = 2'000;
  std::uint32_t keep_ms = 3'600'000;                      // an ended answer, for its key
  std::size_t max_kept = 1'000;                           // ended answers; the oldest goes first
  std::size_t max_kept_bytes = std::size_t{64} << 20;     // of all of them
  std::size_t max_recorded_bytes = std::size_t{8} << 20;  // of one stream; beyond, none can join
};

struct IdempotencyState;

// What is said to it goes to all who listen; it is to be ended as any exchange. From any thread.
class Recording : public net::Exchange, public std::enable_shared_from_this<Recording> {
 public:
  ~Recording() override;

  [[nodiscard]] const net::Request& request() const override { return request_; }
  bool respond(net::Response response) override;
  bool begin_stream(unsigned status, net::Headers headers) override;
  bool write(std::string bytes) override;
  bool end() override;
  bool abort() override;
  // Called when the last who listened has gone and the grace is over, on a thread of the queue.
  void on_disconnect(std::function<void()> call) override;
  // Zero: who reads slowly is fed slowly, out of the recording.
  [[nodiscard]] std::size_t pending_bytes() const override { return 0; }

  // The request's body, which is then no longer in request(). For the one who answers.
  [[nodiscard]] std::string take_body() { return std::exchange(request_.body, {}); }

  // From now on there is, or may be, a claim: a retry with this key never makes a second one.
  void mark_claimed();

 private:
  friend class Idempotency;
  friend struct IdempotencyState;
  enum class Phase { kWaiting, kWhole, kStreaming, kEnded, kAborted };
  struct Listener {
    std::uint64_t id = 0;
    std::shared_ptr<net::Exchange> exchange;
    std::size_t offset = 0;  // bytes of the stream that it was given
    bool begun = false;
  };

  Recording(std::shared_ptr<IdempotencyState> state, net::Request request);
  bool attach(const std::shared_ptr<net::Exchange>& exchange);  // false: no longer possible
  void detach(std::uint64_t id);
  [[nodiscard]] bool is_over() const {
    return phase_ != Phase::kWaiting && phase_ != Phase::kStreaming;
  }
  bool say(Phase from, Phase to, const std::function<void()>& change);
  void feed_all();
  [[nodiscard]] bool feed(Listener& listener, bool& is_slow);
  void bound_memory();

  const std::shared_ptr<IdempotencyState> state_;
  net::Request request_;
  Hash api_key_{}, body_hash_{};  // set by Idempotency before it is shared
  std::string key_;               // empty: none was given

  mutable std::mutex mutex_;
  Phase phase_ = Phase::kWaiting;
  net::Response head_{.status = 0};  // 0: nothing said yet; with the body, where it came whole
  std::string stream_;               // from byte dropped_ on
  std::size_t dropped_ = 0;          // > 0: nobody can join any more
  std::vector<Listener> listeners_;
  std::uint64_t next_listener_ = 0;
  bool poll_posted_ = false;
  bool claimed_ = false;
  bool abandoned_ = false;
  std::function<void()> gone_call_;
};

class Idempotency {
 public:
  Idempotency(std::shared_ptr<WorkQueue> queue, IdempotencyOptions options);
  ~Idempotency();  // forgets what it kept
  Idempotency(const Idempotency&) = delete;
  Idempotency& operator=(const Idempotency&) = delete;

  // The exchange to answer in place of the one given; null where that was joined to an older one
  // and is taken care of; an error (400, 409) to answer with. `api_key` is ApiKeys::check's.
  [[nodiscard]] openai::Parsed<std::shared_ptr<Recording>> admit(
      const std::shared_ptr<net::Exchange>& exchange, const Hash& api_key);

 private:
  std::shared_ptr<IdempotencyState> state_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_IDEMPOTENCY_H_
