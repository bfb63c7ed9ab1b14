#include "openai/error.h"

#include "text/utf8.h"

namespace otr::openai {
namespace {

constexpr const char* kInvalid = "invalid_request_error";

// What a stranger wrote, short enough to be repeated to him.
std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 80;
  return "'" + text::utf8_lossy(text.substr(0, kMost)) + (text.size() > kMost ? "...'" : "'");
}

}  // namespace

Json to_json(const ApiError& error) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? Json() : Json(text::utf8_lossy(text));
  };
  return {{"error",
           {{"message", text::utf8_lossy(error.message)},
            {"type", error.type},
            {"code", text_or_null(error.code)},
            {"param", text_or_null(error.param)}}}};
}

ApiError invalid_request(std::string param, std::string message, std::string code) {
  return {400, kInvalid, std::move(code), std::move(param), std::move(message)};
}

ApiError unsupported(std::string param, std::string message) {
  return invalid_request(std::move(param), std::move(message), "unsupported_parameter");
}

ApiError model_not_found(std::string_view model) {
  return {404, kInvalid, "model_not_found", "model",
          "The model " + shown(model) +
              " is not served here: GET /v1/models lists what is, or leave 'model' out."};
}

ApiError not_found(std::string message) { return {404, kInvalid, "not_found", "", message}; }

ApiError method_not_allowed(std::string_view method, std::string_view path) {
  return {
      405, kInvalid, "method_not_allowed", "",
      shown(path) + " does not take " + std::string(method.substr(0, 16)) + ": see /openapi.json."};
}

ApiError body_too_large(std::size_t max_bytes) {
  return {413, kInvalid, "body_too_large", "",
          "The body is longer than " + std::to_string(max_bytes) + " bytes: send less."};
}

ApiError unauthorized() {
  return {401, "authentication_error", "invalid_api_key", "",
          "No valid API key: send it as 'Authorization: Bearer KEY'."};
}

ApiError too_many() {
  return {429, "rate_limit_error", "rate_limit_exceeded", "",
          "All places are taken: try again after the time in 'retry-after'."};
}

ApiError unavailable(std::string message) {
  return {503, "unavailable_error", "unavailable", "", std::move(message)};
}

ApiError bad_gateway(std::string message) {
  return {502, "server_error", "worker_failed", "", std::move(message)};
}

ApiError internal_error(std::string message) {
  return {500, "server_error", "internal_error", "", std::move(message)};
}

ApiError from_error(const Error& error, std::string param) {
  switch (error.kind) {
    case ErrorKind::kUsage:
    case ErrorKind::kBadInput:
    case ErrorKind::kReject:
      return invalid_request(std::move(param), error.message);
    case ErrorKind::kNetwork:
      return bad_gateway(error.message);
    case ErrorKind::kCancelled:
      return unavailable(error.message);
    case ErrorKind::kOutOfRange:
    case ErrorKind::kIo:
      break;
  }
  return internal_error(error.message);
}

}  // namespace otr::openai
