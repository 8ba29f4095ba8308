#include "base/table.h"

#include <gtest/gtest.h>

namespace hami {
namespace {

TEST(TableTest, ColumnsAlignByCodePointsAndLinesEndWithoutBlanks) {
  Table table({"A", "LONG", "C"});
  table.Row({"äöü", "1", ""});
  table.Row({"x"});
  EXPECT_EQ(table.Text(), "A    LONG  C\näöü  1     -\nx    -     -\n");
  EXPECT_EQ(Table({"A"}).Text("  "), "  A\n");
}

}  // namespace
}  // namespace hami
