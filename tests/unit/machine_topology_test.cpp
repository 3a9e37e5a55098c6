// SPDX-License-Identifier: GPL-2.0-only
//
// MachineTopology on trees that were read from real machines (topology/*.txt: a file and its content on each line), and
// on made-up ones with what those lack.
#include "host/kernel/machine_topology.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace scxhost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class MachineTopologyTest : public testing::Test {
protected:
    void write(const std::string& file, const std::string& text) const { dir_.write(file, text + "\n"); }
    void write_captured(const std::string& name) const {
        std::ifstream file(std::filesystem::path(kSourceDir) / "tests/unit/topology" / name);
        ASSERT_TRUE(file) << name;
        for (std::string line; std::getline(file, line);)
            if (const std::size_t space = line.find(' '); !line.starts_with('#') && space != std::string::npos)
                write(line.substr(0, space), line.substr(space + 1));
    }
    [[nodiscard]] MachineTopology read() const { return MachineTopology::read(dir_.path()).value(); }

    TempDir dir_;
};

TEST_F(MachineTopologyTest, ThreadsOfACoreAreSiblings) {
    write_captured("two_threads.txt");
    const MachineTopology machine = read();
    EXPECT_EQ(machine.cpus, 4U);
    EXPECT_EQ(machine.nodes, 1U);
    EXPECT_EQ(machine.llcs, 1U);
    EXPECT_TRUE(machine.smt);
    EXPECT_THAT(machine.possible, ElementsAre(0, 1, 2, 3));
    EXPECT_THAT(machine.online, ElementsAre(0, 1, 2, 3));
    EXPECT_THAT(machine.core, ElementsAre(0, 0, 1, 1));
    EXPECT_THAT(machine.sibling, ElementsAre(1, 0, 3, 2));
    EXPECT_THAT(machine.llc, ElementsAre(0, 0, 0, 0));
    EXPECT_THAT(machine.node, ElementsAre(0, 0, 0, 0));
    EXPECT_THAT(machine.capacity, ElementsAre(1024, 1024, 1024, 1024));
    EXPECT_THAT(machine.preferred, ElementsAre(0, 1, 2, 3));
}

TEST_F(MachineTopologyTest, ACpuThatIsOfflineIsNobodysSibling) {
    write_captured("one_offline.txt");
    const MachineTopology machine = read();
    EXPECT_EQ(machine.cpus, 4U) << "as many as may come";
    EXPECT_TRUE(machine.smt);
    EXPECT_THAT(machine.online, ElementsAre(0, 1, 2));
    EXPECT_THAT(machine.core, ElementsAre(0, 0, 1, 0));
    EXPECT_THAT(machine.sibling, ElementsAre(1, 0, -1, -1));
    EXPECT_THAT(machine.capacity, ElementsAre(1024, 1024, 1024, 0));
    EXPECT_THAT(machine.preferred, ElementsAre(0, 1, 2));
}

TEST_F(MachineTopologyTest, WithoutCachesAPackageIsOneCache) {
    write_captured("no_caches.txt");
    const MachineTopology machine = read();
    EXPECT_EQ(machine.cpus, 2U);
    EXPECT_EQ(machine.llcs, 1U);
    EXPECT_FALSE(machine.smt);
    EXPECT_THAT(machine.llc, ElementsAre(0, 0));
    EXPECT_THAT(machine.core, ElementsAre(0, 1));
    EXPECT_THAT(machine.sibling, ElementsAre(-1, -1));
}

// Two nodes with a cache each, whose CPUs are numbered across them; CPU 3 is the fastest.
TEST_F(MachineTopologyTest, CachesAndNodesAreNumberedByTheirFirstCpus) {
    write("devices/system/cpu/possible", "0-3,6-7");
    write("devices/system/cpu/online", "0-3");
    write("devices/system/node/possible", "0-3");
    write("devices/system/node/node1/cpulist", "0,2");
    write("devices/system/node/node3/cpulist", "1,3,6-7");
    for (const int cpu : {0, 1, 2, 3}) {
        const std::string folder = "devices/system/cpu/cpu" + std::to_string(cpu);
        write(folder + "/cpufreq/cpuinfo_max_freq", cpu == 3 ? "4000000" : "3000000");
        write(folder + "/cache/index0/level", "1");
        write(folder + "/cache/index0/type", "Data");
        write(folder + "/cache/index0/shared_cpu_list", std::to_string(cpu));
        write(folder + "/cache/index1/level", "3");
        write(folder + "/cache/index1/type", "Unified");
        write(folder + "/cache/index1/shared_cpu_list", cpu % 2 == 0 ? "0,2" : "1,3,6-7");
    }
    const MachineTopology machine = read();
    EXPECT_EQ(machine.cpus, 8U);
    EXPECT_EQ(machine.nodes, 4U);
    EXPECT_EQ(machine.llcs, 2U);
    EXPECT_THAT(machine.llc, ElementsAre(0, 1, 0, 1, 0, 0, 0, 0));
    EXPECT_THAT(machine.node, ElementsAre(1, 3, 1, 3, 0, 0, 3, 3));
    EXPECT_THAT(machine.capacity, ElementsAre(768, 768, 768, 1024, 0, 0, 0, 0));
    EXPECT_THAT(machine.preferred, ElementsAre(3, 0, 1, 2));
}

// Some CPUs tell what the others do not: that is no order.
TEST_F(MachineTopologyTest, CapacitiesAreThoseThatEveryCpuTells) {
    write("devices/system/cpu/possible", "0-1");
    write("devices/system/cpu/online", "0-1");
    write("devices/system/cpu/cpu0/cpu_capacity", "500");
    write("devices/system/cpu/cpu0/acpi_cppc/highest_perf", "100");
    write("devices/system/cpu/cpu1/acpi_cppc/highest_perf", "200");
    EXPECT_THAT(read().capacity, ElementsAre(512, 1024));
}

TEST_F(MachineTopologyTest, AMachineThatTellsNothingIsRefused) {
    const Result<MachineTopology> machine = MachineTopology::read(dir_.path());
    ASSERT_FALSE(machine);
    EXPECT_EQ(machine.error().kind, ErrorKind::kUnsupported);
    EXPECT_THAT(machine.error().what, HasSubstr("cpu/possible"));
}

TEST_F(MachineTopologyTest, ThisMachineCanBeRead) {
    const Result<MachineTopology> machine = MachineTopology::read();
    ASSERT_TRUE(machine) << machine.error().what;
    EXPECT_GE(machine->cpus, machine->online.size());
    EXPECT_GE(machine->llcs, 1U);
}

TEST(CpuListTest, NumbersAndRanges) {
    EXPECT_THAT(parse_cpu_list("0-2,8").value(), ElementsAre(0, 1, 2, 8));
    EXPECT_TRUE(parse_cpu_list("").value().empty());
    for (const char* bad : {"a", "1-", "3-1", "1,", ",1", "1 ", "-1", "70000", "1-2-3"})
        EXPECT_FALSE(parse_cpu_list(bad)) << bad;
}

} // namespace
} // namespace scxhost
