#include "platform/region/region_file.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "abi/region_init.h"
#include "base/fs.h"

namespace hami::region {
namespace {

constexpr mode_t kEveryUserOfTheContainer = 0666;

Bytes AsBytes(uint64_t value) { return Bytes{static_cast<int64_t>(value)}; }

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

std::string TextOf(const char (&text)[HAMI_V1_UUID_SIZE]) {
  return {text, strnlen(text, sizeof text)};
}

ProcessCard OwnCard(const HamiExtSlotDevice& device) {
  const auto kind = [&device](int index) { return AsBytes(device.bytes[index]); };
  return {kind(HAMI_KIND_DATA), kind(HAMI_KIND_CONTEXT), kind(HAMI_KIND_MODULE),
          kind(HAMI_KIND_VMM),  kind(HAMI_KIND_POOL),    kind(HAMI_KIND_MANAGED)};
}

ProcessCard ReferenceCard(const HamiV1Used& used) {
  return {
      AsBytes(used.data_size), AsBytes(used.context_size), AsBytes(used.module_size), {}, {}, {}};
}

// noinline: g++ 12 otherwise believes that a short string's own buffer could be read beyond its
// end.
[[gnu::noinline]] bool IsRegion(std::string_view bytes) {
  if (bytes.size() < HAMI_V1_SIZE) return false;
  const auto word = [bytes](size_t offset) {
    uint32_t value = 0;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  };
  return word(offsetof(HamiV1Region, initialized_flag)) == HAMI_V1_MAGIC &&
         word(offsetof(HamiV1Region, major_version)) == HAMI_V1_MAJOR;
}

[[gnu::noinline]] bool HasOwnBlock(std::string_view bytes) {
  if (bytes.size() < sizeof(HamiRegion)) return false;
  const auto& header = reinterpret_cast<const HamiRegion*>(bytes.data())->ext.header;
  return header.ext_magic == HAMI_EXT_MAGIC && header.ext_major == HAMI_EXT_MAJOR &&
         header.slot_stride == sizeof(HamiExtSlot) &&
         header.slots_offset == HAMI_EXT_SLOTS_OFFSET &&
         header.device_stride == sizeof(HamiExtDevice);
}

ProcessUsage UsageOf(const HamiRegion& region, int slot, size_t cards, bool own_block) {
  const HamiV1Slot& mirror = region.v1.procs[slot];
  ProcessUsage usage{.slot = slot, .pid = mirror.pid, .host_pid = mirror.hostpid, .cards = {}};
  for (size_t i = 0; i < cards; ++i) {
    usage.cards.push_back(own_block ? OwnCard(region.ext.slots[slot].device[i])
                                    : ReferenceCard(mirror.used[i]));
  }
  return usage;
}

}  // namespace

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

Result<Snapshot> Read(const std::string& path) {
  TRY_ASSIGN(std::string bytes, RealFileSystem().Read(path));
  if (!IsRegion(bytes)) return Fail(Code::kDataLoss, "region " + path + ": not of version 1");
  const bool own_block = HasOwnBlock(bytes);
  bytes.resize(std::max(bytes.size(), sizeof(HamiRegion)));
  const auto& region = *reinterpret_cast<const HamiRegion*>(bytes.data());
  Snapshot snapshot{
      .own_block = own_block, .priority = region.v1.priority, .cards = {}, .processes = {}};
  const size_t cards = std::min<size_t>(region.v1.device_num, HAMI_V1_DEVICES);
  const int slots = std::clamp<int>(region.v1.proc_num, 0, HAMI_V1_SLOTS);
  for (int slot = 0; slot < slots; ++slot) {
    if (region.v1.procs[slot].status == HAMI_V1_ENDED) continue;
    snapshot.processes.push_back(UsageOf(region, slot, cards, own_block));
  }
  for (size_t i = 0; i < cards; ++i) {
    CardUsage card{.uuid = TextOf(region.v1.uuids[i]),
                   .limit = AsBytes(region.v1.limit[i]),
                   .cores = Percent{static_cast<int64_t>(region.v1.sm_limit[i])},
                   .used = {}};
    for (const ProcessUsage& process : snapshot.processes) card.used += process.cards[i].Total();
    if (own_block) card.used = AsBytes(region.ext.header.devices[i].used_total & HAMI_BYTES_MASK);
    snapshot.cards.push_back(std::move(card));
  }
  return snapshot;
}

}  // namespace hami::region
