// hami-sim: looks at simulated hardware and acts on it from outside. A program of the host; it
// reads the state file that the driver libraries share and never takes a slot in it.
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/cards.h"
#include "sim/tool/commands.h"

namespace {

constexpr const char* kHelp =
    R"(hami-sim - simulated GPUs: check their description, see what they do, make things happen

Usage: hami-sim <command> [options]

  cards validate FILE        read a cards.yaml strictly; say what is in it, or which line is wrong
  cards show                 the cards of this machine, as the driver libraries see them
  state                      per card: memory in use and its peak, per process, per container
  state reset-peak           start the peaks again from what is in use now
  busy [--for 10s]           how long each card worked, per process and container, by its own
                             timeline; without --for until interrupted
  inject xid CODE --card N   report an Xid event on a card to whoever listens through NVML
  help                       this text

Options
  -o json                    machine-readable output (default: table)
  --config FILE              cards.yaml   (default: $FAKEGPU_CONFIG, then /run/fakegpu/cards.yaml)
  --state FILE               state file   (default: $FAKEGPU_STATE, then `state` beside cards.yaml)

A first try on any machine
  printf 'cards: [{model: Tesla T4, count: 2}]\n' > /tmp/cards.yaml
  hami-sim cards validate /tmp/cards.yaml
  export FAKEGPU_CONFIG=/tmp/cards.yaml LD_LIBRARY_PATH=<build>/lib/sim
  gpu-alloc --hold 20 &
  nvidia-smi                 # the real one
  hami-sim state

Exit codes: 0 done, 1 a file is wrong or missing, 2 wrong use. Schema: sim/README.md.
)";

int Usage(const char* what, std::string_view about) {
  fprintf(stderr, "hami-sim: %s%s%.*s; see hami-sim help\n", what, about.empty() ? "" : " ",
          static_cast<int>(about.size()), about.data());
  return hami::sim::kWrongUse;
}

// Words that begin as a command does and are not one.
int WrongWords(const std::vector<std::string_view>& words) {
  const std::string_view second = words.size() > 1 ? words[1] : "";
  if (words[0] == "cards") {
    if (second != "validate") return Usage("cards: expected validate FILE or show", "");
    return words.size() == 2 ? Usage("cards validate: FILE is missing", "")
                             : Usage("cards validate: unexpected word", words[3]);
  }
  if (words[0] == "inject") {
    if (second != "xid") return Usage("inject: expected xid CODE --card N", "");
    return words.size() == 2 ? Usage("inject xid: CODE is missing", "")
                             : Usage("inject xid: unexpected word", words[3]);
  }
  if (words[0] == "state") return Usage("state: unexpected word", words.back());
  if (words[0] == "busy") return Usage("busy: unexpected word", second);
  return Usage("unknown command", words[0]);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace hami::sim;  // NOLINT: one main
  ToolOptions options;
  std::vector<std::string_view> words;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (word == "--help" || word == "-h") {
      words.assign(1, "help");
      break;
    }
    if (word == "-o" || word == "--output" || word == "--config" || word == "--state" ||
        word == "--card" || word == "--for") {
      if (value == nullptr) return Usage("missing value of", word);
      ++i;
      if (word == "--config") {
        options.config = value;
      } else if (word == "--state") {
        options.state = value;
      } else if (word == "--for") {
        const std::string_view time = value;
        const bool ms = time.ends_with("ms");
        uint64_t number = 0;
        if (!(ms || time.ends_with("s")) || time.size() > 12 ||
            !ParseUnsigned(time.substr(0, time.size() - (ms ? 2 : 1)), number) || number == 0) {
          return Usage("--for: expected a time such as 10s or 500ms, got", value);
        }
        options.for_ns = static_cast<int64_t>(number) * (ms ? 1'000'000 : 1'000'000'000);
      } else if (word == "--card") {
        uint64_t card = 0;
        if (!ParseUnsigned(value, card) || card >= kMaxCards) {
          return Usage("--card: expected the index of a card, got", value);
        }
        options.card = static_cast<int>(card);
      } else if (strcmp(value, "json") == 0 || strcmp(value, "table") == 0) {
        options.json = strcmp(value, "json") == 0;
      } else {
        return Usage("-o: expected json or table, got", value);
      }
    } else if (word.starts_with("-")) {
      return Usage("unknown option", word);
    } else {
      words.push_back(word);
    }
  }
  const size_t n = words.size();
  if (n == 0) return Usage("expected a command", "");
  if (words[0] == "help") {
    fputs(kHelp, stdout);
    return kDone;
  }
  if (words[0] == "cards" && n == 3 && words[1] == "validate") {
    return ValidateCards(std::string(words[2]), options);
  }
  if (words[0] == "cards" && n == 2 && words[1] == "show") return ShowCards(options);
  if (words[0] == "state" && n == 1) return ShowState(options);
  if (words[0] == "state" && n == 2 && words[1] == "reset-peak") return ResetPeaks(options);
  if (words[0] == "busy" && n == 1) return ShowBusy(options);
  if (words[0] == "inject" && n == 3 && words[1] == "xid") {
    uint64_t xid = 0;
    if (!ParseUnsigned(words[2], xid) || xid > 1000) {
      return Usage("inject xid: expected a number of 0 to 1000, got", words[2]);
    }
    if (options.card < 0) return Usage("inject xid: --card is missing", "");
    return InjectXid(static_cast<uint32_t>(xid), options);
  }
  return WrongWords(words);
}
