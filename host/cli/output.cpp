// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/output.hpp"

#include "host/base/thread.hpp"
#include "host/cli/diagnostic.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>

namespace scxhost {
namespace {

constexpr auto kPatience = std::chrono::seconds(2);

// The error that ended it; 0 when all is written.
int write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written >= 0)
            text.remove_prefix(static_cast<std::size_t>(written));
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

} // namespace

struct Output::Queue {
    struct Text {
        int fd;
        std::string text;
    };

    std::mutex mutex; // for all below
    std::condition_variable changed;
    std::deque<Text> texts; // the first one is being written while `busy`
    std::size_t bytes = 0;  // of them
    std::size_t dropped = 0;
    std::set<int> gone;
    bool busy = false;
    bool ending = false;

    void work() {
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [this] { return ending || !texts.empty(); });
            if (texts.empty())
                return;
            const Text next = std::move(texts.front());
            texts.pop_front();
            busy = true;
            lock.unlock();
            const int error = write_all(next.fd, next.text);
            lock.lock();
            busy = false;
            bytes -= next.text.size();
            if (error == EPIPE)
                gone.insert(next.fd);
            if (texts.empty() && dropped > 0)
                add(STDERR_FILENO,
                    format_diagnostic(
                        Severity::kWarning,
                        {.what = fmt::format("{} texts of output were dropped: nobody read them in time",
                                             std::exchange(dropped, 0)),
                         .hint = "scxhost events and scxhost stats show them as well; -q prints no statistics"},
                        false));
            changed.notify_all();
        }
    }

    void add(int fd, std::string text) {
        bytes += text.size();
        texts.push_back({fd, std::move(text)});
    }
};

Output::Output()
    : queue_(std::make_shared<Queue>()) {}

Result<std::unique_ptr<Output>> Output::start() {
    std::unique_ptr<Output> output(new Output());
    SCXHOST_TRY(Thread::start([queue = output->queue_] { queue->work(); })).detach();
    return output;
}

Output::~Output() {
    std::unique_lock lock(queue_->mutex);
    queue_->ending = true;
    queue_->changed.notify_all();
    queue_->changed.wait_for(lock, kPatience, [this] { return queue_->texts.empty() && !queue_->busy; });
    queue_->texts.clear();
}

void Output::put(int fd, std::string text, Worth worth) {
    const std::scoped_lock lock(queue_->mutex);
    if (queue_->gone.contains(fd))
        return;
    if (queue_->bytes + text.size() > (worth == Worth::kSample ? kSampleBytes : kMessageBytes)) {
        ++queue_->dropped;
        return;
    }
    queue_->add(fd, std::move(text));
    queue_->changed.notify_all();
}

bool Output::reader_gone(int fd) const {
    const std::scoped_lock lock(queue_->mutex);
    return queue_->gone.contains(fd);
}

} // namespace scxhost
