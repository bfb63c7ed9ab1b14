// Receipts: one spelling, every check with its own code, and no byte that can be changed unnoticed.
#include "protocol/receipt.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "protocol/toy_receipt.h"
#include "protocol/verify.h"

namespace otr::protocol {
namespace {

// The first failed check of RCPT-2 and then RCPT-3, or "valid".
std::string verdict(std::string_view text) {
  static const ToyModel kToy = toy_model();
  const OpenedReceipt opened = open_receipt(text, kToySpecHash);
  if (opened.report.failure() != nullptr) return std::string(name_of(*opened.report.reject()));
  const Report report = check_with_model(*opened.receipt, kToy.model, kToyModelRoot);
  return report.failure() == nullptr ? "valid" : std::string(name_of(*report.reject()));
}

std::string verdict(const Receipt& receipt) { return verdict(encode_receipt(receipt).value()); }

TEST(Receipt, IsValidAndRoundTrips) {
  const std::string text = encode_receipt(toy_receipt()).value();
  EXPECT_EQ(verdict(text), "valid");
  const Result<Receipt> decoded = decode_receipt(text);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(encode_receipt(*decoded).value(), text);
}

TEST(Receipt, ReportsEveryCheckInOrder) {
  const OpenedReceipt good = open_receipt(encode_receipt(toy_receipt()).value(), kToySpecHash);
  ASSERT_EQ(good.report.checks.size(), 11);
  for (const Check& check : good.report.checks) EXPECT_EQ(check.outcome, Outcome::kPass);
  const OpenedReceipt bad = open_receipt("{", kToySpecHash);
  ASSERT_EQ(bad.report.checks.size(), 11);
  EXPECT_EQ(bad.report.checks[0].outcome, Outcome::kFail);
  EXPECT_EQ(bad.report.checks[10].outcome, Outcome::kNotChecked);
  EXPECT_FALSE(bad.receipt);
}

struct Corruption {
  const char* name;
  const char* code;
  void (*change)(Receipt&);
  // What the forger signs again afterwards.
  void (*sign)(Receipt&) = [](Receipt&) {};
};

void seal_toy(Receipt& receipt) { seal(receipt, toy_model().model.shape); }

// Each code with everything before it in order, as a forger who holds the other keys would do it.
const std::vector<Corruption> kCorruptions = {
    {"spec hash", "SPEC_MISMATCH", [](Receipt& r) { r.spec_hash[3] ^= 1; }, seal_toy},
    {"no prompt", "REQUEST_INVALID", [](Receipt& r) { r.prompt_ids.clear(); }},
    {"unknown mode", "REQUEST_INVALID", [](Receipt& r) { r.request.request.mode = 2; }, seal_toy},
    {"counter", "TASK_ID_MISMATCH", [](Receipt& r) { --r.request.request.counter; }, sign_request},
    {"client", "TASK_ID_MISMATCH", [](Receipt& r) { r.request.request.client[0] ^= 1; }},
    {"prompt id", "PROMPT_ROOT_MISMATCH", [](Receipt& r) { r.prompt_ids[0] = 2; }, sign_request},
    {"price", "REQUEST_SIGNATURE", [](Receipt& r) { r.request.request.price[31] ^= 1; }},
    {"deadline", "REQUEST_SIGNATURE", [](Receipt& r) { ++r.request.request.deadline; }},
    {"ledger", "REQUEST_SIGNATURE", [](Receipt& r) { r.ledger[0] = 1; }},
    {"request's v", "REQUEST_SIGNATURE", [](Receipt& r) { r.request.signature[64] ^= 7; }},
    {"zero signature", "REQUEST_SIGNATURE", [](Receipt& r) { r.request.signature = {}; }},
    {"signed again", "REQUEST_HASH_MISMATCH", [](Receipt& r) { ++r.request.request.deadline; },
     sign_request},
    {"prompt count", "COUNT_MISMATCH", [](Receipt& r) { ++r.claim.prompt_count; }, sign_claim},
    {"out count", "COUNT_MISMATCH", [](Receipt& r) { --r.claim.out_count; }, sign_claim},
    {"output id more", "COUNT_MISMATCH", [](Receipt& r) { r.output_ids.push_back(1); }},
    {"more than asked", "COUNT_MISMATCH",
     [](Receipt& r) { r.output_ids = {1, 1, 1, 1, 1, 1}, seal_toy(r); }},
    {"finish reason", "CLAIM_SIGNATURE", [](Receipt& r) { r.claim.finish_reason = 3; }},
    {"trace root", "CLAIM_SIGNATURE", [](Receipt& r) { r.claim.trace_root[0] ^= 1; }},
    {"signer", "CLAIM_SIGNATURE", [](Receipt& r) { r.signer[19] ^= 1; }},
    {"operator", "COUNTERSIGNATURE", [](Receipt& r) { r.operator_address[19] ^= 1; }},
    {"countersignature", "COUNTERSIGNATURE", [](Receipt& r) { r.countersignature[5] ^= 1; }},
    {"one key for both", "COUNTERSIGNATURE",
     [](Receipt& r) {
       const Hash hash = digest_of(r.claim, r.ledger);
       r.operator_address = r.signer;
       r.countersignature = toy_key(2).sign(countersignature_digest(hash, r.ledger));
     }},
    {"evidence", "EVIDENCE_MISMATCH", [](Receipt& r) { r.evidence_kind = "tdx"; }},
    {"session", "EVIDENCE_MISMATCH", [](Receipt& r) { r.claim.session[0] = 1; }, sign_claim},
    {"checkpoint", "EVIDENCE_MISMATCH", [](Receipt& r) { r.claim.checkpoint = 1; }, sign_claim},
    {"checkpoint hash", "EVIDENCE_MISMATCH", [](Receipt& r) { r.claim.checkpoint_hash[9] = 1; },
     sign_claim},
    {"output id", "TOKEN_PATH_MISMATCH", [](Receipt& r) { r.output_ids[1] = 1; }},
    {"path", "TOKEN_PATH_MISMATCH", [](Receipt& r) { r.trace_path[0][0] ^= 1; }},
    {"longer path", "TOKEN_PATH_MISMATCH", [](Receipt& r) { r.trace_path.emplace_back(); }},
    {"shorter path", "TOKEN_PATH_MISMATCH", [](Receipt& r) { r.trace_path.pop_back(); }},
    {"no path", "TOKEN_PATH_MISMATCH", [](Receipt& r) { r.trace_path.clear(); }},
    {"longest path", "TOKEN_PATH_MISMATCH", [](Receipt& r) { r.trace_path.resize(20); }},
    {"path beyond that", "MALFORMED", [](Receipt& r) { r.trace_path.resize(21); }},
    {"other trace", "TOKEN_PATH_MISMATCH", [](Receipt& r) { r.claim.trace_root[0] ^= 1; },
     sign_claim},
    {"other model", "MODEL_ROOT_MISMATCH", [](Receipt& r) { r.request.request.model_root[0] ^= 1; },
     seal_toy},
    {"id beyond the vocabulary", "REQUEST_INVALID", [](Receipt& r) { r.prompt_ids[0] = 8; },
     seal_toy},
    {"prompt of the context's length", "REQUEST_INVALID",
     [](Receipt& r) { r.prompt_ids.assign(16, 1); }, seal_toy},
    {"top_k", "REQUEST_INVALID", [](Receipt& r) { r.request.request.sampling.top_k = 9; },
     seal_toy},
    {"trace of another shape", "TOKEN_PATH_MISMATCH",
     [](Receipt& r) {
       machine::Shape shape = toy_model().model.shape;
       shape.layers = 1;
       seal(r, shape);
     }},
    {"trace of another shape and the same depth", "TOKEN_PATH_MISMATCH",
     [](Receipt& r) {
       machine::Shape shape = toy_model().model.shape;
       shape.layers = 1;
       shape.kv_heads = 2;
       seal(r, shape);
     }},
    {"prompt text", "TEXT_MISMATCH", [](Receipt& r) { r.prompt_text += 'x'; }},
    {"output text", "TEXT_MISMATCH", [](Receipt& r) { r.output_text.pop_back(); }},
    {"output id beyond the vocabulary", "TEXT_MISMATCH", [](Receipt& r) { r.output_ids[0] = 8; },
     seal_toy},
    {"another reason", "FINISH_MISMATCH", [](Receipt& r) { r.claim.finish_reason = 3; },
     sign_claim},
    {"no reason", "FINISH_MISMATCH", [](Receipt& r) { r.claim.finish_reason = 0; }, sign_claim},
    {"ends too late", "FINISH_MISMATCH",
     [](Receipt& r) { r.output_ids.push_back(1), r.output_text += 'a'; }, seal_toy},
    {"ends too early", "FINISH_MISMATCH",
     [](Receipt& r) { r.output_ids = {1}, r.output_text = "a"; }, seal_toy},
};

TEST(Receipt, EachCorruptionHasItsCode) {
  for (const Corruption& one : kCorruptions) {
    Receipt receipt = toy_receipt();
    one.change(receipt);
    one.sign(receipt);
    EXPECT_EQ(verdict(receipt), one.code) << one.name;
  }
}

TEST(Receipt, NoBitCanFlipUnnoticed) {
  const std::string good = encode_receipt(toy_receipt()).value();
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string text = good;
      text[at] = static_cast<char>(text[at] ^ 1 << bit);
      ASSERT_NE(verdict(text), "valid") << "byte " << at << ", bit " << bit;
    }
  }
}

TEST(Receipt, NoByteCanBeRemovedOrAdded) {
  const std::string good = encode_receipt(toy_receipt()).value();
  for (std::size_t at = 0; at <= good.size(); ++at) {
    for (const char* more : {" ", "0", ",", "\n", "\"", "f"}) {
      ASSERT_NE(verdict(std::string(good).insert(at, more)), "valid") << at << more;
    }
    if (at == good.size()) break;
    ASSERT_NE(verdict(std::string(good).erase(at, 1)), "valid") << at;
    ASSERT_NE(verdict(good.substr(0, at)), "valid") << at;
  }
}

// A valid receipt with one piece of its text replaced, which must occur.
std::string replaced(const std::string& what, const std::string& with) {
  std::string text = encode_receipt(toy_receipt()).value();
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

TEST(Receipt, RefusesOtherForms) {
  const std::string good = encode_receipt(toy_receipt()).value();
  const std::string text = good.substr(0, good.size() - 1);
  EXPECT_EQ(verdict(""), "MALFORMED");
  EXPECT_EQ(verdict("\n"), "MALFORMED");
  EXPECT_EQ(verdict("[]\n"), "MALFORMED");
  EXPECT_EQ(verdict("{}\n"), "MALFORMED");
  EXPECT_EQ(verdict("null\n"), "MALFORMED");
  EXPECT_EQ(verdict(std::string("\0\n", 2)), "MALFORMED");
  EXPECT_EQ(verdict(text), "NOT_CANONICAL");
  EXPECT_EQ(verdict(good + "\n"), "NOT_CANONICAL");
  EXPECT_EQ(verdict(text + "\r\n"), "NOT_CANONICAL");
  EXPECT_EQ(verdict(text + text + "\n"), "MALFORMED");
  EXPECT_EQ(verdict(std::string(100, '[') + "\n"), "NOT_CANONICAL");
  EXPECT_EQ(verdict(std::string(kMaxReceiptBytes + 1, ' ')), "LIMIT_EXCEEDED");
  EXPECT_EQ(verdict(std::string(kMaxReceiptBytes, '[')), "NOT_CANONICAL");
  std::string many = "[0";
  while (many.size() < (std::size_t{4} << 20)) many += ",0";
  EXPECT_EQ(verdict(many + "]\n"), "LIMIT_EXCEEDED");

  const std::string max_tokens = "\"max_tokens\":5";
  for (const char* number : {"1e400", "5.0", "-0", "05", "5e0", "18446744073709551616"}) {
    const std::string code = verdict(replaced(max_tokens, std::string("\"max_tokens\":") + number));
    EXPECT_TRUE(code == "NOT_CANONICAL" || code == "MALFORMED") << number << " " << code;
  }
  for (const char* value :
       {"4294967296", "-1", "\"5\"", "null", "[5]", "true", "18446744073709551615"}) {
    EXPECT_EQ(verdict(replaced(max_tokens, std::string("\"max_tokens\":") + value)), "MALFORMED")
        << value;
  }
  EXPECT_EQ(verdict(replaced(max_tokens, max_tokens + "," + max_tokens)), "NOT_CANONICAL");
  EXPECT_EQ(verdict(replaced(max_tokens + ",", "")), "MALFORMED");
  EXPECT_EQ(verdict(replaced("\"mode\":0", "\"mode\":0,\"model\":1")), "MALFORMED");
  EXPECT_EQ(verdict(replaced("\"mode\":0", "\"mode\":256")), "MALFORMED");
  EXPECT_EQ(verdict(replaced("otr-receipt/1", "otr-receipt/2")), "MALFORMED");
  EXPECT_EQ(verdict(replaced("\"1800000000\"", "\"01800000000\"")), "MALFORMED");
  EXPECT_EQ(verdict(replaced("\"18446744073709551615\"", "\"18446744073709551616\"")), "MALFORMED");
  EXPECT_EQ(verdict(replaced("\"prompt_ids\":[1", "\"prompt_ids\":[-1")), "MALFORMED");
  EXPECT_EQ(verdict(replaced("a b", "a \xFF")), "MALFORMED");
  EXPECT_EQ(verdict(replaced("a b", "a \\u0062")), "NOT_CANONICAL");
}

TEST(Receipt, SaysWhereTheFormIsWrong) {
  const auto message = [](const std::string& text) { return decode_receipt(text).error().message; };
  EXPECT_EQ(message(replaced("\"mode\":0", "\"mode\":256")),
            "receipt.request.mode must be an integer from 0 to 255.");
  EXPECT_EQ(message(replaced("\"evidence\":{\"kind\"", "\"evidence\":{\"sort\"")),
            "receipt.evidence.kind is missing.");
  EXPECT_EQ(message(replaced("\"kind\":", "\"kind\":\"a\",\"sort\":")),
            "receipt.evidence has the member \"sort\", which it must not.");
}

TEST(Receipt, OfNonsenseIsStillChecked) {
  // Called out of order, without the checks before it.
  const ToyModel toy = toy_model();
  const Report report = check_with_model(Receipt(), toy.model, Hash{});
  EXPECT_EQ(report.reject(), Reject::kTokenPathMismatch);
}

TEST(Receipt, IsNotMadeOfTextThatIsNotUtf8) {
  Receipt receipt = toy_receipt();
  receipt.output_text = "\xFF";
  EXPECT_FALSE(encode_receipt(receipt));
}

}  // namespace
}  // namespace otr::protocol
