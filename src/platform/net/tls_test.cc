#include "platform/net/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/fs.h"
#include "platform/net/http_server.h"
#include "platform/net/test_certs.h"
#include "platform/net/test_client.h"

namespace hami::net {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    std::string pattern = fs::temp_directory_path() / "hami-tls-XXXXXX";
    dir_ = mkdtemp(pattern.data());
  }
  ~TlsTest() override {
    server_.reset();
    fs::remove_all(dir_);
  }
  std::string File(const std::string& name) const { return dir_ + "/" + name; }
  static void Write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(RealFileSystem().WriteAtomic(path, text, 0600));
  }
  void WritePair(const CertPair& pair) {
    Write(File("tls.crt"), pair.cert_pem);
    Write(File("tls.key"), pair.key_pem);
  }
  Result<void> Serve(Duration poll = std::chrono::hours(1)) {
    ServerOptions options;
    options.address = "127.0.0.1:0";
    options.tls = std::make_unique<TlsFiles>();
    options.tls->cert_file = File("tls.crt");
    options.tls->key_file = File("tls.key");
    options.tls->poll = poll;
    std::vector<Route> routes;
    routes.push_back({"POST", "/echo",
                      [](HttpRequest request, Responder responder) {
                        HttpResponse response;
                        response.body = std::move(request.body);
                        responder.Reply(std::move(response));
                      },
                      8 << 20});
    TRY_ASSIGN(server_, HttpServer::Listen(loop_, std::move(options), std::move(routes)));
    return {};
  }
  Peer MakePeer(const TestCa& ca, const std::string& server_name = "") const {
    Peer peer;
    peer.host = "127.0.0.1";
    peer.port = server_->port();
    peer.server_name = server_name;
    ClientTlsOptions options;
    options.ca_pem = ca.cert_pem();
    peer.tls = *MakeClientTls(options);
    return peer;
  }
  Result<Fetched> Echo(const Peer& peer, std::string body = "x") {
    TRY_ASSIGN(TestClient client, TestClient::Open(loop_, peer));
    return client.Post("/echo", std::move(body));
  }
  // Waits for the reloader: bounded by ctest's timeout, not by a guess.
  void AwaitExpiryOtherThan(int64_t old) {
    while (server_->CertExpiryUnix() == old) std::this_thread::yield();
  }

  std::string dir_;
  Loop loop_;
  TestCa ca_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(TlsTest, ServesAndVerifiesByAddressAndByName) {
  WritePair(ca_.Issue("server", {"127.0.0.1", "webhook.hami.svc"}));
  ASSERT_TRUE(Serve());
  std::string large(3 << 20, 'y');
  auto got = Echo(MakePeer(ca_), large);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->body, large);
  EXPECT_TRUE(Echo(MakePeer(ca_, "webhook.hami.svc")));
}

TEST_F(TlsTest, RefusesAServerOfAnotherNameOrAnotherCa) {
  WritePair(ca_.Issue("server", {"127.0.0.1"}));
  ASSERT_TRUE(Serve());
  auto wrong_name = Echo(MakePeer(ca_, "other.example"));
  ASSERT_FALSE(wrong_name);
  EXPECT_EQ(wrong_name.error().code, Code::kUnavailable);
  TestCa other("other CA");
  auto wrong_ca = Echo(MakePeer(other));
  ASSERT_FALSE(wrong_ca);
  EXPECT_THAT(wrong_ca.error().message, HasSubstr("TLS handshake with 127.0.0.1"));
}

TEST_F(TlsTest, RefusesAnExpiredServer) {
  WritePair(ca_.Issue("server", {"127.0.0.1"}, -1));
  ASSERT_TRUE(Serve());
  auto got = Echo(MakePeer(ca_));
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("expired"));
}

TEST_F(TlsTest, SkipVerifyAcceptsAnything) {
  TestCa other("other CA");
  WritePair(other.Issue("server", {"elsewhere"}));
  ASSERT_TRUE(Serve());
  Peer peer = MakePeer(ca_);
  ClientTlsOptions options;
  options.insecure_skip_verify = true;
  peer.tls = *MakeClientTls(options);
  EXPECT_TRUE(Echo(peer));
}

TEST_F(TlsTest, TheExpiryOfTheServingCertificateIsTold) {
  WritePair(ca_.Issue("server", {"127.0.0.1"}, 30));
  ASSERT_TRUE(Serve());
  int64_t now = UnixSeconds(SystemClock().Now());
  EXPECT_NEAR(static_cast<double>(server_->CertExpiryUnix() - now), 30 * 86400.0, 600.0);
}

TEST_F(TlsTest, BadFilesAreRefusedAtStartWithTheirNames) {
  auto missing = Serve();
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("tls.crt"));
  CertPair pair = ca_.Issue("a", {"127.0.0.1"});
  pair.key_pem = ca_.Issue("b", {"127.0.0.1"}).key_pem;
  WritePair(pair);
  auto mismatch = Serve();
  ASSERT_FALSE(mismatch);
  EXPECT_THAT(mismatch.error().message, HasSubstr("does not belong"));
  Write(File("tls.crt"), "no PEM");
  EXPECT_FALSE(Serve());
}

TEST_F(TlsTest, AReplacedPairIsServedAndAMismatchedOneIsNot) {
  WritePair(ca_.Issue("server", {"127.0.0.1"}, 10));
  ASSERT_TRUE(Serve());
  int64_t first = server_->CertExpiryUnix();
  CertPair next = ca_.Issue("server", {"127.0.0.1"}, 20);
  Write(File("tls.crt"), next.cert_pem);  // does not match the old key: the old pair stays
  auto got = Echo(MakePeer(ca_));
  EXPECT_TRUE(got) << got.error().message;
  Write(File("tls.key"), next.key_pem);
  AwaitExpiryOtherThan(first);
  EXPECT_TRUE(Echo(MakePeer(ca_)));
}

// A projected Secret: tls.crt -> ..data/tls.crt, ..data -> ..<date>; the swap renames `..data`.
TEST_F(TlsTest, KubernetesSymlinkSwapIsFollowed) {
  CertPair a = ca_.Issue("server", {"127.0.0.1"}, 10);
  CertPair b = ca_.Issue("server", {"127.0.0.1"}, 20);
  for (auto& [name, pair] : {std::pair<std::string, CertPair&>("..1", a), {"..2", b}}) {
    fs::create_directory(File(name));
    Write(File(name + "/tls.crt"), pair.cert_pem);
    Write(File(name + "/tls.key"), pair.key_pem);
  }
  fs::create_symlink("..1", File("..data"));
  fs::create_symlink("..data/tls.crt", File("tls.crt"));
  fs::create_symlink("..data/tls.key", File("tls.key"));
  ASSERT_TRUE(Serve());
  int64_t first = server_->CertExpiryUnix();
  fs::create_symlink("..2", File("..data_tmp"));
  fs::rename(File("..data_tmp"), File("..data"));
  AwaitExpiryOtherThan(first);
  EXPECT_TRUE(Echo(MakePeer(ca_)));
}

// The folder itself is replaced, which takes the inotify watch with it: the poll finds it.
TEST_F(TlsTest, ThePollFindsAReplacedFolder) {
  fs::create_directory(File("certs"));
  std::string dir = std::exchange(dir_, File("certs"));
  WritePair(ca_.Issue("server", {"127.0.0.1"}, 10));
  ASSERT_TRUE(Serve(std::chrono::milliseconds(20)));
  int64_t first = server_->CertExpiryUnix();
  fs::rename(dir_, dir + "/old");
  fs::create_directory(dir_);
  WritePair(ca_.Issue("server", {"127.0.0.1"}, 20));
  AwaitExpiryOtherThan(first);
  dir_ = dir;
}

TEST_F(TlsTest, NoRequestFailsWhileThePairIsReplacedUnderLoad) {
  WritePair(ca_.Issue("server", {"127.0.0.1"}, 10));
  ASSERT_TRUE(Serve());
  Peer peer = MakePeer(ca_);
  std::atomic<bool> stop{false};
  std::atomic<int> served{0};
  std::atomic<int> failed{0};
  std::thread load([&] {
    while (!stop) {
      auto client = TestClient::Open(loop_, peer);
      for (int i = 0; client && i < 3; ++i) {
        auto got = client->Post("/echo", "x");
        got && got->status == 200 ? ++served : ++failed;
      }
      if (!client) ++failed;
    }
  });
  for (int round = 0; round < 5; ++round) {
    int64_t before = server_->CertExpiryUnix();
    int served_before = served;
    WritePair(ca_.Issue("server", {"127.0.0.1"}, 20 + round));
    AwaitExpiryOtherThan(before);
    while (served < served_before + 3 && failed == 0) std::this_thread::yield();
  }
  stop = true;
  load.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GT(served, 15);
}

}  // namespace
}  // namespace hami::net
