// What the parts of a front share. Inside of the front only.
#ifndef OTR_SERVICE_FRONT_PARTS_H_
#define OTR_SERVICE_FRONT_PARTS_H_

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "openai/error.h"
#include "service/front.h"
#include "service/work_queue.h"

namespace otr::service {

class Reply;

struct FrontParts {
  FrontParts(std::vector<ServedModel> served, ApiKeys api_keys, FrontServices with,
             FrontOptions given);

  // Of a request's `model`; without one, the only one served.
  [[nodiscard]] openai::Parsed<const ServedModel*> find_model(std::string_view name) const;

  const std::vector<ServedModel> models;
  const ApiKeys keys;
  const FrontServices services;
  const FrontOptions options;
  const std::shared_ptr<WorkQueue> queue;
  Idempotency idempotency;

  std::atomic<bool> drains = false;
  std::mutex mutex;
  std::map<const Reply*, std::weak_ptr<Reply>> replies;  // those that are not over
};

// One request on its way through the front.
struct Incoming {
  std::shared_ptr<net::Exchange> exchange;
  std::string_view route;  // a constant, for metrics: "/v1/models/{id}"
  std::string request_id;
  Hash api_key{};
  std::int64_t began_ns = 0;
};

// The headers that every answer has.
[[nodiscard]] net::Headers common_headers(const FrontParts& parts, const Incoming& incoming);
// Answers and counts.
void send(const FrontParts& parts, const Incoming& incoming, net::Response response);
void count(const FrontParts& parts, const Incoming& incoming, unsigned status);

// An answer that is computed: the rest runs on the queue.
void handle_generation(const std::shared_ptr<FrontParts>& parts, Incoming incoming);

// Everything else, each one answer.
[[nodiscard]] net::Response list_models(const FrontParts& parts);
[[nodiscard]] net::Response show_model(const FrontParts& parts, std::string_view id);
[[nodiscard]] net::Response tokenize(const FrontParts& parts, std::string_view body);
[[nodiscard]] net::Response detokenize(const FrontParts& parts, std::string_view body);
[[nodiscard]] net::Response apply_template(const FrontParts& parts, std::string_view body);
[[nodiscard]] net::Response list_receipts(const FrontParts& parts, const Incoming& incoming);
[[nodiscard]] net::Response show_receipt(const FrontParts& parts, const Incoming& incoming,
                                         std::string_view id);
[[nodiscard]] net::Response show_health(const FrontParts& parts);
[[nodiscard]] net::Response show_version(const FrontParts& parts);

}  // namespace otr::service

#endif  // OTR_SERVICE_FRONT_PARTS_H_
