// One connection of a server: reads requests one after the other, hands each to the handler, sends
// what its exchange says. Inside of net only; everything runs on the I/O thread.
#ifndef OTR_NET_CONNECTION_H_
#define OTR_NET_CONNECTION_H_

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "net/exchange.h"
#include "net/io_thread.h"
#include "net/message_parser.h"
#include "net/server.h"
#include "net/transport.h"

namespace otr::net {

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  // What the server lends; all of it outlives the connection.
  struct House {
    const ServerOptions& options;
    const Handler& handler;
    std::shared_ptr<IoThread> thread;
    std::function<void(Connection&)> closed;  // called once
    bool is_draining = false;                 // no further requests
  };

  Connection(House& house, std::unique_ptr<Transport> transport, std::string peer, bool is_tls);

  void start();
  void refuse(Fault fault);  // instead of start(): answers without having read anything
  void tick(Clock::time_point now);
  void drain();  // the server stops: closes if no request is being answered
  void cut();    // closes at once, with a reset
  [[nodiscard]] const std::string& peer() const { return peer_; }

 private:
  // kReading: no whole request yet. kAnswering: current_ is set. kLeaving: the last answer is on
  // its way or sent; what the peer still says is thrown away, as closing over unread bytes would
  // take the answer back.
  enum class Phase { kHandshake, kReading, kAnswering, kLeaving, kClosed };

  void read();
  void on_read(ErrorCode error, std::size_t count);
  void on_read_end(bool is_clean);
  void parse();
  void hand_over();
  void flush();  // takes from current_
  void send(std::string bytes);
  void write_some();
  void on_written(ErrorCode error, std::size_t count);
  void on_all_written();
  void next_request();
  void leave(const Fault& fault);
  void leave_after_writing();
  void on_deadline();
  void set_deadline(std::uint32_t timeout_ms);

  House& house_;
  const std::unique_ptr<Transport> transport_;
  const std::string peer_;
  const bool is_tls_;

  Phase phase_ = Phase::kHandshake;
  Clock::time_point deadline_ = Clock::time_point::max();  // of the phase

  std::array<char, 16 << 10> read_buffer_;
  std::string in_;  // read, not yet parsed
  bool is_reading_ = false;
  bool is_read_ended_ = false;
  std::optional<RequestParser> parser_;
  bool is_head_seen_ = false;
  std::size_t discarded_bytes_ = 0;

  std::string writing_;  // handed to the transport from `written_` on
  std::size_t written_ = 0;
  std::string out_;                  // after that
  std::size_t uncounted_bytes_ = 0;  // of these, in front, that no exchange has counted
  bool is_writing_ = false;
  bool has_finished_sending_ = false;
  Clock::time_point write_deadline_ = Clock::time_point::max();

  std::shared_ptr<ServerExchange> current_;
  Ending ending_ = Ending::kOpen;  // of current_
};

}  // namespace otr::net

#endif  // OTR_NET_CONNECTION_H_
