// Every registered vendor passes these before its author writes a test (spec/vendors.md D).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "domain/protocol/register_annotation.h"
#include "domain/vendor/vendor.h"

namespace hami::vendor {
namespace {

using testing::HasSubstr;

class VendorTest : public testing::TestWithParam<Vendor> {
 protected:
  const Vendor& vendor_ = GetParam();
  const DeviceConfig config_ = protocol::DefaultDeviceConfig();
  const Settings settings_ = GetParam().hooks.settings(config_);

  Container Asking(ResourceMap limits) {
    Container c;
    c.name = "c";
    c.limits = std::move(limits);
    return c;
  }
  std::string ErrorOf(ResourceMap limits) {
    auto request = ParseRequest(vendor_, settings_, Asking(std::move(limits)));
    return request ? "" : request.error().message;
  }
  Node NodeWith(std::span<const Device> devices, std::string allocatable) {
    Node node;
    node.name = "n1";
    node.annotations[std::string(vendor_.keys.register_key)] =
        vendor_.register_csv ? protocol::EncodeRegisterCsv(devices)
                             : protocol::EncodeRegisterJson(devices);
    node.allocatable[settings_.count] = std::move(allocatable);
    return node;
  }
};

TEST_P(VendorTest, TheChartsConfigurationSwitchesItOn) {
  EXPECT_TRUE(settings_.enabled);
  EXPECT_FALSE(settings_.count.empty());
  EXPECT_EQ(FindVendor(vendor_.word)->word, vendor_.word);
}

TEST_P(VendorTest, AContainerThatAsksForNothingGetsNothing) {
  EXPECT_EQ(ParseRequest(vendor_, settings_, Asking({}))->count, 0);
  EXPECT_EQ(ParseRequest(vendor_, settings_, Asking({{settings_.count, "0"}}))->count, 0);
}

TEST_P(VendorTest, WrongCountsNameContainerResourceAndValue) {
  for (std::string bad : {"-1", "1.5", "1500m", "1025", "one", "3Gi"}) {
    std::string error = ErrorOf({{settings_.count, bad}});
    EXPECT_THAT(error, HasSubstr("container \"c\"")) << bad;
    EXPECT_THAT(error, HasSubstr(settings_.count)) << bad;
    EXPECT_THAT(error, HasSubstr(bad));
    EXPECT_THAT(error, HasSubstr("expected a whole number of cards")) << bad;
  }
}

TEST_P(VendorTest, WrongMemoryAndCoresAreRefused) {
  if (settings_.memory.empty()) GTEST_SKIP() << vendor_.word << " has no memory resource";
  for (std::string bad : {"-1", "1.5", "3Gi", "2147483648", "x", "1Ti"}) {
    EXPECT_THAT(ErrorOf({{settings_.count, "1"}, {settings_.memory, bad}}),
                HasSubstr(settings_.memory))
        << bad;
  }
  for (std::string bad : {"-1", "101", "0.5"}) {
    EXPECT_THAT(ErrorOf({{settings_.count, "1"}, {settings_.cores, bad}}),
                HasSubstr(settings_.cores))
        << bad;
  }
}

TEST_P(VendorTest, NodeCardsAreWhatWasRegistered) {
  std::vector<Device> devices = {{.id = "X-1",
                                  .count = 4,
                                  .memory = {1000},
                                  .cores = {100},
                                  .type = "model",
                                  .mode = "hami-core",
                                  .healthy = true}};
  auto cards = NodeCards(vendor_, settings_, NodeWith(devices, "4"));
  ASSERT_TRUE(cards) << cards.error().message;
  devices[0].vendor = vendor_.word;
  EXPECT_EQ(cards->devices, devices);
  EXPECT_EQ(cards->usage, std::vector<DeviceUsage>(1));
}

TEST_P(VendorTest, CardsOfAnAbsentPluginAreUnhealthy) {
  std::vector<Device> devices = {{.id = "X-1", .count = 4, .healthy = true}};
  EXPECT_FALSE(NodeCards(vendor_, settings_, NodeWith(devices, "0"))->devices[0].healthy);
  Node node = NodeWith(devices, "4");
  node.allocatable.clear();
  EXPECT_FALSE(NodeCards(vendor_, settings_, node)->devices[0].healthy);
}

TEST_P(VendorTest, APlacementIsReadBackFromItsAnnotations) {
  Pod pod;
  pod.containers = {Asking({}), Asking({{settings_.count, "1"}})};
  PodShares shares = {{}, {{"X-1", std::string(vendor_.word), {100}, {10}}}};
  Placement placement{.node = "n1", .shares = {{std::string(vendor_.word), shares}}};
  auto annotations = PlacementAnnotations(placement, WallTime(std::chrono::seconds(7)));
  EXPECT_EQ(annotations.at("hami.io/vgpu-node"), "n1");
  EXPECT_EQ(annotations.at("hami.io/vgpu-time"), "7");
  for (const auto& [key, value] : annotations) {
    EXPECT_TRUE(protocol::IsSchedulerOwned(key)) << key;
    EXPECT_TRUE(protocol::IsOfInterest(key)) << key;
    pod.annotations[key] = value;
  }
  EXPECT_EQ(*AllocatedShares(pod, config_), placement.shares);
  if (!vendor_.keys.to_allocate.empty()) {
    EXPECT_EQ(*PendingShares(pod, config_), placement.shares);
  }
}

INSTANTIATE_TEST_SUITE_P(Registered, VendorTest,
                         testing::ValuesIn(AllVendors().begin(), AllVendors().end()),
                         [](const testing::TestParamInfo<Vendor>& test) {
                           return std::string(test.param.word);
                         });

TEST(RegistryTest, WordsAndKeysAreUnique) {
  std::set<std::string_view> seen;
  for (const Vendor& v : AllVendors()) {
    EXPECT_TRUE(seen.insert(v.word).second);
    EXPECT_TRUE(seen.insert(v.keys.register_key).second);
    EXPECT_TRUE(seen.insert(v.keys.allocated).second);
  }
  EXPECT_EQ(FindVendor("nobody"), nullptr);
}

TEST(RegistryTest, ASectionThatIsAbsentSwitchesItsVendorOff) {
  DeviceConfig config;
  EXPECT_TRUE(EnabledVendors(config).empty());
  EXPECT_TRUE(ManagedResources(config).empty());
}

TEST(RegistryTest, ManagedResourcesAreEveryNameOfEnabledVendors) {
  EXPECT_THAT(
      ManagedResources(protocol::DefaultDeviceConfig()),
      testing::IsSupersetOf({"nvidia.com/gpu", "nvidia.com/gpumem", "nvidia.com/gpumem-percentage",
                             "nvidia.com/gpucores", "nvidia.com/priority"}));
}

}  // namespace
}  // namespace hami::vendor
