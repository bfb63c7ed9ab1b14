// What the scenes of otr demo share, and the scene that fills a file of its own.
#ifndef OTR_APPS_DEMO_PLAY_H_
#define OTR_APPS_DEMO_PLAY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/stage.h"
#include "protocol/receipt.h"
#include "rollup/posted.h"
#include "sim/liar.h"

namespace otr::apps {

inline constexpr std::uint64_t kPatienceMs = 120'000;

[[nodiscard]] std::string with_commas(std::uint64_t number);
[[nodiscard]] std::string seconds(std::uint64_t ms);
[[nodiscard]] std::string short_text(const std::string& text);
// A line of the story.
Status line(const std::string& label, const std::string& text);

// What they stand on.
struct Play {
  Stage& stage;
  const StageModel& big;
  const StageModel& small;
  std::vector<std::uint32_t> prompt_ids;
  std::uint32_t max_tokens = 0;
  std::uint64_t next_counter = 1;
  protocol::Receipt honest = {};
  std::optional<Hash> beacon = {};  // that the proof of the honest answer is bound to

  protocol::SignedRequest request();
  [[nodiscard]] std::uint32_t another_token(std::uint32_t id) const {
    return (id + 1) % big.artifact.view().shape.vocabulary;
  }
  Status keep(const protocol::Receipt& receipt, const std::string& name) const;
  // The receipt with the session that signed it, whose evidence everybody can appraise.
  static protocol::Receipt attested(protocol::Receipt receipt, const StageOperator& by);
  // What a client checks before it counts an answer: tier 1. Says how long that takes, or the
  // refusal; an error where it is not as expected.
  [[nodiscard]] Result<std::string> tier_one(const protocol::Receipt& receipt,
                                             bool is_refused) const;
  // Nothing before it is posted.
  static std::optional<rollup::Posted> posted(const StageOperator& by,
                                              const protocol::Receipt& receipt);
  // Waits for it, and leaves beside the receipt where it stands.
  [[nodiscard]] Result<rollup::Posted> wait_for_post(const StageOperator& by,
                                                     const protocol::Receipt& receipt,
                                                     const std::string& name) const;
  Status hand_over(StageOperator& to, const protocol::Receipt& receipt) const;
  [[nodiscard]] std::uint64_t balance(const crypto::Address& of) const {
    return stage.state().accounts.at(of).balance;
  }
  [[nodiscard]] std::uint64_t stake(const StageOperator& of) const {
    return stage.state().operators.at(of.address).stake;
  }
};

// A claim that is false on purpose: `lie` as output token `at`, defended by `defence` where it must
// be. The last scene: the stage is not to be stepped afterwards.
Status canary_scene(Play& play, sim::LiarsDefence& defence, std::uint32_t at, std::uint32_t lie);

}  // namespace otr::apps

#endif  // OTR_APPS_DEMO_PLAY_H_
