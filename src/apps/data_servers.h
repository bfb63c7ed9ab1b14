// Who serves what operators show about their batches, as --data of otr fisherman and otr checker
// says: ADDRESS=URL for one operator, URL for all others.
#ifndef OTR_APPS_DATA_SERVERS_H_
#define OTR_APPS_DATA_SERVERS_H_

#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "crypto/secp256k1.h"
#include "net/client.h"
#include "service/ledger_client.h"

namespace otr::apps {

class DataServers {
 public:
  // kUsage where it is not of that form, or there twice. `client` must outlive it.
  Status add(net::Client& client, const std::string& text);
  // Null where nobody serves for it.
  rollup::DataPort* of(const crypto::Address& operator_address);

 private:
  std::map<std::optional<crypto::Address>, service::DataClient> servers_;
};

}  // namespace otr::apps

#endif  // OTR_APPS_DATA_SERVERS_H_
