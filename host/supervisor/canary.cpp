// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/canary.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace scxhost {
namespace {

constexpr std::uint64_t kEnd = 1ULL << 32U; // no question, but the end

void add(int eventfd, std::uint64_t value) {
    while (::write(eventfd, &value, sizeof value) < 0 && errno == EINTR) {
    }
}

} // namespace

Result<std::unique_ptr<Canary>> Canary::start(EventLoop& loop) {
    std::unique_ptr<Canary> canary(new Canary());
    canary->question_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
    canary->answer_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!canary->question_ || !canary->answer_)
        return fail_errno(ErrorKind::kIo, "cannot create an event descriptor", errno);
    canary->watch_ = SCXHOST_TRY(loop.watch(canary->answer_.get(), {}, [self = canary.get()] {
        std::uint64_t heard = 0;
        if (::read(self->answer_.get(), &heard, sizeof heard) != sizeof heard)
            return;
        // An answer to an earlier question says nothing about now.
        self->unanswered_ -= heard;
        if (self->unanswered_ == 0 && self->answered_)
            std::exchange(self->answered_, {})();
    }));
    canary->thread_ = SCXHOST_TRY(Thread::start([question = canary->question_.get(), answer = canary->answer_.get()] {
        ::pthread_setname_np(::pthread_self(), "canary");
        for (std::uint64_t asked = 0;;) {
            const ssize_t got = ::read(question, &asked, sizeof asked);
            if (got < 0 && errno == EINTR)
                continue;
            if (got != sizeof asked || asked >= kEnd)
                return;
            add(answer, asked);
        }
    }));
    return canary;
}

Canary::~Canary() {
    if (question_)
        add(question_.get(), kEnd);
    thread_.join();
}

void Canary::probe(std::function<void()> answered) {
    answered_ = std::move(answered);
    ++unanswered_;
    add(question_.get(), 1);
}

} // namespace scxhost
