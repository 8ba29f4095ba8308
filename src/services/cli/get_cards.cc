#include "services/cli/get_cards.h"

#include "base/json_write.h"
#include "base/printable.h"
#include "base/table.h"

namespace hami::cli {
namespace {

constexpr size_t kPodsInNarrowTable = 2;

std::string Ratio(int64_t used, int64_t total) {
  return std::to_string(used) + "/" + std::to_string(total);
}

const std::vector<Holder>& HoldersOf(const NodePicture& node, const std::string& uuid) {
  static const std::vector<Holder> kNone;
  auto it = node.holders.find(uuid);
  return it == node.holders.end() ? kNone : it->second;
}

std::string PodsCell(const std::vector<Holder>& holders, bool wide) {
  std::string cell;
  for (size_t i = 0; i < holders.size(); ++i) {
    if (!wide && i == kPodsInNarrowTable) {
      return cell + " +" + std::to_string(holders.size() - i);
    }
    const Holder& holder = holders[i];
    cell += (cell.empty() ? "" : ",") + holder.pod.Text();
    if (wide) {
      cell += "(" + std::to_string(holder.usage.memory.value) + "MiB," +
              std::to_string(holder.usage.cores.value) + ")";
    }
  }
  return cell;
}

std::string HealthCell(const NodePicture& node, const Device& device) {
  if (!device.healthy) return "unhealthy";
  return node.state.cordoned.contains(device.id) ? "cordoned" : "healthy";
}

std::vector<std::string> CardRow(const NodePicture& node, const Device& device,
                                 const DeviceUsage& usage, bool wide) {
  const std::vector<Holder>& holders = HoldersOf(node, device.id);
  std::vector<std::string> row = {node.state.name,
                                  std::to_string(device.index),
                                  device.id,
                                  device.type,
                                  HealthCell(node, device),
                                  Ratio(usage.memory.value, device.memory.value),
                                  Ratio(usage.cores.value, device.cores.value),
                                  Ratio(usage.slots, device.count)};
  if (wide) {
    row.push_back(std::to_string(device.numa));
    row.push_back(device.mode);
  }
  row.push_back(PodsCell(holders, wide));
  return row;
}

template <class F>
void ForEachCard(const Cluster& cluster, std::string_view only, F&& f) {
  for (const NodePicture& node : cluster.nodes) {
    if (!only.empty() && node.state.name != only) continue;
    for (const auto& [word, set] : node.state.cards) {
      for (size_t i = 0; i < set.devices.size(); ++i) f(node, word, set.devices[i], set.usage[i]);
    }
  }
}

std::vector<std::string> Remarks(const Cluster& cluster, std::string_view only) {
  std::vector<std::string> remarks;
  for (const NodePicture& node : cluster.nodes) {
    if (!only.empty() && node.state.name != only) continue;
    for (const std::string& problem : node.problems) {
      remarks.push_back("node " + node.state.name + ": " + problem);
    }
  }
  remarks.insert(remarks.end(), cluster.notes.begin(), cluster.notes.end());
  return remarks;
}

void WriteCard(JsonWriter& w, const NodePicture& node, std::string_view word, const Device& device,
               const DeviceUsage& usage) {
  w.Object([&] {
    w.Key("node").String(node.state.name).Key("vendor").String(word);
    w.Key("index").Uint(device.index).Key("uuid").String(device.id);
    w.Key("model").String(device.type).Key("health").String(HealthCell(node, device));
    w.Key("numa").Int(device.numa).Key("mode").String(device.mode);
    w.Key("memoryMiB").Object([&] {
      w.Key("used").Int(usage.memory.value).Key("total").Int(device.memory.value);
    });
    w.Key("cores").Object(
        [&] { w.Key("used").Int(usage.cores.value).Key("total").Int(device.cores.value); });
    w.Key("slots").Object([&] { w.Key("used").Int(usage.slots).Key("total").Int(device.count); });
    w.Key("pods").Array([&] {
      for (const Holder& holder : HoldersOf(node, device.id)) {
        w.Object([&] {
          w.Key("namespace").String(holder.pod.ns).Key("name").String(holder.pod.name);
          w.Key("memoryMiB").Int(holder.usage.memory.value);
          w.Key("cores").Int(holder.usage.cores.value).Key("slots").Int(holder.usage.slots);
        });
      }
    });
  });
}

std::string AsJson(const Cluster& cluster, std::string_view only) {
  JsonWriter w;
  w.Object([&] {
    w.Key("cards").Array([&] {
      ForEachCard(cluster, only,
                  [&](const auto& node, const auto& word, const auto& device, const auto& usage) {
                    WriteCard(w, node, word, device, usage);
                  });
    });
    w.Key("remarks").Array([&] {
      for (const std::string& remark : Remarks(cluster, only)) w.String(remark);
    });
  });
  return w.Take() + "\n";
}

std::string AsTable(const Cluster& cluster, std::string_view only, bool wide, size_t cards) {
  std::vector<std::string> header = {"NODE",   "CARD",        "UUID",  "MODEL",
                                     "HEALTH", "MEMORY(MiB)", "CORES", "SLOTS"};
  if (wide) header.insert(header.end(), {"NUMA", "MODE"});
  header.emplace_back("PODS");
  Table table(std::move(header));
  ForEachCard(cluster, only,
              [&](const auto& node, const auto&, const auto& device, const auto& usage) {
                table.Row(CardRow(node, device, usage, wide));
              });
  std::string text;
  if (cards > 0) {
    text = table.Text();
  } else {
    text = only.empty()
               ? "no node registers cards: the device plugin runs on nodes labelled gpu=on\n"
               : "node " + std::string(only) +
                     " registers no cards: is there such a node, does it carry the label "
                     "gpu=on, does the device plugin run there?\n";
  }
  for (const std::string& remark : Remarks(cluster, only)) text += "! " + Printable(remark) + "\n";
  return text;
}

}  // namespace

CardsReport ReportCards(const Cluster& cluster, std::string_view node, Format format) {
  CardsReport report;
  ForEachCard(cluster, node,
              [&](const auto&, const auto&, const auto&, const auto&) { ++report.cards; });
  report.text = format == Format::kJson
                    ? AsJson(cluster, node)
                    : AsTable(cluster, node, format == Format::kWide, report.cards);
  return report;
}

}  // namespace hami::cli
