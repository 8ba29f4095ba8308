#include "platform/driver/nvml.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "platform/driver/nvml_abi.h"

namespace hami::driver {
namespace {

using nvml::Return;

constexpr std::array kLibraryFolders = {
    "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
    "/lib64",     "/lib/x86_64-linux-gnu",     "/lib/aarch64-linux-gnu"};
constexpr char kSoname[] = "libnvidia-ml.so.1";
constexpr size_t kTextBytes = 128;

template <class F>
void Resolve(void* library, F& entry, const char* name) {
  entry = reinterpret_cast<F>(::dlsym(library, name));
}

nvml::Table ResolveAll(void* library) {
  nvml::Table t;
  Resolve(library, t.init, "nvmlInit_v2");
  Resolve(library, t.shutdown, "nvmlShutdown");
  Resolve(library, t.error_string, "nvmlErrorString");
  Resolve(library, t.driver_version, "nvmlSystemGetDriverVersion");
  Resolve(library, t.count, "nvmlDeviceGetCount_v2");
  Resolve(library, t.by_index, "nvmlDeviceGetHandleByIndex_v2");
  Resolve(library, t.uuid, "nvmlDeviceGetUUID");
  Resolve(library, t.name, "nvmlDeviceGetName");
  Resolve(library, t.minor, "nvmlDeviceGetMinorNumber");
  Resolve(library, t.pci, "nvmlDeviceGetPciInfo_v3");
  Resolve(library, t.memory, "nvmlDeviceGetMemoryInfo");
  Resolve(library, t.mig_mode, "nvmlDeviceGetMigMode");
  Resolve(library, t.capability, "nvmlDeviceGetCudaComputeCapability");
  Resolve(library, t.numa, "nvmlDeviceGetNumaNodeId");
  Resolve(library, t.supported_events, "nvmlDeviceGetSupportedEventTypes");
  Resolve(library, t.register_events, "nvmlDeviceRegisterEvents");
  Resolve(library, t.event_set_create, "nvmlEventSetCreate");
  Resolve(library, t.event_set_free, "nvmlEventSetFree");
  Resolve(library, t.event_wait, "nvmlEventSetWait_v2");
  return t;
}

// Texts come back in fixed buffers; a library that forgets the terminator must not be followed.
template <size_t N>
std::string Bounded(const std::array<char, N>& text) {
  return std::string(text.begin(), std::find(text.begin(), text.end(), '\0'));
}

// "00000000:3B:00.0" -> "0000:3b:00.0", as sysfs spells it.
std::string SysfsBusId(std::string id) {
  std::transform(id.begin(), id.end(), id.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c; });
  if (id.size() > 12 && id.starts_with("0000")) id.erase(0, 4);
  return id;
}

class NvmlBackend final : public Backend {
 public:
  NvmlBackend(FileSystem& fs, NvmlOptions options, void* library, nvml::Table table)
      : fs_(fs), options_(std::move(options)), library_(library), nvml_(table) {}

  ~NvmlBackend() override {
    if (events_ && nvml_.event_set_free) nvml_.event_set_free(events_);
    if (nvml_.shutdown) nvml_.shutdown();
    // The library stays loaded: its threads may still run.
    static_cast<void>(library_);
  }

  std::string_view vendor() const override { return "NVIDIA"; }

  std::string DriverVersion() const override {
    std::array<char, kTextBytes> text = {};
    if (!nvml_.driver_version) return "";
    if (nvml_.driver_version(text.data(), text.size() - 1) != nvml::kSuccess) return "";
    return Bounded(text);
  }

  Result<std::vector<CardInfo>> Enumerate() override {
    unsigned count = 0;
    if (const Return r = nvml_.count(&count); r != nvml::kSuccess) {
      return Fail(Code::kUnavailable, "count NVML devices: " + Text(r));
    }
    std::vector<CardInfo> cards;
    for (unsigned i = 0; i < count; ++i) {
      nvml::Handle handle = nullptr;
      if (const Return r = nvml_.by_index(i, &handle); r != nvml::kSuccess) {
        CardInfo lost = KnownAt(i);
        lost.fault = "get handle of NVML device " + std::to_string(i) + ": " + Text(r);
        // Without a UUID from an earlier look nothing can be said about it.
        if (!lost.uuid.empty()) cards.push_back(std::move(lost));
        continue;
      }
      cards.push_back(Describe(i, handle));
    }
    Remember(cards);
    std::erase_if(cards, [](const CardInfo& c) { return c.uuid.empty(); });
    return cards;
  }

  Result<std::vector<HealthEvent>> WaitEvents(Duration wait) override {
    TRY(ArmEvents());
    nvml::EventData data = {};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
    const Return r = nvml_.event_wait(events_, &data, static_cast<unsigned>(ms));
    if (r == nvml::kTimeout) return std::vector<HealthEvent>{};
    if (r != nvml::kSuccess) {
      // A lost card wakes the wait with an error; the set is made anew for the cards that remain.
      nvml_.event_set_free(events_);
      events_ = nullptr;
      return Fail(Code::kUnavailable, "wait for NVML events: " + Text(r));
    }
    if (data.type != nvml::kEventXid) return std::vector<HealthEvent>{};
    std::array<char, kTextBytes> uuid = {};
    if (nvml_.uuid(data.device, uuid.data(), uuid.size() - 1) != nvml::kSuccess) uuid = {};
    return std::vector<HealthEvent>{{.uuid = Bounded(uuid), .code = data.data}};
  }

 private:
  std::string Text(Return r) const {
    const char* text = nvml_.error_string ? nvml_.error_string(r) : nullptr;
    return text ? text : "error " + std::to_string(r);
  }

  CardInfo Describe(unsigned index, nvml::Handle handle) {
    CardInfo card = KnownAt(index);
    card.index = index;
    card.fault.clear();
    std::array<char, kTextBytes> text = {};
    if (const Return r = nvml_.uuid(handle, text.data(), text.size() - 1); r == nvml::kSuccess) {
      card.uuid = Bounded(text);
    } else {
      card.fault = "get UUID of NVML device " + std::to_string(index) + ": " + Text(r);
    }
    text = {};
    if (const Return r =
            nvml_.name ? nvml_.name(handle, text.data(), text.size() - 1) : nvml::kNotSupported;
        r == nvml::kSuccess) {
      card.model = Bounded(text);
      if (!card.model.starts_with("NVIDIA")) card.model.insert(0, "NVIDIA-");
    } else if (card.fault.empty()) {
      card.fault = "get name of " + card.uuid + ": " + Text(r);
    }
    ReadMemory(handle, card);
    card.minor = index;
    if (nvml_.minor && nvml_.minor(handle, &card.minor) != nvml::kSuccess) card.minor = index;
    card.device_node = "/dev/nvidia" + std::to_string(card.minor);
    unsigned current = 0, pending = 0;
    card.mig_enabled = nvml_.mig_mode &&
                       nvml_.mig_mode(handle, &current, &pending) == nvml::kSuccess && current == 1;
    int major = 0, minor = 0;
    if (nvml_.capability && nvml_.capability(handle, &major, &minor) == nvml::kSuccess) {
      card.compute_capability = std::to_string(major) + "." + std::to_string(minor);
    }
    ReadPlace(handle, card);
    return card;
  }

  void ReadMemory(nvml::Handle handle, CardInfo& card) {
    nvml::Memory memory = {};
    const Return r = nvml_.memory ? nvml_.memory(handle, &memory) : nvml::kNotSupported;
    if (r == nvml::kSuccess) {
      card.memory = Bytes{static_cast<int64_t>(memory.total)};
    } else if (r == nvml::kNotSupported) {
      card.memory.reset();
    } else if (card.fault.empty()) {
      card.fault = "get memory of " + card.uuid + ": " + Text(r);
    }
  }

  void ReadPlace(nvml::Handle handle, CardInfo& card) {
    nvml::PciInfo pci = {};
    card.numa.reset();
    if (nvml_.pci && nvml_.pci(handle, &pci) == nvml::kSuccess) {
      std::array<char, sizeof pci.bus_id> id = {};
      std::copy(std::begin(pci.bus_id), std::end(pci.bus_id), id.begin());
      card.pci_bus_id = SysfsBusId(Bounded(id));
      auto text = fs_.Read(options_.sysfs + "/bus/pci/devices/" + card.pci_bus_id + "/numa_node");
      int node = -1;
      if (text &&
          std::from_chars(text->data(), text->data() + text->size(), node).ec == std::errc() &&
          node >= 0) {
        card.numa = node;
        return;
      }
    }
    unsigned node = 0;
    if (nvml_.numa && nvml_.numa(handle, &node) == nvml::kSuccess) {
      card.numa = static_cast<int>(node);
    }
  }

  // What the last look said about the card at this index; empty the first time.
  CardInfo KnownAt(unsigned index) {
    MutexLock lock(mutex_);
    auto it = known_.find(index);
    return it == known_.end() ? CardInfo{.index = index} : it->second;
  }

  void Remember(const std::vector<CardInfo>& cards) {
    MutexLock lock(mutex_);
    for (const CardInfo& card : cards) {
      if (!card.uuid.empty()) known_[card.index] = card;
    }
  }

  Result<void> ArmEvents() {
    if (events_) return {};
    if (!nvml_.event_set_create || !nvml_.register_events || !nvml_.event_wait ||
        !nvml_.event_set_free) {
      return Fail(Code::kUnimplemented, "this driver has no health events");
    }
    nvml::EventSet set = nullptr;
    if (const Return r = nvml_.event_set_create(&set); r != nvml::kSuccess) {
      return Fail(r == nvml::kNotSupported ? Code::kUnimplemented : Code::kUnavailable,
                  "create NVML event set: " + Text(r));
    }
    unsigned count = 0, armed = 0;
    nvml_.count(&count);
    for (unsigned i = 0; i < count; ++i) {
      nvml::Handle handle = nullptr;
      if (nvml_.by_index(i, &handle) != nvml::kSuccess) continue;
      unsigned long long supported = ~0ULL;
      if (nvml_.supported_events) nvml_.supported_events(handle, &supported);
      const uint64_t wanted =
          (nvml::kEventXid | nvml::kEventDoubleBitEcc | nvml::kEventSingleBitEcc) & supported;
      const Return r = nvml_.register_events(handle, wanted, set);
      if (r == nvml::kSuccess) {
        ++armed;
      } else {
        LOG(kWarn, "no health events of this card").Kv("index", i).Kv("error", Text(r));
      }
    }
    if (armed == 0) {
      nvml_.event_set_free(set);
      return Fail(Code::kUnimplemented, "no card reports health events");
    }
    events_ = set;
    return {};
  }

  FileSystem& fs_;
  const NvmlOptions options_;
  void* library_;
  const nvml::Table nvml_;
  nvml::EventSet events_ = nullptr;  // WaitEvents only
  Mutex mutex_;
  std::map<unsigned, CardInfo> known_ GUARDED_BY(mutex_);
};

}  // namespace

std::vector<std::string> NvmlCandidates(FileSystem& fs, const NvmlOptions& options) {
  if (!options.library.empty()) return {options.library};
  std::vector<std::string> files;
  if (!options.driver_root.empty()) {
    for (const char* folder : kLibraryFolders) {
      std::string file = options.driver_root + folder + "/" + kSoname;
      if (fs.Exists(file)) files.push_back(std::move(file));
    }
  }
  files.push_back(kSoname);
  return files;
}

Result<std::unique_ptr<Backend>> LoadNvml(FileSystem& fs, NvmlOptions options) {
  std::string tried;
  for (const std::string& file : NvmlCandidates(fs, options)) {
    void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      const char* why = ::dlerror();
      tried += (tried.empty() ? "" : "; ") + std::string(why ? why : file);
      continue;
    }
    const nvml::Table table = ResolveAll(library);
    if (!table.init || !table.count || !table.by_index || !table.uuid) {
      ::dlclose(library);
      tried += (tried.empty() ? "" : "; ") + file + ": not a usable NVML library";
      continue;
    }
    if (const Return r = table.init(); r != nvml::kSuccess) {
      const char* text = table.error_string ? table.error_string(r) : nullptr;
      return Fail(Code::kUnavailable,
                  "Failed to initialize NVML: " + std::string(text ? text : std::to_string(r)) +
                      " (" + file + ")");
    }
    return std::unique_ptr<Backend>(
        std::make_unique<NvmlBackend>(fs, std::move(options), library, table));
  }
  return Fail(Code::kNotFound, "load NVML: " + tried);
}

}  // namespace hami::driver
