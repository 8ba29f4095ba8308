// FakeApiServer: enough of kube-apiserver to test clients against its faults, in process, over real
// TCP.
//
// For tests only; what a real server does is asked of a real one (tests/conformance runs one suite
// against both). Plain HTTP on 127.0.0.1. Thread-safe; the destructor ends everything.
//
// Behaviour: list (paged snapshots, field and label selectors by equality), watch (bookmarks on
// demand, timeoutSeconds), get, create (uid, generateName), replace and merge patch
// (resourceVersion and uid preconditions), delete, pods/binding (annotations merged with the node
// name, uid precondition).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "tests/fake_apiserver/store.h"

namespace hami::fake {

struct LoggedRequest {
  std::string method;
  std::string path;   // decoded, without the query
  std::string query;  // as sent
  std::string body;
  std::map<std::string, std::string> headers;  // lower-case names
  bool watch() const { return query.find("watch=") != std::string::npos; }
};

// What happens to requests that match, `times` times; then the fault is used up.
struct Fault {
  std::function<bool(const LoggedRequest&)> match;
  int times = 1;

  Duration delay{0};         // before anything else
  int status = 0;            // answer this instead, with a Status object
  std::string reason;        // of that Status
  int retry_after = -1;      // seconds; -1: no header
  bool close_early = false;  // close the connection instead of answering; nothing was carried out
  bool close_late = false;   // carry out, then close instead of answering
  int cut_after = -1;  // answer, but close after so many bytes of its body (watch: of its stream)
  std::string watch_prefix;  // watch: these bytes first
  bool error_event = false;  // watch: 200 with one ERROR event of `status`, then the end
};

// Matchers.
std::function<bool(const LoggedRequest&)> On(std::string method, std::string path_part);
std::function<bool(const LoggedRequest&)> OnWatch(std::string path_part);
std::function<bool(const LoggedRequest&)> OnList(std::string path_part);  // GET that is no watch

class FakeApiServer {
 public:
  FakeApiServer();
  ~FakeApiServer();
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;

  std::string url() const;  // "http://127.0.0.1:<port>"

  // The world, changed from the side. `collection`: "/api/v1/namespaces/a/pods". These abort on
  // misuse.
  Json Create(const std::string& collection, const std::string& object_json);
  Json Patch(const std::string& path, const std::string& merge_patch);
  void Delete(const std::string& path);
  Json Get(const std::string& path) const;
  bool Exists(const std::string& path) const;
  Store& store() { return store_; }

  void Inject(Fault fault);
  // Only requests with this bearer token are served; others get 401. Empty: all.
  void RequireToken(std::string token);
  // All open watches: end in good order, or in the middle of a frame; a bookmark; every event
  // twice.
  void EndWatches();
  void CutWatches();
  void SendBookmarks();
  void DuplicateEvents(bool on) { duplicate_events_ = on; }
  // Watches from an old resourceVersion get 410 from here on.
  void Compact() { store_.Compact(); }
  // The server is gone (connections refused and cut) and comes back on the same port.
  void Stop();
  void Start();

  std::vector<LoggedRequest> requests() const;
  int CountRequests(const std::function<bool(const LoggedRequest&)>& match) const;
  // Blocks until so many watches of paths containing `path_part` are open.
  void AwaitWatches(const std::string& path_part, int count) const;
  // Blocks until `holds`, whatever it depends on: looks again when a request arrives, and every 20
  // ms, since a request is carried out after it has arrived and other effects are no requests at
  // all.
  void Await(const std::function<bool()>& holds) const;
  void AwaitRequests(const std::function<bool(const LoggedRequest&)>& match, int count) const;

 private:
  struct Connection;
  void AcceptLoop(int listener);
  void Serve(Connection& connection);
  bool ReadRequest(Connection& connection, LoggedRequest& out);
  bool Handle(Connection& connection, const LoggedRequest& request);
  bool Answer(Connection& connection, int code, const std::string& body, const Fault& fault);
  bool AnswerStatus(Connection& connection, const StatusError& error, const Fault& fault);
  void ServeWatch(Connection& connection, const LoggedRequest& request, const ResourcePath& at,
                  const Fault& fault);
  StatusOr<Json> Apply(const LoggedRequest& request, const ResourcePath& at);
  StatusOr<Json> ListObjects(const LoggedRequest& request, const ResourcePath& at);
  Fault TakeFault(const LoggedRequest& request);

  Store store_;
  int port_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::list<Fault> faults_;
  std::vector<LoggedRequest> requests_;
  std::multimap<std::string, int> open_watches_;  // path -> connection
  std::string token_;
  std::list<std::unique_ptr<Connection>> connections_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> duplicate_events_{false};
  std::atomic<uint64_t> end_epoch_{0}, cut_epoch_{0}, bookmark_epoch_{0};
  int listener_ = -1;
  std::thread acceptor_;
};

}  // namespace hami::fake
