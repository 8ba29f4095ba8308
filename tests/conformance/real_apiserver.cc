#include "tests/conformance/real_apiserver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <future>

#include "base/clock.h"
#include "base/env.h"
#include "base/fs.h"
#include "platform/net/loop.h"
#include "platform/net/test_client.h"

namespace hami::conformance {
namespace {

namespace fs = std::filesystem;

constexpr char kToken[] = "conformance-token";

// The newest folder of the testbed's cache that holds both programs; "" for none.
std::string FindPrograms() {
  std::string home = GetEnvOr("HOME", "/root");
  std::string cache =
      GetEnvOr("HAMI_CACHE", GetEnvOr("XDG_CACHE_HOME", home + "/.cache") + "/hami");
  std::vector<std::string> found;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(cache + "/testbed", ec)) {
    fs::path bin = entry.path() / "bin";
    if (fs::exists(bin / "kube-apiserver", ec) && fs::exists(bin / "etcd", ec)) {
      found.push_back(bin);
    }
  }
  std::sort(found.begin(), found.end());
  return found.empty() ? "" : found.back();
}

int FreePort() {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&at), size) == 0);
  getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  close(fd);
  return ntohs(at.sin_port);
}

void End(pid_t& pid) {
  if (pid <= 0) return;
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  pid = -1;
}

}  // namespace

Result<std::unique_ptr<RealApiServer>> RealApiServer::Start() {
  std::unique_ptr<RealApiServer> server(new RealApiServer());
  server->bin_ = FindPrograms();
  if (server->bin_.empty()) {
    return Fail(Code::kNotFound, "no kube-apiserver and etcd in the testbed's cache");
  }
  TRY(server->Prepare());
  TRY(server->Launch());
  return server;
}

RealApiServer::~RealApiServer() {
  End(apiserver_);
  End(etcd_);
  std::error_code ec;
  if (!dir_.empty()) fs::remove_all(dir_, ec);
}

Result<void> RealApiServer::Prepare() {
  std::string pattern = fs::temp_directory_path() / "hami-apiserver-XXXXXX";
  dir_ = mkdtemp(pattern.data());
  net::CertPair serving = ca_.Issue("kube-apiserver", {"127.0.0.1"});
  net::CertPair accounts = ca_.Issue("service-accounts", {});
  const std::pair<const char*, std::string> files[] = {
      {"ca.crt", ca_.cert_pem()},
      {"server.crt", serving.cert_pem},
      {"server.key", serving.key_pem},
      {"sa.crt", accounts.cert_pem},
      {"sa.key", accounts.key_pem},
      {"tokens.csv", std::string(kToken) + ",tester,1,\"system:masters\"\n"}};
  for (const auto& [name, text] : files) {
    TRY(RealFileSystem().WriteAtomic(dir_ + "/" + name, text, 0600));
  }
  etcd_port_ = FreePort();
  etcd_peer_port_ = FreePort();
  port_ = FreePort();
  std::string client = "http://127.0.0.1:" + std::to_string(etcd_port_);
  std::string peer = "http://127.0.0.1:" + std::to_string(etcd_peer_port_);
  TRY_ASSIGN(
      etcd_,
      Spawn("etcd", {"--data-dir=" + dir_ + "/etcd", "--listen-client-urls=" + client,
                     "--advertise-client-urls=" + client, "--listen-peer-urls=" + peer,
                     "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
                     "--unsafe-no-fsync", "--log-level=error"}));
  return {};
}

Result<void> RealApiServer::Launch() {
  TRY_ASSIGN(
      apiserver_,
      Spawn(
          "kube-apiserver",
          {"--etcd-servers=http://127.0.0.1:" + std::to_string(etcd_port_),
           "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
           "--secure-port=" + std::to_string(port_), "--endpoint-reconciler-type=none",
           "--tls-cert-file=" + dir_ + "/server.crt",
           "--tls-private-key-file=" + dir_ + "/server.key", "--client-ca-file=" + dir_ + "/ca.crt",
           "--token-auth-file=" + dir_ + "/tokens.csv", "--anonymous-auth=false",
           "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc",
           "--service-account-key-file=" + dir_ + "/sa.crt",
           "--service-account-signing-key-file=" + dir_ + "/sa.key",
           "--service-cluster-ip-range=10.96.0.0/16", "--disable-admission-plugins=ServiceAccount",
           "--cert-dir=" + dir_ + "/certs"}));
  net::Loop loop;
  net::Peer peer;
  peer.host = "127.0.0.1";
  peer.port = port_;
  net::ClientTlsOptions tls;
  tls.ca_pem = ca_.cert_pem();
  TRY_ASSIGN(peer.tls, net::MakeClientTls(tls));
  MonoTime end = loop.clock().Mono() + std::chrono::minutes(3);
  while (loop.clock().Mono() < end) {
    if (waitpid(apiserver_, nullptr, WNOHANG) == apiserver_) {
      apiserver_ = -1;
      break;
    }
    net::HttpRequest request;
    request.target = "/readyz";
    request.headers.push_back({"Authorization", std::string("Bearer ") + kToken});
    auto client = net::TestClient::Open(loop, peer, std::chrono::seconds(5));
    auto answer = client ? client->Do(request) : Result<net::Fetched>(Fail(client.error()));
    if (answer && answer->status == 200) return {};
    std::promise<void> later;
    loop.PostAfter(std::chrono::milliseconds(200), [&] { later.set_value(); });
    later.get_future().wait();
  }
  auto log = RealFileSystem().Read(dir_ + "/kube-apiserver.log");
  std::string tail = log ? *log : "";
  if (tail.size() > 3000) tail.erase(0, tail.size() - 3000);
  return Fail(Code::kUnavailable, "kube-apiserver did not become ready:\n" + tail);
}

void RealApiServer::Kill() { End(apiserver_); }

Result<pid_t> RealApiServer::Spawn(const std::string& program,
                                   const std::vector<std::string>& arguments) {
  std::string path = bin_ + "/" + program;
  std::string log = dir_ + "/" + program + ".log";
  std::vector<char*> argv = {path.data()};
  std::vector<std::string> copy = arguments;
  for (std::string& argument : copy) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = fork();
  if (pid < 0) return Fail(ErrnoError("fork", program, errno));
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, 1);
    dup2(out, 2);
    execv(argv[0], argv.data());
    _exit(127);
  }
  return pid;
}

kube::Config RealApiServer::config() const {
  kube::Config out;
  out.server = "https://127.0.0.1:" + std::to_string(port_);
  out.ca_pem = ca_.cert_pem();
  out.token = kToken;
  return out;
}

kube::Config RealApiServer::config_by_certificate() {
  // No group: it may log in (that is what is tested) and read what every user may.
  net::CertPair pair = ca_.Issue("someone", {});
  kube::Config out = config();
  out.token.clear();
  out.client_cert_file = dir_ + "/client.crt";
  out.client_key_file = dir_ + "/client.key";
  CHECK(RealFileSystem().WriteAtomic(out.client_cert_file, pair.cert_pem, 0600).has_value());
  CHECK(RealFileSystem().WriteAtomic(out.client_key_file, pair.key_pem, 0600).has_value());
  return out;
}

}  // namespace hami::conformance
