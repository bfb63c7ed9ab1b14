#include "net/message_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cstdio>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "base/check.h"
#include "net/url.h"

namespace otr::net {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;

// Two of one of these, and two readers may obey different ones.
constexpr std::string_view kOnce[] = {"Host",         "Content-Length", "Transfer-Encoding",
                                      "Content-Type", "Expect",         "Authorization",
                                      "X-Api-Key",    "Idempotency-Key"};
constexpr std::string_view kMethods[] = {"GET",   "HEAD",   "POST",   "PUT",
                                         "PATCH", "DELETE", "OPTIONS"};
constexpr std::string_view kFraming[] = {"Content-Length", "Transfer-Encoding", "Connection"};
constexpr std::size_t kMaxHeaders = 100;
// A line that gives a chunk's size, with its extensions, or all trailers together.
constexpr std::size_t kMaxChunkHeadBytes = 4 << 10;
constexpr std::size_t kMaxExtensionBytes = 256;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

bool is_named_in(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::any_of(names,
                             [&](std::string_view n) { return equal_ignoring_case(n, name); });
}

Fault bad(std::string message) { return {400, "bad_request", std::move(message)}; }

// The head with its first line, without the empty line that ends it.
std::optional<Fault> check_lines(std::string_view head) {
  std::size_t lines = 0;
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    const bool is_clean =
        std::ranges::all_of(line, [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); });
    if (!is_clean) {
      return bad("the head of the message has a byte that is not visible ASCII in line " +
                 std::to_string(lines + 1));
    }
    if (line.empty()) return bad("the message begins with an empty line");
    if (line.front() == ' ' || line.front() == '\t') {
      return bad("line " + std::to_string(lines + 1) + " of the head begins with a blank");
    }
    if (lines++ > kMaxHeaders) {
      return Fault{431, "headers_too_large",
                   "the message has more than " + std::to_string(kMaxHeaders) + " headers"};
    }
  }
  if (lines == 0) return bad("the message begins with an empty line");
  return std::nullopt;
}

std::optional<Fault> check_headers(const Headers& headers) {
  for (const std::string_view name : kOnce) {
    const auto count = std::ranges::count_if(
        headers, [&](const Header& h) { return equal_ignoring_case(h.name, name); });
    if (count > 1) return bad("the header " + std::string(name) + " stands more than once");
  }
  const auto length = find_header(headers, "Content-Length");
  const auto coding = find_header(headers, "Transfer-Encoding");
  if (length && coding) return bad("Content-Length and Transfer-Encoding exclude each other");
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (length && (length->empty() || !std::ranges::all_of(*length, is_digit))) {
    return bad("Content-Length is not one decimal number");
  }
  if (coding && !equal_ignoring_case(*coding, "chunked")) {
    return Fault{501, "not_implemented", "the only Transfer-Encoding that is read is chunked"};
  }
  return std::nullopt;
}

Fault describe(error_code error, const MessageLimits& limits) {
  if (error == http::error::body_limit) {
    return {413, "body_too_large",
            "the body is larger than " + std::to_string(limits.max_body_bytes) + " bytes"};
  }
  if (error == http::error::bad_version) {
    return {505, "bad_version", "the message is neither HTTP/1.1 nor HTTP/1.0"};
  }
  return bad("the message breaks the grammar of HTTP/1.1: " + error.message());
}

// Beast's push parser with our rules in its hooks.
template <bool kIsRequest>
class Reader final : public http::basic_parser<kIsRequest> {
 public:
  Reader(MessageLimits limits, std::function<void(std::string_view)> on_body)
      : limits_(limits), on_body_(std::move(on_body)) {
    this->eager(true);
    this->body_limit(limits.max_body_bytes);
    // The head is measured before Beast sees it.
    this->header_limit(std::numeric_limits<std::uint32_t>::max());
  }

  std::expected<std::size_t, Fault> feed(std::string_view bytes) {
    auto taken = try_feed(bytes);
    // Beast counts a message without a body as done before our rules have seen its head.
    is_whole = taken.has_value() && this->is_done();
    return taken;
  }

  std::string method, target;
  bool is_http_10 = false;
  unsigned status = 0;
  Headers headers;
  std::size_t body_bytes = 0;
  bool is_whole = false;
  std::function<std::optional<Fault>()> head_rule;  // runs once, when the head is read

 private:
  std::expected<std::size_t, Fault> try_feed(std::string_view bytes) {
    OTR_CHECK(!is_whole);
    if (!this->is_header_done()) {
      const std::size_t from = scanned_ > 3 ? scanned_ - 3 : 0;
      const std::size_t end = bytes.find("\r\n\r\n", from);
      scanned_ = bytes.size();
      // Without an end in sight, the last three bytes may be its beginning.
      const std::size_t size =
          end == bytes.npos ? bytes.size() - std::min<std::size_t>(3, bytes.size()) : end;
      if (size > limits_.max_header_bytes) {
        return std::unexpected(Fault{431, "headers_too_large",
                                     "the request line and headers have more than " +
                                         std::to_string(limits_.max_header_bytes) + " bytes"});
      }
      if (end == bytes.npos) return 0;
      if (auto fault = check_lines(bytes.substr(0, end))) return std::unexpected(*fault);
    }
    // Beast 1.81 asserts that a final chunk, once seen to begin, comes back with five bytes or
    // more; no line between two chunks can end before.
    const bool is_between_chunks = this->is_header_done() && this->chunked() && chunk_left_ == 0;
    if (is_between_chunks && bytes.size() < 5) return 0;
    error_code error;
    const std::size_t taken = this->put({bytes.data(), bytes.size()}, error);
    if (fault_) return std::unexpected(*fault_);
    if (error && error != http::error::need_more) {
      return std::unexpected(describe(error, limits_));
    }
    if (bytes.size() - taken > kMaxChunkHeadBytes && !this->is_done()) {
      return std::unexpected(bad("the size line or the trailers of a chunked body are too long"));
    }
    return taken;
  }

  void refuse(Fault fault, error_code& error) {
    fault_ = std::move(fault);
    error = http::error::bad_value;
  }

  void on_request_impl(http::verb, boost::beast::string_view verb, boost::beast::string_view to,
                       int version, error_code&) override {
    method = view(verb);
    target = view(to);
    is_http_10 = version == 10;
  }
  void on_response_impl(int code, boost::beast::string_view, int version, error_code&) override {
    status = static_cast<unsigned>(code);
    is_http_10 = version == 10;
  }
  void on_field_impl(http::field, boost::beast::string_view name, boost::beast::string_view value,
                     error_code&) override {
    // Trailers come here too, after the head, and are dropped: nobody may change a head late.
    if (!head_done_) headers.push_back({std::string(view(name)), std::string(view(value))});
  }
  void on_header_impl(error_code& error) override {
    head_done_ = true;
    auto fault = check_headers(headers);
    if (!fault && is_http_10 && find_header(headers, "Transfer-Encoding")) {
      fault = bad("HTTP/1.0 has no Transfer-Encoding");
    }
    if (!fault && head_rule) fault = head_rule();
    if (fault) refuse(*fault, error);
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(boost::beast::string_view part, error_code&) override {
    body_bytes += part.size();
    if (!part.empty()) on_body_(view(part));
    return part.size();
  }
  void on_chunk_header_impl(std::uint64_t size, boost::beast::string_view extensions,
                            error_code& error) override {
    if (extensions.size() > kMaxExtensionBytes) {
      refuse(bad("the extensions of a chunk are too long"), error);
    }
    chunk_left_ = size;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, boost::beast::string_view part,
                                 error_code& error) override {
    chunk_left_ -= part.size();
    return on_body_impl(part, error);
  }
  void on_finish_impl(error_code&) override {}

  MessageLimits limits_;
  std::function<void(std::string_view)> on_body_;
  std::size_t scanned_ = 0;  // bytes of the head searched for its end before
  bool head_done_ = false;
  std::uint64_t chunk_left_ = 0;
  std::optional<Fault> fault_;
};

// Sets path and query. An absolute target must name the host that the Host header names.
std::optional<Fault> split_target(Request& request) {
  std::string_view target = request.target;
  const auto host = request.header("Host");
  const auto named = host ? parse_authority(*host, request.tls) : Result<Url>();
  if (!host && !request.is_http_10) return bad("the request has no Host header");
  if (!named) return bad("the Host header is no host name with an optional port");
  if (target == "*" && request.method == "OPTIONS") {
    request.path = "*";
    return std::nullopt;
  }
  std::string absolute;
  if (!target.starts_with('/')) {
    const auto url = parse_url(target);
    if (!url) return bad("the target of the request is neither a path nor an http address");
    const auto same = parse_authority(host.value_or(url->authority()), url->tls);
    if (!same || same->authority() != url->authority()) {
      return bad("the target of the request and its Host header name different hosts");
    }
    absolute = url->target();
    target = absolute;
  }
  if (!is_target(target)) {
    return bad("the target of the request has a character that must be percent-escaped");
  }
  const std::size_t mark = std::min(target.find('?'), target.size());
  request.path = target.substr(0, mark);
  request.query = target.substr(std::min(mark + 1, target.size()));
  return std::nullopt;
}

}  // namespace

struct RequestParser::Impl {
  explicit Impl(MessageLimits limits)
      : reader(limits, [this](std::string_view part) { request.body += part; }) {
    reader.head_rule = [this] { return take_head(); };
  }

  std::optional<Fault> take_head() {
    request.method = std::move(reader.method);
    request.target = std::move(reader.target);
    request.headers = std::move(reader.headers);
    request.is_http_10 = reader.is_http_10;
    if (std::ranges::find(kMethods, request.method) == std::end(kMethods)) {
      return Fault{501, "not_implemented", "the method of the request is not served here"};
    }
    if (const auto expect = request.header("Expect")) {
      if (!equal_ignoring_case(*expect, "100-continue")) {
        return Fault{417, "expectation_failed", "the only Expect that is met is 100-continue"};
      }
      expects_continue = !request.is_http_10;
    }
    return split_target(request);
  }

  Request request;
  bool expects_continue = false;
  Reader<true> reader;
};

RequestParser::RequestParser(MessageLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;

std::expected<std::size_t, Fault> RequestParser::put(std::string_view bytes) {
  return impl_->reader.feed(bytes);
}

bool RequestParser::is_head_done() const { return impl_->reader.is_header_done(); }
bool RequestParser::is_done() const { return impl_->reader.is_whole; }
bool RequestParser::keeps_alive() const {
  return !impl_->request.is_http_10 && impl_->reader.keep_alive();
}
bool RequestParser::expects_continue() const { return impl_->expects_continue; }
Request& RequestParser::request() { return impl_->request; }

struct ResponseParser::Impl {
  Impl(MessageLimits limits, std::function<void(std::string_view)> on_body)
      : reader(limits, std::move(on_body)) {
    reader.head_rule = [this]() -> std::optional<Fault> {
      const unsigned status = reader.status;
      if (status >= 100 && status <= 599 && status != 101) return std::nullopt;
      return bad("the answer has the status " + std::to_string(status) + ", which means nothing");
    };
  }
  Reader<false> reader;
};

ResponseParser::ResponseParser(MessageLimits limits, bool is_head_request,
                               std::function<void(std::string_view)> on_body)
    : impl_(std::make_unique<Impl>(limits, std::move(on_body))) {
  impl_->reader.skip(is_head_request);
}
ResponseParser::~ResponseParser() = default;

Result<std::size_t> ResponseParser::put(std::string_view bytes) {
  auto taken = impl_->reader.feed(bytes);
  if (!taken) return fail(ErrorKind::kBadInput, std::move(taken.error().message));
  return *taken;
}

Status ResponseParser::put_end() {
  error_code error;
  if (is_head_done()) impl_->reader.put_eof(error);
  if (!is_head_done() || error) {
    return fail(ErrorKind::kNetwork, is_head_done() ? "the answer was cut before its end"
                                                    : "the connection closed before an answer");
  }
  return {};
}

bool ResponseParser::is_head_done() const { return impl_->reader.is_header_done(); }
bool ResponseParser::is_done() const { return impl_->reader.is_whole; }
bool ResponseParser::keeps_alive() const {
  return !impl_->reader.is_http_10 && impl_->reader.keep_alive();
}
unsigned ResponseParser::status() const { return impl_->reader.status; }
const Headers& ResponseParser::headers() const { return impl_->reader.headers; }
std::size_t ResponseParser::body_bytes() const { return impl_->reader.body_bytes; }

Response fault_response(const Fault& fault) {
  const std::string_view type = fault.status >= 500 ? "server_error" : "invalid_request_error";
  return error_response(fault.status, type, fault.code, fault.message);
}

std::optional<std::string> encode_headers(const Headers& headers) {
  std::string out;
  for (const Header& header : headers) {
    if (!is_token(header.name) || !is_field_value(header.value)) return std::nullopt;
    if (is_named_in(kFraming, header.name)) return std::nullopt;
    out += header.name + ": " + header.value + "\r\n";
  }
  return out;
}

std::string encode_chunk(std::string_view bytes) {
  if (bytes.empty()) return {};
  char size[20];
  const int digits = std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
  std::string out;
  out.reserve(bytes.size() + static_cast<std::size_t>(digits) + 2);
  out.append(size, static_cast<std::size_t>(digits));
  out += bytes;
  out += "\r\n";
  return out;
}

}  // namespace otr::net
