#include "tests/fake_apiserver/store.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <ctime>

#include "base/clock.h"

namespace hami::fake {
namespace {

namespace json = boost::json;

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    size_t end = std::min(text.find(separator), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string Rfc3339Now() {
  time_t seconds = UnixSeconds(SystemClock().Now());
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return {text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

json::object& Object(Json& value, std::string_view key) {
  Json& child = value.as_object()[key];
  if (!child.is_object()) child.emplace_object();
  return child.get_object();
}

std::string Text(const Json& value) {
  return value.is_string() ? std::string(value.get_string()) : ToJson(value);
}

tl::unexpected<StatusError> Refuse(int code, std::string reason, std::string message) {
  return tl::unexpected<StatusError>(StatusError{code, std::move(reason), std::move(message)});
}

std::string Quoted(const ResourcePath& at) { return at.resource + " \"" + at.name + "\""; }

tl::unexpected<StatusError> NotFound(const ResourcePath& at) {
  return Refuse(404, "NotFound", Quoted(at) + " not found");
}

tl::unexpected<StatusError> Conflict(const ResourcePath& at, const std::string& why) {
  return Refuse(409, "Conflict", "Operation cannot be fulfilled on " + Quoted(at) + ": " + why);
}

StatusOr<void> CheckVersion(const ResourcePath& at, const Json& current, const Json* wanted) {
  if (wanted == nullptr) return {};
  std::string_view version = StringAt(*wanted, {"resourceVersion"});
  if (!version.empty() && version != StringAt(current, {"metadata", "resourceVersion"})) {
    return Conflict(at,
                    "the object has been modified; please apply your changes to the latest "
                    "version and try again");
  }
  return {};
}

// Preconditions that `wanted` (metadata of a body) puts on `current`.
StatusOr<void> CheckPreconditions(const ResourcePath& at, const Json& current, const Json* wanted) {
  if (wanted == nullptr) return {};
  if (auto ok = CheckVersion(at, current, wanted); !ok) return ok;
  std::string_view uid = StringAt(*wanted, {"uid"});
  std::string_view actual = StringAt(current, {"metadata", "uid"});
  if (!uid.empty() && uid != actual) {
    return Conflict(at, "Precondition failed: UID in precondition: " + std::string(uid) +
                            ", UID in object meta: " + std::string(actual));
  }
  return {};
}

}  // namespace

std::optional<ResourcePath> ParseResourcePath(std::string_view path) {
  std::vector<std::string_view> parts = Split(path, '/');
  ResourcePath out;
  size_t at = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    out.group_version = parts[1];
    at = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    out.group_version = std::string(parts[1]) + "/" + std::string(parts[2]);
    at = 3;
  } else {
    return std::nullopt;
  }
  if (parts[at] == "namespaces" && parts.size() >= at + 3) {
    out.ns = parts[at + 1];
    at += 2;
  }
  out.resource = parts[at];
  if (parts.size() > at + 1) out.name = parts[at + 1];
  if (parts.size() > at + 2) out.subresource = parts[at + 2];
  if (parts.size() > at + 3) return std::nullopt;
  return out;
}

Selector Selector::Parse(std::string_view text, bool labels) {
  Selector out;
  out.labels_ = labels;
  for (std::string_view part : Split(text, ',')) {
    Term term;
    if (part.starts_with("!")) {
      term = {std::string(part.substr(1)), "", true, true};
    } else if (size_t eq = part.find('='); eq != std::string_view::npos) {
      term.negated = eq > 0 && part[eq - 1] == '!';
      term.key = part.substr(0, eq - (term.negated ? 1 : 0));
      std::string_view value = part.substr(eq + 1);
      if (value.starts_with('=')) value.remove_prefix(1);
      term.value = value;
    } else {
      term = {std::string(part), "", false, true};
    }
    out.terms_.push_back(std::move(term));
  }
  return out;
}

Selector Selector::Fields(std::string_view text) { return Parse(text, false); }
Selector Selector::Labels(std::string_view text) { return Parse(text, true); }

bool Selector::Matches(const Json& object) const {
  for (const Term& term : terms_) {
    const Json* at = &object;
    if (labels_) {
      at = Find(object, {"metadata", "labels", term.key});
    } else {
      for (std::string_view step : Split(term.key, '.')) {
        at = at == nullptr ? nullptr : Find(*at, {step});
      }
    }
    std::string value = at == nullptr ? "" : Text(*at);
    bool holds = term.exists ? at != nullptr : value == term.value;
    if (holds == term.negated) return false;
  }
  return true;
}

void ApplyMergePatch(Json& target, const Json& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target.emplace_object();
  for (const auto& [key, value] : patch.get_object()) {
    if (value.is_null()) {
      target.get_object().erase(key);
    } else {
      ApplyMergePatch(target.get_object()[key], value);
    }
  }
}

Json* Store::Lookup(const ResourcePath& at) {
  auto it = objects_.find(KeyOf(at));
  return it == objects_.end() ? nullptr : &it->second;
}

Json Store::Commit(const ResourcePath& at, std::optional<Json> before, Json after) {
  ++version_;
  Object(after, "metadata")["resourceVersion"] = std::to_string(version_);
  objects_[KeyOf(at)] = after;
  history_.push_back({version_, at.group_version, at.resource, at.ns, std::move(before), after});
  changed_.notify_all();
  return after;
}

StatusOr<Json> Store::Create(const ResourcePath& at, Json object) {
  if (!object.is_object()) return Refuse(400, "BadRequest", "body is not an object");
  std::lock_guard lock(mutex_);
  auto& metadata = Object(object, "metadata");
  ResourcePath place = at;
  place.name = StringAt(object, {"metadata", "name"});
  if (std::string_view prefix = StringAt(object, {"metadata", "generateName"});
      place.name.empty() && !prefix.empty()) {
    place.name = std::string(prefix) + "x" + std::to_string(next_uid_);
    metadata["name"] = place.name;
  }
  if (place.name.empty()) return Refuse(422, "Invalid", "metadata.name: Required value");
  std::string_view ns = StringAt(object, {"metadata", "namespace"});
  if (!at.ns.empty() && !ns.empty() && ns != at.ns) {
    return Refuse(400, "BadRequest",
                  "the namespace of the provided object does not match the namespace sent on the "
                  "request");
  }
  if (!at.ns.empty()) metadata["namespace"] = at.ns;
  if (Lookup(place) != nullptr) {
    return Refuse(409, "AlreadyExists", Quoted(place) + " already exists");
  }
  if (StringAt(object, {"metadata", "uid"}).empty()) {
    metadata["uid"] = "uid-" + std::to_string(next_uid_++);
  }
  metadata["creationTimestamp"] = Rfc3339Now();
  return Commit(place, std::nullopt, std::move(object));
}

StatusOr<Json> Store::Get(const ResourcePath& at) const {
  std::lock_guard lock(mutex_);
  auto it = objects_.find(KeyOf(at));
  if (it == objects_.end()) return NotFound(at);
  return it->second;
}

StatusOr<Json> Store::Replace(const ResourcePath& at, Json object) {
  if (!object.is_object()) return Refuse(400, "BadRequest", "body is not an object");
  std::lock_guard lock(mutex_);
  Json* current = Lookup(at);
  if (current == nullptr) return NotFound(at);
  if (auto ok = CheckPreconditions(at, *current, Find(object, {"metadata"})); !ok) {
    return tl::unexpected<StatusError>(ok.error());
  }
  auto& metadata = Object(object, "metadata");
  metadata["uid"] = current->at("metadata").at("uid");
  metadata["creationTimestamp"] = current->at("metadata").at("creationTimestamp");
  metadata["name"] = at.name;
  if (!at.ns.empty()) metadata["namespace"] = at.ns;
  return Commit(at, *current, std::move(object));
}

StatusOr<Json> Store::MergePatch(const ResourcePath& at, const Json& patch) {
  std::lock_guard lock(mutex_);
  Json* current = Lookup(at);
  if (current == nullptr) return NotFound(at);
  if (auto ok = CheckVersion(at, *current, Find(patch, {"metadata"})); !ok) {
    return tl::unexpected<StatusError>(ok.error());
  }
  Json next = *current;
  ApplyMergePatch(next, patch);
  // Not a precondition here but a change of something that never changes: 422, not 409.
  if (StringAt(next, {"metadata", "uid"}) != StringAt(*current, {"metadata", "uid"})) {
    return Refuse(422, "Invalid", Quoted(at) + " is invalid: metadata.uid: field is immutable");
  }
  if (next == *current) return next;  // no change, no new version: as the API server does
  return Commit(at, *current, std::move(next));
}

StatusOr<Json> Store::Delete(const ResourcePath& at, const Json& options) {
  std::lock_guard lock(mutex_);
  Json* current = Lookup(at);
  if (current == nullptr) return NotFound(at);
  if (auto ok = CheckPreconditions(at, *current, Find(options, {"preconditions"})); !ok) {
    return tl::unexpected<StatusError>(ok.error());
  }
  Json last = *current;
  ++version_;
  Object(last, "metadata")["resourceVersion"] = std::to_string(version_);
  objects_.erase(KeyOf(at));
  history_.push_back({version_, at.group_version, at.resource, at.ns, last, std::nullopt});
  changed_.notify_all();
  return last;
}

StatusOr<Json> Store::Bind(const ResourcePath& pod, const Json& binding) {
  std::lock_guard lock(mutex_);
  ResourcePath at = pod;
  at.subresource.clear();
  if (StringAt(binding, {"metadata", "name"}) != at.name) {
    return Refuse(400, "BadRequest", "the name of the object does not match the name on the URL");
  }
  Json* current = Lookup(at);
  if (current == nullptr) return NotFound(at);
  if (auto ok = CheckPreconditions(at, *current, Find(binding, {"metadata"})); !ok) {
    return tl::unexpected<StatusError>(ok.error());
  }
  std::string_view node = StringAt(binding, {"target", "name"});
  if (node.empty()) return Refuse(422, "Invalid", "target.name: Required value");
  if (Find(*current, {"metadata", "deletionTimestamp"}) != nullptr) {
    return Conflict(at, "pod " + at.name + " is being deleted, cannot be assigned to a host");
  }
  if (std::string_view host = StringAt(*current, {"spec", "nodeName"}); !host.empty()) {
    return Conflict(
        at, "pod " + at.name + " is already assigned to node \"" + std::string(host) + "\"");
  }
  Json next = *current;
  Object(next, "spec")["nodeName"] = node;
  if (const Json* annotations = Find(binding, {"metadata", "annotations"});
      annotations != nullptr && annotations->is_object()) {
    auto& onto = Object(next, "metadata");
    Json& merged = onto["annotations"];
    if (!merged.is_object()) merged.emplace_object();
    for (const auto& [key, value] : annotations->get_object()) merged.get_object()[key] = value;
  }
  return Commit(at, *current, std::move(next));
}

StatusOr<Store::Page> Store::List(const ResourcePath& at, const Selector& fields,
                                  const Selector& labels, size_t limit,
                                  const std::string& continue_token) {
  std::lock_guard lock(mutex_);
  Snapshot snapshot;
  if (!continue_token.empty()) {
    auto it = snapshots_.find(continue_token);
    if (it == snapshots_.end()) {
      return Refuse(410, "Expired",
                    "The provided continue parameter is too old to display a consistent list "
                    "result.");
    }
    snapshot = it->second;
  } else {
    snapshot.version = version_;
    for (const auto& [key, object] : objects_) {
      const auto& [gv, resource, ns, name] = key;
      if (gv == at.group_version && resource == at.resource && (at.ns.empty() || ns == at.ns) &&
          fields.Matches(object) && labels.Matches(object)) {
        snapshot.rest.push_back(object);
      }
    }
  }
  Page page;
  page.version = snapshot.version;
  size_t count = limit == 0 ? snapshot.rest.size() : std::min(limit, snapshot.rest.size());
  auto middle = snapshot.rest.begin() + static_cast<ptrdiff_t>(count);
  page.items.assign(snapshot.rest.begin(), middle);
  snapshot.rest.erase(snapshot.rest.begin(), middle);
  if (!snapshot.rest.empty()) {
    page.continue_token = "token-" + std::to_string(next_token_++);
    snapshots_[page.continue_token] = std::move(snapshot);
  }
  return page;
}

int64_t Store::version() const {
  std::lock_guard lock(mutex_);
  return version_;
}

void Store::Compact() {
  std::lock_guard lock(mutex_);
  compacted_ = version_;
  history_.clear();
  snapshots_.clear();
}

bool Store::Compacted(int64_t version) const {
  std::lock_guard lock(mutex_);
  return version < compacted_;
}

std::vector<Change> Store::WaitChanges(int64_t after,
                                       std::chrono::steady_clock::time_point deadline,
                                       uint64_t* wakes) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [&] { return version_ > after || wakes_ != *wakes; });
  *wakes = wakes_;
  std::vector<Change> out;
  for (const Change& change : history_) {
    if (change.version > after) out.push_back(change);
  }
  return out;
}

void Store::Wake() {
  std::lock_guard lock(mutex_);
  ++wakes_;
  changed_.notify_all();
}

}  // namespace hami::fake
