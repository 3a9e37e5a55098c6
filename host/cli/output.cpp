// SPDX-License-Identifier: GPL-2.0-only
#include "host/cli/output.hpp"

#include "host/base/event_fd.hpp"
#include "host/base/thread.hpp"
#include "host/base/write_all.hpp"
#include "host/cli/diagnostic.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace scxhost {
namespace {

constexpr auto kPatience = std::chrono::seconds(2);

} // namespace

struct Output::Queue {
    struct Text {
        int fd;
        std::string text;
    };

    EventFd changed;       // for the writer: there is something to write, or it is to end
    EventFd written;       // for who waits for that
    InheritingMutex mutex; // for all below
    std::deque<Text> texts;
    std::size_t bytes = 0; // of them, and of the one that is being written while `busy`
    std::size_t dropped = 0;
    std::set<int> gone;
    std::map<int, int> failures; // the first errno of a descriptor, EPIPE apart
    bool busy = false;
    bool ending = false;

    void work() {
        for (;;) {
            std::optional<Text> next;
            {
                const std::scoped_lock lock(mutex);
                if (!texts.empty()) {
                    next = std::move(texts.front());
                    texts.pop_front();
                    busy = true;
                } else if (ending) {
                    return;
                }
            }
            if (!next) {
                (void)changed.wait();
                changed.consume();
                continue;
            }
            const int error = write_all(next->fd, next->text);
            {
                const std::scoped_lock lock(mutex);
                done(*next, error);
            }
            written.signal();
        }
    }

    void done(const Text& text, int error) {
        busy = false;
        bytes -= text.text.size();
        if (error == EPIPE)
            gone.insert(text.fd);
        else if (error != 0 && failures.emplace(text.fd, error).second && text.fd != STDERR_FILENO)
            warn({.what = fmt::format("output cannot be written: {}", std::generic_category().message(error)),
                  .hint = "the schedulers are not concerned; scxhost events and scxhost stats show it as well"});
        if (texts.empty() && dropped > 0)
            warn({.what = fmt::format("{} texts of output were dropped: nobody read them in time",
                                      std::exchange(dropped, 0)),
                  .hint = "scxhost events and scxhost stats show them as well; -q prints no statistics"});
    }

    void warn(const Error& warning) { add(STDERR_FILENO, format_diagnostic(Severity::kWarning, warning, false)); }

    void add(int fd, std::string text) {
        bytes += text.size();
        texts.push_back({fd, std::move(text)});
    }
};

Output::Output()
    : queue_(std::make_shared<Queue>()) {}

Result<std::unique_ptr<Output>> Output::start() {
    std::unique_ptr<Output> output(new Output());
    if (!output->queue_->changed || !output->queue_->written)
        return EventFd::no_descriptor();
    SCXHOST_TRY(Thread::start([queue = output->queue_] { queue->work(); })).detach();
    return output;
}

Output::~Output() {
    const auto deadline = EventFd::Clock::now() + kPatience;
    {
        const std::scoped_lock lock(queue_->mutex);
        queue_->ending = true;
    }
    queue_->changed.signal();
    (void)wait_until_written(deadline);
    const std::scoped_lock lock(queue_->mutex);
    queue_->texts.clear();
}

bool Output::wait_until_written(EventFd::Clock::time_point deadline) const {
    for (;;) {
        {
            const std::scoped_lock lock(queue_->mutex);
            if (queue_->texts.empty() && !queue_->busy)
                return true;
        }
        if (!queue_->written.wait(deadline))
            return false;
        queue_->written.consume();
    }
}

Result<> Output::finish() {
    (void)wait_until_written(EventFd::Clock::now() + kPatience);
    const std::scoped_lock lock(queue_->mutex);
    if (const auto failure = queue_->failures.find(STDOUT_FILENO); failure != queue_->failures.end())
        return fail_errno(ErrorKind::kIo, "not all of the output could be written", failure->second);
    return {};
}

void Output::put(int fd, std::string text, Worth worth) {
    {
        const std::scoped_lock lock(queue_->mutex);
        if (queue_->gone.contains(fd))
            return;
        if (queue_->bytes + text.size() > (worth == Worth::kSample ? kSampleBytes : kMessageBytes)) {
            ++queue_->dropped;
            return;
        }
        queue_->add(fd, std::move(text));
    }
    queue_->changed.signal();
}

bool Output::reader_gone(int fd) const {
    const std::scoped_lock lock(queue_->mutex);
    return queue_->gone.contains(fd);
}

} // namespace scxhost
