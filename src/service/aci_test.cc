// ACI over its routes: evidence and receipts as a verifier reads them, and what becomes of answers
// that are given again, cut, forgotten or given by the wrong session.
#include "service/aci.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "attest/simulated.h"
#include "base/hex.h"
#include "crypto/sha256.h"
#include "node/simulated_tee.h"
#include "openai/render.h"
#include "service/test_aci.h"

namespace otr::service {
namespace {

const std::string kBody = R"({"messages":[{"content":"hi","role":"user"}],"model":"demo"})";

// The receipt of a JSON text, checked as a stranger would who has only the report.
void expect_signed(const std::string& text, const Json& report) {
  Json receipt = Json::parse(text);
  const Json& keyset = report["attestation"]["workload_keyset"];
  EXPECT_EQ(receipt["workload_keyset_digest"], aci_digest_of(keyset.dump()));
  EXPECT_EQ(receipt["key_id"], keyset["receipt_signing_keys"][0]["key_id"]);
  const std::string key = keyset["receipt_signing_keys"][0]["public_key"];
  const auto signature = from_hex("0x" + receipt["signature"].get<std::string>(), 64, "signature");
  receipt.erase("signature");
  EXPECT_TRUE(crypto::verify_ed25519(*from_hex("0x" + key, 32, "key"), as_bytes(receipt.dump()),
                                     *signature));
}

const Json* event_of(const Json& receipt, std::string_view type) {
  for (const Json& event : receipt["event_log"]) {
    if (event["type"] == type) return &event;
  }
  return nullptr;
}

class AciTest : public testing::Test {
 protected:
  AciTest() {
    std::string name = (std::filesystem::temp_directory_path() / "otr-aci-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    open();
  }
  ~AciTest() override {
    aci_.reset();
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }

  void open() {
    aci_.reset();
    auto tee = node::open_tee("simulated", node::SimulatedOptions{.folder = folder_});
    ASSERT_TRUE(tee) << tee.error().message;
    auto made = Aci::start({.tee = *std::move(tee),
                            .file = folder_ / "aci.sqlite",
                            .sealed = false,
                            .allow_origin = "https://page",
                            .keyset_seconds = 1'000,
                            .unix_seconds = [this] { return now_; }});
    ASSERT_TRUE(made) << made.error().message;
    aci_ = *std::move(made);
    upstream_ = aci_->watch(inner_);
  }

  // Says what ACI leaves to the gateway, then what came of it.
  std::shared_ptr<Wire> send(std::string method, std::string path, std::string query = {},
                             std::string body = {}) {
    auto wire = std::make_shared<Wire>(net::Request{.method = std::move(method),
                                                    .target = path,
                                                    .path = path,
                                                    .query = std::move(query),
                                                    .headers = {},
                                                    .body = std::move(body),
                                                    .peer = {}});
    passed_ = aci_->admit(wire, host_);
    return wire;
  }
  std::shared_ptr<Wire> get(std::string path, std::string query = {}) {
    const auto pending = passed_;
    auto wire = send("GET", std::move(path), std::move(query));
    EXPECT_EQ(passed_, nullptr);
    passed_ = pending;
    wire->wait();
    return wire;
  }
  std::shared_ptr<Wire> chat(std::string body = kBody) {
    return send("POST", "/v1/chat/completions", "", std::move(body));
  }

  // A submission goes to the worker, and its claim comes back.
  Hash forward(std::uint8_t byte, bool claims = true) {
    protocol::Submission submission;
    submission.session = session_->id;
    submission.request.request.model_root = filled(9);
    submission.request.request.prompt_root = filled(byte);
    submission.prompt_ids = {1, byte};
    submission.request.request.prompt_count = 2;
    std::function<void(std::expected<EndedAnswer, UpstreamError>)> done;
    inner_.claims = claims;
    static_cast<void>(
        upstream_->submit(submission, session_, {.on_token = {}, .on_done = [](auto) {}}));
    forwarded_ = protocol::encode_submission(submission).value_or("");
    return protocol::digest_of(submission.request.request, Hash{});
  }

  // A whole answer, given.
  Hash answer(std::uint8_t byte, std::string body) {
    const auto wire = chat();
    const Hash id = forward(byte);
    passed_->respond({.status = 200, .headers = with_ids({id}), .body = std::move(body)});
    EXPECT_EQ(wire->wait(), "responded");
    EXPECT_EQ(wire->said().status, 200u);
    return id;
  }

  struct Inner final : Upstream {
    std::expected<std::shared_ptr<const AppraisedSession>, UpstreamError> session(
        const Hash&) override {
      return std::unexpected(UpstreamError{});
    }
    std::shared_ptr<UpstreamCall> submit(const protocol::Submission&,
                                         const std::shared_ptr<const AppraisedSession>&,
                                         UpstreamEvents events) override {
      EndedAnswer ended;
      ended.claim.claim.trace_root = filled(5);
      if (claims) events.on_done(ended);
      return nullptr;
    }
    bool claims = true;
  };

  std::int64_t now_ = 2'500;
  std::filesystem::path folder_;
  Inner inner_;
  std::unique_ptr<Aci> aci_;
  std::unique_ptr<Upstream> upstream_;
  std::shared_ptr<AppraisedSession> session_ = a_session(false);
  std::vector<std::shared_ptr<const AppraisedSession>> sessions_ = {session_};
  std::optional<Hash> api_key_ = filled(1);
  AciHost host_{
      .authorize = [this](const std::shared_ptr<net::Exchange>& exchange) -> std::optional<Hash> {
        if (!api_key_) exchange->respond(net::error_response(401, "x", "y", "no"));
        return api_key_;
      },
      .sessions = [this] { return sessions_; },
      .model_root = [](std::string_view name) -> std::optional<Hash> {
        if (name == "demo") return filled(9);
        return std::nullopt;
      }};
  std::shared_ptr<net::Exchange> passed_;
  std::string forwarded_;
};

// --- Evidence ------------------------------------------------------------------------------------

TEST_F(AciTest, TheReportBindsKeysetAndNonce) {
  const auto wire = get("/v1/aci/attestation", "nonce=" + kNonce);
  ASSERT_EQ(wire->said().status, 200u);
  const Json report = wire->json();
  EXPECT_EQ(report["api_version"], "aci/1");
  const std::string digest = aci_digest_of(report["attestation"]["workload_keyset"].dump());
  EXPECT_EQ(report["workload_keyset_digest"], digest);
  EXPECT_EQ(wire->header("x-aci-keyset-digest"), digest);
  EXPECT_EQ(wire->header("x-aci-version"), "aci/1");
  EXPECT_EQ(wire->header("access-control-allow-origin"), "https://page");
  const node::ReportData data = aci_report_data(digest, kNonce);
  EXPECT_EQ(report["attestation"]["report_data"], bare_hex(ByteView(data).first(32)));
  EXPECT_EQ(report["attestation"]["tee_type"], "otr-simulated");
  const std::string evidence = report["attestation"]["evidence"]["report"];
  const auto bytes = from_hex("0x" + evidence, evidence.size() / 2, "evidence");
  const auto simulated = attest::parse_simulated(*bytes);
  ASSERT_TRUE(simulated);
  EXPECT_TRUE(std::ranges::equal(simulated->report_data, data));
}

TEST_F(AciTest, OnlyTheProtocolsNoncesAreTaken) {
  EXPECT_EQ(get("/v1/aci/attestation")->said().status, 200u);
  for (const std::string& query : std::vector<std::string>{
           "nonce=" + kNonce.substr(1), "nonce=" + kNonce + "0", "nonce=" + std::string(64, 'A'),
           "nonce=0x" + kNonce.substr(2), "nonce=" + kNonce + "&x=1", std::string("nonce="),
           std::string("other=1"), std::string("nonce=%zz")}) {
    const auto wire = get("/v1/aci/attestation", query);
    EXPECT_EQ(wire->said().status, 400u) << query;
    EXPECT_EQ(wire->json()["error"]["type"], "invalid_request_error");
  }
}

TEST_F(AciTest, AKeysetIsReplacedBeforeItEnds) {
  const std::string first = get("/v1/aci/attestation")->header("x-aci-keyset-digest");
  now_ += 400;
  EXPECT_EQ(get("/v1/aci/attestation")->header("x-aci-keyset-digest"), first);
  now_ += 200;
  EXPECT_NE(get("/v1/aci/attestation")->header("x-aci-keyset-digest"), first);
}

// --- Receipts ------------------------------------------------------------------------------------

TEST_F(AciTest, AWholeAnswerHasAReceiptOverItsBytes) {
  const Json report = get("/v1/aci/attestation")->json();
  const auto wire = chat();
  ASSERT_NE(passed_, nullptr);
  const Hash id = forward(1);
  passed_->respond({.status = 200, .headers = with_ids({id}), .body = "the answer"});
  EXPECT_EQ(wire->wait(), "responded");
  EXPECT_EQ(wire->said().body, "the answer");
  EXPECT_EQ(wire->header("x-receipt-id"), to_hex(id));
  EXPECT_NE(wire->header("access-control-expose-headers").find("x-aci-keyset-digest"),
            std::string::npos);
  const auto shown = get("/v1/aci/receipts/" + to_hex(id));
  ASSERT_EQ(shown->said().status, 200u);
  expect_signed(shown->said().body, report);
  const Json receipt = shown->json();
  EXPECT_EQ(receipt["event_log"][0]["type"], "request.received");
  EXPECT_EQ(receipt["event_log"][0]["body_hash"], aci_digest_of(kBody));
  EXPECT_EQ((*event_of(receipt, "request.forwarded"))["body_hash"], aci_digest_of(forwarded_));
  EXPECT_EQ((*event_of(receipt, "response.returned"))["body_hash"], aci_digest_of("the answer"));
  const Json claim = *event_of(receipt, "otr.claim");
  EXPECT_EQ(claim["request_hash"], to_hex(id));
  EXPECT_EQ(claim["trace_root"], to_hex(filled(5)));
  EXPECT_EQ(claim["model_root"], to_hex(filled(9)));
  EXPECT_EQ(claim["session"], to_hex(filled(7)));
  EXPECT_EQ(receipt["model"], "demo");
  const Json verified = *event_of(receipt, "upstream.verified");
  EXPECT_EQ(verified["result"], "verified");
  EXPECT_EQ(verified["required"], true);
  const auto session = get("/v1/aci/sessions/" + verified["session_id"].get<std::string>());
  EXPECT_EQ(Json(bare_hex(crypto::sha256(as_bytes(session->said().body)))), verified["session_id"]);
  const std::string chat_id = receipt["chat_id"];
  EXPECT_EQ(chat_id,
            openai::response_id(openai::Kind::kChat, crypto::sha256(as_bytes(to_hex(id)))));
  EXPECT_EQ(get("/v1/aci/receipts/" + chat_id)->said().body, shown->said().body);
}

TEST_F(AciTest, AReceiptChangedAnywhereIsNotSigned) {
  const Hash id = answer(1, "x");
  Json receipt = get("/v1/aci/receipts/" + to_hex(id))->json();
  const Json report = get("/v1/aci/attestation")->json();
  const std::string key =
      report["attestation"]["workload_keyset"]["receipt_signing_keys"][0]["public_key"];
  const auto signature = from_hex("0x" + receipt["signature"].get<std::string>(), 64, "signature");
  receipt.erase("signature");
  receipt["event_log"][0]["body_hash"] = aci_digest_of("other");
  EXPECT_FALSE(crypto::verify_ed25519(*from_hex("0x" + key, 32, "key"), as_bytes(receipt.dump()),
                                      *signature));
}

TEST_F(AciTest, AStreamHasAReceiptOverAllItsFraming) {
  const auto wire = chat();
  const Hash first = forward(1), second = forward(2);
  ASSERT_TRUE(passed_->begin_stream(200, with_ids({first, second})));
  EXPECT_EQ(wire->header("x-receipt-id"), to_hex(first));
  passed_->write("data: {}\n\n");
  passed_->write(": ping\n\ndata: 1\n\ndata: [DO");
  EXPECT_EQ(wire->said().body, "data: {}\n\n: ping\n\ndata: 1\n\n");
  EXPECT_EQ(get("/v1/aci/receipts/" + to_hex(first))->said().status, 404u);
  auto watched = std::exchange(passed_, nullptr);
  chat();  // another request between
  watched->write("NE]\n\n");
  EXPECT_EQ(wire->said().body, "data: {}\n\n: ping\n\ndata: 1\n\n");
  watched->end();
  EXPECT_EQ(wire->wait(), "ended");
  EXPECT_EQ(wire->said().body, "data: {}\n\n: ping\n\ndata: 1\n\ndata: [DONE]\n\n");
  const Json receipt = get("/v1/aci/receipts/" + to_hex(first))->json();
  EXPECT_EQ((*event_of(receipt, "response.returned"))["body_hash"],
            aci_digest_of(wire->said().body));
  EXPECT_EQ(std::ranges::count_if(receipt["event_log"],
                                  [](const Json& event) { return event["type"] == "otr.claim"; }),
            2);
}

TEST_F(AciTest, ACutStreamHasNoReceipt) {
  const auto wire = chat();
  const Hash id = forward(1, false);
  passed_->begin_stream(200, with_ids({id}));
  passed_->write("data: {}\n\n");
  passed_->abort();
  EXPECT_EQ(wire->wait(), "aborted");
  EXPECT_EQ(get("/v1/aci/receipts/" + to_hex(id))->said().status, 404u);
}

TEST_F(AciTest, AnAnswerWithoutFactsIsNotGiven) {
  const auto wire = chat();
  passed_->respond({.status = 200, .headers = with_ids({filled(3)}), .body = "x"});
  EXPECT_EQ(wire->said().status, 500u);
  const auto stream = chat();
  passed_->begin_stream(200, with_ids({filled(3)}));
  passed_->write("data: [DONE]\n\n");
  passed_->end();
  EXPECT_EQ(stream->wait(), "aborted");
  EXPECT_EQ(stream->said().body, "");
}

TEST_F(AciTest, TheSameAnswerGivenAgainKeepsItsFirstReceipt) {
  const Hash id = forward(1);
  std::string first;
  for (int i = 0; i < 2; ++i) {
    const auto wire = chat();
    passed_->respond({.status = 200, .headers = with_ids({id}), .body = "the answer"});
    EXPECT_EQ(wire->wait(), "responded");
    EXPECT_EQ(wire->said().status, 200u);
    const std::string text = get("/v1/aci/receipts/" + to_hex(id))->said().body;
    if (i == 0) first = text;
    EXPECT_EQ(text, first);
  }
  const auto other = chat();
  passed_->respond({.status = 200, .headers = with_ids({id}), .body = "another answer"});
  other->wait();
  EXPECT_EQ(other->said().status, 500u);
}

TEST_F(AciTest, WhatAClientThatIsGoneWasNotGivenIsNotTakenForGiven) {
  for (const bool is_gone : {false, true}) {
    const auto wire = chat();
    const Hash id = forward(is_gone ? 2 : 1);
    bool told = false;
    passed_->on_disconnect([&told] { told = true; });
    if (is_gone) wire->disconnect();
    EXPECT_EQ(told, is_gone);
    EXPECT_EQ(passed_->respond({.status = 200, .headers = with_ids({id}), .body = "x"}), !is_gone);
    wire->wait();
  }
}

TEST_F(AciTest, AFailureAfterForwardingIsReceiptedAndOneBeforeIsNot) {
  const auto wire = chat();
  const Hash id = forward(1, false);
  passed_->respond({.status = 502, .headers = with_ids({id}), .body = "{}"});
  wire->wait();
  EXPECT_EQ(wire->header("x-receipt-id"), to_hex(id));
  const Json receipt = get("/v1/aci/receipts/" + to_hex(id))->json();
  EXPECT_EQ((*event_of(receipt, "response.returned"))["body_hash"], aci_digest_of("{}"));
  EXPECT_FALSE(event_of(receipt, "otr.claim")->contains("claim"));
  EXPECT_TRUE(receipt["chat_id"].is_null());
  const auto bad = chat();
  passed_->respond(net::error_response(400, "invalid_request_error", "x", "y"));
  EXPECT_EQ(bad->said().status, 400u);
  EXPECT_EQ(bad->header("x-receipt-id"), "");
  EXPECT_EQ(bad->header("x-aci-version"), "aci/1");
}

TEST_F(AciTest, WithoutASessionTheRefusalIsReceipted) {
  const Json report = get("/v1/aci/attestation")->json();
  const auto wire = chat();
  net::Response none = net::error_response(503, "unavailable_error", "no_session", "none accepted");
  none.headers.push_back({"retry-after", "1"});
  passed_->respond(std::move(none));
  wire->wait();
  EXPECT_EQ(wire->header("retry-after"), "1");
  EXPECT_EQ(wire->said().status, 503u);
  EXPECT_EQ(wire->json()["error"]["type"], "upstream_verification_failed");
  const auto shown = get("/v1/aci/receipts/" + wire->header("x-receipt-id"));
  ASSERT_EQ(shown->said().status, 200u);
  expect_signed(shown->said().body, report);
  const Json receipt = shown->json();
  EXPECT_EQ(event_of(receipt, "request.forwarded"), nullptr);
  EXPECT_EQ((*event_of(receipt, "upstream.verified"))["result"], "failed");
  EXPECT_EQ((*event_of(receipt, "upstream.verified"))["reason"], "none accepted");
  EXPECT_EQ((*event_of(receipt, "response.returned"))["body_hash"],
            aci_digest_of(wire->said().body));
}

TEST_F(AciTest, ReceiptsAreForTheKeyThatAsked) {
  const Hash id = answer(1, "x");
  EXPECT_EQ(get("/v1/aci/receipts/" + to_hex(id))->said().status, 200u);
  api_key_ = filled(2);
  const auto other = get("/v1/aci/receipts/" + to_hex(id));
  EXPECT_EQ(other->said().status, 404u);
  EXPECT_EQ(other->json()["error"]["type"], "not_found");
  api_key_.reset();
  const auto nobody = get("/v1/aci/receipts/" + to_hex(id));
  EXPECT_EQ(nobody->said().status, 401u);
  EXPECT_EQ(nobody->json()["error"]["type"], "unauthorized");
}

TEST_F(AciTest, ReceiptsAndSessionsSurviveARestartAndKeysDoNot) {
  const Json report = get("/v1/aci/attestation")->json();
  const Hash id = answer(1, "x");
  passed_.reset();
  const Json before = get("/v1/aci/receipts/" + to_hex(id))->json();
  open();
  EXPECT_NE(get("/v1/aci/attestation")->json()["workload_keyset_digest"],
            report["workload_keyset_digest"]);
  const auto after = get("/v1/aci/receipts/" + to_hex(id));
  EXPECT_EQ(after->json(), before);
  expect_signed(after->said().body, report);
  const std::string session = (*event_of(before, "upstream.verified"))["session_id"];
  EXPECT_EQ(get("/v1/aci/sessions/" + session)->said().status, 200u);
}

// --- Sessions, and constraints on them -----------------------------------------------------------

TEST_F(AciTest, SessionsAreListedAbbreviatedAndByModel) {
  sessions_.push_back(a_session(true, 8));
  const Json list = get("/v1/aci/sessions")->json();
  EXPECT_EQ(list["api_version"], "aci/1");
  ASSERT_EQ(list["sessions"].size(), 2u);
  EXPECT_EQ(get("/v1/aci/sessions", "model=demo")->json()["sessions"].size(), 2u);
  EXPECT_EQ(get("/v1/aci/sessions", "model=other")->json()["sessions"].size(), 0u);
  EXPECT_EQ(get("/v1/aci/sessions", "upstream_name=x")->json()["sessions"].size(), 0u);
  const std::string id = list["sessions"][0]["session_id"];
  EXPECT_EQ(get("/v1/aci/sessions/" + id)->said().status, 200u);
  EXPECT_EQ(get("/v1/aci/sessions/" + std::string(64, '0'))->said().status, 404u);
  EXPECT_EQ(get("/v1/aci/sessions/x")->said().status, 404u);
  now_ = 2'000'000;  // the sessions are over
  EXPECT_EQ(get("/v1/aci/sessions")->json()["sessions"].size(), 0u);
}

TEST_F(AciTest, UnknownConstraintsAreRefused) {
  for (const char* provider :
       {R"({"aci_new":1})", R"({"aci_verified":"yes"})", R"({"aci_session_ids":[]})",
        R"({"aci_session_ids":["x"]})", R"({"aci_session_ids":"x"})"}) {
    const auto wire = chat(R"({"model":"demo","provider":)" + std::string(provider) + "}");
    EXPECT_EQ(passed_, nullptr) << provider;
    EXPECT_EQ(wire->said().status, 400u) << provider;
  }
  const std::string id(64, '0');
  chat(R"({"provider":{"aci_verified":false,"aci_session_ids":[")" + id + R"("]}})");
  EXPECT_EQ(passed_, nullptr);
  chat(R"({"provider":{"aci_verified":true,"order":["a"]}})");
  EXPECT_NE(passed_, nullptr);
}

TEST_F(AciTest, SessionsThatAreNotPinnedDoNotServe) {
  const std::string id = get("/v1/aci/sessions")->json()["sessions"][0]["session_id"];
  const std::string mine = R"({"model":"demo","provider":{"aci_session_ids":[")" + id + R"("]}})";
  chat(mine);
  EXPECT_NE(passed_, nullptr);
  sessions_.push_back(a_session(false, 8));
  const auto wire = chat(mine);
  EXPECT_EQ(passed_, nullptr);
  wire->wait();
  EXPECT_EQ(wire->said().status, 412u);
  EXPECT_EQ(wire->json()["error"]["type"], "session_not_accepted");
  EXPECT_EQ(get("/v1/aci/receipts/" + wire->header("x-receipt-id"))->said().status, 200u);
}

TEST_F(AciTest, AnAnswerOfAnotherSessionThanPinnedIsNotGiven) {
  const std::string id = get("/v1/aci/sessions")->json()["sessions"][0]["session_id"];
  const auto wire = chat(R"({"model":"demo","provider":{"aci_session_ids":[")" + id + R"("]}})");
  ASSERT_NE(passed_, nullptr);
  session_ = a_session(false, 8);  // the worker was replaced meanwhile
  const Hash request = forward(1);
  EXPECT_FALSE(passed_->begin_stream(200, with_ids({request})));
  EXPECT_EQ(wire->said().status, 500u);
}

TEST_F(AciTest, OtherRequestsPassAndAreOnlyDressed) {
  const auto wire = send("GET", "/v1/models");
  ASSERT_NE(passed_, nullptr);
  passed_->respond({.status = 200, .headers = {{"X-Receipt-Id", "kept"}}, .body = "x"});
  EXPECT_EQ(wire->header("x-receipt-id"), "kept");
  EXPECT_EQ(wire->header("x-aci-version"), "aci/1");
}

TEST(AciOutside, AGatewayWithoutATeeSaysSo) {
  const auto wire = std::make_shared<Wire>(net::Request{.method = "GET",
                                                        .target = "",
                                                        .path = "/v1/aci/attestation",
                                                        .query = {},
                                                        .headers = {},
                                                        .body = {},
                                                        .peer = {}});
  EXPECT_TRUE(refuse_aci(wire));
  EXPECT_EQ(wire->said().status, 503u);
  EXPECT_EQ(wire->json()["error"]["code"], "no_tee");
  const auto other = std::make_shared<Wire>(net::Request{.method = "GET",
                                                         .target = "",
                                                         .path = "/v1/models",
                                                         .query = {},
                                                         .headers = {},
                                                         .body = {},
                                                         .peer = {}});
  EXPECT_FALSE(refuse_aci(other));
}

}  // namespace
}  // namespace otr::service
