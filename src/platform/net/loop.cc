#include "platform/net/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <csignal>
#include <future>

#include "base/result.h"
#include "platform/net/asio_loop.h"

namespace hami::net {

namespace asio = boost::asio;

namespace {

// asio's signal_set reads its own state in the handler without a lock; a pipe needs only this.
std::atomic<int> g_signal_pipe{-1};

void TellSignal(int number) {
  int saved = errno;
  auto byte = static_cast<unsigned char>(number);
  [[maybe_unused]] ssize_t n = write(g_signal_pipe.load(), &byte, 1);
  errno = saved;
}

}  // namespace

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
    MutexLock lock(mutex);
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
    MutexLock lock(mutex);
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
      MutexLock lock(mutex);
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
    MutexLock lock(impl_->mutex);
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
  MutexLock lock(impl_->mutex);
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
  int ends[2];
  CHECK(pipe2(ends, O_CLOEXEC) == 0);
  g_signal_pipe = ends[1];
  struct sigaction ours {
  }, old_int{}, old_term{};
  ours.sa_handler = &TellSignal;
  ours.sa_flags = SA_RESTART;
  sigaction(SIGINT, &ours, &old_int);
  sigaction(SIGTERM, &ours, &old_term);
  unsigned char number = 0;
  while (read(ends[0], &number, 1) != 1) {
  }
  sigaction(SIGINT, &old_int, nullptr);
  sigaction(SIGTERM, &old_term, nullptr);
  g_signal_pipe = -1;
  close(ends[0]);
  close(ends[1]);
  return number;
}

}  // namespace hami::net
