// A strict reader for the subset of YAML that cards.yaml uses (grammar: sim/README.md). It needs
// libc only. A document is a tree of nodes that point into the text it was read from; both live as
// long as the YamlDocument. Not thread-safe; a finished document is read-only.
#pragma once

#include <cstddef>
#include <string_view>

namespace hami::sim {

// What is wrong, as "line 12: cards[0].memory_mib: expected ..., got ...".
struct ReadError {
  char text[384] = "";
  void Set(int line, const char* format, ...) __attribute__((format(printf, 3, 4)));
};

struct YamlNode {
  enum class Kind { kScalar, kMap, kList };
  Kind kind = Kind::kScalar;
  bool quoted = false;
  int line = 0;
  std::string_view key;   // set on children of a map
  std::string_view text;  // set on scalars
  YamlNode* first_child = nullptr;
  YamlNode* next = nullptr;
};

class YamlDocument {
 public:
  YamlDocument() = default;
  ~YamlDocument();
  YamlDocument(const YamlDocument&) = delete;
  YamlDocument& operator=(const YamlDocument&) = delete;

  // Reads the text, which must stay valid. False: error says where and why.
  bool Parse(std::string_view text, ReadError& error);

  // A map (an empty document is an empty map).
  const YamlNode& root() const { return *root_; }

 private:
  struct Line {
    int number;
    int indent;
    std::string_view content;
  };

  bool SplitLines(std::string_view text);
  YamlNode* ParseBlock(int indent, int depth);
  YamlNode* ParseList(int indent, int depth);
  YamlNode* ParseMap(int indent, int depth);
  YamlNode* ParseInline(std::string_view text, int line);
  YamlNode* ParseFlow(std::string_view& rest, int line, int depth);
  YamlNode* ParseScalar(std::string_view& rest, int line, bool in_flow);
  YamlNode* NewNode(YamlNode::Kind kind, int line);
  YamlNode* Fail(int line, const char* what, std::string_view about = {});

  ReadError* error_ = nullptr;
  Line* lines_ = nullptr;
  size_t line_count_ = 0;
  size_t at_ = 0;
  YamlNode* nodes_ = nullptr;
  size_t node_count_ = 0;
  YamlNode* root_ = nullptr;
};

}  // namespace hami::sim
