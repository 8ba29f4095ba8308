#include "tests/fake_apiserver/fake_apiserver.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cctype>
#include <charconv>
#include <utility>

namespace hami::fake {
namespace {

namespace json = boost::json;

std::string Decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      int value = 0;
      std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string QueryValue(const std::string& query, std::string_view name) {
  std::string_view rest = query;
  while (!rest.empty()) {
    size_t end = std::min(rest.find('&'), rest.size());
    std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    size_t eq = std::min(pair.find('='), pair.size());
    if (pair.substr(0, eq) == name) return Decode(pair.substr(std::min(eq + 1, pair.size())));
  }
  return "";
}

int64_t Number(const std::string& text, int64_t fallback) {
  int64_t out = fallback;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

std::string StatusBody(const StatusError& error) {
  return json::serialize(json::object{{"kind", "Status"},
                                      {"apiVersion", "v1"},
                                      {"metadata", json::object()},
                                      {"status", "Failure"},
                                      {"message", error.message},
                                      {"reason", error.reason},
                                      {"code", error.code}});
}

std::string WatchFrame(std::string_view type, const std::string& object) {
  return "{\"type\":\"" + std::string(type) + "\",\"object\":" + object + "}\n";
}

std::string KindOf(const std::string& resource) {
  std::string kind = resource;
  if (kind.ends_with('s')) kind.pop_back();
  if (!kind.empty()) kind[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(kind[0])));
  return kind;
}

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Gone without a FIN handshake that would look like a good end of the answer.
void Reset(int fd) {
  linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  shutdown(fd, SHUT_RDWR);
}

}  // namespace

struct FakeApiServer::Connection {
  int fd = -1;
  std::string in;
  std::thread thread;
  std::atomic<bool> done{false};
};

std::function<bool(const LoggedRequest&)> On(std::string method, std::string path_part) {
  return [method = std::move(method), part = std::move(path_part)](const LoggedRequest& r) {
    return r.method == method && r.path.find(part) != std::string::npos;
  };
}

std::function<bool(const LoggedRequest&)> OnWatch(std::string path_part) {
  return [part = std::move(path_part)](const LoggedRequest& r) {
    return r.watch() && r.path.find(part) != std::string::npos;
  };
}

std::function<bool(const LoggedRequest&)> OnList(std::string path_part) {
  return [part = std::move(path_part)](const LoggedRequest& r) {
    return r.method == "GET" && !r.watch() && r.path.find(part) != std::string::npos;
  };
}

FakeApiServer::FakeApiServer() { Start(); }
FakeApiServer::~FakeApiServer() { Stop(); }

void FakeApiServer::Start() {
  stopping_ = false;
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<uint16_t>(port_));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
  CHECK(listen(listener_, 64) == 0);
  socklen_t size = sizeof at;
  getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
  port_ = ntohs(at.sin_port);
  acceptor_ = std::thread([this, fd = listener_] { AcceptLoop(fd); });
}

void FakeApiServer::Stop() {
  if (!acceptor_.joinable()) return;
  stopping_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  std::list<std::unique_ptr<Connection>> ending;
  {
    std::lock_guard lock(mutex_);
    ending.swap(connections_);
    for (auto& connection : ending) {
      if (!connection->done) Reset(connection->fd);
    }
    changed_.notify_all();
  }
  store_.Wake();
  for (auto& connection : ending) {
    connection->thread.join();
    close(connection->fd);
  }
}

std::string FakeApiServer::url() const { return "http://127.0.0.1:" + std::to_string(port_); }

void FakeApiServer::AcceptLoop(int listener) {
  while (!stopping_) {
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      if (stopping_) return;
      continue;
    }
    std::lock_guard lock(mutex_);
    connections_.remove_if([](const std::unique_ptr<Connection>& old) {
      if (!old->done) return false;
      old->thread.join();
      close(old->fd);
      return true;
    });
    auto connection = std::make_unique<Connection>();
    connection->fd = fd;
    Connection& ref = *connection;
    connections_.push_back(std::move(connection));
    ref.thread = std::thread([this, &ref] { Serve(ref); });
  }
}

void FakeApiServer::Serve(Connection& connection) {
  LoggedRequest request;
  while (!stopping_ && ReadRequest(connection, request)) {
    if (!Handle(connection, request)) break;
  }
  shutdown(connection.fd, SHUT_RDWR);
  connection.done = true;
}

bool FakeApiServer::ReadRequest(Connection& connection, LoggedRequest& out) {
  out = {};
  std::string& in = connection.in;
  auto more = [&] {
    char buffer[16384];
    ssize_t n = recv(connection.fd, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    in.append(buffer, static_cast<size_t>(n));
    return true;
  };
  size_t end = 0;
  while ((end = in.find("\r\n\r\n")) == std::string::npos) {
    if (!more()) return false;
  }
  std::string head = in.substr(0, end + 2);
  in.erase(0, end + 4);
  size_t at = head.find("\r\n");
  std::string line = head.substr(0, at);
  size_t space = line.find(' ');
  size_t second = line.find(' ', space + 1);
  out.method = line.substr(0, space);
  std::string target = line.substr(space + 1, second - space - 1);
  size_t mark = std::min(target.find('?'), target.size());
  out.path = Decode(target.substr(0, mark));
  out.query = target.substr(std::min(mark + 1, target.size()));
  for (at += 2; at < head.size();) {
    size_t next = head.find("\r\n", at);
    std::string header = head.substr(at, next - at);
    size_t colon = header.find(": ");
    std::string name = header.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    out.headers[name] = colon == std::string::npos ? "" : header.substr(colon + 2);
    at = next + 2;
  }
  auto length = static_cast<size_t>(Number(out.headers["content-length"], 0));
  while (in.size() < length) {
    if (!more()) return false;
  }
  out.body = in.substr(0, length);
  in.erase(0, length);
  return true;
}

Fault FakeApiServer::TakeFault(const LoggedRequest& request) {
  std::lock_guard lock(mutex_);
  requests_.push_back(request);
  changed_.notify_all();
  for (auto it = faults_.begin(); it != faults_.end(); ++it) {
    if (!it->match(request)) continue;
    Fault fault = *it;
    if (--it->times == 0) faults_.erase(it);
    return fault;
  }
  return {};
}

bool FakeApiServer::Handle(Connection& connection, const LoggedRequest& request) {
  Fault fault = TakeFault(request);
  if (fault.delay.count() > 0) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, fault.delay, [&] { return stopping_.load(); });
  }
  if (fault.close_early) {
    Reset(connection.fd);
    return false;
  }
  if (fault.status != 0 && !fault.error_event) {
    return AnswerStatus(connection, {fault.status, fault.reason, "injected fault"}, fault);
  }
  {
    std::lock_guard lock(mutex_);
    auto auth = request.headers.find("authorization");
    if (!token_.empty() && (auth == request.headers.end() || auth->second != "Bearer " + token_)) {
      fault = {};
      fault.status = 401;
    }
  }
  if (fault.status == 401) {
    return AnswerStatus(connection, {401, "Unauthorized", "Unauthorized"}, fault);
  }
  if (request.path == "/version") {
    return Answer(connection, 200, R"({"major":"1","minor":"35","gitVersion":"v1.35.0-fake"})",
                  fault);
  }
  auto at = ParseResourcePath(request.path);
  if (!at) return AnswerStatus(connection, {404, "NotFound", "no such path"}, fault);
  if (request.watch()) {
    ServeWatch(connection, request, *at, fault);
    return false;
  }
  auto result = Apply(request, *at);
  if (fault.close_late) {
    Reset(connection.fd);
    return false;
  }
  if (!result) return AnswerStatus(connection, result.error(), fault);
  return Answer(connection, request.method == "POST" ? 201 : 200, ToJson(*result), fault);
}

StatusOr<Json> FakeApiServer::Apply(const LoggedRequest& request, const ResourcePath& at) {
  if (request.method == "GET") return at.name.empty() ? ListObjects(request, at) : store_.Get(at);
  Json body;
  if (!request.body.empty()) {
    auto parsed = ParseJson(request.body);
    if (!parsed) {
      return tl::unexpected<StatusError>(StatusError{400, "BadRequest", parsed.error().message});
    }
    body = std::move(*parsed);
  }
  if (request.method == "POST" && at.resource == "pods" && at.subresource == "binding") {
    auto bound = store_.Bind(at, body);
    if (!bound) return bound;
    return Json(json::object{{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Success"}});
  }
  if (request.method == "POST" && at.name.empty()) return store_.Create(at, std::move(body));
  if (request.method == "PUT") return store_.Replace(at, std::move(body));
  if (request.method == "DELETE") return store_.Delete(at, body);
  if (request.method == "PATCH") {
    auto type = request.headers.find("content-type");
    if (type == request.headers.end() || type->second != "application/merge-patch+json") {
      return tl::unexpected<StatusError>(
          StatusError{415, "UnsupportedMediaType", "expected application/merge-patch+json"});
    }
    return store_.MergePatch(at, body);
  }
  return tl::unexpected<StatusError>(
      StatusError{405, "MethodNotAllowed", "the server does not allow this method"});
}

StatusOr<Json> FakeApiServer::ListObjects(const LoggedRequest& request, const ResourcePath& at) {
  auto page = store_.List(at, Selector::Fields(QueryValue(request.query, "fieldSelector")),
                          Selector::Labels(QueryValue(request.query, "labelSelector")),
                          static_cast<size_t>(Number(QueryValue(request.query, "limit"), 0)),
                          QueryValue(request.query, "continue"));
  if (!page) return tl::unexpected<StatusError>(page.error());
  json::object metadata{{"resourceVersion", std::to_string(page->version)}};
  if (!page->continue_token.empty()) metadata["continue"] = page->continue_token;
  json::array items;
  for (Json& item : page->items) {
    item.get_object().erase("kind");  // as typed lists do
    item.get_object().erase("apiVersion");
    items.push_back(std::move(item));
  }
  return Json(json::object{{"kind", KindOf(at.resource) + "List"},
                           {"apiVersion", at.group_version},
                           {"metadata", std::move(metadata)},
                           {"items", std::move(items)}});
}

bool FakeApiServer::Answer(Connection& connection, int code, const std::string& body,
                           const Fault& fault) {
  std::string head =
      "HTTP/1.1 " + std::to_string(code) + " X\r\nContent-Type: application/json\r\n";
  if (fault.retry_after >= 0) head += "Retry-After: " + std::to_string(fault.retry_after) + "\r\n";
  head += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  if (fault.cut_after >= 0) {
    SendAll(connection.fd, head + body.substr(0, static_cast<size_t>(fault.cut_after)));
    shutdown(connection.fd, SHUT_RDWR);
    return false;
  }
  return SendAll(connection.fd, head + body);
}

bool FakeApiServer::AnswerStatus(Connection& connection, const StatusError& error,
                                 const Fault& fault) {
  return Answer(connection, error.code, StatusBody(error), fault);
}

namespace {

// The frames of one watch, chunked, with its faults.
class WatchWriter {
 public:
  WatchWriter(int fd, int cut_after) : fd_(fd), left_(cut_after) {}
  bool Begin() {
    return SendAll(fd_,
                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n");
  }
  bool Send(std::string_view bytes) {
    if (left_ >= 0) {
      bytes = bytes.substr(0, static_cast<size_t>(left_));
      left_ -= static_cast<int>(bytes.size());
    }
    if (!bytes.empty()) {
      char size[16];
      auto [end, ec] = std::to_chars(size, size + sizeof size, bytes.size(), 16);
      if (!SendAll(fd_, std::string(size, end) + "\r\n" + std::string(bytes) + "\r\n"))
        return false;
    }
    return left_ != 0;
  }
  void End() { SendAll(fd_, "0\r\n\r\n"); }

 private:
  int fd_;
  int left_;  // bytes until the cut; -1: none
};

std::string FrameOf(const Change& change, const std::string& kind, const std::string& gv,
                    const Selector& fields, const Selector& labels) {
  auto matches = [&](const std::optional<Json>& o) {
    return o && fields.Matches(*o) && labels.Matches(*o);
  };
  bool was = matches(change.before);
  bool is = matches(change.after);
  if (!was && !is) return "";
  Json object = is ? *change.after : change.after ? *change.after : *change.before;
  object.as_object()["kind"] = kind;
  object.as_object()["apiVersion"] = gv;
  return WatchFrame(is ? (was ? "MODIFIED" : "ADDED") : "DELETED", ToJson(object));
}

}  // namespace

void FakeApiServer::ServeWatch(Connection& connection, const LoggedRequest& request,
                               const ResourcePath& at, const Fault& fault) {
  std::string from = QueryValue(request.query, "resourceVersion");
  int64_t version = from.empty() ? 0 : Number(from, 0);
  if (version != 0 && store_.Compacted(version) && !fault.error_event) {
    AnswerStatus(connection, {410, "Expired", "too old resource version: " + from}, fault);
    return;
  }
  Selector fields = Selector::Fields(QueryValue(request.query, "fieldSelector"));
  Selector labels = Selector::Labels(QueryValue(request.query, "labelSelector"));
  std::string kind = KindOf(at.resource);
  uint64_t end = end_epoch_, cut = cut_epoch_, bookmark = bookmark_epoch_, wakes = 0;
  auto deadline = SystemClock().Mono() +
                  std::chrono::seconds(Number(QueryValue(request.query, "timeoutSeconds"), 1800));
  WatchWriter out(connection.fd, fault.cut_after);
  bool alive = out.Begin();
  if (!fault.watch_prefix.empty()) alive = alive && out.Send(fault.watch_prefix);
  if (fault.error_event) {
    out.Send(WatchFrame("ERROR", StatusBody({fault.status, fault.reason, "injected fault"})));
    return out.End();
  }
  std::multimap<std::string, int>::iterator open;
  {
    std::lock_guard lock(mutex_);
    open = open_watches_.emplace(request.path, connection.fd);
    changed_.notify_all();
  }
  if (version == 0) {
    version = store_.version();
    auto page = store_.List(at, fields, labels, 0, "");
    for (const Json& object : page->items) {
      alive = alive && out.Send(WatchFrame("ADDED", ToJson(object)));
    }
  }
  while (alive && !stopping_ && SystemClock().Mono() < deadline) {
    for (const Change& change : store_.WaitChanges(version, deadline, &wakes)) {
      version = change.version;
      if (change.group_version != at.group_version || change.resource != at.resource ||
          (!at.ns.empty() && change.ns != at.ns)) {
        continue;
      }
      std::string frame = FrameOf(change, kind, at.group_version, fields, labels);
      alive = alive && out.Send(frame) && (!duplicate_events_ || out.Send(frame));
    }
    if (cut_epoch_ != cut) {
      out.Send(R"({"type":"MODIFIED","object":{"kind":"Pod","metadata":{"name":"cut-in-the-mid)");
      alive = false;
    } else if (end_epoch_ != end) {
      out.End();
      alive = false;
    }
    if (alive && bookmark_epoch_ != bookmark) {
      bookmark = bookmark_epoch_;
      alive = out.Send(
          WatchFrame("BOOKMARK", "{\"kind\":\"" + kind + "\",\"metadata\":{\"resourceVersion\":\"" +
                                     std::to_string(version) + "\",\"creationTimestamp\":null}}"));
    }
  }
  if (alive && !stopping_) out.End();
  std::lock_guard lock(mutex_);
  open_watches_.erase(open);
}

Json FakeApiServer::Create(const std::string& collection, const std::string& object_json) {
  auto object = ParseJson(object_json);
  CHECK(object.has_value());
  auto created = store_.Create(*ParseResourcePath(collection), std::move(*object));
  CHECK(created.has_value());
  return *created;
}

Json FakeApiServer::Patch(const std::string& path, const std::string& merge_patch) {
  auto patch = ParseJson(merge_patch);
  CHECK(patch.has_value());
  auto patched = store_.MergePatch(*ParseResourcePath(path), *patch);
  CHECK(patched.has_value());
  return *patched;
}

void FakeApiServer::Delete(const std::string& path) {
  CHECK(store_.Delete(*ParseResourcePath(path), Json()).has_value());
}

Json FakeApiServer::Get(const std::string& path) const {
  auto got = store_.Get(*ParseResourcePath(path));
  CHECK(got.has_value());
  return *got;
}

bool FakeApiServer::Exists(const std::string& path) const {
  return store_.Get(*ParseResourcePath(path)).has_value();
}

void FakeApiServer::Inject(Fault fault) {
  std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FakeApiServer::RequireToken(std::string token) {
  std::lock_guard lock(mutex_);
  token_ = std::move(token);
}

void FakeApiServer::EndWatches() {
  ++end_epoch_;
  store_.Wake();
}
void FakeApiServer::CutWatches() {
  ++cut_epoch_;
  store_.Wake();
}
void FakeApiServer::SendBookmarks() {
  ++bookmark_epoch_;
  store_.Wake();
}

std::vector<LoggedRequest> FakeApiServer::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

int FakeApiServer::CountRequests(const std::function<bool(const LoggedRequest&)>& match) const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(std::count_if(requests_.begin(), requests_.end(), match));
}

void FakeApiServer::AwaitWatches(const std::string& path_part, int count) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return std::count_if(open_watches_.begin(), open_watches_.end(), [&](const auto& entry) {
             return entry.first.find(path_part) != std::string::npos;
           }) >= count;
  });
}

void FakeApiServer::Await(const std::function<bool()>& holds) const {
  while (!holds()) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(20));
  }
}

void FakeApiServer::AwaitRequests(const std::function<bool(const LoggedRequest&)>& match,
                                  int count) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock,
                [&] { return std::count_if(requests_.begin(), requests_.end(), match) >= count; });
}

}  // namespace hami::fake
