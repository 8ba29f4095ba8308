// The probe's ways to begin, split and end processes, and a load that can be paused.
#pragma once

#include <string>
#include <vector>

namespace lifecycle {

using Execute = std::string (*)(const std::string& command);

// vfork | vforkexec | clonevm <command;...> | forkexec <command;...> | daemon | exitinhandler:
// an answer, or "" if the word is none of these.
std::string Live(const std::vector<std::string>& arguments, const std::string& line,
                 Execute execute);

// churn <threads> <largest>: threads allocate and free at random from now on.
// pace: "operations refused failed longest_ns longest_wall_ns over_100_ms" since the last time; the
// wall time includes waiting for a processor, the others do not.
// rest: lets them stand between two operations: bytes that they hold. go: on again.
std::string Load(const std::vector<std::string>& arguments);

}  // namespace lifecycle
