#include "apps/data_servers.h"

#include <algorithm>

#include "apps/ledger_follow.h"
#include "base/hex.h"

namespace otr::apps {

Status DataServers::add(net::Client& client, const std::string& text) {
  const std::size_t equals = text.starts_with("0x") ? text.find('=') : std::string::npos;
  std::optional<crypto::Address> operator_address;
  if (equals != std::string::npos) {
    const auto bytes = from_hex(text.substr(0, equals), 20, "--data");
    if (!bytes) return fail(ErrorKind::kUsage, bytes.error().message);
    std::ranges::copy(*bytes, operator_address.emplace().begin());
  }
  const std::string url = equals == std::string::npos ? text : text.substr(equals + 1);
  OTR_TRY_ASSIGN(const service::LedgerServerAddress server, parse_server("--data", url));
  const bool is_new = servers_.try_emplace(operator_address, client, server).second;
  if (is_new) return {};
  return fail(ErrorKind::kUsage, "--data names two servers of one operator: " + text);
}

rollup::DataPort* DataServers::of(const crypto::Address& operator_address) {
  auto found = servers_.find(operator_address);
  if (found == servers_.end()) found = servers_.find(std::nullopt);
  return found == servers_.end() ? nullptr : &found->second;
}

}  // namespace otr::apps
