// Documents in JSON, as services and tools of vendors and providers write them. A document is
// walked from its root; an object of a known shape is taken as a whole, and any other one part by
// part, so that a wrapper nobody has seen before hides no evidence.
#include <algorithm>
#include <array>

#include "attest/bundle_kind.h"
#include "attest/bundle_sort.h"
#include "attest/composite.h"
#include "attest/encoding.h"

namespace otr::attest {
namespace {

// Shorter texts are names, numbers and nonces, never evidence.
constexpr std::size_t kMinEvidenceText = 128;

// Members that hold evidence by their name, so that one which cannot be read is an error.
constexpr std::array<std::string_view, 10> kEvidenceNames = {"quote",
                                                             "report",
                                                             "intel_quote",
                                                             "tdx_quote",
                                                             "evidence",
                                                             "rim",
                                                             "attestation_report",
                                                             "sgx_quote",
                                                             "snp_report",
                                                             "attestationReport"};

const std::string* text_of(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : found->get_ptr<const std::string*>();
}

const std::string* text_of(const Json& object, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (const std::string* text = text_of(object, key)) return text;
  }
  return nullptr;
}

// ["JWT", "eyJ…"] and an object of tokens: a detached EAT of NRAS.
bool is_detached_eat(const Json& value) {
  return value.is_array() && value.size() == 2 && value[0].is_array() && value[0].size() == 2 &&
         value[0][0] == "JWT" && value[1].is_object();
}

// TCG events as dstack writes them.
bool is_event_log(const Json& value) {
  return value.is_array() && !value.empty() && value[0].is_object() && value[0].contains("imr") &&
         value[0].contains("digest");
}

bool is_key_set(const Json& object) {
  const auto keys = object.find("keys");
  return keys != object.end() && keys->is_array() && !keys->empty() && keys->front().is_object() &&
         keys->front().contains("kty");
}

// What a verification service found, as plain claims: {"GPU-0": {"measres": …}} or the inner part.
bool is_claims(const Json& object) {
  const auto is_claim = [](const Json& one) {
    return one.is_object() && (one.contains("measres") || one.contains("x-nvidia-gpu-arch-check") ||
                               one.contains("x-nvidia-overall-att-result"));
  };
  return is_claim(object) || (!object.empty() && std::ranges::all_of(object, is_claim));
}

Error at(const std::string& name, std::string_view why) {
  return {ErrorKind::kBadInput, name + " " + std::string(why), "MALFORMED"};
}

}  // namespace

Status Sorter::add_once(std::string& to, std::string text, const std::string& name,
                        std::string_view what) {
  if (!to.empty() && to != text) {
    return fail(ErrorKind::kBadInput,
                name + " is a second " + std::string(what) +
                    ", different from the first; give the one that the verdict is to rest on",
                "MALFORMED");
  }
  to = std::move(text);
  return {};
}

Result<bool> Sorter::add_value(const std::string& name, const Written& value, unsigned depth) {
  if (is_detached_eat(*value.value)) {
    bundle_.nras_tokens.push_back({name, Bytes(value.text.begin(), value.text.end())});
    return true;
  }
  if (is_event_log(*value.value)) {
    bundle_.event_logs.push_back({name, Bytes(value.text.begin(), value.text.end())});
    return true;
  }
  if (value.value->is_object()) return add_object(name, value, depth);
  return add_parts(name, value, depth);
}

Result<bool> Sorter::add_object(const std::string& name, const Written& object, unsigned depth) {
  const Json& value = *object.value;
  if (const std::string* evidence = text_of(value, "evidence");
      evidence != nullptr && evidence->size() >= kMinEvidenceText) {
    const auto bytes = decode_text(*evidence);
    if (bytes && form_of(*bytes) == Form::kGpu) return add_gpu(name, value);
  }
  if (is_key_set(value)) {
    OTR_TRY(add_once(bundle_.jwks, std::string(object.text), name, "key set"));
    return true;
  }
  OTR_TRY_ASSIGN(const bool intel, add_intel(name, object));
  OTR_TRY_ASSIGN(const bool binding, add_binding(name, object));
  OTR_TRY_ASSIGN(const bool parts, add_parts(name, object, depth));
  if (intel || binding || parts) return true;
  saw_claims_ = saw_claims_ || is_claims(value);
  return false;
}

Result<bool> Sorter::add_parts(const std::string& name, const Written& value, unsigned depth) {
  bool taken = false;
  std::size_t i = 0;
  for (const auto& [key, part] : value.parts()) {
    const std::string inner = key.empty()
                                  ? name + "[" + std::to_string(i) + "]"
                                  : name + (depth == 0 ? ": " : ".") + one_line(key.substr(0, 60));
    ++i;
    Result<bool> one = false;
    if (part.value->is_structured()) {
      // Signed Intel documents are taken by add_intel as they are written.
      if (key != "tcbInfo" && key != "enclaveIdentity") one = add_value(inner, part, depth + 1);
    } else if (part.value->is_string()) {
      one = add_string(inner, key, part.value->get_ref<const std::string&>(), depth + 1);
    }
    if (!one) return one;
    taken = taken || *one;
  }
  return taken;
}

Result<bool> Sorter::add_string(const std::string& name, std::string_view key,
                                const std::string& text, unsigned depth) {
  if (text.size() < kMinEvidenceText) return false;
  const Form form = form_of(as_bytes(text));
  // Text inside a document is what its name says; only what is read the same everywhere is taken.
  const bool known_name = std::ranges::find(kEvidenceNames, key) != kEvidenceNames.end();
  if (form == Form::kUnknown) return false;
  auto taken = add_text(name, text, depth);
  if (known_name && taken && !*taken) {
    return std::unexpected(at(name, "is no evidence in hexadecimal or base64"));
  }
  // A certificate or text of somebody else's beside the evidence.
  if (!known_name && !taken && (form == Form::kPem || form == Form::kText)) return false;
  if (!known_name && !taken && form == Form::kJson) {
    return taken.error().code == "UNSUPPORTED" ? taken : Result<bool>(false);
  }
  return taken;
}

Result<bool> Sorter::add_gpu(const std::string& name, const Json& object) {
  GpuItem gpu{.name = name};
  gpu.report = *decode_text(*text_of(object, "evidence"));
  if (object.contains("nonce")) {
    const std::string* nonce = text_of(object, "nonce");
    gpu.stated_nonce = nonce == nullptr ? std::optional<Bytes>() : decode_text(*nonce);
    if (!gpu.stated_nonce) return std::unexpected(at(name + ".nonce", "is no hexadecimal text"));
  }
  if (const std::string* text = text_of(object, {"certificate", "cert_chain", "certificates"})) {
    const auto bytes = decode_text(*text);
    auto chain = Certificate::from_pem(bytes ? as_text(*bytes) : std::string_view(*text));
    if (!chain) return std::unexpected(at(name + ".certificate", chain.error().message));
    gpu.chain = std::move(*chain);
  }
  bundle_.gpus.push_back(std::move(gpu));
  return true;
}

// Bodies of Intel's service {"tcbInfo":{…},"signature":"…"} as they are, and the objects of PCCS
// clients, in which the signed text is a string beside its signature.
Result<bool> Sorter::add_intel(const std::string& name, const Written& object) {
  struct Shape {
    std::string_view wrapped, loose, signature, what;
    std::string DcapCollateral::* to;
  };
  static constexpr std::array<Shape, 2> kShapes = {
      Shape{"tcbInfo", "tcb_info", "tcb_info_signature", "TCB info", &DcapCollateral::tcb_info},
      Shape{"enclaveIdentity", "qe_identity", "qe_identity_signature", "QE identity",
            &DcapCollateral::qe_identity}};
  const Json& value = *object.value;
  bool taken = false;
  for (const Shape& shape : kShapes) {
    const std::string* signature = text_of(value, {shape.signature, "signature"});
    std::string text;
    for (const auto& [key, part] : object.parts()) {
      if (key != shape.wrapped && key != shape.loose) continue;
      if (part.value->is_object()) text = part.text;
      if (part.value->is_string()) text = part.value->get<std::string>();
    }
    if (text.empty()) continue;
    if (signature == nullptr) {
      return std::unexpected(at(name, "holds a " + std::string(shape.what) +
                                          " without its signature, which is worth nothing"));
    }
    if (!from_plain_hex(*signature)) {
      return std::unexpected(at(
          name, "has a signature of the " + std::string(shape.what) + " that is not hexadecimal"));
    }
    OTR_TRY(add_once(bundle_.dcap.*shape.to,
                     "{\"" + std::string(shape.wrapped) + "\":" + text + ",\"signature\":\"" +
                         *signature + "\"}",
                     name, shape.what));
    taken = true;
  }
  return taken;
}

Result<bool> Sorter::add_binding(const std::string& name, const Written& object) {
  const Json& value = *object.value;
  const std::string* format = text_of(value, "format");
  if (format == nullptr || *format != kTinfoilV3 || !value.contains("report_data")) return false;
  if (bundle_.binding) {
    return std::unexpected(at(name, "is a second document that binds CPU and GPU evidence"));
  }
  Binding binding{.format = *format, .report_data = value["report_data"]};
  for (const auto& [key, part] : object.parts()) {
    if (key == "gpu") binding.gpu_evidence_text = part.text;
    if (key == "nvswitch") binding.switch_evidence_text = part.text;
  }
  bundle_.binding = std::move(binding);
  return true;
}

}  // namespace otr::attest
