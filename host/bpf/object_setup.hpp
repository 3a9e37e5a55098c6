// SPDX-License-Identifier: GPL-2.0-only
//
// What an object's own loading program would do beside setting options and attaching: sizes of maps and arrays, values
// of global variables and entries of maps, which programs are loaded, and which of them are run. All of it is checked
// against the object's types before anything is loaded, and carried out when that has been done.
#pragma once

#include "host/base/result.hpp"
#include "host/bpf/machine_facts.hpp"
#include "host/bpf/scheduler_object.hpp"
#include "host/config/config.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace scxhost {

// [scheduler.sizes]: before everything else, since what can be set and shown of an object depends on them. Returns them
// as they were set. kConfig with the setting's place: there is no such map or array, or it cannot have this size.
Result<std::vector<std::pair<std::string, std::string>>>
set_sizes(SchedulerObject& object, std::span<const Setting> sizes, const MachineFacts& machine);

class ObjectSetup {
public:
    // Before load. Chooses the programs that are loaded; checks the rest, and keeps it for later. kConfig with a place:
    // something is not there, or not of that type.
    static Result<ObjectSetup> bind(SchedulerObject& object, const Config::Scheduler& config,
                                    const MachineFacts& machine);

    // After load and before the attach: variables, then entries of maps, then programs. kObject: one of these failed.
    Result<> carry_out(SchedulerObject& object) const;
    // Once the scheduler runs, each time that it was attached.
    Result<> after_attach(SchedulerObject& object) const;

    // All of it as text, a key and a value for each: what this scheduler is, beside its options.
    [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& texts() const { return texts_; }
    [[nodiscard]] bool runs(const std::string& program) const;

private:
    struct VariableWrite {
        std::string name;
        VariablePlace place;
        std::vector<std::byte> bytes;
    };
    struct MapEntry {
        std::string map;
        std::string key_text;
        std::vector<std::byte> key;
        std::vector<std::byte> value;
    };
    struct Call {
        std::string program;
        std::string argument; // for messages: " for CPU 3"
        std::vector<std::byte> context;
        bool attached = false;
    };

    Result<> bind_programs(SchedulerObject& object, std::span<const Setting> settings);
    Result<> bind_variable(const SchedulerObject& object, const Setting& setting, const MachineFacts& machine);
    Result<> bind_map_entry(const SchedulerObject& object, const Setting& setting, const MachineFacts& machine);
    Result<> bind_call(const SchedulerObject& object, const Config::Call& call, std::size_t number,
                       const MachineFacts& machine);
    Result<> run(SchedulerObject& object, bool attached) const;

    std::vector<VariableWrite> variables_;
    std::vector<MapEntry> entries_;
    std::vector<Call> calls_;
    std::vector<std::pair<std::string, std::string>> texts_;
};

// The members of its context that a call can set; empty when its type is not a struct, or it is no syscall program.
std::vector<std::string> context_members(const SchedulerObject& object, const OtherPrograms::Program& program);

} // namespace scxhost
