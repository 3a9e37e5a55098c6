// SPDX-License-Identifier: GPL-2.0-only
#include "host/supervisor/program_scheduler.hpp"

#include "host/base/content_hash.hpp"
#include "host/base/units.hpp"
#include "host/programs/package_note.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <span>
#include <utility>

namespace scxhost {
namespace {

namespace fs = std::filesystem;

// What is passed on of a program's output at once; a flood is cut to this ten times a second.
constexpr std::size_t kMaxOutputNews = 2048;
// In records and status.
constexpr std::size_t kLastLines = 50;

// A sample waits for the program's own statistics that long at most.
constexpr std::chrono::milliseconds kStatisticsPatience{300};
// Then it is not asked any more.
constexpr int kMaxUnanswered = 3;

std::optional<std::int64_t> read_number(const fs::path& file, std::string_view key = {}) {
    std::ifstream stream(file);
    std::int64_t value = 0;
    if (key.empty())
        return stream >> value ? std::optional(value) : std::nullopt;
    for (std::string word; stream >> word >> value;)
        if (word == key)
            return value;
    return std::nullopt;
}

// Of what the program says itself, apart from what the host knows.
std::string reported_name(const ScxStat& stat) {
    return "scx_stats." + stat.name;
}

void add_to(ContentHash& hash, std::string_view text) {
    hash.add(std::as_bytes(std::span(text)));
    hash.add(std::as_bytes(std::span("\0", 1)));
}

} // namespace

Result<ProgramFile> read_program_file(const Config& config) {
    ProgramFile file;
    const fs::path& path = config.scheduler.program;
    file.settings.command.file = SCXHOST_TRY(ExecutableFile::open(path));
    const std::uint64_t digest = file.settings.command.file->hash();
    file.settings.command.identity = SCXHOST_TRY(program_identity(config.program.user, config.program.capabilities));
    file.settings.command.args = config.scheduler.args;
    for (const Setting& setting : config.scheduler.env)
        file.settings.command.env[setting.key] = SCXHOST_TRY(setting.as_string());
    if (config.program.memory_max != 0)
        file.settings.limits.memory_max = config.program.memory_max;
    if (config.program.pids_max != 0)
        file.settings.limits.pids_max = static_cast<std::uint64_t>(config.program.pids_max);
    file.settings.start_timeout = config.program.start_timeout;
    file.settings.variables = config.stats.variables;

    SchedulerFacts& facts = file.facts;
    facts.name = config.program.name.empty() ? path.filename().string() : config.program.name;
    const std::string version = packaged_version(file.settings.command.file->fd());
    facts.title = version.empty() ? facts.name : facts.name + " " + version;
    facts.file = path;
    facts.file_digest = digest;
    // Everything that makes it another scheduler: the same program with other arguments may well be a good one.
    ContentHash build;
    add_to(build, fmt::format("{:016x}", digest));
    for (const std::string& argument : config.scheduler.args)
        add_to(build, argument);
    for (const auto& [name, value] : file.settings.command.env)
        add_to(build, fmt::format("{}={}", name, value));
    add_to(build,
           fmt::format("{}:{:x}", file.settings.command.identity.uid, file.settings.command.identity.capabilities));
    facts.build_id = fmt::format("{:016x}", build.value());
    if (!config.scheduler.args.empty())
        facts.options.emplace_back("args", fmt::format("{}", fmt::join(config.scheduler.args, " ")));
    for (const auto& [name, value] : file.settings.command.env)
        facts.options.emplace_back("env." + name, value);
    if (!config.program.user.empty())
        facts.options.emplace_back("user", config.program.user);
    if (!config.program.capabilities.empty())
        facts.options.emplace_back("capabilities", fmt::format("{}", fmt::join(config.program.capabilities, " ")));
    return file;
}

ProgramScheduler::ProgramScheduler(EventLoop& loop, ProgramFile file, std::string way_back,
                                   std::vector<OpsLayout> layouts)
    : loop_(loop)
    , settings_(std::move(file.settings))
    , facts_(std::move(file.facts))
    , wants_standby_(way_back == "standby")
    , layouts_(std::move(layouts)) {}

Result<std::unique_ptr<ProgramScheduler>> ProgramScheduler::start(EventLoop& loop, ProgramFile file,
                                                                  const Config& config, std::vector<OpsLayout> layouts,
                                                                  std::function<void(Result<>)> held) {
    std::unique_ptr<ProgramScheduler> scheduler(
        new ProgramScheduler(loop, std::move(file), config.program.way_back, std::move(layouts)));
    if (!scheduler->news_ready_)
        return EventFd::no_descriptor();
    scheduler->current_ =
        SCXHOST_TRY(scheduler->start_instance([raw = scheduler.get(), held = std::move(held)](Result<> result) mutable {
            if (result)
                raw->describe_held();
            // Once: a program that starts over by itself asks again.
            if (held)
                std::exchange(held, nullptr)(std::move(result));
        }));
    return scheduler;
}

Result<std::unique_ptr<ProgramScheduler::Instance>>
ProgramScheduler::start_instance(std::function<void(Result<>)> held) {
    auto instance = std::make_unique<Instance>();
    Instance* raw = instance.get();
    instance->program =
        SCXHOST_TRY(HeldProgram::start(loop_, settings_, layouts_,
                                       {.held =
                                            [this, raw, held = std::move(held)](Result<> result) {
                                                // One that was attached keeps the scheduler that was, with its exit
                                                // record.
                                                if (raw->attached) {
                                                    if (!result)
                                                        publish({.result = std::move(result)});
                                                    return;
                                                }
                                                if (result)
                                                    raw->scheduler = raw->program->scheduler();
                                                held(std::move(result));
                                            },
                                        .ended = [this, raw](const ProcessEnd& end) { on_ended(*raw, end); },
                                        .warned = [this](Error error) { publish({.result = fail(std::move(error))}); },
                                        .output = [this, raw](std::string_view text) { on_output(*raw, text); }}));
    return instance;
}

ProgramScheduler::~ProgramScheduler() {
    stop_asking();
    if (asker_ != nullptr)
        asker_->abandon();
    for (const auto& instance : retired_)
        end_instance(*instance);
    for (const auto* instance : {&current_, &standby_, &replaced_})
        if (*instance != nullptr) {
            end_instance(**instance);
            hide_sockets((*instance)->program->pid());
        }
}

// What it is, as far as only its process tells.
void ProgramScheduler::describe_held() {
    const HeldScheduler& held = *current_->scheduler;
    facts_.ops_name = held.ops_name();
    facts_.sub_cgroup = held.sub_cgroup();
    if (held.timeout().count() != 0)
        facts_.watchdog_timeout = held.timeout();
    facts_.notes.push_back(fmt::format("it asks to attach '{}' ({}, flags {:#x}) with {}", held.ops_name(),
                                       held.ops_type(), held.flags(), fmt::join(held.callbacks(), ", ")));
    if (!held.has_exit_record())
        facts_.notes.push_back("it keeps no exit record that can be read: why it leaves, only the kernel's log tells");
    declare_statistics();
    if (const auto memory = read_number(current_->program->cgroup().path() / "memory.current"))
        facts_.notes.push_back(fmt::format("it takes {} of memory", format_size(static_cast<std::uint64_t>(*memory))));
}

void ProgramScheduler::declare_statistics() {
    auto declared = std::make_shared<std::vector<StatisticDeclaration>>();
    const auto declare = [&](std::string name, StatisticKind kind, std::string unit, std::string help) {
        StatisticDeclaration declaration;
        declaration.name = std::move(name);
        declaration.kind = kind;
        declaration.unit = std::move(unit);
        declaration.help = std::move(help);
        declaration.group = "program";
        declaration.home = StatisticDeclaration::Home::kPlugin;
        declaration.key = true;
        declared->push_back(std::move(declaration));
    };
    declare("cpu_time", StatisticKind::kCounter, "us", "CPU time of the program's processes");
    declare("output", StatisticKind::kCounter, "bytes", "what the program has written");
    if (std::error_code error; fs::exists(current_->program->cgroup().path() / "memory.current", error))
        declare("memory", StatisticKind::kGauge, "bytes", "memory of the program's processes, BPF maps included");
    of_process_ = declared->size();
    const std::vector<StatisticDeclaration>& variables = current_->scheduler->statistics();
    declared->insert(declared->end(), variables.begin(), variables.end());
    of_host_ = declared->size();
    statistics_.assign(declared->size(), 0);
    carried_.assign(declared->size(), 0);
    facts_.statistics = std::move(declared);
}

// What can no longer be read stays as it was. The variables stay readable when the process is gone.
Result<std::vector<std::int64_t>> ProgramScheduler::read_statistics() {
    const std::vector<std::int64_t> variables = SCXHOST_TRY(current_->scheduler->read_statistics());
    for (std::size_t i = 0; i < variables.size() && of_process_ + i < of_host_; ++i) {
        const std::size_t at = of_process_ + i;
        // Counters wrap; signed overflow would be undefined.
        statistics_.at(at) = static_cast<std::int64_t>(static_cast<std::uint64_t>(variables[i]) +
                                                       static_cast<std::uint64_t>(carried_.at(at)));
    }
    const fs::path& cgroup = current_->program->cgroup().path();
    if (cgroup.empty())
        return statistics_; // it is gone
    if (const auto time = read_number(cgroup / "cpu.stat", "usage_usec"))
        statistics_.at(0) = carried_.at(0) + *time;
    statistics_.at(1) = carried_.at(1) + static_cast<std::int64_t>(current_->program->output().bytes());
    if (of_process_ > 2)
        if (const auto memory = read_number(cgroup / "memory.current"))
            statistics_.at(2) = *memory;
    return statistics_;
}

// Of a process whose socket serves statistics, which it may make when it likes.
void ProgramScheduler::start_asking() {
    stop_asking();
    take_reported({}); // what another process has said is not this one's
    Result<UniqueFd> root = open_root(current_->program->pid());
    if (!root)
        return; // it has ended
    if (asker_ == nullptr) {
        Result<std::unique_ptr<BackgroundWorker>> started = BackgroundWorker::start(loop_);
        if (!started)
            return publish({.result = fail(std::move(started).error())});
        asker_ = *std::move(started);
    }
    socket_ = std::make_shared<StatisticsSocket>(*std::move(root));
}

void ProgramScheduler::stop_asking() {
    if (asker_ != nullptr && asking_) {
        asker_->abandon(); // the job owns what it uses, and has a deadline
        asker_.reset();
    }
    socket_.reset();
    asking_ = false;
    answers_ = false;
    unanswered_ = 0;
}

bool ProgramScheduler::begin_tick() {
    if (socket_ == nullptr || asking_)
        return false;
    asking_ = true;
    asker_->submit([this, socket = socket_]() -> BackgroundWorker::Completion {
        // Shared, since a Completion is to be copyable.
        auto answer = std::make_shared<Result<std::optional<std::vector<ScxStat>>>>(socket->ask(kStatisticsPatience));
        return [this, socket = socket.get(), answer] { on_answer(socket, std::move(*answer)); };
    });
    return answers_; // who has not answered before is not waited for
}

void ProgramScheduler::on_answer(const StatisticsSocket* socket, Result<std::optional<std::vector<ScxStat>>> answer) {
    if (socket != socket_.get())
        return;
    asking_ = false;
    answers_ = answer && *answer;
    unanswered_ = answer ? 0 : unanswered_ + 1;
    // Numbers that are no longer said are no longer shown.
    take_reported(answers_ ? **answer : std::vector<ScxStat>());
    if (unanswered_ >= kMaxUnanswered) {
        Error error = std::move(answer).error();
        error.what = fmt::format("{}: {}, {} times in a row", facts_.title, error.what, unanswered_);
        error.hint = "its own statistics are not asked for any more; what it schedules is not touched by this";
        socket_.reset();
        publish({.result = fail(std::move(error))});
    }
    publish({.ticked = true});
}

// Samples hold the declarations that belong to their values, so both change together. Most programs count from one
// question to the next, some from their start: nothing tells, so these are gauges all.
void ProgramScheduler::take_reported(const std::vector<ScxStat>& stats) {
    const std::vector<StatisticDeclaration>& old = *facts_.statistics;
    const auto is_declared = [](const ScxStat& stat, const StatisticDeclaration& declared) {
        return declared.name == reported_name(stat) && declared.help == stat.help &&
               declared.unit.empty() != stat.is_float;
    };
    statistics_.resize(of_host_ + stats.size());
    for (std::size_t i = 0; i < stats.size(); ++i)
        statistics_.at(of_host_ + i) = stats[i].value;
    if (std::ranges::equal(stats, std::span(old).subspan(of_host_), is_declared))
        return;
    auto declared = std::make_shared<std::vector<StatisticDeclaration>>(
        old.begin(), old.begin() + static_cast<std::ptrdiff_t>(of_host_));
    for (const ScxStat& stat : stats) {
        StatisticDeclaration declaration;
        declaration.name = reported_name(stat);
        declaration.kind = StatisticKind::kGauge;
        declaration.help = stat.help;
        declaration.unit = stat.is_float ? "thousandths" : "";
        declaration.group = "scx_stats";
        declaration.home = StatisticDeclaration::Home::kPlugin;
        declared->push_back(std::move(declaration));
    }
    facts_.statistics = std::move(declared);
}

bool ProgramScheduler::can_attach() const {
    const Instance* next = current_->attached ? standby_.get() : current_.get();
    return next != nullptr && next->scheduler != nullptr && !next->ended;
}

Result<Attachment> ProgramScheduler::attach() {
    if (current_->attached) {
        if (!can_attach())
            return fail(ErrorKind::kAttach,
                        fmt::format("cannot attach '{}' a second time: its program must be started anew", facts_.name));
        replaced_ = std::exchange(current_, std::move(standby_));
    }
    UniqueFd link = SCXHOST_TRY(current_->scheduler->attach());
    current_->dead_link = UniqueFd(::fcntl(link.get(), F_DUPFD_CLOEXEC, 0));
    current_->attached = true;
    return Attachment(std::move(link));
}

std::uint32_t ProgramScheduler::exit_kind() const {
    return current_->scheduler->exit_kind();
}

std::optional<ExitReport> ProgramScheduler::read_exit_record() const {
    return current_->scheduler->read_exit_record();
}

void ProgramScheduler::after_attach(Attachment& link) {
    current_->dead_link.reset(); // while we have one, the program's own end would not detach it
    Result<UniqueFd> given = link.give_away();
    if (!given)
        return publish({.result = fail(std::move(given).error())});
    current_->program->hand_over(*std::move(given), [this](Result<> taken) {
        if (!taken)
            publish({.result = std::move(taken)});
    });
    if (Result<> shown = show_sockets(current_->program->pid()); !shown)
        publish({.result = std::move(shown)});
    if (replaced_ != nullptr) {
        // Counters go on from what was read last.
        for (std::size_t i = 0; i < carried_.size(); ++i)
            if (facts_.statistics->at(i).kind == StatisticKind::kCounter)
                carried_[i] = statistics_.at(i);
        retire(std::move(replaced_));
    }
    start_asking();
}

std::vector<SchedulerNews> ProgramScheduler::news() {
    news_ready_.consume();
    std::erase_if(retired_, [](const auto& instance) { return instance->ended; });
    std::vector<SchedulerNews> news = std::exchange(news_, {});
    if (!unread_output_.empty()) {
        std::string text = std::exchange(unread_output_, {});
        if (const std::size_t skipped = std::exchange(skipped_output_, 0); skipped > 0)
            text += fmt::format("\n({} more bytes were written, and are passed over)", skipped);
        news.insert(news.begin(), SchedulerNews{.output = std::move(text)});
    }
    return news;
}

void ProgramScheduler::publish(SchedulerNews news) {
    news_.push_back(std::move(news));
    news_ready_.signal();
}

void ProgramScheduler::on_output(const Instance& instance, std::string_view text) {
    if (&instance == standby_.get())
        return; // what it says is what the other one has said
    const std::size_t taken = std::min(text.size(), kMaxOutputNews - std::min(kMaxOutputNews, unread_output_.size()));
    unread_output_ += text.substr(0, taken);
    skipped_output_ += text.size() - taken;
    news_ready_.signal();
}

void ProgramScheduler::on_ended(Instance& instance, const ProcessEnd& end) {
    instance.ended = true;
    if (&instance == current_.get())
        stop_asking();
    hide_sockets(instance.program->pid());
    if (&instance == standby_.get() && instance.scheduler != nullptr) {
        publish({.result =
                     fail(ErrorKind::kObject, fmt::format("{}: the second process, which waited to be the way back, {}",
                                                          facts_.title, end.how))});
        standby_pending_ = false;
    } else if (&instance == current_.get() && instance.attached) {
        publish({.process_ended = true});
    }
    if (when_ended_ && all_ended())
        std::exchange(when_ended_, nullptr)();
}

std::optional<SchedulerProcess> ProgramScheduler::process() const {
    return SchedulerProcess{.pid = current_->program->pid(),
                            .program = facts_.file,
                            .args = settings_.command.args,
                            .output = current_->program->output().last_lines(kLastLines)};
}

std::optional<ProcessEnd> ProgramScheduler::wait_for_process_end(std::chrono::nanoseconds patience) const {
    return current_->program->wait_for_end(patience);
}

bool ProgramScheduler::prepare_way_back() {
    if (!wants_standby_ || !current_->attached)
        return true;
    if (standby_ != nullptr)
        return !standby_pending_;
    Result<std::unique_ptr<Instance>> started = start_instance([this](const Result<>& held) {
        standby_pending_ = false;
        publish({.result = held});
    });
    if (!started) {
        publish({.result = fail(std::move(started).error())});
        wants_standby_ = false; // and would not be had the next time
        return true;
    }
    standby_ = *std::move(started);
    standby_pending_ = true;
    return false;
}

void ProgramScheduler::drop_way_back() {
    standby_pending_ = false;
    if (standby_ != nullptr)
        retire(std::move(standby_));
}

void ProgramScheduler::retire(std::unique_ptr<Instance> instance) {
    end_instance(*instance);
    retired_.push_back(std::move(instance));
}

void ProgramScheduler::end_instance(Instance& instance) {
    instance.program->end(std::move(instance.dead_link));
}

bool ProgramScheduler::all_ended() const {
    const auto ended = [](const std::unique_ptr<Instance>& instance) { return instance == nullptr || instance->ended; };
    return ended(current_) && ended(standby_) && ended(replaced_) && std::ranges::all_of(retired_, ended);
}

bool ProgramScheduler::end(std::function<void()> ended) {
    stop_asking();
    if (asker_ != nullptr)
        asker_->abandon(); // it may be a task of a scheduler that starves it
    asker_.reset();
    drop_way_back();
    if (replaced_ != nullptr)
        retire(std::move(replaced_));
    if (current_ != nullptr)
        end_instance(*current_);
    if (all_ended())
        ended();
    else
        when_ended_ = std::move(ended);
    return true;
}

} // namespace scxhost
