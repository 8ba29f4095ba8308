#include "services/admission/certgen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/base64.h"
#include "base/json.h"
#include "platform/tls/certificate.h"

namespace hami::admission {
namespace {

namespace json = boost::json;
using std::chrono::hours;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSecret[] = "/api/v1/namespaces/kube-system/secrets/hami-scheduler-tls";
constexpr char kMutating[] =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/hami-webhook";
constexpr char kValidating[] =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hami-webhook";

// Objects by path with optimistic locking, as the API server has it; `before_write` plays a rival.
class FakeApi {
 public:
  ApiCall call() {
    return [this](kube::Request request) { return Answer(request); };
  }
  std::map<std::string, Json> objects;
  std::vector<std::string> log;          // "PUT /path"
  std::function<void()> before_write;    // called once
  Code forbid_writes = Code::kInternal;  // other than kInternal: writes fail with it

 private:
  Result<kube::Response> Answer(const kube::Request& request) {
    if (request.method == "GET") {
      auto it = objects.find(request.path);
      if (it == objects.end()) return Fail(Code::kNotFound, request.path + " not found");
      return kube::Response{200, ToJson(it->second)};
    }
    if (forbid_writes != Code::kInternal) return Fail(forbid_writes, "writing is forbidden");
    if (auto rival = std::exchange(before_write, nullptr)) rival();
    log.push_back(request.method + " " + request.path);
    Json object = ParseJson(request.body).value();
    std::string path = request.path;
    if (request.method == "POST") {
      path += "/" + std::string(StringAt(object, {"metadata", "name"}));
      if (objects.contains(path)) return Fail(Code::kAlreadyExists, path + " already exists");
    } else if (StringAt(object, {"metadata", "resourceVersion"}) !=
               StringAt(objects[path], {"metadata", "resourceVersion"})) {
      return Fail(Code::kConflict, "the object has been modified");
    }
    object.as_object()["metadata"].as_object()["resourceVersion"] = std::to_string(++version_);
    objects[path] = object;
    return kube::Response{request.method == "POST" ? 201 : 200, ToJson(object)};
  }
  int version_ = 1;
};

SecretSpec Spec() {
  return {.ns = "kube-system",
          .name = "hami-scheduler-tls",
          .cert_name = "tls.crt",
          .key_name = "tls.key",
          .hosts = {"hami-scheduler.kube-system.svc", "127.0.0.1"}};
}
WebhookSpec Webhook() {
  WebhookSpec spec;
  spec.secret_ns = "kube-system";
  spec.secret_name = "hami-scheduler-tls";
  spec.webhook_name = "hami-webhook";
  spec.validating = false;
  return spec;
}

std::string Data(FakeApi& api, const char* key) {
  return DecodeBase64(StringAt(api.objects[kSecret], {"data", key})).value();
}
bool Serves(FakeApi& api, const SecretSpec& spec, const Clock& clock) {
  return tls::CheckPair({Data(api, "tls.crt"), Data(api, "tls.key")}).has_value() &&
         tls::CheckServing(Data(api, "tls.crt"), Data(api, "ca"), spec.hosts, clock.Now())
             .has_value();
}

Json WebhookConfiguration(int webhooks) {
  json::array list;
  for (int i = 0; i < webhooks; ++i) {
    list.push_back(
        json::object{{"name", "vgpu.hami.io"},
                     {"failurePolicy", "Ignore"},
                     {"clientConfig", json::object{{"service", json::object{{"port", 443}}}}},
                     {"futureField", 1.5}});
  }
  return json::object{{"metadata", json::object{{"resourceVersion", "1"}}}, {"webhooks", list}};
}

TEST(CertgenTest, CreatesASecretThatServesAndKeepsItTheSecondTime) {
  FakeApi api;
  FakeClock clock;
  EXPECT_EQ(EnsureSecret(api.call(), Spec(), clock).value(), SecretOutcome::kCreated);
  EXPECT_TRUE(Serves(api, Spec(), clock));
  EXPECT_EQ(StringAt(api.objects[kSecret], {"type"}), "Opaque");
  Json first = api.objects[kSecret];
  EXPECT_EQ(EnsureSecret(api.call(), Spec(), clock).value(), SecretOutcome::kKept);
  EXPECT_EQ(api.objects[kSecret], first);
  EXPECT_EQ(api.log.size(), 1u);
}

TEST(CertgenTest, ARivalThatCreatesFirstWinsAndItsSecretIsKept) {
  FakeApi api;
  FakeClock clock;
  Json rivals;
  api.before_write = [&] {
    ASSERT_TRUE(EnsureSecret(api.call(), Spec(), clock).has_value());
    rivals = api.objects[kSecret];
  };
  EXPECT_EQ(EnsureSecret(api.call(), Spec(), clock).value(), SecretOutcome::kKept);
  EXPECT_EQ(api.objects[kSecret], rivals);
}

TEST(CertgenTest, AnExpiringPairIsRenewedUnderTheSameCa) {
  FakeApi api;
  FakeClock clock;
  SecretSpec brief = Spec();
  brief.validity = hours(24 * 365);
  ASSERT_TRUE(EnsureSecret(api.call(), brief, clock).has_value());
  // A CA with years to go, a pair with days.
  tls::KeyPairPem ca = tls::CreateCa("ca", {clock.Now(), clock.Now() + hours(24 * 3650)}).value();
  tls::KeyPairPem pair =
      tls::CreateServingPair(ca, brief.hosts, {clock.Now(), clock.Now() + hours(24 * 20)}).value();
  auto& data = api.objects[kSecret].as_object()["data"].as_object();
  data["ca"] = EncodeBase64(ca.cert), data["ca.key"] = EncodeBase64(ca.key);
  data["tls.crt"] = EncodeBase64(pair.cert), data["tls.key"] = EncodeBase64(pair.key);
  data["other"] = "a2VlcA==";

  EXPECT_EQ(EnsureSecret(api.call(), brief, clock).value(), SecretOutcome::kRenewed);
  EXPECT_EQ(Data(api, "ca"), ca.cert);
  EXPECT_NE(Data(api, "tls.crt"), pair.cert);
  EXPECT_EQ(Data(api, "other"), "keep");
  EXPECT_TRUE(Serves(api, brief, clock));
}

TEST(CertgenTest, ANewCaIsTrustedBesideTheOldOneWhilePodsServeTheOldPair) {
  FakeApi api;
  FakeClock clock;
  ASSERT_TRUE(EnsureSecret(api.call(), Spec(), clock).has_value());
  // The reference's Secret has no CA key.
  api.objects[kSecret].as_object()["data"].as_object().erase("ca.key");
  std::string old_cert = Data(api, "tls.crt");
  SecretSpec more = Spec();
  more.hosts.push_back("hami-scheduler-webhook.kube-system.svc");
  EXPECT_EQ(EnsureSecret(api.call(), more, clock).value(), SecretOutcome::kRenewed);
  EXPECT_TRUE(Serves(api, more, clock));
  EXPECT_TRUE(tls::CheckServing(old_cert, Data(api, "ca"), Spec().hosts, clock.Now()).has_value());
}

TEST(CertgenTest, ABrokenSecretIsMadeWhole) {
  FakeApi api;
  FakeClock clock;
  api.objects[kSecret] = json::object{
      {"metadata", json::object{{"name", "hami-scheduler-tls"}, {"resourceVersion", "1"}}}};
  EXPECT_EQ(EnsureSecret(api.call(), Spec(), clock).value(), SecretOutcome::kRenewed);
  EXPECT_TRUE(Serves(api, Spec(), clock));
}

TEST(CertgenTest, ASecretOfCertManagerIsLeftAloneAndItsCaIsUsed) {
  FakeApi api;
  FakeClock clock;
  tls::KeyPairPem ca = tls::CreateCa("cm", {clock.Now(), clock.Now() + hours(48)}).value();
  tls::KeyPairPem pair =
      tls::CreateServingPair(ca, Spec().hosts, {clock.Now(), clock.Now() + hours(48)}).value();
  api.objects[kSecret] = json::object{{"metadata", json::object{{"resourceVersion", "1"}}},
                                      {"data", json::object{{"tls.crt", EncodeBase64(pair.cert)},
                                                            {"tls.key", EncodeBase64(pair.key)},
                                                            {"ca.crt", EncodeBase64(ca.cert)}}}};
  api.objects[kMutating] = WebhookConfiguration(1);
  EXPECT_EQ(EnsureSecret(api.call(), Spec(), clock).value(), SecretOutcome::kKept);
  ASSERT_TRUE(PatchWebhooks(api.call(), Webhook()).has_value());
  EXPECT_EQ(StringAt(api.objects[kMutating].at("webhooks").at(0), {"clientConfig", "caBundle"}),
            EncodeBase64(ca.cert));
}

TEST(CertgenTest, TheBundleReachesEveryWebhookOnceAndOtherFieldsStay) {
  FakeApi api;
  FakeClock clock;
  api.objects[kMutating] = WebhookConfiguration(2);
  api.objects[kValidating] = WebhookConfiguration(1);
  ASSERT_TRUE(EnsureSecret(api.call(), Spec(), clock).has_value());
  api.log.clear();
  ASSERT_TRUE(PatchWebhooks(api.call(), Webhook()).has_value());
  ASSERT_TRUE(PatchWebhooks(api.call(), Webhook()).has_value());
  EXPECT_THAT(api.log, ElementsAre(std::string("PUT ") + kMutating));
  for (const Json& webhook : api.objects[kMutating].at("webhooks").as_array()) {
    EXPECT_EQ(StringAt(webhook, {"clientConfig", "caBundle"}), EncodeBase64(Data(api, "ca")));
    EXPECT_EQ(IntAt(webhook, {"clientConfig", "service", "port"}), 443);
    EXPECT_EQ(webhook.at("futureField").as_double(), 1.5);
    EXPECT_EQ(StringAt(webhook, {"failurePolicy"}), "Ignore");
  }
}

TEST(CertgenTest, FailurePolicyIsSetWhenAskedFor) {
  FakeApi api;
  FakeClock clock;
  api.objects[kMutating] = WebhookConfiguration(1);
  ASSERT_TRUE(EnsureSecret(api.call(), Spec(), clock).has_value());
  WebhookSpec spec = Webhook();
  spec.failure_policy = "Fail";
  ASSERT_TRUE(PatchWebhooks(api.call(), spec).has_value());
  EXPECT_EQ(StringAt(api.objects[kMutating].at("webhooks").at(0), {"failurePolicy"}), "Fail");
  spec.failure_policy = "fail";
  EXPECT_EQ(PatchWebhooks(api.call(), spec).error().code, Code::kInvalidArgument);
}

TEST(CertgenTest, ARivalsEditOfTheConfigurationSurvives) {
  FakeApi api;
  FakeClock clock;
  api.objects[kMutating] = WebhookConfiguration(1);
  ASSERT_TRUE(EnsureSecret(api.call(), Spec(), clock).has_value());
  api.before_write = [&] {
    auto& object = api.objects[kMutating].as_object();
    object["metadata"].as_object()["resourceVersion"] = "99";
    object["rival"] = true;
  };
  ASSERT_TRUE(PatchWebhooks(api.call(), Webhook()).has_value());
  EXPECT_EQ(BoolAt(api.objects[kMutating], {"rival"}), true);
  EXPECT_NE(StringAt(api.objects[kMutating].at("webhooks").at(0), {"clientConfig", "caBundle"}),
            "");
}

TEST(CertgenTest, ErrorsSayWhatWasAttemptedAndWhatToDo) {
  FakeApi api;
  FakeClock clock;
  EXPECT_THAT(PatchWebhooks(api.call(), Webhook()).error().message,
              HasSubstr("secret kube-system/hami-scheduler-tls"));
  api.objects[kSecret] = json::object{{"data", json::object{}}};
  EXPECT_THAT(PatchWebhooks(api.call(), Webhook()).error().message, HasSubstr("certgen create"));
  api.objects.clear();
  api.forbid_writes = Code::kPermissionDenied;
  EXPECT_THAT(EnsureSecret(api.call(), Spec(), clock).error().message, HasSubstr("RBAC"));
  SecretSpec bad = Spec();
  bad.name = "a/../b";
  EXPECT_EQ(EnsureSecret(api.call(), bad, clock).error().code, Code::kInvalidArgument);
  EXPECT_THAT(api.log, IsEmpty());
}

}  // namespace
}  // namespace hami::admission
