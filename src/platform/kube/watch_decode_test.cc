#include "platform/kube/watch_decode.h"

#include <gtest/gtest.h>

namespace hami::kube {
namespace {

TEST(WatchDecodeTest, AListGivesItemsAsTheyWereWritten) {
  WatchDecoder decoder;
  auto page = decoder.DecodeList(
      R"({"kind":"PodList","metadata":{"continue":"t\u002d1","resourceVersion":"7"},)"
      R"("items":[{"metadata":{"name":"a"}, "x":[1,{"y":"]"}]},{"metadata":{"name":"b"}}]})");
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->resource_version, "7");
  EXPECT_EQ(page->continue_token, "t-1");
  EXPECT_EQ(page->items,
            (std::vector<std::string>{R"({"metadata":{"name":"a"}, "x":[1,{"y":"]"}]})",
                                      R"({"metadata":{"name":"b"}})"}));
}

TEST(WatchDecodeTest, KeysMayComeInAnyOrder) {
  WatchDecoder decoder;
  auto page = decoder.DecodeList(R"({"items":[{"a":1}],"metadata":{"resourceVersion":"7"}})");
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->items.size(), 1u);
  auto event = decoder.DecodeEvent(
      R"({"object":{"spec":{},"metadata":{"uid":"u","resourceVersion":"8"}},"type":"ADDED"})");
  ASSERT_TRUE(event) << event.error().message;
  EXPECT_EQ(event->resource_version, "8");
  EXPECT_EQ(event->object, R"({"spec":{},"metadata":{"uid":"u","resourceVersion":"8"}})");
}

TEST(WatchDecodeTest, AnEmptyListMayHaveNullItems) {
  WatchDecoder decoder;
  auto page = decoder.DecodeList(R"({"metadata":{"resourceVersion":"7"},"items":null})");
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_TRUE(page->items.empty());
}

TEST(WatchDecodeTest, AllEventTypesAreKnown) {
  WatchDecoder decoder;
  const std::pair<const char*, WatchType> table[] = {{"ADDED", WatchType::kAdded},
                                                     {"MODIFIED", WatchType::kModified},
                                                     {"DELETED", WatchType::kDeleted},
                                                     {"BOOKMARK", WatchType::kBookmark}};
  for (auto [name, type] : table) {
    auto event = decoder.DecodeEvent(std::string(R"({"type":")") + name +
                                     R"(","object":{"metadata":{"resourceVersion":"9"}}})");
    ASSERT_TRUE(event) << name;
    EXPECT_EQ(event->type, type);
  }
}

TEST(WatchDecodeTest, AnErrorEventCarriesItsStatus) {
  WatchDecoder decoder;
  auto event = decoder.DecodeEvent(
      R"({"type":"ERROR","object":{"kind":"Status","message":"too old","reason":"Expired","code":410}})");
  ASSERT_TRUE(event) << event.error().message;
  EXPECT_EQ(event->type, WatchType::kError);
  EXPECT_EQ(event->status_code, 410);
  EXPECT_EQ(event->status_message, "too old");
}

TEST(WatchDecodeTest, EveryTruncationIsRefused) {
  WatchDecoder decoder;
  const std::string list = R"({"metadata":{"resourceVersion":"7"},"items":[{"a":"b"}]})";
  const std::string event = R"({"type":"ADDED","object":{"metadata":{"resourceVersion":"8"}}})";
  for (size_t n = 0; n < list.size(); ++n) EXPECT_FALSE(decoder.DecodeList(list.substr(0, n))) << n;
  for (size_t n = 0; n + 1 < event.size(); ++n) {
    EXPECT_FALSE(decoder.DecodeEvent(event.substr(0, n))) << n;
  }
}

// Found by fuzz/watch_decoder: the error inside metadata was swallowed, and what followed was read
// from a parser that had given up (a null pointer).
TEST(WatchDecodeTest, NothingIsReadBehindABrokenPlace) {
  WatchDecoder decoder;
  EXPECT_FALSE(decoder.DecodeList(R"({"metadata":{"resource":"13","continue":"x",}"items":[{}]})"));
  EXPECT_FALSE(
      decoder.DecodeEvent(R"({"type":"ERROR","object":{"a":1,}"code":410,"message":"m"}})"));
  EXPECT_FALSE(decoder.DecodeEvent(
      R"({"type":"ADDED","object":{"metadata":{"a":1,}"resourceVersion":"7"}})"));
}

// Found by fuzz/watch_decoder: simdjson threw, and nobody caught it.
TEST(WatchDecodeTest, ItemsThatBeginLikeNullAreRefused) {
  WatchDecoder decoder;
  EXPECT_FALSE(
      decoder.DecodeList(R"({"metadata":{"resourceVersion":"18"},"items":n"{[me"b"p"}}]})"));
}

TEST(WatchDecodeTest, OtherShapesAreRefused) {
  WatchDecoder decoder;
  for (const char* text : {"", "null", "[]", "{}", R"({"metadata":[],"items":[]})",
                           R"({"metadata":{"resourceVersion":"7"},"items":{}})",
                           R"({"metadata":{"resourceVersion":"7"},"items":["x"]})",
                           R"({"metadata":{"resourceVersion":7},"items":[]})"}) {
    auto page = decoder.DecodeList(text);
    ASSERT_FALSE(page) << text;
    EXPECT_EQ(page.error().code, Code::kDataLoss);
  }
  for (const char* text : {"null", "{}", R"({"type":"ADDED"})", R"({"type":1,"object":{}})",
                           R"({"type":"ADDED","object":[]})", R"({"type":"ADDED","object":{}})",
                           R"({"type":"NEW","object":{"metadata":{"resourceVersion":"8"}}})"}) {
    EXPECT_FALSE(decoder.DecodeEvent(text)) << text;
  }
}

}  // namespace
}  // namespace hami::kube
