// SPDX-License-Identifier: GPL-2.0-only
#include "host/bpf/other_programs.hpp"

#include "host/bpf/libbpf_log.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cerrno>
#include <string_view>
#include <utility>

namespace scxhost {
namespace {

// Of a program that is attached to the kernel's function for the registration of a scheduler, through which all of them
// come (kernel/sched/ext: bpf_scx_reg): "fentry/bpf_scx_reg", "kprobe/bpf_scx_reg".
bool sees_registration(const bpf_program* program) {
    return std::string_view(bpf_program__section_name(program)).ends_with("/bpf_scx_reg");
}

// Calls `visit(program)` for each program that is loaded and no callback, until one fails.
template <typename Visit>
Result<> for_each_program(const bpf_object* object, Visit visit) {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        if (bpf_program__type(program) != BPF_PROG_TYPE_STRUCT_OPS && bpf_program__autoload(program))
            SCXHOST_TRY(visit(program));
    }
    return {};
}

} // namespace

void OtherPrograms::LinkCloser::operator()(bpf_link* link) const {
    bpf_link__destroy(link);
}

OtherPrograms::OtherPrograms(bpf_object* object, std::string name)
    : object_(object)
    , name_(std::move(name)) {}
OtherPrograms::OtherPrograms(OtherPrograms&&) noexcept = default;
OtherPrograms& OtherPrograms::operator=(OtherPrograms&&) noexcept = default;
OtherPrograms::~OtherPrograms() = default;

std::vector<OtherPrograms::Program> OtherPrograms::list() const {
    std::vector<Program> result;
    (void)for_each_program(object_, [&](const bpf_program* program) -> Result<> {
        result.push_back({bpf_program__name(program), bpf_program__section_name(program)});
        return {};
    });
    return result;
}

Result<> OtherPrograms::associate(bpf_map* struct_ops) {
    const LibbpfLog log;
    return for_each_program(object_, [&](bpf_program* program) -> Result<> {
        const int error = bpf_program__assoc_struct_ops(program, struct_ops, nullptr);
        // EINVAL: the kernel has no such command.
        if (error == 0 || error == -EINVAL)
            return {};
        return fail_errno(
            ErrorKind::kAttach,
            fmt::format("cannot associate program '{}' with the scheduler '{}'", bpf_program__name(program), name_),
            -error);
    });
}

Result<> OtherPrograms::attach(bool watching_registration) {
    Result<> attached = for_each_program(object_, [&](bpf_program* program) -> Result<> {
        if (!bpf_program__autoattach(program) || sees_registration(program) != watching_registration)
            return {};
        const LibbpfLog log;
        std::unique_ptr<bpf_link, LinkCloser> link(bpf_program__attach(program));
        const int error = errno;
        if (link != nullptr)
            links_.push_back(std::move(link));
        else if (error != EOPNOTSUPP || !log.text().empty()) // libbpf is silent when the section names no place
            return fail(
                Error{.kind = ErrorKind::kAttach,
                      .what = fmt::format("cannot attach program '{}' ({}) of '{}': {}", bpf_program__name(program),
                                          bpf_program__section_name(program), name_, error_number_text(error)),
                      .sys_errno = error,
                      .detail = log.text()});
        return {};
    });
    if (!attached)
        detach();
    return attached;
}

void OtherPrograms::detach() {
    links_.clear();
}

Result<std::int32_t> OtherPrograms::run(const std::string& name, std::span<std::byte> context, bool is_loaded) const {
    const bpf_program* program = bpf_object__find_program_by_name(object_, name.c_str());
    const auto refuse = [&](int error) {
        return fail(Error{.kind = ErrorKind::kObject,
                          .what = fmt::format("'{}' has no loaded syscall program {}", name_, name),
                          .sys_errno = error});
    };
    if (program == nullptr)
        return refuse(ENOENT);
    if (bpf_program__type(program) != BPF_PROG_TYPE_SYSCALL)
        return refuse(EINVAL);
    if (!is_loaded)
        return refuse(EAGAIN);
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.ctx_in = context.empty() ? nullptr : context.data(); // the kernel writes it back there
    options.ctx_size_in = static_cast<std::uint32_t>(context.size());
    if (::bpf_prog_test_run_opts(bpf_program__fd(program), &options) != 0)
        return fail(Error{.kind = ErrorKind::kObject, .what = error_number_text(errno), .sys_errno = errno});
    return static_cast<std::int32_t>(options.retval);
}

} // namespace scxhost
