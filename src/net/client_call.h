// The inside of a client: its kept connections and one running call. Everything runs on the I/O
// thread, but for ClientCall::cancel(). Inside of net only.
#ifndef OTR_NET_CLIENT_CALL_H_
#define OTR_NET_CLIENT_CALL_H_

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "net/client.h"
#include "net/io_thread.h"
#include "net/message_parser.h"
#include "net/transport.h"
#include "net/url.h"

namespace otr::net {

class ClientCall;

// A connection to a server. It always reads: while it is kept for reuse, to learn that the server
// has closed it.
class ClientConnection final : public std::enable_shared_from_this<ClientConnection> {
 public:
  struct Listener {
    std::function<void(std::string_view bytes)> on_bytes;
    std::function<void(ErrorCode error)> on_end;
  };

  explicit ClientConnection(std::unique_ptr<Transport> transport)
      : transport_(std::move(transport)) {}

  [[nodiscard]] Transport& transport() { return *transport_; }
  void listen(Listener listener) { listener_ = std::move(listener); }
  void start_reading() { read(); }
  void close();

  Clock::time_point kept_until;  // while in the pool
  bool is_reused = false;

 private:
  void read();

  const std::unique_ptr<Transport> transport_;
  std::array<char, 16 << 10> buffer_;
  Listener listener_;
  bool is_closed_ = false;
};

// What the calls of a client share.
struct ClientCore {
  ClientOptions options;
  std::shared_ptr<IoThread> thread;
  std::shared_ptr<TlsContext> tls;
  boost::asio::ip::tcp::resolver resolver;
  std::set<std::shared_ptr<ClientCall>> calls;
  std::map<std::string, std::vector<std::shared_ptr<ClientConnection>>> pool;  // by origin
  bool is_closing = false;

  void keep(const std::string& origin, std::shared_ptr<ClientConnection> connection);
  [[nodiscard]] std::shared_ptr<ClientConnection> reuse(const std::string& origin);
  void drop(const std::string& origin, const ClientConnection* connection);
  void tick(Clock::time_point now);
  void close_all();
};

class ClientCall final : public Call, public std::enable_shared_from_this<ClientCall> {
 public:
  // `thread` keeps the door of cancel() open when the client has gone; `core` is used on the
  // thread only, which ends before the core does.
  ClientCall(ClientCore& core, CallOptions options, CallEvents events);

  void start();
  void tick(Clock::time_point now);
  void cancel() override;
  // Ends the call once. The connection is kept if it may carry another.
  void finish(Status status, bool keeps_connection = false);

 private:
  [[nodiscard]] Status prepare();  // url_ and wire_
  void connect();
  void connect_to(std::vector<boost::asio::ip::tcp::endpoint> endpoints);
  void on_connected(boost::asio::ip::tcp::socket socket);
  void use(std::shared_ptr<ClientConnection> connection);
  void write_some();
  void on_bytes(std::string_view bytes);
  [[nodiscard]] bool parse();  // true: the answer is whole
  void on_end(ErrorCode error);
  void new_parser();
  void tell_head();
  void touch();  // a byte has moved

  ClientCore& core_;
  const std::shared_ptr<IoThread> thread_;
  const CallOptions options_;
  CallEvents events_;

  Url url_;
  std::string wire_;  // the request as it is sent
  std::size_t written_ = 0;
  std::shared_ptr<boost::asio::ip::tcp::socket> attempt_;  // while TCP connects
  std::shared_ptr<ClientConnection> connection_;
  bool is_waiting_for_connection_ = true;
  Clock::time_point deadline_ = Clock::time_point::max();

  std::string in_;
  std::optional<ResponseParser> parser_;
  bool has_received_ = false;
  bool has_told_head_ = false;
  int interim_answers_ = 0;
  bool is_finished_ = false;
};

}  // namespace otr::net

#endif  // OTR_NET_CLIENT_CALL_H_
