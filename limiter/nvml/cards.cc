#include "limiter/nvml/cards.h"

#include <cstring>

#include "limiter/hook/tables.h"
#include "limiter/region/attachment.h"
#include "limiter/sys/syscall.h"

namespace hami::limiter::nvml {
namespace {

using region::Attachment;

constexpr uint64_t kSmallestContext = uint64_t{8} << 20;
constexpr uint64_t kLargestContext = uint64_t{4} << 30;

// NVML for the length of one question.
class Session {
 public:
  Session() {
    const auto init = HAMI_REAL_NVML(nvmlInit_v2);
    open_ = init != nullptr && init() == NVML_SUCCESS;
  }
  ~Session() {
    const auto shutdown = HAMI_REAL_NVML(nvmlShutdown);
    if (open_ && shutdown != nullptr) shutdown();
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  bool open() const { return open_; }

 private:
  bool open_ = false;
};

bool UuidOf(nvmlDevice_t device, char (&uuid)[HAMI_V1_UUID_SIZE]) {
  const auto get_uuid = HAMI_REAL_NVML(nvmlDeviceGetUUID);
  return get_uuid != nullptr && get_uuid(device, uuid, sizeof uuid) == NVML_SUCCESS;
}

// The container's devices in NVML's order.
struct Devices {
  size_t count = 0;
  nvmlDevice_t device[HAMI_V1_DEVICES];

  void Add(nvmlDevice_t added) {
    if (count < HAMI_V1_DEVICES) device[count++] = added;
  }
};

// False: the card is not divided. Its instances stand in its place: they are what programs compute
// on and what limits are about.
bool AddInstances(nvmlDevice_t card, Devices& devices) {
  const auto most = HAMI_REAL_NVML(nvmlDeviceGetMaxMigDeviceCount);
  const auto by_index = HAMI_REAL_NVML(nvmlDeviceGetMigDeviceHandleByIndex);
  unsigned count = 0;
  if (most == nullptr || by_index == nullptr || most(card, &count) != NVML_SUCCESS) return false;
  bool any = false;
  for (unsigned i = 0; i < count; ++i) {  // numbers may have gaps
    nvmlDevice_t instance = nullptr;
    if (by_index(card, i, &instance) != NVML_SUCCESS) continue;
    devices.Add(instance);
    any = true;
  }
  return any;
}

// Nothing while NVML does not tell.
Devices ListDevices() {
  const auto get_count = HAMI_REAL_NVML(nvmlDeviceGetCount_v2);
  const auto by_index = HAMI_REAL_NVML(nvmlDeviceGetHandleByIndex_v2);
  unsigned count = 0;
  Devices devices;
  if (get_count == nullptr || by_index == nullptr || get_count(&count) != NVML_SUCCESS) return {};
  for (unsigned i = 0; i < count && i < HAMI_V1_DEVICES; ++i) {
    nvmlDevice_t card = nullptr;
    if (by_index(i, &card) != NVML_SUCCESS) return {};
    if (!AddInstances(card, devices)) devices.Add(card);
  }
  return devices;
}

template <class Info>
bool ReadProcesses(nvmlReturn_t (*function)(nvmlDevice_t, unsigned*, Info*), nvmlDevice_t device,
                   Processes& out) {
  Info infos[Processes::kMost];
  unsigned count = Processes::kMost;
  if (function == nullptr || function(device, &count, infos) != NVML_SUCCESS) return false;
  out.count = count < Processes::kMost ? count : Processes::kMost;
  for (size_t i = 0; i < out.count; ++i) {
    out.pid[i] = infos[i].pid;
    out.bytes[i] = infos[i].used == NVML_VALUE_NOT_AVAILABLE ? 0 : infos[i].used;
  }
  return true;
}

}  // namespace

bool LearnCardsWhileOpen() {
  Attachment& own = Attachment::Own();
  const Devices devices = ListDevices();
  if (devices.count == 0) return false;
  HamiV1Region& v1 = own.region().v1;
  for (size_t i = 0; i < devices.count; ++i) {
    char uuid[HAMI_V1_UUID_SIZE] = {};
    if (!UuidOf(devices.device[i], uuid)) return false;
    if (strncmp(v1.uuids[i], uuid, sizeof uuid) != 0) memcpy(v1.uuids[i], uuid, sizeof uuid);
  }
  std::atomic_ref(v1.device_num).store(devices.count, std::memory_order_release);
  own.limits().BindCards();
  return true;
}

bool LearnCards() {
  const Session session;
  return session.open() && LearnCardsWhileOpen();
}

int IndexOfUuid(const char* uuid) {
  const HamiV1Region& v1 = Attachment::Own().region().v1;
  for (int i = 0; i < HAMI_V1_DEVICES; ++i) {
    if (v1.uuids[i][0] != '\0' && strncmp(v1.uuids[i], uuid, HAMI_V1_UUID_SIZE) == 0) return i;
  }
  return -1;
}

namespace {

// NVML's handle of a card of the region; nullptr: not there. In a session.
nvmlDevice_t HandleOf(unsigned index) {
  const Devices devices = ListDevices();
  for (size_t i = 0; i < devices.count; ++i) {
    char uuid[HAMI_V1_UUID_SIZE] = {};
    if (UuidOf(devices.device[i], uuid) && IndexOfUuid(uuid) == static_cast<int>(index)) {
      return devices.device[i];
    }
  }
  return nullptr;
}

}  // namespace

std::optional<Processes> ProcessesOn(unsigned index) {
  const Session session;
  const nvmlDevice_t device = session.open() ? HandleOf(index) : nullptr;
  if (device == nullptr) return std::nullopt;
  Processes processes;
  if (ReadProcesses(HAMI_REAL_NVML(nvmlDeviceGetComputeRunningProcesses_v3), device, processes) ||
      ReadProcesses(HAMI_REAL_NVML(nvmlDeviceGetComputeRunningProcesses_v2), device, processes) ||
      ReadProcesses(HAMI_REAL_NVML(nvmlDeviceGetComputeRunningProcesses), device, processes)) {
    return processes;
  }
  return std::nullopt;
}

bool StayOpen() {
  const auto init = HAMI_REAL_NVML(nvmlInit_v2);
  return init != nullptr && init() == NVML_SUCCESS;
}

std::optional<Utilization> UtilizationOn(unsigned index, uint64_t since_us) {
  const auto ask = HAMI_REAL_NVML(nvmlDeviceGetProcessUtilization);
  const nvmlDevice_t device = ask == nullptr ? nullptr : HandleOf(index);
  if (device == nullptr) return std::nullopt;
  Utilization all;
  all.count = Processes::kMost;
  const nvmlReturn_t result = ask(device, all.samples, &all.count, since_us);
  if (result == NVML_ERROR_NOT_FOUND) return Utilization{};  // nobody was busy
  if (result != NVML_SUCCESS) return std::nullopt;
  if (all.count > Processes::kMost) all.count = Processes::kMost;
  return all;
}

std::optional<unsigned> Utilization::Of(uint32_t pid) const {
  unsigned sum = 0, found = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (samples[i].pid != pid || samples[i].sm > 100) continue;
    sum += samples[i].sm;
    ++found;
  }
  if (found == 0) return std::nullopt;
  return sum / found;
}

uint64_t Utilization::newest_us() const {
  uint64_t newest = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (samples[i].sm <= 100 && samples[i].time_us > newest) newest = samples[i].time_us;
  }
  return newest;
}

std::optional<uint64_t> GrowthOfOwn(const Processes& before, const Processes& after) {
  const auto plausible = [](uint64_t bytes) -> std::optional<uint64_t> {
    if (bytes < kSmallestContext || bytes > kLargestContext) return std::nullopt;
    return bytes;
  };
  const auto own = static_cast<uint32_t>(sys::GetPid());
  const uint64_t was = before.BytesOf(own);
  const uint64_t is = after.BytesOf(own);
  if (is > was) return plausible(is - was);
  uint64_t bytes = 0;
  for (size_t i = 0; i < after.count; ++i) {
    if (before.BytesOf(after.pid[i]) != 0) continue;
    if (bytes != 0 && bytes != after.bytes[i]) return std::nullopt;
    bytes = after.bytes[i];
  }
  return bytes != 0 ? plausible(bytes) : std::nullopt;
}

}  // namespace hami::limiter::nvml
