// ResponseParser: however the bytes are cut, the same answer; ends are told from cuts.
#include "fuzz/fuzz.h"
#include "platform/net/http_parser.h"

using namespace hami;  // NOLINT

namespace {

struct Outcome {
  bool refused = false;
  bool complete = false;
  int status = 0;
  std::string body;
  bool operator==(const Outcome&) const = default;
};

Outcome Parse(std::string_view bytes, size_t piece, bool head) {
  net::ResponseParser parser(head);
  Outcome out;
  std::string buffer;
  while (!parser.done() && !bytes.empty()) {
    const size_t take = std::min(piece, bytes.size());
    buffer += bytes.substr(0, take);
    bytes.remove_prefix(take);
    const auto used = parser.Feed(buffer);
    if (!used) return out.refused = true, out;
    FUZZ_CHECK(*used <= buffer.size());
    buffer.erase(0, *used);
    if (parser.header_done()) out.body += parser.TakeBody();
  }
  out.complete = parser.FeedEnd().has_value();
  if (parser.header_done()) {
    out.status = parser.status();
    out.body += parser.TakeBody();
  }
  return out;
}

}  // namespace

FUZZ_TARGET(text) {
  for (const bool head : {false, true}) {
    const Outcome whole = Parse(text, text.size() + 1, head);
    const Outcome pieces = Parse(text, 1 + text.size() / 7, head);
    FUZZ_CHECK(whole.complete == pieces.complete);
    if (whole.complete) FUZZ_CHECK(whole == pieces);
    if (whole.complete) FUZZ_CHECK(whole.status < 100 || whole.status >= 200);
  }
}
