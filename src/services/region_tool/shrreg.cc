#include "services/region_tool/shrreg.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "abi/env_names.h"
#include "abi/limits_page.h"
#include "base/env.h"
#include "base/flags.h"
#include "base/fs.h"
#include "limiter/env/settings.h"
#include "limiter/region/file.h"
#include "limiter/sys/syscall.h"
#include "platform/region/limits_file.h"
#include "platform/region/mapped_region.h"
#include "services/region_tool/commands.h"

namespace hami::region_tool {
namespace {

namespace core = limiter::region;
using region::MappedRegion;
using region::ProcessLife;

constexpr char kAbout[] =
    "shrreg-tool works on the shared region that " HAMI_ENV_SHARED_CACHE
    " names\n(" HAMI_DEFAULT_SHARED_CACHE
    " without it), with the flags of the reference's tool. hami-region can do more.";

// As libvgpu.so finds it: a page of limits beside the region has the last word.
std::string RegionPath() {
  std::string path = GetEnvOr(HAMI_ENV_SHARED_CACHE, "");
  if (path.empty()) path = HAMI_DEFAULT_SHARED_CACHE;
  const auto page = region::ReadLimits(path.substr(0, path.rfind('/') + 1) + HAMI_LIMITS_FILE);
  return page && !page->region_path.empty() ? page->region_path : path;
}

bool AnybodyLives(const MappedRegion& region) {
  const auto look = region.Look();
  return std::any_of(look.processes.begin(), look.processes.end(), [&](const auto& process) {
    return region.LifeOf(process) != ProcessLife::kDead;
  });
}

const char* FromEnvironment(const char* name) {
  static std::map<std::string, std::string> values;  // the parser keeps pointers
  const auto found = GetEnv(name);
  return found ? (values[name] = *found).c_str() : nullptr;
}

// What the environment says and cannot be read; the parser takes a plain function.
std::string& Complaints() {
  static std::string lines;
  return lines;
}
void Complain(std::string_view text) {
  Complaints().append("shrreg-tool: ").append(text).append("\n");
}

// A new region with the limits of the environment in the place of one that nobody lives in.
Result<int> CreateNew(const std::string& path, const Outside& outside) {
  if (RealFileSystem().Exists(path)) {
    const auto old = MappedRegion::Open(path, true);
    if (old && AnybodyLives(*old)) {
      outside.err("shrreg-tool: " + path + ": processes live in it: kept\n");
      return kExitNo;
    }
    TRY(RealFileSystem().Remove(path));
  }
  const auto text = RealFileSystem().Read(HAMI_OVERRIDE_FILE);
  const auto settings = limiter::env::ReadSettings(&FromEnvironment, text.value_or(""), &Complain);
  outside.err(std::exchange(Complaints(), {}));
  const core::Opened opened = core::OpenRegion(
      path.c_str(), {settings.memory_limit, settings.sm_percent, settings.priority});
  if (opened.region == nullptr) return Fail(ErrnoError("make", path, -opened.error));
  limiter::sys::Close(opened.lock_fd);
  limiter::sys::Unmap(opened.region, HAMI_REGION_FILE_SIZE);
  return kExitOk;
}

Result<int> Suspend(const std::string& path, bool suspended, const Outside& outside) {
  TRY_ASSIGN(MappedRegion region, MappedRegion::Open(path, true));
  if (!region.known_block()) {
    return Fail(Code::kFailedPrecondition,
                path + ": made by another library: its processes cannot be suspended by a word");
  }
  const int count = region.Suspend(suspended);
  outside.out(std::to_string(count) +
              (suspended ? " processes suspended\n" : " processes resumed\n"));
  return kExitOk;
}

}  // namespace

Result<int> RunShrregTool(int argc, const char* const* argv, const Outside& outside) {
  bool create = false, suspend = false, resume = false, print = false, version = false;
  FlagSet flags("shrreg-tool", kAbout);
  flags.Add("create_new", &create, "make a new region with the limits of the environment");
  flags.Add("suspend", &suspend, "mark every process of the region as suspended");
  flags.Add("resume", &resume, "mark every process as running");
  flags.Add("print", &print, "show limits and what each process holds");
  flags.Add("version", &version, "size and version of the region");
  TRY_ASSIGN(const FlagSet::Action action, flags.Parse(argc, argv));
  if (action == FlagSet::Action::kExit) return kExitOk;
  if (create + suspend + resume + print + version != 1) {
    return Fail(Code::kInvalidArgument, "expected one flag; --help lists them");
  }
  if (version) {
    outside.out("shrreg size: " + std::to_string(HAMI_V1_SIZE) + ", version " +
                std::to_string(HAMI_V1_MAJOR) + "." + std::to_string(HAMI_V1_MINOR) + "\n");
    return kExitOk;
  }
  const std::string path = RegionPath();
  if (create) return CreateNew(path, outside);
  if (print) return InspectFiles({.files = {path}}, outside);
  return Suspend(path, suspend, outside);
}

}  // namespace hami::region_tool
