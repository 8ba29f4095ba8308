// RequestParser: however the bytes are cut, the same request or the same kind of refusal; never
// more body than was allowed.
#include <optional>

#include "fuzz/fuzz.h"
#include "platform/net/http_parser.h"

using namespace hami;  // NOLINT

namespace {

constexpr size_t kBodyLimit = 256;

struct Outcome {
  bool refused = false;
  bool complete = false;
  net::HttpRequest request;
};

// As the server's session feeds it: what was not used comes again with more behind it.
Outcome Parse(std::string_view bytes, size_t piece) {
  net::RequestParser parser;
  Outcome out;
  std::string buffer;
  bool expects_body = false;
  while (!parser.done()) {
    const size_t take = std::min(piece, bytes.size());
    buffer += bytes.substr(0, take);
    bytes.remove_prefix(take);
    const auto used = parser.Feed(buffer);
    if (!used) return out.refused = true, out;
    FUZZ_CHECK(*used <= buffer.size());
    buffer.erase(0, *used);
    if (parser.header_done() && !expects_body) {
      expects_body = true;
      if (!parser.ExpectBody(kBodyLimit)) return out.refused = true, out;
      continue;
    }
    if (bytes.empty() && (*used == 0 || buffer.empty())) break;
  }
  out.complete = parser.done();
  if (out.complete) out.request = parser.Take();
  FUZZ_CHECK(out.request.body.size() <= kBodyLimit);
  return out;
}

}  // namespace

FUZZ_TARGET(text) {
  const Outcome whole = Parse(text, text.size() + 1);
  const Outcome pieces = Parse(text, 1 + text.size() / 7);
  FUZZ_CHECK(whole.complete == pieces.complete);
  FUZZ_CHECK(whole.request.method == pieces.request.method);
  FUZZ_CHECK(whole.request.target == pieces.request.target);
  FUZZ_CHECK(whole.request.body == pieces.request.body);
  FUZZ_CHECK(whole.request.headers.size() == pieces.request.headers.size());
  if (whole.complete) FUZZ_CHECK(!whole.request.method.empty() && !whole.request.target.empty());
}
