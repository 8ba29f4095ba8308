#include "base/result.h"

#include <gtest/gtest.h>

namespace hami {
namespace {

Result<int> Half(int n) {
  if (n % 2 != 0) return Fail(Code::kInvalidArgument, "number 3: expected an even one");
  return n / 2;
}

Result<int> Quarter(int n) {
  TRY_ASSIGN(int half, Half(n));
  return Half(half);
}

TEST(Result, TryAssignPassesTheErrorOn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).error().code, Code::kInvalidArgument);
}

TEST(Result, ContextIsPrefixed) {
  Error e = Error{Code::kConflict, "version changed"}.With("node n1").With("lock");
  EXPECT_EQ(e.message, "lock: node n1: version changed");
  EXPECT_TRUE(e.Retriable());
  EXPECT_FALSE((Error{Code::kNotFound, ""}).Retriable());
}

}  // namespace
}  // namespace hami
