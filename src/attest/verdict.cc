#include "attest/verdict.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "attest/encoding.h"

namespace otr::attest {
namespace {

// Days from 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant, "chrono-compatible
// low-level date algorithms").
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + static_cast<std::int64_t>(day_of_era) - 719468;
}

struct Date {
  std::int64_t year;
  unsigned month, day;
};

Date civil_from_days(std::int64_t days) {
  days += 719468;
  const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146097);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted = (5 * day_of_year + 2) / 153;  // months from March
  const unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0), month,
          day_of_year - (153 * shifted + 2) / 5 + 1};
}

// The digits of a fixed place in a date; nothing if one is none.
std::optional<unsigned> digits(std::string_view text, std::size_t at, std::size_t count) {
  unsigned value = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value;
}

std::optional<Time> parse_date(std::string_view text) {
  const bool with_time = text.size() == 20;
  if (text.size() != 10 && !with_time) return std::nullopt;
  if (text[4] != '-' || text[7] != '-') return std::nullopt;
  if (with_time && (text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z')) {
    return std::nullopt;
  }
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  const auto hour = with_time ? digits(text, 11, 2) : 0,
             minute = with_time ? digits(text, 14, 2) : 0,
             second = with_time ? digits(text, 17, 2) : 0;
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (*month < 1 || *month > 12 || *day < 1 || *hour > 23 || *minute > 59 || *second > 59) {
    return std::nullopt;
  }
  const std::int64_t days = days_from_civil(*year, *month, *day);
  const Date back = civil_from_days(days);  // 30 February is another day
  if (back.month != *month || back.day != *day) return std::nullopt;
  return days * 86400 + *hour * 3600 + *minute * 60 + *second;
}

}  // namespace

std::string to_text(Time time) {
  const std::int64_t days = (time >= 0 ? time : time - 86399) / 86400;
  const std::int64_t second = time - days * 86400;
  const Date date = civil_from_days(days);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%04lld-%02u-%02uT%02d:%02d:%02dZ",
                static_cast<long long>(date.year), date.month, date.day,
                static_cast<int>(second / 3600), static_cast<int>(second / 60 % 60),
                static_cast<int>(second % 60));
  return text.data();
}

Result<Time> parse_time(std::string_view text) {
  if (const auto date = parse_date(text)) return *date;
  if (!text.empty() && text.size() <= 12) {
    Time seconds = 0;
    bool good = true;
    for (const char c : text) {
      good = good && c >= '0' && c <= '9';
      seconds = seconds * 10 + (c - '0');
    }
    if (good) return seconds;
  }
  return fail(ErrorKind::kUsage, "'" + std::string(text) +
                                     "' is no time; write 2026-03-20T00:00:00Z, 2026-03-20 or the "
                                     "seconds since 1970");
}

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kTdx:
      return "Intel TDX";
    case Kind::kSgx:
      return "Intel SGX";
    case Kind::kSevSnp:
      return "AMD SEV-SNP";
    case Kind::kNvidiaGpu:
      return "NVIDIA GPU";
    case Kind::kNvidiaSwitch:
      return "NVIDIA switch";
    case Kind::kNrasToken:
      return "NVIDIA NRAS token";
    case Kind::kNitro:
      return "AWS Nitro";
    default:
      return "SIMULATED TEE";
  }
}

const Check* first_failure(std::span<const Check> checks) {
  const auto found = std::ranges::find(checks, Outcome::kFail, &Check::outcome);
  if (found == checks.end()) return nullptr;
  const bool may_wait = found->code == Code::kCollateralMissing ||
                        found->code == Code::kRevocationUnknown ||
                        found->code == Code::kTimeInvalid;
  const auto debug = std::ranges::find(checks, Code::kDebug, &Check::code);
  return may_wait && debug != checks.end() ? &*debug : &*found;
}

const Check* Verdict::failure() const { return first_failure(checks); }

bool Verdict::accepted() const {
  bool appraised = false;
  for (const Check& check : checks) {
    if (check.outcome == Outcome::kFail || check.outcome == Outcome::kNotChecked) return false;
    appraised = appraised || (check.stage == Stage::kAppraise && check.outcome == Outcome::kPass);
  }
  return appraised;
}

void Checks::pass(std::string_view name, const std::string& value) {
  verdict_->checks.push_back({.stage = stage_,
                              .name = one_line(name),
                              .outcome = Outcome::kPass,
                              .value = one_line(value)});
}

bool Checks::fail(Code code, std::string_view name, const std::string& value) {
  verdict_->checks.push_back({.stage = stage_,
                              .name = one_line(name),
                              .outcome = Outcome::kFail,
                              .code = code,
                              .value = one_line(value)});
  return false;
}

void Checks::not_checked(std::string_view name, const std::string& why) {
  verdict_->checks.push_back({.stage = stage_, .name = one_line(name), .value = one_line(why)});
}

void Checks::not_applicable(std::string_view name, const std::string& why) {
  verdict_->checks.push_back({.stage = stage_,
                              .name = one_line(name),
                              .outcome = Outcome::kNotApplicable,
                              .value = one_line(why)});
}

bool Checks::require(bool good, Code code, std::string_view name, const std::string& value) {
  if (!good) return fail(code, name, value);
  pass(name, value);
  return true;
}

bool Checks::require(const Status& status, Code code, std::string_view name,
                     const std::string& value) {
  if (!status)
    return fail(code_named(status.error().code).value_or(code), name, status.error().message);
  pass(name, value);
  return true;
}

}  // namespace otr::attest
