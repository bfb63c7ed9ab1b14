#include "net/net_world.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/check.h"
#include "crypto/sha256.h"

namespace otr::net::testing {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void be_patient(int fd) {
  const timeval limit{.tv_sec = kPatienceMs / 1000, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

void add_extension(X509* certificate, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  OTR_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Certificate make(const char* name, EVP_PKEY* key, const char* issuer, bool is_ca) {
  Certificate certificate(X509_new(), X509_free);
  X509* x = certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x), 3600);
  const auto set = [](X509_NAME* to, const char* text) {
    X509_NAME_add_entry_by_txt(to, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(text),
                               -1, -1, 0);
  };
  set(X509_get_subject_name(x), name);
  set(X509_get_issuer_name(x), issuer);
  X509_set_pubkey(x, key);
  add_extension(x, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  return certificate;
}

void write_pem(const std::string& path, const std::function<int(BIO*)>& write) {
  BIO* file = BIO_new_file(path.c_str(), "w");
  OTR_CHECK(file != nullptr && write(file) == 1);
  BIO_free(file);
}

}  // namespace

RawSocket::RawSocket(std::uint16_t port, int receive_buffer_bytes)
    : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  if (receive_buffer_bytes > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  }
  be_patient(fd_);
  const sockaddr_in address = loopback(port);
  OTR_CHECK(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
}

bool RawSocket::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

bool RawSocket::read_some() {
  char buffer[16 << 10];
  const ssize_t count = ::recv(fd_, buffer, sizeof(buffer), 0);
  if (count < 0 && errno == ECONNRESET) was_reset_ = true;
  OTR_CHECK(count >= 0 || errno == ECONNRESET);  // else the patience is at its end
  if (count > 0) in_.append(buffer, static_cast<std::size_t>(count));
  return count > 0;
}

std::string RawSocket::read_until(std::string_view end) {
  while (!in_.contains(end) && read_some()) {
  }
  const std::size_t at = in_.find(end);
  const std::size_t size = at == in_.npos ? in_.size() : at + end.size();
  std::string out = in_.substr(0, size);
  in_.erase(0, size);
  return out;
}

std::string RawSocket::read_all() {
  while (read_some()) {
  }
  return std::exchange(in_, {});
}

std::string RawSocket::read_response() {
  std::string out = read_until("\r\n\r\n");
  const std::string_view name = "Content-Length: ";
  const std::size_t at = out.find(name);
  const std::size_t body = at == out.npos ? 0 : std::strtoul(&out[at + name.size()], nullptr, 10);
  while (in_.size() < body && read_some()) {
  }
  const std::size_t size = std::min(body, in_.size());
  out += in_.substr(0, size);
  in_.erase(0, size);
  return out;
}

void RawSocket::shutdown_sending() { ::shutdown(fd_, SHUT_WR); }

void RawSocket::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close();
}

void RawSocket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

ScriptedServer::ScriptedServer(std::function<void(RawSocket& socket, int connection)> script)
    : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  OTR_CHECK(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  OTR_CHECK(::listen(fd_, 64) == 0);
  OTR_CHECK(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([fd = fd_, script = std::move(script)] {
    for (int connection = 0;; ++connection) {
      const int accepted = ::accept(fd, nullptr, nullptr);
      if (accepted < 0) return;
      be_patient(accepted);
      RawSocket socket(accepted);
      script(socket, connection);
    }
  });
}

ScriptedServer::~ScriptedServer() {
  ::shutdown(fd_, SHUT_RDWR);  // wakes accept()
  thread_.join();
  ::close(fd_);
}

std::unique_ptr<Server> serve(Handler handler, ServerOptions options) {
  auto server = Server::start(std::move(options), std::move(handler));
  OTR_CHECK(server.has_value());
  return std::move(*server);
}

std::string get(std::string_view path, std::string_view more) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(more) +
         "\r\n";
}

std::string post(std::string_view body, std::string_view more) {
  return "POST /p HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(more) + "\r\n" + std::string(body);
}

void Event::set() {
  const std::lock_guard lock(mutex_);
  ++count_;
  changed_.notify_all();
}

bool Event::wait(int timeout_ms) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return count_ > 0; });
}

bool Event::is_set() { return count() > 0; }

int Event::count() {
  const std::lock_guard lock(mutex_);
  return count_;
}

bool eventually(const std::function<bool()>& is_so) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

TestCertificate make_certificate(const std::string& alternative_names) {
  std::string folder = (std::filesystem::temp_directory_path() / "otr_net_XXXXXX").string();
  OTR_CHECK(::mkdtemp(folder.data()) != nullptr);
  const Key ca_key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const Certificate ca = make("test authority", ca_key.get(), "test authority", true);
  const Certificate leaf = make("test server", key.get(), "test authority", false);
  add_extension(leaf.get(), NID_subject_alt_name, alternative_names);
  OTR_CHECK(X509_sign(ca.get(), ca_key.get(), EVP_sha256()) > 0);
  OTR_CHECK(X509_sign(leaf.get(), ca_key.get(), EVP_sha256()) > 0);
  TestCertificate out{folder + "/ca.pem", folder + "/chain.pem", folder + "/key.pem", {}};
  write_pem(out.ca_file, [&](BIO* to) { return PEM_write_bio_X509(to, ca.get()); });
  write_pem(out.chain_file, [&](BIO* to) { return PEM_write_bio_X509(to, leaf.get()); });
  write_pem(out.key_file, [&](BIO* to) {
    return PEM_write_bio_PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  out.spki_sha256 = crypto::sha256({der, static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return out;
}

}  // namespace otr::net::testing
