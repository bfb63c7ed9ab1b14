// otr worker: answers signed requests inside a TEE, for gateways.
#include <map>

#include "apps/command.h"
#include "apps/serve.h"
#include "base/hex.h"

namespace otr::apps {
namespace {

Result<int> worker(const WorkerFlags& flags, const std::string& model) {
  OTR_TRY_ASSIGN(model::Artifact artifact, load_model(model));
  const engine::PackedModel packed = pack(artifact, flags.threads);
  OTR_TRY_ASSIGN(const auto running, start_worker(flags, artifact, packed));
  const auto enclave = running->sessions->live().front();
  const protocol::Session& session = enclave->document().session;
  std::string text =
      std::string("worker    ") + (flags.tls_certificate.empty() ? "http://" : "https://") +
      parse_listen("--listen", flags.listen)->address + ":" +
      std::to_string(running->server->port()) + "\nmodel     " + to_hex(session.model_root) +
      "\nsession   " + to_hex(enclave->id()) + "\noperator  " + to_hex(session.operator_address) +
      "\nevidence  " + std::string(running->tee->kind()) +
      (running->tee->hardware() ? "" : ": SIMULATED TEE - NO SECURITY") + "\n";
  OTR_TRY(print(text));
  wait_for_interrupt();
  return kOk;
}

}  // namespace

void add_worker_options(CLI::App& command, WorkerFlags& flags) {
  command
      .add_option(
          "--tee", flags.tee,
          "Whose evidence binds the session: auto (what this machine has), tdx, sev-snp, or "
          "simulated, which protects nothing and which clients refuse unless told otherwise")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "tdx", "sev-snp", "simulated"}));
  command
      .add_option("--collateral", flags.collateral,
                  "Vendors' collateral to staple to the session, so that it can be checked offline")
      ->type_name("FILE");
  command
      .add_option("--lifetime", flags.lifetime_seconds,
                  "How long a session lasts; the next one begins at 3/4 of it")
      ->type_name("TIME")
      ->default_str("24h")
      ->transform(CLI::AsNumberWithUnit(
          std::map<std::string, std::uint64_t>{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}},
          CLI::AsNumberWithUnit::UNIT_REQUIRED, "TIME"));
  command.add_option("--kv-memory", flags.kv_mebibytes, "MiB of memory for keys and values")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command.add_option("--max-running", flags.max_sequences, "Answers computed together, at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 128));
  command.add_option("--max-waiting", flags.max_waiting, "Answers accepted beyond those")
      ->capture_default_str()
      ->check(CLI::Range(0, 100000));
  command.add_option("--threads", flags.threads, "Threads of the engine")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
}

void add_worker(CLI::App& app, Run& run) {
  struct Flags : WorkerFlags {
    std::string model, ledger_id;
  };
  auto flags = std::make_shared<Flags>();
  flags->threads = default_threads();
  flags->listen = "127.0.0.1:8181";
  CLI::App* command = app.add_subcommand(
      "worker", "Answer signed requests inside a TEE; clients reach it through a gateway");
  command->add_option("-m,--model", flags->model, "Model artifact (otr model import makes one)")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command->add_option("--listen", flags->listen, "Address and port")->capture_default_str();
  command
      ->add_option("--operator", flags->operator_address,
                   "Address of the operator whose gateway countersigns (default: of the key in the "
                   "home folder)")
      ->type_name("0x…");
  command
      ->add_option("--ledger-id", flags->ledger_id,
                   "The ledger on which its answers are to stand (otr operator; default: none)")
      ->type_name("0x…");
  command->add_option("--home", flags->home, "Folder of the keys and of the simulated TEE")
      ->type_name("DIR");
  command
      ->add_option("--tls-certificate", flags->tls_certificate,
                   "Serve https to the gateway: chain in PEM")
      ->type_name("FILE");
  command->add_option("--tls-key", flags->tls_key, "Its key in PEM")->type_name("FILE");
  add_worker_options(*command, *flags);
  command->callback([flags, &run] {
    run = [flags] {
      if (!flags->ledger_id.empty()) {
        const auto id = hash_from_hex(flags->ledger_id, "--ledger-id");
        if (!id) return report({ErrorKind::kUsage, id.error().message});
        flags->ledger = *id;
      }
      const Result<int> code = worker(*flags, flags->model);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps
