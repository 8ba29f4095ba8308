#include "platform/kube/events.h"

#include <atomic>
#include <cstdio>
#include <list>
#include <map>
#include <utility>

#include "base/json_write.h"
#include "base/log.h"
#include "base/printable.h"
#include "platform/kube/objects.h"
#include "platform/kube/time.h"

namespace hami::kube {
namespace {

constexpr size_t kRemembered = 4096;
constexpr Duration kAggregate = std::chrono::minutes(10);
constexpr size_t kMaxNamePrefix = 230;  // of 253, leaving room for the suffix

std::string_view TypeName(EventType type) {
  return type == EventType::kNormal ? "Normal" : "Warning";
}

}  // namespace

ObjectRef RefOf(const Pod& pod) {
  ObjectRef out;
  out.kind = "Pod";
  out.ns = pod.key.ns;
  out.name = pod.key.name;
  out.uid = pod.uid;
  out.resource_version = pod.resource_version;
  return out;
}

ObjectRef RefOf(const Node& node) {
  ObjectRef out;
  out.kind = "Node";
  out.name = node.name;
  // kubelet's own Node events carry the name as uid, which is what kubectl describe looks for.
  out.uid = node.name;
  return out;
}

std::string CapMessage(std::string_view message) {
  if (message.size() <= kMaxEventMessage) return std::string(message);
  size_t end = kMaxEventMessage - 3;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;
  return std::string(message.substr(0, end)) + "...";
}

// Everything but Emit and lost runs on the Loop's thread.
struct EventRecorder::Impl : std::enable_shared_from_this<EventRecorder::Impl> {
  Impl(Client& c, std::string comp, std::string h)
      : client(c), loop(c.loop()), component(std::move(comp)), host(std::move(h)) {}

  struct Entry {
    std::string key;
    ObjectRef object;
    EventType type = EventType::kNormal;
    std::string reason;
    std::string message;
    std::string name;  // of the Event object; "" until the server has it
    WallTime first{}, last{};
    int64_t count = 0;
    int64_t written = 0;  // count that the server knows
    bool busy = false;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  static std::string EventNs(const ObjectRef& object) {
    return object.ns.empty() ? "default" : object.ns;
  }

  void Add(EntryPtr fresh) {
    WallTime now = loop.clock().Now();
    auto it = index.find(fresh->key);
    if (it != index.end() && now - (*it->second)->last <= kAggregate) {
      recent.splice(recent.begin(), recent, it->second);
    } else {
      if (it != index.end()) recent.erase(it->second);
      recent.push_front(std::move(fresh));
      index[recent.front()->key] = recent.begin();
      recent.front()->first = now;
      if (recent.size() > kRemembered) {
        index.erase(recent.back()->key);
        recent.pop_back();
      }
    }
    EntryPtr entry = recent.front();
    entry->last = now;
    ++entry->count;
    Write(entry);
  }

  // At most one request per Event is under way; what comes meanwhile goes with the next.
  void Write(const EntryPtr& entry) {
    if (entry->busy || entry->written == entry->count || stopped) return;
    entry->busy = true;
    bool create = entry->name.empty();
    int64_t count = entry->count;
    std::string name = create ? NewName(entry->object.name) : entry->name;
    Request request;
    request.lane = Lane::kLow;
    request.method = create ? "POST" : "PATCH";
    request.path =
        create ? EventsPath(EventNs(entry->object)) : EventPath(EventNs(entry->object), name);
    request.body = create ? CreateBody(*entry, name) : PatchBody(*entry);
    if (!create) request.content_type = kMergePatch;
    client.Call(std::move(request),
                [self = shared_from_this(), entry, name, count, create](Result<Response> answer) {
                  entry->busy = false;
                  self->OnWritten(entry, name, count, create, answer);
                });
  }

  void OnWritten(const EntryPtr& entry, const std::string& name, int64_t count, bool create,
                 const Result<Response>& answer) {
    if (stopped) return;
    if (answer) {
      entry->name = name;
      entry->written = count;
      return Write(entry);
    }
    if (!create && answer.error().code == Code::kNotFound) {  // expired on the server
      entry->name.clear();
      entry->written = 0;
      entry->count = 1;
      entry->first = entry->last;
      return Write(entry);
    }
    ++lost;
    entry->written = count;  // given up; the next one tries again
    LOG(kDebug, "event not written")
        .Kv("reason", entry->reason)
        .Kv("error", answer.error().message);
  }

  std::string NewName(std::string_view object) {
    char suffix[40];
    snprintf(suffix, sizeof suffix, ".%llx%02x",
             static_cast<unsigned long long>(loop.clock().Now().time_since_epoch().count()),
             ++sequence & 0xffU);
    return std::string(object.substr(0, kMaxNamePrefix)) + suffix;
  }

  std::string CreateBody(const Entry& e, const std::string& name) const {
    JsonWriter w;
    w.Object([&] {
      w.Key("apiVersion").String("v1").Key("kind").String("Event");
      w.Key("metadata").Object([&] {
        w.Key("name").String(name).Key("namespace").String(EventNs(e.object));
      });
      w.Key("involvedObject").Object([&] {
        w.Key("apiVersion").String(e.object.api_version).Key("kind").String(e.object.kind);
        w.Key("name").String(e.object.name);
        if (!e.object.ns.empty()) w.Key("namespace").String(e.object.ns);
        if (!e.object.uid.empty()) w.Key("uid").String(e.object.uid);
        if (!e.object.resource_version.empty()) {
          w.Key("resourceVersion").String(e.object.resource_version);
        }
      });
      w.Key("type").String(TypeName(e.type)).Key("reason").String(e.reason);
      w.Key("message").String(e.message);
      w.Key("source").Object([&] {
        w.Key("component").String(component);
        if (!host.empty()) w.Key("host").String(host);
      });
      w.Key("firstTimestamp").String(FormatTime(e.first));
      w.Key("lastTimestamp").String(FormatTime(e.last));
      w.Key("count").Int(e.count);
    });
    return w.Take();
  }

  static std::string PatchBody(const Entry& e) {
    JsonWriter w;
    w.Object([&] { w.Key("count").Int(e.count).Key("lastTimestamp").String(FormatTime(e.last)); });
    return w.Take();
  }

  Client& client;
  net::Loop& loop;
  const std::string component;
  const std::string host;
  std::list<EntryPtr> recent;  // newest first
  std::map<std::string, std::list<EntryPtr>::iterator> index;
  unsigned sequence = 0;
  bool stopped = false;
  std::atomic<uint64_t> lost{0};
};

EventRecorder::EventRecorder(Client& client, std::string component, std::string host)
    : impl_(std::make_shared<Impl>(client, std::move(component), std::move(host))) {}

EventRecorder::~EventRecorder() {
  impl_->loop.RunSync([this] { impl_->stopped = true; });
}

void EventRecorder::Emit(const ObjectRef& object, EventType type, std::string_view reason,
                         std::string_view message) {
  auto entry = std::make_shared<Impl::Entry>();
  entry->object = object;
  entry->type = type;
  entry->reason = reason;
  entry->message = CapMessage(Printable(message));
  for (std::string_view part :
       {std::string_view(object.kind), std::string_view(object.ns), std::string_view(object.name),
        std::string_view(object.uid), TypeName(type), std::string_view(entry->reason),
        std::string_view(entry->message)}) {
    entry->key += part;
    entry->key += '\n';
  }
  impl_->loop.Post([impl = impl_, entry = std::move(entry)]() mutable {
    if (!impl->stopped) impl->Add(std::move(entry));
  });
}

uint64_t EventRecorder::lost() const { return impl_->lost; }

}  // namespace hami::kube
