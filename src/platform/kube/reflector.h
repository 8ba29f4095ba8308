// Reflector: keeps an observer in step with a collection by list and watch.
//
// Paged list (consistent, limit 500), then watch with bookmarks from its resourceVersion; 410 Gone,
// as answer or as ERROR event, lists again; a cut watch resumes; reconnects back off from 100 ms to
// 30 s with jitter. The observer's methods run one at a time on `executor` (a serial one), in
// order. Destroying the Reflector stops it; no call comes after the destructor, which may run on
// the executor's own thread, also inside a call of the observer. Destroy it before its client and
// its executor.
//
// A list replaces the world: between OnListBegin and OnListEnd every object that exists comes
// through OnUpsert; what the observer had and did not see again is gone. OnListBegin may come again
// before OnListEnd: the list had to start over. Duplicates and repeats are normal: observers must
// be level-triggered. Objects of a list carry no kind and apiVersion, those of a watch do.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "platform/kube/client.h"

namespace hami::kube {

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnListBegin() = 0;
  virtual void OnUpsert(std::string_view object_json) = 0;
  virtual void OnDelete(std::string_view object_json) = 0;  // last known state
  virtual void OnListEnd() = 0;                             // in step with the server from here on
  // The stream is broken for longer than `since`; what is known may be stale. OnFresh or OnListEnd
  // ends that.
  virtual void OnStale(Duration since) = 0;
  // After OnStale: the watch goes on where it was, nothing was missed.
  virtual void OnFresh() {}
};

struct ReflectorOptions {
  std::string path;            // "/api/v1/pods"
  std::string field_selector;  // plain text, encoded by the reflector
  std::string label_selector;
  int page = 500;  // 0: one page
  Duration stale_after = std::chrono::seconds(20);
  // timeoutSeconds asked of the server, jittered up to twice that.
  Duration watch_timeout = std::chrono::minutes(5);
  Duration min_backoff = std::chrono::milliseconds(100);
  Duration max_backoff = std::chrono::seconds(30);
};

class Reflector {
 public:
  Reflector(Client& client, Executor& executor, ReflectorOptions options, Observer& observer);
  ~Reflector();

  struct Stats {
    uint64_t lists = 0;    // completed
    uint64_t watches = 0;  // opened
    uint64_t events = 0;   // bookmarks not counted
    uint64_t bookmarks = 0;
    uint64_t errors = 0;  // failed lists, refused or broken watches
  };
  Stats stats() const;  // any thread

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hami::kube
