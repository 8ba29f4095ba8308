#include "platform/kube/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "base/base64.h"

namespace hami::kube {
namespace {

using testing::HasSubstr;

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "hami-config-XXXXXX";
    dir_ = mkdtemp(pattern.data());
  }
  ~ConfigTest() override { std::filesystem::remove_all(dir_); }
  std::string Write(const std::string& name, const std::string& text) {
    std::string path = dir_ + "/" + name;
    EXPECT_TRUE(RealFileSystem().WriteAtomic(path, text, 0600));
    return path;
  }
  static std::string Kubeconfig(const std::string& cluster, const std::string& user) {
    return "apiVersion: v1\nkind: Config\ncurrent-context: main\n"
           "contexts:\n- name: other\n  context: {cluster: x, user: y}\n"
           "- name: main\n  context: {cluster: c, user: u, namespace: team}\n"
           "clusters:\n- name: c\n  cluster: {" +
           cluster +
           "}\n"
           "users:\n- name: u\n  user: {" +
           user + "}\n";
  }
  Result<Config> Parse(const std::string& cluster, const std::string& user) {
    return ParseKubeconfig(RealFileSystem(), Kubeconfig(cluster, user), dir_);
  }
  std::string dir_;
};

TEST_F(ConfigTest, ReadsTheCurrentContext) {
  auto config =
      Parse("server: 'https://h:6443/', certificate-authority-data: " + EncodeBase64("CA") +
                ", tls-server-name: api.local",
            "token: secret");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://h:6443");
  EXPECT_EQ(config->ca_pem, "CA");
  EXPECT_EQ(config->server_name, "api.local");
  EXPECT_EQ(config->token, "secret");
  EXPECT_EQ(config->ns, "team");
}

TEST_F(ConfigTest, RelativeFilesAreTakenFromTheKubeconfigsFolder) {
  Write("ca.crt", "CA FILE");
  auto config = Parse("server: 'https://h', certificate-authority: ca.crt",
                      "client-certificate: c.crt, client-key: /abs/c.key");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->ca_pem, "CA FILE");
  EXPECT_EQ(config->client_cert_file, dir_ + "/c.crt");
  EXPECT_EQ(config->client_key_file, "/abs/c.key");
}

TEST_F(ConfigTest, ErrorsNameThePlaceAndTheExpectation) {
  struct Case {
    const char *cluster, *user, *message;
  };
  for (const Case& c : {
           Case{"insecure-skip-tls-verify: true", "token: t", "clusters[c].server"},
           Case{"server: 'https://h', certificate-authority-data: '*'", "token: t",
                "clusters[c].certificate-authority-data"},
           Case{"server: 'https://h', certificate-authority: none", "token: t",
                "clusters[c].certificate-authority"},
           Case{"server: 'https://h', proxy-url: 'http://p'", "token: t", "clusters[c].proxy-url"},
           Case{"server: 'https://h'", "exec: {command: aws}", "users[u].exec"},
           Case{"server: 'https://h'", "client-certificate: x", "client-key"},
       }) {
    auto config = Parse(c.cluster, c.user);
    ASSERT_FALSE(config) << c.message;
    EXPECT_THAT(config.error().message, HasSubstr(c.message));
  }
  auto none = ParseKubeconfig(RealFileSystem(), "current-context: gone\n", "");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("contexts: no entry called \"gone\""));
}

TEST_F(ConfigTest, AContextMayBeChosen) {
  const std::string text =
      Kubeconfig("server: 'https://h'", "token: t") + "- name: y\n  user: {token: other}\n";
  auto parsed = ParseKubeconfig(RealFileSystem(), text, "", "main");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->ns, "team");
  // Its cluster is the file's fault, not the name's.
  auto other = ParseKubeconfig(RealFileSystem(), text, "", "other");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("clusters: no entry called \"x\""));
  auto none = ParseKubeconfig(RealFileSystem(), text, "", "far");
  ASSERT_FALSE(none);
  EXPECT_THAT(
      none.error().message,
      HasSubstr("contexts: no entry called \"far\" with a \"context\"; there is other, main"));
}

TEST_F(ConfigTest, AServiceAccountKnowsNoContexts) {
  unsetenv("KUBECONFIG");
  setenv("HOME", dir_.c_str(), 1);
  setenv("KUBERNETES_SERVICE_HOST", "h", 1);
  setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  auto config = LoadConfig(RealFileSystem(), "", "far");
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().message, HasSubstr("context \"far\": no kubeconfig file"));
  unsetenv("KUBERNETES_SERVICE_HOST");
  unsetenv("KUBERNETES_SERVICE_PORT");
}

TEST_F(ConfigTest, TheExplicitPathWinsOverTheEnvironment) {
  std::string first = Write("first", Kubeconfig("server: 'https://first'", "token: t"));
  std::string second = Write("second", Kubeconfig("server: 'https://second'", "token: t"));
  setenv("KUBECONFIG", ("/nonexistent:" + first).c_str(), 1);
  EXPECT_EQ(LoadConfig(RealFileSystem())->server, "https://first");
  EXPECT_EQ(LoadConfig(RealFileSystem(), second)->server, "https://second");
  EXPECT_EQ(LoadConfig(RealFileSystem(), second, "main")->server, "https://second");
  EXPECT_FALSE(LoadConfig(RealFileSystem(), second, "far"));
  EXPECT_FALSE(LoadConfig(RealFileSystem(), "", "far"));
  setenv("KUBECONFIG", "/nonexistent", 1);
  auto missing = LoadConfig(RealFileSystem());
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("/nonexistent"));
  unsetenv("KUBECONFIG");
  auto broken = LoadConfig(RealFileSystem(), Write("broken", "a: ["));
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("kubeconfig " + dir_ + "/broken"));
}

TEST_F(ConfigTest, ThePodsServiceAccountIsUsed) {
  Write("ca.crt", "CA");
  Write("token", "t\n");
  Write("namespace", "kube-system\n");
  auto config = InClusterConfig(RealFileSystem(), "fd00::1", "443", dir_);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://[fd00::1]:443");
  EXPECT_EQ(config->token_file, dir_ + "/token");
  EXPECT_EQ(config->ca_pem, "CA");
  EXPECT_EQ(config->ns, "kube-system");
  std::filesystem::remove(dir_ + "/token");
  EXPECT_FALSE(InClusterConfig(RealFileSystem(), "h", "443", dir_));
}

}  // namespace
}  // namespace hami::kube
