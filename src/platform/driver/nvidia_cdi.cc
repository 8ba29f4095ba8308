#include "platform/driver/nvidia_cdi.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/json_write.h"

namespace hami::driver {
namespace {

// hostPath of a device node needs 0.5.0.
constexpr char kCdiVersion[] = "0.5.0";

constexpr std::array kLibraryFolders = {
    "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
    "/lib64",     "/lib/x86_64-linux-gnu",     "/lib/aarch64-linux-gnu"};
constexpr std::array kPrograms = {"nvidia-smi",
                                  "nvidia-debugdump",
                                  "nvidia-persistenced",
                                  "nvidia-cuda-mps-control",
                                  "nvidia-cuda-mps-server",
                                  "nvidia-imex",
                                  "nvidia-imex-ctl"};
constexpr std::array kSockets = {"/run/nvidia-persistenced/socket",
                                 "/run/nvidia-fabricmanager/socket"};

// Where glibc's loader looks without configuration: Debian's and Red Hat's folders.
#if defined(__aarch64__)
constexpr std::array kInside = {"/usr/lib/aarch64-linux-gnu", "/usr/lib64"};
#else
constexpr std::array kInside = {"/usr/lib/x86_64-linux-gnu", "/usr/lib64"};
#endif

std::string HostPath(const std::string& root, const std::string& path) {
  return root == "/" || root.empty() ? path : root + path;
}

bool AllDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The soname under which programs ask for "libX.so.<version>": "libX.so.<n>" beside it, if there
// is.
std::string SonameOf(const std::string& name, const std::string& version,
                     const std::vector<std::string>& folder) {
  const std::string stem = name.substr(0, name.size() - version.size());  // "libX.so."
  for (const std::string& other : folder) {
    if (other.starts_with(stem) && AllDigits(std::string_view(other).substr(stem.size()))) {
      return other;
    }
  }
  // The two that everything asks for, even when nobody ran ldconfig in the driver root.
  if (stem == "libcuda.so." || stem == "libnvidia-ml.so.") return stem + "1";
  return "";
}

void WriteNode(JsonWriter& w, const NodeFacts& facts, const std::string& node) {
  w.Object([&] {
    w.Key("path").String(node);
    w.Key("hostPath").String(HostPath(facts.dev_root, node));
    w.Key("permissions").String("rw");
  });
}

void WriteMount(JsonWriter& w, const std::string& host, const std::string& inside,
                std::initializer_list<std::string_view> options) {
  w.Object([&] {
    w.Key("hostPath").String(host);
    w.Key("containerPath").String(inside);
    w.Key("options").Array([&] {
      for (std::string_view option : options) w.String(option);
    });
  });
}

void WriteDevice(JsonWriter& w, const NodeFacts& facts, const std::string& name,
                 const std::vector<std::string>& nodes) {
  w.Object([&] {
    w.Key("name").String(name);
    w.Key("containerEdits").Object([&] {
      w.Key("deviceNodes").Array([&] {
        for (const std::string& node : nodes) WriteNode(w, facts, node);
      });
    });
  });
}

void WriteCommonEdits(JsonWriter& w, const NvidiaOptions& options, const NodeFacts& facts,
                      const DriverFiles& files) {
  w.Object([&] {
    // "void" keeps an NVIDIA runtime, where there is one, from adding cards of its own.
    w.Key("env").Array([&] { w.String("NVIDIA_VISIBLE_DEVICES=void"); });
    if (!facts.control_nodes.empty()) {
      w.Key("deviceNodes").Array([&] {
        for (const std::string& node : facts.control_nodes) WriteNode(w, facts, node);
      });
    }
    w.Key("mounts").Array([&] {
      for (const auto& [host, name] : files.libraries) {
        for (const char* folder : kInside) {
          WriteMount(w, host, std::string(folder) + "/" + name,
                     {"ro", "nosuid", "nodev", "rbind", "rprivate"});
        }
      }
      for (const auto& [host, inside] : files.programs) {
        WriteMount(w, host, inside, {"ro", "nosuid", "nodev", "rbind", "rprivate"});
      }
      for (const auto& [host, inside] : files.sockets) {
        WriteMount(w, host, inside, {"nosuid", "nodev", "rbind", "rprivate", "noexec"});
      }
      for (const std::string& text : options.cdi_extra_mounts) {
        const auto extra = ParseExtraMount(text);
        if (!extra) continue;  // refused at start by ValidateNvidiaOptions
        if (extra->read_only) {
          WriteMount(w, extra->host_path, extra->container_path,
                     {"ro", "nosuid", "nodev", "rbind", "rprivate"});
        } else {
          WriteMount(w, extra->host_path, extra->container_path,
                     {"nosuid", "nodev", "rbind", "rprivate"});
        }
      }
    });
  });
}

std::string FileName(const std::string& device_class) {
  return std::string(kCdiVendor) + "-" + device_class + ".json";
}

void WriteHead(JsonWriter& w, const std::string& device_class) {
  w.Key("cdiVersion").String(kCdiVersion);
  w.Key("kind").String(std::string(kCdiVendor) + "/" + device_class);
}

}  // namespace

DriverFiles FindDriverFiles(FileSystem& fs, const RootedPath& root,
                            const std::string& driver_version) {
  DriverFiles found;
  std::set<std::string> names;
  for (const char* folder : kLibraryFolders) {
    auto entries = fs.List(HostPath(root.here, folder));
    if (!entries) continue;
    for (const std::string& entry : *entries) {
      if (driver_version.empty() || !entry.starts_with("lib") ||
          !entry.ends_with(".so." + driver_version) || names.contains(entry)) {
        continue;
      }
      const std::string host = HostPath(root.host, std::string(folder) + "/" + entry);
      names.insert(entry);
      found.libraries.emplace_back(host, entry);
      const std::string soname = SonameOf(entry, driver_version, *entries);
      if (!soname.empty() && names.insert(soname).second) {
        found.libraries.emplace_back(host, soname);
      }
    }
  }
  for (const char* program : kPrograms) {
    for (const char* folder : {"/usr/bin/", "/bin/"}) {
      const std::string path = std::string(folder) + program;
      if (!fs.Exists(HostPath(root.here, path))) continue;
      found.programs.emplace_back(HostPath(root.host, path), std::string("/usr/bin/") + program);
      break;
    }
  }
  for (const char* socket : kSockets) {
    if (fs.Exists(HostPath(root.here, socket))) {
      found.sockets.emplace_back(HostPath(root.host, socket), socket);
    }
  }
  return found;
}

std::vector<std::string> ExistingNodes(FileSystem& fs, const std::string& dev_root_here,
                                       const std::vector<std::string>& wanted) {
  std::vector<std::string> nodes;
  for (const std::string& node : wanted) {
    if (fs.Exists(HostPath(dev_root_here, node))) nodes.push_back(node);
  }
  return nodes;
}

CdiSpec GpuSpec(const NvidiaOptions& options, const NodeFacts& facts, const DriverFiles& files,
                const std::vector<CardInfo>& cards) {
  JsonWriter w;
  w.Object([&] {
    WriteHead(w, "gpu");
    w.Key("devices").Array([&] {
      std::vector<std::string> all;
      for (const CardInfo& card : cards) {
        const std::string name =
            options.id_strategy == "index" ? std::to_string(card.index) : card.uuid;
        WriteDevice(w, facts, name, {card.device_node});
        all.push_back(card.device_node);
      }
      if (!all.empty()) WriteDevice(w, facts, "all", all);
    });
    w.Key("containerEdits");
    WriteCommonEdits(w, options, facts, files);
  });
  return {FileName("gpu"), w.Take() + "\n"};
}

CdiSpec NodeSpec(const std::string& device_class, const NodeFacts& facts,
                 const std::vector<std::pair<std::string, std::vector<std::string>>>& devices) {
  JsonWriter w;
  w.Object([&] {
    WriteHead(w, device_class);
    w.Key("devices").Array([&] {
      for (const auto& [name, nodes] : devices) WriteDevice(w, facts, name, nodes);
    });
  });
  return {FileName(device_class), w.Take() + "\n"};
}

}  // namespace hami::driver
