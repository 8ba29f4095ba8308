#include "services/region_tool/commands.h"

#include <charconv>
#include <ctime>
#include <optional>

#include "abi/limits_page.h"
#include "base/fs.h"
#include "base/printable.h"
#include "limiter/env/number.h"
#include "limiter/sys/syscall.h"
#include "platform/region/file_users.h"
#include "platform/region/mapped_region.h"
#include "platform/region/open_file.h"
#include "platform/region/verify.h"
#include "services/region_tool/report.h"

namespace hami::region_tool {
namespace {

using region::LimitChange;
using region::LimitsPage;
using region::MappedRegion;
using region::PageCard;
using region::ProcessLife;
using region::Snapshot;

constexpr uint64_t kLeastBytes = uint64_t{1} << 20;

Error Usage(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

Result<Bytes> ParseBytes(const std::string& what, std::string_view text) {
  const auto bytes = limiter::env::ParseSize(text);
  if (!bytes || *bytes > INT64_MAX) {
    return Fail(Usage(what + ": \"" + std::string(text) +
                      "\": expected a size as 3000m, 0.5g or 512MiB; 0 is no limit"));
  }
  // Elsewhere a bare number is MiB; whoever writes one here would stop a container.
  if (*bytes != 0 && *bytes < kLeastBytes) {
    return Fail(
        Usage(what + ": \"" + std::string(text) + "\" is " + std::to_string(*bytes) +
              " bytes: expected a size of at least 1 MiB, as 3000m, 0.5g or 512MiB; 0 is no "
              "limit"));
  }
  return Bytes{static_cast<int64_t>(*bytes)};
}

Result<Percent> ParseCores(const std::string& what, int64_t percent) {
  if (percent < 0 || percent > 100) {
    return Fail(Usage(what + ": " + std::to_string(percent) +
                      ": expected percent from 0 to 100; 0 and 100 are no limit"));
  }
  return Percent{percent};
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<int64_t> WholeNumber(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<region::CorePolicy> ParsePolicy(std::string_view text) {
  if (text == "default") return region::CorePolicy::kDefault;
  if (text == "force") return region::CorePolicy::kForce;
  if (text == "disable") return region::CorePolicy::kDisable;
  return Fail(Usage("--policy: \"" + std::string(text) + "\": expected default, force or disable"));
}

Result<bool> IsPage(const std::string& path) {
  TRY_ASSIGN(const region::File file, region::File::Open(path, false));
  TRY_ASSIGN(const std::string head, file.Read(path, sizeof(uint64_t)));
  const uint64_t magic = HAMI_LIMITS_MAGIC;
  return head == std::string_view(reinterpret_cast<const char*>(&magic), sizeof magic);
}

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
  TRY_ASSIGN(const bool is_page, IsPage(path));
  if (is_page) {
    TRY_ASSIGN(const LimitsPage page, region::ReadLimits(path));
    return json ? PageJson(path, page) : PageText(path, page);
  }
  TRY_ASSIGN(const RegionReport report, Examine(path, outside));
  return json ? RegionJson(report) : RegionText(report);
}

Result<bool> VerifyOne(const std::string& path, const Outside& outside) {
  TRY_ASSIGN(const bool is_page, IsPage(path));
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

// Runs `act` on each file; all of them, whatever becomes of one.
template <class Act>
Result<int> ForEach(const Line& line, const Outside& outside, Act act) {
  if (line.files.empty()) return Fail(Usage("expected a file"));
  int code = kExitOk;
  for (const std::string& path : line.files) {
    const Result<bool> done = act(path);
    if (!done) outside.err("hami-region: " + done.error().message + "\n");
    code = std::max<int>(code, !done ? kExitFile : *done ? kExitOk : kExitNo);
  }
  return code;
}

// What `set` was told to change.
Result<LimitChange> ParseChange(const Line& line) {
  LimitChange change;
  if (!line.memory.empty()) {
    TRY_ASSIGN(change.memory, ParseBytes("--memory", line.memory));
  }
  if (line.cores != -1) {
    TRY_ASSIGN(change.cores, ParseCores("--cores", line.cores));
  }
  if (!line.physical_share.empty()) {
    TRY_ASSIGN(change.physical_share, ParseBytes("--physical-share", line.physical_share));
  }
  if (!change.memory && !change.cores && !change.physical_share) {
    return Fail(Usage("set: expected what to change: --memory, --cores or --physical-share"));
  }
  return change;
}

// The entry that a UUID or an index names.
template <class Cards>
Result<size_t> FindCard(const std::string& path, const Cards& cards, const std::string& name) {
  std::string known;
  for (size_t i = 0; i < cards.size(); ++i) {
    if (cards[i].uuid == name || std::to_string(i) == name) return i;
    known += (i == 0 ? "" : ", ") + std::to_string(i) + " (" + Printable(cards[i].uuid) + ")";
  }
  return Fail(Code::kNotFound,
              path + ": no card " + name + "; there are: " + (known.empty() ? "none" : known));
}

std::string ChangeText(const LimitChange& change) {
  std::string text;
  if (change.memory) {
    text +=
        change.memory->value == 0 ? ", memory no limit" : ", memory " + SizeText(*change.memory);
  }
  if (change.cores) {
    const int percent = change.cores->value;
    text += percent == 0 || percent == 100 ? ", cores no limit"
                                           : ", cores " + std::to_string(percent) + " %";
  }
  if (change.physical_share) text += ", physical share " + SizeText(*change.physical_share);
  return text;
}

Result<bool> SetPage(const std::string& path, const Line& line, const LimitChange& change,
                     const Outside& outside) {
  TRY_ASSIGN(const LimitsPage page, region::ReadLimits(path));
  TRY_ASSIGN(const size_t index, FindCard(path, page.cards, line.card));
  TRY(region::ChangeLimits(path, page.cards[index].uuid, change));
  outside.out(path + ": card " + std::to_string(index) + ChangeText(change) + "\n");
  return true;
}

Result<bool> SetRegion(const std::string& path, const Line& line, const LimitChange& change,
                       const Outside& outside) {
  TRY_ASSIGN(MappedRegion region, MappedRegion::Open(path, true));
  const Snapshot look = region.Look();
  TRY_ASSIGN(const size_t index, FindCard(path, look.cards, line.card));
  if (change.physical_share && !region.known_block()) {
    return Fail(Code::kFailedPrecondition,
                path + ": has no physical share: it is not of this build");
  }
  auto changed = region.Change(index, change);
  if (!changed) return Fail(std::move(changed).error().With(path));
  outside.out(path + ": card " + std::to_string(index) + ChangeText(change) + "\n");
  const Bytes used = look.cards[index].used;
  if (change.memory && change.memory->value != 0 && used > *change.memory) {
    outside.out(path + ": note: " + SizeText(used) +
                " are in use: nothing is taken away, new requests are refused until it is less\n");
  }
  if (change.cores && !look.own_block()) {
    outside.out(path + ": note: a reference's library reads the core limit at a process's start\n");
  }
  return true;
}

// The scheduler counts what it promised, whatever the container is held to.
void SayWhatTheSchedulerCounts(const LimitChange& change, const Outside& outside) {
  if (!change.memory && !change.cores) return;
  outside.out(
      "note: the scheduler does not know of this: until the pod ends it counts the share that it "
      "gave out,\n"
      "so what was added here is promised to others, too, and what was taken is not free for "
      "them\n");
}

Result<bool> SetOne(const std::string& path, const Line& line, const LimitChange& change,
                    const Outside& outside) {
  TRY_ASSIGN(const bool is_page, IsPage(path));
  return is_page ? SetPage(path, line, change, outside) : SetRegion(path, line, change, outside);
}

}  // namespace

Result<PageCard> ParseCard(const std::string& text) {
  const std::string what = "--card \"" + text + "\"";
  const std::vector<std::string_view> parts = Split(text, ':');
  if (parts.size() < 2 || parts.size() > 4 || parts[0].empty() || parts[0].size() > 95) {
    return Fail(Usage(what + ": expected UUID:MEMORY[:CORES[:PHYSICAL]], as GPU-aaaa:3000m:30"));
  }
  PageCard card{.uuid = std::string(parts[0])};
  TRY_ASSIGN(card.memory, ParseBytes(what, parts[1]));
  const auto cores = parts.size() > 2 && !parts[2].empty() ? WholeNumber(parts[2]) : 100;
  if (!cores) return Fail(Usage(what + ": cores: expected a whole number of percent"));
  TRY_ASSIGN(card.cores, ParseCores(what, *cores));
  if (parts.size() > 3) {
    TRY_ASSIGN(card.physical_share, ParseBytes(what, parts[3]));
  }
  card.initial_memory = card.memory;
  card.initial_cores = card.cores;
  return card;
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
                  .region_path = line.region_inside};
  TRY_ASSIGN(page.policy, ParsePolicy(line.policy));
  region::NewRegion wanted{
      .cards = {}, .priority = page.priority, .unix_seconds = UnixSeconds(outside.clock->Now())};
  for (const std::string& text : line.cards) {
    TRY_ASSIGN(const PageCard card, ParseCard(text));
    page.cards.push_back(card);
    wanted.cards.push_back({card.uuid, card.memory, card.physical_share, card.cores});
  }
  TRY(region::EncodeLimits(page));
  for (const std::string& path : {line.files[0], line.limits}) {
    if (path.empty() || !RealFileSystem().Exists(path)) continue;
    outside.err("hami-region: " + path +
                " is there already: set changes limits, and a container "
                "that runs keeps its file\n");
    return kExitNo;
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
  return ForEach(line, outside, [&](const std::string& path) -> Result<bool> {
    TRY_ASSIGN(const std::string text, InspectOne(path, line.output == "json", outside));
    if (!first && line.output.empty()) outside.out("\n");
    first = false;
    outside.out(text);
    return true;
  });
}

Result<int> VerifyFiles(const Line& line, const Outside& outside) {
  return ForEach(line, outside, [&](const std::string& path) { return VerifyOne(path, outside); });
}

Result<int> CleanFiles(const Line& line, const Outside& outside) {
  return ForEach(line, outside,
                 [&](const std::string& path) { return CleanOne(path, line, outside); });
}

Result<int> SetLimits(const Line& line, const Outside& outside) {
  TRY_ASSIGN(const LimitChange change, ParseChange(line));
  if (line.card.empty()) return Fail(Usage("set: expected --card: a UUID or an index"));
  TRY_ASSIGN(const int code, ForEach(line, outside, [&](const std::string& path) {
               return SetOne(path, line, change, outside);
             }));
  if (code == kExitOk) SayWhatTheSchedulerCounts(change, outside);
  return code;
}

}  // namespace hami::region_tool
