// SPDX-License-Identifier: GPL-2.0-only
//
// What a BPF object declares about itself: its options, its statistics, the kernel features it can do without, its exit
// record. Read from the object's BTF, where bpf/common/declare.bpf.h puts it as declaration tags next to the variable
// or member concerned. An object that declares no option has one for everything in a `const volatile` global.
//
// Everything here is data; nothing touches the kernel. Values are bound in host/bpf/options.hpp, read in
// host/bpf/statistics.hpp.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/btf_view.hpp"
#include "host/bpf/exit_report.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scxhost {

enum class OptionKind { kBool, kInteger, kDuration, kSize, kEnum, kString, kPid, kCpus, kCgroup, kIntegers };

// The kind's word in a tag and in output: "bool", "int", "duration", …
std::string_view to_string(OptionKind kind);

struct OptionDeclaration {
    std::string key;
    OptionKind kind = OptionKind::kInteger;
    std::string help;
    std::string unit; // durations: what the stored number counts ("ns"); otherwise for display
    std::string min;  // limits in the kind's own syntax; empty: what the variable can hold
    std::string max;
    std::string default_enumerator; // the default is this enumerator of the running kernel; empty: the initial value
    std::string ops_member;         // the value goes into this member of the struct_ops as well
    std::string ops_flag;           // when set, this flag of the kernel is added to the struct_ops' flags
    bool fault = false;             // a knob that breaks the scheduler on purpose
    bool tagged = false;            // declared, as opposed to derived from a plain variable
    VariablePlace variable;
    Storage storage;
    std::vector<std::string> words; // of kEnum: accepted words, parallel to storage.enumerators
};

enum class StatisticKind { kCounter, kGauge };
enum class Fold { kSum, kMax, kMin, kAverage }; // how the places of one statistic become one value

std::string_view to_string(StatisticKind kind);

struct StatisticDeclaration {
    // Where the numbers are: a global in mapped memory, a global in the arena, a per-CPU array map, or with the
    // plugin's user-space half, which is asked for them.
    enum class Home { kGlobal, kArena, kPerCpuMap, kPlugin };

    std::string name;
    StatisticKind kind = StatisticKind::kCounter;
    std::string help;
    std::string unit;
    std::string group;
    Fold fold = Fold::kSum;
    Home home = Home::kGlobal;
    std::string container;                   // section, or map
    std::optional<std::uint32_t> entry = {}; // of a map, when it is one entry's; else all entries are folded
    std::vector<std::uint32_t> offsets;      // of each place in the container (arrays have many)
    std::uint32_t width = 0;
    bool is_signed = false;
    bool key = false; // among the few that are shown where there is room for few only
};

// A feature of the kernel that the object uses when it is there.
struct FeatureDeclaration {
    enum class What { kKfunc, kEnumerator, kMember };
    What what = What::kKfunc;
    std::string name;       // "scx_bpf_dsq_reenq", "SCX_ENQ_IMMED", "sched_ext_ops.sub_attach"
    std::string missing;    // what the user is told when the kernel lacks it
    VariablePlace variable; // a bool that says whether the kernel has it
    // The object holds its scheduler in two forms, and takes the cid form where the kernel has the feature. The
    // variable says which form was taken.
    bool chooses_cid_form = false;
};

// Where the policy's exit callback leaves the kernel's exit information: a struct with members kind, exit_code, reason
// and msg, the convention of sched_ext schedulers. Offsets are from the section's start.
struct ExitRecordPlace {
    VariablePlace variable;
    std::uint32_t kind_offset = 0;
    std::uint32_t exit_code_offset = 0;
    std::uint32_t reason_offset = 0;
    std::uint32_t reason_size = 0;
    std::uint32_t message_offset = 0;
    std::uint32_t message_size = 0;
    std::optional<VariablePlace> dump;        // char array <record>_dump in a section of its own
    std::optional<VariablePlace> dump_length; // read-only u32 <record>_dump_len
};

// The first exit record among the object's variables.
[[nodiscard]] std::optional<ExitRecordPlace> find_exit_record(const BtfView& btf);

// The kernel's own are 128 bytes, 1 KiB and, unless the object asks for more, 32 KiB (kernel/sched/ext.c).
inline constexpr std::size_t kMaxExitText = std::size_t{4} << 10U;
inline constexpr std::size_t kMaxExitDump = std::size_t{1} << 20U;

// What an exit record says now. `section` and `dump` hold the values of the sections that the record and its dump are
// in; empty for no dump. Texts end after kMaxExitText bytes and the dump after kMaxExitDump, whatever the object
// declares: the event loop copies them. nullopt: the record does not lie within its section. May be called while the
// kernel writes it.
[[nodiscard]] std::optional<ExitReport>
read_exit_report(const ExitRecordPlace& place, std::span<const std::byte> section, std::span<const std::byte> dump);

// A per-CPU array map and the BTF type of its values.
struct PerCpuMapType {
    std::string name;
    std::uint32_t value_type_id = 0; // 0: it has none, only a size
    std::uint32_t entries = 1;
    std::uint32_t value_size = 0; // bytes
};

struct Declarations {
    std::vector<OptionDeclaration> options;
    std::vector<StatisticDeclaration> statistics;
    std::vector<FeatureDeclaration> features;
    std::vector<std::string> needed_kfuncs; // declared as needed although the reference may be weak
    std::optional<ExitRecordPlace> exit_record;

    // The feature that decides between the two forms of the scheduler; nullptr when the object declares none.
    [[nodiscard]] const FeatureDeclaration* form_feature() const;
    [[nodiscard]] const OptionDeclaration* find_option(std::string_view key) const;
};

// The enumerator of the kernel that a variable stands for: objects compiled against a kernel's full types have a
// read-only u64 __SCX_<ENUM>, to be filled with the running kernel's value of SCX_<ENUM>. Empty for any other variable.
std::string_view kernel_enumerator(const VariablePlace& variable);

// Bounds for hostile objects: declarations of one kind, and members and elements that are looked at in all of its types
// (structs nested wide and deep multiply).
inline constexpr std::size_t kMaxDeclarations = 4096;
inline constexpr std::size_t kMaxTypeSteps = 1U << 20U;
Error too_many_options();

// What can stand left of '=' in a configuration; dots separate the parts.
bool is_option_key(std::string_view text);

// The kind of an option of which nothing is known but how it is stored.
OptionKind plain_kind(StorageKind storage);

// Errors: kObject, naming the variable and the tag that contradict each other.
Result<Declarations> read_declarations(const BtfView& btf, const std::vector<PerCpuMapType>& per_cpu_maps);

} // namespace scxhost
