#include "base/yaml.h"

#include <gtest/gtest.h>

namespace hami {
namespace {

TEST(ParseYaml, TypesScalarsLikeYaml12) {
  auto doc = ParseYaml("a: 10\nb: \"10\"\nc: true\nd: 1.5\ne: on\nf: ~\ng: [x, 2]\nh: 0x10\n");
  ASSERT_TRUE(doc) << doc.error().message;
  EXPECT_EQ(ToJson(*doc),
            R"({"a":10,"b":"10","c":true,"d":1.5E0,"e":"on","f":null,"g":["x",2],"h":"0x10"})");
}

TEST(ParseYaml, NamesLineAndColumn) {
  auto doc = ParseYaml("a: 1\nb: [1, 2\n");
  ASSERT_FALSE(doc);
  EXPECT_NE(doc.error().message.find("line"), std::string::npos);
}

TEST(ParseYaml, RefusesADuplicateKey) {
  auto doc = ParseYaml("a: 1\na: 2\n");
  ASSERT_FALSE(doc);
  EXPECT_NE(doc.error().message.find("\"a\" is given twice"), std::string::npos);
}

TEST(ParseYaml, RefusesAliasBombsAndDeepNesting) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    std::string p = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 9; ++j) bomb += p + ",";
    bomb += p + "]\n";
  }
  EXPECT_FALSE(ParseYaml(bomb));
  EXPECT_FALSE(ParseYaml(std::string(100'000, '[')));
}

}  // namespace
}  // namespace hami
