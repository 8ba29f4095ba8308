#include "platform/kube/credentials.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "platform/net/test_certs.h"

namespace hami::kube {
namespace {

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "hami-cred-XXXXXX";
    dir_ = mkdtemp(pattern.data());
    config_.server = "https://h";
    config_.ca_pem = ca_.cert_pem();
  }
  ~CredentialsTest() override { std::filesystem::remove_all(dir_); }
  std::string Write(const std::string& name, const std::string& text) {
    EXPECT_TRUE(RealFileSystem().WriteAtomic(dir_ + "/" + name, text, 0600));
    return dir_ + "/" + name;
  }
  Credentials Make() { return std::move(*Credentials::Create(RealFileSystem(), clock_, config_)); }

  std::string dir_;
  FakeClock clock_;
  net::TestCa ca_;
  Config config_;
};

TEST_F(CredentialsTest, ARotatedTokenIsSeenWithinAMinute) {
  config_.token_file = Write("token", "one\n");
  Credentials credentials = Make();
  EXPECT_EQ(credentials.Authorization(), "Bearer one");
  Write("token", "two");
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_EQ(credentials.Authorization(), "Bearer two");
}

TEST_F(CredentialsTest, ARefusedTokenIsReadAgainAtOnce) {
  config_.token_file = Write("token", "one");
  Credentials credentials = Make();
  Write("token", "two");
  credentials.Expire();
  EXPECT_EQ(credentials.Authorization(), "Bearer two");
}

TEST_F(CredentialsTest, ARotatedClientCertificateStartsANewGeneration) {
  net::CertPair first = ca_.Issue("client", {});
  config_.client_cert_file = Write("crt", first.cert_pem);
  config_.client_key_file = Write("key", first.key_pem);
  Credentials credentials = Make();
  auto tls = credentials.Tls();
  uint64_t generation = credentials.generation();
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_EQ(credentials.Tls(), tls);  // unchanged files, unchanged context
  net::CertPair second = ca_.Issue("client", {});
  Write("crt", second.cert_pem);
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_EQ(credentials.Tls(), tls);  // half a rotation: the old pair stays
  Write("key", second.key_pem);
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_NE(credentials.Tls(), tls);
  EXPECT_EQ(credentials.generation(), generation + 1);
}

TEST_F(CredentialsTest, AVanishedTokenFileKeepsTheOldToken) {
  config_.token_file = Write("token", "one");
  Credentials credentials = Make();
  std::filesystem::remove(config_.token_file);
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_EQ(credentials.Authorization(), "Bearer one");
}

TEST_F(CredentialsTest, PlainHttpNeedsNoTls) {
  config_.server = "http://h";
  config_.ca_pem = "";
  Credentials credentials = Make();
  EXPECT_EQ(credentials.Tls(), nullptr);
  EXPECT_EQ(credentials.Authorization(), "");
}

}  // namespace
}  // namespace hami::kube
