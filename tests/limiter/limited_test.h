// One process in a container of 512 MiB: whatever a test does, the card's own peak stays within the
// limit and the account has no error to count.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {

class LimitedTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kLimit = 512 * kMi;
  static constexpr uint64_t kRoom = kLimit - kContext;

  void SetUp() override { probe_->Begin(); }
  void TearDown() override {
    EXPECT_LE(container_.CardPeak(0), kLimit);
    EXPECT_EQ(container_.region().ext.header.saturated, 0u);
    EXPECT_EQ(container_.region().ext.header.unaccounted, 0u);
  }
  std::string A(const std::string& command) { return probe_->Ask(command); }
  uint64_t V(const std::string& command) { return probe_->Value(command); }
  int C(const std::string& command) { return probe_->Code(command); }
  uint64_t Used() { return container_.Used(0); }

  Container container_{Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "512m"}}};
  std::unique_ptr<Probe> probe_ = container_.Start();
};

}  // namespace hami::limiter::testing
