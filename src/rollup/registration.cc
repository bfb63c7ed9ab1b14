#include "rollup/registration.h"

#include <algorithm>
#include <string>

#include "crypto/sha256.h"
#include "merkle/tree.h"
#include "model/config.h"

namespace otr::rollup {

ledger::RegisterModel register_model(const model::Artifact& artifact, Tariff highest,
                                     bool weights_published) {
  const std::string config = model::encode_config(artifact.config());
  merkle::Tree list;  // SPEC MODEL-6
  list.append(crypto::sha256({as_bytes("OTR.conf"), as_bytes(config)}));
  list.append(crypto::sha256({as_bytes("OTR.toks"), as_bytes(artifact.tokenizer())}));
  list.append(crypto::sha256({as_bytes("OTR.tmpl"), as_bytes(artifact.chat_template())}));
  for (const model::Tensor& tensor : artifact.tensors()) list.append(tensor.root);
  const ByteView tokens = artifact.tensors().back().data;  // tokens.bytes
  merkle::Tree tiles;
  merkle::append_rows(tiles, merkle::Kind::kModelTensor, merkle::Type::kU8, tokens.size(), tokens);
  const ByteView tile = tokens.first(std::min<std::size_t>(512, tokens.size()));
  ledger::RegisterModel body{.root = artifact.root(),
                             .config = Bytes(config.begin(), config.end()),
                             .token_bytes = tokens.size(),
                             .config_path = list.open_range(0, 1),
                             .token_tile = Bytes(tile.begin(), tile.end()),
                             .token_path = tiles.open_range(0, 1),
                             .list_path = list.open_range(list.size() - 1, list.size()),
                             .max_prompt_tariff = highest.prompt,
                             .max_output_tariff = highest.output};
  body.weights_published = weights_published ? 1 : 0;
  return body;
}

ledger::RegisterSession register_session(const protocol::SessionDocument& document, Tariff tariff) {
  return {.session = document.session,
          .evidence = protocol::evidence_hash(document),
          .signature = document.signature,
          .prompt_tariff = tariff.prompt,
          .output_tariff = tariff.output};
}

bool can_post(const ledger::State& state, const Hash& session, std::uint64_t now) {
  const auto found = state.sessions.find(session);
  if (found == state.sessions.end()) return false;
  const ledger::SessionEntry& entry = found->second;
  const auto stake = state.operators.find(entry.session.operator_address);
  const ledger::Parameters& parameters = ledger::parameters_at(state, now);
  const std::uint64_t last = ledger::end_of(state, entry) + parameters.post + parameters.force;
  return stake != state.operators.end() && entry.epoch == stake->second.epoch &&
         ledger::revoked_at(state, entry) == 0 && now >= entry.session.not_before * 1000 &&
         now <= last;
}

}  // namespace otr::rollup
