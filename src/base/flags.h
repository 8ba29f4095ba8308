// Flags: command lines as users of the reference write them (Go's pflag and urfave/cli).
//
// --name=value and --name value; booleans also --name=false; -v=4; single-dash long names; names
// with underscores. Precedence: flag, then environment variable, then default. Unknown flags are
// errors with the nearest known name. Not thread-safe: main only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace hami {

class FlagSet {
 public:
  FlagSet(std::string program, std::string description);

  // The pointed-to value holds the default and must outlive Parse.
  void Add(std::string name, std::string* value, std::string help, std::string env = "");
  void Add(std::string name, bool* value, std::string help, std::string env = "");
  void Add(std::string name, int64_t* value, std::string help, std::string env = "");
  void Add(std::string name, double* value, std::string help, std::string env = "");
  void Add(std::string name, Duration* value, std::string help, std::string env = "");
  void Add(std::string name, std::vector<std::string>* value, std::string help,
           std::string env = "");  // repeatable, commas split
  // Accepted because the reference's manifests pass it; has no effect, and --help says so.
  void Accept(std::string name, std::string why, bool takes_value = true);
  // Words that are not flags, in order; with none declared they are errors.
  void Positional(std::string name, std::vector<std::string>* values, std::string help);

  // Subcommands: `hami-scheduler certgen ...`. The returned set lives as long as this one.
  FlagSet& Command(std::string name, std::string description);
  // A second word for the subcommand `name`, which --help does not list.
  void Alias(std::string word, std::string name);

  enum class Action : uint8_t { kRun, kExit };
  // kExit: help (--help, or the word help where there are subcommands) or the version was asked for
  // and printed; where there is a subcommand version, --version is that one. Errors:
  // kInvalidArgument with a sentence for the user.
  Result<Action> Parse(int argc, const char* const* argv);

  // The subcommand given, "" for none.
  const std::string& command() const { return command_; }
  // True when a flag or its environment variable was given (not the default).
  bool Given(std::string_view name) const;
  // Each flag with the value in force, for the line that logs them at start.
  std::map<std::string, std::string> Values() const;
  std::string Help() const;
  std::string HelpMarkdown() const;  // table of flags, for docs

 private:
  using Commands = std::map<std::string, std::unique_ptr<FlagSet>>;
  struct Flag {
    std::string name, help, env, type, default_text;
    bool is_bool = false;
    bool repeatable = false;
    bool accepted_only = false;
    bool given = false;
    std::function<Result<void>(std::string_view)> set;
    std::function<std::string()> get;
  };
  void AddFlag(Flag flag);
  Flag* FindFlag(std::string_view name);
  Result<void> ParseOne(const std::vector<std::string>& args, size_t& i);
  Result<void> ApplyEnvironment();
  Error Unknown(std::string_view name) const;
  Error Unexpected(const std::string& word) const;
  Commands::const_iterator FindCommand(const std::string& word) const;
  Result<Action> HelpOn(const std::vector<std::string>& words) const;

  std::string program_, description_, command_;
  std::vector<Flag> flags_;
  Commands commands_;
  std::map<std::string, std::string> aliases_;
  std::vector<std::string>* positional_ = nullptr;
  std::string positional_name_, positional_help_;
};

}  // namespace hami
