#include "service/operator_client.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/canonical_json.h"
#include "base/hex.h"
#include "env/clock.h"
#include "protocol/receipt.h"
#include "service/submission_call.h"

namespace otr::service {
namespace {

constexpr std::uint32_t kConnectMs = 2'000, kSilenceMs = 10'000, kPauseMs = 100;
constexpr std::int64_t kRestNs = 1'000'000'000;
constexpr std::size_t kMaxAnswerBytes = 64 << 10;

}  // namespace

Status OperatorClient::check(const crypto::Address& self) {
  const std::string url = at_.url + "/v1/operator";
  OTR_TRY_ASSIGN(const net::Response response,
                 net::fetch(client_, {.url = url,
                                      .connect_timeout_ms = kConnectMs,
                                      .idle_timeout_ms = kSilenceMs,
                                      .max_response_bytes = kMaxAnswerBytes}));
  const Json told = Json::parse(response.body, nullptr, false);
  if (response.status != 200 || !told.is_object() || !told.contains("operator") ||
      !told["operator"].is_string()) {
    return fail(ErrorKind::kUsage, at_.url +
                                       " is no operator's process: give the address that "
                                       "otr operator prints as \"receipts\".");
  }
  if (told["operator"].get<std::string>() == to_hex(self)) return {};
  return fail(ErrorKind::kUsage, at_.url + " works for another operator than this gateway, " +
                                     to_hex(self) + ": give both the same --home.");
}

Status OperatorClient::is_ready() const {
  if (env::monotonic_ns() >= rests_until_ns_) return {};
  return fail(ErrorKind::kNetwork,
              "The operator's process takes no receipts, and without it no answer is given.");
}

Status OperatorClient::hand_in(const std::string& receipt_text) {
  const auto receipt = protocol::decode_receipt(receipt_text);
  if (!receipt || receipt->request.request.mode != 0) return {};
  OTR_TRY(is_ready());
  const std::int64_t begin = env::monotonic_ns();
  const std::int64_t end = is_down_ ? begin : begin + std::int64_t{at_.patience_ms} * 1'000'000;
  Status taken = try_once(receipt_text);
  while (!taken && taken.error().kind == ErrorKind::kNetwork && env::monotonic_ns() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(kPauseMs));
    taken = try_once(receipt_text);
  }
  is_down_ = !taken && taken.error().kind == ErrorKind::kNetwork;
  if (is_down_) rests_until_ns_ = env::monotonic_ns() + kRestNs;
  return taken;
}

// kNetwork where it may be tried again.
Status OperatorClient::try_once(const std::string& receipt_text) {
  const std::string url = at_.url + "/v1/receipts";
  auto response = net::fetch(client_, {.url = url,
                                       .method = "POST",
                                       .headers = {{"Content-Type", "application/json"}},
                                       .body = receipt_text,
                                       .connect_timeout_ms = kConnectMs,
                                       .idle_timeout_ms = kSilenceMs,
                                       .max_response_bytes = kMaxAnswerBytes});
  if (!response) return fail(ErrorKind::kNetwork, std::move(response).error().message);
  if (response->status == 200) return {};
  const bool passes = response->status == 429 || response->status >= 500;
  UpstreamError error = error_of(response->status, response->body, url);
  return fail(passes ? ErrorKind::kNetwork : ErrorKind::kReject,
              "The operator did not take the receipt: " + error.message, std::move(error.code));
}

}  // namespace otr::service
