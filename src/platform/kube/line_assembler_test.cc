#include "platform/kube/line_assembler.h"

#include <gtest/gtest.h>

#include <vector>

namespace hami::kube {
namespace {

std::vector<std::string> Collect(LineAssembler& assembler, std::string_view piece, bool* ok) {
  std::vector<std::string> out;
  *ok = assembler.Feed(piece, [&](std::string line) { out.push_back(std::move(line)); });
  return out;
}

TEST(LineAssemblerTest, EverySplitGivesTheSameLines) {
  const std::string text = "one\n\ntwo\r\nthree with spaces\nrest";
  for (size_t a = 0; a <= text.size(); ++a) {
    for (size_t b = a; b <= text.size(); ++b) {
      LineAssembler assembler(100);
      std::vector<std::string> lines;
      for (auto piece : {text.substr(0, a), text.substr(a, b - a), text.substr(b)}) {
        bool ok = false;
        for (auto& line : Collect(assembler, piece, &ok)) lines.push_back(line);
        ASSERT_TRUE(ok);
      }
      EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three with spaces"}));
      EXPECT_EQ(assembler.pending_bytes(), 4u);
    }
  }
}

TEST(LineAssemblerTest, ALineAboveTheLimitFailsWhetherFinishedOrNot) {
  bool ok = true;
  LineAssembler unfinished(4);
  Collect(unfinished, "12345", &ok);
  EXPECT_FALSE(ok);
  LineAssembler finished(4);
  Collect(finished, "12345\n", &ok);
  EXPECT_FALSE(ok);
  LineAssembler fits(4);
  EXPECT_EQ(Collect(fits, "1234\n", &ok).size(), 1u);
  EXPECT_TRUE(ok);
}

TEST(LineAssemblerTest, ResetForgetsTheUnfinishedLine) {
  LineAssembler assembler(100);
  bool ok = false;
  Collect(assembler, "cut in the mid", &ok);
  assembler.Reset();
  EXPECT_EQ(Collect(assembler, "fresh\n", &ok), std::vector<std::string>{"fresh"});
}

}  // namespace
}  // namespace hami::kube
