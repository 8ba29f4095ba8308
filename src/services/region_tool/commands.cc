#include "services/region_tool/commands.h"

#include <algorithm>
#include <ctime>

#include "base/fs.h"
#include "base/printable.h"
#include "limiter/sys/syscall.h"
#include "platform/region/file_users.h"
#include "platform/region/mapped_region.h"
#include "platform/region/verify.h"
#include "services/region_tool/report.h"
#include "services/region_tool/values.h"

namespace hami::region_tool {
namespace {

using region::LimitsPage;
using region::MappedRegion;
using region::PageCard;

std::string ThisBoot() {
  std::string id = RealFileSystem().Read("/proc/sys/kernel/random/boot_id").value_or("");
  std::erase_if(id, [](char c) { return c == '-' || c == '\n'; });
  return id;
}

Result<RegionReport> Examine(const std::string& path, const Outside& outside) {
  TRY_ASSIGN(const MappedRegion region, MappedRegion::Open(path, false));
  RegionReport report{.path = path,
                      .snapshot = region.Look(),
                      .lives = {},
                      .boot_id = ThisBoot(),
                      .unix_seconds = UnixSeconds(outside.clock->Now()),
                      .boot_ns = limiter::sys::NowNs(CLOCK_BOOTTIME)};
  for (const auto& process : report.snapshot.processes) {
    report.lives.push_back(region.LifeOf(process));
  }
  return report;
}

Result<std::string> InspectOne(const std::string& path, bool json, const Outside& outside) {
  TRY_ASSIGN(const bool is_page, region::IsLimitsPage(path));
  if (is_page) {
    TRY_ASSIGN(const LimitsPage page, region::ReadLimits(path));
    return json ? PageJson(path, page) : PageText(path, page);
  }
  TRY_ASSIGN(const RegionReport report, Examine(path, outside));
  return json ? RegionJson(report) : RegionText(report);
}

Result<bool> VerifyOne(const std::string& path, const Outside& outside) {
  TRY_ASSIGN(const bool is_page, region::IsLimitsPage(path));
  std::vector<region::Finding> findings;
  if (is_page) {
    TRY_ASSIGN(const LimitsPage page, region::ReadLimits(path));
    if (page.generation % 2 != 0) {
      findings.push_back({region::Severity::kProblem,
                          "its generation is odd: whoever wrote it last died half-way; set the "
                          "limits again"});
    }
  } else {
    TRY_ASSIGN(const MappedRegion region, MappedRegion::Open(path, false));
    findings = region::Verify(region);
  }
  bool right = true;
  for (const region::Finding& finding : findings) {
    const bool problem = finding.severity == region::Severity::kProblem;
    right = right && !problem;
    outside.out(path + ": " + (problem ? "problem: " : "note: ") + Printable(finding.what) + "\n");
  }
  outside.out(path + ": " + (right ? "right" : "wrong") + "\n");
  return right;
}

// Removes the file of a container that is gone. False: somebody may still need it.
Result<bool> RemoveUnused(const std::string& path, const Outside& outside) {
  TRY_ASSIGN(const std::vector<int> users, region::UsersOf(path));
  if (!users.empty()) {
    outside.out(path + ": kept: process " + std::to_string(users.front()) + " and " +
                std::to_string(users.size() - 1) + " others map it or have its folder mounted\n");
    return false;
  }
  TRY(RealFileSystem().Remove(path));
  outside.out(path + ": removed\n");
  return true;
}

Result<bool> CleanOne(const std::string& path, const Line& line, const Outside& outside) {
  TRY_ASSIGN(MappedRegion region, MappedRegion::Open(path, true));
  if (!region.known_block()) {
    outside.out(path + ": not of this build: its slots are left to whoever made it\n");
  } else {
    const auto cleaned = region.Clean();
    outside.out(path + ": " + std::to_string(cleaned.slots.size()) + " dead processes cleared, " +
                std::to_string(cleaned.totals.size()) + " totals lowered\n");
    if (!cleaned.unknown.empty()) {
      outside.out(path + ": " + std::to_string(cleaned.unknown.size()) +
                  " processes are in a pid namespace that cannot be seen from here; those whose "
                  "lock stays free for 5 s are dead: run clean again\n");
    }
  }
  return line.remove_files ? RemoveUnused(path, outside) : true;
}

// Each card once.
Result<std::vector<PageCard>> ParseCards(const std::vector<std::string>& texts) {
  std::vector<PageCard> cards;
  for (const std::string& text : texts) {
    TRY_ASSIGN(const PageCard card, ParseCard(text));
    const bool known = std::any_of(cards.begin(), cards.end(),
                                   [&](const PageCard& other) { return other.uuid == card.uuid; });
    if (known) return Fail(Usage("--card \"" + text + "\": " + card.uuid + " is named twice"));
    cards.push_back(card);
  }
  return cards;
}

// A switch of the page where no page is made would be believed and not be there.
Result<void> RefuseSwitchesWithoutPage(const Line& line) {
  if (!line.limits.empty()) return {};
  const std::pair<const char*, bool> switches[] = {
      {"--region-inside", !line.region_inside.empty()},
      {"--policy", !line.policy.empty()},
      {"--oversubscribe", line.oversubscribe},
      {"--allow-disable-control", line.allow_disable_control}};
  for (const auto& [name, given] : switches) {
    if (!given) continue;
    return Fail(Usage(std::string("create: ") + name +
                      " stands on the page of limits: expected --limits, the page to make"));
  }
  return {};
}

// False: the file is there already, and outside was told so.
bool IsNew(const std::string& path, const Outside& outside) {
  const auto status = RealFileSystem().Stat(path);
  if (!status) return true;
  outside.err("hami-region: " + path + " is there already" +
              (status->st_size == 0
                   ? ", and empty: whoever began it could not finish; remove it\n"
                   : ": set changes limits, and a container that runs keeps its file\n"));
  return false;
}

}  // namespace

Result<int> ForEachFile(const Line& line, const Outside& outside,
                        const std::function<Result<bool>(const std::string&)>& act) {
  if (line.files.empty()) return Fail(Usage("expected a file"));
  int code = kExitOk;
  for (const std::string& path : line.files) {
    const Result<bool> done = act(path);
    if (!done) outside.err("hami-region: " + done.error().message + "\n");
    code = std::max<int>(code, !done ? kExitFile : *done ? kExitOk : kExitNo);
  }
  return code;
}

Result<int> CreateFiles(const Line& line, const Outside& outside) {
  if (line.files.size() != 1) return Fail(Usage("create: expected one file to make"));
  if (line.cards.empty()) return Fail(Usage("create: expected at least one --card"));
  if (line.files[0] == line.limits) {
    return Fail(Usage("create: " + line.limits + " cannot be the region and its page of limits"));
  }
  if (line.priority < 0 || line.priority > INT32_MAX) {
    return Fail(Usage("--priority: expected 0 (high) or more"));
  }
  LimitsPage page{.generation = 2,
                  .priority = static_cast<int>(line.priority),
                  .allow_disable_control = line.allow_disable_control,
                  .oversubscribe = line.oversubscribe,
                  .region_path = line.region_inside,
                  .cards = {}};
  TRY_ASSIGN(page.policy, ParsePolicy(line.policy));
  TRY(RefuseSwitchesWithoutPage(line));
  region::NewRegion wanted{
      .cards = {}, .priority = page.priority, .unix_seconds = UnixSeconds(outside.clock->Now())};
  TRY_ASSIGN(page.cards, ParseCards(line.cards));
  for (const PageCard& card : page.cards) {
    wanted.cards.push_back({card.uuid, card.memory, card.physical_share, card.cores});
  }
  TRY(region::EncodeLimits(page));
  for (const std::string& path : {line.files[0], line.limits}) {
    if (!path.empty() && !IsNew(path, outside)) return kExitNo;
  }
  if (!line.limits.empty()) TRY(region::CreateLimits(line.limits, page));
  TRY(region::Create(line.files[0], wanted));
  return kExitOk;
}

Result<int> InspectFiles(const Line& line, const Outside& outside) {
  if (!line.output.empty() && line.output != "json") {
    return Fail(Usage("--output " + line.output + ": expected json"));
  }
  bool first = true;
  return ForEachFile(line, outside, [&](const std::string& path) -> Result<bool> {
    TRY_ASSIGN(const std::string text, InspectOne(path, line.output == "json", outside));
    if (!first && line.output.empty()) outside.out("\n");
    first = false;
    outside.out(text);
    return true;
  });
}

Result<int> VerifyFiles(const Line& line, const Outside& outside) {
  return ForEachFile(line, outside,
                     [&](const std::string& path) { return VerifyOne(path, outside); });
}

Result<int> CleanFiles(const Line& line, const Outside& outside) {
  return ForEachFile(line, outside,
                     [&](const std::string& path) { return CleanOne(path, line, outside); });
}

}  // namespace hami::region_tool
