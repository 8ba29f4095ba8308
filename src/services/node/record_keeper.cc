#include "services/node/record_keeper.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "services/node/failpoint.h"

namespace hami::node {
namespace {

constexpr Duration kPodResourcesTimeout = std::chrono::seconds(5);

// A journal that lags is read as a crash: kubelet is asked again.
void Note(const Result<void>& written) {
  if (!written) {
    LOG(kWarn, "journal is behind").Kv("error", written.error().message);
  }
}

}  // namespace

RecordKeeper::RecordKeeper(Deps deps, std::string resource, std::string socket)
    : deps_(std::move(deps)), resource_(std::move(resource)), socket_(std::move(socket)) {}

void RecordKeeper::Begin() {
  for (const auto& [ref, record] : deps_.journal.records()) {
    if (record.step < Step::kCommitted) unsure_.insert(ref);
  }
}

void RecordKeeper::Join() {
  if (call_.joinable()) call_.join();
}

void RecordKeeper::Sweep() {
  if (!deps_.pods.synced()) return;
  if (!unsure_.empty() && !asked_) AskKubelet();
  std::vector<ContainerRef> gone;
  for (const auto& [ref, record] : deps_.journal.records()) {
    const Pod* pod = deps_.pods.ByUid(ref.first);
    if (!pod || pod->Finished()) gone.push_back(ref);
  }
  for (const ContainerRef& ref : gone) {
    unsure_.erase(ref);
    Note(deps_.journal.Remove(ref.first, ref.second));
  }
}

void RecordKeeper::AskKubelet() {
  asked_ = true;
  // A thread of its own: the call may take its whole limit, and this happens once.
  call_ = std::thread([this] {
    Result<std::vector<kubelet::HeldDevices>> held =
        Fail(Code::kUnavailable, "no pod resources socket is configured");
    if (!socket_.empty()) held = kubelet::ListHeldDevices(socket_, kPodResourcesTimeout);
    deps_.executor.Post([this, held = std::move(held)] { Decide(held); });
  });
}

void RecordKeeper::Decide(const Result<std::vector<kubelet::HeldDevices>>& held) {
  if (!held) {
    LOG(kWarn, "kubelet cannot be asked").Kv("error", held.error().message);
  }
  for (const ContainerRef& ref : std::exchange(unsure_, {})) {
    const Record* found = deps_.journal.Find(ref.first, ref.second);
    if (!found) continue;
    Record record = *found;
    const Pod* pod = deps_.pods.ByUid(ref.first);
    const bool started = pod && std::ranges::any_of(pod->containers, [&](const Container& c) {
                           return c.name == record.container && c.started;
                         });
    if (started || (held && Holds(*held, record))) {
      record.step = Step::kCommitted;
      Note(deps_.journal.Put(record));
      LOG(kInfo, "allocation carried on after a crash").Kv("pod", record.pod.Text());
    } else {
      Note(deps_.journal.Remove(ref.first, ref.second));
      deps_.files.RemoveContainer(ref.first, ref.second);
      LOG(kInfo, "allocation undone after a crash").Kv("pod", record.pod.Text());
    }
  }
  deps_.changed();
}

bool RecordKeeper::Holds(const std::vector<kubelet::HeldDevices>& held,
                         const Record& record) const {
  return std::ranges::any_of(held, [&](const kubelet::HeldDevices& h) {
    return h.ns == record.pod.ns && h.pod == record.pod.name && h.container == record.container &&
           h.resource == resource_ && std::ranges::all_of(record.ids, [&](const std::string& id) {
             return std::ranges::find(h.ids, id) != h.ids.end();
           });
  });
}

void RecordKeeper::Patched(const std::string& uid) {
  Reached(uid, Step::kCommitted, Step::kPatched, "patched");
}
void RecordKeeper::Released(const std::string& uid) {
  Reached(uid, Step::kPatched, Step::kReleased, "released");
}

void RecordKeeper::Reached(const std::string& uid, Step from, Step to, std::string_view word) {
  std::vector<Record> records;
  for (const auto& [ref, record] : deps_.journal.records()) {
    if (ref.first == uid && record.step == from) records.push_back(record);
  }
  for (Record& record : records) {
    record.step = to;
    Note(deps_.journal.Put(record));
    FailPoint(word);
  }
}

}  // namespace hami::node
