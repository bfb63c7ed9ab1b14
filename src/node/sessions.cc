#include "node/sessions.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "env/random.h"

namespace otr::node {
namespace {

using EnclavePtr = std::shared_ptr<const Enclave>;

constexpr auto kLookEvery = std::chrono::milliseconds(500);

bool is_over(const Enclave& enclave, std::int64_t now) {
  return now > static_cast<std::int64_t>(enclave.document().session.expiry);
}

}  // namespace

class Sessions::Body {
 public:
  Body(EvidenceSource& tee, GpuEvidenceSource* gpus, SessionsOptions options)
      : tee_(tee), gpus_(gpus), options_(std::move(options)) {}
  ~Body() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  Status begin() {
    OTR_TRY(renew(options_.unix_seconds()));
    thread_ = std::thread([this] {
      std::unique_lock lock(mutex_);
      while (!wake_.wait_for(lock, kLookEvery, [this] { return stopped_; })) {
        lock.unlock();
        tend();
        lock.lock();
      }
    });
    return {};
  }

  std::vector<EnclavePtr> live() const {
    const std::int64_t now = options_.unix_seconds();
    const std::lock_guard lock(mutex_);
    std::vector<EnclavePtr> live;
    for (const EnclavePtr& one : enclaves_) {
      if (!is_over(*one, now)) live.push_back(one);
    }
    return live;
  }

  Result<std::vector<protocol::SessionDocument>> fresh_documents(const Hash& nonce) {
    const std::lock_guard one_at_a_time(tee_mutex_);
    std::vector<protocol::SessionDocument> documents;
    for (const EnclavePtr& one : live()) {
      OTR_TRY_ASSIGN(documents.emplace_back(), one->fresh_document(nonce));
    }
    return documents;
  }

  void tend() {
    const std::lock_guard one_at_a_time(tend_mutex_);
    const std::int64_t now = options_.unix_seconds();
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(enclaves_, [&](const EnclavePtr& one) { return is_over(*one, now); });
      if (!is_due(now)) return;
    }
    const Result<Hash> renewed = renew(now);
    if (options_.on_renewal) options_.on_renewal(renewed);
    const std::lock_guard lock(mutex_);
    next_try_ = renewed ? 0 : now + kRenewalRetrySeconds;
  }

 private:
  // Requires the lock.
  bool is_due(std::int64_t now) const {
    if (now < next_try_) return false;
    if (enclaves_.empty()) return true;
    const auto expiry = static_cast<std::int64_t>(enclaves_.front()->document().session.expiry);
    return 4 * (expiry - now) <= static_cast<std::int64_t>(options_.lifetime_seconds);
  }

  Result<Hash> renew(std::int64_t now) {
    const std::lock_guard one_at_a_time(tee_mutex_);
    EnclaveOptions options{.operator_address = options_.operator_address,
                           .model_root = options_.model_root,
                           .ledger = options_.ledger,
                           .not_before = now - static_cast<std::int64_t>(kClockSkewSeconds),
                           .lifetime_seconds = options_.lifetime_seconds + kClockSkewSeconds,
                           .collateral = options_.collateral};
    // Ascending, also over restarts.
    options.epoch = last_epoch_ = std::max(static_cast<std::uint64_t>(now), last_epoch_ + 1);
    OTR_TRY_ASSIGN(options.beacon, env::random_32_bytes());
    OTR_TRY_ASSIGN(EnclavePtr made, Enclave::create(tee_, gpus_, options));
    const Hash id = made->id();
    const std::lock_guard lock(mutex_);
    enclaves_.insert(enclaves_.begin(), std::move(made));
    return id;
  }

  EvidenceSource& tee_;
  GpuEvidenceSource* const gpus_;
  const SessionsOptions options_;
  std::mutex tend_mutex_;
  std::mutex tee_mutex_;  // a report interface takes one request at a time
  std::uint64_t last_epoch_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<EnclavePtr> enclaves_;  // the newest first
  std::int64_t next_try_ = 0;
  bool stopped_ = false;
  std::thread thread_;
};

Sessions::Sessions(std::unique_ptr<Body> body) : body_(std::move(body)) {}
Sessions::~Sessions() = default;

Result<std::unique_ptr<Sessions>> Sessions::start(EvidenceSource& tee, GpuEvidenceSource* gpus,
                                                  SessionsOptions options) {
  if (options.lifetime_seconds < kMinLifetimeSeconds ||
      options.lifetime_seconds > kMaxLifetimeSeconds) {
    return fail(ErrorKind::kUsage, "a session lasts from " + std::to_string(kMinLifetimeSeconds) +
                                       " seconds to 30 days, less 120 seconds");
  }
  auto body = std::make_unique<Body>(tee, gpus, std::move(options));
  OTR_TRY(body->begin());
  return std::unique_ptr<Sessions>(new Sessions(std::move(body)));
}

std::vector<EnclavePtr> Sessions::live() const { return body_->live(); }

EnclavePtr Sessions::find(const Hash& id) const {
  for (EnclavePtr& one : body_->live()) {
    if (one->id() == id) return std::move(one);
  }
  return nullptr;
}

Result<std::vector<protocol::SessionDocument>> Sessions::fresh_documents(const Hash& nonce) {
  return body_->fresh_documents(nonce);
}

void Sessions::tend() { body_->tend(); }

}  // namespace otr::node
