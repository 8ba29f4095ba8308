#include "domain/protocol/names.h"

#include <gtest/gtest.h>

namespace hami::protocol {
namespace {

TEST(NamesTest, AnAllocationKeyOfAnyVendorIsSchedulerOwned) {
  for (std::string_view key :
       {"hami.io/vgpu-node", "hami.io/vgpu-time", "hami.io/bind-phase", "hami.io/bind-time",
        "hami.io/vgpu-devices-to-allocate", "hami.io/vgpu-devices-allocated",
        "hami.io/vgpu-mig-allocations", "hami.io/dcu-devices-allocated",
        "hami.io/Ascend910B4-devices-to-allocate", "hami.io/kunlun-allocated",
        "huawei.com/Ascend910B3", "CAMBRICON_DSMLU_ASSIGNED", "predicate-time"}) {
    EXPECT_TRUE(IsSchedulerOwned(key)) << key;
  }
}

TEST(NamesTest, WhatAUserMaySetIsNotSchedulerOwned) {
  for (std::string_view key :
       {"nvidia.com/use-gputype", "hami.io/gpu-scheduler-policy", "hami.io/device-scoring-weights",
        "huawei.com/vnpu-mode", "metax-tech.com/sgpu-qos-policy", "mthreads.com/request-gpu-num",
        "hami.io/resource-pool", "example.com/vgpu-node"}) {
    EXPECT_FALSE(IsSchedulerOwned(key)) << key;
  }
}

TEST(NamesTest, EverySchedulerOwnedKeyIsOfInterest) {
  EXPECT_TRUE(IsOfInterest("hami.io/vgpu-devices-allocated"));
  EXPECT_TRUE(IsOfInterest("predicate-time"));
  EXPECT_FALSE(IsOfInterest("kubectl.kubernetes.io/last-applied-configuration"));
  EXPECT_FALSE(IsOfInterest("nothami.io/vgpu-node"));
}

// Conformance vector 10: the whole patch is refused when a label value is longer than 63.
TEST(NamesTest, ALongNodeNameIsHashedIntoItsLabel) {
  std::string name(63, 'a');
  EXPECT_EQ(NodeLabelValue(name), name);
  std::string longer(64, 'a');
  std::string label = NodeLabelValue(longer);
  EXPECT_EQ(label.size(), 63u);
  EXPECT_EQ(label.substr(0, 55), std::string(54, 'a') + "-");
  EXPECT_EQ(label.find_first_not_of("0123456789abcdef", 55), std::string::npos);
  EXPECT_EQ(label, NodeLabelValue(longer));
  EXPECT_NE(label, NodeLabelValue(std::string(65, 'a')));
}

TEST(NamesTest, ListsAreTrimmedAndBlanksDropped) {
  EXPECT_EQ(SplitList(" a, b ,,c"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(SplitList("").empty());
  EXPECT_TRUE(SplitList(" , ").empty());
}

TEST(NamesTest, GoSixSpellingsOfTrueAndNoOther) {
  for (std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"})
    EXPECT_TRUE(ParseGoTrue(yes));
  for (std::string_view no : {"", "yes", "tRUE", "0", "false", " true"})
    EXPECT_FALSE(ParseGoTrue(no));
}

}  // namespace
}  // namespace hami::protocol
