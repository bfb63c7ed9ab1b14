#include "service/idempotency.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <utility>

#include "crypto/sha256.h"

namespace otr::service {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxKeyBytes = 255;
// A listener is given a part when less than this waits for its socket, so that even a long replay
// stays below what a server takes for a reader that is too slow.
constexpr std::size_t kPartBytes = std::size_t{256} << 10;
constexpr std::uint32_t kPollMs = 10;

bool is_retry(const net::Request& request) {
  const std::string_view count = request.header("x-stainless-retry-count").value_or("");
  return !count.empty() && count.find_first_not_of("0123456789") == std::string_view::npos &&
         count.find_first_not_of('0') != std::string_view::npos;
}

std::unexpected<openai::ApiError> conflict(std::string code, std::string message) {
  return std::unexpected(
      openai::ApiError{409, "invalid_request_error", std::move(code), "", std::move(message)});
}

}  // namespace

struct IdempotencyState : std::enable_shared_from_this<IdempotencyState> {
  using Key = std::pair<Hash, std::string>;  // API key, Idempotency-Key
  using Body = std::pair<Hash, Hash>;        // API key, hash of path and body
  struct Entry {
    const Recording* identity = nullptr;
    std::weak_ptr<Recording> recording;
    std::shared_ptr<Recording> kept;  // once ended
    Hash body_hash{};
    std::size_t size_bytes = 0;
    Clock::time_point until;
  };

  IdempotencyState(std::shared_ptr<WorkQueue> with, IdempotencyOptions given)
      : queue(std::move(with)), options(given) {}

  std::shared_ptr<Recording> find_pending(const Body& body,
                                          std::vector<std::shared_ptr<Recording>>& held);
  enum class Found { kNothing, kJoined, kOtherBody, kGone };
  Found find_or_add(const std::shared_ptr<Recording>& made, bool is_retry,
                    const std::shared_ptr<net::Exchange>& exchange);
  void ended(const std::shared_ptr<Recording>& recording);
  void give_up(const std::shared_ptr<Recording>& recording);
  // Those below, and find_pending, under the mutex.
  void forget_pending(const Recording* recording);
  void forget_key(const Recording* recording);
  void keep(const std::shared_ptr<Recording>& recording, std::size_t size_bytes);
  void drop_oldest();
  bool is_full() const;

  const std::shared_ptr<WorkQueue> queue;
  const IdempotencyOptions options;
  std::mutex mutex;  // taken before that of a recording, never after
  std::map<Key, Entry> by_key;
  std::deque<Key> ended_keys;  // oldest first
  std::size_t kept_bytes = 0;
  std::multimap<Body, std::pair<const Recording*, std::weak_ptr<Recording>>> pending;
};

// The one that is pending, if there is exactly one. `held` keeps what is looked at until the mutex
// is free: who lets go of the last reference takes it.
std::shared_ptr<Recording> IdempotencyState::find_pending(
    const Body& body, std::vector<std::shared_ptr<Recording>>& held) {
  const auto [first, last] = pending.equal_range(body);
  for (auto at = first; at != last; ++at) {
    if (auto one = at->second.second.lock()) held.push_back(std::move(one));
  }
  return held.size() == 1 ? held[0] : nullptr;
}

void IdempotencyState::forget_pending(const Recording* recording) {
  const auto [first, last] = pending.equal_range({recording->api_key_, recording->body_hash_});
  for (auto at = first; at != last; ++at) {
    if (at->second.first != recording) continue;
    pending.erase(at);
    return;
  }
}

void IdempotencyState::forget_key(const Recording* recording) {
  const auto found = by_key.find({recording->api_key_, recording->key_});
  if (found == by_key.end()) return;
  if (found->second.identity == recording) by_key.erase(found);
}

bool IdempotencyState::is_full() const {
  return ended_keys.size() > options.max_kept || kept_bytes > options.max_kept_bytes;
}

void IdempotencyState::drop_oldest() {
  const auto found = by_key.find(ended_keys.front());
  kept_bytes -= found->second.size_bytes;
  by_key.erase(found);
  ended_keys.pop_front();
}

void IdempotencyState::keep(const std::shared_ptr<Recording>& recording, std::size_t size_bytes) {
  Entry& entry = by_key[{recording->api_key_, recording->key_}];
  // Whoever has taken the key meanwhile keeps it: each key stands in `ended_keys` once.
  if (entry.identity != nullptr && entry.identity != recording.get()) return;
  entry = {recording.get(), recording,
           recording,       recording->body_hash_,
           size_bytes,      Clock::now() + std::chrono::milliseconds(options.keep_ms)};
  kept_bytes += size_bytes;
  ended_keys.emplace_back(recording->api_key_, recording->key_);
  while (is_full()) drop_oldest();
}

void IdempotencyState::ended(const std::shared_ptr<Recording>& recording) {
  bool is_kept = false, waits = false;
  std::size_t size_bytes = 0;
  {
    const std::lock_guard lock(recording->mutex_);
    const bool is_good =
        recording->phase_ == Recording::Phase::kEnded ||
        (recording->phase_ == Recording::Phase::kWhole && recording->head_.status < 400);
    is_kept = !recording->key_.empty() && (is_good || recording->claimed_);
    // Its client may be about to come back for it.
    waits = recording->key_.empty() && is_good && recording->listeners_.empty();
    size_bytes = recording->head_.body.size() + recording->stream_.size();
  }
  const std::lock_guard lock(mutex);
  if (is_kept) keep(recording, size_bytes);
  if (!is_kept && !recording->key_.empty()) forget_key(recording.get());
  if (!waits) return forget_pending(recording.get());
  queue->post_after(options.retry_grace_ms, [state = shared_from_this(), recording] {
    const std::lock_guard again(state->mutex);
    state->forget_pending(recording.get());
  });
}

// Joins the exchange to an older recording, or adds the one made.
IdempotencyState::Found IdempotencyState::find_or_add(
    const std::shared_ptr<Recording>& made, bool is_retry,
    const std::shared_ptr<net::Exchange>& exchange) {
  std::vector<std::shared_ptr<Recording>> held;
  const std::lock_guard lock(mutex);
  while (!ended_keys.empty() && by_key.at(ended_keys.front()).until <= Clock::now()) drop_oldest();
  if (!made->key_.empty()) {
    const auto found = by_key.find({made->api_key_, made->key_});
    const bool is_known = found != by_key.end();
    if (is_known) held.push_back(found->second.recording.lock());
    if (is_known && held[0] != nullptr) {
      if (found->second.body_hash != made->body_hash_) return Found::kOtherBody;
      return held[0]->attach(exchange) ? Found::kJoined : Found::kGone;
    }
    by_key[{made->api_key_, made->key_}] = {made.get(), made, nullptr, made->body_hash_, 0, {}};
  } else if (is_retry) {
    const auto one = find_pending({made->api_key_, made->body_hash_}, held);
    if (one && one->attach(exchange)) return Found::kJoined;
  }
  pending.emplace(Body{made->api_key_, made->body_hash_},
                  std::pair(made.get(), std::weak_ptr(made)));
  return Found::kNothing;
}

// Unless somebody has come back meanwhile.
void IdempotencyState::give_up(const std::shared_ptr<Recording>& recording) {
  std::function<void()> call;
  {
    const std::lock_guard lock(mutex);
    const std::lock_guard inner(recording->mutex_);
    if (!recording->listeners_.empty() || recording->is_over() || recording->abandoned_) return;
    recording->abandoned_ = true;
    call = std::exchange(recording->gone_call_, nullptr);
    forget_pending(recording.get());
    if (!recording->key_.empty()) forget_key(recording.get());
  }
  if (call) call();
}

Recording::Recording(std::shared_ptr<IdempotencyState> state, net::Request request)
    : state_(std::move(state)), request_(std::move(request)) {}

// Whoever was to answer has let go of it without an end: the listeners' own exchanges tell them so.
Recording::~Recording() {
  if (is_over()) return;  // some of these go under the mutex
  const std::lock_guard lock(state_->mutex);
  state_->forget_pending(this);
  if (!key_.empty()) state_->forget_key(this);
}

// What becomes of a recording that ends is settled before anybody hears of the end, so that who
// comes back at once finds it settled.
bool Recording::say(Phase from, Phase to, const std::function<void()>& change) {
  std::function<void()> released;
  const bool ends = to != Phase::kStreaming;
  {
    const std::lock_guard lock(mutex_);
    if (phase_ != from || abandoned_) return false;
    phase_ = to;
    change();
    if (ends) released = std::exchange(gone_call_, nullptr);
  }
  if (ends) state_->ended(shared_from_this());
  const std::lock_guard lock(mutex_);
  feed_all();
  bound_memory();
  return true;
}

bool Recording::respond(net::Response response) {
  return say(Phase::kWaiting, Phase::kWhole, [&] { head_ = std::move(response); });
}

bool Recording::begin_stream(unsigned status, net::Headers headers) {
  return say(Phase::kWaiting, Phase::kStreaming, [&] { head_ = {status, std::move(headers), {}}; });
}

bool Recording::write(std::string bytes) {
  return say(Phase::kStreaming, Phase::kStreaming, [&] { stream_ += bytes; });
}

bool Recording::end() {
  return say(Phase::kStreaming, Phase::kEnded, [] {});
}

bool Recording::abort() {
  return say(Phase::kStreaming, Phase::kAborted, [] {}) ||
         say(Phase::kWaiting, Phase::kAborted, [] {});
}

void Recording::on_disconnect(std::function<void()> call) {
  std::function<void()> released;
  const std::lock_guard lock(mutex_);
  if (abandoned_) return state_->queue->post(std::move(call));
  if (!is_over()) released = std::exchange(gone_call_, std::move(call));
}

void Recording::mark_claimed() {
  const std::lock_guard lock(mutex_);
  claimed_ = true;
}

// Gives a listener what it lacks, as far as it takes it. False once it needs no more, or is gone.
bool Recording::feed(Listener& listener, bool& is_slow) {
  net::Exchange& to = *listener.exchange;
  if (phase_ == Phase::kWaiting) return true;
  if (phase_ == Phase::kWhole) {
    to.respond(head_);
    return false;
  }
  if (phase_ == Phase::kAborted && head_.status == 0) return to.abort(), false;
  if (!std::exchange(listener.begun, true) && !to.begin_stream(head_.status, head_.headers)) {
    return false;
  }
  while (listener.offset < dropped_ + stream_.size()) {
    is_slow = to.pending_bytes() > kPartBytes;
    if (is_slow) return true;
    std::string part = stream_.substr(listener.offset - dropped_, kPartBytes);
    listener.offset += part.size();
    if (!to.write(std::move(part))) return false;
  }
  if (phase_ == Phase::kStreaming) return true;
  if (phase_ == Phase::kEnded) {
    to.end();
  } else {
    to.abort();
  }
  return false;
}

void Recording::feed_all() {
  bool any_slow = false;
  std::erase_if(listeners_, [&](Listener& listener) {
    bool is_slow = false;
    const bool stays = feed(listener, is_slow);
    any_slow = any_slow || (stays && is_slow);
    return !stays;
  });
  if (!any_slow || std::exchange(poll_posted_, true)) return;
  // A recording that has ended lives on for those who still listen.
  state_->queue->post_after(kPollMs, [self = shared_from_this()] {
    const std::lock_guard lock(self->mutex_);
    self->poll_posted_ = false;
    self->feed_all();
  });
}

// Beyond the bound nobody can join; beyond it in what is not yet delivered, the slowest is cut.
void Recording::bound_memory() {
  const std::size_t most = state_->options.max_recorded_bytes;
  while (stream_.size() > most) {
    std::size_t least = dropped_ + stream_.size();
    for (const Listener& listener : listeners_) least = std::min(least, listener.offset);
    if (dropped_ + stream_.size() - least > most) {
      for (const Listener& listener : listeners_) {
        if (listener.offset != least) continue;
        listener.exchange->abort();
        state_->queue->post([weak = weak_from_this(), id = listener.id] {
          if (const auto self = weak.lock()) self->detach(id);
        });
      }
      std::erase_if(listeners_, [&](const Listener& one) { return one.offset == least; });
      continue;
    }
    stream_.erase(0, least - dropped_);
    dropped_ = least;
  }
}

bool Recording::attach(const std::shared_ptr<net::Exchange>& exchange) {
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (dropped_ > 0 || abandoned_) return false;
    id = next_listener_++;
    listeners_.push_back({id, exchange});
    feed_all();
  }
  exchange->on_disconnect([queue = state_->queue, weak = weak_from_this(), id] {
    queue->post([weak, id] {
      if (const auto self = weak.lock()) self->detach(id);
    });
  });
  return true;
}

void Recording::detach(std::uint64_t id) {
  std::uint32_t grace_ms = 0;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(listeners_, [&](const Listener& one) { return one.id == id; });
    if (!listeners_.empty() || is_over()) return;
    if (!key_.empty() || phase_ == Phase::kWaiting) grace_ms = state_->options.retry_grace_ms;
  }
  state_->queue->post_after(grace_ms, [weak = weak_from_this(), state = state_] {
    if (const auto self = weak.lock()) state->give_up(self);
  });
}

Idempotency::Idempotency(std::shared_ptr<WorkQueue> queue, IdempotencyOptions options)
    : state_(std::make_shared<IdempotencyState>(std::move(queue), options)) {}

// Kept recordings and the state hold each other.
Idempotency::~Idempotency() {
  std::map<IdempotencyState::Key, IdempotencyState::Entry> kept;
  const std::lock_guard lock(state_->mutex);
  kept.swap(state_->by_key);
  state_->ended_keys.clear();
}

openai::Parsed<std::shared_ptr<Recording>> Idempotency::admit(
    const std::shared_ptr<net::Exchange>& exchange, const Hash& api_key) {
  const net::Request& request = exchange->request();
  const std::string key(request.header("idempotency-key").value_or(""));
  if (key.size() > kMaxKeyBytes) {
    return std::unexpected(openai::invalid_request(
        "", "An 'Idempotency-Key' has at most 255 characters.", "idempotency_key_too_long"));
  }
  std::shared_ptr<Recording> made(new Recording(state_, request));
  made->api_key_ = api_key;
  made->key_ = key;
  made->body_hash_ = crypto::sha256(
      {as_bytes(request.path), as_bytes(std::string_view("\n")), as_bytes(request.body)});
  switch (state_->find_or_add(made, is_retry(request), exchange)) {
    case IdempotencyState::Found::kNothing:
      made->attach(exchange);
      return made;
    case IdempotencyState::Found::kJoined:
      break;
    case IdempotencyState::Found::kOtherBody:
      return conflict("idempotency_key_reuse",
                      "This 'Idempotency-Key' was used with another body: use a new key.");
    case IdempotencyState::Found::kGone:
      return conflict("idempotency_answer_gone",
                      "This 'Idempotency-Key' has been used, and the answer was too long to be "
                      "kept.");
  }
  return nullptr;
}

}  // namespace otr::service
