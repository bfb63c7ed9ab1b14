// A ledger over HTTP between both ends, and each end against a stranger on the other.
#include "service/ledger_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "base/hex.h"
#include "ledger/parameters.h"
#include "ledger/transaction.h"
#include "net/net_world.h"
#include "protocol/receipt.h"
#include "service/ledger_client.h"
#include "service/ledger_wire.h"

namespace otr::service {
namespace {

using net::testing::RawSocket;
using net::testing::ScriptedServer;
using settlement::Row;
using ::testing::HasSubstr;

Row row(std::uint64_t height, Bytes transaction) {
  Row made;
  made.height = height;
  made.time = 1000 + height;
  made.tip.fill(static_cast<std::uint8_t>(height));
  made.transaction = std::move(transaction);
  return made;
}

// Takes what begins with 't', refuses 'r', and fails at everything else.
class FakeLedger : public rollup::LedgerPort {
 public:
  Result<Bytes> genesis() override { return Bytes{1, 2, 3}; }
  Result<std::vector<Row>> rows(std::uint64_t after) override {
    const std::lock_guard lock(mutex_);
    if (after > rows_.size()) return std::vector<Row>();
    return std::vector<Row>(rows_.begin() + static_cast<std::ptrdiff_t>(after), rows_.end());
  }
  Status submit(ByteView transaction) override {
    if (transaction[0] == 'r') return fail(ErrorKind::kReject, "no funds", "BALANCE_TOO_LOW");
    if (transaction[0] != 't') return fail(ErrorKind::kIo, "the disk is full");
    const std::lock_guard lock(mutex_);
    rows_.push_back(row(rows_.size() + 1, Bytes(transaction.begin(), transaction.end())));
    return {};
  }

 private:
  std::mutex mutex_;
  std::vector<Row> rows_;
};

class FakeData : public rollup::DataPort {
 public:
  Result<std::vector<std::string>> receipts(const Hash& root) override {
    if (root[0] == 1) return std::vector<std::string>{"{\"a\":1}\n", "{\"b\":2}\n"};
    if (root[0] == 2) return fail(ErrorKind::kBadInput, "not my batch");
    if (root[0] == 3) return std::vector<std::string>{"two\nlines\n"};
    return fail(ErrorKind::kIo, "the disk is gone");
  }
  Result<Bytes> proof(const Hash& digest) override {
    if (digest[0] == 1) return Bytes{0, 1, 2, 255};
    if (digest[0] == 2) return fail(ErrorKind::kBadInput, "no proof of mine");
    if (digest[0] == 3) return Bytes(rollup::kMaxProofBytes + 1);
    return fail(ErrorKind::kIo, "the disk is gone");
  }
};

Hash root_of(std::uint8_t first) {
  Hash root{};
  root[0] = first;
  return root;
}

class LedgerServerTest : public ::testing::Test {
 protected:
  LedgerServerTest() {
    server_ = *LedgerServer::start({}, &ledger_, &data_);
    client_ = *net::Client::create();
  }
  LedgerServerAddress address() const {
    return {.url = "http://127.0.0.1:" + std::to_string(server_->port())};
  }
  // The whole answer to raw bytes.
  std::string ask(std::string_view request) const {
    RawSocket socket(server_->port());
    socket.send(request);
    return socket.read_response();
  }

  FakeLedger ledger_;
  FakeData data_;
  std::unique_ptr<LedgerServer> server_;
  std::unique_ptr<net::Client> client_;
};

TEST_F(LedgerServerTest, CarriesALedger) {
  LedgerClient client(*client_, address());
  EXPECT_EQ(client.genesis().value(), (Bytes{1, 2, 3}));
  EXPECT_TRUE(client.rows(0).value().empty());
  Bytes long_one(ledger::kMaxTransactionBytes, 'x');
  long_one[0] = 't';
  const std::vector<Bytes> sent = {{'t'}, {'t', 0, 255, '\n'}, long_one};
  for (const Bytes& one : sent) {
    const Status taken = client.submit(one);
    ASSERT_TRUE(taken) << taken.error().message;
  }
  const auto rows = client.rows(0);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ((*rows)[i].height, i + 1);
    EXPECT_EQ((*rows)[i].time, 1001 + i);
    EXPECT_EQ((*rows)[i].tip, row(i + 1, {}).tip);
    EXPECT_EQ((*rows)[i].transaction, sent[i]);
  }
  ASSERT_EQ(client.rows(2).value().size(), 1U);
  EXPECT_EQ(client.rows(2).value()[0].height, 3U);
  EXPECT_TRUE(client.rows(99).value().empty());
}

TEST_F(LedgerServerTest, CarriesRefusalsWithTheirCode) {
  LedgerClient client(*client_, address());
  const Status refused = client.submit(Bytes{'r'});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kReject);
  EXPECT_EQ(refused.error().code, "BALANCE_TOO_LOW");
  EXPECT_EQ(refused.error().message, "no funds");
  const Status failed = client.submit(Bytes{'?'});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::kNetwork);
  EXPECT_THAT(failed.error().message, HasSubstr("disk is full"));
}

TEST_F(LedgerServerTest, CarriesReceipts) {
  DataClient client(*client_, address());
  EXPECT_EQ(client.receipts(root_of(1)).value(),
            (std::vector<std::string>{"{\"a\":1}\n", "{\"b\":2}\n"}));
  for (const std::uint8_t root : {std::uint8_t{2}, std::uint8_t{3}}) {
    const auto missing = client.receipts(root_of(root));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::kBadInput) << missing.error().message;
  }
  const auto broken = client.receipts(root_of(4));
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().kind, ErrorKind::kNetwork);
}

TEST_F(LedgerServerTest, CarriesProofs) {
  DataClient client(*client_, address());
  EXPECT_EQ(client.proof(root_of(1)).value(), (Bytes{0, 1, 2, 255}));
  for (const std::uint8_t digest : {std::uint8_t{2}, std::uint8_t{3}}) {  // unknown, too long
    EXPECT_EQ(client.proof(root_of(digest)).error().kind, ErrorKind::kBadInput);
  }
  EXPECT_EQ(client.proof(root_of(4)).error().kind, ErrorKind::kNetwork);
}

TEST_F(LedgerServerTest, NobodyThereIsANetworkError) {
  const LedgerServerAddress gone = address();
  server_.reset();
  LedgerClient client(*client_, gone);
  EXPECT_EQ(client.rows(0).error().kind, ErrorKind::kNetwork);
  EXPECT_EQ(client.submit(Bytes{'t'}).error().kind, ErrorKind::kNetwork);
  EXPECT_EQ(DataClient(*client_, gone).receipts(root_of(1)).error().kind, ErrorKind::kNetwork);
}

TEST_F(LedgerServerTest, RefusesOtherRequests) {
  for (const char* query : {"", "?after=", "?after=-1", "?after=1x", "?after=0x1", "?before=1",
                            "?after=1&more=2", "?after=99999999999999999999", "?after=%"}) {
    EXPECT_THAT(ask(net::testing::get("/v1/ledger/rows" + std::string(query))), HasSubstr(" 400 "))
        << query;
  }
  EXPECT_THAT(ask(net::testing::get("/v1/claims/0x12")), HasSubstr(" 400 "));
  EXPECT_THAT(ask(net::testing::get("/v1/claims/" + std::string(66, 'x'))), HasSubstr(" 400 "));
  EXPECT_THAT(ask(net::testing::get("/v1/proofs/0x12")), HasSubstr(" 400 "));
  EXPECT_THAT(ask(net::testing::get("/v1/proofs/../genesis")), HasSubstr(" 400 "));
  EXPECT_THAT(ask(net::testing::get("/v1/ledger/transactions")), HasSubstr(" 405 "));
  EXPECT_THAT(ask(net::testing::get("/v1/ledger")), HasSubstr(" 404 "));
  EXPECT_THAT(ask(net::testing::get("/livez")), HasSubstr(" 200 "));
  const std::string head = "POST /v1/ledger/transactions HTTP/1.1\r\nHost: a\r\nContent-Length: ";
  EXPECT_THAT(ask(head + "0\r\n\r\n"), HasSubstr(" 400 "));
  EXPECT_THAT(ask(head + std::to_string(ledger::kMaxTransactionBytes + 1) + "\r\n\r\n"),
              HasSubstr(" 413 "));
}

TEST_F(LedgerServerTest, APortThatIsNotThereHasNoRoutes) {
  const auto only_data = *LedgerServer::start({}, nullptr, &data_);
  const auto only_ledger = *LedgerServer::start({}, &ledger_, nullptr);
  const auto status = [](const LedgerServer& server, const std::string& path) {
    RawSocket socket(server.port());
    socket.send(net::testing::get(path));
    return socket.read_response().substr(9, 3);
  };
  EXPECT_EQ(status(*only_data, "/v1/ledger/genesis"), "404");
  EXPECT_EQ(status(*only_data, "/v1/claims/" + to_hex(root_of(1))), "200");
  EXPECT_EQ(status(*only_data, "/v1/proofs/" + to_hex(root_of(1))), "200");
  EXPECT_EQ(status(*only_ledger, "/v1/proofs/" + to_hex(root_of(1))), "404");
  EXPECT_EQ(status(*only_ledger, "/v1/ledger/genesis"), "200");
  EXPECT_EQ(status(*only_ledger, "/v1/claims/" + to_hex(root_of(1))), "404");
}

// Whoever floods it is turned away at once; the others' answers are not lost.
TEST(LedgerServerLoadTest, BeyondSoManyAtOnceItRefuses) {
  class SlowLedger : public FakeLedger {
   public:
    Result<Bytes> genesis() override {
      (void)goes_on.wait();
      return FakeLedger::genesis();
    }
    net::testing::Event goes_on;
  };
  SlowLedger slow;
  const auto server = *LedgerServer::start({}, &slow, nullptr);
  std::atomic<int> answered = 0, refused = 0;
  const auto client = *net::Client::create();
  for (int i = 0; i < 40; ++i) {
    client->send(
        {.url = "http://127.0.0.1:" + std::to_string(server->port()) + "/v1/ledger/genesis"},
        {.on_head = [&](unsigned status, const net::Headers&) {
          ++(status == 429 ? refused : answered);
        }});
  }
  EXPECT_TRUE(net::testing::eventually([&] { return refused == 8; }));
  EXPECT_EQ(answered, 0);
  slow.goes_on.set();
  EXPECT_TRUE(net::testing::eventually([&] { return answered == 32; }));
  EXPECT_EQ(refused, 8);
}

// Whoever asks for much and does not read is refused beyond a bound, and keeps out nobody for ever.
TEST(LedgerServerLoadTest, SlowReadersHoldNoMoreThanTheBound) {
  constexpr std::size_t kMany = std::size_t{16} << 20;  // more than a kernel takes at once
  class Long : public FakeData {
   public:
    Result<std::vector<std::string>> receipts(const Hash& root) override {
      if (root[0] != 9) return FakeData::receipts(root);
      const std::string line = std::string(kMany / 2 - 1, 'x') + "\n";
      return std::vector<std::string>{line, line};
    }
  } data;
  const auto server = *LedgerServer::start({}, nullptr, &data, 2 * kMany + kMany / 2);
  const auto ask = [&](RawSocket& socket, std::uint8_t root) {
    socket.send(net::testing::get("/v1/claims/" + to_hex(root_of(root))));
    return socket.read_until("\r\n").substr(9, 3);
  };
  std::vector<RawSocket> slow;
  for (const char* expected : {"200", "200", "429", "429", "429"}) {
    slow.emplace_back(server->port());
    EXPECT_EQ(ask(slow.back(), 9), expected);
  }
  RawSocket other(server->port());
  EXPECT_EQ(ask(other, 1), "200") << "what is small has room";
  // Who reads makes room, and so does who leaves.
  const auto is_served = [&] {
    RawSocket again(server->port());
    return ask(again, 9) == "200" && again.read_response().size() > kMany;
  };
  EXPECT_GT(slow.front().read_response().size(), kMany);
  EXPECT_TRUE(net::testing::eventually(is_served));
  slow.clear();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(net::testing::eventually(is_served));
}

// --- A hostile server ---

std::string http_answer(unsigned status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

class HostileServerTest : public ::testing::Test {
 protected:
  // What the client makes of one answer.
  template <class Ask>
  auto against(const std::string& answer, Ask ask, std::uint32_t whole_answer_ms = 60'000) {
    const ScriptedServer server([&](RawSocket& socket, int) {
      socket.read_until("\r\n\r\n");
      socket.send(answer);
    });
    return ask(LedgerServerAddress{server.url(""), whole_answer_ms});
  }
  Error rows_against(const std::string& answer) {
    const auto got =
        against(answer, [&](LedgerServerAddress at) { return LedgerClient(*client_, at).rows(4); });
    EXPECT_FALSE(got) << "taken";
    return got ? Error{} : got.error();
  }
  Error submit_against(const std::string& answer) {
    const auto got = against(answer, [&](LedgerServerAddress at) {
      return LedgerClient(*client_, at).submit(Bytes{1});
    });
    EXPECT_FALSE(got) << "taken";
    return got ? Error{} : got.error();
  }
  Error receipts_against(const std::string& answer) {
    const auto got = against(answer, [&](LedgerServerAddress at) {
      return DataClient(*client_, at).receipts(root_of(1));
    });
    EXPECT_FALSE(got) << "taken";
    return got ? Error{} : got.error();
  }

  std::unique_ptr<net::Client> client_ = *net::Client::create();
};

TEST_F(HostileServerTest, RowsThatAreNoneAreRefused) {
  const std::string good = encode_rows(std::vector<Row>{row(5, {1, 2}), row(6, {3})});
  EXPECT_TRUE(decode_rows(as_bytes(good), 4));
  for (std::size_t size = 1; size < good.size(); ++size) {
    if (size == 54) continue;  // the first row alone
    const auto cut = decode_rows(as_bytes(good.substr(0, size)), 4);
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().kind, ErrorKind::kBadInput);
  }
  for (const std::uint64_t after : {0U, 3U, 5U, 6U}) {
    EXPECT_FALSE(decode_rows(as_bytes(good), after)) << after;
  }
  const auto coded = [](Row one) { return encode_rows(std::vector<Row>{std::move(one)}); };
  EXPECT_THAT(rows_against(http_answer(200, coded(row(4, {1})))).message, HasSubstr("height 4"));
  EXPECT_THAT(rows_against(http_answer(200, coded(row(6, {1})))).message, HasSubstr("height 6"));
  EXPECT_THAT(rows_against(http_answer(200, coded(row(5, {})))).message, HasSubstr("of 0 bytes"));
  const auto twice = http_answer(200, coded(row(5, {1})) + coded(row(5, {1})));
  EXPECT_THAT(rows_against(twice).message, HasSubstr("height 5 instead of 6"));
  const auto too_long = http_answer(200, coded(row(5, Bytes(ledger::kMaxTransactionBytes + 1))));
  EXPECT_THAT(rows_against(too_long).message, HasSubstr("a transaction of"));
  EXPECT_EQ(rows_against(http_answer(200, "garbage")).kind, ErrorKind::kBadInput);
}

TEST_F(HostileServerTest, TooMuchIsRefusedBeforeItIsRead) {
  const std::string head = "HTTP/1.1 200 X\r\nContent-Length: ";
  EXPECT_EQ(rows_against(head + std::to_string(kMaxRowsBytes + 1) + "\r\n\r\n").kind,
            ErrorKind::kBadInput);
  EXPECT_EQ(receipts_against(head + std::to_string(kMaxReceiptsBytes + 1) + "\r\n\r\n").kind,
            ErrorKind::kBadInput);
  EXPECT_EQ(submit_against(head + "100000\r\n\r\n").kind, ErrorKind::kBadInput);
}

TEST_F(HostileServerTest, ACutAnswerIsANetworkError) {
  const std::string whole = http_answer(200, encode_rows(std::vector<Row>{row(5, {1, 2})}));
  EXPECT_EQ(rows_against(whole.substr(0, whole.size() - 1)).kind, ErrorKind::kNetwork);
  EXPECT_EQ(rows_against("").kind, ErrorKind::kNetwork);
}

TEST_F(HostileServerTest, OtherAnswersAreNetworkErrors) {
  EXPECT_EQ(rows_against(http_answer(404, "")).kind, ErrorKind::kNetwork);
  EXPECT_EQ(rows_against(http_answer(500, std::string(1 << 20, '['))).kind, ErrorKind::kNetwork);
  EXPECT_EQ(submit_against(http_answer(302, "")).kind, ErrorKind::kNetwork);
  EXPECT_EQ(submit_against(http_answer(500, R"({"error":{"code":"NONCE"}})")).kind,
            ErrorKind::kNetwork);
}

TEST_F(HostileServerTest, ARefusalHasACodeOfALedger) {
  for (const char* body : {"", "{", "[]", R"({"error":{}})", R"({"error":{"code":7}})",
                           R"({"error":{"code":"bad code"}})", R"({"error":{"code":""}})"}) {
    EXPECT_EQ(submit_against(http_answer(422, body)).kind, ErrorKind::kBadInput) << body;
  }
  EXPECT_EQ(submit_against(http_answer(422, std::string(60'000, '['))).kind, ErrorKind::kBadInput);
  const Error good =
      submit_against(http_answer(422, R"({"error":{"code":"NONCE","message":"a\u001b[2J\nb"}})"));
  EXPECT_EQ(good.message, "a?[2J?b");  // nothing that a terminal would obey
  EXPECT_EQ(good.kind, ErrorKind::kReject);
  EXPECT_EQ(good.code, "NONCE");
}

TEST_F(HostileServerTest, ReceiptsThatAreNoLinesAreRefused) {
  for (const char* body : {"cut", "a\nb", "\n", "a\n\n"}) {
    EXPECT_EQ(receipts_against(http_answer(200, body)).kind, ErrorKind::kBadInput) << body;
  }
  std::string many;
  for (std::size_t i = 0; i <= ledger::kMaxBatch; ++i) many += "a\n";
  EXPECT_EQ(receipts_against(http_answer(200, many)).kind, ErrorKind::kBadInput);
  EXPECT_EQ(decode_receipts(many.substr(2)).value().size(), ledger::kMaxBatch);
  EXPECT_FALSE(decode_receipts(std::string(protocol::kMaxReceiptBytes + 1, 'a') + "\n"));
  for (const char* one : {"", "\n", "a", "a\nb\n"}) {
    EXPECT_FALSE(encode_receipts(std::vector<std::string>{one})) << one;
  }
}

// A byte now and then is no answer: whoever has a clock to keep goes on.
TEST_F(HostileServerTest, AnAnswerThatNeverEndsIsGivenUp) {
  net::testing::Event gone;
  const ScriptedServer server([&](RawSocket& socket, int) {
    socket.read_until("\r\n\r\n");
    socket.send("HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n");
    while (!gone.wait(1)) socket.send("x");
  });
  const auto given_up = LedgerClient(*client_, {server.url(""), 50}).rows(0);
  gone.set();
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().kind, ErrorKind::kNetwork);
}

}  // namespace
}  // namespace otr::service
