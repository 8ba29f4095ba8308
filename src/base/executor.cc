#include "base/executor.h"

#include <pthread.h>

namespace hami {
namespace {

void NameThread(std::thread& thread, const std::string& name) {
  pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str());
}

}  // namespace

ThreadExecutor::ThreadExecutor(std::string thread_name) : thread_([this] { Run(); }) {
  NameThread(thread_, thread_name);
}

ThreadExecutor::~ThreadExecutor() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

void ThreadExecutor::Post(Task task) {
  {
    MutexLock lock(mutex_);
    queue_.push_back(std::move(task));
  }
  wake_.NotifyOne();
}

Executor::TimerId ThreadExecutor::PostAt(MonoTime when, Task task) {
  TimerId id = 0;
  {
    MutexLock lock(mutex_);
    id = next_id_++;
    due_[id] = when;
    timers_[{when, id}] = std::move(task);
  }
  wake_.NotifyOne();
  return id;
}

void ThreadExecutor::Cancel(TimerId id) {
  MutexLock lock(mutex_);
  auto it = due_.find(id);
  if (it == due_.end()) return;
  timers_.erase({it->second, id});
  due_.erase(it);
}

void ThreadExecutor::Run() {
  MutexLock lock(mutex_);
  while (!stop_) {
    Task task;
    if (!timers_.empty() && timers_.begin()->first.first <= clock().Mono()) {
      auto it = timers_.begin();
      task = std::move(it->second);
      due_.erase(it->first.second);
      timers_.erase(it);
    } else if (!queue_.empty()) {
      task = std::move(queue_.front());
      queue_.pop_front();
    } else if (!timers_.empty()) {
      MonoTime next = timers_.begin()->first.first;
      wake_.WaitUntil(mutex_, next);
      continue;
    } else {
      wake_.Wait(mutex_);
      continue;
    }
    lock.Unlock();
    task();
    task = nullptr;  // what it captured dies outside the lock
    lock.Lock();
  }
}

WorkerPool::WorkerPool(std::string thread_name, int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Run(); });
    NameThread(threads_.back(), thread_name);
  }
}

WorkerPool::~WorkerPool() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  wake_.NotifyAll();
  for (auto& thread : threads_) thread.join();
}

bool WorkerPool::TryPost(Task task) {
  {
    MutexLock lock(mutex_);
    if (queue_.size() >= kMaxQueued) return false;
    queue_.push_back(std::move(task));
  }
  wake_.NotifyOne();
  return true;
}

void WorkerPool::Run() {
  MutexLock lock(mutex_);
  for (;;) {
    while (!stop_ && queue_.empty()) wake_.Wait(mutex_);
    if (stop_) return;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    lock.Unlock();
    task();
    task = nullptr;
    lock.Lock();
  }
}

void ManualExecutor::Post(Task task) {
  MutexLock lock(mutex_);
  queue_.push_back(std::move(task));
}

Executor::TimerId ManualExecutor::PostAt(MonoTime when, Task task) {
  MutexLock lock(mutex_);
  timers_[{when, next_id_}] = std::move(task);
  return next_id_++;
}

void ManualExecutor::Cancel(TimerId id) {
  MutexLock lock(mutex_);
  std::erase_if(timers_, [id](const auto& entry) { return entry.first.second == id; });
}

int ManualExecutor::RunReady() {
  int ran = 0;
  for (;; ++ran) {
    Task task;
    {
      MutexLock lock(mutex_);
      if (!timers_.empty() && timers_.begin()->first.first <= clock_.Mono()) {
        task = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
      } else if (!queue_.empty()) {
        task = std::move(queue_.front());
        queue_.pop_front();
      } else {
        return ran;
      }
    }
    task();
  }
}

void ManualExecutor::Advance(Duration d) {
  MonoTime end = clock_.Mono() + d;
  RunReady();
  for (;;) {
    MonoTime next = end;
    {
      MutexLock lock(mutex_);
      if (!timers_.empty() && timers_.begin()->first.first < end) {
        next = timers_.begin()->first.first;
      }
    }
    if (next > clock_.Mono()) clock_.Advance(next - clock_.Mono());
    RunReady();
    if (next >= end) return;
  }
}

}  // namespace hami
