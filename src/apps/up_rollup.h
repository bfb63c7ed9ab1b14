// The rollup under otr up --rollup: a ledger for trials with all its roles, on a thread of its own.
#ifndef OTR_APPS_UP_ROLLUP_H_
#define OTR_APPS_UP_ROLLUP_H_

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "apps/stage.h"
#include "net/server.h"
#include "service/ledger_server.h"

namespace otr::apps {

class UpRollup {
 public:
  // A new ledger in a new folder of `home`, shown over HTTP with its receipts (docs/ledger.md). The
  // model must outlive it.
  static Result<std::unique_ptr<UpRollup>> start(const node::Home& home, StageModel& model,
                                                 std::uint64_t window_ms,
                                                 const net::ServerOptions& listen);
  ~UpRollup();

  [[nodiscard]] const Hash& ledger() const { return ledger_; }
  // Its file, id and address, for people.
  [[nodiscard]] std::string describe_place() const;

  // From now on the roles work. `sessions`: those of the worker that live; from any thread.
  void run(std::function<std::vector<protocol::SessionDocument>()> sessions);
  // A receipt of the gateway, in the operator's journal when it returns. Receipts that are not for
  // this ledger, or sealed, are left alone. From any thread.
  Status take(const std::string& receipt_text);
  // What happens on the ledger, in a few lines for people. From any thread.
  [[nodiscard]] std::string view() const;
  // Shuts the ledger.
  Status stop();

 private:
  UpRollup(std::unique_ptr<Stage> stage, std::unique_ptr<crypto::PrivateKey> key)
      : stage_(std::move(stage)), key_(std::move(key)) {}
  Status step();
  [[nodiscard]] std::string describe() const;

  std::unique_ptr<Stage> stage_;
  std::unique_ptr<crypto::PrivateKey> key_;
  StageOperator* operator_ = nullptr;
  std::string url_;
  std::unique_ptr<service::LedgerServer> server_;
  Hash ledger_{};
  std::function<std::vector<protocol::SessionDocument>()> sessions_;
  std::atomic<bool> ends_ = false;
  mutable std::mutex mutex_;
  std::string view_, error_;
  std::thread thread_;
};

}  // namespace otr::apps

#endif  // OTR_APPS_UP_ROLLUP_H_
