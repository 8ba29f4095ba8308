// The asio side of Loop: what sockets and descriptors of platform/net are made on.
//
// Private to platform/net: include from .cc files there only. `io` is run by the Loop's own thread.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/version.hpp>
#include <map>
#include <memory>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"
#include "platform/net/loop.h"

static_assert(BOOST_VERSION / 100 == 1081, "Boost 1.81 only: mixing versions breaks asio silently");

namespace hami::net {

struct Loop::Impl {
  using WorkGuard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

  Impl();
  ~Impl();
  void Arm();        // Loop's thread
  void RunTimers();  // Loop's thread

  std::unique_ptr<boost::asio::io_context> io;
  std::unique_ptr<WorkGuard> work;
  std::unique_ptr<boost::asio::steady_timer> timer;

  Mutex mutex;
  std::map<std::pair<MonoTime, TimerId>, Task> timers GUARDED_BY(mutex);
  std::unordered_map<TimerId, MonoTime> due GUARDED_BY(mutex);
  TimerId next_id GUARDED_BY(mutex) = 1;

  std::thread thread;
};

}  // namespace hami::net
