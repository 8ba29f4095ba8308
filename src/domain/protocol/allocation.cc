#include "domain/protocol/allocation.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace hami::protocol {
namespace {

// A negative share would give away what others hold, so it is refused too.
Result<int32_t> ParseInt32(std::string_view text, std::string_view field) {
  int32_t value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value < 0) {
    return Fail(Code::kInvalidArgument, "invalid " + std::string(field) +
                                            " field: expected a 32-bit integer from 0, got \"" +
                                            std::string(text) + "\"");
  }
  return value;
}

// One "uuid,word,mem,cores"; fields beyond the fourth are ignored.
Result<DeviceShare> ParseShare(std::string_view piece) {
  const std::string_view whole = piece;
  std::string_view fields[4];
  for (size_t i = 0; i < 4; ++i) {
    size_t comma = piece.find(',');
    if (comma == std::string_view::npos && i < 3) {
      return Fail(Code::kInvalidArgument,
                  "pod annotation format error, missing fields, do not use nodeName in task spec; "
                  "expected uuid,type,MiB,percent, got \"" +
                      std::string(whole.substr(0, 200)) + "\"");
    }
    fields[i] = piece.substr(0, comma);
    piece.remove_prefix(std::min(fields[i].size() + 1, piece.size()));
  }
  TRY_ASSIGN(int32_t memory, ParseInt32(fields[2], "memory"));
  TRY_ASSIGN(int32_t cores, ParseInt32(fields[3], "core"));
  return DeviceShare{.uuid = std::string(fields[0]),
                     .vendor = std::string(fields[1]),
                     .memory = {memory},
                     .cores = {cores}};
}

Result<std::vector<DeviceShare>> ParseEntry(std::string_view entry) {
  std::vector<DeviceShare> out;
  while (!entry.empty()) {
    std::string_view piece = entry.substr(0, entry.find(':'));
    entry.remove_prefix(std::min(piece.size() + 1, entry.size()));
    if (piece.find(',') == std::string_view::npos) continue;
    TRY_ASSIGN(DeviceShare share, ParseShare(piece));
    if (!share.uuid.empty()) out.push_back(std::move(share));
  }
  return out;
}

}  // namespace

std::string EncodeAllocation(const PodShares& shares) {
  std::string out;
  for (const auto& container : shares) {
    for (const DeviceShare& share : container) {
      out += share.uuid + ',' + share.vendor + ',' + std::to_string(share.memory.value) + ',' +
             std::to_string(share.cores.value) + ':';
    }
    out += ';';
  }
  return out;
}

Result<PodShares> DecodeAllocation(std::string_view text) {
  PodShares out;
  while (!text.empty()) {
    size_t end = std::min(text.find(';'), text.size());
    TRY_ASSIGN(auto entry, ParseEntry(text.substr(0, end)));
    out.push_back(std::move(entry));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

PodShares AlignToContainers(PodShares entries, const std::vector<bool>& requests) {
  size_t containers = requests.size();
  auto empty = [](const std::vector<DeviceShare>& entry) { return entry.empty(); };
  if (entries.size() > containers) entries.resize(containers);
  if (entries.size() == containers) return entries;
  auto filled = entries.size() - static_cast<size_t>(std::ranges::count_if(entries, empty));
  if (filled != static_cast<size_t>(std::ranges::count(requests, true))) {
    entries.resize(containers);
    return entries;
  }
  PodShares out(containers);
  size_t from = 0;
  for (size_t to = 0; to < containers; ++to) {
    if (!requests[to]) continue;
    while (entries[from].empty()) ++from;
    out[to] = std::move(entries[from++]);
  }
  return out;
}

std::optional<size_t> FirstPending(const PodShares& entries) {
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].empty()) return i;
  }
  return std::nullopt;
}

PodShares WithoutEntry(PodShares entries, size_t index) {
  CHECK(index < entries.size());
  entries[index].clear();
  return entries;
}

std::string_view PhysicalUuid(std::string_view uuid) { return uuid.substr(0, uuid.find('[')); }

bool IsUsableDeviceId(std::string_view id) {
  return !id.empty() && id.find_first_of(",:;") == std::string_view::npos;
}

}  // namespace hami::protocol
