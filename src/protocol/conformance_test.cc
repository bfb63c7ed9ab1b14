// The vectors of the SPEC chapters ENC, REQ, CLAIM and RCPT.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

#include "base/canonical_json.h"
#include "base/hex.h"
#include "crypto/keccak256.h"
#include "machine/tables.h"
#include "model/artifact.h"
#include "protocol/eip712.h"
#include "protocol/verify.h"
#include "text/utf8.h"

namespace otr::protocol {
namespace {

Json cases_of(const std::string& name) {
  std::ifstream file(OTR_SOURCE_DIR "/spec/vectors/" + name);
  EXPECT_TRUE(file) << "spec/vectors/" << name << " is missing";
  Json cases = file ? Json::parse(file)["cases"] : Json::array();
  EXPECT_FALSE(cases.empty()) << name;
  return cases;
}

std::string text_of(const Json& hex) {
  const std::string digits = hex.get<std::string>();
  return std::string(as_text(from_hex(digits, digits.size() / 2 - 1, "bytes").value()));
}

Hash hash_of(const Json& hex) { return hash_from_hex(hex.get<std::string>(), "hash").value(); }

// Runs every case of a file: `answer` gives the output for an input, or {"reject": code}.
void run(const std::string& file, Json (*answer)(const std::string& rule, const Json& in)) {
  for (const Json& one : cases_of(file)) {
    SCOPED_TRACE(one["name"]);
    const Json& rules = one["rule"];
    Json got = answer(rules.is_array() ? rules[0] : rules, one["in"]);
    // The answer of a rule that another module owns.
    if (got == Json({{"reject", "left to the engine"}})) got["reject"] = one["reject"];
    if (one.contains("out")) {
      EXPECT_EQ(got, one["out"]);
    } else if (one.contains("wrong")) {
      EXPECT_NE(got, one["wrong"]);
    } else {
      EXPECT_EQ(got, Json({{"reject", one.at("reject")}})) << one["in"];
    }
  }
}

TEST(Conformance, EveryVectorOfEncodings) {
  run("encoding.json", [](const std::string& rule, const Json& in) -> Json {
    if (rule == "ENC-5") {
      return {{"text", to_hex(as_bytes(text::utf8_lossy(text_of(in["bytes"]))))}};
    }
    const Result<Json> value = parse_canonical_json(text_of(in["json"]), "vector");
    if (!value) return {{"reject", value.error().code}};
    return {{"canonical", to_hex(as_bytes(dump_canonical_json(*value, "vector").value()))}};
  });
}

// A request as the vectors write it: the words of REQ-2 without those of the receipt around them.
Request request_of(const Json& in) {
  Json full = in;
  full.erase("prompt_count");
  full["client"] = to_hex(crypto::Address{});
  full["counter"] = "0";
  full["signature"] = to_hex(crypto::Signature{});
  return decode_request(full, "request", in["prompt_count"]).value().request;
}

Claim claim_of(const Json& in) {
  return {.request_hash = hash_of(in["request_hash"]),
          .trace_root = hash_of(in["trace_root"]),
          .prompt_count = in["prompt_count"],
          .out_count = in["out_count"],
          .finish_reason = in["finish_reason"],
          .session = hash_of(in["session"]),
          .checkpoint = parse_uint64(in["checkpoint"].get<std::string>()).value(),
          .checkpoint_hash = hash_of(in["checkpoint_hash"])};
}

Json signed_words(const Hash& hash, const Hash& digest) {
  return {{"struct_hash", to_hex(hash)}, {"digest", to_hex(digest)}};
}

Json domain(const Json& in) {
  if (in.contains("bytes")) {
    return {{"keccak256", to_hex(crypto::keccak256(as_bytes(text_of(in["bytes"]))))}};
  }
  const Hash ledger = hash_of(in["ledger"]);
  if (!in.contains("struct_hash")) return {{"domain_separator", to_hex(domain_separator(ledger))}};
  return {{"digest", to_hex(signing_digest(ledger, hash_of(in["struct_hash"])))}};
}

Json ranges(const Json& in) {
  machine::Shape shape;
  shape.context = in["context"];
  shape.vocabulary = in["vocabulary"];
  const Request request = request_of(in["request"]);
  const std::vector<std::uint32_t> ids = in["prompt_ids"];
  Status status = check_ranges(request);
  if (status) status = check_ranges_of_model(request, ids, shape);
  return status ? Json::object() : Json({{"reject", status.error().code}});
}

Json signature(const Json& in) {
  const Hash digest = hash_of(in["digest"]);
  if (in.contains("private_key")) {
    const auto key = crypto::PrivateKey::from_bytes(hash_of(in["private_key"])).value();
    return {{"address", to_hex(key.address())}, {"signature", to_hex(key.sign(digest))}};
  }
  const std::string bytes = text_of(in["signature"]);
  const Result<crypto::Address> signer = crypto::recover(digest, as_bytes(bytes));
  // The code is that of the signed object, which the vectors take to be a request.
  if (!signer) return {{"reject", "REQUEST_SIGNATURE"}};
  return {{"address", to_hex(*signer)}};
}

Json request_answer(const std::string& rule, const Json& in) {
  if (rule == "REQ-1") return domain(in);
  if (rule == "REQ-3") {
    const Bytes client = from_hex(in["client"].get<std::string>(), 20, "client").value();
    crypto::Address address;
    std::ranges::copy(client, address.begin());
    return {{"task_id",
             to_hex(task_id(address, parse_uint64(in["counter"].get<std::string>()).value()))}};
  }
  if (rule == "REQ-4") {
    const std::vector<std::uint32_t> ids = in["ids"];
    return {{"root", to_hex(trace::token_root(ids))}};
  }
  if (rule == "REQ-5") return ranges(in);
  if (rule == "REQ-6") return signature(in);
  if (rule == "REQ-7") {
    Json seeds = Json::array();
    for (std::uint32_t i = 0; i < in["count"]; ++i) {
      seeds.push_back(to_hex(seed_of_answer(hash_of(in["seed"]), i)));
    }
    return {{"seeds", seeds}};
  }
  const Hash ledger = hash_of(in["ledger"]);
  if (rule == "REQ-2") {
    const Request request = request_of(in["request"]);
    return signed_words(struct_hash(request), digest_of(request, ledger));
  }
  if (rule == "CLAIM-1") {
    const Claim claim = claim_of(in["claim"]);
    return signed_words(struct_hash(claim), digest_of(claim, ledger));
  }
  const Hash claim_hash = hash_of(in["claim_hash"]);
  return signed_words(countersignature_struct_hash(claim_hash),
                      countersignature_digest(claim_hash, ledger));
}

Json session_answer(const std::string& rule, const Json& in) {
  if (rule == "SESS-2") {
    return {{"digest",
             to_hex(registration_digest(session_from_json(in["document"], "vector").value()))}};
  }
  if (rule == "SESS-5" || rule == "SESS-6") {
    const auto document = decode_session(in["document"].get<std::string>());
    if (!document) return {{"reject", document.error().code}};
    const Status status = check_session(*document, machine::kSpecHash);
    return status ? Json::object() : Json({{"reject", status.error().code}});
  }
  const Hash ledger = hash_of(in["ledger"]);
  const Json whole = {{"evidence", {{{"data", "AA=="}, {"name", ""}}}},
                      {"format", "otr-session/1"},
                      {"ledger", in["ledger"]},
                      {"nonce", to_hex(Hash{})},
                      {"session", in["session"]},
                      {"signature", to_hex(crypto::Signature{})}};
  const Session session = session_from_json(whole, "vector").value().session;
  if (rule == "SESS-1") {
    return {{"struct_hash", to_hex(struct_hash(session))},
            {"id", to_hex(session_id(session, ledger))}};
  }
  return {{"report_data", to_hex(report_data(session_id(session, ledger), hash_of(in["nonce"])))},
          {"gpu_nonce", to_hex(gpu_nonce(session, ledger, in["gpu"]))}};
}

TEST(Conformance, EveryVectorOfSessions) { run("session.json", session_answer); }

TEST(Conformance, EveryVectorOfRequestsAndClaims) { run("request.json", request_answer); }

const model::Artifact& artifact(const std::string& name) {
  static std::map<std::string, model::Artifact> artifacts;
  const auto found = artifacts.find(name);
  if (found != artifacts.end()) return found->second;
  std::ifstream file(OTR_SOURCE_DIR "/spec/vectors/" + name, std::ios::binary);
  Bytes bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return artifacts.emplace(name, model::parse_artifact(std::move(bytes)).value()).first->second;
}

// RCPT-4 is the engine's; here its cases must pass everything before it.
Json receipt_answer(const std::string& rule, const Json& in) {
  std::string text =
      in.contains("receipt_hex") ? text_of(in["receipt_hex"]) : in["receipt"].get<std::string>();
  if (in.contains("append")) {
    text.append(in["append"]["times"], static_cast<char>(in["append"]["byte"].get<int>()));
  }
  const OpenedReceipt opened = open_receipt(text, machine::kSpecHash);
  if (opened.report.failure()) return {{"reject", name_of(*opened.report.reject())}};
  if (in["model"].is_null()) return Json::object();
  const model::Artifact& model = artifact(in["model"]);
  const Report report = check_with_model(*opened.receipt, model.view(), model.root());
  if (report.failure()) return {{"reject", name_of(*report.reject())}};
  return rule == "RCPT-4" ? Json({{"reject", "left to the engine"}}) : Json::object();
}

TEST(Conformance, EveryVectorOfReceipts) { run("receipt.json", receipt_answer); }

}  // namespace
}  // namespace otr::protocol
