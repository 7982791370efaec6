// A page table as gem5's syscall-emulation mode has one (EmulationPageTable): map, unmap, remap, translate, lookup, serialise.
// The difference: frames are the machine's to give and to take, so map() names no physical address, and a page that is mapped
// may be in swap; translate() says so by `present`, fault() brings it back. Addresses and sizes are bytes, multiples of a page.
#pragma once
#include "machine.hpp"
#include "pressure.hpp"

#include <fstream>

class PageTable
{
    Machine machine;
    uint32_t process = 0;
    std::map<uint64_t, uint64_t> ranges; // begin -> end of what is mapped, disjoint

    void cut(uint64_t at)
    {
        auto found = ranges.upper_bound(at);
        if (found == ranges.begin() || (--found)->first == at || found->second <= at)
            return;
        const uint64_t end = found->second;
        found->second = at;
        ranges[at] = end;
    }
    void aligned(uint64_t address, uint64_t size) const
    {
        if (size == 0 || (address | size) % PAGE)
            throw std::invalid_argument("not whole pages");
    }

public:
    explicit PageTable(const std::string &specification) : machine(specification)
    {
        process = static_cast<uint32_t>(Machine::good(rmapcore_spawn(machine)));
    }
    // What serialise wrote.
    PageTable() = default;

    bool isUnmapped(uint64_t address, uint64_t size) const
    {
        auto after = ranges.lower_bound(address);
        if (after != ranges.end() && after->first < address + size)
            return false;
        return after == ranges.begin() || std::prev(after)->second <= address;
    }

    // clobber: what is mapped there already is replaced, else it is an error.
    void map(uint64_t address, uint64_t size, bool clobber = false)
    {
        aligned(address, size);
        if (!isUnmapped(address, size)) {
            if (!clobber)
                throw std::logic_error("it is mapped already");
            unmap(address, size);
        }
        Machine::good(rmapcore_mmap(machine, process, address, size, 3, 0x32, 0, 0));
        ranges[address] = address + size;
    }
    void unmap(uint64_t address, uint64_t size)
    {
        aligned(address, size);
        Machine::good(rmapcore_munmap(machine, process, address, size));
        cut(address);
        cut(address + size);
        ranges.erase(ranges.lower_bound(address), ranges.lower_bound(address + size));
    }
    // The pages keep their frames and contents.
    void remap(uint64_t address, uint64_t size, uint64_t target)
    {
        aligned(address, size);
        if (!isUnmapped(target, size))
            throw std::logic_error("the target is mapped already");
        Machine::good(rmapcore_mremap(machine, process, address, size, size, 3, target));
        cut(address);
        cut(address + size);
        ranges.erase(ranges.lower_bound(address), ranges.lower_bound(address + size));
        ranges[target] = target + size;
    }

    // False: nothing is mapped there. present: whether physical is one; else fault() gives it.
    bool translate(uint64_t address, uint64_t &physical, bool &present) const
    {
        const int64_t found = rmapcore_translate(machine, process, address, 1);
        present = found >= 0;
        physical = present ? static_cast<uint64_t>(found) : 0;
        return present || !isUnmapped(address / PAGE * PAGE, PAGE);
    }
    // A write access: enum rmapcore_access.
    int fault(uint64_t address, uint64_t &physical)
    {
        return static_cast<int>(Machine::good(rmapcore_touch(machine, process, address, 1, &physical)));
    }

    // As "path" (the machine) and "path.ranges" (what is mapped).
    void serialize(const std::string &path) const
    {
        Machine::good(rmapcore_save(machine, path.c_str()));
        std::ofstream out(path + ".ranges");
        out << process << '\n';
        for (const auto &[begin, end] : ranges)
            out << begin << ' ' << end << '\n';
        if (!out.flush())
            throw std::runtime_error(path + ".ranges cannot be written");
    }
    void unserialize(const std::string &path)
    {
        machine.load(path);
        std::ifstream in(path + ".ranges");
        uint64_t begin, end;
        ranges.clear();
        if (!(in >> process))
            throw std::runtime_error(path + ".ranges cannot be read");
        while (in >> begin >> end)
            ranges[begin] = end;
    }
    void check() const { Machine::good(rmapcore_check(machine)); }
};
