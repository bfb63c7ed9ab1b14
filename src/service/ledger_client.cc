#include "service/ledger_client.h"

#include <algorithm>
#include <future>
#include <memory>
#include <utility>

#include "base/hex.h"
#include "service/ledger_wire.h"
#include "service/submission_call.h"

namespace otr::service {
namespace {

constexpr std::size_t kMaxErrorBytes = 64 << 10;

// Lives as long as one of the call's callbacks is held by the client, also beyond its deadline.
struct Waiting {
  net::Response response;
  std::promise<Status> done;
};

Result<net::Response> fetch_within(net::Client& client, net::CallOptions options,
                                   std::uint32_t whole_answer_ms) {
  const std::string url = options.url;
  options.idle_timeout_ms = std::min(options.idle_timeout_ms, whole_answer_ms);
  options.connect_timeout_ms = std::min(options.connect_timeout_ms, whole_answer_ms);
  const auto waiting = std::make_shared<Waiting>();
  std::future<Status> done = waiting->done.get_future();
  const auto call = client.send(
      std::move(options),
      {.on_head = [waiting](unsigned status,
                            const net::Headers&) { waiting->response.status = status; },
       .on_body = [waiting](std::string_view part) { waiting->response.body.append(part); },
       .on_done = [waiting](Status status) { waiting->done.set_value(std::move(status)); }});
  if (done.wait_for(std::chrono::milliseconds(whole_answer_ms)) != std::future_status::ready) {
    call->cancel();
    done.wait();
    return fail(ErrorKind::kNetwork, url + " did not give its whole answer in " +
                                         std::to_string(whole_answer_ms) + " ms");
  }
  OTR_TRY(done.get());
  return std::move(waiting->response);
}

// A word that a ledger could have said.
bool is_code(std::string_view code) {
  return !code.empty() && code.size() <= 64 && std::ranges::all_of(code, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// What a server says of itself, for a terminal. A long text is not read as JSON, which costs many
// times its length.
UpstreamError error_in(const net::Response& response, const std::string& url) {
  UpstreamError error = error_of(
      response.status, response.body.size() <= kMaxErrorBytes ? response.body : std::string(), url);
  std::ranges::replace_if(error.message, [](char c) { return c < ' ' || c > '~'; }, '?');
  return error;
}

std::unexpected<Error> network_error(const net::Response& response, const std::string& url) {
  return fail(ErrorKind::kNetwork, error_in(response, url).message);
}

}  // namespace

Result<Bytes> LedgerClient::genesis() {
  const std::string url = server_.url + "/v1/ledger/genesis";
  OTR_TRY_ASSIGN(const net::Response response,
                 fetch_within(client_, {.url = url, .max_response_bytes = kMaxGenesisBytes},
                              server_.whole_answer_ms));
  if (response.status != 200) return network_error(response, url);
  const ByteView bytes = as_bytes(response.body);
  return Bytes(bytes.begin(), bytes.end());
}

Result<std::vector<settlement::Row>> LedgerClient::rows(std::uint64_t after) {
  const std::string url = server_.url + "/v1/ledger/rows?after=" + std::to_string(after);
  OTR_TRY_ASSIGN(const net::Response response,
                 fetch_within(client_, {.url = url, .max_response_bytes = kMaxRowsBytes},
                              server_.whole_answer_ms));
  if (response.status != 200) return network_error(response, url);
  return decode_rows(as_bytes(response.body), after);
}

Status LedgerClient::submit(ByteView transaction) {
  const std::string url = server_.url + "/v1/ledger/transactions";
  OTR_TRY_ASSIGN(const net::Response response,
                 fetch_within(client_,
                              {.url = url,
                               .method = "POST",
                               .headers = {{"Content-Type", "application/octet-stream"}},
                               .body = std::string(as_text(transaction)),
                               .max_response_bytes = kMaxErrorBytes},
                              server_.whole_answer_ms));
  if (response.status == 200) return {};
  if (response.status != 422) return network_error(response, url);
  UpstreamError error = error_in(response, url);
  if (!is_code(error.code)) {
    return fail(ErrorKind::kBadInput, url + " refused with a code that no ledger has.");
  }
  return fail(ErrorKind::kReject, std::move(error.message), std::move(error.code));
}

Result<std::string> DataClient::fetch(const std::string& path, std::size_t max_bytes) {
  const std::string url = server_.url + path;
  OTR_TRY_ASSIGN(net::Response response,
                 fetch_within(client_, {.url = url, .max_response_bytes = max_bytes},
                              server_.whole_answer_ms));
  if (response.status == 404) {
    return fail(ErrorKind::kBadInput, error_in(response, url).message);
  }
  if (response.status != 200) return network_error(response, url);
  return std::move(response.body);
}

Result<std::vector<std::string>> DataClient::receipts(const Hash& batch_root) {
  OTR_TRY_ASSIGN(const std::string text,
                 fetch("/v1/claims/" + to_hex(batch_root), kMaxReceiptsBytes));
  return decode_receipts(text);
}

Result<Bytes> DataClient::proof(const Hash& digest) {
  OTR_TRY_ASSIGN(const std::string proof,
                 fetch("/v1/proofs/" + to_hex(digest), rollup::kMaxProofBytes));
  const ByteView bytes = as_bytes(proof);
  return Bytes(bytes.begin(), bytes.end());
}

}  // namespace otr::service
