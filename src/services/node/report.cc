#include "services/node/report.h"

#include "base/json_write.h"
#include "base/version.h"
#include "platform/telemetry/exposition.h"
#include "platform/telemetry/names.h"

namespace hami::node {
namespace {

using telemetry::Exposition;
using telemetry::Label;
using telemetry::MetricType;

void One(Exposition& out, const char* name, MetricType type, std::string_view help,
         uint64_t value) {
  out.Family(name, help, type);
  out.Sample({}, static_cast<double>(value));
}

}  // namespace

std::string ConfigErrorText(const std::string& error, bool cards_kept_back) {
  return error + (cards_kept_back ? "; until this is right, no Pod gets a card here"
                                  : "; until this is right, the settings of before hold");
}

std::string MetricsText(const ReportInput& in) {
  Exposition out({{"node", in.node}, {"resource", in.resource}});
  out.Family(metric::kBuildInfo, "which build this is", MetricType::kGauge);
  const Label build[] = {{"version", Build().version}, {"revision", Build().revision}};
  out.BareSample(build, 1);
  int healthy = 0, unhealthy = 0;
  for (const NodeCard& card : in.inventory.cards) ++(card.device.healthy ? healthy : unhealthy);
  out.Family(metric::kPluginDevices, "cards offered, by health", MetricType::kGauge);
  out.Sample({{"health", "healthy"}}, healthy);
  out.Sample({{"health", "unhealthy"}}, unhealthy);
  out.Family(metric::kPluginAllocations, "Allocate calls, by result", MetricType::kCounter);
  out.Sample({{"result", "answered"}}, static_cast<double>(in.counters.answered));
  out.Sample({{"result", "repeated"}}, static_cast<double>(in.counters.repeated));
  for (const auto& [reason, count] : in.counters.refused) {
    const std::string result = "refused-" + reason;
    out.Sample({{"result", result}}, static_cast<double>(count));
  }
  out.Family(metric::kPluginAllocateSeconds, "how long Allocate took", MetricType::kHistogram);
  in.counters.seconds.WriteTo(out);
  One(out, metric::kPluginUnaligned, MetricType::kCounter,
      "allocations whose kubelet ids were of other cards than the decision",
      in.counters.other_card);
  One(out, metric::kPluginWaiting, MetricType::kGauge, "Allocate calls that wait for their Pod",
      in.waiting);
  One(out, metric::kPluginRecords, MetricType::kGauge, "allocations in the journal",
      in.records.size());
  One(out, metric::kPluginRegistrations, MetricType::kCounter, "registrations with kubelet",
      in.endpoint.registrations);
  One(out, metric::kPluginNodePatches, MetricType::kCounter, "writes of node annotations",
      in.register_patches);
  One(out, metric::kPluginNodePatchFailures, MetricType::kCounter,
      "writes of node annotations that failed", in.register_failures);
  One(out, metric::kPluginLockReleases, MetricType::kCounter, "node locks given back",
      in.lock_releases);
  One(out, metric::kPluginConfigBroken, MetricType::kGauge,
      "1: the configuration is wrong for this node: what was is kept, or no card is given",
      in.config_broken ? 1 : 0);
  One(out, metric::kPluginFiltersUnmatched, MetricType::kGauge,
      "entries of filterdevices that name no card of this node", in.inventory.unmatched.size());
  out.Family(metric::kPluginDriverEvents, "events from the driver, by code", MetricType::kCounter);
  for (const auto& [code, count] : in.driver_events) {
    const std::string text = std::to_string(code);
    out.Sample({{"code", text}}, static_cast<double>(count));
  }
  return out.Take();
}

std::string AllocationsJson(const ReportInput& in) {
  JsonWriter w;
  w.Object([&] {
    w.Key("node").String(in.node);
    w.Key("resource").String(in.resource);
    w.Key("registered").Bool(in.endpoint.registered);
    w.Key("cards").Array([&] {
      for (const NodeCard& card : in.inventory.cards) {
        w.Object([&] {
          w.Key("uuid").String(card.device.id);
          w.Key("index").Uint(card.device.index);
          w.Key("memoryMiB").Int(card.device.memory.value);
          w.Key("healthy").Bool(card.device.healthy);
          w.Key("reason").String(card.fault);
        });
      }
    });
    w.Key("allocations").Array([&] {
      for (const auto& [ref, record] : in.records) w.Raw(EncodeRecord(record));
    });
  });
  return w.Take() + "\n";
}

}  // namespace hami::node
