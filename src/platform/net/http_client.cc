#include "platform/net/http_client.h"

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "platform/net/http_parser.h"
#include "platform/net/stream.h"

namespace hami::net {

Result<Url> ParseUrl(const std::string& url) {
  auto bad = [&] {
    return Fail(Code::kInvalidArgument,
                "URL \"" + url + "\": expected http://host:port, https://host:port or unix:/path");
  };
  Url out;
  std::string_view rest = url;
  if (rest.starts_with("unix:")) {
    out.unix_path = rest.substr(5);
    return out.unix_path.starts_with("/") ? Result<Url>(out) : bad();
  }
  if (rest.starts_with("https://")) {
    out.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad();
  }
  size_t slash = rest.find('/');
  if (slash != std::string_view::npos) {
    out.base_path = rest.substr(slash);
    while (out.base_path.ends_with('/')) out.base_path.pop_back();
    rest = rest.substr(0, slash);
  }
  out.port = out.tls ? 443 : 80;
  size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && rest.find(']', colon) == std::string_view::npos) {
    const char* end = rest.data() + rest.size();
    auto [at, ec] = std::from_chars(rest.data() + colon + 1, end, out.port);
    if (ec != std::errc() || at != end || out.port < 1 || out.port > 65535) return bad();
    rest = rest.substr(0, colon);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  if (rest.empty() || rest.find('@') != std::string_view::npos) return bad();
  out.host = rest;
  return out;
}

struct HttpConnection::Impl : std::enable_shared_from_this<HttpConnection::Impl> {
  Impl(Loop& l, Peer p) : loop(l), peer(std::move(p)) {}

  std::string HostHeader() const {
    if (!peer.unix_path.empty()) return "localhost";
    std::string host = peer.host.find(':') == std::string::npos ? peer.host : "[" + peer.host + "]";
    if (peer.port != (peer.tls ? 443 : 80)) host += ":" + std::to_string(peer.port);
    return host;
  }

  void Start(HttpRequest request, MonoTime deadline, Exchange e) {
    CHECK(open && !exchange);
    exchange = std::move(e);
    parser.emplace(request.method == "HEAD");
    sent = false;
    answered = false;
    SetDeadline(deadline);
    std::string head = request.method + " " + request.target + " HTTP/1.1\r\nHost: " + HostHeader();
    for (const Header& header : request.headers) head += "\r\n" + header.name + ": " + header.value;
    if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
        request.method == "PATCH") {
      head += "\r\nContent-Length: " + std::to_string(request.body.size());
    }
    head += "\r\n\r\n";
    sent = true;
    writing = true;
    read_failure.reset();
    stream->Write(std::move(head), std::move(request.body),
                  [self = shared_from_this()](const Result<void>& done, size_t written) {
                    self->OnWritten(done, written);
                  });
    Read();
  }

  void OnWritten(const Result<void>& done, size_t written) {
    writing = false;
    if (!exchange) return;
    sent = done || written > 0;
    if (read_failure) return Abandon(std::move(*read_failure));
    // An early answer (413) may stand in the receive buffer: the reader decides.
    if (!done && !reading) Abandon(done.error());
  }

  // The verdict waits for a write under way, which tells whether anything was sent.
  void FailRead(Error error) {
    if (!writing) return Abandon(std::move(error));
    read_failure = std::move(error);
  }

  // Reads at all times while open, so that a peer's close of an idle connection is seen at once.
  void Read() {
    if (reading || !open) return;
    reading = true;
    stream->ReadSome(scratch.data(), scratch.size(),
                     [self = shared_from_this()](const Result<size_t>& n) {
                       self->reading = false;
                       self->OnRead(n);
                     });
  }

  void OnRead(const Result<size_t>& n) {
    if (!open) return;
    if (!exchange) return Shut();  // closed, or spoke without being asked
    if (!n) return FailRead(n.error());
    if (*n == 0) {
      auto ended = parser->FeedEnd();
      if (!ended) return FailRead(std::move(ended.error()));
      Progress();
      if (open && exchange) Finish({}, false);
      return;
    }
    answered = true;
    in.append(scratch.data(), *n);
    auto used = parser->Feed(in);
    if (!used) return Abandon(std::move(used.error()));
    in.erase(0, *used);
    Progress();
    if (!open || !exchange) return;  // closed by a callback
    if (parser->done()) {
      Finish({}, parser->keep_alive() && in.empty() && !writing);
      if (open) Read();
      return;
    }
    Read();
  }

  void Progress() {
    auto self = shared_from_this();
    if (parser->header_done() && !head_told) {
      head_told = true;
      if (exchange->on_head) exchange->on_head(parser->status(), parser->headers());
    }
    if (!open || !exchange) return;
    std::string piece = parser->TakeBody();
    if (!piece.empty() && exchange->on_body) exchange->on_body(piece);
  }

  void SetDeadline(MonoTime deadline) {
    if (timer != 0) loop.Cancel(timer);
    timer = loop.PostAt(deadline, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self || !self->exchange) return;
      self->Abandon({Code::kDeadlineExceeded, "no complete answer before the deadline"});
    });
  }

  void Abandon(Error error) { Finish(tl::unexpected<Error>(std::move(error)), false); }

  void Finish(Result<void> result, bool keep) {
    if (timer != 0) loop.Cancel(timer);
    timer = 0;
    head_told = false;
    if (!keep) Shut();
    Exchange ended = std::move(*exchange);
    exchange.reset();
    ended.on_end(std::move(result));
  }

  void Shut() {
    if (!open) return;
    open = false;
    stream->Close();
  }

  void Close() {
    if (exchange) {
      Abandon({Code::kCancelled, "request given up"});
    } else {
      Shut();
    }
  }

  Loop& loop;
  Peer peer;
  std::shared_ptr<Stream> stream;
  std::optional<Exchange> exchange;
  std::optional<ResponseParser> parser;
  std::optional<Error> read_failure;
  std::string in;
  std::array<char, 32768> scratch;
  Executor::TimerId timer = 0;
  bool open = true;
  bool reading = false;
  bool writing = false;
  bool head_told = false;
  bool sent = false;
  bool answered = false;
};

namespace {

// Between Open and `opened`: whichever of connection, deadline and cancel comes first.
struct OpenState {
  std::shared_ptr<Cancellable> connect;
  HttpConnection::Opened opened;
  Executor::TimerId timer = 0;
};

}  // namespace

HttpConnection::Opening HttpConnection::Open(Loop& loop, Peer peer, MonoTime deadline,
                                             Opened opened) {
  auto state = std::make_shared<OpenState>();
  state->opened = std::move(opened);
  auto impl = std::make_shared<Impl>(loop, peer);
  Endpoint endpoint{peer.host, peer.port, peer.unix_path, peer.tls, peer.server_name};
  state->connect =
      Connect(loop, std::move(endpoint), [state, impl](Result<std::shared_ptr<Stream>> stream) {
        impl->loop.Cancel(state->timer);
        state->connect = nullptr;
        Opened done = std::exchange(state->opened, nullptr);
        if (!done) {
          if (stream) (*stream)->Close();
          return;
        }
        if (!stream) return done(Fail(std::move(stream.error())));
        impl->stream = std::move(*stream);
        done(std::shared_ptr<HttpConnection>(new HttpConnection(impl)));
      });
  auto give_up = [state](Error error) {
    auto connect = std::exchange(state->connect, nullptr);
    Opened done = std::exchange(state->opened, nullptr);
    if (connect) connect->Cancel();
    if (done) done(Fail(std::move(error)));
  };
  std::string where =
      peer.unix_path.empty() ? peer.host + ":" + std::to_string(peer.port) : peer.unix_path;
  state->timer = loop.PostAt(deadline, [give_up, where] {
    give_up({Code::kDeadlineExceeded, "connect " + where + ": no connection before the deadline"});
  });
  return {[give_up] { give_up({Code::kCancelled, "connect: given up"}); }};
}

HttpConnection::HttpConnection(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->Read();
}
HttpConnection::~HttpConnection() { impl_->Close(); }

void HttpConnection::Start(HttpRequest request, MonoTime deadline, Exchange exchange) {
  impl_->Start(std::move(request), deadline, std::move(exchange));
}
void HttpConnection::SetDeadline(MonoTime deadline) {
  if (impl_->exchange) impl_->SetDeadline(deadline);
}
void HttpConnection::Close() { impl_->Close(); }
bool HttpConnection::usable() const { return impl_->open && !impl_->exchange; }
bool HttpConnection::sent() const { return impl_->sent; }
bool HttpConnection::answered() const { return impl_->answered; }

}  // namespace hami::net
