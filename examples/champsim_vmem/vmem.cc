// VirtualMemory over a machine of rmapcore (vmem.h).
#include "vmem.h"

#include "dram_controller.h"
#include "paging.hpp"
#include "util/bits.h"

namespace
{
constexpr uint64_t PAGES = 1ull << 34; // of an address space; ChampSim's are larger, and begin again from here

uint64_t inside(champsim::page_number page) { return page.to<uint64_t>() % PAGES; }
} // namespace

// A sixteenth of DRAM is left to page tables, which lie above the frames.
VirtualMemory::VirtualMemory(champsim::data::bytes page_table_page_size, std::size_t page_table_levels, duration minor_penalty,
                             MEMORY_CONTROLLER& dram, std::optional<uint64_t>)
    : minor_fault_penalty(minor_penalty), major_fault_penalty(100 * minor_penalty), pt_levels(page_table_levels),
      pte_page_size(page_table_page_size)
{
  const auto frames = static_cast<uint64_t>(dram.size().count()) / PAGE * 15 / 16;
  paging = std::make_unique<Paging>(PAGES, frames, 4 * frames);
  paging->shootdown = [this](int64_t cpu, uint64_t page, uint64_t frame) {
    if (shootdown)
      shootdown(cpu, champsim::page_number{page}, champsim::page_number{frame});
  };
}

VirtualMemory::~VirtualMemory() = default;

champsim::dynamic_extent VirtualMemory::extent(std::size_t level) const
{
  const auto index_bits = champsim::lg2(pte_page_size.count());
  return {champsim::data::bits{LOG2_PAGE_SIZE + index_bits * (level - 1)}, static_cast<std::size_t>(index_bits)};
}

champsim::data::bits VirtualMemory::shamt(std::size_t level) const { return extent(level).lower; }

uint64_t VirtualMemory::get_offset(champsim::address vaddr, std::size_t level) const
{
  return champsim::address_slice{extent(level), vaddr}.to<uint64_t>();
}

uint64_t VirtualMemory::get_offset(champsim::page_number vaddr, std::size_t level) const { return get_offset(champsim::address{vaddr}, level); }

std::size_t VirtualMemory::available_ppages() const { return paging->frames_free(); }

auto VirtualMemory::va_to_pa(uint32_t cpu_num, champsim::page_number vaddr) -> std::pair<champsim::page_number, duration>
{
  const auto [frame, fault] = paging->translate(cpu_num, inside(vaddr));
  const duration penalty = fault == Fault::none ? duration::zero() : fault == Fault::minor ? minor_fault_penalty : major_fault_penalty;
  return {champsim::page_number{frame}, penalty};
}

// Tables are made with the fault of the page, so that they cost nothing of their own; levels above the machine's share its top.
auto VirtualMemory::get_pte_pa(uint32_t cpu_num, champsim::page_number vaddr, std::size_t level) -> std::pair<champsim::address, duration>
{
  return {champsim::address{paging->entry(cpu_num, inside(vaddr), level)}, duration::zero()};
}
