#include "domain/protocol/virtual_id.h"

#include <gtest/gtest.h>

namespace hami::protocol {
namespace {

constexpr std::string_view kUuid = "GPU-1a2b3c4d-0000-4000-8000-0000000000a1";

TEST(VirtualIdTest, EachSlotLeadsBackToItsCard) {
  EXPECT_EQ(VirtualId(kUuid, 7), std::string(kUuid) + "-7");
  EXPECT_EQ(CardOfVirtualId(VirtualId(kUuid, 7)), kUuid);
  EXPECT_EQ(CardOfVirtualId(VirtualId(kUuid, 10)), kUuid);
}

TEST(VirtualIdTest, ReplicasOfTimeSlicingAreCutAtTheColons) {
  EXPECT_EQ(CardOfVirtualId("GPU-a::3"), "GPU-a");
}

TEST(VirtualIdTest, OtherIdsAreThemselves) {
  EXPECT_EQ(CardOfVirtualId(kUuid), kUuid);
  EXPECT_EQ(CardOfVirtualId("a-b-c-d-e-f-x"), "a-b-c-d-e-f-x");
  EXPECT_EQ(CardOfVirtualId("a-b-c-d-e-f-"), "a-b-c-d-e-f-");
}

}  // namespace
}  // namespace hami::protocol
