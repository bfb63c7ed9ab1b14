// The worker's gauges as Prometheus reads them (text format 0.0.4).
#ifndef OTR_SERVICE_WORKER_METRICS_H_
#define OTR_SERVICE_WORKER_METRICS_H_

#include <string>

#include "node/inference.h"

namespace otr::service {

[[nodiscard]] std::string worker_metrics(const node::InferenceService::Gauges& gauges);

}  // namespace otr::service

#endif  // OTR_SERVICE_WORKER_METRICS_H_
