#include "attest/report.h"

#include <algorithm>
#include <array>
#include <utility>

#include "attest/encoding.h"

namespace otr::attest {
namespace {

std::string_view name_of(Stage stage) {
  constexpr std::array<std::string_view, 3> kNames = {"parse", "verify", "appraise"};
  return kNames[std::to_underlying(stage)];
}

std::string_view name_of(Outcome outcome) {
  constexpr std::array<std::string_view, 4> kNames = {"pass", "fail", "not checked",
                                                      "not applicable"};
  return kNames[std::to_underlying(outcome)];
}

// The check that keeps this from being accepted.
const Check* obstacle(const std::vector<Check>& checks) {
  if (const Check* failed = first_failure(checks)) return failed;
  const auto open = std::ranges::find(checks, Outcome::kNotChecked, &Check::outcome);
  return open == checks.end() ? nullptr : &*open;
}

std::string value_text(const Json& value) {
  if (value.is_string()) return one_line(value.get_ref<const std::string&>());
  if (value.is_array() && value.empty()) return "none";
  std::string text;
  if (value.is_array()) {
    for (const Json& one : value) text += (text.empty() ? "" : ", ") + value_text(one);
    return text;
  }
  if (value.is_object()) {
    for (const auto& [name, one] : value.items()) {
      text += (text.empty() ? "" : ", ") + one_line(name) + " " + value_text(one);
    }
    return text;
  }
  return value.dump();  // a number, true, false or null
}

bool is_long_hex(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  return text.size() > 40 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

std::string shortened(std::string_view key, const Json& value) {
  if (key == "ueid") return value_text(value);  // as a policy lists it
  if (!value.is_string() || !is_long_hex(value.get_ref<const std::string&>())) {
    return value_text(value);
  }
  const auto& text = value.get_ref<const std::string&>();
  if (text.find_first_not_of("0x") == text.npos) return "all zero";
  return text.substr(0, 18) + "…" + text.substr(text.size() - 8);
}

// The facts worth a line in a short verdict, in order, as their owners name them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 33> kShown = {{
    {"product", "product"},
    {"model", "model"},
    {"tcb_status", "TCB status"},
    {"tcb_date", "TCB date"},
    {"advisories", "advisories"},
    {"evaluation_number", "evaluation number"},
    {"reported_tcb", "reported TCB"},
    {"driver_version", "driver"},
    {"vbios_version", "VBIOS"},
    {"bios_version", "BIOS"},
    {"mode", "mode"},
    {"mrtd", "MRTD"},
    {"rtmr0", "RTMR0"},
    {"rtmr1", "RTMR1"},
    {"rtmr2", "RTMR2"},
    {"rtmr3", "RTMR3"},
    {"mrenclave", "MRENCLAVE"},
    {"mrsigner", "MRSIGNER"},
    {"measurement", "measurement"},
    {"vmpl", "VMPL"},
    {"module_id", "module"},
    {"report_data", "report data"},
    {"user_data", "user data"},
    {"nonce", "nonce"},
    {"pck.ppid", "PPID"},
    {"pck.fmspc", "FMSPC"},
    {"chip", "chip"},
    {"ueid", "device (ueid)"},
    {"root_sha256", "root"},
    {"made", "made"},
    {"certificate_valid", "certificate"},
    {"collateral.expires", "collateral until"},
    {"warnings", "warning"},
}};

// "pck.fmspc": a member of a member.
const Json* find_fact(const Json& facts, std::string_view key) {
  const std::size_t dot = key.find('.');
  const auto fact = facts.is_object() ? facts.find(key.substr(0, dot)) : facts.end();
  if (!facts.is_object() || fact == facts.end()) return nullptr;
  return dot == key.npos ? &*fact : find_fact(*fact, key.substr(dot + 1));
}

std::string padded(std::string_view text, std::size_t width) {
  std::string to(text);
  if (to.size() < width) to.append(width - to.size(), ' ');
  return to;
}

std::string failure_text(const Check& check) {
  if (check.outcome == Outcome::kNotChecked) {
    return "NOT CHECKED: " + check.name + (check.value.empty() ? "" : ": " + check.value);
  }
  const Code code = check.code.value_or(Code::kPolicyRefused);
  return "REFUSED " + std::string(name_of(code)) + " (" + std::to_string(std::to_underlying(code)) +
         "): " + check.name + (check.value.empty() ? "" : ": " + check.value) +
         "\n    what to do: " + std::string(advice(code));
}

// What else failed, by name: the first reason alone may hide the one that matters to a reader.
std::string others(const std::vector<Check>& checks, const Check* first) {
  std::string text;
  for (const Check& check : checks) {
    if (check.outcome != Outcome::kFail || &check == first || !check.code) continue;
    text += "    also refused " + std::string(name_of(*check.code)) + ": " + check.name + "\n";
  }
  return text;
}

std::string check_lines(const std::vector<Check>& checks) {
  std::string text;
  for (const Check& check : checks) {
    constexpr std::array<std::string_view, 4> kWords = {"PASS", "FAIL", "NOT CHECKED", "n/a"};
    text += "  " + padded(kWords[std::to_underlying(check.outcome)], 4) + "  " +
            padded(name_of(check.stage), 8) + "  " + check.name;
    if (check.code) text += " [" + std::string(name_of(*check.code)) + "]";
    if (!check.value.empty()) text += ": " + check.value;
    text += "\n";
  }
  return text;
}

// Why accepted evidence of this kind is no statement of hardware.
std::string_view why_no_hardware(Kind kind) {
  return kind == Kind::kNrasToken
             ? "NOT hardware: it is the word of NVIDIA's service about a device, signed by the "
               "service; the device's own report is not in it"
             : "NOT hardware";
}

std::string verdict_text(const Verdict& verdict, const std::string& name, bool explain) {
  std::string text = std::string(name_of(verdict.kind)) + " (" + one_line(name) + "): ";
  if (verdict.accepted()) {
    text += "ACCEPTED; " +
            (verdict.hardware ? "assurance " + verdict.assurance
                              : std::string(why_no_hardware(verdict.kind))) +
            "\n";
  } else if (const Check* check = obstacle(verdict.checks)) {
    text += failure_text(*check) + "\n";
    text += others(verdict.checks, check);
  }
  for (const auto& [key, label] : kShown) {
    const Json* fact = find_fact(verdict.facts, key);
    if (fact == nullptr || fact->is_null()) continue;
    text += "    " + padded(label, 18) + " " + shortened(key, *fact) + "\n";
  }
  if (explain) text += check_lines(verdict.checks);
  return text;
}

// The word in front of every line, so that no line can be quoted without it.
std::string marked(const std::string& text) {
  std::string to;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1);
    const std::string line = text.substr(at, end + 1 - at);
    to += (line.find("SIMULATED") == line.npos ? "SIMULATED " : "") + line;
    at = end + 1;
  }
  return to;
}

std::string headline(const Appraisal& appraisal, const Policy& policy, Time at) {
  const bool accepted = appraisal.accepted();
  const bool simulated = std::ranges::find(appraisal.verdicts, Kind::kSimulated, &Verdict::kind) !=
                         appraisal.verdicts.end();
  const std::size_t count = appraisal.verdicts.size();
  return std::string(accepted ? "ACCEPTED" : "REFUSED") +
         (simulated ? ", SIMULATED: no hardware vouches for this" : "") + " (" +
         std::to_string(count) + (count == 1 ? " piece" : " pieces") + " of evidence, policy '" +
         one_line(policy.name) + "', judged as of " + to_text(at) + ")\n";
}

Json check_json(const Check& check) {
  Json json = {{"stage", name_of(check.stage)},
               {"name", check.name},
               {"outcome", name_of(check.outcome)},
               {"value", check.value}};
  if (check.code) {
    json["code"] = name_of(*check.code);
    json["code_number"] = std::to_underlying(*check.code);
  }
  return json;
}

Json checks_json(const std::vector<Check>& checks) {
  Json json = Json::array();
  for (const Check& check : checks) json.push_back(check_json(check));
  return json;
}

}  // namespace

std::string to_text(const Appraisal& appraisal, const Policy& policy, Time at, bool explain) {
  std::string text = headline(appraisal, policy, at);
  for (std::size_t i = 0; i < appraisal.verdicts.size(); ++i) {
    const Verdict& verdict = appraisal.verdicts[i];
    const std::string one = verdict_text(verdict, appraisal.names[i], explain);
    text += verdict.kind == Kind::kSimulated ? marked(one) : one;
  }
  for (const Check& check : appraisal.composite) {
    if (check.outcome == Outcome::kFail) text += "the whole: " + failure_text(check) + "\n";
    if (check.outcome == Outcome::kNotApplicable && !explain) {
      text += "note: " + check.name + ": " + check.value + "\n";
    }
  }
  if (explain && !appraisal.composite.empty()) {
    text += "the whole:\n" + check_lines(appraisal.composite);
  }
  if (!appraisal.facts.empty()) text += facts_text(appraisal.facts, "    ");
  for (const std::string& open : appraisal.not_proven) {
    text += "NOT proven: " + one_line(open) + "\n";
  }
  return text;
}

Json to_json(const Appraisal& appraisal, const Policy& policy, Time at) {
  Json verdicts = Json::array();
  for (std::size_t i = 0; i < appraisal.verdicts.size(); ++i) {
    const Verdict& verdict = appraisal.verdicts[i];
    Json json = {{"kind", name_of(verdict.kind)},  {"name", one_line(appraisal.names[i])},
                 {"accepted", verdict.accepted()}, {"hardware", verdict.hardware},
                 {"assurance", verdict.assurance}, {"checks", checks_json(verdict.checks)},
                 {"facts", verdict.facts}};
    const Check* check = verdict.accepted() ? nullptr : obstacle(verdict.checks);
    if (check != nullptr) json["reason"] = check_json(*check);
    verdicts.push_back(std::move(json));
  }
  Json json = {{"accepted", appraisal.accepted()},
               {"hardware", appraisal.hardware()},
               {"policy", policy.name},
               {"at", to_text(at)},
               {"verdicts", std::move(verdicts)},
               {"composite", checks_json(appraisal.composite)},
               {"facts", appraisal.facts},
               {"not_proven", appraisal.not_proven}};
  const Check* check = appraisal.failure();
  if (check != nullptr) json["reason"] = check_json(*check);
  return json;
}

std::string facts_text(const Json& facts, std::string_view indent) {
  std::string text;
  const std::string deeper = std::string(indent) + "  ";
  const auto fits_line = [](const Json& object) {
    return object.size() <= 3 && std::ranges::none_of(object, &Json::is_structured);
  };
  for (const auto& [name, value] : facts.items()) {
    text += std::string(indent) + one_line(name) + ":";
    const bool is_list = value.is_array() && !value.empty() && value.front().is_object();
    if (value.is_object() && !value.empty()) {
      text += "\n" + facts_text(value, deeper);
    } else if (is_list) {
      text += "\n";
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (!value[i].is_object() || fits_line(value[i])) {
          text += deeper + value_text(value[i]) + "\n";
        } else {
          text += deeper + "[" + std::to_string(i) + "]\n" + facts_text(value[i], deeper + "  ");
        }
      }
    } else {
      text += " " + value_text(value) + "\n";
    }
  }
  return text;
}

}  // namespace otr::attest
