// Binds the nodes of a cards.yaml to a CardSet; every failure names the line, the path of the key,
// the value, the expectation. Private to core/cards*.cc; used by one thread, for one document.
#pragma once

#include <cstdio>

#include "sim/core/cards.h"

#define SIM_SV(text) static_cast<int>((text).size()), (text).data()

namespace hami::sim {

class CardsBinder {
 public:
  CardsBinder(CardSet& set, ReadError& error) : set_(set), error_(error) {}

  bool Document(const YamlNode& root);

 private:
  using Kind = YamlNode::Kind;

  bool Expected(const YamlNode& node, const char* path, const char* expectation);
  bool Unknown(const YamlNode& node, const char* path, const char* known);
  bool IsKind(const YamlNode& node, Kind kind, const char* path, const char* expectation);
  bool Number(const YamlNode& node, const char* path, uint64_t low, uint64_t high, uint64_t& out);
  bool Milliseconds(const YamlNode& node, const char* path, uint64_t low, uint64_t high,
                    uint64_t& ns);
  template <class T>
  bool Small(const YamlNode& node, const char* path, uint64_t low, uint64_t high, T& out);
  template <size_t N>
  bool Text(const YamlNode& node, const char* path, char (&out)[N]);
  bool Version(const YamlNode& node, const char* path, int32_t& out);
  bool CardKey(const YamlNode& node, const char* path, Card& card);
  bool Model(const YamlNode& node, const char* path, Card& card);
  bool PciBusId(const YamlNode& node, const char* path, Card& card);
  bool CardGroup(const YamlNode& node, int index);
  bool Identity(const YamlNode& node, const char* path, uint64_t count, Card& card);
  bool HealthScript(const YamlNode& node, const char* path, Card& card);
  bool Links(const YamlNode& list);
  bool Link(const YamlNode& node, const char* path);
  bool Level(const YamlNode& node, const char* path, PcieLevel& level);
  bool Failures(const YamlNode& map);
  bool HiddenPids(const YamlNode& node);
  bool Distinct(const YamlNode& cards);

  CardSet& set_;
  ReadError& error_;
  bool Instances(const YamlNode& list, int card);
  bool InstanceGroup(const YamlNode& node, const char* path, int card, uint32_t& slices);

  Card defaults_;
  const YamlNode* mig_[kMaxCards] = {};  // of each card, read when all cards are known
  int64_t slice_ns_ = 2'000'000;
};

template <class T>
bool CardsBinder::Small(const YamlNode& node, const char* path, uint64_t low, uint64_t high,
                        T& out) {
  uint64_t value = 0;
  if (!Number(node, path, low, high, value)) return false;
  out = static_cast<T>(value);
  return true;
}

template <size_t N>
bool CardsBinder::Text(const YamlNode& node, const char* path, char (&out)[N]) {
  if (node.kind == Kind::kScalar && !node.text.empty() && CopyText(out, node.text)) return true;
  char expectation[48];
  snprintf(expectation, sizeof expectation, "a text of 1 to %zu characters", N - 1);
  return Expected(node, path, expectation);
}

}  // namespace hami::sim
