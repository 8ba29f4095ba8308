// WatchDecoder: list pages and watch frames of any bytes; what it hands on are objects that the
// decoders of Pods and Nodes survive.
#include "domain/protocol/objects.h"
#include "fuzz/fuzz.h"
#include "platform/kube/watch_decode.h"

using namespace hami;  // NOLINT

FUZZ_TARGET(text) {
  static kube::WatchDecoder decoder;  // lives as long as a watch: no input may spoil the next
  const auto event = decoder.DecodeEvent(std::string(text));
  if (event && event->type != kube::WatchType::kError) {
    FUZZ_CHECK(!event->resource_version.empty());
    FUZZ_CHECK(event->object.starts_with('{'));
    static_cast<void>(protocol::DecodePod(event->object));
  }
  const auto page = decoder.DecodeList(std::string(text));
  if (page) {
    FUZZ_CHECK(!page->resource_version.empty());
    for (const std::string& item : page->items) {
      FUZZ_CHECK(item.starts_with('{'));
      static_cast<void>(protocol::DecodeNode(item));
    }
  }
  const auto good =
      decoder.DecodeEvent(R"({"type":"ADDED","object":{"metadata":{"resourceVersion":"7"}}})");
  FUZZ_CHECK(good.has_value() && good->resource_version == "7");
}
