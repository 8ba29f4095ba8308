#include "services/region_tool/tool.h"

#include "base/flags.h"
#include "base/terminal.h"
#include "base/version.h"
#include "services/region_tool/commands.h"
#include "services/region_tool/shrreg.h"

namespace hami::region_tool {
namespace {

constexpr char kAbout[] =
    "hami-region makes, shows, checks and changes the two files of a container's limiter: the "
    "shared\n"
    "region (limits, and what each process holds) and limits.ro (limits that a container cannot "
    "write).\n"
    "\n"
    "  hami-region create r.cache --card GPU-aaaa:3000m:30 --limits limits.ro\n"
    "  hami-region inspect r.cache limits.ro       who holds what, what was refused; -o json\n"
    "  hami-region verify r.cache                  do sums, sizes and versions fit?\n"
    "  hami-region set r.cache limits.ro --card 0 --memory 5g --cores 50\n"
    "  hami-region clean r.cache                   give back what dead processes held\n"
    "\n"
    "On a node the region is <hook path>/vgpu/containers/<pod uid>_<container>/<uuid>.cache and "
    "the\n"
    "page <hook path>/vgpu/limits/<pod uid>_<container>; in the container they are what\n"
    "limits.ro and the environment say.\n"
    "Exit codes: 0 yes; 1 the answer is no (a check failed, it is there already, it is in use); 2 "
    "wrong\n"
    "command line; 3 a file cannot be read or is not what it should be.";

constexpr char kAboutCreate[] =
    "Make a region with its limits, and a page of limits, before the container starts\n"
    "\n"
    "  hami-region create r.cache --card GPU-aaaa:3000m:30 --card GPU-bbbb:0.5g\n"
    "  hami-region create r.cache --card GPU-aaaa:20g:100:10g --oversubscribe --limits limits.ro "
    "\\\n"
    "    --region-inside /usr/local/vgpu/r.cache\n"
    "\n"
    "Cards stand in the order of the management library's index. A file that is there stays.";

constexpr char kAboutInspect[] =
    "Show limits, totals, each process's share by kind of memory, who lives, what was refused\n"
    "\n"
    "Reads files of every build: version 0 and 1 of the reference, and ours. Sizes that are not a "
    "whole\n"
    "MiB are cut, not rounded; -o json has every byte, one line a file.\n"
    "LIFE: alive; alive without its lock (a daemon that closed all files); dead (cleared at the "
    "next\n"
    "refusal or by clean); unknown (in a pid namespace that this process cannot see).";

constexpr char kAboutVerify[] =
    "Check sizes, versions, sums against totals, and that writers did not die half-way\n"
    "\n"
    "Runs beside a working container: figures are compared only while nobody changes them. A note "
    "is\n"
    "worth knowing, a problem is a broken promise; exit code 1 if there is a problem.";

constexpr char kAboutSet[] =
    "Change the limits of a running container, up or down\n"
    "\n"
    "  hami-region set r.cache limits.ro --card GPU-aaaa --memory 5g\n"
    "  hami-region set r.cache limits.ro --card 0 --cores 50\n"
    "\n"
    "Name the region and the page: the smaller of the two holds. It holds at the next request, "
    "for\n"
    "every process. Below what is in use nothing is taken away: new requests are refused until it "
    "is\n"
    "less. Processes whose own environment asks for less than the limit at start keep that. A file "
    "that\n"
    "cannot be changed leaves the others as they are.";

constexpr char kAboutClean[] =
    "Give back the slots of dead processes and lower totals to what lives\n"
    "\n"
    "The limiter does the same before it refuses a request; this is for whoever only looks. With\n"
    "--remove-files, a file goes if no process maps it and no container has its folder mounted: "
    "root "
    "in\n"
    "the machine's own pid namespace only.";

void AddFiles(FlagSet& flags, Line& line, const char* help) {
  flags.Positional("FILE...", &line.files, help);
}

void AddCreate(FlagSet& root, Line& line) {
  FlagSet& create = root.Command("create", kAboutCreate);
  AddFiles(create, line, "the region to make");
  create.Add("card", &line.cards, "UUID:MEMORY[:CORES[:PHYSICAL]]; once for each card");
  create.Add("priority", &line.priority, "0 is high");
  create.Add("limits", &line.limits, "also make this page of limits");
  create.Add("region-inside", &line.region_inside,
             "on the page: path of the region in the container; empty: the environment says it");
  create.Add("policy", &line.policy,
             "on the page: core limit by default (if empty), force or disable");
  create.Add("oversubscribe", &line.oversubscribe, "on the page: memory beyond the physical share");
  create.Add("allow-disable-control", &line.allow_disable_control,
             "on the page: the container's user may switch the limiter off");
}

void AddSet(FlagSet& root, Line& line) {
  FlagSet& set = root.Command("set", kAboutSet);
  AddFiles(set, line, "the region and its page of limits, in any order");
  set.Add("card", &line.cards, "UUID or index of one card");
  set.Add("memory", &line.memory, "size as 3000m, 0.5g or 512MiB; 0: no limit");
  set.Add("cores", &line.cores, "percent; 0 and 100: no limit");
  set.Add("physical-share", &line.physical_share, "real memory behind the limit; 0: all of it");
}

Result<int> Run(int argc, const char* const* argv, const Outside& outside) {
  Line line;
  FlagSet root("hami-region", kAbout);
  AddCreate(root, line);
  FlagSet& inspect = root.Command("inspect", kAboutInspect);
  AddFiles(inspect, line, "regions and pages of limits");
  inspect.Add("output", &line.output, "json; empty: for people");
  inspect.Add("o", &line.output, "short for --output");
  AddFiles(root.Command("verify", kAboutVerify), line, "regions and pages of limits");
  AddSet(root, line);
  FlagSet& clean = root.Command("clean", kAboutClean);
  AddFiles(clean, line, "regions");
  clean.Add("remove-files", &line.remove_files, "remove the files of containers that are gone");
  root.Command("version", "Show which build this is");

  TRY_ASSIGN(const FlagSet::Action action, root.Parse(argc, argv));
  if (action == FlagSet::Action::kExit) return kExitOk;
  const std::string& command = root.command();
  if (command == "create") return CreateFiles(line, outside);
  if (command == "inspect") return InspectFiles(line, outside);
  if (command == "verify") return VerifyFiles(line, outside);
  if (command == "set") return SetLimits(line, outside);
  if (command == "clean") return CleanFiles(line, outside);
  if (command == "version") {
    outside.out(VersionText("hami-region"));
    return kExitOk;
  }
  return Fail(Code::kInvalidArgument,
              "expected a command: create, inspect, verify, set, clean or version; --help shows "
              "examples");
}

}  // namespace

int RunRegionTool(int argc, const char* const* argv, const Outside& outside) {
  const std::string_view called = argc > 0 ? argv[0] : "";
  const bool as_reference = called.substr(called.rfind('/') + 1) == "shrreg-tool";
  auto result = as_reference ? RunShrregTool(argc, argv, outside) : Run(argc, argv, outside);
  if (result) return *result;
  outside.err(std::string(as_reference ? "shrreg-tool" : "hami-region") + ": " +
              result.error().message + "\n");
  return result.error().code == Code::kInvalidArgument ? kExitUsage : kExitFile;
}

int RunRegionTool(int argc, const char* const* argv) {
  Outside outside;
  bool written = true;
  outside.out = [&written](std::string_view text) { written = WriteOut(text) && written; };
  outside.err = [](std::string_view text) { WriteError(text); };
  outside.clock = &SystemClock();
  const int code = RunRegionTool(argc, argv, outside);
  if (written) return code;
  outside.err("hami-region: standard output could not be written\n");
  return kExitFile;
}

}  // namespace hami::region_tool
