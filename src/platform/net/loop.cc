#include "platform/net/loop.h"

#include <pthread.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <future>

#include "base/result.h"
#include "platform/net/asio_loop.h"

namespace hami::net {

namespace asio = boost::asio;

Loop::Impl::Impl()
    : io(std::make_unique<asio::io_context>(1)),
      work(std::make_unique<WorkGuard>(io->get_executor())),
      timer(std::make_unique<asio::steady_timer>(*io)),
      thread([this] { io->run(); }) {
  pthread_setname_np(thread.native_handle(), "io");
}

Loop::Impl::~Impl() {
  io->stop();
  thread.join();
  // What tasks hold may own sockets and cancel timers while it dies: tasks first, then the context,
  // then (implicitly) the timer map that both refer to.
  std::map<std::pair<MonoTime, TimerId>, Task> dropped;
  {
    std::lock_guard lock(mutex);
    dropped.swap(timers);
    due.clear();
  }
  dropped.clear();
  work.reset();
  timer.reset();
  io.reset();
}

void Loop::Impl::Arm() {
  MonoTime first;
  {
    std::lock_guard lock(mutex);
    if (timers.empty()) return;
    first = timers.begin()->first.first;
  }
  timer->expires_at(first);
  timer->async_wait([this](const boost::system::error_code& ec) {
    if (!ec) RunTimers();
  });
}

void Loop::Impl::RunTimers() {
  for (;;) {
    Task task;
    {
      std::lock_guard lock(mutex);
      if (timers.empty() || timers.begin()->first.first > SystemClock().Mono()) break;
      auto it = timers.begin();
      task = std::move(it->second);
      due.erase(it->first.second);
      timers.erase(it);
    }
    task();
  }
  Arm();
}

Loop::Loop() : impl_(std::make_unique<Impl>()) {}

Loop::~Loop() = default;

void Loop::Post(Task task) { asio::post(*impl_->io, std::move(task)); }

Executor::TimerId Loop::PostAt(MonoTime when, Task task) {
  TimerId id = 0;
  bool is_first = false;
  {
    std::lock_guard lock(impl_->mutex);
    id = impl_->next_id++;
    impl_->due[id] = when;
    auto it = impl_->timers.emplace(std::pair(when, id), std::move(task)).first;
    is_first = it == impl_->timers.begin();
  }
  if (is_first) asio::dispatch(*impl_->io, [impl = impl_.get()] { impl->Arm(); });
  return id;
}

void Loop::Cancel(TimerId id) {
  Task dropped;  // declared first: dies outside the lock
  std::lock_guard lock(impl_->mutex);
  auto it = impl_->due.find(id);
  if (it == impl_->due.end()) return;
  auto timer = impl_->timers.find({it->second, id});
  dropped = std::move(timer->second);
  impl_->timers.erase(timer);
  impl_->due.erase(it);
}

bool Loop::OnThread() const { return std::this_thread::get_id() == impl_->thread.get_id(); }

void Loop::RunSync(const Task& task) {
  if (OnThread()) {
    task();
    return;
  }
  std::promise<void> ran;
  asio::post(*impl_->io, [&] {
    task();
    ran.set_value();
  });
  ran.get_future().wait();
}

int Loop::WaitForSignal() {
  CHECK(!OnThread());
  std::promise<int> got;
  std::unique_ptr<asio::signal_set> signals;
  RunSync([&] {
    signals = std::make_unique<asio::signal_set>(*impl_->io, SIGINT, SIGTERM);
    signals->async_wait([&](const boost::system::error_code& ec, int number) {
      if (!ec) got.set_value(number);
    });
  });
  int number = got.get_future().get();
  RunSync([&] { signals.reset(); });
  return number;
}

}  // namespace hami::net
