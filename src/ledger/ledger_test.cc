// Accounts, payment, registries and encodings of the ledger, good and bad.
#include <gtest/gtest.h>

#include "ledger/invariants.h"
#include "ledger/test_fixture.h"
#include "protocol/eip712.h"

namespace otr::ledger {
namespace {

class LedgerTest : public WorldTest {
 protected:
  // Posts and finalises a batch of `count` claims, answering every draw.
  PostedBatch final_batch(std::uint32_t count, std::uint64_t counter) {
    PostedBatch batch = world.make_batch(world.session[kOperator], count, counter);
    EXPECT_TRUE(world.post(kOperator, batch, world.session[kOperator], 100)) << world.message;
    for (int i = 0; i < 2; ++i) {
      world.pass(1000);
      EXPECT_TRUE(world.reveal()) << world.message;
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      world.must(kOperator, AnswerDraw{batch.number, i, batch.hashes[i], batch.path(i), 2, {}});
    }
    world.pass(5000);
    world.must(kFisherman, Finalise{batch.number});
    return batch;
  }
  Body settle(const PostedBatch& batch, std::uint32_t i) {
    return Settle{batch.number,
                  i,
                  batch.claims[i],
                  batch.path(i),
                  batch.requests[i],
                  key_of(kClient).sign(protocol::digest_of(batch.requests[i], world.state.id)),
                  key_of(kSessionKey).sign(batch.hashes[i])};
  }
  Body voucher(std::uint64_t through, std::uint64_t cumulative, std::uint8_t signer = kClient) {
    const Hash words =
        protocol::StructHasher(
            "Voucher(address operator,uint64 epoch,uint64 through,uint64 cumulative)")
            .address(address_of(kOperator))
            .number(self().epoch)
            .number(through)
            .number(cumulative)
            .finish();
    return Redeem{address_of(kClient), through, cumulative,
                  key_of(signer).sign(protocol::signing_digest(world.state.id, words))};
  }
};

TEST_F(LedgerTest, NoncesFeesAndSignatures) {
  const std::uint64_t before = balance(kClient), burned = world.state.burned;
  const Transaction sent = world.make(kClient, Transfer{address_of(kFisherman), 10});
  EXPECT_TRUE(world.apply_bytes(encode(sent)));
  EXPECT_EQ(balance(kClient), before - 11);
  EXPECT_EQ(world.state.burned, burned + 1);
  EXPECT_FALSE(world.apply_bytes(encode(sent))) << "a replay";
  EXPECT_EQ(world.code, "NONCE");
  Transaction forged = world.make(kClient, Transfer{address_of(kFisherman), 10});
  std::get<Transfer>(forged.body).amount = 11;
  EXPECT_FALSE(world.apply_bytes(encode(forged)));
  EXPECT_EQ(world.code, "NO_ACCOUNT") << "another key comes out";
  forged.signature[64] = 3;
  EXPECT_FALSE(world.apply_bytes(encode(forged)));
  EXPECT_EQ(world.code, "TX_SIGNATURE");
  refused(kNobody, Withdraw{1}, "NO_ACCOUNT");
  Transaction elsewhere = world.make(kClient, Withdraw{1});
  sign(elsewhere, Hash{1}, key_of(kClient));
  EXPECT_FALSE(world.apply_bytes(encode(elsewhere))) << "signed for another ledger";
  refused(kClient, Transfer{address_of(kFisherman), balance(kClient)}, "INSUFFICIENT");
  refused(kClient, Transfer{{}, 1}, "BAD_AMOUNT");
  refused(kClient, Mint{address_of(kClient), 1}, "NOT_ALLOWED");
  refused(kIssuer, Mint{address_of(kClient), kMaxSupply}, "BAD_AMOUNT");
  world.must(kClient, Transfer{address_of(kClient), balance(kClient) - 1});
  EXPECT_EQ(balance(kClient), before - 11 - 1) << "to itself only the fee is lost";
}

TEST_F(LedgerTest, StakesUnbondSlowlyAndOnlyWhereFree) {
  PostedBatch batch = world.make_batch(world.session[kOperator], 4, 0);
  // One claim of value v reserves v * 10^12 / (500000 * 50000) = 40 v.
  ASSERT_TRUE(world.post(kOperator, batch, world.session[kOperator], 1000));
  EXPECT_EQ(self().reserved, 4u * 40'000);
  refused(kOperator, Unstake{10'000'000 - 160'000 + 1}, "INSUFFICIENT");
  world.must(kOperator, Unstake{10'000'000 - 160'000});
  refused(kOperator, Release{}, "TOO_EARLY");
  EXPECT_EQ(v_max(world.state.parameters[0], self().stake), 4000u) << "beta * S * p";
  PostedBatch more = world.make_batch(world.session[kOperator], 1, 9);
  EXPECT_FALSE(world.post(kOperator, more, world.session[kOperator], 1));
  EXPECT_EQ(world.code, "STAKE_TOO_LOW");
  world.pass(world.state.parameters[0].unbond);
  world.must(kOperator, Release{});
  refused(kOperator, Release{}, "BAD_STATE");
  refused(kFisherman, Unstake{1}, "UNKNOWN");
}

TEST_F(LedgerTest, VouchersPayOnceAndOnlyForFinalBatches) {
  const PostedBatch batch = final_batch(3, 0);
  PostedBatch open = world.make_batch(world.session[kOperator], 1, 10);
  ASSERT_TRUE(world.post(kOperator, open, world.session[kOperator]));
  refused(kOperator, voucher(open.number, 50), "TOO_EARLY");
  refused(kOperator, voucher(batch.number, 50, kOther), "VOUCHER_SIGNATURE");
  const std::uint64_t before = balance(kOperator);
  world.must(kOperator, voucher(batch.number, 50));
  EXPECT_EQ(balance(kOperator), before + 50 - 1);
  refused(kOperator, voucher(batch.number, 50), "BAD_AMOUNT");
  refused(kOperator, voucher(batch.number, 49), "BAD_AMOUNT");
  refused(kOperator, voucher(batch.number, 2'000'000), "INSUFFICIENT");
  refused(kOperator, settle(batch, 1), "BAD_STATE");
  world.must(kOperator, voucher(batch.number, 70));
  EXPECT_EQ(balance(kOperator), before + 70 - 2 - 0) << "two fees, and only the difference";
}

TEST_F(LedgerTest, SettlePaysAttestedTokensOnce) {
  const PostedBatch batch = final_batch(3, 0);
  const std::uint64_t before = balance(kOperator);
  world.must(kFisherman, settle(batch, 1));
  EXPECT_EQ(balance(kOperator), before + 3 * 2 + 4 * 10);
  refused(kFisherman, settle(batch, 1), "EXISTS");
  Settle wrong = std::get<Settle>(settle(batch, 2));
  wrong.claim.out_count = 5;
  refused(kFisherman, wrong, "PATH_INVALID");
  wrong = std::get<Settle>(settle(batch, 2));
  wrong.request.price = protocol::uint256(1);
  refused(kFisherman, wrong, "REQUEST_HASH_MISMATCH");
  wrong = std::get<Settle>(settle(batch, 2));
  wrong.request_signature = key_of(kOther).sign(Hash{1});
  refused(kFisherman, wrong, "REQUEST_SIGNATURE");
  wrong.index = 3;
  refused(kFisherman, wrong, "UNKNOWN");
  // The same request in a second batch is not paid twice.
  const PostedBatch again = final_batch(3, 0);
  refused(kFisherman, settle(again, 1), "EXISTS");
  const auto& records = world.state.attributions;
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records.begin()->second.output_tokens, 4u);
  EXPECT_EQ(records.begin()->second.final_claims, 6u);
  EXPECT_EQ(records.begin()->second.amount, 46u);
}

TEST_F(LedgerTest, ChannelsCloseSlowlyOrAtOnceAfterASlash) {
  refused(kClient, Refund{address_of(kOperator)}, "TOO_EARLY");
  world.must(kClient, Close{address_of(kOperator)});
  refused(kClient, Deposit{address_of(kOperator), 1}, "BAD_STATE");
  refused(kClient, Close{address_of(kOperator)}, "BAD_STATE");
  world.pass(world.state.parameters[0].close);
  world.must(kClient, Refund{address_of(kOperator)});
  refused(kFisherman, Refund{address_of(kOperator)}, "UNKNOWN");
}

TEST_F(LedgerTest, SessionsAreSignedAndRegisteredOnce) {
  RegisterSession body{.evidence = {1}};
  body.session = world.state.sessions.at(world.session[kOperator]).session;
  refused(kOperator, body, "EXISTS");
  refused(kOther, body, "NOT_ALLOWED");
  body.session.key = address_of(99);
  refused(kOperator, body, "SESSION_SIGNATURE");
  protocol::Session good = body.session;
  body.session.expiry = UINT64_MAX;
  refused(kOperator, body, "SESSION_INVALID");
  body.session = good;
  body.session.key = address_of(kOperator);
  refused(kOperator, body, "SESSION_INVALID");
  body.session = good;
  body.session.spec_hash = {1};
  refused(kOperator, body, "SPEC_MISMATCH");
  body.session = good;
  body.session.model_root = {1};
  refused(kOperator, body, "UNKNOWN");
  body.session = good;
  body.output_tariff = 101;
  refused(kOperator, body, "BAD_AMOUNT");
  refused(kFisherman, RevokeSession{world.session[kOperator]}, "NOT_ALLOWED");
  world.must(kOperator, RevokeSession{world.session[kOperator]});
  world.must(kAuditor, RevokeSession{world.session[kOperator]});
  refused(kAuditor, RevokeSession{world.session[kOperator]}, "BAD_STATE");
  PostedBatch batch = world.make_batch(world.session[kOperator], 1, 0);
  EXPECT_FALSE(world.post(kOperator, batch, world.session[kOperator]));
  EXPECT_EQ(world.code, "SESSION_REVOKED");
}

TEST_F(LedgerTest, ModelsAreRegisteredByTheirRoot) {
  RegisterModel body{.root = world.model};
  refused(kOther, body, "EXISTS");
  body.root = {1};
  body.config = Bytes{'{', '}'};
  refused(kOther, body, "MALFORMED");
  body.config = world.state.models.at(world.model).config;
  body.token_bytes = world.state.models.at(world.model).token_bytes;
  refused(kOther, body, "PATH_INVALID");
  refused(kOther, VoidModel{.root = {1}}, "UNKNOWN");
  refused(kOther, VoidModel{.root = world.model, .tensor = 1, .tile = UINT64_MAX}, "PATH_INVALID");
  refused(kOther, VoidModel{.root = world.model, .tensor = 1'000'000}, "PATH_INVALID");
}

TEST_F(LedgerTest, ParametersChangeLaterAndNeverForWhatIsPosted) {
  Parameters changed = world.state.parameters[0];
  changed.max_count = 2;
  refused(kClient, ScheduleParameters{changed}, "NOT_ALLOWED");
  changed.burn_ppm = 100'000;
  refused(kGovernor, ScheduleParameters{changed}, "BAD_PARAMETERS");
  changed.burn_ppm = 500'000;
  changed.unbond = 1;
  refused(kGovernor, ScheduleParameters{changed}, "BAD_PARAMETERS");
  changed.unbond = world.state.parameters[0].unbond;
  world.must(kGovernor, ScheduleParameters{changed});
  PostedBatch first = world.make_batch(world.session[kOperator], 3, 0);
  ASSERT_TRUE(world.post(kOperator, first, world.session[kOperator]));
  world.pass(changed.unbond);
  PostedBatch second = world.make_batch(world.session[kOperator], 3, 0);
  EXPECT_FALSE(world.post(kOperator, second, world.session[kOperator]));
  EXPECT_EQ(world.code, "BAD_AMOUNT");
  second = world.make_batch(world.session[kOperator], 2, 0);
  ASSERT_TRUE(world.post(kOperator, second, world.session[kOperator])) << world.message;
  EXPECT_EQ(world.state.batches.at(first.number).snapshot, 0u);
  EXPECT_EQ(world.state.batches.at(second.number).snapshot, 1u);
}

TEST_F(LedgerTest, CheckpointsAreOfExactlyThisState) {
  refused(kClient, Checkpoint{world.state.height, world.state.tip, digest_of(world.state)},
          "NOT_ALLOWED");
  refused(kSequencer, Checkpoint{world.state.height, world.state.tip, {}}, "CHECKPOINT_MISMATCH");
  EXPECT_TRUE(world.checkpoint());
  EXPECT_EQ(world.state.checkpoint_count, 1u);
}

TEST_F(LedgerTest, ReplayGivesTheSameDigest) {
  final_batch(3, 0);
  State replay = genesis_state(world.genesis).value();
  for (const auto& [time, bytes] : world.log) ASSERT_TRUE(apply(replay, bytes, time));
  EXPECT_EQ(digest_of(replay), digest_of(world.state));
  EXPECT_EQ(replay.tip, world.state.tip);
}

TEST_F(LedgerTest, TimeNeverFalls) {
  const std::uint64_t time = world.state.time;
  world.now = 0;
  world.must(kClient, Withdraw{1});
  EXPECT_EQ(world.state.time, time);
}

TEST(Transactions, HaveOneEncoding) {
  Transaction made;
  made.nonce = 7;
  made.body = Transfer{address_of(kClient), 9};
  EXPECT_EQ(type_of(made), "Transfer(uint64 nonce,address to,uint64 amount)");
  const Bytes good = encode(made);
  ASSERT_TRUE(decode_transaction(good));
  EXPECT_EQ(encode(*decode_transaction(good)), good);
  for (std::size_t size = 0; size < good.size(); ++size) {
    const auto cut = decode_transaction(ByteView(good).first(size));
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code, "MALFORMED");
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(decode_transaction(longer).error().code, "MALFORMED");
  for (const int kind : {0, 35, 255}) {
    Bytes other = good;
    other[0] = static_cast<std::uint8_t>(kind);
    EXPECT_EQ(decode_transaction(other).error().code, "MALFORMED");
  }
  EXPECT_EQ(decode_transaction(Bytes(kMaxTransactionBytes + 1)).error().code, "LIMIT_EXCEEDED");
  made.body = ForceAnswer{.path = {}};
  Bytes list = encode(made);
  // The count of the path stands before the signature: a length that no bytes follow.
  list[list.size() - 69] = 0xFF;
  list[list.size() - 66] = 0xFF;
  EXPECT_EQ(decode_transaction(list).error().code, "MALFORMED");
}

TEST(Transactions, EveryKindComesBack) {
  World world(artifact());
  for (const auto& [time, bytes] : world.log) {
    const auto decoded = decode_transaction(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(encode(*decoded), bytes);
    EXPECT_EQ(to_json(*decoded)["kind"], name_of(decoded->body));
  }
  Transaction sessions;
  sessions.body =
      Challenge{.batch = 1, .claim = {}, .path = {Hash{1}}, .request = world.request(3)};
  const Bytes bytes = encode(sessions);
  EXPECT_EQ(encode(decode_transaction(bytes).value()), bytes);
}

TEST(Parameters, AreBounded) {
  EXPECT_TRUE(check(example_parameters(true), true));
  EXPECT_TRUE(check(example_parameters(false), false));
  EXPECT_FALSE(check(example_parameters(true), false)) << "short windows are for trials";
  Parameters bad = example_parameters(true);
  bad.reporter_ppm = 500'001;
  EXPECT_EQ(check(bad, true).error().code, "BAD_PARAMETERS");
  bad = example_parameters(true);
  bad.window = UINT64_MAX;
  EXPECT_FALSE(check(bad, true));
}

TEST(Parameters, SplitsSumToTheWhole) {
  const Parameters parameters = example_parameters(true);
  for (const std::uint64_t amount : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{999'999},
                                     std::uint64_t{12'345'677}, kMaxSupply}) {
    const Split split = split_of(parameters, amount);
    EXPECT_EQ(split.burned + split.reporter + split.client, amount);
    EXPECT_GE(split.burned, amount / 2) << "the burned share alone deters";
  }
  EXPECT_EQ(reserve_of(parameters, 1), 40u);
  Parameters weak = parameters;
  weak.detection_ppm = 1;
  weak.burn_ppm = 200'000;
  EXPECT_EQ(reserve_of(weak, kMaxValue), std::nullopt) << "beyond all money";
  EXPECT_EQ(challenge_bond(parameters, 4), 2 * parameters.challenge_bond);
}

TEST(Genesis, IsChecked) {
  World world(artifact());
  Bytes bytes = world.genesis;
  EXPECT_TRUE(genesis_state(bytes));
  bytes.pop_back();
  EXPECT_EQ(genesis_state(bytes).error().code, "MALFORMED");
  Genesis genesis = decode_genesis(world.genesis).value();
  genesis.quorum = 4;
  EXPECT_EQ(genesis_state(encode(genesis)).error().code, "BAD_PARAMETERS");
  genesis.quorum = 2;
  genesis.checkers[1] = genesis.checkers[0];
  EXPECT_EQ(genesis_state(encode(genesis)).error().code, "BAD_PARAMETERS");
}

TEST(Invariants, SeeWhatIsBroken) {
  World world(artifact());
  State broken = world.state;
  broken.accounts[address_of(kClient)].balance += 1;
  EXPECT_EQ(check_invariants(broken).error().code, "INV-1");
  broken = world.state;
  broken.operators[address_of(kOperator)].reserved = 1;
  EXPECT_EQ(check_invariants(broken).error().code, "INV-2");
  broken = world.state;
  broken.time -= 1;
  EXPECT_EQ(check_invariants(world.state, broken).error().code, "INV-4");
  broken = world.state;
  broken.parameters[0].window += 1;
  EXPECT_EQ(check_invariants(world.state, broken).error().code, "INV-7");
  State revoked = world.state;
  revoked.sessions.begin()->second.revoked_at = 5;
  EXPECT_EQ(check_invariants(revoked, world.state).error().code, "INV-3");
}

}  // namespace
}  // namespace otr::ledger
