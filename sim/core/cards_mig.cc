// MIG: the part of cards.yaml that cuts a card into instances.
#include <cstring>

#include "sim/core/cards_binder.h"

namespace hami::sim {
namespace {

// "3g.20gb": three of the card's seven slices, 20 GB less what the driver keeps.
bool ParseProfile(std::string_view text, uint64_t& slices, uint64_t& gigabytes) {
  const size_t dot = text.find("g.");
  return dot != std::string_view::npos && text.ends_with("gb") &&
         ParseUnsigned(Slice(text, 0, dot), slices) && slices >= 1 && slices <= 7 &&
         ParseUnsigned(Slice(text, dot + 2, text.size() - dot - 4), gigabytes) && gigabytes >= 1 &&
         gigabytes < 4096;
}

}  // namespace

bool CardsBinder::InstanceGroup(const YamlNode& node, const char* path, int index,
                                uint32_t& slices) {
  constexpr const char* kShape = "{profile: 1g.5gb, count: 7}";
  if (!IsKind(node, Kind::kMap, path, kShape)) return false;
  Card instance = set_.cards[index];
  uint64_t count = 1, wanted = 0, gigabytes = 0, mib = 0;
  const YamlNode* uuid = nullptr;
  for (const YamlNode* n = node.first_child; n != nullptr; n = n->next) {
    if (n->key == "profile" && !ParseProfile(n->text, wanted, gigabytes)) {
      return Expected(*n, path, "a profile such as 1g.5gb");
    }
  }
  if (wanted == 0) return Expected(node, path, kShape);
  constexpr uint64_t kDriverMib = 256;
  instance.memory_bytes = ((gigabytes << 10) - kDriverMib) << 20;
  instance.sm_count = static_cast<uint32_t>(wanted * (set_.cards[index].sm_count / 7 / 2 * 2));
  if (instance.sm_count == 0) instance.sm_count = 1;
  for (const YamlNode* n = node.first_child; n != nullptr; n = n->next) {
    bool ok = true;
    if (n->key == "count") {
      ok = Number(*n, path, 1, 7, count);
    } else if (n->key == "memory_mib") {
      ok = Number(*n, path, 1, instance.memory_bytes >> 10, mib);
      instance.memory_bytes = mib << 20;
    } else if (n->key == "sm_count") {
      ok = Small(*n, path, 1, set_.cards[index].sm_count, instance.sm_count);
    } else if (n->key == "uuid") {
      uuid = n;
    } else if (n->key != "profile") {
      ok = Unknown(*n, path, "profile, count, uuid, memory_mib, sm_count");
    }
    if (!ok) return false;
  }
  snprintf(instance.model, sizeof instance.model, "%.60s MIG %llug.%llugb", set_.cards[index].model,
           static_cast<unsigned long long>(wanted), static_cast<unsigned long long>(gigabytes));
  instance.is_mig = false;
  instance.parent = index;
  instance.slices = static_cast<uint32_t>(wanted);
  for (uint64_t i = 0; i < count; ++i) {
    if (set_.total == kMaxCards) {
      error_.Set(node.line, "%s: more than %d cards and instances", path, kMaxCards);
      return false;
    }
    slices += instance.slices;
    instance.gpu_instance = slices;  // as unique as the driver's numbers
    const auto at = static_cast<uint64_t>(set_.total);
    const uint64_t parts[2] = {Mix(set_.seed + 0x4d494700 + 2 * at),
                               Mix(set_.seed + 0x4d494700 + 2 * at + 1)};
    memcpy(instance.uuid_bytes, parts, sizeof parts);
    FormatUuid(instance.uuid_bytes, "MIG-", instance.uuid, sizeof instance.uuid);
    if (uuid != nullptr &&
        (count != 1 || !Text(*uuid, path, instance.uuid) || !uuid->text.starts_with("MIG-") ||
         !ParseUuid(instance.uuid, instance.uuid_bytes))) {
      return Expected(*uuid, path, "one instance and a UUID such as MIG-01234567-...");
    }
    set_.cards[set_.total++] = instance;
  }
  return true;
}

bool CardsBinder::Instances(const YamlNode& list, int index) {
  uint32_t slices = 0;
  int item = 0;
  const int first = set_.total;
  for (const YamlNode* n = list.first_child; n != nullptr; n = n->next, ++item) {
    char path[64];
    snprintf(path, sizeof path, "cards[%d].mig[%d]", index, item);
    if (!InstanceGroup(*n, path, index, slices)) return false;
  }
  uint64_t memory = 0;
  for (int i = first; i < set_.total; ++i) memory += set_.cards[i].memory_bytes;
  if (slices <= 7 && memory <= set_.cards[index].memory_bytes) return true;
  error_.Set(list.line, "cards[%d].mig: %u of 7 slices, %llu of %llu MiB", index, slices,
             static_cast<unsigned long long>(memory >> 20),
             static_cast<unsigned long long>(set_.cards[index].memory_bytes >> 20));
  return false;
}

}  // namespace hami::sim
