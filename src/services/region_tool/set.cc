// hami-region set: limits of a running container. All files are looked at before the first is
// changed: of two that say different things the smaller holds, and nobody would see which.
#include <algorithm>
#include <filesystem>
#include <optional>

#include "abi/limits_page.h"
#include "base/printable.h"
#include "platform/region/mapped_region.h"
#include "services/region_tool/commands.h"
#include "services/region_tool/report.h"
#include "services/region_tool/values.h"

namespace hami::region_tool {
namespace {

using region::LimitChange;
using region::LimitsPage;
using region::MappedRegion;
using region::Snapshot;

// The entry of the card in a file.
struct Entry {
  size_t index = 0;
  std::string uuid;
};

// A file that can be changed.
struct Target {
  std::string path;
  Entry card;
  std::optional<MappedRegion> region;  // none: a page of limits
};

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
Result<Entry> Find(const std::string& path, const Cards& cards, const std::string& name) {
  std::string known;
  for (size_t i = 0; i < cards.size(); ++i) {
    if (cards[i].uuid == name || std::to_string(i) == name) return Entry{i, cards[i].uuid};
    known += (i == 0 ? "" : ", ") + std::to_string(i) + " (" + Printable(cards[i].uuid) + ")";
  }
  return Fail(Code::kNotFound,
              path + ": no card " + name + "; there are: " + (known.empty() ? "none" : known));
}

Result<Target> Check(const std::string& path, const std::string& card, const LimitChange& change) {
  TRY_ASSIGN(const bool is_page, region::IsLimitsPage(path));
  if (is_page) {
    TRY_ASSIGN(const LimitsPage page, region::ReadLimits(path));
    TRY(region::File::Open(path, true));
    TRY_ASSIGN(Entry entry, Find(path, page.cards, card));
    return Target{path, std::move(entry), std::nullopt};
  }
  TRY_ASSIGN(MappedRegion region, MappedRegion::Open(path, true));
  if (change.physical_share && !region.known_block()) {
    return Fail(Code::kFailedPrecondition,
                path + ": has no physical share: it is not of this build");
  }
  TRY_ASSIGN(Entry entry, Find(path, region.Look().cards, card));
  return Target{path, std::move(entry), std::move(region)};
}

std::string ChangeText(const LimitChange& change) {
  std::string text;
  if (change.memory) {
    text +=
        change.memory->value == 0 ? ", memory no limit" : ", memory " + SizeText(*change.memory);
  }
  if (change.cores) {
    text += IsLimit(*change.cores) ? ", cores " + std::to_string(change.cores->value) + " %"
                                   : ", cores no limit";
  }
  if (change.physical_share) text += ", physical share " + SizeText(*change.physical_share);
  return text;
}

Result<void> ChangeRegion(Target& target, const LimitChange& change, const Outside& outside) {
  const Snapshot look = target.region->Look();
  const size_t index = target.card.index;
  if (index >= look.cards.size() || look.cards[index].uuid != target.card.uuid) {
    return Fail(Code::kConflict, target.path + ": its cards have just changed: try again");
  }
  auto changed = target.region->Change(index, change);
  if (!changed) return Fail(std::move(changed).error().With(target.path));
  const Bytes used = look.cards[index].used;
  if (change.memory && change.memory->value != 0 && used > *change.memory) {
    outside.out(target.path + ": note: " + SizeText(used) +
                " are in use: nothing is taken away, new requests are refused until it is less\n");
  }
  if (change.cores && !look.own_block()) {
    outside.out(target.path +
                ": note: a reference's library reads the core limit at a process's start\n");
  }
  return {};
}

Result<void> ApplyOne(Target& target, const LimitChange& change, const Outside& outside) {
  if (target.region) {
    TRY(ChangeRegion(target, change, outside));
  } else {
    TRY(region::ChangeLimits(target.path, target.card.uuid, change));
  }
  outside.out(target.path + ": card " + std::to_string(target.card.index) + ChangeText(change) +
              "\n");
  return {};
}

// All of them, whatever becomes of one; the first error.
Result<void> ApplyAll(std::vector<Target>& targets, const LimitChange& change,
                      const Outside& outside) {
  Result<void> result;
  for (Target& target : targets) {
    auto applied = ApplyOne(target, change, outside);
    if (!applied && result) result = std::move(applied);
  }
  return result;
}

bool IsBelow(Bytes limit, Bytes other) {
  return limit.value != 0 && (other.value == 0 || limit < other);
}
bool IsBelow(Percent limit, Percent other) {
  return IsLimit(limit) && (!IsLimit(other) || limit.value < other.value);
}

// Where the page of a region lies: beside it, or as on a node (services/node/host_files.h).
std::vector<std::string> PagesOf(const std::string& region) {
  const auto folder = std::filesystem::absolute(region).lexically_normal().parent_path();
  return {folder / HAMI_LIMITS_FILE,
          folder.parent_path().parent_path() / "limits" / folder.filename()};
}

// A region that was raised above its page looks as if nothing had happened.
void SayWhatThePageHolds(const Target& target, const LimitChange& change, const Outside& outside) {
  for (const std::string& path : PagesOf(target.path)) {
    const auto page = region::ReadLimits(path);
    if (!page) continue;
    for (const region::PageCard& card : page->cards) {
      if (card.uuid != target.card.uuid) continue;
      LimitChange less;
      if (change.memory && IsBelow(card.memory, *change.memory)) less.memory = card.memory;
      if (change.cores && IsBelow(card.cores, *change.cores)) less.cores = card.cores;
      if (!less.memory && !less.cores) continue;
      outside.out(path + ": note: says less for this card" + ChangeText(less) +
                  "; the smaller holds: set it, too\n");
      return;
    }
  }
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

}  // namespace

Result<int> SetLimits(const Line& line, const Outside& outside) {
  TRY_ASSIGN(const LimitChange change, ParseChange(line));
  if (line.cards.size() != 1) {
    return Fail(Usage("set: expected one --card, a UUID or an index, not " +
                      std::to_string(line.cards.size())));
  }
  std::vector<Target> targets;
  TRY_ASSIGN(const int checked, ForEachFile(line, outside, [&](const std::string& path) {
               return Check(path, line.cards[0], change).map([&](Target target) {
                 targets.push_back(std::move(target));
                 return true;
               });
             }));
  if (checked != kExitOk) {
    outside.err("hami-region: nothing was changed\n");
    return checked;
  }
  TRY(ApplyAll(targets, change, outside));
  const bool with_page =
      std::any_of(targets.begin(), targets.end(), [](const Target& t) { return !t.region; });
  if (!with_page) SayWhatThePageHolds(targets[0], change, outside);
  SayWhatTheSchedulerCounts(change, outside);
  return kExitOk;
}

}  // namespace hami::region_tool
