#include "domain/policy/charge.h"

#include <gtest/gtest.h>

namespace hami::policy {
namespace {

DeviceShare Share(std::string uuid, int64_t memory, int64_t cores = 0) {
  return {std::move(uuid), "V", {memory}, {cores}};
}
SharesByVendor Of(PodShares shares) { return {{"V", std::move(shares)}}; }

Pod PodOf(std::vector<ContainerKind> kinds) {
  Pod pod;
  pod.phase = "Running";
  for (ContainerKind kind : kinds) {
    pod.containers.emplace_back();
    pod.containers.back().kind = kind;
  }
  return pod;
}

constexpr auto kInit = ContainerKind::kInit;
constexpr auto kSidecar = ContainerKind::kSidecar;
constexpr auto kApp = ContainerKind::kApp;

TEST(ChargeTest, AppsAddUp) {
  Charge c = ChargeOf(PodOf({kApp, kApp}), Of({{Share("a", 3000, 30)}, {Share("a", 5000, 20)}}));
  EXPECT_EQ(c, (Charge{{"a", {2, {8000}, {50}, 0}}}));
}

TEST(ChargeTest, InitContainersCountByTheirPeak) {
  Pod pod = PodOf({kInit, kInit, kApp});
  auto shares = Of({{Share("a", 20000)}, {Share("a", 1000, 100)}, {Share("a", 10000, 10)}});
  EXPECT_EQ(ChargeOf(pod, shares), (Charge{{"a", {1, {20000}, {100}, 1}}}));
}

// COMPLAINT: a sandbox that died was made anew, its init container of 20000 MiB ran again beside a
// neighbour that had been given its place: 55000 of 40960 MiB were promised.
TEST(ChargeTest, TheInitPartStaysForInitContainersRunAgain) {
  Pod pod = PodOf({kInit, kInit, kApp});
  auto shares = Of({{Share("a", 20000)}, {Share("b", 500)}, {Share("a", 10000)}});
  const Charge all = {{"a", {1, {20000}, {0}, 0}}, {"b", {1, {500}, {0}, 0}}};
  EXPECT_EQ(ChargeOf(pod, shares), all);
  pod.containers[0].terminated = pod.containers[1].terminated = true;
  EXPECT_EQ(ChargeOf(pod, shares), all);
}

// Trap: native sidecars were charged as init containers.
TEST(ChargeTest, SidecarsRunBesideInitAndApps) {
  Pod pod = PodOf({kSidecar, kInit, kApp});
  auto shares = Of({{Share("a", 1000, 10)}, {Share("a", 8000, 20)}, {Share("a", 5000, 30)}});
  const Charge all = {{"a", {2, {9000}, {40}, 0}}};
  EXPECT_EQ(ChargeOf(pod, shares), all);
  pod.containers[1].terminated = true;
  EXPECT_EQ(ChargeOf(pod, shares), all);
}

TEST(ChargeTest, ADeletionMarkReleasesNothing) {
  Pod pod = PodOf({kApp});
  pod.deleting = true;
  EXPECT_EQ(ChargeOf(pod, Of({{Share("a", 1)}})).size(), 1u);
  pod.containers[0].terminated = true;
  EXPECT_TRUE(ChargeOf(pod, Of({{Share("a", 1)}})).empty());
}

TEST(ChargeTest, AFinishedPodHoldsNothing) {
  Pod pod = PodOf({kApp});
  pod.phase = "Failed";
  EXPECT_TRUE(ChargeOf(pod, Of({{Share("a", 1)}})).empty());
}

TEST(ChargeTest, ALegacyMigShareIsChargedToItsCard) {
  EXPECT_EQ(ChargeOf(PodOf({kApp}), Of({{Share("a[0-3]", 9728, 15)}})),
            (Charge{{"a", {1, {9728}, {15}, 0}}}));
}

TEST(ChargeTest, EntriesWithoutAContainerAreChargedAsApps) {
  EXPECT_EQ(ChargeOf(PodOf({}), Of({{Share("a", 7)}})).at("a").memory, MiB{7});
}

}  // namespace
}  // namespace hami::policy
