#include "platform/telemetry/health.h"

#include <gtest/gtest.h>

namespace hami::telemetry {
namespace {

TEST(HealthTest, ReadyOnlyWhenNobodyWaits) {
  Health health;
  EXPECT_EQ(health.Readyz().status, 200);
  health.Set("pods", "list not complete");
  health.Set("nodes", "watch broken for 25s");
  EXPECT_EQ(health.Readyz().status, 503);
  EXPECT_EQ(health.Readyz().body, "nodes: watch broken for 25s\npods: list not complete\n");
  EXPECT_EQ(Health::Healthz().status, 200);
  health.Set("pods", "");
  health.Set("pods", "");  // twice is harmless
  EXPECT_FALSE(health.ready());
  health.Set("nodes", "");
  EXPECT_TRUE(health.ready());
  EXPECT_EQ(health.Readyz().body, "");
}

}  // namespace
}  // namespace hami::telemetry
