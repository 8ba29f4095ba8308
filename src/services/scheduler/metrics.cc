// /metrics: the ledger and the scheduler's own counters, streamed from the state thread.
#include <map>
#include <string>
#include <vector>

#include "base/version.h"
#include "platform/telemetry/exposition.h"
#include "platform/telemetry/names.h"
#include "services/scheduler/service_impl.h"

namespace hami::scheduler {
namespace {

using telemetry::Exposition;
using telemetry::Label;
using telemetry::MetricType;

double Mebi(MiB m) { return static_cast<double>(ToBytes(m).value); }

// One sample per card: labels as the reference writes them.
struct CardView {
  const NodeState& node;
  const Device& card;
  const DeviceUsage& usage;
};

template <class Value>
void PerCard(Exposition& out, const Ledger& ledger, std::string_view name, std::string_view help,
             Value value) {
  out.Family(name, help, MetricType::kGauge);
  ledger.ForEachNode([&](const NodeState& node) {
    for (const auto& [word, set] : node.cards) {
      for (size_t i = 0; i < set.devices.size(); ++i) {
        value(CardView{node, set.devices[i], set.usage[i]});
      }
    }
  });
}

void Cards(Exposition& out, const Ledger& ledger) {
  auto plain = [&](auto get) {
    return [&out, get](const CardView& v) {
      std::string index = std::to_string(v.card.index);
      out.Sample({{"node", v.node.name},
                  {"device_uuid", v.card.id},
                  {"device_index", index},
                  {"device_type", v.card.type}},
                 get(v));
    };
  };
  auto with_cores = [&](auto emit) {
    return [emit](const CardView& v) {
      emit(v, std::to_string(v.card.index), std::to_string(v.card.cores.value));
    };
  };
  PerCard(out, ledger, metric::kGpuMemoryLimitBytes, "memory registered for the card, bytes",
          plain([](const CardView& v) { return Mebi(v.card.memory); }));
  PerCard(out, ledger, metric::kGpuCoreLimitRatio, "cores registered for the card, percent",
          plain([](const CardView& v) { return static_cast<double>(v.card.cores.value); }));
  PerCard(out, ledger, metric::kGpuMemoryAllocatedBytes, "memory promised of the card, bytes",
          with_cores([&](const CardView& v, const std::string& index, const std::string& cores) {
            out.Sample({{"node", v.node.name},
                        {"device_uuid", v.card.id},
                        {"device_index", index},
                        {"device_cores", cores},
                        {"device_type", v.card.type}},
                       Mebi(v.usage.memory));
          }));
  PerCard(out, ledger, metric::kGpuSharedCount, "containers that share the card",
          plain([](const CardView& v) { return static_cast<double>(v.usage.slots); }));
  PerCard(out, ledger, metric::kGpuCoreAllocatedRatio, "cores promised of the card, percent",
          plain([](const CardView& v) { return static_cast<double>(v.usage.cores.value); }));
  PerCard(out, ledger, metric::kNodeGpuOverview, "memory promised of the card, bytes",
          with_cores([&](const CardView& v, const std::string& index, const std::string& cores) {
            std::string limit = std::to_string(v.card.memory.value);
            out.Sample({{"node", v.node.name},
                        {"device_uuid", v.card.id},
                        {"device_index", index},
                        {"device_cores", cores},
                        {"device_memory_limit", limit},
                        {"device_type", v.card.type}},
                       Mebi(v.usage.memory));
          }));
  PerCard(out, ledger, metric::kNodeGpuMemoryAllocatedRatio, "memory promised of the card, 0 to 1",
          [&](const CardView& v) {
            if (v.card.memory.value == 0) return;
            std::string index = std::to_string(v.card.index);
            out.Sample({{"node", v.node.name},
                        {"device_uuid", v.card.id},
                        {"device_index", index},
                        {"device_type", v.card.type}},
                       Mebi(v.usage.memory) / Mebi(v.card.memory));
          });
}

// A container's share of a card, from the decision that its Pod carries.
struct ShareView {
  const Claim& claim;
  std::string container;
  DeviceShare share;
};

std::vector<ShareView> SharesOf(const Ledger& ledger, const Cluster& cluster,
                                const protocol::DeviceConfig& config) {
  std::vector<ShareView> out;
  for (const auto& [uid, claim] : ledger.claims()) {
    const Pod* pod = cluster.FindPod(uid);
    if (pod == nullptr || claim.state != ClaimState::kBound) continue;
    auto shares = vendor::AllocatedShares(*pod, config);
    if (!shares) continue;
    for (auto& [word, containers] : *shares) {
      for (size_t i = 0; i < containers.size(); ++i) {
        for (DeviceShare& share : containers[i]) {
          out.push_back({claim, std::to_string(i), std::move(share)});
        }
      }
    }
  }
  return out;
}

void Shares(Exposition& out, const std::vector<ShareView>& views) {
  auto each = [&](std::string_view name, std::string_view help, auto get) {
    out.Family(name, help, MetricType::kGauge);
    for (const ShareView& v : views) {
      out.Sample({{"namespace", v.claim.pod.ns},
                  {"node", v.claim.node},
                  {"pod", v.claim.pod.name},
                  {"container_index", v.container},
                  {"device_uuid", v.share.uuid}},
                 get(v.share));
    }
  };
  each(metric::kVgpuMemoryAllocatedBytes, "memory of the container's share, bytes",
       [](const DeviceShare& s) { return Mebi(s.memory); });
  each(metric::kVgpuCoreAllocatedRatio, "cores of the container's share, percent",
       [](const DeviceShare& s) { return static_cast<double>(s.cores.value); });
}

void Counter(Exposition& out, std::string_view name, std::string_view help, uint64_t value) {
  out.Family(name, help, MetricType::kCounter);
  out.Sample({}, static_cast<double>(value));
}

void Gauge(Exposition& out, std::string_view name, std::string_view help, double value) {
  out.Family(name, help, MetricType::kGauge);
  out.Sample({}, value);
}

void Own(Exposition& out, Service::Impl& impl) {
  const Stats& stats = impl.stats;
  out.Family(metric::kSchedulerRequestSeconds, "from a request's arrival to its answer",
             MetricType::kHistogram);
  stats.filter_seconds.WriteTo(out, {{"verb", "filter"}});
  stats.bind_seconds.WriteTo(out, {{"verb", "bind"}});
  out.Family(metric::kSchedulerFilterResults, "decisions by result and reason",
             MetricType::kCounter);
  out.Sample({{"result", "placed"}, {"reason", ""}}, static_cast<double>(stats.filter_placed));
  for (const auto& [reason, n] : stats.refusals) {
    out.Sample({{"result", "refused"}, {"reason", reason}}, static_cast<double>(n));
  }
  out.Family(metric::kSchedulerBindResults, "binds by result", MetricType::kCounter);
  out.Sample({{"result", "bound"}}, static_cast<double>(stats.bind_succeeded));
  out.Sample({{"result", "failed"}}, static_cast<double>(stats.bind_failed));
  std::map<ClaimState, uint64_t> by_state;
  for (const auto& [uid, claim] : impl.ledger.claims()) ++by_state[claim.state];
  out.Family(metric::kSchedulerReservations, "claims in the ledger by state", MetricType::kGauge);
  for (auto [state, name] :
       {std::pair{ClaimState::kAssumed, "assumed"}, std::pair{ClaimState::kBinding, "binding"},
        std::pair{ClaimState::kBound, "bound"}}) {
    out.Sample({{"state", name}}, static_cast<double>(by_state[state]));
  }
  Counter(out, metric::kSchedulerExpired, "assumed claims that no bind followed", stats.expired);
  Counter(out, metric::kSchedulerAuditRepairs, "differences found by the audit",
          stats.audit_repairs);
  Counter(out, metric::kSchedulerPokes, "waiting pods woken", stats.pokes);
  Gauge(out, metric::kSchedulerBindsWaiting, "binds under way or waiting for a node lock",
        static_cast<double>(impl.bind_queue->waiting()));
  Gauge(out, metric::kSchedulerPodsWaiting, "pods refused and not placed since",
        static_cast<double>(impl.requeuer->waiting()));
  Gauge(out, metric::kSchedulerUndecodablePods, "bound pods whose allocation cannot be read",
        static_cast<double>(impl.cluster->unreadable_pods()));
  Gauge(out, metric::kSchedulerUndecodableNodes, "nodes whose registration cannot be read",
        static_cast<double>(impl.cluster->undecodable_nodes().size()));
  Gauge(out, metric::kSchedulerLeader, "1 while this replica decides",
        impl.options.leader().leading ? 1 : 0);
  Gauge(out, metric::kSchedulerSynced, "1 while in step with the API server",
        impl.cluster->Synced() ? 1 : 0);
  out.Family(metric::kSchedulerApiCalls, "requests to the API server", MetricType::kCounter);
  for (const auto& call : impl.api.CallCounts()) {
    out.Sample(
        {{"verb", call.verb}, {"resource", call.resource}, {"code", std::to_string(call.code)}},
        static_cast<double>(call.count));
  }
}

}  // namespace

std::string Service::Impl::MetricsText(const MoreMetrics& more) {
  Exposition out(Exposition::OwnedLabels{{metric::kZoneLabel, metric::kZone}});
  const BuildInfo& build = Build();
  out.Family(metric::kBuildInfo, "the build that runs", MetricType::kGauge);
  Label labels[] = {{"version", build.version},
                    {"revision", build.revision},
                    {"compiler", build.compiler},
                    {"platform", build.platform}};
  out.BareSample(labels, 1);
  Cards(out, ledger);
  Shares(out, SharesOf(ledger, *cluster, options.devices));
  Own(out, *this);
  more(out);
  return out.Take();
}

}  // namespace hami::scheduler
