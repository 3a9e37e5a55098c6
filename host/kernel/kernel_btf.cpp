// SPDX-License-Identifier: GPL-2.0-only
#include "host/kernel/kernel_btf.hpp"

#include "host/kernel/btf_types.hpp"

#include <bpf/btf.h>
#include <linux/btf.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <unordered_set>
#include <utility>

namespace scxhost {
namespace {

// The tag that a kernel build puts on every function that BPF programs may call.
constexpr std::string_view kKfuncTag = "bpf_kfunc";
// The kernel passes this argument itself, so it must not show in a kfunc's prototype; the full prototype belongs to a
// second function, the twin, named with this suffix.
constexpr std::string_view kImplicitArgument = "bpf_prog_aux";
constexpr std::string_view kTwinSuffix = "_impl";

// A build that breaks a kfunc's prototype leaves out its tag too. What is left to tell such a kfunc from the kernel's
// internal functions is how kfuncs are named: sched_ext's by their prefix, constructors of iterators by the pattern on
// which the verifier insists.
bool is_named_like_a_kfunc(std::string_view name) {
    return name.starts_with("scx_bpf_") || (name.starts_with("bpf_iter_") && name.ends_with("_new"));
}

bool ends_in_implicit_argument(const struct btf* btf, const struct btf_type* func) {
    const struct btf_type* proto = btf__type_by_id(btf, func->type);
    if (!proto || !btf_is_func_proto(proto) || btf_vlen(proto) == 0)
        return false;
    const struct btf_param& last = btf_params(proto)[btf_vlen(proto) - 1];
    const struct btf_type* type = resolve_btf_type(btf, last.type);
    if (!type || !btf_is_ptr(type))
        return false;
    type = resolve_btf_type(btf, type->type);
    return type && btf_is_struct(type) && btf_name(btf, type->name_off) == kImplicitArgument;
}

std::string_view enumerator_name(const struct btf* btf, const struct btf_type* type, std::uint32_t index) {
    return btf_name(btf, btf_is_enum64(type) ? btf_enum64(type)[index].name_off : btf_enum(type)[index].name_off);
}

// Sign-extended.
std::uint64_t enumerator_value(const struct btf_type* type, std::uint32_t index) {
    if (btf_is_enum64(type))
        return btf_enum64_value(&btf_enum64(type)[index]);
    const __s32 value = btf_enum(type)[index].val;
    return btf_kflag(type) ? static_cast<std::uint64_t>(std::int64_t{value}) : std::uint64_t{static_cast<__u32>(value)};
}

const struct btf_type* find_struct(const struct btf* btf, const std::string& name) {
    const __s32 id = btf__find_by_name_kind(btf, name.c_str(), BTF_KIND_STRUCT);
    return id > 0 ? btf__type_by_id(btf, static_cast<__u32>(id)) : nullptr;
}

} // namespace

// Names of the BTF and what bears them, in one block of memory: a kernel has far more than 100,000, and a node for each
// would be most of what a host has at rest.
class KernelBtf::Names {
public:
    // The type, or the enumerator of that number in it.
    struct Place {
        std::uint32_t type = 0; // 0: void, which has no name
        std::uint32_t index = 0;
    };

    // At most `count` names will be added.
    explicit Names(std::size_t count)
        : places_(count + count / 2 + 1) {}

    // The first one of a name stays.
    void add(const struct btf* btf, Place place) {
        if (Place& slot = places_[find(btf, name_of(btf, place))]; slot.type == 0)
            slot = place;
    }
    // Nullptr: there is none of this name.
    [[nodiscard]] const Place* at(const struct btf* btf, std::string_view name) const {
        const Place& slot = places_[find(btf, name)];
        return slot.type == 0 ? nullptr : &slot;
    }
    [[nodiscard]] bool contains(const struct btf* btf, std::string_view name) const { return at(btf, name) != nullptr; }

private:
    static std::string_view name_of(const struct btf* btf, Place place) {
        const struct btf_type* type = btf__type_by_id(btf, place.type);
        return btf_is_any_enum(type) ? enumerator_name(btf, type, place.index) : btf_name(btf, type->name_off);
    }
    // The slot of this name, or the free one for it. A third of the slots is free.
    [[nodiscard]] std::size_t find(const struct btf* btf, std::string_view name) const {
        std::size_t at = std::hash<std::string_view>()(name) % places_.size();
        while (places_[at].type != 0 && name_of(btf, places_[at]) != name)
            at = at + 1 == places_.size() ? 0 : at + 1;
        return at;
    }

    std::vector<Place> places_;
};

struct KernelBtf::Index {
    Names enumerators;
    Names functions;
    std::unordered_set<std::string_view> kfuncs;
    std::vector<MalformedKfunc> malformed; // sorted by name

    explicit Index(const struct btf* btf)
        : Index(btf, Counts(btf)) {}

    [[nodiscard]] std::optional<MalformedKfunc> check_kfunc(const struct btf* btf, std::string_view name) const;

private:
    struct Counts {
        std::size_t enumerators = 0;
        std::size_t functions = 0;

        explicit Counts(const struct btf* btf) {
            const __u32 count = btf__type_cnt(btf);
            for (__u32 id = 1; id < count; ++id) {
                const struct btf_type* type = btf__type_by_id(btf, id);
                if (btf_is_any_enum(type))
                    enumerators += btf_vlen(type);
                else if (btf_is_func(type))
                    ++functions;
            }
        }
    };
    Index(const struct btf* btf, const Counts& counts);
};

KernelBtf::Index::Index(const struct btf* btf, const Counts& counts)
    : enumerators(counts.enumerators)
    , functions(counts.functions) {
    const __u32 count = btf__type_cnt(btf);
    for (__u32 id = 1; id < count; ++id) {
        const struct btf_type* type = btf__type_by_id(btf, id);
        if (btf_is_any_enum(type)) {
            for (std::uint32_t index = 0; index < btf_vlen(type); ++index)
                enumerators.add(btf, {.type = id, .index = index});
        } else if (btf_is_func(type)) {
            functions.add(btf, {.type = id});
        } else if (btf_is_decl_tag(type) && btf_name(btf, type->name_off) == kKfuncTag) {
            const struct btf_type* func = btf__type_by_id(btf, type->type);
            if (func && btf_is_func(func))
                kfuncs.insert(btf_name(btf, func->name_off));
        }
    }
    for (__u32 id = 1; id < count; ++id) {
        const struct btf_type* type = btf__type_by_id(btf, id);
        if (!btf_is_func(type))
            continue;
        const std::string_view name = btf_name(btf, type->name_off);
        const bool is_first = functions.at(btf, name)->type == id;
        if (is_first && (kfuncs.contains(name) || is_named_like_a_kfunc(name)))
            if (auto kfunc = check_kfunc(btf, name))
                malformed.push_back(*std::move(kfunc));
    }
    std::ranges::sort(malformed, {}, &MalformedKfunc::name);
}

std::optional<MalformedKfunc> KernelBtf::Index::check_kfunc(const struct btf* btf, std::string_view name) const {
    const Names::Place* func = functions.at(btf, name);
    if (func == nullptr || !ends_in_implicit_argument(btf, btf__type_by_id(btf, func->type)))
        return std::nullopt;
    if (name.ends_with(kTwinSuffix) && functions.contains(btf, name.substr(0, name.size() - kTwinSuffix.size())))
        return std::nullopt; // the twin itself
    const std::string twin = std::string(name).append(kTwinSuffix);
    std::string why = "its hidden argument (struct bpf_prog_aux *) shows in the prototype";
    if (!functions.contains(btf, twin))
        why += " and its twin " + twin + " is missing";
    return MalformedKfunc{.name = std::string(name), .why = std::move(why)};
}

void KernelBtf::Deleter::operator()(struct btf* btf) const {
    btf__free(btf);
}

KernelBtf::KernelBtf(struct btf* btf)
    : btf_(btf) {}
KernelBtf::KernelBtf(KernelBtf&&) noexcept = default;
KernelBtf& KernelBtf::operator=(KernelBtf&&) noexcept = default;
KernelBtf::~KernelBtf() = default;

Result<KernelBtf> KernelBtf::load(const std::filesystem::path& path) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored))
        return fail(ErrorKind::kUnsupported, "this kernel shows no type information (BTF) at " + path.string(),
                    "boot a kernel that is built with CONFIG_DEBUG_INFO_BTF=y, and mount sysfs at /sys");
    if (path != kPath)
        return from_file(path);
    // Where the kernel can (6.16), its own memory is mapped, and no copy of it is made.
    struct btf* btf = btf__load_vmlinux_btf();
    if (!btf)
        return fail_errno(ErrorKind::kUnsupported, "cannot read BTF from " + path.string(), errno);
    return KernelBtf(btf);
}

Result<KernelBtf> KernelBtf::from_file(const std::filesystem::path& path) {
    struct btf* btf = btf__parse(path.c_str(), nullptr);
    if (!btf)
        return fail_errno(ErrorKind::kUnsupported, "cannot read BTF from " + path.string(), errno);
    return KernelBtf(btf);
}

Result<KernelBtf> KernelBtf::from_bytes(std::span<const std::byte> bytes) {
    struct btf* btf = btf__new(bytes.data(), static_cast<__u32>(bytes.size()));
    if (!btf)
        return fail_errno(ErrorKind::kUnsupported, "cannot read BTF", errno);
    return KernelBtf(btf);
}

const KernelBtf::Index& KernelBtf::index() const {
    if (!index_)
        index_ = std::make_unique<Index>(btf_.get());
    return *index_;
}

std::optional<std::uint64_t> KernelBtf::enumerator(std::string_view name) const {
    const Names::Place* place = index().enumerators.at(btf_.get(), name);
    if (place == nullptr)
        return std::nullopt;
    return enumerator_value(btf__type_by_id(btf_.get(), place->type), place->index);
}

std::vector<std::pair<std::string, std::uint64_t>> KernelBtf::enumerators_of(const std::string& type) const {
    std::vector<std::pair<std::string, std::uint64_t>> found;
    for (const __u32 kind : {__u32{BTF_KIND_ENUM}, __u32{BTF_KIND_ENUM64}})
        if (const __s32 id = btf__find_by_name_kind(btf_.get(), type.c_str(), kind); id > 0) {
            const struct btf_type* found_type = btf__type_by_id(btf_.get(), static_cast<__u32>(id));
            for (std::uint32_t index = 0; index < btf_vlen(found_type); ++index)
                found.emplace_back(enumerator_name(btf_.get(), found_type, index), enumerator_value(found_type, index));
        }
    return found;
}

bool KernelBtf::has_kfunc(std::string_view name) const {
    // A kernel built without the tags still has its kfuncs as functions.
    if (index().kfuncs.empty())
        return has_func(name);
    return index().kfuncs.contains(name) ||
           std::ranges::binary_search(malformed_kfuncs(), name, {}, &MalformedKfunc::name);
}

bool KernelBtf::has_func(std::string_view name) const {
    return index().functions.contains(btf_.get(), name);
}

bool KernelBtf::has_struct(const std::string& type) const {
    return find_struct(btf_.get(), type) != nullptr;
}

bool KernelBtf::has_member(const std::string& type, std::string_view member) const {
    const struct btf_type* found = find_struct(btf_.get(), type);
    return found && has_btf_member(btf_.get(), found, member);
}

std::vector<std::string> KernelBtf::struct_members(const std::string& type) const {
    std::vector<std::string> names;
    if (const struct btf_type* found = find_struct(btf_.get(), type))
        for (const struct btf_member& member : std::span(btf_members(found), btf_vlen(found)))
            names.emplace_back(btf_name(btf_.get(), member.name_off));
    return names;
}

const std::vector<MalformedKfunc>& KernelBtf::malformed_kfuncs() const {
    return index().malformed;
}

std::optional<MalformedKfunc> KernelBtf::malformed_kfunc(std::string_view name) const {
    return index().check_kfunc(btf_.get(), name);
}

const struct btf* KernelBtf::raw() const {
    return btf_.get();
}

} // namespace scxhost
