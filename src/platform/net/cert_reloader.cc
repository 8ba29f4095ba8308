#include "platform/net/cert_reloader.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <optional>
#include <utility>

#include "base/fs.h"
#include "base/log.h"
#include "platform/net/asio_loop.h"

namespace hami::net {
namespace {

namespace asio = boost::asio;

// Writers change two files; wait until they are done.
constexpr Duration kSettle = std::chrono::milliseconds(50);

std::string Folder(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

struct Pair {
  std::string cert;
  std::string key;
  bool operator==(const Pair&) const = default;
};

Result<Pair> ReadPair(const TlsFiles& files) {
  Pair pair;
  TRY_ASSIGN(pair.cert, RealFileSystem().Read(files.cert_file));
  TRY_ASSIGN(pair.key, RealFileSystem().Read(files.key_file));
  return pair;
}

}  // namespace

struct CertReloader::Impl : std::enable_shared_from_this<Impl> {
  Impl(Loop& l, TlsFiles f) : loop(l), files(std::move(f)), inotify(*l.impl().io) {}

  Result<void> Load() {
    TRY_ASSIGN(Pair pair, ReadPair(files));
    if (pair == loaded) return {};
    TRY_ASSIGN(auto made, MakeServerTls(pair.cert, pair.key));
    if (context) {
      LOG(kInfo, "certificate reloaded").Kv("file", files.cert_file);
    }
    loaded = std::move(pair);
    context = std::move(made);
    expiry = net::CertExpiryUnix(*context);
    last_refusal.clear();
    return {};
  }

  void Reload() {
    auto done = Load();
    if (done || done.error().message == last_refusal) return;
    last_refusal = done.error().message;
    LOG(kWarn, "new certificate refused, the old one stays")
        .Kv("cert", files.cert_file)
        .Kv("key", files.key_file)
        .Kv("error", last_refusal);
  }

  void Watch() {
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0) {
      boost::system::error_code ec;
      inotify.assign(fd, ec);
      if (ec) close(fd);
    }
    Poll();
    if (inotify.is_open()) ReadEvents();
  }

  // Harmless when already watched; brings a folder back that was removed and made again.
  void AddFolders() {
    if (!inotify.is_open()) return;
    constexpr uint32_t kEvents = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_ATTRIB;
    for (const std::string* file : {&files.cert_file, &files.key_file}) {
      inotify_add_watch(inotify.native_handle(), Folder(*file).c_str(), kEvents);
    }
  }

  void Poll() {
    AddFolders();
    Reload();
    poll_timer = loop.PostAfter(files.poll, [weak = weak_from_this()] {
      if (auto self = weak.lock(); self && !self->stopped) self->Poll();
    });
  }

  void ReadEvents() {
    inotify.async_read_some(asio::buffer(events), [self = shared_from_this()](
                                                      const boost::system::error_code& ec, size_t) {
      if (ec || self->stopped) return;
      if (!self->settling) {
        self->settling = true;
        self->loop.PostAfter(kSettle, [weak = self->weak_from_this()] {
          auto me = weak.lock();
          if (!me || me->stopped) return;
          me->settling = false;
          me->Reload();
        });
      }
      self->ReadEvents();
    });
  }

  void Stop() {
    stopped = true;
    loop.Cancel(poll_timer);
    boost::system::error_code ignored;
    inotify.close(ignored);
  }

  Loop& loop;
  TlsFiles files;
  asio::posix::stream_descriptor inotify;
  std::array<char, 4096> events{};
  Pair loaded;
  std::shared_ptr<TlsContext> context;
  std::atomic<int64_t> expiry{0};
  std::string last_refusal;
  Executor::TimerId poll_timer = 0;
  bool settling = false;
  bool stopped = false;
};

Result<std::unique_ptr<CertReloader>> CertReloader::Create(Loop& loop, TlsFiles files) {
  auto impl = std::make_shared<Impl>(loop, std::move(files));
  auto loaded = impl->Load();
  if (!loaded) {
    return Fail(
        std::move(loaded.error())
            .With("certificate " + impl->files.cert_file + ", key " + impl->files.key_file));
  }
  loop.RunSync([&] { impl->Watch(); });
  return std::unique_ptr<CertReloader>(new CertReloader(std::move(impl)));
}

CertReloader::CertReloader(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
CertReloader::~CertReloader() { impl_->Stop(); }

std::shared_ptr<TlsContext> CertReloader::current() const { return impl_->context; }
int64_t CertReloader::ExpiryUnix() const { return impl_->expiry; }

}  // namespace hami::net
