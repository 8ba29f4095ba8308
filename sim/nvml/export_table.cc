// The private table that nvidia-smi asks for (spec libvgpu.md D1): a size word, then functions.
// What is known of it was seen from nvidia-smi 535 and 580; every other entry answers 0 and does
// nothing.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "sim/nvml/processes.h"

using namespace hami::sim;  // NOLINT: only exported C functions below

namespace {

constexpr unsigned char kTableId[16] = {0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
                                        0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4};
constexpr int kEntries = 256;
constexpr int kTopologyEntry = 23, kHandleEntry = 81, kComputeEntry = 213, kGraphicsEntry = 214,
              kMpsEntry = 215;

struct PrivateProcess {
  uint32_t pid;
  uint64_t used;
  uint32_t gpu_instance, compute_instance;
  uint64_t protected_memory;
  char name[4096];
};
static_assert(sizeof(PrivateProcess) == 4128);

int Nothing() { return kNvmlSuccess; }

int HandleByIndex(uintptr_t index, NvmlDevice** out, uintptr_t kind) {
  NvmlLibrary& library = NvmlLibrary::Get();
  if (kind != 0x22 || index >= static_cast<uintptr_t>(library.machine().visible_count())) {
    return kNvmlSuccess;
  }
  return library.HandleOf(library.machine().visible(static_cast<int>(index)), out);
}

// Index of the visible card with this bus id ("00000000:10:00.0"); -1 if none.
int CardAt(NvmlLibrary& library, const char* bus_id) {
  unsigned domain = 0, bus = 0, slot = 0;
  if (sscanf(bus_id, "%x:%x:%x", &domain, &bus, &slot) != 3) return -1;
  for (int i = 0; i < library.machine().visible_count(); ++i) {
    const int index = library.machine().visible(i);
    const Card& card = library.machine().cards().cards[index];
    if (card.pci_domain == domain && card.pci_bus == bus && card.pci_device == slot) return index;
  }
  return -1;
}

// What `nvidia-smi topo -m` prints: 0 PIX, 1 PXB, 2 PHB, 3 NODE, 4 SYS, 4 + n for n NVLinks.
int Connection(const char* from, const char* to, uint32_t* connection) {
  NvmlLibrary& library = NvmlLibrary::Get();
  const int a = CardAt(library, from);
  const int b = CardAt(library, to);
  if (a < 0 || b < 0) return kNvmlInvalidArgument;
  const CardSet& set = library.machine().cards();
  uint32_t links = set.nvlinks[a][b];
  if (links == 0) {  // through switches every pair has the smaller of both cards' links
    const uint32_t x = set.cards[a].nvswitch_links;
    const uint32_t y = set.cards[b].nvswitch_links;
    links = x < y ? x : y;
  }
  const auto level = static_cast<uint32_t>(set.level[a][b]);
  *connection = links != 0 ? 4 + links : level < 10 ? 0 : level / 10 - 1;
  return kNvmlSuccess;
}

int ComputeProcesses(NvmlDevice* device, uint32_t* count, PrivateProcess* infos) {
  NvmlLibrary& library = NvmlLibrary::Get();
  if (library.IndexOf(device) < 0) return kNvmlInvalidArgument;
  const uint32_t room = *count;
  uint32_t found = 0;
  ForEachProcess(library, device->card, [&](int slot, uint32_t pid, uint64_t bytes) {
    if (found < room) {
      PrivateProcess& info = infos[found];
      info.pid = pid;
      info.used = bytes;
      info.gpu_instance = info.compute_instance = kNoInstance;
      info.protected_memory = 0;
      if (!ProcessName(pid - static_cast<uint32_t>(library.machine().cards().pid_offset), info.name,
                       sizeof info.name)) {
        CopyText(info.name, library.machine().ledger().file()->slots[slot].name);
      }
    }
    ++found;
  });
  *count = found;
  return found > room ? kNvmlInsufficientSize : kNvmlSuccess;
}

int NoProcesses(NvmlDevice*, uint32_t* count) {
  *count = 0;
  return kNvmlSuccess;
}

template <class Function>
uintptr_t Word(Function* function) {
  return reinterpret_cast<uintptr_t>(function);
}

}  // namespace

SIM_NVML nvmlInternalGetExportTable(const void** table, const void* id) {
  static uintptr_t words[kEntries];
  if (table == nullptr || id == nullptr) return kNvmlInvalidArgument;
  if (memcmp(id, kTableId, sizeof kTableId) != 0) return kNvmlNotFound;
  // Written anew with the same values each time: harmless from several threads.
  words[0] = sizeof words;
  for (int i = 1; i < kEntries; ++i) words[i] = Word(&Nothing);
  words[kTopologyEntry] = Word(&Connection);
  words[kHandleEntry] = Word(&HandleByIndex);
  words[kComputeEntry] = Word(&ComputeProcesses);
  words[kGraphicsEntry] = words[kMpsEntry] = Word(&NoProcesses);
  *table = words;
  return kNvmlSuccess;
}
