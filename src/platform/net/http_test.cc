#include "platform/net/http.h"

#include <gtest/gtest.h>

#include "platform/net/http_client.h"
#include "platform/net/http_parser.h"

namespace hami::net {
namespace {

TEST(HttpTest, HeaderNamesAreComparedWithoutCase) {
  HttpRequest request;
  request.headers = {{"Content-TYPE", "a"}, {"content-type", "b"}};
  EXPECT_EQ(request.HeaderValue("content-type"), "a");
  EXPECT_EQ(request.HeaderValue("content-typ"), "");
}

TEST(HttpTest, PathIsTheTargetBeforeTheQuery) {
  HttpRequest request;
  request.target = "/api/v1/pods?watch=1";
  EXPECT_EQ(request.Path(), "/api/v1/pods");
  request.target = "/healthz";
  EXPECT_EQ(request.Path(), "/healthz");
}

TEST(HttpTest, PercentEncodingKeepsUnreservedOnly) {
  EXPECT_EQ(PercentEncode("a-B.9_~"), "a-B.9_~");
  EXPECT_EQ(PercentEncode("a/b=c d\xc3\xa9"), "a%2Fb%3Dc%20d%C3%A9");
}

TEST(UrlTest, ReadsHostPortAndBasePath) {
  auto url = ParseUrl("https://10.0.0.1:6443/k8s/");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "10.0.0.1");
  EXPECT_EQ(url->port, 6443);
  EXPECT_EQ(url->base_path, "/k8s");
  EXPECT_EQ(ParseUrl("http://api")->port, 80);
  EXPECT_EQ(ParseUrl("https://[fd00::1]:8443")->host, "fd00::1");
  EXPECT_EQ(ParseUrl("https://[fd00::1]")->port, 443);
  EXPECT_EQ(ParseUrl("unix:/run/x.sock")->unix_path, "/run/x.sock");
}

TEST(UrlTest, RefusesWhatItCannotReach) {
  for (const char* text : {"", "api:6443", "ftp://x", "https://", "https://h:0", "https://h:x",
                           "http://h:70000", "https://user@h", "unix:relative"}) {
    EXPECT_FALSE(ParseUrl(text)) << text;
  }
}

// Every split of the bytes gives the same request.
TEST(RequestParserTest, AnySplitOfTheBytesGivesTheSameRequest) {
  const std::string wire =
      "POST /filter?a=1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n";
  for (size_t split = 0; split <= wire.size(); ++split) {
    RequestParser parser;
    std::string pending;
    for (std::string_view part :
         {std::string_view(wire).substr(0, split), std::string_view(wire).substr(split)}) {
      pending += part;
      bool expected = parser.header_done();
      while (!pending.empty() && !parser.done()) {
        auto used = parser.Feed(pending);
        ASSERT_TRUE(used) << split << ": " << used.error().message;
        pending.erase(0, *used);
        if (parser.header_done() && !expected) {
          expected = true;
          EXPECT_TRUE(parser.ExpectBody(11));
        }
        if (*used == 0) break;
      }
    }
    ASSERT_TRUE(parser.done()) << split;
    HttpRequest request = parser.Take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.target, "/filter?a=1");
    EXPECT_EQ(request.body, "hello world");
  }
}

TEST(RequestParserTest, AChunkedBodyAboveItsLimitIsRefused) {
  RequestParser parser;
  std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  ASSERT_EQ(*parser.Feed(head), head.size());
  ASSERT_TRUE(parser.ExpectBody(4));
  auto used = parser.Feed("5\r\nhello\r\n0\r\n\r\n");
  ASSERT_FALSE(used);
  EXPECT_EQ(used.error().code, Code::kResourceExhausted);
}

TEST(RequestParserTest, AnnouncedLengthAboveTheLimitIsKnownFromTheHeader) {
  RequestParser parser;
  ASSERT_TRUE(parser.Feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_FALSE(parser.ExpectBody(4));
  EXPECT_TRUE(parser.ExpectBody(5));
}

TEST(RequestParserTest, HeadersAboveTheLimitAreRefused) {
  RequestParser parser;
  std::string head = "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(kMaxHeaderBytes, 'x');
  auto used = parser.Feed(head);
  ASSERT_FALSE(used);
  EXPECT_EQ(used.error().code, Code::kResourceExhausted);
}

TEST(ResponseParserTest, SkipsInterimAnswersAndReadsChunks) {
  ResponseParser parser(false);
  std::string wire =
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
  ASSERT_TRUE(parser.Feed(wire));
  EXPECT_EQ(parser.status(), 200);
  EXPECT_EQ(parser.TakeBody(), "abc");
  EXPECT_EQ(parser.TakeBody(), "");
  EXPECT_FALSE(parser.done());
  EXPECT_FALSE(parser.FeedEnd());  // cut off before the last chunk
}

TEST(ResponseParserTest, ABodyWithoutLengthEndsWithTheConnection) {
  ResponseParser parser(false);
  ASSERT_TRUE(parser.Feed("HTTP/1.1 200 OK\r\n\r\nabc"));
  EXPECT_FALSE(parser.done());
  EXPECT_TRUE(parser.FeedEnd());
  EXPECT_EQ(parser.TakeBody(), "abc");
}

TEST(ResponseParserTest, AConnectionClosedWithoutAWordIsCutOff) {
  ResponseParser parser(false);
  auto end = parser.FeedEnd();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Code::kUnavailable);
  ASSERT_TRUE(parser.Feed("HTTP/1.1 200 O"));
  EXPECT_FALSE(parser.FeedEnd());
}

// Found by fuzz/http_response: room for the whole length was taken before a byte of it had come.
TEST(ResponseParserTest, AnAnnouncedLengthBeyondReasonIsRefused) {
  ResponseParser parser(false);
  const auto fed = parser.Feed("HTTP/1.1 200 OK\r\nContent-Length: 8000000002\r\n\r\nx");
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, Code::kResourceExhausted);
}

TEST(ResponseParserTest, AHeadAnswerHasNoBodyWhateverItsLength) {
  ResponseParser parser(true);
  ASSERT_TRUE(parser.Feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_TRUE(parser.done());
}

}  // namespace
}  // namespace hami::net
