// SPDX-License-Identifier: GPL-2.0-only
#include "tests/plugins/animals.hpp"

#include "host/plugins/plugin_file.hpp"
#include <scxhost/plugin.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <memory>

namespace scxhost {
namespace {

using Put = std::function<void(const TempDir&)>;
using Info = scxhost_plugin_info;

constexpr uid_t kStranger = 65533;
constexpr mode_t kMode = 0755;

void write(const TempDir& folder, const Bytes& bytes, const char* name = "good.so") {
    folder.write(name, as_text(bytes), kMode);
}

// A plugin as it was built.
Put built(const std::string& library) {
    return [library](const TempDir& folder) { write(folder, zoo_bytes(library), library.c_str()); };
}

// A good plugin, changed.
Put changed(std::function<void(Bytes&)> change) {
    return [change = std::move(change)](const TempDir& folder) {
        Bytes bytes = zoo_bytes("good.so");
        change(bytes);
        write(folder, bytes);
    };
}

// The bytes of a section of it, as a T.
template <typename T>
Put changed_section(const char* section, std::function<void(T&)> change) {
    return changed([section, change = std::move(change)](Bytes& file) {
        T value;
        std::byte* place = file.data() + section_offset(file, section);
        std::memcpy(&value, place, sizeof value);
        change(value);
        std::memcpy(place, &value, sizeof value);
    });
}

Put changed_info(std::function<void(Info&)> change) {
    return changed_section<Info>(SCXHOST_INFO_SECTION, std::move(change));
}

void change_symbol(Bytes& file, std::string_view name, const std::function<void(Elf64_Sym&)>& change) {
    const ElfImage image = ElfImage::parse(file).value();
    const ElfImage::Section* table = image.find(".dynsym");
    for (std::size_t at = table->offset; at < table->offset + table->size; at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        std::memcpy(&symbol, file.data() + at, sizeof symbol);
        if (image.text(image.sections()[table->link], symbol.st_name) != name)
            continue;
        change(symbol);
        std::memcpy(file.data() + at, &symbol, sizeof symbol);
        return;
    }
}

// Both objects are the same bytes: the one in the library is found at its section.
void hide_object_section(Bytes& file, const char* section) {
    Bytes object = zoo_bytes("good.bpf.o");
    hide_section(object, section);
    std::ranges::copy(object, file.begin() + static_cast<std::ptrdiff_t>(section_offset(file, SCXHOST_OBJECT_SECTION)));
}

Put with_mode(mode_t file, mode_t folder) {
    return [=](const TempDir& place) {
        write(place, zoo_bytes("good.so"));
        EXPECT_EQ(::chmod((place.path() / "good.so").c_str(), file), 0);
        EXPECT_EQ(::chmod(place.path().c_str(), folder), 0);
    };
}

// The good one in the folder `store` of this mode, and a link to it where the host looks.
Put linked(const char* name, mode_t mode) {
    return [=](const TempDir& place) {
        write(place, zoo_bytes("good.so"), (std::string("store/") + name).c_str());
        EXPECT_EQ(::chmod((place.path() / "store").c_str(), mode), 0);
        std::filesystem::create_symlink(std::string("store/") + name, place.path() / "good.so");
    };
}

const std::string kUnusable = "{} is not a usable plugin: ";
const std::string kDamaged = kUnusable + "its plugin information is damaged: ";
const std::string kCannotUse = "cannot use plugin {}: ";
const std::string kHost = to_string(host_contract());
const char* const kRebuild = "rebuild the plugin";
const char* const kNewerHost = "use a newer scxhost, or rebuild the plugin against this host's SDK";
const char* const kOtherWay = "build it with scx_add_plugin(), or run a bare BPF object with 'object = \"…\"'";
const char* const kCatch = "its author must catch exceptions in callbacks, as the SDK's base class does";
const char* const kOwnThread = "what takes long belongs on a thread of the plugin's own (docs/contract.md)";
const char* const kReplaced =
    "the file was replaced while it was being loaded, or the plugin is damaged: try again, rebuild it";

std::string version(unsigned major, unsigned minor) {
    return kUnusable + "it was built for plugin contract " + std::to_string(major) + "." + std::to_string(minor) +
           ", this host speaks " + kHost;
}

std::string size(const std::string& claimed) {
    const std::string own = std::to_string(sizeof(Info));
    return kDamaged + "it says it has " + claimed + " bytes; " + own + " are needed and " + own + " are there";
}

std::vector<Animal> files() {
    const auto good = [](const char* name, Put put, std::string what, const char* hint) {
        return Animal{
            .name = name, .meets = Meets::kReader, .put = std::move(put), .what = std::move(what), .hint = hint};
    };
    const auto overlong = [](auto member) {
        return changed_info([member](Info& info) { std::memset(info.*member, 'x', sizeof(info.*member)); });
    };
    std::vector<Animal> all = {
        good("WrongMagic", changed_info([](Info& i) { i.magic[0] = 'X'; }), kDamaged + "wrong magic", kRebuild),
        good("OlderMajor", changed_info([](Info& i) {
                 i.contract_major = 0;
                 i.contract_minor = 9;
             }),
             version(0, 9), "rebuild the plugin against this host's SDK"),
        good("NewerMinor", changed_info([](Info& i) { i.contract_minor = SCXHOST_CONTRACT_MINOR + 1; }),
             version(SCXHOST_CONTRACT_MAJOR, SCXHOST_CONTRACT_MINOR + 1), kNewerHost),
        good("NewerMajor", changed_info([](Info& i) {
                 i.contract_major = SCXHOST_CONTRACT_MAJOR + 1;
                 i.contract_minor = 0;
             }),
             version(SCXHOST_CONTRACT_MAJOR + 1, 0), kNewerHost),
        good("ShortStruct", changed_info([](Info& i) { i.size = 32; }), size("32"), kRebuild),
        good("StructOfNoSize", changed_info([](Info& i) { i.size = 0; }), size("0"), kRebuild),
        good("StructLargerThanItsSection", changed_info([](Info& i) { i.size = UINT32_MAX; }), size("4294967295"),
             kRebuild),
        good("NonZeroTail", changed([](Bytes& file) { add_tail(file, std::byte{1}); }),
             kDamaged + "it uses fields that this host does not know", kRebuild),
        good("NameWithoutEnd", overlong(&Info::name), kDamaged + "a text is not terminated", kRebuild),
        good("VersionWithoutEnd", overlong(&Info::version), kDamaged + "a text is not terminated", kRebuild),
        good("SummaryWithoutEnd", overlong(&Info::summary), kDamaged + "a text is not terminated", kRebuild),
        good("StructOpsWithoutEnd", overlong(&Info::struct_ops), kDamaged + "a text is not terminated", kRebuild),
        good("NoName", changed_info([](Info& i) { i.name[0] = '\0'; }),
             kDamaged + "its name may hold letters, digits, '_' and '-' only", kRebuild),
        good("NameWithAFolder", changed_info([](Info& i) { std::strcpy(i.name, "../good"); }),
             kDamaged + "its name may hold letters, digits, '_' and '-' only", kRebuild),
        good("AnotherNameThanTheFiles", changed_info([](Info& i) { std::strcpy(i.name, "better"); }),
             kUnusable + "it calls itself 'better', which differs from the file's name", "name the file better.so"),
        good("UnknownCapabilities", changed_info([](Info& i) { i.capabilities = 0x6; }),
             kUnusable + "it asks for capabilities 0x6, which this host does not have", "use a newer scxhost"),
        good("NoInformation", changed([](Bytes& file) { hide_section(file, SCXHOST_INFO_SECTION); }),
             kUnusable + "it has no " SCXHOST_INFO_SECTION " section", kOtherWay),
        good("NoObject", changed([](Bytes& file) { hide_section(file, SCXHOST_OBJECT_SECTION); }),
             kUnusable + "it has no " SCXHOST_OBJECT_SECTION " section", kOtherWay),
        good("MissingFunction", changed([](Bytes& file) {
                 const std::size_t at = as_text(file).find(SCXHOST_PLUGIN_ENTRY, section_offset(file, ".dynstr"));
                 file[at] = std::byte{'X'};
             }),
             kUnusable + "it does not export scxhost_plugin()", "build it with scx_add_plugin()"),
        good("TwoExports", changed([](Bytes& file) {
                 change_symbol(file, "__cxa_throw", [](Elf64_Sym& symbol) { symbol.st_shndx = 1; });
             }),
             kUnusable + "it exports __cxa_throw; a plugin exports scxhost_plugin() and nothing else",
             "build it with scx_add_plugin(), which hides the rest"),
        good("Truncated", changed([](Bytes& file) { file.resize(file.size() / 2); }),
             kUnusable + "the ELF section table lies outside the file: the file is truncated or damaged", ""),
        good("Empty", changed([](Bytes& file) { file.clear(); }), kUnusable + "not an ELF file", ""),
        good(
            "ScriptInItsPlace",
            [](const TempDir& place) {
                place.write("good.so",
                            "#!/bin/sh\nexit 0\n# longer than the header of an ELF file is, to get past that\n");
            },
            kUnusable + "not an ELF file", ""),
        good("Of32Bits", changed([](Bytes& file) { file[EI_CLASS] = std::byte{ELFCLASS32}; }),
             kUnusable + "not a 64-bit little-endian ELF file", ""),
        good("Program", changed([](Bytes& file) { file[offsetof(Elf64_Ehdr, e_type)] = std::byte{ET_EXEC}; }),
             kUnusable + "it is no shared library", kOtherWay),
        good(
            "ObjectInItsPlace", [](const TempDir& place) { write(place, zoo_bytes("good.bpf.o")); },
            kUnusable + "it is a BPF object, not a shared library",
            "run it with 'object = \"…\"' in place of 'plugin = \"…\"'"),
        good(
            "Folder", [](const TempDir& place) { std::filesystem::create_directory(place.path() / "good.so"); },
            "plugin {} is not a regular file", ""),
        good("WorldWritable", with_mode(0757, kMode), "{} can be written by others than its owner (mode 0757)",
             "chmod go-w {}"),
        good("InAWorldWritableFolder", with_mode(kMode, 0777),
             "the folder {folder}, on the way to {}, can be written by others than its owner (mode 0777)",
             "chmod go-w {folder}"),
        good("LinkOutOfTheFolder", linked("good.so", 0777),
             "the folder {folder}/store, on the way to {}, can be written by others than its owner (mode 0777)",
             "chmod go-w {folder}/store"),
        good("LinkToAnotherNameElsewhere", linked("good-1.2.so", kMode),
             "{folder}/store/good-1.2.so is not a usable plugin: it calls itself 'good', which differs from the file's "
             "name",
             "name the file good.so"),
        good(
            "LinkToNowhere",
            [](const TempDir& place) { std::filesystem::create_symlink("nowhere.so", place.path() / "good.so"); },
            "there is no plugin 'good' in {folder}", "did you mean \"good\"?"),
    };
    Animal given = good(
        "NotOwnedByRoot",
        [](const TempDir& place) {
            write(place, zoo_bytes("good.so"));
            EXPECT_EQ(::chown((place.path() / "good.so").c_str(), kStranger, 0), 0);
        },
        "{} belongs to user 65533, who could change it", "chown 0 {}, or use a copy of your own");
    given.needs_root = true;
    all.push_back(std::move(given));
    return all;
}

std::vector<Animal> objects() {
    const auto object = [](const char* name, Put put, std::string what, std::string hint, const char* plugin = "good") {
        return Animal{.name = name,
                      .meets = Meets::kObject,
                      .put = std::move(put),
                      .what = std::move(what),
                      .hint = std::move(hint),
                      .plugin = plugin};
    };
    return {
        object("ObjectWithoutBtf", changed([](Bytes& file) { hide_object_section(file, ".BTF"); }),
               "'good' has no BTF type information", "compile it with -g"),
        object("ObjectForAnotherMachine", changed([](Bytes& file) {
                   const std::size_t begin = section_offset(file, SCXHOST_OBJECT_SECTION);
                   file[begin + offsetof(Elf64_Ehdr, e_machine)] = std::byte{EM_X86_64};
               }),
               "'good' is not a BPF object: it is an ELF file for another machine",
               "compile it with clang -target bpf"),
        object("ObjectThatIsGarbage", changed([](Bytes& file) {
                   const std::size_t begin = section_offset(file, SCXHOST_OBJECT_SECTION);
                   std::memset(file.data() + begin, 'x', 64);
               }),
               "'good' is not a BPF object: not an ELF file", ""),
        object("ObjectThatLiesInItsTags", built("lying.so"),
               "option 'slice' is of kind string, which needs an array of char, but variable 'slice_ns' is unsigned "
               "long long",
               "", "lying"),
        object("ObjectWithoutAScheduler", built("no_scheduler.so"),
               "'no_scheduler' is no sched_ext scheduler: it has no struct_ops map of type sched_ext_ops", "",
               "no_scheduler"),
        object("TwoSchedulersAndNoChoice", built("two_ops.so"),
               "'two_ops' has 2 struct_ops maps: first_ops and second_ops",
               "choose one with struct_ops = \"first_ops\", or --set scheduler.struct_ops=first_ops", "two_ops"),
    };
}

std::vector<Animal> descriptors() {
    const auto raw = [](const char* name, const char* fault, const std::string& what, const char* hint) {
        return Animal{.name = name,
                      .meets = Meets::kLoader,
                      .put = built("raw.so"),
                      .what = kCannotUse + what,
                      .hint = hint,
                      .plugin = "raw",
                      .fault = fault};
    };
    const std::string differs = "its descriptor differs from what its file says";
    const std::string damaged = "its descriptor is damaged";
    const auto table = [](const char* bytes) {
        return std::string("its table of callbacks says it has ") + bytes + " bytes";
    };
    return {
        Animal{.name = "UnresolvedSymbol",
               .meets = Meets::kLoader,
               .put = built("unresolved.so"),
               .what = kCannotUse + "{}: undefined symbol: a_function_that_nobody_has",
               .hint = "",
               .plugin = "unresolved"},
        raw("EntryThrows", "entry:exception", "it let an exception escape from scxhost_plugin()",
            "build it with scx_add_plugin()"),
        raw("NullDescriptor", "null descriptor", damaged, kRebuild),
        raw("NullInformation", "null info", damaged, kRebuild),
        raw("ShortDescriptor", "short descriptor", damaged, kRebuild),
        raw("EndlessDescriptor", "endless descriptor", damaged, kRebuild),
        raw("DescriptorWithATail", "descriptor with a tail", "its descriptor uses fields that this host does not know",
            "use a newer scxhost"),
        raw("OtherNameInMemory", "other name", differs, kReplaced),
        raw("OtherObjectInMemory", "other object", differs, kReplaced),
        raw("NoObjectInMemory", "no object", differs, kReplaced),
        raw("ShortObjectInMemory", "short object", differs, kReplaced),
        raw("ShortCallbacks", "short callbacks", table("4"), kRebuild),
        raw("HalfACallback", "half a callback", table("12"), kRebuild),
        raw("EndlessCallbacks", "endless callbacks", table("4294967295"), kRebuild),
        raw("CallbacksWithATail", "callbacks with a tail", "its table has callbacks that this host does not know",
            "use a newer scxhost"),
    };
}

struct Step {
    Meets meets;
    const char* callback;
    const char* goal; // after "failed to"
};
constexpr std::array kSteps = {
    Step{Meets::kLoader, "create", "start"},
    Step{Meets::kConfigure, "configure", "configure"},
    Step{Meets::kLoaded, "loaded", "prepare after loading"},
    Step{Meets::kAttached, "attached", "take note of the attach"},
    Step{Meets::kTick, "tick", "do its periodic work"},
    Step{Meets::kDetaching, "detaching", "prepare for detaching"},
};

// The name of an animal is made of its step's and its fault's: these are kept for as long as the process lives.
const char* keep(const std::string& text) {
    static std::vector<std::unique_ptr<std::string>> kept;
    return kept.emplace_back(std::make_unique<std::string>(text))->c_str();
}

std::string title(std::string word) {
    word[0] = static_cast<char>(word[0] - 'a' + 'A');
    return word;
}

// What is on the SDK, which catches, and what is not.
std::vector<Animal> callbacks() {
    std::vector<Animal> all;
    const auto add = [&](const char* plugin, const std::string& name, Meets meets, const std::string& fault,
                         std::string what, const char* hint, bool hangs = false) {
        all.push_back({.name = keep(name),
                       .meets = meets,
                       .put = built(std::string(plugin) + ".so"),
                       .what = std::move(what),
                       .hint = hint,
                       .plugin = plugin,
                       .fault = keep(fault),
                       .hangs = hangs});
    };
    for (const Step& step : kSteps) {
        const std::string callback = step.callback;
        const std::string failed = std::string("' failed to ") + step.goal + ": ";
        add("good", "ErrorIn" + title(callback), step.meets, callback + ":error",
            "plugin 'good" + failed + callback + " is not in the mood", "try tomorrow");
        add("good", "ThrowsIn" + title(callback), step.meets, callback + ":exception",
            "plugin 'good" + failed + callback + " ran into trouble", "");
        add("good", "NoMemoryIn" + title(callback), step.meets, callback + ":memory",
            "plugin 'good" + failed + "out of memory", "");
        add("good", "ThrowsANumberIn" + title(callback), step.meets, callback + ":int",
            "plugin 'good" + failed + "the plugin threw something that is not a std::exception", "");
        add("raw", "ErrnoFrom" + title(callback), step.meets, callback + ":errno",
            "plugin 'raw" + failed + "No space left on device", "");
        add("raw", "LetsAnExceptionOutOf" + title(callback), step.meets, callback + ":exception",
            "plugin 'raw' let an exception escape from its " + callback + "() callback", kCatch);
        add("raw", "LetsANumberOutOf" + title(callback), step.meets, callback + ":int",
            "plugin 'raw' let an exception escape from its " + callback + "() callback", kCatch);
        add("good", "HangsIn" + title(callback), step.meets, callback + ":hang",
            "plugin 'good' hangs in its " + callback + "() callback: it has not returned for ", kOwnThread, true);
    }
    add("good", "HangsInDestroy", Meets::kDestroy, "destroy:hang",
        "plugin 'good' hangs in its destroy() callback: it has not returned for ", kOwnThread, true);
    add("good", "DestructorHangs", Meets::kDestroy, "destructor:hang",
        "plugin 'good' hangs in its library's destructors: it has not returned for ", kOwnThread, true);
    add("good", "ConstructorHangs", Meets::kLoader, "constructor:hang",
        kCannotUse + "plugin 'good' hangs in its library's constructors: it has not returned for ", kOwnThread, true);
    add("talker", "ThrowsInEvent", Meets::kEvent, "event:exception",
        "plugin 'talker' failed to handle an event: the event is not to its liking", "");
    add("talker", "EventOfAnotherSize", Meets::kEvent, "event:size",
        "plugin 'talker' failed to handle an event: an event of 'answers' has 8 bytes, the plugin expects 16", "");
    add("talker", "HangsInEvent", Meets::kEvent, "event:hang",
        "plugin 'talker' hangs in an event handler: it has not returned for ", kOwnThread, true);
    return all;
}

std::string replaced(std::string text, std::string_view from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
    return text;
}

} // namespace

const std::vector<Animal>& animals() {
    static const std::vector<Animal> all = [] {
        std::vector<Animal> result;
        for (auto part : {files, objects, descriptors, callbacks})
            std::ranges::move(part(), std::back_inserter(result));
        return result;
    }();
    return all;
}

std::string in_folder(const Animal& animal, std::string text, const std::filesystem::path& folder) {
    text = replaced(std::move(text), "{}", (folder / (std::string(animal.plugin) + ".so")).string());
    return replaced(std::move(text), "{folder}", folder.string());
}

} // namespace scxhost
