// otr prove: a proof that a receipt's answer is what its model computes.
#include <algorithm>
#include <cstdio>

#include "apps/command.h"
#include "base/hex.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/signal.h"
#include "node/proof.h"
#include "protocol/receipt.h"

namespace otr::apps {
namespace {

struct ProveFlags {
  std::string receipt, model, output, beacon;
  unsigned threads = default_threads();
  double memory_gb = 0;  // 0: no bound
  bool json = false;
};

// The options that flags give; nothing is read for a wrong one.
Result<node::ProveOptions> options_of(const ProveFlags& flags) {
  node::ProveOptions options{.threads = flags.threads};
  OTR_TRY_ASSIGN(options.beacon, parse_beacon(flags.beacon));
  if (!(flags.memory_gb >= 0 && flags.memory_gb <= 1e6)) {
    return fail(ErrorKind::kUsage, "--memory-gb must be a number of gigabytes above 0");
  }
  if (flags.memory_gb > 0) {
    options.memory_bytes = static_cast<std::uint64_t>(flags.memory_gb * 1e9);
  }
  OTR_TRY(check_can_write("--output", flags.output));
  OTR_TRY(check_is_other("--output", flags.output, flags.receipt));
  OTR_TRY(check_is_other("--output", flags.output, flags.model));
  return options;
}

Result<Bytes> make_proof(const ProveFlags& flags, node::ProveOptions options) {
  OTR_TRY_ASSIGN(const Bytes receipt, env::read_file(flags.receipt, protocol::kMaxReceiptBytes));
  if (node::looks_like_proof(receipt)) {
    return fail(ErrorKind::kUsage, flags.receipt + " is a proof already (check it: otr verify " +
                                       flags.receipt + " --model " + flags.model +
                                       "); name the receipt");
  }
  OTR_TRY_ASSIGN(const model::Artifact artifact, load_model(flags.model));
  Progress progress("proving");
  options.on_stage = [&](std::string_view stage, int permille) {
    progress.begin_stage(stage, static_cast<std::uint64_t>(permille), 1000);
    return Status();
  };
  env::exit_on_interrupt(kInconclusive, "\notr: stopped; no proof was written\n");
  if (env::interrupted()) return fail(ErrorKind::kCancelled, "stopped; no proof was written");
  auto proof = node::prove_receipt(as_text(receipt), artifact, options);
  env::install_interrupt_flag();  // from here on a file is written whole or not at all
  return proof;
}

Result<int> prove(const ProveFlags& flags) {
  OTR_TRY_ASSIGN(const node::ProveOptions options, options_of(flags));
  const std::int64_t begin = env::monotonic_ns();
  OTR_TRY_ASSIGN(const Bytes proof, make_proof(flags, options));
  const std::int64_t milliseconds = (env::monotonic_ns() - begin) / 1'000'000;
  OTR_TRY(env::write_file_atomically(flags.output, proof, 0644));
  if (flags.json) {
    const Json result = {
        {"proof", flags.output}, {"bytes", proof.size()}, {"milliseconds", milliseconds}};
    OTR_TRY(print(result.dump() + "\n"));
  } else {
    OTR_TRY(print("Proof: " + flags.output + ", " + std::to_string(proof.size()) +
                  " bytes, made in " + std::to_string(milliseconds) +
                  " ms  (check it: otr verify " + flags.output + " --model " + flags.model +
                  ")\n"));
  }
  return kOk;
}

}  // namespace

Result<Hash> parse_beacon(const std::string& text) {
  if (text.empty()) return Hash{};
  auto hash = hash_from_hex(text, "--beacon");
  if (!hash) hash.error().kind = ErrorKind::kUsage;
  return hash;
}

void add_prove(CLI::App& app, Run& run) {
  auto flags = std::make_shared<ProveFlags>();
  CLI::App* command =
      app.add_subcommand("prove", "Prove that a receipt's answer is what its model computes");
  command->add_option("receipt", flags->receipt, "Receipt that otr ask --receipt wrote")
      ->required()
      ->type_name("FILE");
  command->add_option("-m,--model", flags->model, "The model that answered")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command->add_option("-o,--output", flags->output, "Where the proof goes")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--beacon", flags->beacon,
                   "Value that the proof is bound to, drawn after the claim (default: zero)")
      ->type_name("HEX");
  command->add_option("--threads", flags->threads, "Threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command
      ->add_option("--memory-gb", flags->memory_gb,
                   "Refuse a proof that would take more memory, in 10^9 bytes; 0 is no bound")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = prove(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps
