// Client channels to kubelet's unix sockets, for the .cc files of this folder. Thread-safe.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/clock.h"

namespace grpc {
class Channel;
}

namespace hami::kubelet {

// A fresh connection each time: the shared pool of gRPC would hand a restarted kubelet's clients
// the back-off of the socket that has gone.
std::shared_ptr<grpc::Channel> UnixChannel(const std::string& path);

// `timeout` from now, in the form that gRPC takes.
std::chrono::system_clock::time_point Deadline(Duration timeout);

}  // namespace hami::kubelet
