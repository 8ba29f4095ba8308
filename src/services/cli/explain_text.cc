// How an Explanation reads: for people and as JSON.
#include <fmt/format.h>

#include <algorithm>

#include "base/json_write.h"
#include "base/printable.h"
#include "base/table.h"
#include "domain/protocol/time_text.h"
#include "services/cli/explain.h"

namespace hami::cli {
namespace {

constexpr size_t kEventsShown = 8;

std::string Age(WallTime then, WallTime now) {
  if (then == WallTime{}) return "?";
  int64_t seconds = std::max<int64_t>(0, UnixSeconds(now) - UnixSeconds(then));
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (seconds < 7200) return std::to_string(seconds / 60) + "m";
  if (seconds < 172'800) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86'400) + "d";
}

std::string Free(const CardAnswer& card) {
  return fmt::format("{} of {} MiB", card.total.memory.value - card.used.memory.value,
                     card.total.memory.value);
}

std::string NodesText(const Explanation& e) {
  std::string text = "\nNodes:\n";
  for (const NodeAnswer& node : e.nodes) {
    // The refusal names its node itself.
    text += "  " + (node.fits ? fmt::format("{}: fits, score {:.2f}", node.name, node.score)
                              : Printable(node.text));
    text += "\n";
    if (!node.lock.empty()) text += "    lock: " + Printable(node.lock) + "\n";
    if (node.cards.empty()) continue;
    Table table({"CARD", "UUID", "MODEL", "SHARE", "FREE MEMORY", "FREE CORES", "FREE SLOTS"});
    for (const CardAnswer& card : node.cards) {
      table.Row({std::to_string(card.index), card.uuid, card.model,
                 card.reason.empty() ? "fits" : card.reason, Free(card),
                 fmt::format("{} of {}", card.total.cores.value - card.used.cores.value,
                             card.total.cores.value),
                 fmt::format("{} of {}", card.total.slots - card.used.slots, card.total.slots)});
    }
    text += table.Text("    ");
  }
  return text;
}

std::string EventsText(const Explanation& e, WallTime now) {
  std::string text = "\nEvents:\n";
  Table table({"AGE", "TYPE", "REASON", "FROM", "MESSAGE"});
  size_t first = e.events.size() > kEventsShown ? e.events.size() - kEventsShown : 0;
  for (size_t i = first; i < e.events.size(); ++i) {
    const PodEvent& event = e.events[i];
    std::string age = Age(event.last, now);
    if (event.count > 1) age += fmt::format(" (x{})", event.count);
    table.Row({age, event.type, event.reason, event.source, event.message});
  }
  text += table.Text("  ");
  if (first > 0) text += fmt::format("  ({} older not shown; -o json has them)\n", first);
  return text;
}

}  // namespace

std::string ExplanationText(const Explanation& e, WallTime now) {
  std::string text = "Pod " + e.pod.Text() + ": " + std::string(PodStateText(e.state)) + "\n";
  // Much of it was written by users: no line of theirs breaks, or colours, ours.
  auto line = [&text](const char* before, std::string_view what) {
    text += before + Printable(what) + "\n";
  };
  line("  scheduler: ", e.scheduler);
  if (!e.node.empty()) line("  node: ", e.node);
  for (const std::string& ask : e.asks) line("  asks: ", ask);
  for (const Grant& grant : e.grants) {
    line(e.over ? "  held: " : "  holds: ",
         fmt::format("{}: {} MiB and {} cores of card {} ({})", grant.container,
                     grant.share.memory.value, grant.share.cores.value, grant.share.uuid,
                     grant.share.vendor));
  }
  if (!e.findings.empty()) text += "\nWhy:\n";
  for (const std::string& finding : e.findings) line("  - ", finding);
  if (!e.nodes.empty()) text += NodesText(e);
  if (!e.events.empty()) text += EventsText(e, now);
  for (const std::string& note : e.notes) line("! ", note);
  return text;
}

namespace {

void WriteUsage(JsonWriter& w, const char* key, const DeviceUsage& usage) {
  w.Key(key).Object([&] {
    w.Key("memoryMiB").Int(usage.memory.value).Key("cores").Int(usage.cores.value);
    w.Key("slots").Int(usage.slots);
  });
}

void WriteNode(JsonWriter& w, const NodeAnswer& node) {
  w.Object([&] {
    w.Key("name").String(node.name).Key("fits").Bool(node.fits);
    w.Key("score").Double(node.score).Key("reason").String(node.text);
    w.Key("lock").String(node.lock);
    w.Key("cards").Array([&] {
      for (const CardAnswer& card : node.cards) {
        w.Object([&] {
          w.Key("uuid").String(card.uuid).Key("index").Uint(card.index);
          w.Key("model").String(card.model).Key("reason").String(card.reason);
          WriteUsage(w, "used", card.used);
          WriteUsage(w, "total", card.total);
        });
      }
    });
  });
}

void WriteStrings(JsonWriter& w, const char* key, const std::vector<std::string>& texts) {
  w.Key(key).Array([&] {
    for (const std::string& text : texts) w.String(text);
  });
}

void WriteGrantsAndEvents(JsonWriter& w, const Explanation& e) {
  w.Key("holds").Array([&] {
    for (const Grant& grant : e.grants) {
      w.Object([&] {
        w.Key("container").String(grant.container).Key("uuid").String(grant.share.uuid);
        w.Key("vendor").String(grant.share.vendor);
        w.Key("memoryMiB").Int(grant.share.memory.value).Key("cores").Int(grant.share.cores.value);
      });
    }
  });
  w.Key("events").Array([&] {
    for (const PodEvent& event : e.events) {
      w.Object([&] {
        w.Key("type").String(event.type).Key("reason").String(event.reason);
        w.Key("message").String(event.message).Key("source").String(event.source);
        w.Key("last").String(protocol::FormatRfc3339(event.last)).Key("count").Int(event.count);
      });
    }
  });
}

}  // namespace

std::string ExplanationJson(const Explanation& e) {
  JsonWriter w;
  w.Object([&] {
    w.Key("namespace").String(e.pod.ns).Key("name").String(e.pod.name);
    w.Key("state").String(PodStateText(e.state)).Key("fine").Bool(IsFine(e.state));
    w.Key("scheduler").String(e.scheduler).Key("node").String(e.node);
    WriteStrings(w, "asks", e.asks);
    WriteStrings(w, "findings", e.findings);
    WriteGrantsAndEvents(w, e);
    w.Key("nodes").Array([&] {
      for (const NodeAnswer& node : e.nodes) WriteNode(w, node);
    });
    WriteStrings(w, "notes", e.notes);
  });
  return w.Take() + "\n";
}

}  // namespace hami::cli
