#include "base/flags.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/duration.h"
#include "base/edit_distance.h"
#include "base/env.h"
#include "base/version.h"

namespace hami {
namespace {

Error BadValue(std::string_view name, std::string_view value, std::string_view expected) {
  return {Code::kInvalidArgument, "flag --" + std::string(name) + ": \"" + std::string(value) +
                                      "\": expected " + std::string(expected)};
}

// Go's strconv.ParseBool.
std::optional<bool> ParseBool(std::string_view v) {
  for (std::string_view t : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (v == t) return true;
  }
  for (std::string_view f : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (v == f) return false;
  }
  return std::nullopt;
}

template <class T>
bool ParseNumber(std::string_view v, T& out) {
  auto [end, ec] = std::from_chars(v.data(), v.data() + v.size(), out);
  return ec == std::errc() && end == v.data() + v.size();
}

std::string Join(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : ",") + part;
  return out;
}

void SplitCommas(std::string_view text, std::vector<std::string>& out) {
  while (!text.empty()) {
    size_t comma = text.find(',');
    if (comma != 0) out.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return;
    text.remove_prefix(comma + 1);
  }
}

void Print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace

FlagSet::FlagSet(std::string program, std::string description)
    : program_(std::move(program)), description_(std::move(description)) {}

void FlagSet::AddFlag(Flag flag) {
  CHECK(FindFlag(flag.name) == nullptr);
  flag.default_text = flag.get();
  flags_.push_back(std::move(flag));
}

void FlagSet::Add(std::string name, std::string* value, std::string help, std::string env) {
  Flag f{.name = name, .help = std::move(help), .env = std::move(env), .type = "string"};
  f.set = [value](std::string_view v) -> Result<void> { return *value = v, Result<void>(); };
  f.get = [value] { return *value; };
  AddFlag(std::move(f));
}

void FlagSet::Add(std::string name, bool* value, std::string help, std::string env) {
  Flag f{.name = name, .help = std::move(help), .env = std::move(env), .type = "", .is_bool = true};
  f.set = [value, name](std::string_view v) -> Result<void> {
    auto parsed = ParseBool(v);
    if (!parsed) return Fail(BadValue(name, v, "true or false"));
    *value = *parsed;
    return {};
  };
  f.get = [value] { return *value ? "true" : "false"; };
  AddFlag(std::move(f));
}

void FlagSet::Add(std::string name, int64_t* value, std::string help, std::string env) {
  Flag f{.name = name, .help = std::move(help), .env = std::move(env), .type = "int"};
  f.set = [value, name](std::string_view v) -> Result<void> {
    if (!ParseNumber(v, *value)) return Fail(BadValue(name, v, "a whole number"));
    return {};
  };
  f.get = [value] { return std::to_string(*value); };
  AddFlag(std::move(f));
}

void FlagSet::Add(std::string name, double* value, std::string help, std::string env) {
  Flag f{.name = name, .help = std::move(help), .env = std::move(env), .type = "number"};
  f.set = [value, name](std::string_view v) -> Result<void> {
    if (!ParseNumber(v, *value)) return Fail(BadValue(name, v, "a number"));
    return {};
  };
  f.get = [value] {
    char text[32];
    auto r = std::to_chars(text, text + sizeof text, *value);
    return std::string(text, r.ptr);
  };
  AddFlag(std::move(f));
}

void FlagSet::Add(std::string name, Duration* value, std::string help, std::string env) {
  Flag f{.name = name, .help = std::move(help), .env = std::move(env), .type = "duration"};
  f.set = [value, name](std::string_view v) -> Result<void> {
    auto d = ParseDuration(v);
    if (!d) return Fail(BadValue(name, v, "a duration such as 5m, 28s or 1h30m"));
    *value = *d;
    return {};
  };
  f.get = [value] { return FormatDuration(*value); };
  AddFlag(std::move(f));
}

void FlagSet::Add(std::string name, std::vector<std::string>* value, std::string help,
                  std::string env) {
  Flag f{.name = name, .help = std::move(help), .env = std::move(env), .type = "list"};
  f.repeatable = true;
  // The first value given replaces the default, later ones add.
  f.set = [value, fresh = true](std::string_view v) mutable -> Result<void> {
    if (fresh) value->clear();
    fresh = false;
    SplitCommas(v, *value);
    return {};
  };
  f.get = [value] { return Join(*value); };
  AddFlag(std::move(f));
}

void FlagSet::Accept(std::string name, std::string why, bool takes_value) {
  Flag f{.name = name, .help = std::move(why), .type = takes_value ? "string" : ""};
  f.is_bool = !takes_value;
  f.accepted_only = true;
  f.set = [](std::string_view) -> Result<void> { return {}; };
  f.get = [] { return std::string(); };
  AddFlag(std::move(f));
}

void FlagSet::Positional(std::string name, std::vector<std::string>* values, std::string help) {
  positional_ = values;
  positional_name_ = std::move(name);
  positional_help_ = std::move(help);
}

FlagSet& FlagSet::Command(std::string name, std::string description) {
  auto& slot = commands_[name];
  slot = std::make_unique<FlagSet>(program_ + " " + name, std::move(description));
  return *slot;
}

void FlagSet::Alias(std::string word, std::string name) {
  CHECK(commands_.contains(name));
  aliases_[std::move(word)] = std::move(name);
}

FlagSet::Commands::const_iterator FlagSet::FindCommand(const std::string& word) const {
  auto alias = aliases_.find(word);
  return commands_.find(alias == aliases_.end() ? word : alias->second);
}

FlagSet::Flag* FlagSet::FindFlag(std::string_view name) {
  auto it =
      std::find_if(flags_.begin(), flags_.end(), [&](const Flag& f) { return f.name == name; });
  return it == flags_.end() ? nullptr : &*it;
}

Error FlagSet::Unknown(std::string_view name) const {
  std::vector<std::string_view> known;
  for (const Flag& f : flags_) known.push_back(f.name);
  std::string message = "unknown flag --" + std::string(name);
  if (auto near = NearestName(name, known)) message += "; did you mean --" + std::string(*near);
  return {Code::kInvalidArgument, message + " (--help lists all)"};
}

Error FlagSet::Unexpected(const std::string& word) const {
  std::string hint = commands_.empty() ? "" : "; --help lists the commands";
  return {Code::kInvalidArgument, "unexpected word \"" + word + "\"" + hint};
}

// "help get cards": the help of what the words lead to.
Result<FlagSet::Action> FlagSet::HelpOn(const std::vector<std::string>& words) const {
  const FlagSet* set = this;
  for (const std::string& word : words) {
    if (word.starts_with('-')) continue;
    auto next = set->FindCommand(word);
    if (next == set->commands_.end()) return Fail(set->Unexpected(word));
    set = next->second.get();
  }
  Print(set->Help());
  return Action::kExit;
}

// Consumes one flag and, where it needs one, the value in the next word.
Result<void> FlagSet::ParseOne(const std::vector<std::string>& args, size_t& i) {
  std::string_view word = args[i];
  word.remove_prefix(word.starts_with("--") ? 2 : 1);
  size_t equals = word.find('=');
  std::string_view name = word.substr(0, equals);
  Flag* flag = FindFlag(name);
  if (flag == nullptr) return Fail(Unknown(name));
  flag->given = true;
  if (equals != std::string_view::npos) return flag->set(word.substr(equals + 1));
  if (flag->is_bool) return flag->set("true");
  if (i + 1 >= args.size()) {
    return Fail(Code::kInvalidArgument, "flag --" + flag->name + " needs a value");
  }
  return flag->set(args[++i]);
}

Result<void> FlagSet::ApplyEnvironment() {
  for (Flag& flag : flags_) {
    if (flag.env.empty() || flag.given) continue;
    auto value = GetEnv(flag.env.c_str());
    if (!value || value->empty()) continue;
    auto set = flag.set(*value);
    if (!set) return Fail(std::move(set).error().With("environment variable " + flag.env));
    flag.given = true;
  }
  return {};
}

Result<FlagSet::Action> FlagSet::Parse(int argc, const char* const* argv) {
  std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i] == "--version" && commands_.contains("version")
                                  ? commands_.find("version")->first
                                  : args[i];
    if (word == "--help" || word == "-h" || word == "--help-md") {
      Print(word == "--help-md" ? HelpMarkdown() : Help());
      return Action::kExit;
    }
    if (word == "--version" && FindFlag("version") == nullptr) {
      Print(VersionText(program_.substr(0, program_.find(' '))));
      return Action::kExit;
    }
    if (word.size() > 1 && word[0] == '-' && word != "--") {
      TRY(ParseOne(args, i));
      continue;
    }
    if (word == "help" && !commands_.empty()) {
      return HelpOn({args.begin() + static_cast<ptrdiff_t>(i) + 1, args.end()});
    }
    if (auto sub = FindCommand(word); sub != commands_.end()) {
      command_ = sub->first;
      std::vector<const char*> rest{program_.c_str()};
      for (size_t j = i + 1; j < args.size(); ++j) rest.push_back(args[j].c_str());
      TRY(ApplyEnvironment());
      return sub->second->Parse(static_cast<int>(rest.size()), rest.data());
    }
    if (positional_ == nullptr) return Fail(Unexpected(word));
    if (word != "--") positional_->push_back(word);
  }
  TRY(ApplyEnvironment());
  return Action::kRun;
}

bool FlagSet::Given(std::string_view name) const {
  return std::any_of(flags_.begin(), flags_.end(),
                     [&](const Flag& f) { return f.name == name && f.given; });
}

std::map<std::string, std::string> FlagSet::Values() const {
  std::map<std::string, std::string> out;
  for (const Flag& flag : flags_) {
    if (!flag.accepted_only) out[flag.name] = flag.get();
  }
  return out;
}

std::string FlagSet::Help() const {
  std::string out = description_ + "\n\nUsage: " + program_;
  if (!commands_.empty()) out += " [command]";
  out += " [flags]";
  if (positional_ != nullptr) out += " " + positional_name_ + "\n\n  " + positional_help_;
  out += "\n";
  if (!commands_.empty()) out += "\nCommands:\n";
  for (const auto& [name, set] : commands_) {
    out += "  " + name + std::string(name.size() < 14 ? 14 - name.size() : 1, ' ') +
           set->description_.substr(0, set->description_.find('\n')) + "\n";
  }
  out += "\nFlags:\n";
  std::string accepted;
  for (const Flag& f : flags_) {
    if (f.accepted_only) {
      accepted += (accepted.empty() ? "--" : ", --") + f.name;
      continue;
    }
    out += "  " + std::string(f.name.size() == 1 ? "-" : "--") + f.name;
    if (!f.type.empty()) out += " " + f.type;
    out += "\n        " + f.help;
    if (!f.default_text.empty() && f.default_text != "false") {
      out += " (default " + f.default_text + ")";
    }
    if (!f.env.empty()) out += " [$" + f.env + "]";
    out += "\n";
  }
  out += "  --help\n        this text; --help-md prints it as a Markdown table\n";
  const bool own_version =
      std::any_of(flags_.begin(), flags_.end(), [](const Flag& f) { return f.name == "version"; });
  if (!own_version) out += "  --version\n        which build this is\n";
  if (!accepted.empty()) out += "\nAccepted for compatibility, without effect: " + accepted + "\n";
  return out;
}

std::string FlagSet::HelpMarkdown() const {
  std::string out = "| flag | type | default | environment | meaning |\n|---|---|---|---|---|\n";
  for (const Flag& f : flags_) {
    out += "| `" + std::string(f.name.size() == 1 ? "-" : "--") + f.name + "` | " +
           (f.is_bool ? "bool" : f.type) + " | " + f.default_text + " | " +
           (f.env.empty() ? "" : "`" + f.env + "`") + " | " +
           (f.accepted_only ? "accepted, no effect: " : "") + f.help + " |\n";
  }
  return out;
}

}  // namespace hami
