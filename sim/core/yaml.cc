#include "sim/core/yaml.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "sim/core/text.h"

namespace hami::sim {
namespace {

constexpr size_t kMaxText = 256 * 1024;
constexpr size_t kMaxLines = 8192;
constexpr size_t kMaxNodes = 16384;
constexpr int kMaxDepth = 16;

bool KeyCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Length of "key" in "key: value" or "key:"; 0 when the text is not a mapping entry.
size_t KeyLength(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && KeyCharacter(text[n])) ++n;
  if (n == 0 || n >= text.size() || text[n] != ':') return 0;
  return n + 1 == text.size() || text[n + 1] == ' ' ? n : 0;
}

// Cuts a comment: '#' at the start or behind a blank, outside quotes.
std::string_view WithoutComment(std::string_view text) {
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\' && quote == '"') {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
    } else if ((c == '"' || c == '\'') &&
               (i == 0 || text[i - 1] == ' ' || text[i - 1] == '[' || text[i - 1] == '{')) {
      quote = c;
    } else if (c == '#' && (i == 0 || text[i - 1] == ' ')) {
      return Slice(text, 0, i);
    }
  }
  return text;
}

bool IsDash(std::string_view text) {
  return !text.empty() && text[0] == '-' && (text.size() == 1 || text[1] == ' ');
}

}  // namespace

void ReadError::Set(int line, const char* format, ...) {
  if (text[0] != '\0') return;  // the first error is the one to show
  int used = line > 0 ? snprintf(text, sizeof text, "line %d: ", line) : 0;
  va_list args;
  va_start(args, format);
  vsnprintf(text + used, sizeof text - static_cast<size_t>(used), format, args);
  va_end(args);
}

YamlDocument::~YamlDocument() {
  free(lines_);
  free(nodes_);
}

YamlNode* YamlDocument::Fail(int line, const char* what, std::string_view about) {
  if (about.empty()) {
    error_->Set(line, "%s", what);
  } else {
    error_->Set(line, "%s: \"%.*s\"", what, static_cast<int>(about.size() < 80 ? about.size() : 80),
                about.data());
  }
  return nullptr;
}

YamlNode* YamlDocument::NewNode(YamlNode::Kind kind, int line) {
  if (node_count_ == kMaxNodes) return Fail(line, "too many values in one file");
  YamlNode* node = &nodes_[node_count_++];
  *node = YamlNode{};
  node->kind = kind;
  node->line = line;
  return node;
}

bool YamlDocument::SplitLines(std::string_view text) {
  int number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view raw = Slice(text, 0, end);
    text = end == std::string_view::npos ? std::string_view{} : Slice(text, end + 1);
    ++number;
    int indent = 0;
    while (!raw.empty() && raw.front() == ' ') {
      raw.remove_prefix(1);
      ++indent;
    }
    if (!raw.empty() && raw.front() == '\t') {
      Fail(number, "indent with blanks, not with tabs");
      return false;
    }
    const std::string_view content = Trim(WithoutComment(raw));
    if (content.empty() || (content == "---" && line_count_ == 0)) continue;
    if (line_count_ == kMaxLines) {
      Fail(number, "too many lines");
      return false;
    }
    lines_[line_count_++] = Line{number, indent, content};
  }
  return true;
}

bool YamlDocument::Parse(std::string_view text, ReadError& error) {
  error_ = &error;
  lines_ = static_cast<Line*>(malloc(kMaxLines * sizeof(Line)));
  nodes_ = static_cast<YamlNode*>(malloc(kMaxNodes * sizeof(YamlNode)));
  if (lines_ == nullptr || nodes_ == nullptr) {
    error.Set(0, "out of memory");
    return false;
  }
  if (text.size() > kMaxText) {
    error.Set(0, "the file is larger than 256 KiB");
    return false;
  }
  if (!SplitLines(text)) return false;
  root_ = line_count_ == 0 ? NewNode(YamlNode::Kind::kMap, 1) : ParseBlock(lines_[0].indent, 0);
  if (root_ == nullptr) return false;
  if (at_ != line_count_) {
    Fail(lines_[at_].number, "indentation does not match any open block", lines_[at_].content);
    return false;
  }
  if (root_->kind != YamlNode::Kind::kMap) {
    Fail(root_->line, "expected `key: value` at the top level");
    return false;
  }
  return true;
}

YamlNode* YamlDocument::ParseBlock(int indent, int depth) {
  if (depth > kMaxDepth) return Fail(lines_[at_].number, "nested too deeply");
  return IsDash(lines_[at_].content) ? ParseList(indent, depth) : ParseMap(indent, depth);
}

YamlNode* YamlDocument::ParseList(int indent, int depth) {
  YamlNode* list = NewNode(YamlNode::Kind::kList, lines_[at_].number);
  if (list == nullptr) return nullptr;
  YamlNode** tail = &list->first_child;
  while (at_ < line_count_ && lines_[at_].indent == indent && IsDash(lines_[at_].content)) {
    Line& line = lines_[at_];
    size_t skip = 1;
    while (skip < line.content.size() && line.content[skip] == ' ') ++skip;
    const std::string_view rest = Slice(line.content, skip);
    YamlNode* item = nullptr;
    if (rest.empty()) {
      ++at_;
      if (at_ == line_count_ || lines_[at_].indent <= indent) {
        return Fail(line.number, "a list item without a value");
      }
      item = ParseBlock(lines_[at_].indent, depth + 1);
    } else if (KeyLength(rest) != 0) {
      line.indent = indent + static_cast<int>(skip);  // the item's map starts behind the dash
      line.content = rest;
      item = ParseMap(line.indent, depth + 1);
    } else {
      ++at_;
      item = ParseInline(rest, line.number);
    }
    if (item == nullptr) return nullptr;
    *tail = item;
    tail = &item->next;
  }
  return list;
}

YamlNode* YamlDocument::ParseMap(int indent, int depth) {
  YamlNode* map = NewNode(YamlNode::Kind::kMap, lines_[at_].number);
  if (map == nullptr) return nullptr;
  YamlNode** tail = &map->first_child;
  while (at_ < line_count_ && lines_[at_].indent == indent && !IsDash(lines_[at_].content)) {
    const Line line = lines_[at_];
    const size_t length = KeyLength(line.content);
    if (length == 0) return Fail(line.number, "expected `key: value`, got", line.content);
    const std::string_view key = Slice(line.content, 0, length);
    for (const YamlNode* n = map->first_child; n != nullptr; n = n->next) {
      if (n->key == key) return Fail(line.number, "this key stands here twice", key);
    }
    const std::string_view rest = Trim(Slice(line.content, length + 1));
    ++at_;
    YamlNode* value = nullptr;
    if (!rest.empty()) {
      value = ParseInline(rest, line.number);
    } else if (at_ < line_count_ &&
               (lines_[at_].indent > indent ||
                (lines_[at_].indent == indent && IsDash(lines_[at_].content)))) {
      value = ParseBlock(lines_[at_].indent, depth + 1);
    } else {
      return Fail(line.number, "this key has no value", key);
    }
    if (value == nullptr) return nullptr;
    value->key = key;
    *tail = value;
    tail = &value->next;
  }
  return map;
}

YamlNode* YamlDocument::ParseInline(std::string_view text, int line) {
  std::string_view rest = text;
  YamlNode* node =
      text[0] == '{' || text[0] == '[' ? ParseFlow(rest, line, 0) : ParseScalar(rest, line, false);
  if (node == nullptr) return nullptr;
  if (!Trim(rest).empty()) return Fail(line, "text behind the value", Trim(rest));
  return node;
}

YamlNode* YamlDocument::ParseFlow(std::string_view& rest, int line, int depth) {
  if (depth > kMaxDepth) return Fail(line, "nested too deeply");
  const bool is_map = rest.front() == '{';
  const char close = is_map ? '}' : ']';
  rest.remove_prefix(1);
  YamlNode* node = NewNode(is_map ? YamlNode::Kind::kMap : YamlNode::Kind::kList, line);
  if (node == nullptr) return nullptr;
  YamlNode** tail = &node->first_child;
  for (;;) {
    rest = Trim(rest);
    if (rest.empty()) return Fail(line, is_map ? "missing }" : "missing ]");
    if (rest.front() == close) {
      rest.remove_prefix(1);
      return node;
    }
    std::string_view key;
    if (is_map) {
      const size_t length = KeyLength(rest);
      if (length == 0) return Fail(line, "expected `key: value` inside { }, got", rest);
      key = Slice(rest, 0, length);
      rest = Trim(Slice(rest, length + 1));
      for (const YamlNode* n = node->first_child; n != nullptr; n = n->next) {
        if (n->key == key) return Fail(line, "this key stands here twice", key);
      }
    }
    if (rest.empty()) return Fail(line, "this key has no value", key);
    YamlNode* value = rest.front() == '{' || rest.front() == '[' ? ParseFlow(rest, line, depth + 1)
                                                                 : ParseScalar(rest, line, true);
    if (value == nullptr) return nullptr;
    value->key = key;
    *tail = value;
    tail = &value->next;
    rest = Trim(rest);
    if (!rest.empty() && rest.front() == ',') {
      rest.remove_prefix(1);
    } else if (rest.empty() || rest.front() != close) {
      return Fail(line, "expected , or the closing bracket, got", rest);
    }
  }
}

YamlNode* YamlDocument::ParseScalar(std::string_view& rest, int line, bool in_flow) {
  YamlNode* node = NewNode(YamlNode::Kind::kScalar, line);
  if (node == nullptr) return nullptr;
  const char first = rest.front();
  if (first == '"' || first == '\'') {
    const size_t end = rest.find(first, 1);
    if (end == std::string_view::npos) return Fail(line, "missing closing quote", rest);
    node->text = Slice(rest, 1, end - 1);
    if (node->text.find('\\') != std::string_view::npos) {
      return Fail(line, "escapes inside quotes are not supported", node->text);
    }
    node->quoted = true;
    rest = Slice(rest, end + 1);
    return node;
  }
  if (first == '&' || first == '*' || first == '!' || first == '|' || first == '>' ||
      first == '%' || first == '@' || first == '`') {
    return Fail(line, "this YAML feature is not supported here", rest);
  }
  size_t end = 0;
  while (end < rest.size() &&
         !(in_flow && (rest[end] == ',' || rest[end] == '}' || rest[end] == ']'))) {
    ++end;
  }
  node->text = Trim(Slice(rest, 0, end));
  rest = Slice(rest, end);
  if (node->text.empty()) return Fail(line, "expected a value");
  return node;
}

}  // namespace hami::sim
