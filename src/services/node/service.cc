#include "services/node/service.h"

#include <future>
#include <optional>
#include <set>
#include <utility>

#include "base/json_write.h"
#include "base/log.h"
#include "base/version.h"
#include "domain/protocol/names.h"
#include "platform/kube/objects.h"
#include "platform/kube/reflector.h"
#include "services/node/card_keeper.h"
#include "services/node/card_offer.h"
#include "services/node/conflict_watch.h"
#include "services/node/driver_watch.h"
#include "services/node/kube_api.h"
#include "services/node/lock_keeper.h"
#include "services/node/record_keeper.h"
#include "services/node/registrar.h"
#include "services/node/report.h"

namespace hami::node {
namespace {

constexpr Duration kHousekeeping = std::chrono::seconds(5);
constexpr Duration kDriverLimit = std::chrono::seconds(10);
constexpr Duration kFolderGrace = std::chrono::minutes(5);
constexpr Duration kFarewell = std::chrono::seconds(3);
constexpr Duration kLookAgain = std::chrono::milliseconds(20);

}  // namespace

struct NodeService::Impl {
  Impl(FileSystem& file_system, kube::Client& kube_client, NodeFlags f, driver::VendorSetup s)
      : fs(file_system),
        flags(std::move(f)),
        vendor(std::move(s.vendor)),
        settings(std::move(s.settings)),
        config_error(settings.refusal),
        words{.word = std::string(vendor->word()), .keys = s.keys, .resource = s.resource},
        priority_resource(std::move(s.priority_resource)),
        disable_core_limit(s.disable_core_limit),
        state_thread(std::make_unique<ThreadExecutor>("node")),
        executor(*state_thread),
        api(MakeKubeApi(kube_client, executor, flags.node_name)),
        client(kube_client),
        files(fs, {.hook_path = flags.hook_path, .lock_dir = flags.lock_dir}),
        journal(fs, files.layout().State()),
        pods([this] { Changed(); }),
        view([this] { Changed(); }),
        registrar(executor, *api, view),
        records({.executor = executor,
                 .pods = pods,
                 .journal = journal,
                 .files = files,
                 .changed = [this] { Changed(); }},
                words.resource, flags.pod_resources_socket),
        locks(executor, *api, view, pods,
              [this](const std::string& uid) { records.Released(uid); }),
        sync(executor, *api, pods, journal, words,
             [this](const std::string& uid) { records.Patched(uid); }) {}

  // The state thread ends before what its tasks touch.
  ~Impl() {
    records.Join();
    api->Detach();
    state_thread.reset();
  }

  kubelet::EndpointOptions EndpointFor(kubelet::RegistrationWay way) const {
    return {.folder = flags.kubelet_socket.empty()
                          ? "/var/lib/kubelet/device-plugins"
                          : flags.kubelet_socket.substr(0, flags.kubelet_socket.rfind('/')),
            .socket_name = vendor->SocketName(words.resource),
            .kubelet_socket = flags.kubelet_socket,
            .registry_folder = fs.Exists(flags.registry_folder) ? flags.registry_folder : "",
            .resource = words.resource,
            .preferred_allocation = settings.preferred_allocation,
            .way = way};
  }

  // --- start and stop -----------------------------------------------------------------------

  Result<void> Start(MakeLimits make_limits) {
    TRY(files.Install(flags.limiter_library, Build().version));
    TRY(journal.Load());
    records.Begin();
    TRY_ASSIGN(const kubelet::RegistrationWay way,
               kubelet::ParseRegistrationWay(flags.registration));
    if (!settings.refusal.empty()) {
      LOG(kError, "this node's cards are kept back").Kv("why", settings.refusal);
    }
    if (flags.fail_on_init_error) TRY(vendor->Load());
    allocator.emplace(
        Allocator::Deps{.executor = executor,
                        .api = *api,
                        .pods = pods,
                        .view = view,
                        .journal = journal,
                        .files = files,
                        .sync = sync,
                        .vendor = *vendor,
                        .inventory = [this]() -> const Inventory& { return offer->inventory(); },
                        .make_limits = std::move(make_limits)},
        AllocatorOptions{.node = flags.node_name,
                         .words = words,
                         .schedulers = flags.schedulers,
                         .priority_resource = priority_resource,
                         .disable_core_limit = disable_core_limit,
                         .allow_disable_control = flags.allow_disable_control,
                         .oversubscribe = settings.memory_scaling > 1,
                         .api_wait = flags.allocate_api_deadline});
    offer.emplace(executor, registrar, *allocator,
                  CardOfferOptions{.endpoint = EndpointFor(way),
                                   .register_key = std::string(words.keys.register_key),
                                   .settings = settings});
    cards.emplace(
        CardKeeper::Deps{.executor = executor, .api = *api, .offer = *offer, .about = AboutNode()},
        settings,
        driver::HealthOptions{
            .recovery = flags.health_recovery,
            .classify = [v = vendor](uint64_t code) { return v->Classify(code); }});
    executor.Post([this] {
      registrar.Want(std::string(protocol::kPluginCapabilities),
                     std::string(protocol::kCapabilityV2));
      Housekeeping();
    });
    pod_watch.emplace(client, executor,
                      kube::ReflectorOptions{.path = kube::PodsPath(),
                                             .field_selector = "spec.nodeName=" + flags.node_name,
                                             .label_selector = ""},
                      pods);
    node_watch.emplace(client, executor,
                       kube::ReflectorOptions{.path = kube::NodesPath(),
                                              .field_selector = "metadata.name=" + flags.node_name,
                                              .label_selector = ""},
                       view);
    driver_watch.emplace(vendor,
                         DriverWatchOptions{.interval = flags.scan_interval,
                                            .on_cards =
                                                [this](Result<std::vector<driver::CardInfo>> look) {
                                                  executor.Post([this, look = std::move(look)] {
                                                    if (!stopping) cards->OnCards(look);
                                                  });
                                                },
                                            .on_events =
                                                [this](std::vector<driver::HealthEvent> events) {
                                                  executor.Post([this, events = std::move(events)] {
                                                    cards->OnEvents(events);
                                                  });
                                                }});
    return {};
  }

  void Stop() {
    driver_watch->Stop();
    SayFarewell();
    // Waiting calls are answered before the endpoint waits for them; those that only wait for the
    // API server are answered by their own limit.
    OnExecutor([this] { allocator->Stop(); });
    std::unique_ptr<kubelet::ResourceEndpoint> last;
    OnExecutor([&] {
      stopping = true;
      last = offer->TakeEndpoint();
    });
    last.reset();
    pod_watch.reset();
    node_watch.reset();
  }

  // While kubelet is still answered, and for as long as the API server may take.
  void SayFarewell() {
    std::promise<bool> said_it;
    executor.Post([&] {
      offer->Withdraw();
      AwaitFarewell(executor.clock().Mono() + kFarewell, said_it);
    });
    if (said_it.get_future().get()) {
      LOG(kInfo, "cards withdrawn");
    } else {
      LOG(kWarn, "cards stay on offer: the API server does not answer");
    }
  }
  void AwaitFarewell(MonoTime until, std::promise<bool>& said_it) {
    registrar.Reconcile();
    if (registrar.in_step() || executor.clock().Mono() >= until) {
      return said_it.set_value(registrar.in_step());
    }
    executor.PostAfter(kLookAgain, [this, until, &said_it] { AwaitFarewell(until, said_it); });
  }

  EventTarget AboutNode() const {
    return {.kind = "Node", .ns = "", .name = flags.node_name, .uid = flags.node_name};
  }

  void OnExecutor(std::function<void()> task) {
    std::promise<void> done;
    executor.Post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  // --- cluster ------------------------------------------------------------------------------

  // Coalesces a burst of changes into one pass.
  void Changed() {
    if (std::exchange(settle_posted, true)) return;
    executor.Post([this] {
      settle_posted = false;
      Settle();
    });
  }

  void Settle() {
    if (stopping) return;
    cards->Forgive(view.node().Annotation("hami.io/device-recover"));
    records.Sweep();
    sync.Reconcile();
    locks.Reconcile();
    registrar.Reconcile();
    allocator->Retry();
  }

  // --- from time to time --------------------------------------------------------------------

  void Housekeeping() {
    if (stopping) return;
    if (driver_watch && driver_watch->LookAge() > kDriverLimit) {
      cards->OnCards(Fail(Code::kDeadlineExceeded, "driver timeout"));
    }
    if (pods.synced()) {
      files.Collect([this](const std::string& uid) { return pods.ByUid(uid) != nullptr; },
                    executor.clock().Now() - kFolderGrace);
    }
    WatchForConflict();
    if (!config_error.empty() && view.synced() && config_errors_said.insert(config_error).second) {
      api->EmitEvent(AboutNode(), true, "InvalidDevicePluginConfig",
                     ConfigErrorText(config_error, !settings.refusal.empty()));
    }
    executor.PostAfter(kHousekeeping, [this] { Housekeeping(); });
  }

  void WatchForConflict() {
    const auto kubelet = offer->status();
    if (!kubelet || !kubelet->registered) return conflict.Forget();
    int64_t healthy = 0;
    for (const NodeCard& card : offer->inventory().cards) {
      if (card.device.healthy) healthy += card.device.count;
    }
    auto it = view.node().allocatable.find(words.resource);
    const auto text = conflict.Look(executor.clock().Mono(), words.resource,
                                    it == view.node().allocatable.end() ? "" : it->second, healthy);
    if (!text) return;
    LOG(kWarn, *text);
    api->EmitEvent(AboutNode(), true, "ConflictingDevicePlugin", *text);
  }

  // --- questions ----------------------------------------------------------------------------

  Readiness Ready() const {
    Readiness out;
    if (!pods.synced()) out.reasons.push_back("Pods of this node are not known yet");
    if (!view.synced()) out.reasons.push_back("Node " + flags.node_name + " is not known yet");
    if (!cards->looked()) out.reasons.push_back("the driver has not been asked yet");
    if (!cards->driver_error().empty()) out.reasons.push_back(cards->driver_error());
    if (view.synced() && (offer->WaitsForKubelet() || !registrar.in_step())) {
      out.reasons.push_back("node annotations are not written yet");
    }
    const auto kubelet = offer->status();
    if (kubelet && !flags.kubelet_socket.empty() && !kubelet->registered) {
      out.reasons.push_back("not registered with kubelet: " + kubelet->last_error);
    }
    out.ready = out.reasons.empty();
    return out;
  }

  ReportInput Facts() const {
    return {.node = flags.node_name,
            .resource = words.resource,
            .inventory = offer->inventory(),
            .endpoint = offer->status().value_or(kubelet::EndpointStatus{}),
            .counters = allocator->counters(),
            .records = journal.records(),
            .waiting = allocator->waiting(),
            .register_patches = registrar.patches(),
            .register_failures = registrar.failures(),
            .lock_releases = locks.releases(),
            .driver_events = cards->driver_events(),
            .config_broken = !config_error.empty()};
  }

  FileSystem& fs;
  const NodeFlags flags;
  const std::shared_ptr<driver::NodeVendor> vendor;
  const protocol::NodeSettings settings;
  std::string config_error;  // what is wrong in the files as they stand now
  const VendorWords words;
  const std::string priority_resource;
  const bool disable_core_limit;

  std::unique_ptr<ThreadExecutor> state_thread;
  ThreadExecutor& executor;
  std::unique_ptr<NodeApi> api;
  kube::Client& client;
  HostFiles files;
  Journal journal;
  PodTable pods;
  NodeView view;
  Registrar registrar;
  RecordKeeper records;
  LockKeeper locks;
  PodSync sync;
  std::optional<Allocator> allocator;
  std::optional<CardOffer> offer;
  std::optional<CardKeeper> cards;
  std::optional<kube::Reflector> pod_watch;
  std::optional<kube::Reflector> node_watch;
  std::optional<DriverWatch> driver_watch;

  ConflictWatch conflict;
  bool settle_posted = false;
  bool stopping = false;
  std::set<std::string> config_errors_said;
};

Result<std::unique_ptr<NodeService>> NodeService::Start(FileSystem& fs, kube::Client& client,
                                                        NodeFlags flags, driver::VendorSetup setup,
                                                        MakeLimits make_limits) {
  auto impl = std::make_unique<Impl>(fs, client, std::move(flags), std::move(setup));
  TRY(impl->Start(std::move(make_limits)));
  return std::unique_ptr<NodeService>(new NodeService(std::move(impl)));
}

NodeService::NodeService(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

NodeService::~NodeService() { impl_->Stop(); }

void NodeService::SetConfigError(std::string error) {
  impl_->executor.Post([impl = impl_.get(), error = std::move(error)] {
    impl->config_error = error.empty() ? impl->settings.refusal : error;
  });
}

void NodeService::AskReadiness(std::function<void(Readiness)> done) {
  impl_->executor.Post([impl = impl_.get(), done = std::move(done)] { done(impl->Ready()); });
}

void NodeService::AskMetrics(std::function<void(std::string)> done) {
  impl_->executor.Post(
      [impl = impl_.get(), done = std::move(done)] { done(MetricsText(impl->Facts())); });
}

void NodeService::AskAllocations(std::function<void(std::string)> done) {
  impl_->executor.Post(
      [impl = impl_.get(), done = std::move(done)] { done(AllocationsJson(impl->Facts())); });
}

}  // namespace hami::node
