// SPDX-License-Identifier: GPL-2.0-only
//
// One sched_ext BPF object on its way into the kernel: opened, options bound, loaded (verified), attached. Owns the
// libbpf object and everything in it; the link is a separate owner that must go first (Attachment). Used from one
// thread.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/attachment.hpp"
#include "host/bpf/declarations.hpp"
#include "host/bpf/exit_report.hpp"
#include "host/bpf/other_programs.hpp"
#include "host/bpf/struct_ops_map.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct bpf_link;
struct bpf_map;
struct bpf_object;
struct bpf_program;

namespace scxhost {

class KernelBtf;

class SchedulerObject {
public:
    struct Source {
        std::string name; // for messages and, without a plugin, the scheduler's name
        std::span<const std::byte> bytes;
        std::string struct_ops; // which struct_ops map; empty: the only one, or the form that fits
        // Where to look for the kernel's configuration; empty: where distributions keep the running kernel's.
        std::vector<std::filesystem::path> kernel_configs = {};
    };

    // Reads the object; nothing is loaded. Errors: kObject (not a sched_ext object, damaged, contradictory tags).
    static Result<SchedulerObject> open(const Source& source);

    SchedulerObject(SchedulerObject&&) noexcept;
    SchedulerObject& operator=(SchedulerObject&&) noexcept;
    ~SchedulerObject();

    [[nodiscard]] const std::string& name() const;
    [[nodiscard]] const Declarations& declarations() const;
    [[nodiscard]] const BtfView& btf() const;
    // Hash of the object's bytes, 16 hex digits: tells two builds of one policy apart. Not a security boundary.
    [[nodiscard]] const std::string& build_id() const;
    // The name that the kernel shows in root/ops: the policy's own, shortened, and the build id. At most 127 bytes.
    [[nodiscard]] const std::string& ops_name() const;
    [[nodiscard]] std::string struct_ops_name() const;
    // kOpsType or kCidOpsType.
    [[nodiscard]] std::string_view ops_type_name() const;
    // Before options are bound: takes the cid form, if the object has both forms and none was asked for by name.
    Result<> take_cid_form();
    // Members of the struct_ops that the object sets, callbacks included.
    [[nodiscard]] std::vector<std::string> ops_members_set() const;

    struct KfuncUse {
        std::string name;
        bool weak = false; // the object can do without
    };
    [[nodiscard]] const std::vector<KfuncUse>& kfuncs() const;

    // The programs that are no callbacks and are loaded: not those that the object marks as optional (SEC("?…")).
    [[nodiscard]] std::vector<OtherPrograms::Program> other_programs() const;

    // A map that the source declares as one, other than a struct_ops.
    struct MapFacts {
        std::string name;
        std::uint32_t type = 0; // BPF_MAP_TYPE_*
        std::uint32_t key_size = 0;
        std::uint32_t value_size = 0; // bytes, for one CPU
        std::uint32_t max_entries = 0;
        bool needs_entries = false;    // a number of them; when it is 0, its loading program would set it
        std::uint32_t key_type_id = 0; // 0: not told
        std::uint32_t value_type_id = 0;
    };
    [[nodiscard]] std::vector<MapFacts> maps() const;
    [[nodiscard]] std::optional<MapFacts> find_map_facts(std::string_view name) const;

    // Before load, and before options are bound: gives a map so many entries, or an array that is the last in its data
    // section so many elements, of which the further ones are 0. kConfig, which does not name it: it cannot have them;
    // with the errno ENOENT when there is none of this name, or EINVAL.
    // What was read of the object's types before is read anew.
    Result<> resize(std::string_view name, std::uint32_t entries);
    // What resize() can grow and a loading program was meant to: maps without entries, and arrays of one element alone
    // in their section.
    [[nodiscard]] std::vector<std::string> unsized_maps() const;
    [[nodiscard]] std::vector<std::string> growing_arrays() const;

    // Before load: whether a program that is no callback is loaded, and attached where its section says.
    void set_program_loaded(const std::string& name, bool loaded);

    // Whether a global variable may be written after load: not read-only, not the kernel's, not the exit record.
    [[nodiscard]] bool is_settable(const VariablePlace& variable) const;

    // After load. Of a map by CPU, each CPU's value becomes this one. kObject: the kernel refuses, with the errno.
    Result<> set_map_entry(const std::string& map, std::span<const std::byte> key, std::span<const std::byte> value);
    // After load: runs a program of SEC("syscall") once; it may write to its context. Returns what it returns. Waits
    // for it. kObject: there is none of this name, or the kernel refuses, with the errno.
    Result<std::int32_t> run_program(const std::string& name, std::span<std::byte> context);

    // Makes statistics of a global or of a per-CPU array map: "stats", "qa.nr_enqueued". kConfig: there is none of this
    // name, or nothing in it is a number.
    Result<> add_statistics(std::string_view variable);

    // The bytes of a variable in mapped memory (initial value before load, live memory after); empty when the section
    // is not mapped (arena globals before load).
    [[nodiscard]] std::span<std::byte> variable_bytes(const VariablePlace& variable);
    [[nodiscard]] std::span<const std::byte> variable_bytes(const VariablePlace& variable) const;

    // Before load only. Members of the struct_ops by name.
    [[nodiscard]] bool has_ops_member(std::string_view member) const;
    Result<> set_ops_member(std::string_view member, std::uint64_t value);
    [[nodiscard]] Result<std::uint64_t> ops_member(std::string_view member) const;
    [[nodiscard]] bool is_ops_callback(std::string_view member) const;
    // Flags that can be added by name: those of the kernel that it was fitted to. Without any kernel all can, and do
    // nothing.
    void set_known_flags(std::vector<std::pair<std::string, std::uint64_t>> flags);
    // Adds one to the member "flags". False: the kernel has none of this name.
    [[nodiscard]] Result<bool> add_flag(std::string_view name);
    // Sets a member, data or callback, to zero.
    Result<> clear_ops_member(std::string_view member);

    // Before load only: room for the exit dump; 0 leaves the object's own.
    Result<> set_exit_dump_length(std::uint32_t bytes);

    // Whether each value of the kernel's configuration that the object asks for is known. kUnsupported names what is
    // missing, and where it was looked for.
    [[nodiscard]] Result<> check_kernel_config() const;

    // Creates the maps, verifies and loads the programs, and associates the other ones with the struct_ops where the
    // kernel can (since 7.1): what they then ask of the scheduler reaches this one or none. Errors: kVerifier with the
    // end of the log, kObject for a map without a size, kPermission, …
    Result<> load();
    [[nodiscard]] bool loaded() const;

    // After load: has the kernel make ready what an attach needs, so that the attach itself is short. Optional: when it
    // fails, attach() does it. `kernel`: the running kernel's types. Errors: kAttach.
    Result<> commit(const KernelBtf& kernel);

    // Attaches the struct_ops map. Success does not mean that the scheduler runs (confirm it). kBusy: another scheduler
    // is attached, or is being disabled right now.
    Result<Attachment> attach();

    // Attaches the programs that watch for schedulers being registered (bpf_scx_reg): they have to be there before
    // attach(). On failure none of the object's programs is left attached.
    Result<> attach_early_programs();
    // Attaches the other programs where their sections say: all of them, or, on failure, none. Those whose section
    // names no place stay loaded. Only while the struct_ops is attached: before 7.1 their kfuncs reach whichever
    // scheduler runs.
    Result<> attach_programs();
    // Waits until none of them runs any more.
    void detach_programs();

    // The exit record as it stands; nullopt when the object has none. Any time after load.
    [[nodiscard]] std::optional<ExitReport> read_exit_record() const;
    // Its kind alone, without allocating: for the swap window. 0 while it has not left, and without a record.
    [[nodiscard]] std::uint32_t exit_kind() const;
    // Empties the record before an object is attached again.
    void clear_exit_record();

    // A map of the object by its name in the source; nullptr when there is none.
    [[nodiscard]] bpf_map* find_map(std::string_view name) const;
    // The same for a program.
    [[nodiscard]] const bpf_program* find_program(const char* name) const;
    // Bytes of a data section, arena globals included; 0 when there is none of this name.
    [[nodiscard]] std::size_t section_size(std::string_view section) const;
    // Base of an arena's global variables, after load; nullptr when the object has no arena.
    [[nodiscard]] const std::byte* arena_globals() const;

private:
    struct State;
    explicit SchedulerObject(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace scxhost
