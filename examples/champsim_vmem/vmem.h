// In place of ChampSim's inc/vmem.h (interface of commit 2ff25011): VirtualMemory over a machine of rmapcore. It needs ChampSim's
// headers on the include path behind this folder.
#ifndef VMEM_H
#define VMEM_H

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "address.h"
#include "champsim.h"
#include "chrono.h"

class MEMORY_CONTROLLER;
class Paging;

using pte_entry = champsim::data::size<long long, std::ratio<8>>;

class VirtualMemory
{
  std::unique_ptr<Paging> paging;

public:
  using duration = champsim::chrono::clock::duration;

  const duration minor_fault_penalty;
  duration major_fault_penalty; // of a page that comes back from swap; a hundred times the minor one unless it is set
  const std::size_t pt_levels;
  const pte_entry pte_page_size;

  // Called for each translation that may not be used any more: CPU (-1: all of them), page, and the frame that it led to.
  std::function<void(int64_t, champsim::page_number, champsim::page_number)> shootdown;

  // The seed of random frames has no use here: which frame is next, the machine says.
  VirtualMemory(champsim::data::bytes page_table_page_size, std::size_t page_table_levels, duration minor_penalty, MEMORY_CONTROLLER& dram,
                std::optional<uint64_t> randomization_seed = {});
  ~VirtualMemory();

  [[nodiscard]] champsim::data::bits shamt(std::size_t level) const;
  [[nodiscard]] champsim::dynamic_extent extent(std::size_t level) const;
  [[nodiscard]] uint64_t get_offset(champsim::address vaddr, std::size_t level) const;
  [[nodiscard]] uint64_t get_offset(champsim::page_number vaddr, std::size_t level) const;
  [[nodiscard]] std::size_t available_ppages() const;
  std::pair<champsim::page_number, duration> va_to_pa(uint32_t cpu_num, champsim::page_number vaddr);
  std::pair<champsim::address, duration> get_pte_pa(uint32_t cpu_num, champsim::page_number vaddr, std::size_t level);
};

#endif
