// What a service tells its operator: one JSON object per line, by default on standard error.
//
// Members: ts, level, component, event, then those of the caller (request_id, receipt_id, ...).
// Never the bodies of requests and answers. Text of strangers is cut, and all but printable ASCII
// is escaped, so that a line is always one line and no terminal obeys it.
#ifndef OTR_SERVICE_LOG_H_
#define OTR_SERVICE_LOG_H_

#include <string_view>

#include "base/canonical_json.h"

namespace otr::service {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Every function may be called from any thread; a line is written with one system call.
class Log {
 public:
  explicit Log(int descriptor = 2, LogLevel least = LogLevel::kInfo)
      : descriptor_(descriptor), least_(least) {}

  // `fields` is an object. What cannot be written is lost: a service does not end for its log.
  void write(LogLevel level, std::string_view component, std::string_view event,
             const Json& fields = Json::object()) const;

 private:
  int descriptor_;
  LogLevel least_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_LOG_H_
