// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/config_reader.hpp"

#include "host/base/units.hpp"

#include <fmt/format.h>

#include <utility>

namespace scxhost {

ConfigReader::ConfigReader(EventLoop& loop, std::chrono::nanoseconds patience)
    : loop_(loop)
    , patience_(patience) {}

ConfigReader::~ConfigReader() {
    if (worker_ && !waiting_.empty())
        worker_->abandon(); // its end would wait for a file system that may hang
}

Result<> ConfigReader::read(Read read, Done done) {
    if (waiting_.size() >= kMaxWaiting)
        return fail(ErrorKind::kBusy, fmt::format("{} configurations wait to be read", waiting_.size()),
                    "ask again in a moment");
    waiting_.push_back({.read = std::move(read), .done = std::move(done)});
    if (waiting_.size() > 1)
        return {};
    Result<> started = start_next();
    if (!started)
        waiting_.pop_back();
    return started;
}

Result<> ConfigReader::start_next() {
    std::erase_if(left_behind_, [](const auto& hanging) { return hanging.expired(); });
    if (left_behind_.size() >= kMaxHanging)
        return fail(ErrorKind::kBusy,
                    fmt::format("{} configurations are still being read from file systems that do not answer",
                                left_behind_.size()),
                    "umount -f, or the end of the process that serves it, ends a file system that hangs");
    if (!worker_)
        worker_ = SCXHOST_TRY(BackgroundWorker::start(loop_));
    timer_ = SCXHOST_TRY(loop_.timer(patience_, [this] { give_up(); }));
    reading_ = std::make_shared<const Read>(std::move(waiting_.front().read));
    worker_->submit([this, read = reading_] {
        // Shared, since a Completion is to be copyable.
        auto config = std::make_shared<Result<Config>>((*read)());
        // Runs on the loop, and only while the worker was not abandoned: `this` is there.
        return BackgroundWorker::Completion([this, config] { finish(std::move(*config)); });
    });
    return {};
}

void ConfigReader::give_up() {
    worker_->abandon();
    worker_.reset();
    left_behind_.emplace_back(reading_);
    finish(fail(ErrorKind::kIo,
                fmt::format("reading the configuration takes longer than {}", format_duration(patience_)),
                "a file system on the way that does not answer is the usual cause; nothing was changed"));
}

void ConfigReader::finish(Result<Config> config) {
    timer_.reset();
    reading_.reset();
    const Done done = std::move(waiting_.front().done);
    waiting_.pop_front();
    while (!waiting_.empty()) {
        const Result<> started = start_next();
        if (started)
            break;
        const Done refused = std::move(waiting_.front().done);
        waiting_.pop_front();
        refused(fail(started.error()));
    }
    done(std::move(config)); // which may ask for the next
}

} // namespace scxhost
