// An exchange whose answer is counted in otr_requests_total: of the routes that a gateway has
// beside its front.
#ifndef OTR_SERVICE_COUNTED_EXCHANGE_H_
#define OTR_SERVICE_COUNTED_EXCHANGE_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "net/server.h"
#include "service/metrics.h"

namespace otr::service {

class CountedExchange final : public net::Exchange {
 public:
  // `route` is a constant, as labels are. An answer may come later than anything else ends, so that
  // it holds the metrics.
  CountedExchange(std::shared_ptr<net::Exchange> inner, std::shared_ptr<Metrics> metrics,
                  std::string_view route)
      : inner_(std::move(inner)), metrics_(std::move(metrics)), route_(route) {}

  [[nodiscard]] const net::Request& request() const override { return inner_->request(); }
  bool respond(net::Response response) override {
    const unsigned status = response.status;
    return count(inner_->respond(std::move(response)), status);
  }
  bool begin_stream(unsigned status, net::Headers headers) override {
    return count(inner_->begin_stream(status, std::move(headers)), status);
  }
  bool write(std::string bytes) override { return inner_->write(std::move(bytes)); }
  bool end() override { return inner_->end(); }
  bool abort() override { return inner_->abort(); }
  void on_disconnect(std::function<void()> call) override {
    inner_->on_disconnect(std::move(call));
  }
  [[nodiscard]] std::size_t pending_bytes() const override { return inner_->pending_bytes(); }

 private:
  bool count(bool given, unsigned status) {
    if (given) {
      metrics_->add("otr_requests_total", 1, {{"route", route_}, {"code", std::to_string(status)}});
    }
    return given;
  }

  const std::shared_ptr<net::Exchange> inner_;
  const std::shared_ptr<Metrics> metrics_;
  const std::string_view route_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_COUNTED_EXCHANGE_H_
