#include "platform/tls/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hami::tls {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr WallTime kNow{seconds(1'800'000'000)};
const std::vector<std::string> kHosts = {"hami-scheduler.kube-system.svc", "127.0.0.1", "fd00::1"};

Validity Days(int days) { return {kNow - hours(1), kNow + hours(24 * days)}; }

struct Made {
  KeyPairPem ca, serving;
};
Made Make(int days = 10) {
  Made made;
  made.ca = CreateCa("hami-webhook-ca", Days(days)).value();
  made.serving = CreateServingPair(made.ca, kHosts, Days(days)).value();
  return made;
}

TEST(CertificateTest, ServingPairIsAcceptedForEachOfItsHosts) {
  Made made = Make();
  EXPECT_TRUE(CheckPair(made.serving).has_value());
  auto accepted = CheckServing(made.serving.cert, made.ca.cert, kHosts, kNow);
  EXPECT_TRUE(accepted.has_value()) << accepted.error().message;
  auto info = Inspect(made.serving.cert).value();
  EXPECT_EQ(info.subject, "hami-scheduler.kube-system.svc");
  EXPECT_THAT(info.hosts, ElementsAre("hami-scheduler.kube-system.svc", "127.0.0.1", "fd00::1"));
  EXPECT_FALSE(info.is_ca);
  EXPECT_EQ(info.validity.not_after, kNow + hours(240));
  EXPECT_TRUE(Inspect(made.ca.cert).value().is_ca);
}

TEST(CertificateTest, AnotherHostIsNamedInTheRefusal) {
  Made made = Make();
  std::vector<std::string> other = {"127.0.0.1", "hami-scheduler-webhook.kube-system.svc"};
  auto refused = CheckServing(made.serving.cert, made.ca.cert, other, kNow);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(refused.error().message, HasSubstr("hami-scheduler-webhook.kube-system.svc"));
  EXPECT_FALSE(
      CheckServing(made.serving.cert, made.ca.cert, std::vector<std::string>{"127.0.0.2"}, kNow)
          .has_value());
}

TEST(CertificateTest, TimeDecides) {
  Made made = Make(10);
  EXPECT_FALSE(
      CheckServing(made.serving.cert, made.ca.cert, kHosts, kNow + hours(241)).has_value());
  EXPECT_FALSE(CheckServing(made.serving.cert, made.ca.cert, kHosts, kNow - hours(2)).has_value());
}

TEST(CertificateTest, AForeignCaIsRefusedAndABundleWithTheRightOneIsNot) {
  Made made = Make();
  KeyPairPem foreign = CreateCa("other", Days(10)).value();
  EXPECT_FALSE(CheckServing(made.serving.cert, foreign.cert, kHosts, kNow).has_value());
  EXPECT_TRUE(
      CheckServing(made.serving.cert, foreign.cert + made.ca.cert, kHosts, kNow).has_value());
}

TEST(CertificateTest, KeyOfAnotherCertificateIsNotAPair) {
  Made made = Make();
  auto mixed = CheckPair({made.serving.cert, made.ca.key});
  ASSERT_FALSE(mixed.has_value());
  EXPECT_EQ(mixed.error().code, Code::kFailedPrecondition);
}

TEST(CertificateTest, ALeafCannotSign) {
  Made made = Make();
  auto refused = CreateServingPair(made.serving, kHosts, Days(1));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
}

TEST(CertificateTest, HostsThatCouldInjectExtensionsAreRefused) {
  Made made = Make();
  for (std::string bad :
       {"", "a,DNS:evil.example", "-a", "a-", "a..b", "a b", ".", "a.", "*.", "1.2.3.4/8", "ä"}) {
    auto refused = CreateServingPair(made.ca, std::vector<std::string>{bad}, Days(1));
    EXPECT_FALSE(refused.has_value()) << bad;
  }
  EXPECT_TRUE(CreateServingPair(made.ca, std::vector<std::string>{"*.kube-system.svc"}, Days(1))
                  .has_value());
}

TEST(CertificateTest, LongServiceNamesFitBecauseTheCommonNameIsCut) {
  Made made = Make();
  std::vector<std::string> hosts = {std::string(60, 'a') + "." + std::string(60, 'b') + ".svc"};
  auto pair = CreateServingPair(made.ca, hosts, Days(1));
  ASSERT_TRUE(pair.has_value()) << pair.error().message;
  EXPECT_TRUE(CheckServing(pair->cert, made.ca.cert, hosts, kNow).has_value());
  EXPECT_EQ(Inspect(pair->cert)->subject.size(), 64u);
}

TEST(CertificateTest, GarbageIsAnErrorAndNeverACrash) {
  for (std::string_view text :
       {"", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    EXPECT_EQ(Inspect(text).error().code, Code::kInvalidArgument);
    EXPECT_EQ(CheckPair({std::string(text), ""}).error().code, Code::kInvalidArgument);
  }
}

TEST(CertificateTest, TwoPairsNeverShareKeyOrSerial) {
  KeyPairPem a = CreateCa("ca", Days(1)).value(), b = CreateCa("ca", Days(1)).value();
  EXPECT_NE(a.key, b.key);
  EXPECT_NE(a.cert, b.cert);
}

TEST(CertificateTest, AValidityOfACenturyIsReadBack) {
  KeyPairPem ca = CreateCa("ca", {kNow, kNow + hours(876'000)}).value();
  EXPECT_EQ(Inspect(ca.cert)->validity.not_after, kNow + hours(876'000));
}

}  // namespace
}  // namespace hami::tls
