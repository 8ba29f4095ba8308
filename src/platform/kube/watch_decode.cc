#include "platform/kube/watch_decode.h"

#include <simdjson.h>

#include <optional>

namespace hami::kube {
namespace {

namespace od = simdjson::ondemand;

tl::unexpected<Error> Bad(std::string_view what, simdjson::error_code code) {
  return Fail(Code::kDataLoss, std::string(what) + ": " + simdjson::error_message(code));
}

std::optional<WatchType> TypeOf(std::string_view name) {
  if (name == "ADDED") return WatchType::kAdded;
  if (name == "MODIFIED") return WatchType::kModified;
  if (name == "DELETED") return WatchType::kDeleted;
  if (name == "BOOKMARK") return WatchType::kBookmark;
  if (name == "ERROR") return WatchType::kError;
  return std::nullopt;
}

// Absent and of another type are no errors; a broken document is, and must not be read any further:
// simdjson gives up its iterator then.
bool Broken(simdjson::error_code code) {
  return code != simdjson::SUCCESS && code != simdjson::NO_SUCH_FIELD &&
         code != simdjson::INCORRECT_TYPE && code != simdjson::NUMBER_ERROR;
}

simdjson::error_code TakeText(od::object& object, std::string_view key, std::string& out) {
  std::string_view text;
  const auto code = object.find_field_unordered(key).get_string().get(text);
  if (code == simdjson::SUCCESS) out = text;
  return Broken(code) ? code : simdjson::SUCCESS;
}

// metadata.resourceVersion; "" where it is absent.
simdjson::error_code TakeVersion(od::object& object, std::string& out) {
  od::object metadata;
  const auto code = object.find_field_unordered("metadata").get_object().get(metadata);
  if (code == simdjson::SUCCESS) return TakeText(metadata, "resourceVersion", out);
  return Broken(code) ? code : simdjson::SUCCESS;
}

// Status.code and Status.message.
simdjson::error_code TakeStatus(od::object& object, WatchEvent& out) {
  out.status_message = "watch failed";
  int64_t status = 0;
  const auto code = object.find_field_unordered("code").get_int64().get(status);
  if (code == simdjson::SUCCESS) out.status_code = static_cast<int>(status);
  return Broken(code) ? code : TakeText(object, "message", out.status_message);
}

}  // namespace

struct WatchDecoder::Impl {
  od::parser parser;
};

WatchDecoder::WatchDecoder() : impl_(std::make_unique<Impl>()) {}
WatchDecoder::~WatchDecoder() = default;

Result<ListPage> WatchDecoder::DecodeList(std::string text) {
  size_t size = text.size();
  text.resize(size + simdjson::SIMDJSON_PADDING);
  ListPage out;
  od::document doc;
  od::object root;
  auto code = impl_->parser.iterate(text.data(), size, text.size()).get(doc);
  if (!code) code = doc.get_object().get(root);
  if (code) return Bad("list", code);
  bool have_metadata = false;
  for (auto field : root) {
    std::string_view key;
    if ((code = field.unescaped_key().get(key))) return Bad("list", code);
    od::value value;
    if ((code = field.value().get(value))) return Bad("list", code);
    if (key == "metadata") {
      od::object metadata;
      if ((code = value.get_object().get(metadata))) return Bad("list metadata", code);
      if ((code = TakeText(metadata, "resourceVersion", out.resource_version)) ||
          (code = TakeText(metadata, "continue", out.continue_token))) {
        return Bad("list metadata", code);
      }
      have_metadata = true;
    } else if (key == "items") {
      bool null = false;
      if ((code = value.is_null().get(null))) return Bad("list items", code);
      if (null) continue;
      od::array items;
      if ((code = value.get_array().get(items))) return Bad("list items", code);
      for (auto item : items) {
        od::object object;
        std::string_view raw;
        if ((code = item.get_object().get(object))) return Bad("list item", code);
        if ((code = object.raw_json().get(raw))) return Bad("list item", code);
        out.items.emplace_back(raw);
      }
    }
  }
  if (!have_metadata || out.resource_version.empty()) {
    return Fail(Code::kDataLoss, "list: no metadata.resourceVersion");
  }
  return out;
}

Result<WatchEvent> WatchDecoder::DecodeEvent(std::string line) {
  size_t size = line.size();
  line.resize(size + simdjson::SIMDJSON_PADDING);
  od::document doc;
  auto code = impl_->parser.iterate(line.data(), size, line.size()).get(doc);
  if (code) return Bad("watch event", code);
  std::string_view type_name;
  if ((code = doc.find_field_unordered("type").get_string().get(type_name))) {
    return Bad("watch event type", code);
  }
  auto type = TypeOf(type_name);
  if (!type) {
    return Fail(Code::kDataLoss, "watch event of unknown type " + std::string(type_name));
  }
  WatchEvent out;
  out.type = *type;
  od::object object;
  if ((code = doc.find_field_unordered("object").get_object().get(object))) {
    return Bad("watch event object", code);
  }
  code = out.type == WatchType::kError ? TakeStatus(object, out)
                                       : TakeVersion(object, out.resource_version);
  if (code) return Bad("watch event object", code);
  if (out.type == WatchType::kError) return out;
  if (out.resource_version.empty()) {
    return Fail(Code::kDataLoss, "watch event: no metadata.resourceVersion");
  }
  if ((code = object.reset().error())) return Bad("watch event object", code);
  std::string_view raw;
  if ((code = object.raw_json().get(raw))) return Bad("watch event object", code);
  out.object = raw;
  return out;
}

}  // namespace hami::kube
