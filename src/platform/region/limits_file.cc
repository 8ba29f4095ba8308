#include "platform/region/limits_file.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "abi/limits_page.h"
#include "base/fs.h"
#include "limiter/region/lock.h"
#include "platform/region/open_file.h"

namespace hami::region {
namespace {

template <size_t size>
std::string TextOf(const char (&text)[size]) {
  return {text, strnlen(text, size)};
}

uint64_t Word(Bytes bytes) { return static_cast<uint64_t>(bytes.value); }
Bytes AsBytes(uint64_t word) {
  return Bytes{static_cast<int64_t>(std::min<uint64_t>(word, INT64_MAX))};
}

// The page of a file, mapped for writing.
class MappedPage {
 public:
  explicit MappedPage(int fd)
      : page_(mmap(nullptr, HAMI_LIMITS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) {}
  ~MappedPage() {
    if (valid()) munmap(page_, HAMI_LIMITS_SIZE);
  }
  MappedPage(const MappedPage&) = delete;
  MappedPage& operator=(const MappedPage&) = delete;
  bool valid() const { return page_ != MAP_FAILED; }
  HamiLimitsPage& operator*() { return *static_cast<HamiLimitsPage*>(page_); }

 private:
  void* page_;
};

template <class T>
void Store(T& word, T value) {
  std::atomic_ref(word).store(value, std::memory_order_release);
}

}  // namespace

Result<std::string> EncodeLimits(const LimitsPage& page) {
  if (page.cards.size() > HAMI_LIMITS_DEVICES) {
    return Fail(Code::kInvalidArgument, "a container can have at most " +
                                            std::to_string(HAMI_LIMITS_DEVICES) + " cards, not " +
                                            std::to_string(page.cards.size()));
  }
  if (page.region_path.size() >= HAMI_LIMITS_PATH_SIZE) {
    return Fail(Code::kInvalidArgument, "path " + page.region_path + " is too long");
  }
  std::string bytes(HAMI_LIMITS_SIZE, '\0');
  auto& out = *reinterpret_cast<HamiLimitsPage*>(bytes.data());
  out.magic = HAMI_LIMITS_MAGIC;
  out.version = HAMI_LIMITS_VERSION;
  out.size = HAMI_LIMITS_SIZE;
  out.generation = page.generation;
  out.device_count = static_cast<uint32_t>(page.cards.size());
  out.priority = page.priority;
  out.policy = static_cast<uint32_t>(page.policy);
  if (page.allow_disable_control) out.switches |= HAMI_LIMITS_ALLOW_DISABLE_CONTROL;
  if (page.oversubscribe) out.switches |= HAMI_LIMITS_OVERSUBSCRIBE;
  page.region_path.copy(out.region_path, sizeof out.region_path - 1);
  for (size_t i = 0; i < page.cards.size(); ++i) {
    const PageCard& card = page.cards[i];
    HamiLimitsDevice& device = out.devices[i];
    card.uuid.copy(device.uuid, sizeof device.uuid - 1);
    device.memory_limit = Word(card.memory);
    device.initial_memory_limit = Word(card.initial_memory);
    device.core_percent = static_cast<uint32_t>(card.cores.value);
    device.initial_core_percent = static_cast<uint32_t>(card.initial_cores.value);
    device.phys_share = Word(card.physical_share);
  }
  return bytes;
}

Result<LimitsPage> DecodeLimits(std::string_view bytes) {
  HamiLimitsPage in;
  if (bytes.size() < sizeof in) {
    return Fail(Code::kDataLoss, "not a page of limits: " + std::to_string(bytes.size()) +
                                     " bytes long, expected " + std::to_string(sizeof in));
  }
  std::memcpy(&in, bytes.data(), sizeof in);
  if (in.magic != HAMI_LIMITS_MAGIC || in.version != HAMI_LIMITS_VERSION) {
    return Fail(Code::kDataLoss,
                "not a page of limits of version " + std::to_string(HAMI_LIMITS_VERSION));
  }
  LimitsPage page{.generation = in.generation,
                  .priority = in.priority,
                  .policy = static_cast<CorePolicy>(std::min(in.policy, uint32_t{2})),
                  .allow_disable_control = (in.switches & HAMI_LIMITS_ALLOW_DISABLE_CONTROL) != 0,
                  .oversubscribe = (in.switches & HAMI_LIMITS_OVERSUBSCRIBE) != 0,
                  .region_path = TextOf(in.region_path),
                  .cards = {}};
  const uint32_t count = std::min<uint32_t>(in.device_count, HAMI_LIMITS_DEVICES);
  for (uint32_t i = 0; i < count; ++i) {
    const HamiLimitsDevice& device = in.devices[i];
    page.cards.push_back({.uuid = TextOf(device.uuid),
                          .memory = AsBytes(device.memory_limit),
                          .initial_memory = AsBytes(device.initial_memory_limit),
                          .cores = Percent{device.core_percent},
                          .initial_cores = Percent{device.initial_core_percent},
                          .physical_share = AsBytes(device.phys_share)});
  }
  return page;
}

Result<void> CreateLimits(const std::string& path, const LimitsPage& page) {
  TRY_ASSIGN(const std::string bytes, EncodeLimits(page));
  return RealFileSystem().WriteAtomic(path, bytes, 0644);
}

Result<LimitsPage> ReadLimits(const std::string& path) {
  TRY_ASSIGN(const File file, File::Open(path, false));
  TRY_ASSIGN(const std::string bytes, file.Read(path, HAMI_LIMITS_SIZE));
  auto page = DecodeLimits(bytes);
  if (!page) return Fail(std::move(page).error().With(path));
  return page;
}

Result<bool> IsLimitsPage(const std::string& path) {
  TRY_ASSIGN(const File file, File::Open(path, false));
  TRY_ASSIGN(const std::string head, file.Read(path, sizeof(uint64_t)));
  const uint64_t magic = HAMI_LIMITS_MAGIC;
  return head == std::string_view(reinterpret_cast<const char*>(&magic), sizeof magic);
}

Result<void> ChangeLimits(const std::string& path, std::string_view uuid,
                          const LimitChange& change) {
  TRY(ReadLimits(path));
  TRY_ASSIGN(const File file, File::Open(path, true));
  if (!limiter::region::TryLockRange(file.fd(), 0, HAMI_LIMITS_SIZE)) {
    return Fail(Code::kConflict, path + ": somebody else is changing it now");
  }
  MappedPage mapped(file.fd());
  if (!mapped.valid()) return Fail(ErrnoError("map", path, errno));
  HamiLimitsPage& page = *mapped;
  const uint32_t count = std::min<uint32_t>(page.device_count, HAMI_LIMITS_DEVICES);
  HamiLimitsDevice* device = nullptr;
  for (uint32_t i = 0; i < count; ++i) {
    if (TextOf(page.devices[i].uuid) == uuid) device = &page.devices[i];
  }
  if (device == nullptr) {
    return Fail(Code::kNotFound, path + ": no card " + std::string(uuid) + " on this page");
  }
  const uint64_t begun = page.generation | 1;  // odd already: a writer died in it
  Store(page.generation, begun);
  if (change.memory) Store(device->memory_limit, Word(*change.memory));
  if (change.cores) Store(device->core_percent, static_cast<uint32_t>(change.cores->value));
  if (change.physical_share) Store(device->phys_share, Word(*change.physical_share));
  Store(page.generation, begun + 1);
  return {};
}

}  // namespace hami::region
