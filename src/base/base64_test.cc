#include "base/base64.h"

#include <gtest/gtest.h>

namespace hami {
namespace {

TEST(Base64Test, VectorsOfRfc4648) {
  const std::pair<const char*, const char*> kVectors[] = {{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foob", "Zm9vYg=="},
                                                          {"fooba", "Zm9vYmE="},
                                                          {"foobar", "Zm9vYmFy"}};
  for (auto [plain, coded] : kVectors) {
    EXPECT_EQ(EncodeBase64(plain), coded);
    EXPECT_EQ(DecodeBase64(coded).value(), plain);
  }
}

TEST(Base64Test, EveryByteComesBack) {
  std::string bytes;
  for (int i = 0; i < 1021; ++i) bytes += static_cast<char>(i * 37);
  for (size_t n = 0; n < bytes.size(); ++n) {
    std::string part = bytes.substr(0, n);
    ASSERT_EQ(DecodeBase64(EncodeBase64(part)).value(), part);
  }
}

TEST(Base64Test, WrappedAndUnpaddedTextIsRead) {
  EXPECT_EQ(DecodeBase64("Zm9v\nYmFy\n").value(), "foobar");
  EXPECT_EQ(DecodeBase64("Zg").value(), "f");
}

TEST(Base64Test, OtherTextIsRefused) {
  for (std::string_view bad : {"Z", "Zm9v*", "Zg==Zg==", "=", "Z===", "Zm9v=", "Zm8==", "-_-_"}) {
    EXPECT_FALSE(DecodeBase64(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace hami
