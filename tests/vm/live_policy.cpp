// SPDX-License-Identifier: GPL-2.0-only
#include "tests/vm/live_policy.hpp"

#include "host/config/config.hpp"
#include "host/kernel/kernel_btf.hpp"
#include "host/kernel/sched_ext_sysfs.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace scxhost {
namespace {

// Far beyond what any step takes, also on a slow emulated machine: only a hang gets here.
constexpr auto kPatience = std::chrono::seconds(60);

template <typename T>
T value_of(Result<T> result) {
    if (!result)
        throw std::runtime_error(result.error().what + "\n" + result.error().detail);
    if constexpr (!std::is_void_v<T>)
        return *std::move(result);
}

} // namespace

LivePolicy::LivePolicy(const std::string& plugin, const std::vector<std::string>& options,
                       const std::string& struct_ops, const std::string& cgroup)
    : plugin_(plugin) {
    Config config;
    if (plugin.ends_with(".o"))
        config.scheduler.object = plugin;
    else
        config.scheduler.plugin = plugin;
    config.scheduler.struct_ops = struct_ops;
    config.branch.cgroup = config.branch.name = cgroup;
    for (const std::string& option : options)
        value_of(apply_override(config, option));
    const KernelBtf kernel = value_of(KernelBtf::load());
    scheduler_ = value_of(PreparedScheduler::select(config, kernel));
    value_of(scheduler_->fit(kernel));
    value_of(scheduler_->configure([](int, std::string_view, std::string_view) {}));
    value_of(scheduler_->load());
    statistics_ = value_of(StatisticsReader::make(object()));
}

LivePolicy::~LivePolicy() {
    if (link_)
        (void)link_->detach();
}

Result<Attached> LivePolicy::try_attach() {
    const SchedExtProbe probe = value_of(SchedExtProbe::open());
    return attach_and_confirm(*scheduler_, probe, ready_to_attach(*scheduler_, probe));
}

void LivePolicy::attach() {
    Attached attached = value_of(try_attach());
    link_ = std::move(attached.link);
    enable_seq_ = attached.enable_seq;
}

void LivePolicy::detach() {
    value_of(link_->detach());
    link_.reset();
}

bool LivePolicy::running() const {
    return link_ &&
           check_presence(*scheduler_, value_of(SchedExtProbe::open()), enable_seq_).presence == Presence::kRunning;
}

ExitReport LivePolicy::exit_record() const {
    return scheduler_->object().read_exit_record().value_or(ExitReport{});
}

std::vector<std::int64_t> LivePolicy::statistics(const std::vector<std::string>& names) {
    const auto& declared = object().declarations().statistics;
    const std::vector<std::int64_t> values = value_of(statistics_->read());
    std::vector<std::int64_t> wanted;
    for (const std::string& name : names) {
        const auto found = std::ranges::find(declared, name, &StatisticDeclaration::name);
        if (found == declared.end())
            throw std::runtime_error("no statistic '" + name + "'");
        wanted.push_back(values[static_cast<std::size_t>(found - declared.begin())]);
    }
    return wanted;
}

std::int64_t LivePolicy::statistic(const std::string& name) {
    return statistics({name}).front();
}

int LivePolicy::run_program(const std::string& name) const {
    const bpf_program* program = scheduler_->object().find_program(name.c_str());
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    if (program == nullptr || ::bpf_prog_test_run_opts(::bpf_program__fd(program), &options) != 0)
        throw std::runtime_error("cannot run the program '" + name + "': " + std::strerror(errno));
    return static_cast<int>(options.retval);
}

int LivePolicy::check_slab(scx_slab_report* report) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    const std::string program = plugin_ + "_check_slab";
    int result = run_program(program);
    while (result == -EAGAIN && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        result = run_program(program);
    }
    const SchedulerObject& object = scheduler_->object();
    const VariablePlace* place = object.btf().find_variable("slab_report");
    if (report != nullptr && place != nullptr)
        std::memcpy(report, object.variable_bytes(*place).data(), sizeof *report);
    return result;
}

} // namespace scxhost
