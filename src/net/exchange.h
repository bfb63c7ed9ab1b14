// The server's side of an Exchange: what the handler's threads say, queued for the I/O thread.
// Inside of net only.
#ifndef OTR_NET_EXCHANGE_H_
#define OTR_NET_EXCHANGE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "net/http.h"
#include "net/io_thread.h"
#include "net/server.h"

namespace otr::net {

// How an answer ends for the connection.
enum class Ending {
  kOpen,   // it has not ended
  kWhole,  // complete: the next request may follow, if the connection stays
  kCut,    // what was said is sent, then the connection closes without the end of the message
  kReset,  // the connection closes at once
};

// What an exchange has for the connection since it was last asked.
struct Outgoing {
  std::string bytes;
  Ending ending = Ending::kOpen;
};

class ServerExchange final : public Exchange {
 public:
  // `wake` is posted to the I/O thread whenever there is something to take().
  ServerExchange(Request request, bool closes_after, std::size_t max_pending_bytes,
                 std::shared_ptr<IoThread> thread, std::function<void()> wake);

  const Request& request() const override { return request_; }
  bool respond(Response response) override;
  bool begin_stream(unsigned status, Headers headers) override;
  bool write(std::string bytes) override;
  bool end() override;
  bool abort() override;
  void on_disconnect(std::function<void()> call) override;
  std::size_t pending_bytes() const override { return pending_bytes_; }

  // The rest is for the connection, on the I/O thread.

  [[nodiscard]] Outgoing take();
  void sent(std::size_t bytes);  // the kernel has taken so many
  void peer_gone();              // nothing more will come from the peer
  void connection_gone();        // nothing more can be sent
  // The connection closes after this answer: the peer or the server wants it. Valid until the
  // answer begins; later the answer's own promise stands.
  [[nodiscard]] bool closes_after() const { return closes_after_; }
  void set_closes_after() { closes_after_ = true; }
  // No handler holds it any more.
  void dropped();

 private:
  enum class Phase { kWaiting, kStreaming, kOver };

  // All under mutex_.
  bool is_bodyless(unsigned status) const;
  std::string encode_head(unsigned status, const std::string& header_lines,
                          const std::string& framing) const;
  void start(Response response, bool is_stream);
  void queue(std::string bytes, Ending ending);

  const Request request_;
  std::atomic<bool> closes_after_;
  const std::size_t max_pending_bytes_;
  const std::shared_ptr<IoThread> thread_;
  const std::function<void()> wake_;

  std::mutex mutex_;  // guards what follows
  Phase phase_ = Phase::kWaiting;
  bool sends_body_ = true;
  bool is_chunked_ = false;
  bool is_peer_gone_ = false;
  bool is_wake_posted_ = false;
  Outgoing outgoing_;
  std::function<void()> gone_call_;

  std::atomic<std::size_t> pending_bytes_ = 0;
};

}  // namespace otr::net

#endif  // OTR_NET_EXCHANGE_H_
