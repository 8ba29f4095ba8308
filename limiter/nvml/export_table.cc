// nvidia-smi does not ask for its list of processes by a public function: it takes three entries of
// a private table (docs/adr/0015). It gets a copy of that table in which those three list the
// container's processes; every other entry is the driver's own.
#include <atomic>
#include <cstring>

#include "limiter/nvml/process_lists.h"

namespace hami::limiter::nvml {
namespace {

constexpr unsigned char kTableId[16] = {0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
                                        0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4};
// The same in drivers 535 and 580; what an older one has there is not known.
constexpr size_t kFirstList = 213, kLists = 3;
constexpr unsigned kOldestDriver = 535;
constexpr size_t kLargestTable = 65536;

struct PrivateProcess {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
  unsigned long long protected_memory;
  char name[4096];
};
static_assert(sizeof(PrivateProcess) == 4128);

using List = nvmlReturn_t (*)(nvmlDevice_t, unsigned*, PrivateProcess*);

constinit std::atomic<List> real_lists[kLists];
constinit std::atomic<const uintptr_t*> wrapped{nullptr};

// First argument of the command line; left empty when /proc does not tell.
void PutName(PrivateProcess& info) {
  sys::Text<48> path;
  path.Add("/proc/").Add(uint64_t{info.pid}).Add("/cmdline");
  const int fd = sys::Open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const long count = sys::Read(fd, info.name, sizeof info.name - 1);
  sys::Close(fd);
  info.name[count > 0 ? count : 0] = '\0';  // the arguments are NUL-separated
}

void Put(const region::Member& member, Instance at, PrivateProcess& info) {
  info.pid = member.pid;
  info.used = member.bytes;
  info.gpu_instance = at.gpu;
  info.compute_instance = at.compute;
  info.protected_memory = 0;
  info.name[0] = '\0';
}

template <size_t kList>
nvmlReturn_t ListPrivate(nvmlDevice_t device, unsigned* count, PrivateProcess* infos) {
  const List real = real_lists[kList].load(std::memory_order_acquire);
  const About about = kList == 0 ? About::kCompute : About::kOther;
  const nvmlReturn_t result =
      ListProcesses(device, about, count, infos,
                    [&](unsigned* n, PrivateProcess* all) { return real(device, n, all); });
  if (result != NVML_SUCCESS || infos == nullptr || !ListsAreOurs()) return result;
  for (unsigned i = 0; i < *count; ++i) PutName(infos[i]);
  return result;
}

unsigned DriverVersion() {
  const auto ask = HAMI_REAL_NVML(nvmlSystemGetDriverVersion);
  char text[80] = {};
  if (ask == nullptr || ask(text, sizeof text) != NVML_SUCCESS) return 0;
  unsigned version = 0;
  for (const char* c = text; *c >= '0' && *c <= '9'; ++c) {
    version = version * 10 + static_cast<unsigned>(*c - '0');
  }
  return version;
}

// The first word of a table is its size in bytes.
const uintptr_t* Wrap(const uintptr_t* real) {
  const size_t size = real[0];
  if (size < (kFirstList + kLists) * sizeof(uintptr_t) || size > kLargestTable ||
      DriverVersion() < kOldestDriver) {
    return real;
  }
  auto* copy = static_cast<uintptr_t*>(
      sys::Map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1));
  if (copy == nullptr) return real;
  memcpy(copy, real, size);
  const List lists[kLists] = {&ListPrivate<0>, &ListPrivate<1>, &ListPrivate<2>};
  for (size_t i = 0; i < kLists; ++i) {
    if (real[kFirstList + i] == 0) continue;
    real_lists[i].store(reinterpret_cast<List>(real[kFirstList + i]), std::memory_order_release);
    copy[kFirstList + i] = reinterpret_cast<uintptr_t>(lists[i]);
  }
  const uintptr_t* none = nullptr;
  if (wrapped.compare_exchange_strong(none, copy)) return copy;
  sys::Unmap(copy, size);  // another thread was first
  return none;
}

}  // namespace
}  // namespace hami::limiter::nvml

extern "C" nvmlReturn_t nvmlInternalGetExportTable(const void** table, const void* id) {
  using namespace hami::limiter;
  const auto real = HAMI_REAL_NVML(nvmlInternalGetExportTable);
  if (real == nullptr) return NVML_ERROR_FUNCTION_NOT_FOUND;
  const nvmlReturn_t result = real(table, id);
  if (result != NVML_SUCCESS || table == nullptr || *table == nullptr || id == nullptr ||
      memcmp(id, nvml::kTableId, sizeof nvml::kTableId) != 0 || !nvml::ListsAreOurs()) {
    return result;
  }
  const hook::Inside inside;
  const uintptr_t* known = nvml::wrapped.load(std::memory_order_acquire);
  *table = known != nullptr ? known : nvml::Wrap(static_cast<const uintptr_t*>(*table));
  return result;
}
