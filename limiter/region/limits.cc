#include "limiter/region/limits.h"

#include <dlfcn.h>

#include <cstring>

#include "limiter/sys/log.h"
#include "limiter/sys/syscall.h"

namespace hami::limiter::region {
namespace {

// The folder part of a path with its slash; empty when there is none.
std::string_view FolderOf(std::string_view path) {
  while (!path.empty() && path.back() != '/') path.remove_suffix(1);
  return path;
}

const HamiLimitsPage* MapPage(std::string_view folder) {
  sys::Text<512> path;
  path.Add(folder).Add(HAMI_LIMITS_FILE);
  const int fd = sys::Open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return nullptr;
  struct stat status;
  void* page = nullptr;
  if (sys::Stat(fd, &status) == 0 && status.st_size >= HAMI_LIMITS_SIZE) {
    page = sys::Map(HAMI_LIMITS_SIZE, PROT_READ, MAP_SHARED, fd);
  }
  sys::Close(fd);
  const auto* limits = static_cast<const HamiLimitsPage*>(page);
  if (limits != nullptr && limits->magic == HAMI_LIMITS_MAGIC &&
      limits->version == HAMI_LIMITS_VERSION) {
    return limits;
  }
  HAMI_LIMITER_LOG(kError, text.Add(path.view()).Add(" is not a page of limits: ignored"));
  if (page != nullptr) sys::Unmap(page, HAMI_LIMITS_SIZE);
  return nullptr;
}

// Others may change the word meanwhile.
template <class Word>
Word LoadWord(const Word& word) {
  return std::atomic_ref(const_cast<Word&>(word)).load(std::memory_order_relaxed);
}

}  // namespace

void Limits::OpenPage(std::string_view region_path) {
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&MapPage), &info) != 0 && info.dli_fname != nullptr) {
    page_ = MapPage(FolderOf(info.dli_fname));
  }
  if (page_ == nullptr) page_ = MapPage(FolderOf(region_path));
}

std::string_view Limits::RegionPath() const {
  if (page_ == nullptr || page_->region_path[0] != '/') return {};
  return {page_->region_path, strnlen(page_->region_path, sizeof page_->region_path)};
}

Creation Limits::Beginning(const env::Settings& settings) const {
  Creation creation{settings.memory_limit, settings.sm_percent, settings.priority};
  if (page_ == nullptr) return creation;
  for (uint32_t i = 0; i < HAMI_LIMITS_DEVICES && i < page_->device_count; ++i) {
    creation.memory_limit[i] = page_->devices[i].memory_limit;
    creation.sm_percent[i] = page_->devices[i].core_percent;
  }
  creation.priority = page_->priority;
  return creation;
}

void Limits::Bind(const HamiRegion* region, const env::Settings& settings) {
  region_ = region;
  settings_ = &settings;
  oversubscribed_ = settings.oversubscribe || HasSwitch(HAMI_LIMITS_OVERSUBSCRIBE);
  BindCards();
}

void Limits::BindCards() {
  if (region_ == nullptr) return;
  const uint32_t count = page_ == nullptr ? 0 : page_->device_count;
  for (unsigned d = 0; d < HAMI_EXT_DEVICES; ++d) {
    int8_t entry = 0;
    const char* uuid = region_->v1.uuids[d];
    for (uint32_t i = 0; i < count && i < HAMI_LIMITS_DEVICES; ++i) {
      // Until the cards are known the page's order is theirs: both are sorted by NVML index.
      const bool same =
          uuid[0] == '\0' ? i == d : strncmp(uuid, page_->devices[i].uuid, HAMI_V1_UUID_SIZE) == 0;
      if (same) entry = static_cast<int8_t>(i + 1);
    }
    entry_of_[d].store(entry, std::memory_order_relaxed);
    wish_[d].store(MemoryWish(d), std::memory_order_relaxed);
    core_wish_[d].store(CoreWish(d), std::memory_order_relaxed);
  }
}

// A value in the environment that equals the initial limit is the creator's own and must not hold a
// later resize back; a lower one is the user's wish; a higher one is ignored (spec C8).
uint64_t Limits::MemoryWish(unsigned device) const {
  const uint64_t asked = settings_->memory_limit[device];
  const HamiLimitsDevice* entry = EntryOf(device);
  const uint64_t initial = entry != nullptr ? entry->initial_memory_limit
                                            : region_->ext.header.devices[device].initial_limit;
  return initial == 0 || asked < initial ? asked : 0;
}

// The same for percent. A file that does not know its initial value was made with the one it has.
uint32_t Limits::CoreWish(unsigned device) const {
  const uint32_t asked = settings_->sm_percent[device];
  const HamiLimitsDevice* entry = EntryOf(device);
  uint64_t initial = entry != nullptr ? entry->initial_core_percent
                                      : region_->ext.header.devices[device].initial_core;
  if (initial == 0) initial = LoadWord(region_->v1.sm_limit[device]);
  return initial == 0 || asked < initial ? asked : 0;
}

uint64_t Limits::Memory(unsigned device) const {
  uint64_t limit = LowerLimit(LoadWord(region_->v1.limit[device]),
                              wish_[device].load(std::memory_order_relaxed));
  if (const HamiLimitsDevice* entry = EntryOf(device)) {
    limit = LowerLimit(limit, LoadWord(entry->memory_limit));
  }
  if (oversubscribed_ && !CanPage(device)) limit = LowerLimit(limit, ShareOnFile(device));
  return limit;
}

uint64_t Limits::ShareOnFile(unsigned device) const {
  const uint64_t share = LoadWord(region_->ext.header.devices[device].phys_share);
  const HamiLimitsDevice* entry = EntryOf(device);
  return entry == nullptr ? share : LowerLimit(share, LoadWord(entry->phys_share));
}

uint32_t Limits::CorePercent(unsigned device) const {
  const auto limit = [](uint64_t percent) { return percent == 0 || percent > 100 ? 100 : percent; };
  uint64_t percent = limit(LoadWord(region_->v1.sm_limit[device]));
  const uint64_t wish = limit(core_wish_[device].load(std::memory_order_relaxed));
  if (wish < percent) percent = wish;
  if (const HamiLimitsDevice* entry = EntryOf(device)) {
    const uint64_t page = limit(LoadWord(entry->core_percent));
    if (page < percent) percent = page;
  }
  return static_cast<uint32_t>(percent);
}

uint32_t Limits::CorePolicy() const {
  if (page_ != nullptr) {
    const uint32_t policy = LoadWord(page_->policy);
    if (policy == HAMI_POLICY_FORCE || policy == HAMI_POLICY_DISABLE) return policy;
  }
  return settings_->core_policy;
}

}  // namespace hami::limiter::region
