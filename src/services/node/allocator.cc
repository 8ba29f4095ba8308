#include "services/node/allocator.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/log.h"
#include "domain/protocol/virtual_id.h"
#include "services/node/digest.h"
#include "services/node/failpoint.h"

namespace hami::node {
namespace {

constexpr Duration kTicketLife = std::chrono::seconds(30);
constexpr Duration kRepeatLife = std::chrono::seconds(60);

std::string Join(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : " ") + item;
  return out;
}

EventTarget About(const Pod& pod) {
  return {.kind = "Pod", .ns = pod.key.ns, .name = pod.key.name, .uid = pod.uid};
}

// The number behind the last dash, for "the lowest free one".
int SlotOf(const std::string& id) {
  int k = 0;
  const size_t dash = id.rfind('-');
  if (dash != std::string::npos) {
    std::from_chars(id.data() + dash + 1, id.data() + id.size(), k);
  }
  return k;
}

// With more memory registered than there is, the real part of a share; else 0, "all of it".
MiB PhysicalShare(MiB share, const NodeCard& card) {
  if (!card.info.memory) return {};
  const MiB real = FloorMiB(*card.info.memory);
  if (card.device.memory <= real) return {};
  return {share.value * real.value / card.device.memory.value};
}

kubelet::ContainerResponse ToKubelet(const driver::ContainerEdits& edits) {
  kubelet::ContainerResponse out;
  out.envs = edits.envs;
  for (const auto& m : edits.mounts) {
    out.mounts.push_back({m.container_path, m.host_path, m.read_only});
  }
  for (const auto& d : edits.devices) {
    out.devices.push_back({d.container_path, d.host_path, d.permissions});
  }
  out.annotations = edits.annotations;
  out.cdi_devices = edits.cdi_devices;
  return out;
}

}  // namespace

struct Allocator::Call {
  std::vector<kubelet::DeviceIds> containers;  // each sorted
  size_t at = 0;                               // the one being worked on
  std::vector<kubelet::ContainerResponse> responses;
  kubelet::AllocateDone done;
  MonoTime begun{};
  MonoTime wait_until{};
  bool asked_server = false;
  bool fresh = false;  // Pods are as new as kubelet's, as far as the API server can tell
  bool ended = false;
};

Allocator::Allocator(Deps deps, AllocatorOptions options)
    : deps_(std::move(deps)), options_(std::move(options)) {}

void Allocator::Allocate(std::vector<kubelet::DeviceIds> containers, kubelet::AllocateDone done) {
  auto call = std::make_shared<Call>();
  call->containers = std::move(containers);
  for (kubelet::DeviceIds& ids : call->containers) std::ranges::sort(ids);
  call->done = std::move(done);
  call->begun = deps_.executor.clock().Mono();
  deps_.executor.Post([this, call] { Begin(call); });
}

void Allocator::Begin(const CallPtr& call) {
  if (stopped_) {
    return End(call, Fail(Code::kUnavailable, "the device plugin is stopping, try again"));
  }
  call->wait_until = deps_.executor.clock().Mono() + options_.pod_wait;
  Advance(call);
}

MatchInput Allocator::Input() const {
  MatchInput input{.pods = deps_.pods.pods(),
                   .records = deps_.journal.records(),
                   .words = options_.words,
                   .node = options_.node,
                   .lock = protocol::ReadNodeLock(deps_.view.node()),
                   .tickets = {},
                   .repeated = {}};
  const MonoTime now = deps_.executor.clock().Mono();
  for (const auto& [ids, ticket] : tickets_) {
    if (ticket.until > now) input.tickets.emplace(ids, ticket.container);
  }
  for (const auto& [ref, until] : repeated_) {
    if (until > now) input.repeated.insert(ref);
  }
  return input;
}

void Allocator::Advance(const CallPtr& call) {
  if (call->ended) return;
  if (call->at == call->containers.size()) return End(call, call->responses);
  const auto& ids = call->containers[call->at];
  if (ids.empty()) {
    return Refuse(
        call, nullptr, "empty",
        {Code::kInvalidArgument, "device number not matched: kubelet asked for no device"});
  }
  const auto match = MatchAllocation(Input(), ids);
  // kubelet may know a Pod that our watch does not show yet. Before it gets what another one has
  // been given already, the API server says whether there is one.
  if (!match || (match->repeat && !call->fresh)) return Wait(call);
  std::erase(waiting_, call);
  Serve(call, *match);
}

void Allocator::Wait(const CallPtr& call) {
  if (std::ranges::find(waiting_, call) == waiting_.end()) {
    waiting_.push_back(call);
    deps_.executor.PostAt(call->wait_until, [this, call] { TimeUp(call); });
  }
  if (!call->asked_server) {
    call->asked_server = true;
    AskServer(call);
  }
}

// The watch may lag behind kubelet's own: ask who holds the lock, and for that Pod.
void Allocator::AskServer(const CallPtr& call) {
  deps_.api.GetNode([this, call](Result<std::string> node) {
    if (call->ended || !node) return;
    deps_.view.Learn(*node);
    const auto lock = protocol::ReadNodeLock(deps_.view.node());
    if (lock.form != protocol::LockForm::kOwned) {
      call->fresh = true;
      return Retry();
    }
    deps_.api.GetPod(lock.holder, [this, call](Result<std::string> pod) {
      if (call->ended || (!pod && pod.error().code != Code::kNotFound)) return;
      if (pod) deps_.pods.Learn(*pod);
      call->fresh = true;
      Retry();
    });
  });
}

void Allocator::Retry() {
  const std::list<CallPtr> calls = waiting_;
  for (const CallPtr& call : calls) Advance(call);
}

void Allocator::TimeUp(const CallPtr& call) {
  if (call->ended || std::ranges::find(waiting_, call) == waiting_.end()) return;
  std::erase(waiting_, call);
  const auto& ids = call->containers[call->at];
  const MatchInput input = Input();
  // The API server did not answer in time: a repeat is all that is left to believe in.
  if (const auto match = MatchAllocation(input, ids)) return Serve(call, *match);
  // The lock's owner waits here for another number of cards: that is the Pod, and it is wrong.
  const Pod* holder = deps_.pods.ByKey(input.lock.holder);
  if (holder && protocol::HeldBy(input.lock, holder->key, holder->uid) &&
      AwaitsCards(*holder, options_.node)) {
    auto cards = ReadPodCards(*holder, options_.words);
    if (!cards) return Refuse(call, holder, "undecodable", std::move(cards.error()));
    if (const auto next = NextContainer(*holder, *cards, input.records)) {
      return Refuse(call, holder, "number",
                    {Code::kFailedPrecondition,
                     "device number not matched: container " + holder->containers[*next].name +
                         ": annotation " + std::string(options_.words.keys.to_allocate) + " has " +
                         std::to_string(cards->shares[*next].size()) + " devices, kubelet asked " +
                         std::to_string(ids.size()) + " (ids " + Join(ids) + ")"});
    }
    return Refuse(call, holder, "no-pending",
                  {Code::kFailedPrecondition, "no pending device allocation found"});
  }
  std::string text = "no binding pod found on node " + options_.node + ": ";
  const Pod* undecided = UndecidedPod(input, ids.size());
  if (undecided) {
    text += "pod " + undecided->key.Text() +
            " was not scheduled by hami-scheduler (schedulerName " + undecided->scheduler_name +
            ", nodeName set, static pod, or other scheduler)";
    deps_.api.EmitEvent(About(*undecided), true, "AllocationRefused", text);
  } else {
    text += "no pod bound here by hami-scheduler waits for " + std::to_string(ids.size()) +
            " devices (nodeName set, static pod, or other scheduler)";
  }
  Refuse(call, nullptr, "no-pod", {Code::kNotFound, std::move(text)});
}

Result<void> Allocator::Check(const Match& match) const {
  const Pod& pod = *match.pod;
  if (!options_.schedulers.empty() &&
      std::ranges::find(options_.schedulers, pod.scheduler_name) == options_.schedulers.end()) {
    return Fail(Code::kFailedPrecondition, "the pod belongs to scheduler " + pod.scheduler_name +
                                               ", cards are given to pods of " +
                                               Join(options_.schedulers) + " only");
  }
  return CheckLastLine(match.shares, deps_.inventory(),
                       SumPromises(deps_.pods.pods(), options_.words));
}

void Allocator::Serve(const CallPtr& call, const Match& match) {
  const auto& ids = call->containers[call->at];
  const Pod pod = *match.pod;  // the table may change under us
  const std::string container = pod.containers[match.container].name;
  if (auto checked = Check(match); !checked) {
    const bool full = checked.error().code == Code::kResourceExhausted;
    return Refuse(call, &pod, full ? "last-line" : "refused",
                  std::move(checked.error()).With("container " + container));
  }
  auto response = Prepare(match, ids);
  if (!response) {
    static_cast<void>(deps_.journal.Remove(pod.uid, container));
    return Refuse(call, &pod, "prepare",
                  std::move(response.error()).With("failed to get allocate response"));
  }
  tickets_.erase(ids);
  if (match.repeat) {
    ++counters_.repeated;
    repeated_[{pod.uid, container}] = deps_.executor.clock().Mono() + kRepeatLife;
    LOG(kInfo, "allocation answered again").Kv("pod", pod.key.Text()).Kv("container", container);
  }
  // The annotations first, as users and tools expect; a slow API server holds the answer up for a
  // second at most, the journal carries the rest through.
  auto answered = std::make_shared<bool>(false);
  auto answer = [this, call, answered, response = *std::move(response), pod, container] {
    if (std::exchange(*answered, true)) return;
    LOG(kInfo, "allocated").Kv("pod", pod.key.Text()).Kv("uid", pod.uid).Kv("container", container);
    Answered(call, response);
  };
  deps_.executor.PostAfter(options_.api_wait, answer);
  deps_.sync.Sync(pod.uid, answer);
}

Result<kubelet::ContainerResponse> Allocator::Prepare(const Match& match,
                                                      const std::vector<std::string>& ids) {
  const Pod& pod = *match.pod;
  const Container& container = pod.containers[match.container];
  // A repeat never goes back: a crash now must not undo what was answered before.
  const Record* before = deps_.journal.Find(pod.uid, container.name);
  const Step reached = before ? before->step : Step::kIntent;
  Record record{.uid = pod.uid,
                .pod = pod.key,
                .container = container.name,
                .ids = ids,
                .shares = match.shares,
                .step = reached};
  TRY(deps_.journal.Put(record));
  FailPoint("intent");

  // The same for a repeat: kubelet compares nothing, but processes may live in the old folder.
  const std::string id = StableUuid(pod.uid + "/" + container.name);
  const bool unlimited = container.disables_control && options_.allow_disable_control;
  driver::EditRequest request{
      .allocation_id = id,
      .shares = {},
      .files = {.hook_path = deps_.files.layout().hook_path,
                .library = deps_.files.library(),
                .container_dir = deps_.files.ContainerDir(pod.uid, container.name),
                .cache_name = id + ".cache",
                .limits_page = "",
                .lock_dir = deps_.files.layout().lock_dir,
                .licensed = deps_.files.licensed()},
      .limited = true,
      .control_disabled = unlimited};
  std::vector<std::string> wanted, got;
  LimitsRequest limits{
      .region_file = request.files.container_dir + "/" + request.files.cache_name,
      .region_inside = deps_.files.layout().Root() + "/" + request.files.cache_name,
      .page_file = deps_.files.LimitsPage(pod.uid, container.name),
      .shares = {},
      .physical = {},
      .priority = 1,
      .disable_core_limit = options_.disable_core_limit,
      .oversubscribe = options_.oversubscribe,
      .allow_disable_control = unlimited,
      .unix_seconds = UnixSeconds(deps_.executor.clock().Now())};
  for (const DeviceShare& share : match.shares) {
    const NodeCard* card = deps_.inventory().Find(share.uuid);
    request.limited = request.limited && card->device.mode != "mig";
    request.shares.push_back({.uuid = share.uuid,
                              .index = card->info.index,
                              .minor = card->info.minor,
                              .memory = share.memory,
                              .cores = share.cores});
    wanted.push_back(share.uuid);
  }
  if (request.limited) {
    TRY(deps_.files.MakeContainer(pod.uid, container.name));
    limits.shares = request.shares;
    std::ranges::stable_sort(limits.shares, {}, &driver::CardShare::index);
    for (const driver::CardShare& share : limits.shares) {
      limits.physical.push_back(PhysicalShare(share.memory, *deps_.inventory().Find(share.uuid)));
    }
    if (auto it = container.limits.find(options_.priority_resource); it != container.limits.end()) {
      std::from_chars(it->second.data(), it->second.data() + it->second.size(), limits.priority);
    }
    if (deps_.make_limits) {
      TRY_ASSIGN(const bool page, deps_.make_limits(limits));
      if (page) request.files.limits_page = limits.page_file;
    }
  }
  record.step = std::max(Step::kFiles, reached);
  TRY(deps_.journal.Put(record));
  FailPoint("files");

  for (const std::string& v : ids) got.emplace_back(protocol::CardOfVirtualId(v));
  std::ranges::sort(wanted);
  std::ranges::sort(got);
  if (wanted != got) {
    // The decision wins: the ledger of the scheduler knows no other.
    ++counters_.other_card;
    LOG(kInfo, "kubelet's ids name other cards than the decision")
        .Kv("pod", pod.key.Text())
        .Kv("ids", Join(ids))
        .Kv("cards", Join(wanted));
  }
  kubelet::ContainerResponse response = ToKubelet(deps_.vendor.Edits(request));
  record.step = std::max(Step::kCommitted, reached);
  TRY(deps_.journal.Put(record));
  FailPoint("committed");
  return response;
}

void Allocator::Refuse(const CallPtr& call, const Pod* pod, std::string reason_word, Error error) {
  ++counters_.refused[reason_word];
  if (!pod) {
    LOG(kWarn, "allocation refused").Kv("reason", reason_word).Kv("error", error.message);
    return End(call, Fail(std::move(error)));
  }
  error.message += " (pod " + pod->key.Text() + ")";
  LOG(kWarn, "allocation refused")
      .Kv("pod", pod->key.Text())
      .Kv("uid", pod->uid)
      .Kv("error", error.message);
  deps_.api.EmitEvent(About(*pod), true, "AllocationRefused", error.message);
  auto answered = std::make_shared<bool>(false);
  auto answer = [this, call, answered, error] {
    if (!std::exchange(*answered, true)) End(call, Fail(error));
  };
  std::erase(waiting_, call);
  deps_.executor.PostAfter(options_.api_wait, answer);
  deps_.sync.MarkFailed(pod->uid, answer);
}

void Allocator::Answered(const CallPtr& call, kubelet::ContainerResponse response) {
  if (call->ended) return;
  call->responses.push_back(std::move(response));
  ++call->at;
  ++counters_.answered;
  call->wait_until = deps_.executor.clock().Mono() + options_.pod_wait;
  call->asked_server = false;
  Advance(call);
}

void Allocator::End(const CallPtr& call, Result<std::vector<kubelet::ContainerResponse>> result) {
  if (std::exchange(call->ended, true)) return;
  std::erase(waiting_, call);
  const double seconds =
      std::chrono::duration<double>(deps_.executor.clock().Mono() - call->begun).count();
  counters_.seconds.Observe(seconds);
  const bool ok = result.has_value();
  call->done(std::move(result));
  if (ok) FailPoint("replied");
}

void Allocator::Stop() {
  stopped_ = true;
  const std::list<CallPtr> calls = waiting_;
  for (const CallPtr& call : calls) {
    End(call, Fail(Code::kUnavailable, "the device plugin is stopping, try again"));
  }
}

void Allocator::Prefer(std::vector<kubelet::PreferredRequest> containers,
                       kubelet::PreferredDone done) {
  deps_.executor.Post([this, containers = std::move(containers), done = std::move(done)] {
    done(Preferences(containers));
  });
}

std::vector<kubelet::DeviceIds> Allocator::Preferences(
    const std::vector<kubelet::PreferredRequest>& containers) {
  const MonoTime now = deps_.executor.clock().Mono();
  std::erase_if(tickets_, [now](const auto& e) { return e.second.until <= now; });
  std::erase_if(repeated_, [now](const auto& e) { return e.second <= now; });
  std::vector<kubelet::DeviceIds> out;
  for (const kubelet::PreferredRequest& request : containers) {
    const auto match = MatchPreference(Input(), static_cast<size_t>(std::max(request.size, 0)));
    if (!match) return {};
    kubelet::DeviceIds ids = ProposeIds(match->shares, request);
    if (ids.empty()) return {};
    kubelet::DeviceIds key = ids;
    std::ranges::sort(key);
    tickets_[key] = {.container = {match->pod->uid, match->pod->containers[match->container].name},
                     .until = now + kTicketLife};
    out.push_back(std::move(ids));
  }
  return out;
}

kubelet::DeviceIds ProposeIds(const std::vector<DeviceShare>& shares,
                              const kubelet::PreferredRequest& request) {
  kubelet::DeviceIds available = request.available;
  std::ranges::sort(available, {}, SlotOf);
  kubelet::DeviceIds chosen;
  auto take = [&](const kubelet::DeviceIds& from, std::string_view card) {
    for (const std::string& id : from) {
      if (protocol::CardOfVirtualId(id) == card && std::ranges::find(chosen, id) == chosen.end()) {
        chosen.push_back(id);
        return true;
      }
    }
    return false;
  };
  for (const DeviceShare& share : shares) {
    if (!take(request.must_include, share.uuid) && !take(available, share.uuid)) return {};
  }
  // Kubelet insists on some ids that are of other cards: then no proposal is right.
  for (const std::string& id : request.must_include) {
    if (std::ranges::find(chosen, id) == chosen.end()) return {};
  }
  return chosen;
}

}  // namespace hami::node
