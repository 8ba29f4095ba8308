#include "platform/net/http_session.h"

#include <array>
#include <ctime>
#include <exception>
#include <optional>

#include "base/log.h"
#include "platform/net/http_parser.h"
#include "platform/net/responder.h"

namespace hami::net {
namespace {

constexpr size_t kDiscardLimit = 1 << 20;  // body read and thrown away for 404 and 405
constexpr size_t kLingerLimit = 4 << 20;   // read after an early answer, so that it arrives
constexpr Duration kLingerTime = std::chrono::seconds(2);

std::string HttpDate(WallTime now) {
  time_t seconds = UnixSeconds(now);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  size_t n = strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text, n};
}

HttpResponse PlainText(int status, std::string text) {
  HttpResponse out;
  out.status = status;
  out.content_type = "text/plain; charset=utf-8";
  out.body = std::move(text);
  out.body += '\n';
  return out;
}

class HttpSession final : public Session, public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(Loop& loop, SessionHost& host, std::shared_ptr<Stream> stream,
              std::shared_ptr<TlsContext> tls)
      : loop_(loop), host_(&host), stream_(std::move(stream)), tls_(std::move(tls)) {}

  void Start() override {
    if (!tls_) return NextRequest();
    SetDeadline(host_->options().header_timeout);
    auto plain = std::move(stream_);
    handshake_ = AcceptTls(plain, tls_, [self = shared_from_this()](auto stream) {
      self->handshake_ = nullptr;
      if (!stream || self->state_ == State::kClosed) {
        if (stream) (*stream)->Close();
        return self->End();
      }
      self->stream_ = std::move(*stream);
      self->NextRequest();
    });
  }

  void Drain() override {
    if (state_ == State::kIdle) End();
  }
  void Abort() override { End(); }
  bool idle() const override { return state_ == State::kIdle; }
  MonoTime idle_since() const override { return idle_since_; }

 private:
  enum class State : uint8_t {
    kHandshake,
    kIdle,
    kHeader,
    kBody,
    kHandling,
    kWriting,
    kLinger,
    kClosed
  };

  void NextRequest() {
    parser_ = RequestParser();
    early_.reset();
    close_after_ = false;
    state_ = State::kIdle;
    idle_since_ = loop_.clock().Mono();
    if (host_->draining() && in_.empty()) return End();
    SetDeadline(host_->options().idle_timeout);
    in_.empty() ? Read() : Parse();
  }

  void Read() {
    if (reading_ || state_ == State::kClosed) return;
    reading_ = true;
    stream_->ReadSome(scratch_.data(), scratch_.size(),
                      [self = shared_from_this()](Result<size_t> n) { self->OnRead(n); });
  }

  void OnRead(const Result<size_t>& n) {
    reading_ = false;
    if (state_ == State::kClosed) return;
    if (!n || *n == 0) return OnPeerGone();
    if (state_ == State::kLinger) {
      lingered_ += *n;
      return lingered_ > kLingerLimit ? End() : Read();
    }
    in_.append(scratch_.data(), *n);
    // While a request is handled only the peer's leaving matters; its next request waits in in_.
    if (state_ == State::kIdle || state_ == State::kHeader || state_ == State::kBody) Parse();
  }

  void OnPeerGone() {
    if (state_ == State::kHandling || state_ == State::kWriting) {
      // Maybe only its sending side is closed: the answer is still written.
      close_after_ = true;
      if (auto pending = pending_.lock()) pending->closed = true;
      return;
    }
    End();
  }

  void Parse() {
    if (state_ == State::kIdle) {
      state_ = State::kHeader;
      SetDeadline(host_->options().header_timeout);
    }
    while (!in_.empty() && !parser_.done()) {
      auto used = parser_.Feed(in_);
      if (!used) {
        bool too_large = used.error().code == Code::kResourceExhausted;
        bool in_header = state_ == State::kHeader;
        return ReplyEarly(too_large ? (in_header ? 431 : 413) : 400, used.error().message);
      }
      in_.erase(0, *used);
      if (parser_.header_done() && state_ == State::kHeader && !OnHeader()) return;
      if (*used == 0) break;
    }
    if (parser_.done()) return Dispatch();
    Read();
  }

  // False when an answer has been given and the rest of the request is of no interest.
  bool OnHeader() {
    state_ = State::kBody;
    SetDeadline(host_->options().read_timeout);
    std::string_view path = std::string_view(parser_.target());
    path = path.substr(0, path.find('?'));
    match_ = host_->Find(parser_.method(), path);
    size_t limit = match_.route != nullptr ? match_.route->body_limit : kDiscardLimit;
    if (match_.route == nullptr) {
      early_ = match_.path_known ? PlainText(405, "method not allowed")
                                 : PlainText(404, "404 page not found");
      if (match_.path_known) early_->headers.push_back({"Allow", match_.allow});
    }
    if (!parser_.ExpectBody(limit)) {
      ReplyEarly(413, "request body is longer than " + std::to_string(limit) + " bytes");
      return false;
    }
    if (!parser_.done() && SameHeaderName(parser_.Header("Expect"), "100-continue")) {
      stream_->Write("HTTP/1.1 100 Continue\r\n\r\n", "", [](const Result<void>&, size_t) {});
    }
    return true;
  }

  void Dispatch() {
    head_only_ = parser_.method() == "HEAD";
    close_after_ = close_after_ || !parser_.keep_alive();
    state_ = State::kHandling;
    ClearDeadline();
    if (early_) return Respond(std::move(*early_));
    std::weak_ptr<HttpSession> weak = weak_from_this();
    auto pending = std::make_shared<Responder::State>([weak, loop = &loop_](HttpResponse response) {
      loop->Post([weak, r = std::make_shared<HttpResponse>(std::move(response))] {
        if (auto self = weak.lock()) self->Respond(std::move(*r));
      });
    });
    pending_ = pending;
    Responder responder(std::move(pending));
    Read();  // notices a client that goes away
    try {
      match_.route->handler(parser_.Take(), std::move(responder));
    } catch (const std::exception& e) {
      LOG(kError, "request handler threw").Kv("path", match_.route->path).Kv("error", e.what());
    }
  }

  // The whole request was not read: answer, then close behind it.
  void ReplyEarly(int status, const std::string& why) {
    close_after_ = true;
    linger_ = true;
    state_ = State::kHandling;
    Respond(PlainText(status, why));
  }

  void Respond(HttpResponse response) {
    if (state_ != State::kHandling) return;
    state_ = State::kWriting;
    close_after_ = close_after_ || host_->draining();
    SetDeadline(host_->options().read_timeout);
    std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
    head += ReasonPhrase(response.status);
    head += "\r\nDate: " + HttpDate(loop_.clock().Now());
    if (!response.content_type.empty()) head += "\r\nContent-Type: " + response.content_type;
    head += "\r\nContent-Length: " + std::to_string(response.body.size());
    for (const Header& header : response.headers) {
      head += "\r\n" + header.name + ": " + header.value;
    }
    if (close_after_) head += "\r\nConnection: close";
    head += "\r\n\r\n";
    stream_->Write(std::move(head), head_only_ ? std::string() : std::move(response.body),
                   [self = shared_from_this()](const Result<void>& written, size_t) {
                     self->OnWritten(written);
                   });
  }

  void OnWritten(const Result<void>& written) {
    if (state_ == State::kClosed) return;
    if (!written) return End();
    if (!close_after_) return NextRequest();
    // Closing while the peer still sends would reset the connection and take the answer with it.
    state_ = State::kLinger;
    SetDeadline(kLingerTime);
    stream_->CloseWrite([self = shared_from_this()] {
      if (self->state_ == State::kClosed) return;
      self->linger_ ? self->Read() : self->End();
    });
  }

  void SetDeadline(Duration d) {
    ClearDeadline();
    std::weak_ptr<HttpSession> weak = weak_from_this();
    timer_ = loop_.PostAfter(d, [weak] {
      if (auto self = weak.lock()) self->End();
    });
  }
  void ClearDeadline() {
    if (timer_ != 0) loop_.Cancel(timer_);
    timer_ = 0;
  }

  void End() {
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    ClearDeadline();
    if (handshake_) handshake_->Cancel();
    if (stream_) stream_->Close();
    if (auto pending = pending_.lock()) pending->Detach();
    host_->OnEnd(*this);  // the host may be destroyed from here on
  }

  Loop& loop_;
  SessionHost* host_;
  std::shared_ptr<Stream> stream_;
  std::shared_ptr<TlsContext> tls_;
  std::shared_ptr<Cancellable> handshake_;
  State state_ = State::kHandshake;
  RequestParser parser_;
  SessionHost::Match match_;
  std::optional<HttpResponse> early_;
  std::weak_ptr<Responder::State> pending_;  // of the request being handled
  std::string in_;
  std::array<char, 16384> scratch_;
  bool reading_ = false;
  bool close_after_ = false;
  bool linger_ = false;
  bool head_only_ = false;
  size_t lingered_ = 0;
  MonoTime idle_since_{};
  Executor::TimerId timer_ = 0;
};

}  // namespace

std::shared_ptr<Session> MakeSession(Loop& loop, SessionHost& host, std::shared_ptr<Stream> stream,
                                     std::shared_ptr<TlsContext> tls) {
  return std::make_shared<HttpSession>(loop, host, std::move(stream), std::move(tls));
}

}  // namespace hami::net
