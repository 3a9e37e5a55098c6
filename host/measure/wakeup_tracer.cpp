// SPDX-License-Identifier: GPL-2.0-only
#include "host/measure/wakeup_tracer.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <numeric>
#include <string>

namespace scxhost {
namespace {

// The smallest index below which, itself included, lies at least this share of the sum.
template <std::size_t N>
std::size_t index_at(const std::array<std::uint64_t, N>& counts, double share) {
    const std::uint64_t all = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(all)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < N; ++i) {
        seen += counts[i];
        if (seen > 0 && seen >= wanted)
            return i;
    }
    return 0;
}

template <std::size_t N>
std::array<std::uint64_t, N> difference(const std::array<std::uint64_t, N>& after,
                                        const std::array<std::uint64_t, N>& before) {
    std::array<std::uint64_t, N> result{};
    for (std::size_t i = 0; i < N; ++i)
        result[i] = after[i] - before[i];
    return result;
}

// An entry of a per-CPU array, all CPUs together.
Result<std::uint64_t> read_sum(int map, std::uint32_t key, std::vector<std::uint64_t>& buffer) {
    if (::bpf_map_lookup_elem(map, &key, buffer.data()) != 0)
        return fail_errno(ErrorKind::kInternal, "cannot read what was traced", errno);
    return std::accumulate(buffer.begin(), buffer.end(), std::uint64_t{0});
}

} // namespace

std::uint64_t largest_delay_of(std::size_t bucket) {
    if (bucket < WAKEUPS_SUB)
        return bucket;
    const std::size_t shift = bucket / WAKEUPS_SUB - 1;
    return ((WAKEUPS_SUB + bucket % WAKEUPS_SUB + std::uint64_t{1}) << shift) - 1;
}

std::vector<Figure> figures_between(const WakeupCounts& before, const WakeupCounts& after) {
    std::vector<Figure> figures;
    const auto delays = difference(after.delays, before.delays);
    const auto add_delay = [&](const char* name, double share) {
        figures.push_back({.name = name,
                           .unit = "ms",
                           .better = Better::kLower,
                           .value = static_cast<double>(largest_delay_of(index_at(delays, share))) / 1e6});
    };
    add_delay("wake-up delay, p50", 0.5);
    add_delay("wake-up delay, p99", 0.99);
    add_delay("wake-up delay, worst", 1);
    const auto lengths = difference(after.lengths_ns, before.lengths_ns);
    double time = 0;
    double weighted = 0;
    for (std::size_t length = 0; length < lengths.size(); ++length) {
        time += static_cast<double>(lengths[length]);
        weighted += static_cast<double>(lengths[length]) * static_cast<double>(length);
    }
    figures.push_back(
        {.name = "run queue, mean", .unit = "", .better = Better::kUnknown, .value = time == 0 ? 0 : weighted / time});
    figures.push_back({.name = "run queue, p99",
                       .unit = "",
                       .better = Better::kUnknown,
                       .value = static_cast<double>(index_at(lengths, 0.99))});
    figures.push_back({.name = "migrations",
                       .unit = "",
                       .better = Better::kUnknown,
                       .value = static_cast<double>(after.migrations - before.migrations)});
    return figures;
}

void WakeupTracer::Closer::operator()(bpf_object* object) const {
    ::bpf_object__close(object);
}

void WakeupTracer::Closer::operator()(bpf_link* link) const {
    ::bpf_link__destroy(link);
}

WakeupTracer::WakeupTracer(WakeupTracer&&) noexcept = default;
WakeupTracer& WakeupTracer::operator=(WakeupTracer&&) noexcept = default;
WakeupTracer::~WakeupTracer() = default;

Result<WakeupTracer> WakeupTracer::start() {
    const auto refused = [](std::string what, int error) {
        const bool rights = error == EPERM || error == EACCES;
        return fail_errno(rights ? ErrorKind::kPermission : ErrorKind::kUnsupported, std::move(what), error,
                          rights ? "be root" : "");
    };
    WakeupTracer tracer;
    const std::span<const std::byte> bytes = wakeups_object();
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "wakeups");
    tracer.object_.reset(::bpf_object__open_mem(bytes.data(), bytes.size(), &options));
    if (!tracer.object_)
        return refused("cannot open the tracer of wake-ups", errno);
    if (const int error = ::bpf_object__load(tracer.object_.get()); error != 0)
        return refused("the kernel does not take the tracer of wake-ups", -error);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, tracer.object_.get()) {
        bpf_link* link = ::bpf_program__attach(program);
        if (link == nullptr)
            return refused(fmt::format("cannot attach {}", ::bpf_program__name(program)), errno);
        tracer.links_.emplace_back(link);
    }
    return tracer;
}

Result<WakeupCounts> WakeupTracer::read() const {
    const int cpus = ::libbpf_num_possible_cpus();
    if (cpus <= 0)
        return fail_errno(ErrorKind::kInternal, "cannot count the CPUs", -cpus);
    std::vector<std::uint64_t> buffer(static_cast<std::size_t>(cpus));
    const auto map = [this](const char* name) { return ::bpf_object__find_map_fd_by_name(object_.get(), name); };
    WakeupCounts counts;
    for (std::uint32_t i = 0; i < WAKEUPS_BUCKETS; ++i)
        counts.delays[i] = SCXHOST_TRY(read_sum(map("delays"), i, buffer));
    for (std::uint32_t i = 0; i < WAKEUPS_LENGTHS; ++i)
        counts.lengths_ns[i] = SCXHOST_TRY(read_sum(map("lengths"), i, buffer));
    counts.migrations = SCXHOST_TRY(read_sum(map("migrations"), 0, buffer));
    return counts;
}

} // namespace scxhost
