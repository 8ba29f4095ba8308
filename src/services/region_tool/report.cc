#include "services/region_tool/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "abi/env_names.h"
#include "abi/region.h"
#include "base/json_write.h"
#include "base/printable.h"
#include "base/table.h"

namespace hami::region_tool {
namespace {

using region::CardUsage;
using region::PageCard;
using region::ProcessCard;
using region::ProcessUsage;
using region::Snapshot;

std::string LimitText(Bytes limit) { return limit.value == 0 ? "none" : SizeText(limit); }
std::string CoresText(Percent cores) {
  return IsLimit(cores) ? std::to_string(cores.value) + " %" : "none";
}
std::string FreeText(const CardUsage& card) {
  if (card.limit.value == 0) return "";
  return SizeText(card.used < card.limit ? card.limit - card.used : Bytes{0});
}
std::string_view PolicyName(region::CorePolicy policy) {
  constexpr std::string_view kNames[] = {"default", "force", "disable"};
  return kNames[static_cast<size_t>(policy)];
}
std::string_view StateName(uint32_t state) {
  constexpr std::string_view kNames[] = {"free", "claiming", "live", "reaping"};
  return state < std::size(kNames) ? kNames[state] : "?";
}
std::string PriorityText(int priority) {
  return std::to_string(priority) + (priority == 0 ? " (high)" : "");
}

std::string Versions(const Snapshot& s) {
  if (s.layout == region::Layout::kV0) return "prefix of version 0";
  std::string text = fmt::format("prefix {}.{}", s.major, s.minor);
  if (s.own_block()) return text + fmt::format(", own block {}.{}", s.own_major, s.own_minor);
  return text + ", no block of ours";
}

std::string Activity(const RegionReport& r) {
  const Snapshot& s = r.snapshot;
  if (s.own_block() && !s.ever_joined && s.processes.empty()) return "no process yet";
  if (s.recent_kernel < 0) return "blocked by a container of higher priority";
  if (s.last_kernel_time == 0) return "no kernel yet";
  return fmt::format("last kernel {} s ago",
                     std::max<int64_t>(r.unix_seconds - s.last_kernel_time, 0));
}

std::string CoreLimit(const Snapshot& s) {
  const bool any = std::any_of(s.cards.begin(), s.cards.end(),
                               [](const CardUsage& card) { return IsLimit(card.cores); });
  if (!any) return "none";
  return s.utilization_switch != 0 ? "engaged" : "not engaged by the monitor";
}

std::string Monitor(const RegionReport& r) {
  const uint64_t beat = r.snapshot.monitor_heartbeat_ns;
  if (beat == 0) return "no heartbeat";
  return fmt::format("heartbeat {} s ago",
                     beat < r.boot_ns ? (r.boot_ns - beat) / 1'000'000'000 : 0);
}

std::string Head(const RegionReport& r) {
  const Snapshot& s = r.snapshot;
  std::string text =
      fmt::format("region    {}\n          {} bytes, {}", r.path, s.file_size, Versions(s));
  if (s.own_block()) {
    text += s.boot_id == r.boot_id ? ", made since this machine's start"
                                   : ", made before this machine's start";
  }
  text += fmt::format("\npriority  {}; core limit {}; {}\n", PriorityText(s.priority), CoreLimit(s),
                      Activity(r));
  if (!s.own_block()) return text;
  text += fmt::format("limits    changed {} times since it was made; monitor: {}\n",
                      s.limits_changed, Monitor(r));
  text += fmt::format(
      "events    {} requests refused, {} dead processes cleared, {} totals repaired, "
      "{} subtractions too large, {} times more taken than reserved\n",
      s.counters.refused, s.counters.reaped, s.counters.repaired, s.counters.saturated,
      s.counters.unaccounted);
  return text;
}

std::string CardTable(const Snapshot& s) {
  if (s.cards.empty()) return "no card known yet: no process has asked for one\n";
  Table table(
      {"CARD", "UUID", "LIMIT", "AT START", "USED", "FREE", "CORES", "PHYSICAL", "CONTEXT"});
  for (size_t i = 0; i < s.cards.size(); ++i) {
    const CardUsage& card = s.cards[i];
    table.Row({std::to_string(i), Printable(card.uuid), LimitText(card.limit),
               s.own_block() ? LimitText(card.initial_limit) : "", SizeText(card.used),
               FreeText(card), CoresText(card.cores),
               card.physical_share.value == 0 ? "" : SizeText(card.physical_share),
               card.context_size.value == 0 ? "" : SizeText(card.context_size)});
  }
  return table.Text();
}

std::string ProcessTable(const RegionReport& r) {
  if (r.snapshot.processes.empty()) return "no process\n";
  Table table({"SLOT", "PID", "HOST PID", "LIFE", "CARD", "TOTAL", "DATA", "CONTEXT", "MODULE",
               "VMM", "POOL", "MANAGED", "PENDING"});
  for (size_t p = 0; p < r.snapshot.processes.size(); ++p) {
    const ProcessUsage& process = r.snapshot.processes[p];
    std::string life(LifeName(r.lives[p]));
    if (process.suspended) life += ", suspended";
    std::vector<std::string> who = {std::to_string(process.slot), std::to_string(process.pid),
                                    process.host_pid == 0 ? "" : std::to_string(process.host_pid),
                                    life};
    bool any = false;
    for (size_t i = 0; i < process.cards.size(); ++i) {
      const ProcessCard& card = process.cards[i];
      if (card.Total().value == 0 && card.pending.value == 0) continue;
      std::vector<std::string> row = any ? std::vector<std::string>(4, " ") : who;
      any = true;
      row.push_back(std::to_string(i));
      for (const Bytes bytes : {card.Total(), card.data, card.context, card.module, card.vmm,
                                card.pool, card.managed, card.pending}) {
        row.push_back(bytes.value == 0 ? "" : SizeText(bytes));
      }
      table.Row(std::move(row));
    }
    if (!any) table.Row(std::move(who));
  }
  return table.Text();
}

void WriteCard(JsonWriter& w, const CardUsage& card, size_t index, bool own_block) {
  w.Object([&] {
    w.Key("index").Uint(index).Key("uuid").String(card.uuid);
    w.Key("limitBytes").Int(card.limit.value).Key("usedBytes").Int(card.used.value);
    w.Key("corePercent").Int(card.cores.value);
    if (!own_block) return;
    w.Key("initialLimitBytes").Int(card.initial_limit.value);
    w.Key("physicalShareBytes").Int(card.physical_share.value);
    w.Key("contextBytes").Int(card.context_size.value);
  });
}

void WriteProcess(JsonWriter& w, const ProcessUsage& process, region::ProcessLife life) {
  w.Object([&] {
    w.Key("slot").Int(process.slot).Key("pid").Int(process.pid);
    w.Key("hostPid").Int(process.host_pid).Key("life").String(LifeName(life));
    w.Key("state").String(StateName(process.state)).Key("suspended").Bool(process.suspended);
    w.Key("pidNamespace").Uint(process.pid_namespace);
    w.Key("startTicks").Uint(process.start_ticks);
    w.Key("cards").Array([&] {
      for (size_t i = 0; i < process.cards.size(); ++i) {
        const ProcessCard& card = process.cards[i];
        w.Object([&] {
          w.Key("index").Uint(i).Key("totalBytes").Int(card.Total().value);
          w.Key("dataBytes").Int(card.data.value).Key("contextBytes").Int(card.context.value);
          w.Key("moduleBytes").Int(card.module.value).Key("vmmBytes").Int(card.vmm.value);
          w.Key("poolBytes").Int(card.pool.value).Key("managedBytes").Int(card.managed.value);
          w.Key("pendingBytes").Int(card.pending.value);
        });
      }
    });
  });
}

void WriteHead(JsonWriter& w, const RegionReport& r) {
  const Snapshot& s = r.snapshot;
  w.Key("file").String(r.path).Key("kind").String("region");
  w.Key("layout").String(LayoutName(s.layout)).Key("fileBytes").Uint(s.file_size);
  w.Key("version").String(fmt::format("{}.{}", s.major, s.minor));
  w.Key("ownVersion").String(fmt::format("{}.{}", s.own_major, s.own_minor));
  w.Key("priority").Int(s.priority).Key("utilizationSwitch").Int(s.utilization_switch);
  w.Key("recentKernel").Int(s.recent_kernel).Key("lastKernelTime").Int(s.last_kernel_time);
  if (!s.own_block()) return;
  w.Key("monitorHeartbeatNs").Uint(s.monitor_heartbeat_ns);
  w.Key("limitsChanged").Uint(s.limits_changed).Key("bootId").String(s.boot_id);
  w.Key("thisBoot").Bool(s.boot_id == r.boot_id);
  w.Key("counters").Object([&] {
    w.Key("refused").Uint(s.counters.refused).Key("reaped").Uint(s.counters.reaped);
    w.Key("repaired").Uint(s.counters.repaired).Key("saturated").Uint(s.counters.saturated);
    w.Key("unaccounted").Uint(s.counters.unaccounted);
  });
}

}  // namespace

bool IsLimit(Percent cores) { return cores.value != 0 && cores.value < 100; }

std::string SizeText(Bytes bytes) {
  constexpr int64_t kMi = int64_t{1} << 20;
  const int64_t value = bytes.value;
  if (value % kMi == 0) return fmt::format("{} MiB", value / kMi);
  if (value < kMi) return fmt::format("{} B", value);
  return fmt::format("{}.{} MiB", value / kMi, value % kMi * 10 / kMi);
}

std::string RegionText(const RegionReport& report) {
  return Head(report) + "\n" + CardTable(report.snapshot) + "\n" + ProcessTable(report);
}

std::string RegionJson(const RegionReport& report) {
  JsonWriter w;
  w.Object([&] {
    WriteHead(w, report);
    w.Key("cards").Array([&] {
      for (size_t i = 0; i < report.snapshot.cards.size(); ++i) {
        WriteCard(w, report.snapshot.cards[i], i, report.snapshot.own_block());
      }
    });
    w.Key("processes").Array([&] {
      for (size_t i = 0; i < report.snapshot.processes.size(); ++i) {
        WriteProcess(w, report.snapshot.processes[i], report.lives[i]);
      }
    });
  });
  return w.Take() + "\n";
}

std::string PageText(const std::string& path, const region::LimitsPage& page) {
  std::string text =
      fmt::format("limits    {}\n          generation {}{}, priority {}, policy {}\n", path,
                  page.generation, page.generation % 2 != 0 ? " (half written)" : "",
                  PriorityText(page.priority), PolicyName(page.policy));
  text += fmt::format("allows    " HAMI_ENV_DISABLE_CONTROL " {}, oversubscription {}\n",
                      page.allow_disable_control ? "yes" : "no", page.oversubscribe ? "yes" : "no");
  text += fmt::format("region    {}\n\n", page.region_path.empty() ? "as the environment says"
                                                                   : Printable(page.region_path));
  Table table({"CARD", "UUID", "LIMIT", "AT START", "CORES", "AT START", "PHYSICAL"});
  for (size_t i = 0; i < page.cards.size(); ++i) {
    const PageCard& card = page.cards[i];
    table.Row({std::to_string(i), Printable(card.uuid), LimitText(card.memory),
               LimitText(card.initial_memory), CoresText(card.cores), CoresText(card.initial_cores),
               card.physical_share.value == 0 ? "" : SizeText(card.physical_share)});
  }
  return text + table.Text();
}

std::string PageJson(const std::string& path, const region::LimitsPage& page) {
  JsonWriter w;
  w.Object([&] {
    w.Key("file").String(path).Key("kind").String("limits").Key("generation").Uint(page.generation);
    w.Key("priority").Int(page.priority).Key("policy").String(PolicyName(page.policy));
    w.Key("allowDisableControl").Bool(page.allow_disable_control);
    w.Key("oversubscribe").Bool(page.oversubscribe).Key("regionPath").String(page.region_path);
    w.Key("cards").Array([&] {
      for (size_t i = 0; i < page.cards.size(); ++i) {
        const PageCard& card = page.cards[i];
        w.Object([&] {
          w.Key("index").Uint(i).Key("uuid").String(card.uuid);
          w.Key("limitBytes").Int(card.memory.value);
          w.Key("initialLimitBytes").Int(card.initial_memory.value);
          w.Key("corePercent").Int(card.cores.value);
          w.Key("initialCorePercent").Int(card.initial_cores.value);
          w.Key("physicalShareBytes").Int(card.physical_share.value);
        });
      }
    });
  });
  return w.Take() + "\n";
}

}  // namespace hami::region_tool
