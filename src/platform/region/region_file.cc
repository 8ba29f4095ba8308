#include "platform/region/region_file.h"

#include <algorithm>
#include <cstring>

#include "abi/region_init.h"
#include "base/fs.h"
#include "platform/region/layout.h"
#include "platform/region/open_file.h"

namespace hami::region {
namespace {

constexpr mode_t kEveryUserOfTheContainer = 0666;

Bytes AsBytes(uint64_t value) {
  return Bytes{static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX))};
}

// What a process holds: a region may say anything, and sums over kinds and processes must fit.
Bytes AsHeld(uint64_t value) { return AsBytes(std::min(value, HAMI_BYTES_MASK)); }

// The boot that the creator ran in; zeros when the kernel does not tell.
void FillBootId(uint8_t (&id)[16]) {
  const auto text = RealFileSystem().Read("/proc/sys/kernel/random/boot_id");
  size_t nibble = 0;
  for (char c : text.value_or("")) {
    const size_t digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos || nibble >= 32) continue;
    id[nibble / 2] = static_cast<uint8_t>(id[nibble / 2] << 4 | digit);
    ++nibble;
  }
}

std::string HexText(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// Where our block's arrays are, by its own header: a newer writer may have made them larger.
struct OwnLayout {
  size_t devices = 0, device_stride = 0, slots = 0, slot_stride = 0, slot_count = 0;
  size_t slot_device = 0, slot_device_stride = 0;
};

size_t HeaderWord(const WordReader& words, size_t offset) {
  return words.At<uint32_t>(HAMI_EXT_OFFSET + offset);
}

OwnLayout ReadOwnLayout(const WordReader& words) {
  return {.devices = HAMI_EXT_OFFSET + HeaderWord(words, offsetof(HamiExtHeader, devices_offset)),
          .device_stride = HeaderWord(words, offsetof(HamiExtHeader, device_stride)),
          .slots = HAMI_EXT_OFFSET + HeaderWord(words, offsetof(HamiExtHeader, slots_offset)),
          .slot_stride = HeaderWord(words, offsetof(HamiExtHeader, slot_stride)),
          .slot_count = HeaderWord(words, offsetof(HamiExtHeader, slot_count)),
          .slot_device = HeaderWord(words, offsetof(HamiExtHeader, slot_device_offset)),
          .slot_device_stride = HeaderWord(words, offsetof(HamiExtHeader, slot_device_stride))};
}

bool HasOwnBlock(const WordReader& words) {
  const auto at = [](size_t field) { return HAMI_EXT_OFFSET + field; };
  if (words.At<uint64_t>(at(offsetof(HamiExtHeader, ext_magic))) != HAMI_EXT_MAGIC ||
      words.At<uint16_t>(at(offsetof(HamiExtHeader, ext_major))) != HAMI_EXT_MAJOR) {
    return false;
  }
  const OwnLayout own = ReadOwnLayout(words);
  return own.device_stride >= sizeof(HamiExtDevice) && own.slot_stride >= sizeof(HamiExtSlot) &&
         own.slot_device_stride >= sizeof(HamiExtSlotDevice);
}

// Version 0 has sm_init_flag, which is 0, and owner_pid where version 1 has its version.
bool SaysVersion1(const WordReader& words) {
  return words.At<uint32_t>(offsetof(HamiV1Region, major_version)) == HAMI_V1_MAJOR &&
         words.At<uint32_t>(offsetof(HamiV1Region, minor_version)) == HAMI_V1_MINOR;
}

Result<Layout> LayoutOf(const WordReader& words) {
  const std::string size = std::to_string(words.size()) + " bytes long";
  if (words.At<int32_t>(0) != HAMI_V1_MAGIC) {
    const bool zero = words.At<int32_t>(0) == 0 && words.size() >= HAMI_V0_SIZE;
    return Fail(Code::kDataLoss, zero ? "never initialised (no magic), " + size
                                      : "not a region: no magic " + std::to_string(HAMI_V1_MAGIC) +
                                            " at its beginning, " + size);
  }
  const size_t least = SaysVersion1(words) ? sizeof(HamiV1Region) : sizeof(HamiV0Region);
  if (words.size() < least) {
    return Fail(Code::kDataLoss,
                "cut short: " + size + ", expected at least " + std::to_string(least));
  }
  if (words.size() < HAMI_V1_SIZE) return Layout::kV0;
  const auto major = words.At<uint32_t>(offsetof(HamiV1Region, major_version));
  if (major != HAMI_V1_MAJOR) {
    return Fail(Code::kDataLoss, "of major version " + std::to_string(major) + ", expected " +
                                     std::to_string(HAMI_V1_MAJOR));
  }
  return HasOwnBlock(words) ? Layout::kOwn : Layout::kV1;
}

ProcessCard OwnCard(const WordReader& words, size_t slot, const OwnLayout& own, size_t card) {
  const size_t device = slot + own.slot_device + card * own.slot_device_stride;
  const auto kind = [&](size_t index) {
    return AsHeld(words.At<uint64_t>(device + index * sizeof(uint64_t)));
  };
  const uint64_t pending =
      words.At<uint64_t>(slot + offsetof(HamiExtSlot, pending) + card * sizeof(uint64_t));
  return {kind(HAMI_KIND_DATA),
          kind(HAMI_KIND_CONTEXT),
          kind(HAMI_KIND_MODULE),
          kind(HAMI_KIND_VMM),
          kind(HAMI_KIND_POOL),
          kind(HAMI_KIND_MANAGED),
          AsBytes(pending & HAMI_BYTES_MASK)};
}

ProcessCard ReferenceCard(const WordReader& words, size_t slot, const PrefixLayout& prefix,
                          size_t card) {
  const size_t used = slot + prefix.used + card * prefix.used_stride;
  const auto field = [&](size_t offset) { return AsHeld(words.At<uint64_t>(used + offset)); };
  return {.data = field(offsetof(HamiV1Used, data_size)),
          .context = field(offsetof(HamiV1Used, context_size)),
          .module = field(offsetof(HamiV1Used, module_size))};
}

// Cards that NVML showed or that anybody has a limit for.
size_t CountCards(const WordReader& words, const PrefixLayout& prefix) {
  const auto told = std::min<uint64_t>(words.At<uint64_t>(prefix.device_num), HAMI_V1_DEVICES);
  if (told > 0) return told;
  size_t count = 0;
  for (size_t i = 0; i < HAMI_V1_DEVICES; ++i) {
    const bool known = words.At<char>(prefix.uuids + i * HAMI_V1_UUID_SIZE) != '\0' ||
                       words.At<uint64_t>(prefix.limit + i * sizeof(uint64_t)) != 0;
    if (known) count = i + 1;
  }
  return count;
}

std::vector<ProcessUsage> Processes(const WordReader& words, Layout layout, size_t cards) {
  const PrefixLayout& prefix = PrefixOf(layout);
  const bool own_block = layout == Layout::kOwn;
  const OwnLayout own = own_block ? ReadOwnLayout(words) : OwnLayout{};
  const int count = std::clamp<int>(words.At<int32_t>(prefix.proc_num), 0, HAMI_V1_SLOTS);
  std::vector<ProcessUsage> processes;
  for (int i = 0; i < count; ++i) {
    const size_t mirror = prefix.slots + static_cast<size_t>(i) * prefix.slot_stride;
    const size_t slot = own.slots + static_cast<size_t>(i) * own.slot_stride;
    const int status = words.At<int32_t>(mirror + prefix.slot_status);
    const bool has_own = own_block && static_cast<size_t>(i) < own.slot_count;
    const uint32_t state = has_own ? words.At<uint32_t>(slot) : uint32_t{HAMI_SLOT_FREE};
    if (state == HAMI_SLOT_FREE && status == HAMI_V1_ENDED) continue;
    ProcessUsage usage;
    usage.slot = i;
    usage.state = state == HAMI_SLOT_FREE ? uint32_t{HAMI_SLOT_LIVE} : state;
    usage.pid = words.At<int32_t>(mirror);
    usage.host_pid = words.At<int32_t>(mirror + offsetof(HamiV1Slot, hostpid));
    usage.suspended = status == HAMI_V1_SUSPENDED;
    usage.ours = state != HAMI_SLOT_FREE;
    if (usage.ours) {
      usage.pid = words.At<int32_t>(slot + offsetof(HamiExtSlot, pid));
      const int told = words.At<int32_t>(slot + offsetof(HamiExtSlot, host_pid));
      if (told != 0) usage.host_pid = told;
      usage.pid_namespace = words.At<uint64_t>(slot + offsetof(HamiExtSlot, pidns_inode));
      usage.start_ticks = words.At<uint64_t>(slot + offsetof(HamiExtSlot, start_ticks));
    }
    for (size_t card = 0; card < cards; ++card) {
      usage.cards.push_back(usage.ours ? OwnCard(words, slot, own, card)
                                       : ReferenceCard(words, mirror, prefix, card));
    }
    processes.push_back(std::move(usage));
  }
  return processes;
}

void ReadOwnHeader(const WordReader& words, Snapshot& snapshot) {
  const auto word = [&](size_t field) { return words.At<uint64_t>(HAMI_EXT_OFFSET + field); };
  snapshot.own_major = words.At<uint16_t>(HAMI_EXT_OFFSET + offsetof(HamiExtHeader, ext_major));
  snapshot.own_minor = words.At<uint16_t>(HAMI_EXT_OFFSET + offsetof(HamiExtHeader, ext_minor));
  snapshot.monitor_heartbeat_ns = word(offsetof(HamiExtHeader, monitor_heartbeat_ns));
  snapshot.limits_changed = word(offsetof(HamiExtHeader, generation));
  const OwnLayout own = ReadOwnLayout(words);  // whoever comes first takes the first slot
  snapshot.ever_joined = words.At<uint32_t>(own.slots + offsetof(HamiExtSlot, epoch)) != 0;
  char boot_id[16];
  for (size_t i = 0; i < sizeof boot_id; ++i) {
    boot_id[i] = words.At<char>(HAMI_EXT_OFFSET + offsetof(HamiExtHeader, creator_boot_id) + i);
  }
  snapshot.boot_id = HexText({boot_id, sizeof boot_id});
  snapshot.counters = {.saturated = word(offsetof(HamiExtHeader, saturated)),
                       .reaped = word(offsetof(HamiExtHeader, reaped)),
                       .repaired = word(offsetof(HamiExtHeader, repaired)),
                       .refused = word(offsetof(HamiExtHeader, refused)),
                       .unaccounted = word(offsetof(HamiExtHeader, unaccounted))};
}

CardUsage Card(const WordReader& words, const Snapshot& snapshot, size_t index) {
  const PrefixLayout& prefix = PrefixOf(snapshot.layout);
  const size_t entry = index * sizeof(uint64_t);
  CardUsage card;
  card.uuid = words.TextAt(prefix.uuids + index * HAMI_V1_UUID_SIZE, HAMI_V1_UUID_SIZE);
  card.limit = AsBytes(words.At<uint64_t>(prefix.limit + entry));
  card.cores = Percent{AsBytes(words.At<uint64_t>(prefix.sm_limit + entry)).value};
  for (const ProcessUsage& process : snapshot.processes) card.used += process.cards[index].Total();
  if (!snapshot.own_block()) return card;
  const OwnLayout own = ReadOwnLayout(words);
  const size_t device = own.devices + index * own.device_stride;
  const auto word = [&](size_t field) { return AsBytes(words.At<uint64_t>(device + field)); };
  card.used = AsBytes(words.At<uint64_t>(device) & HAMI_BYTES_MASK);
  card.context_size = word(offsetof(HamiExtDevice, context_size));
  card.initial_limit = word(offsetof(HamiExtDevice, initial_limit));
  card.physical_share = word(offsetof(HamiExtDevice, phys_share));
  return card;
}

}  // namespace

std::string_view LayoutName(Layout layout) {
  switch (layout) {
    case Layout::kV0:
      return "v0";
    case Layout::kV1:
      return "v1";
    case Layout::kOwn:
      return "v1+own";
  }
  return "?";
}

Result<void> Create(const std::string& path, const NewRegion& wanted) {
  if (wanted.cards.size() > HAMI_V1_DEVICES) {
    return Fail(Code::kInvalidArgument, "region " + path + ": at most " +
                                            std::to_string(HAMI_V1_DEVICES) + " cards, not " +
                                            std::to_string(wanted.cards.size()));
  }
  if (RealFileSystem().Exists(path)) return {};
  HamiRegionSeed seed = {};
  for (size_t i = 0; i < wanted.cards.size(); ++i) {
    const CardLimit& card = wanted.cards[i];
    card.uuid.copy(seed.uuids[i], HAMI_V1_UUID_SIZE - 1);
    seed.memory_limit[i] = static_cast<uint64_t>(card.memory.value);
    seed.phys_share[i] = static_cast<uint64_t>(card.physical_share.value);
    seed.sm_percent[i] = static_cast<uint32_t>(card.cores.value);
  }
  seed.device_num = wanted.cards.size();
  seed.priority = wanted.priority;
  seed.unix_seconds = static_cast<uint64_t>(wanted.unix_seconds);
  FillBootId(seed.boot_id);
  std::string bytes(HAMI_REGION_FILE_SIZE, '\0');
  auto& region = *reinterpret_cast<HamiRegion*>(bytes.data());
  HamiInitRegion(&region, &seed);
  region.v1.initialized_flag = HAMI_V1_MAGIC;
  return RealFileSystem().WriteAtomic(path, bytes, kEveryUserOfTheContainer);
}

Result<Snapshot> Decode(std::string_view bytes) {
  const WordReader words(bytes);
  TRY_ASSIGN(const Layout layout, LayoutOf(words));
  const PrefixLayout& prefix = PrefixOf(layout);
  Snapshot snapshot;
  snapshot.layout = layout;
  snapshot.file_size = bytes.size();
  if (layout != Layout::kV0) {
    snapshot.major = words.At<uint32_t>(offsetof(HamiV1Region, major_version));
    snapshot.minor = words.At<uint32_t>(offsetof(HamiV1Region, minor_version));
    snapshot.last_kernel_time = words.At<int64_t>(offsetof(HamiV1Region, last_kernel_time));
  }
  snapshot.priority = words.At<int32_t>(prefix.priority);
  snapshot.utilization_switch = words.At<int32_t>(prefix.utilization_switch);
  snapshot.recent_kernel = words.At<int32_t>(prefix.recent_kernel);
  if (layout == Layout::kOwn) ReadOwnHeader(words, snapshot);
  const size_t cards = CountCards(words, prefix);
  snapshot.processes = Processes(words, layout, cards);
  for (size_t i = 0; i < cards; ++i) snapshot.cards.push_back(Card(words, snapshot, i));
  return snapshot;
}

Result<Snapshot> Read(const std::string& path) {
  TRY_ASSIGN(const File file, File::Open(path, false));
  TRY_ASSIGN(const std::string bytes, file.Read(path, HAMI_REGION_FILE_SIZE));
  auto snapshot = Decode(bytes);
  if (!snapshot) return Fail(std::move(snapshot).error().With("region " + path));
  snapshot->file_size = file.size();
  return snapshot;
}

}  // namespace hami::region
