#include "service/error_answer.h"

#include <utility>

namespace otr::service {

bool is_worth_retrying(const openai::ApiError& error) {
  return error.status == 408 || error.status == 429 || (error.status >= 502 && error.status <= 504);
}

net::Response error_answer(const openai::ApiError& error) {
  return error_answer(error, is_worth_retrying(error));
}

net::Response error_answer(const openai::ApiError& error, bool should_retry) {
  net::Response response = net::json_response(
      static_cast<unsigned>(error.status),
      openai::to_json(error).dump(-1, ' ', false, Json::error_handler_t::replace));
  response.headers.push_back({"x-should-retry", should_retry ? "true" : "false"});
  if (should_retry) response.headers.push_back({"retry-after", "1"});
  if (error.status == 401) response.headers.push_back({"www-authenticate", "Bearer"});
  return response;
}

openai::ApiError to_api_error(const UpstreamError& error) {
  const bool is_error = error.status >= 400 && error.status <= 599;
  return {.status = is_error ? static_cast<int>(error.status) : 502,
          .type = error.type.empty() ? "server_error" : error.type,
          .code = error.code,
          .param = "",
          .message =
              error.message.empty() ? "The upstream failed and did not say why." : error.message};
}

}  // namespace otr::service
