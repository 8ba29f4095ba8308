#include "platform/kube/reflector.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "base/log.h"
#include "platform/kube/client_impl.h"
#include "platform/kube/line_assembler.h"
#include "platform/kube/watch_decode.h"

namespace hami::kube {
namespace {

constexpr size_t kMaxEventBytes = 64 << 20;
// A list that expires between its pages is asked for in larger pages, in the end in one.
constexpr int kPageGrowth = 8;
constexpr int kMaxPage = 50'000;
// The server ends a watch at its timeout; when it does not, it hangs.
constexpr Duration kWatchGrace = std::chrono::seconds(15);
// A watch that lasted so long did work, whatever ended it.
constexpr Duration kProven = std::chrono::seconds(5);

}  // namespace

// Everything but Deliver's calls runs on the Loop's thread.
struct Reflector::Impl : std::enable_shared_from_this<Reflector::Impl> {
  Impl(Client& c, Executor& e, ReflectorOptions o, Observer& obs)
      : client(c),
        loop(c.loop()),
        executor(e),
        options(std::move(o)),
        observer(&obs),
        page(options.page),
        lines(kMaxEventBytes),
        random(std::random_device()()) {}

  // --- to the observer ---

  // Holds the gate while the observer runs: Stop waits for it, also from inside (recursive).
  void Deliver(std::function<void(Observer&)> call) {
    executor.Post([self = shared_from_this(), call = std::move(call)] {
      MutexLock lock(self->gate);
      if (self->observer != nullptr) call(*self->observer);
    });
  }

  void Broken() {
    if (broken) return;
    broken = true;
    broken_since = loop.clock().Mono();
    ArmStale();
  }

  void ArmStale() {
    stale_timer = loop.PostAt(broken_since + options.stale_after, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self || self->stopped || !self->broken || self->stale_told) return;
      self->stale_told = true;
      Duration since = self->loop.clock().Mono() - self->broken_since;
      self->Deliver([since](Observer& o) { o.OnStale(since); });
    });
  }

  void InStep(bool after_list) {
    broken = false;
    loop.Cancel(stale_timer);
    if (std::exchange(stale_told, false) && !after_list) {
      Deliver([](Observer& o) { o.OnFresh(); });
    }
  }

  // --- list ---

  std::string Selectors() const {
    std::string out;
    if (!options.field_selector.empty()) {
      out += "&fieldSelector=" + net::PercentEncode(options.field_selector);
    }
    if (!options.label_selector.empty()) {
      out += "&labelSelector=" + net::PercentEncode(options.label_selector);
    }
    return out;
  }

  void List() {
    if (stopped) return;
    Deliver([](Observer& o) { o.OnListBegin(); });
    ListPageFrom("");
  }

  void ListPageFrom(const std::string& token) {
    Request request;
    request.path = options.path + "?limit=" + std::to_string(page) + Selectors();
    if (!token.empty()) request.path += "&continue=" + net::PercentEncode(token);
    request.timeout = std::chrono::seconds(60);
    client.Call(std::move(request), [weak = weak_from_this(), first = token.empty()](auto answer) {
      auto self = weak.lock();
      if (self && !self->stopped) self->OnPage(std::move(answer), first);
    });
  }

  void OnPage(Result<Response> answer, bool first) {
    if (!answer) {
      if (!first && answer.error().code == Code::kFailedPrecondition) {  // 410: pages expired
        page = page * kPageGrowth > kMaxPage ? 0 : page * kPageGrowth;
      }
      return ListFailed(answer.error());
    }
    auto decoded = decoder.DecodeList(std::move(answer->body));
    if (!decoded) return ListFailed(decoded.error());
    auto items = std::make_shared<std::vector<std::string>>(std::move(decoded->items));
    if (!items->empty()) {
      Deliver([items](Observer& o) {
        for (const std::string& item : *items) o.OnUpsert(item);
      });
    }
    if (!decoded->continue_token.empty()) return ListPageFrom(decoded->continue_token);
    resource_version = std::move(decoded->resource_version);
    page = options.page;
    ++lists;
    backoff = Duration(0);
    InStep(true);
    Deliver([](Observer& o) { o.OnListEnd(); });
    Watch();
  }

  void ListFailed(const Error& error) {
    ++errors;
    Broken();
    LOG(kWarn, "list failed").Kv("path", options.path).Kv("error", error.message);
    resource_version.clear();
    Later(Duration(0));
  }

  // --- watch ---

  void Watch() {
    if (stopped) return;
    auto asked = std::chrono::duration_cast<std::chrono::seconds>(
        options.watch_timeout * std::uniform_real_distribution<>(1.0, 2.0)(random));
    std::string path = options.path + "?watch=1&allowWatchBookmarks=true&resourceVersion=" +
                       net::PercentEncode(resource_version) +
                       "&timeoutSeconds=" + std::to_string(std::max<int64_t>(asked.count(), 1)) +
                       Selectors();
    lines.Reset();
    watch_opened = false;
    StreamHandlers handlers;
    std::weak_ptr<Impl> weak = weak_from_this();
    handlers.on_open = [weak] {
      if (auto self = weak.lock(); self && !self->stopped) self->OnWatchOpen();
    };
    handlers.on_data = [weak](std::string_view piece) {
      if (auto self = weak.lock(); self && !self->stopped) self->OnWatchData(piece);
    };
    handlers.on_end = [weak](Result<void> end, Duration retry_after) {
      if (auto self = weak.lock(); self && !self->stopped) {
        self->OnWatchEnd(std::move(end), retry_after);
      }
    };
    stream = client.impl().OpenStream(path, asked + kWatchGrace, std::move(handlers));
  }

  void OnWatchOpen() {
    ++watches;
    watch_opened = true;
    watch_since = loop.clock().Mono();
    InStep(false);
  }

  void OnWatchData(std::string_view piece) {
    auto batch = std::make_shared<std::vector<WatchEvent>>();
    Error bad{Code::kDataLoss, ""};
    bool relist = false;
    bool fits = lines.Feed(piece, [&](std::string line) {
      if (relist) return;
      auto event = decoder.DecodeEvent(std::move(line));
      if (!event) {
        bad = std::move(event.error());
        relist = true;
      } else if (event->type == WatchType::kError) {
        bad.message =
            "ERROR event " + std::to_string(event->status_code) + ": " + event->status_message;
        relist = true;
      } else {
        resource_version = event->resource_version;
        backoff = Duration(0);
        if (event->type == WatchType::kBookmark) {
          ++bookmarks;
        } else {
          batch->push_back(std::move(*event));
        }
      }
    });
    if (!fits) {
      bad.message = "watch event longer than " + std::to_string(kMaxEventBytes) + " bytes";
      relist = true;
    }
    if (!batch->empty()) {
      events += batch->size();
      Deliver([batch](Observer& o) {
        for (const WatchEvent& event : *batch) {
          event.type == WatchType::kDeleted ? o.OnDelete(event.object) : o.OnUpsert(event.object);
        }
      });
    }
    if (relist) Relist(bad);
  }

  void OnWatchEnd(Result<void> end, Duration retry_after) {
    stream = nullptr;
    Broken();
    bool proven = watch_opened && loop.clock().Mono() - watch_since >= kProven;
    if (proven) backoff = Duration(0);
    if (end) return proven ? Watch() : Later(Duration(0));  // the server's timeout or good bye
    if (end.error().code == Code::kFailedPrecondition) return Relist(end.error());
    ++errors;
    LOG(kInfo, "watch broken").Kv("path", options.path).Kv("error", end.error().message);
    Later(retry_after);
  }

  void Relist(const Error& why) {
    ++errors;
    LOG(kInfo, "watch cannot resume, listing again")
        .Kv("path", options.path)
        .Kv("error", why.message);
    if (stream) std::exchange(stream, nullptr)->Cancel();
    Broken();
    resource_version.clear();
    Later(Duration(0));
  }

  // Lists or resumes after the backoff, or what the server asked for if that is longer.
  void Later(Duration at_least) {
    backoff = backoff.count() == 0 ? options.min_backoff
                                   : std::min<Duration>(backoff * 2, options.max_backoff);
    auto jittered = std::chrono::duration_cast<Duration>(
        backoff * std::uniform_real_distribution<>(0.5, 1.0)(random));
    retry_timer = loop.PostAfter(std::max(jittered, at_least), [weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self || self->stopped) return;
      self->resource_version.empty() ? self->List() : self->Watch();
    });
  }

  void Stop() {
    stopped = true;
    loop.Cancel(stale_timer);
    loop.Cancel(retry_timer);
    if (stream) std::exchange(stream, nullptr)->Cancel();
  }

  Client& client;
  net::Loop& loop;
  Executor& executor;
  const ReflectorOptions options;

  RecursiveMutex gate;
  Observer* observer GUARDED_BY(gate);  // null once stopped

  int page;
  std::string resource_version;  // "": list first
  WatchDecoder decoder;
  LineAssembler lines;
  std::shared_ptr<StreamCall> stream;
  std::mt19937_64 random;
  Duration backoff{0};
  MonoTime watch_since{};
  MonoTime broken_since{};
  Executor::TimerId stale_timer = 0;
  Executor::TimerId retry_timer = 0;
  bool watch_opened = false;
  bool broken = false;
  bool stale_told = false;
  bool stopped = false;
  std::atomic<uint64_t> lists{0}, watches{0}, events{0}, bookmarks{0}, errors{0};
};

Reflector::Reflector(Client& client, Executor& executor, ReflectorOptions options,
                     Observer& observer)
    : impl_(std::make_shared<Impl>(client, executor, std::move(options), observer)) {
  impl_->loop.Post([impl = impl_] {
    if (impl->stopped) return;
    impl->Broken();
    impl->List();
  });
}

Reflector::~Reflector() {
  {
    MutexLock lock(impl_->gate);
    impl_->observer = nullptr;
  }
  impl_->loop.RunSync([this] { impl_->Stop(); });
}

Reflector::Stats Reflector::stats() const {
  return {impl_->lists, impl_->watches, impl_->events, impl_->bookmarks, impl_->errors};
}

}  // namespace hami::kube
