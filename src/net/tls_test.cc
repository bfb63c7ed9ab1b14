// TLS, both ends at once: who is trusted, and what a refused peer gets to see.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>

#include "net/client.h"
#include "net/net_world.h"
#include "net/server.h"

namespace otr::net {
namespace {

using testing::Event;
using ::testing::HasSubstr;
using testing::RawSocket;
using testing::TestCertificate;

using Held = std::shared_ptr<Exchange>;

class Tls : public ::testing::Test {
 protected:
  void SetUp() override { certificate_ = testing::make_certificate("IP:127.0.0.1,DNS:localhost"); }

  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(std::filesystem::path(certificate_.ca_file).parent_path());
  }

  void serve(Handler handler) {
    auto server = Server::start(
        {.tls_certificate_file = certificate_.chain_file, .tls_key_file = certificate_.key_file},
        std::move(handler));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }

  void serve_and_count() {
    serve([this](const Held& exchange) {
      ++requests_;
      exchange->respond({200, {}, exchange->request().tls ? "sealed" : "open"});
    });
  }

  [[nodiscard]] std::string url(std::string_view host = "127.0.0.1") const {
    return "https://" + std::string(host) + ":" + std::to_string(server_->port()) + "/";
  }

  [[nodiscard]] Result<Response> fetch_with(ClientOptions options,
                                            std::string_view host = "127.0.0.1") {
    const auto client = *Client::create(std::move(options));
    return fetch(*client, {.url = url(host)});
  }

  TestCertificate certificate_;
  std::unique_ptr<Server> server_;
  std::atomic<int> requests_ = 0;
};

TEST_F(Tls, TrustsTheAuthorityItIsGiven) {
  serve_and_count();
  const auto client = *Client::create({.ca_file = certificate_.ca_file});
  for (int i = 0; i < 3; ++i) {
    const auto got = fetch(*client, {.url = url()});
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->body, "sealed");
  }
  EXPECT_EQ(server_->connections(), 1u);
  const auto by_name = fetch_with({.ca_file = certificate_.ca_file}, "localhost");
  EXPECT_TRUE(by_name) << by_name.error().message;
}

TEST_F(Tls, RefusesStrangers) {
  serve_and_count();
  const TestCertificate other = testing::make_certificate("IP:127.0.0.1");
  const auto wrong_ca = fetch_with({.ca_file = other.ca_file});
  ASSERT_FALSE(wrong_ca);
  EXPECT_EQ(wrong_ca.error().kind, ErrorKind::kReject);
  EXPECT_THAT(wrong_ca.error().message, HasSubstr("certificate is not trusted"));
  const auto system = fetch_with({});
  ASSERT_FALSE(system);
  EXPECT_EQ(system.error().kind, ErrorKind::kReject);
  EXPECT_EQ(requests_, 0);
  std::filesystem::remove_all(std::filesystem::path(other.ca_file).parent_path());
}

TEST_F(Tls, RefusesAnotherName) {
  std::filesystem::remove_all(std::filesystem::path(certificate_.ca_file).parent_path());
  certificate_ = testing::make_certificate("DNS:elsewhere.example");
  serve_and_count();
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const auto got = fetch_with({.ca_file = certificate_.ca_file}, host);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::kReject);
    EXPECT_THAT(got.error().message, HasSubstr("mismatch"));
  }
  EXPECT_EQ(requests_, 0);
}

TEST_F(Tls, TrustsThePinnedKeyAndNoOther) {
  serve_and_count();
  const auto pinned = fetch_with({.pinned_spki_sha256 = certificate_.spki_sha256});
  ASSERT_TRUE(pinned) << pinned.error().message;
  EXPECT_EQ(requests_, 1);
  Hash other = certificate_.spki_sha256;
  other[31] ^= 1;
  // The pin rules even where an authority would vouch.
  const auto refused = fetch_with({.ca_file = certificate_.ca_file, .pinned_spki_sha256 = other});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kReject);
  EXPECT_THAT(refused.error().message, HasSubstr("TLS key has the SHA-256 0x"));
  EXPECT_EQ(requests_, 1);
}

TEST_F(Tls, StreamsAndNoticesTheEnd) {
  Event gone, first;
  Held held;
  serve([&](const Held& exchange) {
    held = exchange;
    exchange->on_disconnect([&] { gone.set(); });
    exchange->begin_stream(200, {});
    exchange->write(std::string(500'000, 'x'));
  });
  const auto client = *Client::create({.ca_file = certificate_.ca_file});
  std::atomic<std::size_t> bytes = 0;
  const auto call = client->send({.url = url()}, {.on_body = [&](std::string_view part) {
                                   if ((bytes += part.size()) == 500'000) first.set();
                                 }});
  ASSERT_TRUE(first.wait());
  EXPECT_FALSE(gone.is_set());
  call->cancel();
  EXPECT_TRUE(gone.wait());
}

TEST_F(Tls, AnAbortIsNoEnd) {
  serve([](const Held& exchange) {
    exchange->begin_stream(200, {});
    exchange->write("part");
    exchange->abort();
  });
  const auto got = fetch_with({.ca_file = certificate_.ca_file});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::kNetwork);
  EXPECT_THAT(got.error().message, HasSubstr("after 4 bytes"));
}

TEST_F(Tls, RefusesPlainText) {
  serve_and_count();
  RawSocket plain(server_->port());
  ASSERT_TRUE(plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_THAT(plain.read_all(), ::testing::Not(HasSubstr("HTTP/1.1 200")));
  const auto got = fetch(**Client::create(), {.url = "http" + url().substr(5)});
  EXPECT_FALSE(got);
  EXPECT_EQ(requests_, 0);
}

TEST_F(Tls, StopsWithOpenConnections) {
  serve_and_count();
  const auto client = *Client::create({.ca_file = certificate_.ca_file});
  ASSERT_TRUE(fetch(*client, {.url = url()}));
  RawSocket half(server_->port());  // in the middle of its handshake
  ASSERT_TRUE(half.send("\x16\x03\x01"));
  server_->stop(1000);
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(Tls, SaysWhichFileIsBad) {
  const auto nothing = [](const Held&) {};
  const auto no_chain = Server::start({.tls_certificate_file = "/nowhere.pem"}, nothing);
  ASSERT_FALSE(no_chain);
  EXPECT_THAT(no_chain.error().message, HasSubstr("/nowhere.pem"));
  const TestCertificate other = testing::make_certificate("IP:127.0.0.1");
  const auto no_pair = Server::start(
      {.tls_certificate_file = certificate_.chain_file, .tls_key_file = other.key_file}, nothing);
  ASSERT_FALSE(no_pair);
  EXPECT_EQ(no_pair.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(no_pair.error().message, HasSubstr(other.key_file));
  const auto no_ca = Client::create({.ca_file = "/nowhere.pem"});
  ASSERT_FALSE(no_ca);
  EXPECT_THAT(no_ca.error().message, HasSubstr("/nowhere.pem"));
  std::filesystem::remove_all(std::filesystem::path(other.ca_file).parent_path());
}

}  // namespace
}  // namespace otr::net
