// SPDX-License-Identifier: GPL-2.0-only
//
// The user-space half of talker: asks its BPF half at each tick, hears of the answer by an event, and keeps statistics
// of both.
#include "talker.h"

#include "tests/plugins/journal.hpp"
#include <scxhost/plugin.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace {

using scxhost::sdk::Error;
using scxhost::sdk::Plugin;

class Talker : public Plugin {
public:
    explicit Talker(const scxhost::sdk::Host& host)
        : Plugin(host)
        , asked_(host.counter({.name = "asked", .help = "Questions put to the BPF side", .group = "user space"}))
        , heard_(host.counter({.name = "heard", .help = "Events that came of them", .group = "user space"}))
        , last_(host.gauge({.name = "last", .help = "The latest answer", .unit = "halves", .group = "user space"})) {}

    void configure() override {
        if (zoo::has_fault("event:size"))
            host().set("odd_size", true);
    }
    void loaded() override {
        on_event<talker_answer>("answers", [this](const talker_answer& answer) { hear(answer); });
    }
    void tick() override {
        talker_question question = {.number = ++nr_asked_, .answer = 0};
        const std::int32_t result = host().run("talker_ask", question);
        if (result != 7 || question.answer != 2 * question.number)
            throw Error("the BPF side answers " + std::to_string(question.answer));
        asked_.set(static_cast<std::int64_t>(nr_asked_));
    }

private:
    void hear(const talker_answer& answer) {
        if (zoo::has_fault("event:exception"))
            throw std::runtime_error("the event is not to its liking");
        if (zoo::has_fault("event:hang"))
            zoo::hang();
        heard_.set(++nr_heard_);
        last_.set(static_cast<std::int64_t>(answer.answer));
    }

    scxhost::sdk::Statistic asked_;
    scxhost::sdk::Statistic heard_;
    scxhost::sdk::Statistic last_;
    std::uint64_t nr_asked_ = 0;
    std::int64_t nr_heard_ = 0;
};

} // namespace

SCXHOST_PLUGIN(Talker);
