#include "service/log.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>

namespace otr::service {
namespace {

constexpr std::size_t kMaxTextBytes = 512;

std::string_view name_of(LogLevel level) {
  constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};
  return kNames[static_cast<int>(level)];
}

std::string now() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  char end[16];
  std::snprintf(end, sizeof(end), ".%03dZ", static_cast<int>(ms % 1000));
  return std::string(text, size) + end;
}

}  // namespace

void Log::write(LogLevel level, std::string_view component, std::string_view event,
                const Json& fields) const {
  if (level < least_) return;
  nlohmann::ordered_json line = {
      {"ts", now()}, {"level", name_of(level)}, {"component", component}, {"event", event}};
  for (const auto& [name, value] : fields.items()) {
    const bool is_long =
        value.is_string() && value.get_ref<const std::string&>().size() > kMaxTextBytes;
    line[name] = is_long
                     ? Json(value.get_ref<const std::string&>().substr(0, kMaxTextBytes) + "...")
                     : value;
  }
  const std::string text = line.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
  const auto written = ::write(descriptor_, text.data(), text.size());
  static_cast<void>(written);
}

}  // namespace otr::service
