#include "services/scheduler/service.h"

#include <future>

#include "base/log.h"
#include "domain/protocol/names.h"
#include "platform/kube/objects.h"
#include "services/scheduler/service_impl.h"

namespace hami::scheduler {
namespace {

constexpr size_t kBodyLimit =
    64u << 20;  // full Node objects of a simulation (spec/scheduler.md 4.1)
constexpr Duration kHousekeeping = std::chrono::seconds(1);
constexpr int kAuditEvery = 60;  // housekeepings
constexpr Duration kHoldFor = std::chrono::seconds(5);
constexpr Duration kLookAgain = std::chrono::milliseconds(20);

net::HttpResponse Overloaded() {
  return {.status = 503,
          .content_type = "text/plain",
          .body = "overloaded: too many requests wait\n",
          .headers = {{"Retry-After", "1"}}};
}

}  // namespace

Service::Impl::Impl(kube::Client& client, EventSink events, ServiceOptions opts)
    : api(client), record(std::move(events)), options(std::move(opts)) {
  ClusterEvents on;
  on.node_lock = [this](const std::string& node, LockView view) {
    bind_queue->Observe(node, std::move(view));
  };
  on.node_gone = [this](const std::string& node) { bind_queue->Forget(node); };
  on.capacity_changed = [this](const std::string& node) { requeuer->CapacityChanged(node); };
  on.pod_changed = [this](const Pod& pod) {
    // A Pod that was served has its lock cleared by the plugin in a moment; the queue's own recheck
    // is for those whose plugin died in between.
    if (pod.Finished()) bind_queue->HoldersChanged();
    if (pod.node_name.empty()) return;
    NoLongerWaits(pod.uid);
    // The label follows the binding in a write of its own; a scheduler that died between the two
    // left it out.
    bool ours = pod.Annotation(protocol::kVgpuNode) == pod.node_name;
    std::string value = protocol::NodeLabelValue(pod.node_name);
    auto label = pod.labels.find(protocol::kVgpuNode);
    if (ours && !pod.Finished() && !bind_queue->Contains(pod.uid) && options.leader().leading &&
        (label == pod.labels.end() || label->second != value)) {
      LabelPod(pod.key, protocol::kVgpuNode, value);
    }
  };
  on.pod_gone = [this](const std::string& uid) {
    NoLongerWaits(uid);
    bind_queue->HoldersChanged();
  };
  on.synced = [this] {
    LOG(kInfo, "in step with the API server")
        .Kv("nodes", ledger.node_count())
        .Kv("claims", ledger.claims().size());
  };
  cluster =
      std::make_unique<Cluster>(options.devices, options.node_selector, ledger, std::move(on));
  bind_port = std::make_unique<ApiBindPort>(
      api, thread,
      BindPortHooks{
          .prepare = [this](const BindJob& job) { return Prepare(job); },
          .holder = [this](const std::string& node,
                           const protocol::NodeLock& lock) { return StateOf(node, lock); }});
  bind_queue = std::make_unique<BindQueue>(
      state, *bind_port,
      BindQueueOptions{.lock_timeout = options.lock_timeout, .moved_after = kBindingTimeout});
  requeuer = std::make_unique<Requeuer>(
      state,
      RequeuerHooks{.fits_now = [this](const std::string& uid,
                                       const std::string& node) { return FitsNow(uid, node); },
                    .poke = [this](const std::string& uid, uint64_t n) { Poke(uid, n); }});
  auto watch = [&](std::string path, kube::Observer& observer) {
    return std::make_unique<kube::Reflector>(
        api, state,
        kube::ReflectorOptions{.path = std::move(path), .stale_after = options.stale_after},
        observer);
  };
  pods = watch(kube::PodsPath(), cluster->pod_observer());
  nodes = watch(kube::NodesPath(), cluster->node_observer());
  housekeeping_timer = state.PostAfter(kHousekeeping, [this] { Housekeeping(); });
}

Service::Impl::~Impl() {
  pods.reset();
  nodes.reset();
  // What lives on the state thread dies there; binds that wait are answered.
  std::promise<void> done;
  state.Post([&] {
    stopping = true;
    RunHeld();
    alive.reset();
    state.Cancel(housekeeping_timer);
    state.Cancel(held_timer);
    bind_queue.reset();
    bind_port.reset();
    requeuer.reset();
    done.set_value();
  });
  done.get_future().wait();
}

Obstacle Service::Impl::WhyNot() {
  LeaderView leader = options.leader();
  if (!leader.leading) return {.text = "hami-scheduler not leader"};
  if (std::string why = cluster->NotSyncedReason(); !why.empty()) {
    return {.text = "hami-scheduler not in step with the API server: " + why, .passes = true};
  }
  // A predecessor's last Binding may still be on its way (design.md decision 5).
  if (leader.term > 0 && state.clock().Mono() - leader.since < kBindingTimeout) {
    return {.text = "hami-scheduler is taking over leadership", .passes = true};
  }
  return {};
}

bool Service::Impl::WorthWaiting(const Obstacle& obstacle) {
  if (!obstacle.passes) {
    obstructed_since.reset();
    return false;
  }
  MonoTime now = state.clock().Mono();
  if (!obstructed_since) obstructed_since = now;
  return !stopping && now - *obstructed_since < kHoldFor;
}

void Service::Impl::Hold(Task again) {
  held.push_back(std::move(again));
  if (held.size() == 1) {
    held_timer = state.PostAfter(kLookAgain, [this] { RunHeld(); });
  }
}

void Service::Impl::RunHeld() {
  for (Task& task : std::exchange(held, {})) task();
}

void Service::Impl::Housekeeping() {
  Obstacle obstacle = WhyNot();
  WorthWaiting(obstacle);  // an obstacle's age does not wait for somebody to ask
  if (obstacle.text.empty() && !deciding) AdoptWaiting();
  deciding = obstacle.text.empty();
  for (const std::string& node : ledger.Expire(state.clock().Mono())) {
    ++stats.expired;
    requeuer->CapacityChanged(node);
  }
  if (++housekeepings % kAuditEvery == 0) {
    for (const std::string& line : ledger.Audit()) {
      ++stats.audit_repairs;
      LOG(kError, "account repaired").Kv("what", line);
    }
  }
  housekeeping_timer = state.PostAfter(kHousekeeping, [this] { Housekeeping(); });
}

Service::Service(kube::Client& api, EventSink events, ServiceOptions options)
    : impl_(std::make_unique<Impl>(api, std::move(events), std::move(options))) {}

Service::~Service() = default;

std::vector<net::Route> Service::ExtenderRoutes() {
  Impl* impl = impl_.get();
  auto filter = [impl](net::HttpRequest request, net::Responder responder) {
    bool queued = impl->workers.TryPost([impl, body = std::move(request.body), responder] {
      auto refuse = [&](std::string error) {
        responder.Reply({.body = WriteFilterAnswer({.error = std::move(error)})});
      };
      auto args = ParseFilterArgs(body);
      if (!args) return refuse(args.error().message);
      auto compiled =
          policy::CompileRequest(args->pod, impl->options.devices, impl->options.policies);
      if (!compiled) return refuse(compiled.error().message);
      impl->state.Post([impl, args = std::move(*args), compiled = std::move(*compiled),
                        responder]() mutable {
        impl->Filter(std::move(args), std::move(compiled), responder, impl->state.clock().Mono());
      });
    });
    if (!queued) responder.Reply(Overloaded());
  };
  auto bind = [impl](net::HttpRequest request, net::Responder responder) {
    auto args = ParseBindArgs(request.body);
    if (!args) return responder.Reply({.body = WriteBindAnswer(args.error().message)});
    impl->state.Post([impl, args = std::move(*args), responder] {
      impl->Bind(args, responder, impl->state.clock().Mono());
    });
  };
  return {{.method = "POST", .path = "/filter", .handler = filter, .body_limit = kBodyLimit},
          {.method = "POST", .path = "/bind", .handler = bind, .body_limit = 1 << 20}};
}

net::Handler Service::ReadyHandler() {
  Impl* impl = impl_.get();
  return [impl](net::HttpRequest, net::Responder responder) {
    impl->state.Post([impl, responder] {
      std::string why = impl->cluster->NotSyncedReason();
      responder.Reply({.status = why.empty() ? 200 : 503,
                       .content_type = "text/plain",
                       .body = why.empty() ? "ok\n" : why + "\n"});
    });
  };
}

net::Handler Service::MetricsHandler(MoreMetrics more) {
  Impl* impl = impl_.get();
  return [impl, more = std::move(more)](net::HttpRequest, net::Responder responder) {
    impl->state.Post([impl, more, responder] {
      responder.Reply(
          {.content_type = telemetry::kTextContentType, .body = impl->MetricsText(more)});
    });
  };
}

}  // namespace hami::scheduler
