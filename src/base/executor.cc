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
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void ThreadExecutor::Post(Task task) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
}

Executor::TimerId ThreadExecutor::PostAt(MonoTime when, Task task) {
  TimerId id = 0;
  {
    std::lock_guard lock(mutex_);
    id = next_id_++;
    due_[id] = when;
    timers_[{when, id}] = std::move(task);
  }
  wake_.notify_one();
  return id;
}

void ThreadExecutor::Cancel(TimerId id) {
  std::lock_guard lock(mutex_);
  auto it = due_.find(id);
  if (it == due_.end()) return;
  timers_.erase({it->second, id});
  due_.erase(it);
}

void ThreadExecutor::Run() {
  std::unique_lock lock(mutex_);
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
      wake_.wait_until(lock, next);
      continue;
    } else {
      wake_.wait(lock);
      continue;
    }
    lock.unlock();
    task();
    task = nullptr;  // what it captured dies outside the lock
    lock.lock();
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
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

bool WorkerPool::TryPost(Task task) {
  {
    std::lock_guard lock(mutex_);
    if (queue_.size() >= kMaxQueued) return false;
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void WorkerPool::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

void ManualExecutor::Post(Task task) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(task));
}

Executor::TimerId ManualExecutor::PostAt(MonoTime when, Task task) {
  std::lock_guard lock(mutex_);
  timers_[{when, next_id_}] = std::move(task);
  return next_id_++;
}

void ManualExecutor::Cancel(TimerId id) {
  std::lock_guard lock(mutex_);
  std::erase_if(timers_, [id](const auto& entry) { return entry.first.second == id; });
}

int ManualExecutor::RunReady() {
  int ran = 0;
  for (;; ++ran) {
    Task task;
    {
      std::lock_guard lock(mutex_);
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
      std::lock_guard lock(mutex_);
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
