// SPDX-License-Identifier: GPL-2.0-only
#include "host/plugins/plugin_thread.hpp"

#include "host/base/event_fd.hpp"
#include "host/base/token_bucket.hpp"

#include <poll.h>
#include <pthread.h>
#include <time.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <utility>

namespace scxhost {
namespace {

using std::chrono::nanoseconds;

// The thread is ready when it is asked: it needs no more than its turn on a CPU.
constexpr auto kPatienceToBegin = std::chrono::seconds(1);

std::atomic<unsigned> nr_left_behind = 0;

nanoseconds cpu_time(clockid_t clock) {
    timespec time{};
    if (::clock_gettime(clock, &time) != 0)
        return {};
    return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

} // namespace

struct PluginThread::Shared {
    // Somebody waits for this call, until he gives up.
    struct Answer {
        EventFd ready;
        // Under the mutex:
        std::optional<Clock::time_point> begun;
        std::optional<Result<>> result;
        bool given_up = false;
    };
    struct Pending {
        const char* callback;
        nanoseconds allowance;
        Call call;
        std::shared_ptr<Answer> answer; // null: nobody waits
    };
    struct Making {
        const char* callback;
        nanoseconds allowance;
        Clock::time_point start;
        nanoseconds cpu_at_start;
    };
    struct Watched {
        int fd = -1;
        const char* callback = nullptr;
        nanoseconds allowance{};
        Call call;
    };

    EventFd wakeup;                           // calls wait, or it is to end
    EventFd outcome;                          // outcomes wait
    Watched watched;                          // the thread's own
    TokenBucket failures{1, 1, Clock::now()}; // of watched, that are told

    mutable InheritingMutex mutex; // for all below
    std::deque<Pending> calls;
    std::vector<Outcome> outcomes;
    std::optional<Making> making;
    bool ending = false;
    clockid_t cpu_clock{};

    static thread_local Shared* own; // of the calling thread

    void add(Pending pending) {
        {
            const std::scoped_lock lock(mutex);
            calls.push_back(std::move(pending));
        }
        wakeup.signal();
    }

    void work();
    bool make_next_call();
    Result<> make(const char* callback, nanoseconds allowance, Call& call, Answer* answer = nullptr);
    void make_watched_call();
    void tell(Outcome told);
};

thread_local PluginThread::Shared* PluginThread::Shared::own = nullptr;

Result<> PluginThread::Shared::make(const char* callback, nanoseconds allowance, Call& call, Answer* answer) {
    {
        const nanoseconds cpu = cpu_time(cpu_clock);
        const std::scoped_lock lock(mutex);
        making = Making{callback, allowance, Clock::now(), cpu};
        if (answer != nullptr)
            answer->begun = making->start;
    }
    Result<> result = call();
    const std::scoped_lock lock(mutex);
    making.reset();
    return result;
}

// False when none waits.
bool PluginThread::Shared::make_next_call() {
    Pending next;
    {
        const std::scoped_lock lock(mutex);
        if (calls.empty())
            return false;
        next = std::move(calls.front());
        calls.pop_front();
    }
    Result<> result = make(next.callback, next.allowance, next.call, next.answer.get());
    next.call = nullptr; // what it holds ends here, before anybody hears of it
    bool awaited = false;
    if (next.answer != nullptr) {
        const std::scoped_lock lock(mutex);
        awaited = !next.answer->given_up;
        if (awaited)
            next.answer->result = std::move(result);
    }
    if (awaited)
        next.answer->ready.signal();
    else
        tell({next.callback, std::move(result)});
    return true;
}

void PluginThread::Shared::make_watched_call() {
    Result<> result = make(watched.callback, watched.allowance, watched.call);
    // As many as there are events would bury everything else.
    if (!result && failures.take(Clock::now()))
        tell({watched.callback, std::move(result)});
}

void PluginThread::Shared::tell(Outcome told) {
    {
        const std::scoped_lock lock(mutex);
        outcomes.push_back(std::move(told));
    }
    outcome.signal();
}

void PluginThread::Shared::work() {
    own = this;
    for (;;) {
        while (make_next_call()) {
        }
        {
            const std::scoped_lock lock(mutex);
            if (ending && calls.empty())
                break;
        }
        pollfd entries[] = {{.fd = wakeup.get(), .events = POLLIN, .revents = 0},
                            {.fd = watched.fd, .events = POLLIN, .revents = 0}}; // -1 is passed over
        if (::poll(entries, 2, -1) <= 0)
            continue;
        if (entries[0].revents != 0)
            wakeup.consume();
        else
            make_watched_call();
    }
    watched = {};
}

Result<std::unique_ptr<PluginThread>> PluginThread::start(const std::string& name) {
    auto shared = std::make_shared<Shared>();
    if (!shared->wakeup || !shared->outcome)
        return EventFd::no_descriptor();
    std::unique_ptr<PluginThread> thread(new PluginThread(shared));
    thread->thread_ = SCXHOST_TRY(Thread::start([shared] { shared->work(); }));
    const pthread_t handle = thread->thread_.handle();
    ::pthread_setname_np(handle, name.substr(0, 15).c_str()); // as many as the kernel keeps
    const std::scoped_lock lock(shared->mutex);
    ::pthread_getcpuclockid(handle, &shared->cpu_clock);
    return thread;
}

PluginThread::~PluginThread() {
    if (thread_.joinable())
        end("", {}, [] { return Result<>(); }, [] {});
}

std::optional<Result<>> PluginThread::run(const char* callback, nanoseconds allowance, Call call) {
    const Clock::time_point asked = Clock::now();
    const auto answer = std::make_shared<Shared::Answer>();
    shared_->add({callback, allowance, std::move(call), answer});
    for (;;) {
        Clock::time_point deadline;
        {
            const std::scoped_lock lock(shared_->mutex);
            if (answer->result)
                return std::move(answer->result);
            deadline = answer->begun ? *answer->begun + allowance : asked + kPatienceToBegin;
            if (Clock::now() >= deadline) {
                answer->given_up = true;
                if (shared_->making)
                    shared_->making->allowance = {}; // whatever is in the way
                return std::nullopt;
            }
        }
        (void)answer->ready.wait(deadline);
    }
}

void PluginThread::post(const char* callback, nanoseconds allowance, Call call) {
    shared_->add({callback, allowance, std::move(call), nullptr});
}

bool PluginThread::end(const char* callback, nanoseconds allowance, Call last, std::function<void()> afterwards) {
    {
        const std::scoped_lock lock(shared_->mutex);
        shared_->ending = true;
        shared_->calls.push_back({callback, allowance, std::move(last), nullptr});
    }
    shared_->wakeup.signal();
    if (thread_.join_for(allowance))
        return true;
    // Objects that a thread has of its own (thread_local) end after its last call; only who joins it knows of that.
    ++nr_left_behind;
    const auto left = std::make_shared<Thread>(std::move(thread_));
    Result<Thread> waiter = Thread::start([left, afterwards = std::move(afterwards)]() mutable {
        left->join();
        afterwards();
        afterwards = nullptr; // and what it holds
        --nr_left_behind;
    });
    if (waiter)
        waiter->detach();
    else
        left->detach();
    return false;
}

bool PluginThread::busy() const {
    const std::scoped_lock lock(shared_->mutex);
    return shared_->making || !shared_->calls.empty();
}

std::optional<PluginThread::Current> PluginThread::current() const {
    const std::scoped_lock lock(shared_->mutex);
    const std::optional<Shared::Making>& making = shared_->making;
    if (!making)
        return std::nullopt;
    const nanoseconds since = Clock::now() - making->start;
    return Current{making->callback, since, cpu_time(shared_->cpu_clock) - making->cpu_at_start,
                   since > making->allowance};
}

int PluginThread::fd() const {
    return shared_->outcome.get();
}

std::vector<PluginThread::Outcome> PluginThread::outcomes() {
    shared_->outcome.consume();
    const std::scoped_lock lock(shared_->mutex);
    return std::exchange(shared_->outcomes, {});
}

void PluginThread::watch(int fd, const char* callback, nanoseconds allowance, Call call) {
    Shared::own->watched = {fd, callback, allowance, std::move(call)};
}

void PluginThread::unwatch() {
    Shared::own->watched = {};
}

unsigned PluginThread::left_behind() {
    return nr_left_behind.load();
}

} // namespace scxhost
