// What the tests of ACI share.
#ifndef OTR_SERVICE_TEST_ACI_H_
#define OTR_SERVICE_TEST_ACI_H_

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/canonical_json.h"
#include "base/hex.h"
#include "net/server.h"
#include "service/upstream.h"

namespace otr::service {

inline const std::string kNonce =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

inline Hash filled(std::uint8_t byte) {
  Hash hash;
  hash.fill(byte);
  return hash;
}

// Live from 1000 to 1000000, appraised at 2000.
inline std::shared_ptr<AppraisedSession> a_session(bool hardware, std::uint8_t byte = 7) {
  auto session = std::make_shared<AppraisedSession>();
  session->document.session.key.fill(byte);
  session->document.session.seal_key.fill(byte);
  session->document.session.model_root = filled(9);
  session->document.session.not_before = 1'000;
  session->document.session.expiry = 1'000'000;
  session->document.evidence = {{"quote.bin", Bytes(16, byte)}};
  session->id = filled(byte);
  session->hardware = hardware;
  session->description = hardware ? "TDX" : "SIMULATED";
  session->appraised_at = 2'000;
  return session;
}

// As the front writes them.
inline net::Headers with_ids(const std::vector<Hash>& ids) {
  std::string text;
  for (const Hash& id : ids) text += (text.empty() ? "" : ", ") + to_hex(id);
  return {{"x-receipt-id", text}, {"access-control-expose-headers", "x-request-id"}};
}

// An exchange without a socket that remembers what it was told.
class Wire final : public net::Exchange {
 public:
  explicit Wire(net::Request request) : request_(std::move(request)) {}
  [[nodiscard]] const net::Request& request() const override { return request_; }
  bool respond(net::Response response) override {
    return say("responded", [&] { said_ = std::move(response); });
  }
  bool begin_stream(unsigned status, net::Headers headers) override {
    return say("", [&] { said_ = {status, std::move(headers), {}}; });
  }
  bool write(std::string bytes) override {
    return say("", [&] { said_.body += bytes; });
  }
  bool end() override {
    return say("ended", [] {});
  }
  bool abort() override {
    return say("aborted", [] {});
  }
  void on_disconnect(std::function<void()> call) override { gone_call_ = std::move(call); }
  void disconnect() { gone_call_(); }
  [[nodiscard]] std::size_t pending_bytes() const override { return 0; }

  std::string wait() {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::chrono::seconds(60), [this] { return !end_.empty(); });
    return end_;
  }
  net::Response said() const {
    const std::lock_guard lock(mutex_);
    return said_;
  }
  std::string header(std::string_view name) const {
    return std::string(net::find_header(said().headers, name).value_or(""));
  }
  Json json() const { return Json::parse(said().body, nullptr, false); }

 private:
  template <class Change>
  bool say(std::string end, Change change) {
    const std::lock_guard lock(mutex_);
    if (!end_.empty()) return false;
    change();
    end_ = std::move(end);
    wake_.notify_all();
    return true;
  }

  const net::Request request_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  net::Response said_;
  std::string end_;
  std::function<void()> gone_call_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_TEST_ACI_H_
