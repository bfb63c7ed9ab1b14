// Decimal strings, typed words and the ranges of a request.
#include "protocol/request.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "protocol/eip712.h"
#include "protocol/toy_receipt.h"

namespace otr::protocol {
namespace {

TEST(Decimal, OneSpellingUpToItsWidth) {
  const std::string greatest =
      "115792089237316195423570985008687907853269984665640564039457584007913129639935";
  Uint256 ones;
  ones.fill(0xFF);
  EXPECT_EQ(parse_uint256(greatest), ones);
  EXPECT_EQ(to_decimal(ones), greatest);
  EXPECT_FALSE(parse_uint256(
      "115792089237316195423570985008687907853269984665640564039457584007913129639936"));
  EXPECT_FALSE(parse_uint256(
      "999999999999999999999999999999999999999999999999999999999999999999999999999999"));
  EXPECT_EQ(to_decimal(Uint256{}), "0");
  EXPECT_EQ(parse_uint256("0"), Uint256{});
  EXPECT_EQ(to_decimal(uint256(1000)), "1000");
  EXPECT_EQ(parse_uint64("18446744073709551615"), 18446744073709551615u);
  EXPECT_FALSE(parse_uint64("18446744073709551616"));
  for (const char* text : {"", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "a"}) {
    EXPECT_FALSE(parse_uint256(text)) << text;
    EXPECT_FALSE(parse_uint64(text)) << text;
  }
}

TEST(StructHasher, PutsEachMemberInOneWord) {
  // The words by hand: type hash, then 1 as uint8, -2 as int32.
  const Hash by_words = StructHasher("T(uint8 a,int32 b)")
                            .word(uint256(1))
                            .word(hash_from_hex("0xffffffffffffffffffffffffffffffffffffffff"
                                                "fffffffffffffffffffffffe",
                                                "word")
                                      .value())
                            .finish();
  EXPECT_EQ(StructHasher("T(uint8 a,int32 b)").number(std::uint8_t{1}).number(-2).finish(),
            by_words);
}

struct RangeCase {
  const char* name;
  void (*change)(Request&);
};

TEST(Request, RangesThatNeedNoModel) {
  const Request good = toy_receipt().request.request;
  ASSERT_TRUE(check_ranges(good));
  const std::vector<RangeCase> bad = {
      {"empty prompt", [](Request& r) { r.prompt_count = 0; }},
      {"max_tokens", [](Request& r) { r.max_tokens = 0; }},
      {"inv_t", [](Request& r) { r.sampling.inv_t = (1 << 24) + 1; }},
      {"top_p low", [](Request& r) { r.sampling.top_p = 0; }},
      {"top_p high", [](Request& r) { r.sampling.top_p = 65537; }},
      {"min_p", [](Request& r) { r.sampling.min_p = 65537; }},
      {"presence high", [](Request& r) { r.sampling.presence = (1 << 20) + 1; }},
      {"presence low", [](Request& r) { r.sampling.presence = INT32_MIN; }},
      {"frequency", [](Request& r) { r.sampling.frequency = -(1 << 20) - 1; }},
      {"mode", [](Request& r) { r.mode = 2; }},
      {"five stops", [](Request& r) { r.stop = {"a", "b", "c", "d", "e"}; }},
      {"empty stop", [](Request& r) { r.stop = {""}; }},
      {"long stop", [](Request& r) { r.stop = {std::string(65, 'a')}; }},
      {"stop twice", [](Request& r) { r.stop = {"a", "a"}; }},
      {"stop order", [](Request& r) { r.stop = {"b", "a"}; }},
      {"stop order of high bytes", [](Request& r) { r.stop = {"\xC3\xA9", "z"}; }},
  };
  for (const RangeCase& one : bad) {
    Request request = good;
    one.change(request);
    const Status status = check_ranges(request);
    ASSERT_FALSE(status) << one.name;
    EXPECT_EQ(status.error().code, "REQUEST_INVALID") << one.name;
  }
}

TEST(Request, RangesAtTheirEnds) {
  Request request = toy_receipt().request.request;
  request.sampling.inv_t = 1 << 24;
  request.sampling.top_p = 1;
  request.sampling.min_p = 65536;
  request.sampling.presence = 1 << 20;
  request.sampling.frequency = -(1 << 20);
  request.stop = {"a", std::string(64, 'b'), "z", "\xC3\xA9"};
  EXPECT_TRUE(check_ranges(request));
}

TEST(Request, RangesThatNeedTheModel) {
  const machine::Shape shape = toy_model().model.shape;
  const Receipt receipt = toy_receipt();
  const Request good = receipt.request.request;
  ASSERT_TRUE(check_ranges_of_model(good, receipt.prompt_ids, shape));
  Request request = good;
  request.prompt_count = shape.context;
  EXPECT_FALSE(check_ranges_of_model(request, receipt.prompt_ids, shape));
  request = good;
  request.max_tokens = shape.context + 1;
  EXPECT_FALSE(check_ranges_of_model(request, receipt.prompt_ids, shape));
  request = good;
  request.sampling.top_k = shape.vocabulary + 1;
  EXPECT_FALSE(check_ranges_of_model(request, receipt.prompt_ids, shape));
  EXPECT_FALSE(check_ranges_of_model(good, std::vector<std::uint32_t>{8}, shape));
}

TEST(Request, AWorkerChecksAllOfIt) {
  const machine::Shape shape = toy_model().model.shape;
  const Receipt good = toy_receipt();
  const auto code = [&](const Receipt& receipt, const Hash& model_root = kToyModelRoot) {
    const Status status =
        check_request(receipt.request, receipt.ledger, receipt.prompt_ids, shape, model_root);
    return status ? std::string("valid") : status.error().code;
  };
  EXPECT_EQ(code(good), "valid");
  EXPECT_EQ(code(good, Hash{}), "MODEL_ROOT_MISMATCH");
  Receipt receipt = good;
  receipt.ledger[0] ^= 1;
  EXPECT_EQ(code(receipt), "REQUEST_SIGNATURE");
  receipt = good;
  receipt.prompt_ids[0] = 2;
  EXPECT_EQ(code(receipt), "PROMPT_ROOT_MISMATCH");
  receipt = good;
  receipt.prompt_ids.pop_back();
  EXPECT_EQ(code(receipt), "REQUEST_INVALID");
  receipt = good;
  --receipt.request.request.counter;
  EXPECT_EQ(code(receipt), "TASK_ID_MISMATCH");
}

}  // namespace
}  // namespace otr::protocol
